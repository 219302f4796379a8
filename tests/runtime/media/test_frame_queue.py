"""The queue between two threads: whom it makes wait, and what it still takes at the end."""

import threading
import time
from contextlib import suppress

import pytest

from runtime.media.frame_queue import FrameQueue


def test_without_room_an_item_is_made_when_it_is_asked_for() -> None:
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


def test_an_item_that_is_being_made_when_the_queue_is_closed_is_waited_for() -> None:
    queue: FrameQueue[int] = FrameQueue(3)
    room = queue.lease()
    assert room is not None
    queue.close()
    with pytest.raises(TimeoutError):
        queue.get(0.01)
    with room:
        assert room.put(7)
    assert not queue.put(8) and queue.get() == 7 and queue.get() is None


def test_room_that_is_given_back_is_not_waited_for() -> None:
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
def test_closing_a_queue_keeps_what_waits_unless_it_is_discarded(discard: bool) -> None:
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
