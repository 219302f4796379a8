"""How many bytes an input over the network may take for a packet."""

import errno
import time

import av

from granet.errors import UserError

MOST_BYTES = 2**26
"""Maximum number of bytes between two packets, and before the first one: 64 MiB."""


class Allowance:
    """The bytes, and the time for opening, that an input may still use before its next packet.

    FFmpeg continues after an error in a read. The first error ends the input: it is raised once, and every
    later read reports the end of the stream.

    Args:
        most: maximum number of bytes between two packets.
        seconds: time until :meth:`opened` must be called; ``None`` for no limit.
    """

    def __init__(self, most: int, seconds: float | None) -> None:
        self._most, self._left = most, most
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self.failed = False

    def opened(self) -> None:
        """Ends the limit on the time."""
        self._deadline = None
        self.packet_came()

    def packet_came(self) -> None:
        """Allows the next packet its bytes."""
        self._left = self._most

    def take(self, size: int) -> None:
        """Counts bytes that were read.

        Raises:
            UserError: if they are too many.
            av.TimeoutError: if opening takes too long.
        """
        self._left -= size
        if self._left < 0:
            raise UserError(f"sent more than {self._most:,} bytes without a complete packet")
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise av.TimeoutError(errno.ETIMEDOUT, "timed out")
