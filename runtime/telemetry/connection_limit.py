"""Limits the number of open connections of a server and closes the most idle one for a new one."""

import socket
import threading
from contextlib import suppress

_CLOSE_TIMEOUT = 1.0
"""Seconds that a connection may take to close after it is shut down."""


class ConnectionLimit:
    """The open connections of a server, at most ``most`` of them.

    When the limit is reached, the connection that has been idle longest is shut down to make room, so
    silent clients cannot lock others out. A stream is never shut down for another connection. There are
    fewer streams than connections, so a new request always gets in.

    Args:
        most: maximum number of connections.
        streams: maximum number of them that may be streams.
    """

    def __init__(self, most: int, streams: int) -> None:
        assert streams < most
        self._most, self._most_streams = most, streams
        self._changed = threading.Condition()
        # Ordered by the time of their last request; the value says whether it is a stream.
        self._open: dict[socket.socket, bool] = {}

    def admit(self, connection: socket.socket) -> bool:
        """Registers a new connection; returns ``False`` if the limit does not allow it."""
        with self._changed:
            if len(self._open) >= self._most:
                _cut_off(next(each for each, streams in self._open.items() if not streams))
                if not self._changed.wait_for(lambda: len(self._open) < self._most, _CLOSE_TIMEOUT):
                    return False
            self._open[connection] = False
            return True

    def touch(self, connection: socket.socket) -> None:
        """Marks the connection as just used."""
        with self._changed:
            self._open[connection] = self._open.pop(connection)

    def hold(self, connection: socket.socket) -> bool:
        """Marks the connection as a stream; returns ``False`` if there are too many streams."""
        with self._changed:
            self._open[connection] = sum(self._open.values()) < self._most_streams
            return self._open[connection]

    def release(self, connection: socket.socket) -> None:
        """Removes a closed connection."""
        with self._changed:
            self._open.pop(connection, None)
            self._changed.notify_all()

    def cut_off_all(self) -> None:
        """Shuts down every connection."""
        with self._changed:
            for connection in self._open:
                _cut_off(connection)


def _cut_off(connection: socket.socket) -> None:
    """Shuts the socket down, which unblocks its thread; the thread closes it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
