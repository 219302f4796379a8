from tests.soak import soak


def test_reconnections_leave_no_thread_no_descriptor_and_no_memory() -> None:
    result = soak(reconnects=10, frames=400)
    first, last = result.ends()
    assert last.reconnects >= 10 and last.frames >= 400 and last.reconnects > first.reconnects + 2
    # FFmpeg's threads count too. A sample may see two connections: the one that ends and the next one.
    # A connection that leaves one behind each time would leave five at least between the two samples.
    assert last.threads < first.threads + 5 and last.descriptors < first.descriptors + 5
    # A connection that is not closed holds a megabyte, and there are five at least between the two.
    assert last.in_use - first.in_use < 3 * 2**20
    assert last.memory - first.memory < 15 * 2**20
    assert result.snapshot.frames_out > 0 and "| threads |" in result.table()
