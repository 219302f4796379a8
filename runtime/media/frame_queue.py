"""A bounded queue between two threads that loses nothing: :meth:`FrameQueue.put` blocks while it is full."""

from collections import deque
from collections.abc import Callable
from enum import Enum
from threading import Condition
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class _State(Enum):
    """*open* accepts items; *closed* still delivers queued and reserved items; *discarded* delivers none."""

    OPEN = "open"
    CLOSED = "closed"
    DISCARDED = "discarded"


class FrameQueue(Generic[T]):
    """First in, first out; holds at most ``size`` items.

    Args:
        size: maximum number of queued items; see :meth:`resize`.
    """

    def __init__(self, size: int) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._changed = Condition()
        self._state = _State.OPEN
        self._reserved = 0  # items announced by a put or a lease
        self._waiting_gets = 0

    def put(self, item: T) -> bool:
        """Appends ``item``; blocks while the queue is full.

        If the queue is closed while ``put`` blocks, the item is still accepted.

        Returns:
            Whether the item was accepted: ``False`` once the queue is closed.
        """
        with self._changed:
            if self._state is not _State.OPEN:
                return False
            self._reserved += 1
            return self._take(item)

    def lease(self) -> "Lease[T] | None":
        """Blocks until there is room for an item, and reserves it.

        Returns:
            The reservation; ``None`` once the queue is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._has_room() or self._state is not _State.OPEN)
            if self._state is not _State.OPEN:
                return None
            self._reserved += 1
            return Lease(self._take, self._withdraw)

    def resize(self, size: int) -> None:
        """Changes the maximum number of queued items to ``size``; keeps the items already queued.

        With 0, :meth:`lease` blocks until a :meth:`get` is waiting.
        """
        with self._changed:
            self._size = size
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> T | None:
        """Removes and returns the oldest item; blocks until there is one.

        Args:
            timeout: seconds; ``None`` waits indefinitely.

        Returns:
            ``None`` once the queue is closed and empty with no reservation left.

        Raises:
            TimeoutError: if no item arrives within ``timeout``.
        """
        with self._changed:
            self._waiting_gets += 1
            self._changed.notify_all()
            try:
                if not self._changed.wait_for(lambda: self._items or self._is_done(), timeout):
                    raise TimeoutError
            finally:
                self._waiting_gets -= 1
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self, *, discard: bool = False) -> None:
        """Closes the queue to new items; queued and reserved items can still be taken unless discarded."""
        with self._changed:
            if discard:
                self._state = _State.DISCARDED
                self._items.clear()
            elif self._state is _State.OPEN:
                self._state = _State.CLOSED
            self._changed.notify_all()

    def _take(self, item: T) -> bool:
        """Appends a reserved item as soon as there is room."""
        with self._changed:
            self._changed.wait_for(
                lambda: len(self._items) < max(1, self._size) or self._state is _State.DISCARDED
            )
            self._reserved -= 1
            if self._state is not _State.DISCARDED:
                self._items.append(item)
            self._changed.notify_all()
            return self._state is not _State.DISCARDED

    def _withdraw(self) -> None:
        """Cancels a reservation."""
        with self._changed:
            self._reserved -= 1
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return len(self._items) + self._reserved < (self._size or min(1, self._waiting_gets))

    def _is_done(self) -> bool:
        return self._state is _State.DISCARDED or (self._state is _State.CLOSED and not self._reserved)


class Lease(Generic[T]):
    """A reservation for one item; leaving the ``with`` block without :meth:`put` releases it.

    The queue waits for a leased item: it accepts the item even if it was closed in the meantime.

    Args:
        put: appends an item to the queue.
        withdraw: releases the reservation.
    """

    def __init__(self, put: Callable[[T], bool], withdraw: Callable[[], None] = lambda: None) -> None:
        self._put, self._withdraw = put, withdraw
        self._is_used = False

    def put(self, item: T) -> bool:
        """Appends ``item``; call it once. Returns whether it was accepted, like :meth:`FrameQueue.put`."""
        self._is_used = True
        return self._put(item)

    def __enter__(self) -> Self:
        """Returns the lease itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Releases the reservation if it is unused."""
        if not self._is_used:
            self._withdraw()
