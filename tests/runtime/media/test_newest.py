"""The newest items: dropping and counting old ones, waking waiting threads, and closing."""

import threading

import pytest

from runtime.media.newest import Newest

MANY = 2000


def test_a_new_item_replaces_the_oldest() -> None:
    dropped: list[None] = []
    newest: Newest[int] = Newest(2, dropping=lambda: dropped.append(None))
    for item in range(5):
        assert newest.put(item)
    assert newest.peek() == (4, 5)
    assert (newest.get(), newest.get()) == (3, 4)
    assert newest.dropped == len(dropped) == 3
    with pytest.raises(TimeoutError):
        newest.get(0)


def test_a_closed_one_delivers_waiting_items_and_accepts_none() -> None:
    newest: Newest[int] = Newest()
    assert newest.put(1)
    room = newest.lease()
    assert room is not None
    newest.close()
    assert not room.put(2) and not newest.put(3) and newest.lease() is None
    assert newest.get() == 1 and newest.get() is None and newest.dropped == 0


def test_discarded_items_count_as_dropped_and_cleared_items_do_not() -> None:
    dropped: list[None] = []
    newest: Newest[int] = Newest(2, dropping=lambda: dropped.append(None))
    newest.put(1)
    newest.clear()
    assert newest.peek() == (None, 1) and not dropped
    newest.put(2)
    newest.put(3)
    newest.close(discard=True)
    assert newest.get() is None and newest.dropped == len(dropped) == 2


def test_each_wake_ends_one_wait() -> None:
    newest: Newest[int] = Newest()
    newest.wake()
    with pytest.raises(TimeoutError):
        newest.get()
    newest.wake()
    assert newest.wait_newer(0) == 0
    newest.put(7)
    assert newest.wait_newer(0) == 1 and newest.get() == 7


def test_each_item_wakes_a_waiting_get() -> None:
    """Each side waits for the other's item before it puts its own: a lost wake-up would stop both."""
    there: Newest[int] = Newest()
    back: Newest[int] = Newest()

    def answer() -> None:
        while (item := there.get()) is not None:
            back.put(item)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    for item in range(MANY):
        there.put(item)
        assert back.get(60) == item
    there.close()
    thread.join(60)
    assert not thread.is_alive() and there.dropped == back.dropped == 0


def test_every_viewer_sees_each_newer_item_until_it_is_closed() -> None:
    """Each item is put as soon as all threads have seen the previous one."""
    newest: Newest[int] = Newest()
    newest.wake()
    assert newest.wait_newer(0) == 0  # uses up the wake, so that no wait below returns without an item
    all_saw = threading.Barrier(4)
    seen: list[list[int | None]] = [[], [], []]

    def look(items: list[int | None]) -> None:
        number = 0
        while True:
            number = newest.wait_newer(number)
            if newest.closed:
                return
            items.append(newest.peek()[0])
            all_saw.wait(60)

    threads = [threading.Thread(target=look, args=(items,), daemon=True) for items in seen]
    for thread in threads:
        thread.start()
    for item in range(50):
        newest.put(item)
        all_saw.wait(60)
    newest.close()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert seen == [list(range(50))] * 3


def test_a_fast_producer_loses_only_the_oldest_items_and_every_loss_is_counted() -> None:
    newest: Newest[int] = Newest(2)
    got: list[int] = []

    def take() -> None:
        while (item := newest.get()) is not None:
            got.append(item)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    for item in range(MANY):
        newest.put(item)
    newest.close()
    thread.join(60)
    assert not thread.is_alive()
    assert got == sorted(set(got)) and got[-2:] == [MANY - 2, MANY - 1]
    assert len(got) + newest.dropped == MANY
