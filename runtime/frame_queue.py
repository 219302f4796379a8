"""A bounded queue between two threads, which knows both policies: keep every item, or the newest."""

from collections import deque
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class FrameQueue(Generic[T]):
    """First in, first out; never more than ``size`` items.

    Args:
        size: most items that wait.
        newest: if full, an item is dropped for a new one instead of making it wait.
    """

    def __init__(self, size: int, *, newest: bool = False) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._newest = newest
        self._changed = Condition()
        self._closed = False
        self.dropped = 0
        """Items that gave way to newer ones."""

    def put(self, item: T) -> bool:
        """Appends ``item``; waits while the queue is full, or drops the oldest.

        Returns:
            Whether it was taken: ``False`` once the queue is closed.
        """
        with self._changed:
            while len(self._items) >= self._size and not self._closed:
                if self._newest:
                    self._items.popleft()
                    self.dropped += 1
                else:
                    self._changed.wait()
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self, timeout: float | None = None) -> T | None:
        """The oldest item; waits until there is one.

        Args:
            timeout: seconds; ``None`` waits for ever.

        Returns:
            ``None`` once the queue is closed and empty.

        Raises:
            TimeoutError: if there is none within ``timeout``.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._closed, timeout):
                raise TimeoutError
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self, *, discard: bool = False) -> None:
        """No more items; those that wait can still be taken, unless they are discarded."""
        with self._changed:
            self._closed = True
            if discard:
                self._items.clear()
            self._changed.notify_all()
