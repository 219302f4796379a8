"""A bounded queue between two threads, which knows both policies: keep every item, or the newest."""

from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class FrameQueue(Generic[T]):
    """First in, first out; never more than ``size`` items.

    Args:
        size: most items that wait; see :meth:`resize`.
        newest: if full, an item is dropped for a new one instead of making it wait.
        dropping: called for each item that is dropped.
    """

    def __init__(
        self, size: int, *, newest: bool = False, dropping: Callable[[], None] = lambda: None
    ) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._newest = newest
        self._changed = Condition()
        self._closed = False
        self._discarded = False
        self._waiting = 0
        self._wanted = 0
        self._promised = False
        self._dropping = dropping
        self.dropped = 0
        """Items that gave way to newer ones, or to the end; only counted if the newest are kept."""

    def put(self, item: T) -> bool:
        """Appends ``item``; waits while the queue is full, or drops the oldest.

        An item that was waiting when the queue was closed is still taken.

        Returns:
            Whether it was taken: ``False`` once the queue is closed.
        """
        with self._changed:
            if self._closed and not self._promised:
                return False
            while self._newest and len(self._items) >= self._size:
                self._items.popleft()
                self._drop(1)
            self._waiting += 1
            self._changed.wait_for(lambda: len(self._items) < max(1, self._size) or self._discarded)
            self._waiting -= 1
            self._promised = False
            if not self._discarded:
                self._items.append(item)
            self._changed.notify_all()
            return not self._discarded

    def wait_for_room(self) -> bool:
        """Waits until an item would be taken at once; ``False`` once the queue is closed.

        After ``True``, an item is awaited: even if the queue is closed meanwhile, it is still taken. If none
        comes, :meth:`withdraw` must be called. That does not hold where the newest are kept.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._has_room() or self._closed)
            self._promised = not self._closed and not self._newest
            return not self._closed

    def withdraw(self) -> None:
        """The item that :meth:`wait_for_room` was called for does not come."""
        with self._changed:
            self._promised = False
            self._changed.notify_all()

    def resize(self, size: int) -> None:
        """Lets ``size`` items wait from now on; those that do already are kept.

        With 0, :meth:`wait_for_room` waits until somebody waits for an item.
        """
        with self._changed:
            self._size = size
            self._changed.notify_all()

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
            self._wanted += 1
            self._changed.notify_all()
            try:
                if not self._changed.wait_for(lambda: self._items or self._is_done(), timeout):
                    raise TimeoutError
            finally:
                self._wanted -= 1
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self, *, discard: bool = False) -> None:
        """No more items; those that wait can still be taken, unless they are discarded."""
        with self._changed:
            self._closed = True
            self._discarded = self._discarded or discard
            if discard:
                if self._newest:
                    self._drop(len(self._items))
                self._items.clear()
            self._changed.notify_all()

    def _drop(self, count: int) -> None:
        self.dropped += count
        for _ in range(count):
            self._dropping()

    def _has_room(self) -> bool:
        return len(self._items) < (self._size or min(1, self._wanted))

    def _is_done(self) -> bool:
        return self._closed and (self._discarded or not (self._waiting or self._promised))
