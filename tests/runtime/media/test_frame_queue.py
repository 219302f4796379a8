"""The lossless queue between two threads: blocking, and accepting items after it is closed."""

import threading
import time
from contextlib import suppress

import pytest

from runtime.media.frame_queue import FrameQueue


def test_a_queue_of_size_zero_grants_a_lease_only_to_a_waiting_get() -> None:
    queue: FrameQueue[int] = FrameQueue(3)
    queue.resize(0)
    made: list[int] = []

    def make() -> None:
        while (room := queue.lease()) is not None:
            with room:
                made.append(len(made))
                room.put(made[-1])

    thread = threading.Thread(target=make)
    thread.start()
    for number in range(5):
        assert len(made) == number
        assert queue.get(10) == number
    queue.close()
    thread.join(10)
    assert not thread.is_alive() and len(made) == 5


def test_a_closed_queue_waits_for_a_leased_item() -> None:
    queue: FrameQueue[int] = FrameQueue(3)
    room = queue.lease()
    assert room is not None
    queue.close()
    with pytest.raises(TimeoutError):
        queue.get(0.01)
    with room:
        assert room.put(7)
    assert not queue.put(8) and queue.get() == 7 and queue.get() is None


def test_a_closed_queue_does_not_wait_for_a_released_lease() -> None:
    queue: FrameQueue[int] = FrameQueue(1)
    room = queue.lease()
    assert room is not None
    with suppress(StopIteration), room:
        raise StopIteration
    room = queue.lease()  # the queue has one place
    assert room is not None
    with room:
        queue.close()
    assert queue.get() is None


@pytest.mark.parametrize("discard", [False, True])
def test_closing_a_queue_keeps_its_items_unless_they_are_discarded(discard: bool) -> None:
    queue: FrameQueue[int] = FrameQueue(1)
    queue.put(0)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(queue.put(1)), daemon=True)
    thread.start()
    time.sleep(0.05)
    queue.close(discard=discard)
    assert not queue.put(2)
    got = []
    while (item := queue.get(2)) is not None:
        got.append(item)
    thread.join(2)
    assert (got, results) == (([], [False]) if discard else ([0, 1], [True]))
