"""A container between two threads of a live stream that keeps only the newest items."""

from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Generic, TypeVar

from runtime.media.frame_queue import Lease

T = TypeVar("T")


class Newest(Generic[T]):
    """First in, first out; holds at most ``size`` items. :meth:`put` never blocks but drops the oldest.

    Args:
        size: maximum number of waiting items.
        dropping: called for each dropped item, with the lock held; it must not block.
    """

    def __init__(self, size: int = 1, *, dropping: Callable[[], None] = lambda: None) -> None:
        self._items: deque[T] = deque()
        self._size, self._dropping = size, dropping
        # The lock is reentrant, so that a subclass can peek and put under one lock.
        self._changed = Condition()
        self._count = 0
        self._woken = False
        self.closed = False
        self.dropped = 0
        """Items dropped for newer ones, or discarded by :meth:`close`."""

    def put(self, item: T) -> bool:
        """Appends ``item``. Returns whether it was accepted: ``False`` after :meth:`close`."""
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
        """A lease like that of :meth:`FrameQueue.lease`; there is always room, and nothing is reserved.

        Returns:
            ``None`` after :meth:`close`.
        """
        return None if self.closed else Lease(self.put)

    def get(self, timeout: float | None = None) -> T | None:
        """Removes and returns the oldest item; blocks until there is one.

        Args:
            timeout: seconds; ``None`` waits indefinitely.

        Returns:
            ``None`` once it is closed and empty.

        Raises:
            TimeoutError: if no item arrives within ``timeout``, or :meth:`wake` is called.
        """
        with self._changed:
            self._wait(lambda: bool(self._items), timeout)
            if self._items:
                return self._items.popleft()
            if self.closed:
                return None
            raise TimeoutError

    def peek(self) -> tuple[T | None, int]:
        """The newest item, which is not removed, and the number of the last item put, from 1."""
        with self._changed:
            return self._items[-1] if self._items else None, self._count

    def wait_newer(self, seen: int, timeout: float | None = None) -> int:
        """Blocks until the last item put is not number ``seen``, or :meth:`wake` or :meth:`close` is called.

        Args:
            seen: the number of an item, from this method or :meth:`peek`; 0 before the first.
            timeout: seconds; ``None`` waits indefinitely.

        Returns:
            The number of the last item put; ``seen`` if there is no newer one.
        """
        with self._changed:
            self._wait(lambda: self._count != seen, timeout)
            return self._count

    def wake(self) -> None:
        """Ends one wait without an item: the current one, or else the next."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Removes the waiting items without counting them as dropped."""
        with self._changed:
            self._items.clear()

    def close(self, *, discard: bool = False) -> None:
        """Accepts no more items; waiting items can still be taken unless discarded."""
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
