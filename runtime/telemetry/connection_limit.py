"""How many connections a server holds at the same time, and which one gives way to a new one."""

import socket
import threading
from contextlib import suppress

_FAREWELL = 1.0
"""Seconds that a connection may take to end once it is cut off."""


class ConnectionLimit:
    """The open connections of a server, never more than ``most``.

    If all places are taken, the connection that asked for nothing the longest is cut off for the new one:
    clients that connect and stay silent keep nobody out. A stream keeps its place until it ends. There
    are fewer streams than places, so a request always finds one.

    Args:
        most: connections.
        streams: of them, most that are streams.
    """

    def __init__(self, most: int, streams: int) -> None:
        assert streams < most
        self._most, self._most_streams = most, streams
        self._changed = threading.Condition()
        # In the order of their last request.
        self._open: dict[socket.socket, bool] = {}

    def admit(self, connection: socket.socket) -> bool:
        """Counts a new connection; ``False`` if there is no place for it."""
        with self._changed:
            if len(self._open) >= self._most:
                _cut_off(next(each for each, streams in self._open.items() if not streams))
                if not self._changed.wait_for(lambda: len(self._open) < self._most, _FAREWELL):
                    return False
            self._open[connection] = False
            return True

    def touch(self, connection: socket.socket) -> None:
        """Notes that the connection asked for something."""
        with self._changed:
            self._open[connection] = self._open.pop(connection)

    def hold(self, connection: socket.socket) -> bool:
        """Makes the connection a stream; ``False`` if there are too many."""
        with self._changed:
            self._open[connection] = sum(self._open.values()) < self._most_streams
            return self._open[connection]

    def release(self, connection: socket.socket) -> None:
        """Forgets a connection that was closed."""
        with self._changed:
            self._open.pop(connection, None)
            self._changed.notify_all()

    def cut_off_all(self) -> None:
        """Ends every connection."""
        with self._changed:
            for connection in self._open:
                _cut_off(connection)


def _cut_off(connection: socket.socket) -> None:
    """Makes its thread return from whatever it waits for; the thread closes it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
