"""Newest wins: where a live stream's frames wait between two threads, and old ones give way to new ones."""

from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Generic, TypeVar

from runtime.media.frame_queue import Lease

T = TypeVar("T")


class Newest(Generic[T]):
    """Holds the newest items, first in, first out. Putting one never waits: the oldest gives way.

    Args:
        size: most items that wait.
        dropping: called for each item that is dropped; must not wait, since the lock is held.
    """

    def __init__(self, size: int = 1, *, dropping: Callable[[], None] = lambda: None) -> None:
        self._items: deque[T] = deque()
        self._size, self._dropping = size, dropping
        # Reentrant, so that a subclass can look and put in one step.
        self._changed = Condition()
        self._count = 0
        self._woken = False
        self.closed = False
        self.dropped = 0
        """Items that gave way to newer ones, or were discarded when it was closed."""

    def put(self, item: T) -> bool:
        """Appends ``item``; whether it was taken: ``False`` once it is closed."""
        with self._changed:
            if self.closed:
                return False
            if len(self._items) >= self._size:
                self._drop_oldest()
            self._items.append(item)
            self._count += 1
            self._changed.notify_all()
            return True

    def lease(self) -> Lease[T] | None:
        """Room for one item, as of :meth:`FrameQueue.lease`; there is always room, and none is reserved.

        Returns:
            ``None`` once it is closed.
        """
        return None if self.closed else Lease(self.put)

    def get(self, timeout: float | None = None) -> T | None:
        """Takes the oldest item; waits until there is one.

        Args:
            timeout: seconds; ``None`` waits for ever.

        Returns:
            ``None`` once it is closed and empty.

        Raises:
            TimeoutError: if there is none within ``timeout``, or when :meth:`wake` was called.
        """
        with self._changed:
            self._wait(lambda: bool(self._items), timeout)
            if self._items:
                return self._items.popleft()
            if self.closed:
                return None
            raise TimeoutError

    def peek(self) -> tuple[T | None, int]:
        """The newest item, which is left where it is, and the number of the last that was put, from 1."""
        with self._changed:
            return self._items[-1] if self._items else None, self._count

    def wait_newer(self, seen: int, timeout: float | None = None) -> int:
        """Waits until another item than number ``seen`` was put, :meth:`wake` is called, or it is closed.

        Args:
            seen: the number of an item, from this method or :meth:`peek`; 0 before the first.
            timeout: most seconds to wait; ``None`` waits for ever.

        Returns:
            The number of the last item that was put; ``seen`` if there is no other.
        """
        with self._changed:
            self._wait(lambda: self._count != seen, timeout)
            return self._count

    def wake(self) -> None:
        """Makes one wait end although there is no item: that of now, or else the next."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Forgets what waits; it is not counted as dropped."""
        with self._changed:
            self._items.clear()

    def close(self, *, discard: bool = False) -> None:
        """Takes no more items; those that wait can still be taken, unless they are discarded."""
        with self._changed:
            self.closed = True
            while discard and self._items:
                self._drop_oldest()
            self._changed.notify_all()

    def _wait(self, is_there: Callable[[], bool], timeout: float | None) -> None:
        self._changed.wait_for(lambda: is_there() or self._woken or self.closed, timeout)
        self._woken = False

    def _drop_oldest(self) -> None:
        self._items.popleft()
        self.dropped += 1
        self._dropping()
