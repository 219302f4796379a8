"""A bounded queue between two threads that loses nothing: who puts an item waits until there is room."""

from collections import deque
from collections.abc import Callable
from enum import Enum
from threading import Condition
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class _State(Enum):
    """*open* takes items; *closed* gives what it has or is promised; *discarded* gives nothing."""

    OPEN = "open"
    CLOSED = "closed"
    DISCARDED = "discarded"


class FrameQueue(Generic[T]):
    """First in, first out; never more than ``size`` items.

    Args:
        size: most items that wait; see :meth:`resize`.
    """

    def __init__(self, size: int) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._changed = Condition()
        self._state = _State.OPEN
        self._coming = 0  # items that a put or a lease has promised
        self._wanted = 0  # calls of get that wait

    def put(self, item: T) -> bool:
        """Appends ``item``; waits while the queue is full.

        An item that was waiting when the queue was closed is still taken.

        Returns:
            Whether it was taken: ``False`` once the queue is closed.
        """
        with self._changed:
            if self._state is not _State.OPEN:
                return False
            self._coming += 1
            return self._take(item)

    def lease(self) -> "Lease[T] | None":
        """Waits until an item would be taken at once, and reserves that room.

        Returns:
            The room; ``None`` once the queue is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._has_room() or self._state is not _State.OPEN)
            if self._state is not _State.OPEN:
                return None
            self._coming += 1
            return Lease(self._take, self._withdraw)

    def resize(self, size: int) -> None:
        """Lets ``size`` items wait from now on; those that do already are kept.

        With 0, :meth:`lease` waits until somebody waits for an item.
        """
        with self._changed:
            self._size = size
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> T | None:
        """The oldest item; waits until there is one.

        Args:
            timeout: seconds; ``None`` waits for ever.

        Returns:
            ``None`` once the queue is closed, empty, and nothing is promised.

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
        """No more items; those that wait or are promised can still be taken, unless they are discarded."""
        with self._changed:
            if discard:
                self._state = _State.DISCARDED
                self._items.clear()
            elif self._state is _State.OPEN:
                self._state = _State.CLOSED
            self._changed.notify_all()

    def _take(self, item: T) -> bool:
        """Appends an item that was promised, as soon as there is room."""
        with self._changed:
            self._changed.wait_for(
                lambda: len(self._items) < max(1, self._size) or self._state is _State.DISCARDED
            )
            self._coming -= 1
            if self._state is not _State.DISCARDED:
                self._items.append(item)
            self._changed.notify_all()
            return self._state is not _State.DISCARDED

    def _withdraw(self) -> None:
        """Takes a promise back."""
        with self._changed:
            self._coming -= 1
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return len(self._items) + self._coming < (self._size or min(1, self._wanted))

    def _is_done(self) -> bool:
        return self._state is _State.DISCARDED or (self._state is _State.CLOSED and not self._coming)


class Lease(Generic[T]):
    """Room for one item that is being made: put it within the ``with`` block, or the room is given back.

    Once leased, an item is awaited: even if the queue is closed meanwhile, it is still taken.

    Args:
        put: hands an item to the queue.
        withdraw: gives the room back.
    """

    def __init__(self, put: Callable[[T], bool], withdraw: Callable[[], None] = lambda: None) -> None:
        self._put, self._withdraw = put, withdraw
        self._is_used = False

    def put(self, item: T) -> bool:
        """Appends ``item``, once; whether it was taken, as of :meth:`FrameQueue.put`."""
        self._is_used = True
        return self._put(item)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Gives the room back unless it is used."""
        if not self._is_used:
            self._withdraw()
