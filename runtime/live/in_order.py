"""Processes items in several threads and yields the results in the order of the items."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[tuple[T, R]]:
    """Applies ``work`` to ``items``; unlike ``Executor.map`` it takes no items in advance.

    Args:
        work: called by up to ``threads`` threads at once; with one, by the thread that iterates.
        items: taken one by one by the thread that iterates.
        threads: at least 1.

    Yields:
        Items and their results, in order. Closing the iterator waits for the work in progress.

    Raises:
        Exception: any error of ``work``, in place of its result.
    """
    if threads == 1:
        for item in items:
            yield item, work(item)
        return
    in_flight: deque[tuple[T, Future[R]]] = deque()
    with ThreadPoolExecutor(threads, "engine") as pool:
        for item in items:
            in_flight.append((item, pool.submit(work, item)))
            if len(in_flight) == threads:
                oldest, future = in_flight.popleft()
                yield oldest, future.result()
        for item, future in in_flight:
            yield item, future.result()
