import random
import threading
import time
from collections.abc import Iterator

import pytest

from runtime.live.in_order import in_order


def test_results_have_the_order_of_the_items_whichever_is_done_first() -> None:
    chance = random.Random(0)

    def square(number: int) -> int:
        time.sleep(chance.random() / 500)
        return number**2

    for threads in (1, 3, 8):
        assert list(in_order(square, range(40), threads)) == [(number, number**2) for number in range(40)]


def test_as_many_are_worked_on_at_once_as_there_are_threads() -> None:
    meeting = threading.Barrier(3)
    # Each waits for two others.
    assert len(list(in_order(lambda number: meeting.wait(10), range(6), 3))) == 6


def test_no_item_is_taken_before_there_is_a_thread_for_it() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    for place, _ in enumerate(in_order(abs, items(), 4)):
        assert len(taken) <= place + 4


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_in_its_place_and_leaves_no_thread(threads: int) -> None:
    count, results = threading.active_count(), []
    with pytest.raises(ZeroDivisionError):
        for _, result in in_order(lambda number: 1 / (5 - number), range(9), threads):
            results.append(result)
    assert results == [1 / (5 - number) for number in range(5)] and threading.active_count() == count


def test_one_thread_is_the_callers() -> None:
    ((_, thread),) = in_order(lambda number: threading.get_ident(), range(1), 1)
    assert thread == threading.get_ident()
