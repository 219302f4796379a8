from statistics import median_low

from tests.soak import soak


def test_reconnections_leave_no_thread_no_descriptor_and_no_memory() -> None:
    result = soak(reconnects=20, frames=800)
    first, last = result.ends()
    assert last.reconnects >= 20 and last.frames >= 800 and last.reconnects > first.reconnects + 2
    # FFmpeg's threads count too, and it starts them late: one sample may see fewer, so halves are compared.
    half = len(result.samples) // 2
    for name in ("threads", "descriptors"):
        early, late = (
            [getattr(s, name) for s in part] for part in (result.samples[:half], result.samples[half:])
        )
        assert median_low(late) <= max(early), name
    # A connection that is not closed holds a megabyte, and there are five at least between the two.
    assert last.in_use - first.in_use < 3 * 2**20
    assert last.memory - first.memory < 15 * 2**20
    assert result.snapshot.frames_out > 0 and "| threads |" in result.table()
