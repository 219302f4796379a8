"""Splits one direction of an RTSP connection into messages and interleaved packets (RFC 2326)."""

import re
from collections.abc import Callable

from granet.errors import UserError

MOST_HEAD_BYTES = 2**14
MOST_BODY_BYTES = 2**16
"""Maximum size of a message: of its head, and of its body, such as a session description."""

_PACKET = b"$"
_PACKET_HEAD = 4
_SHORTEST_PACKET = 8
"""Bytes of the shortest packet (RTCP). FFmpeg does not skip a shorter one, but parses it as a message."""

_LENGTH = re.compile(rb"Content-Length:\s*(\d+)?", re.IGNORECASE)

Rewrite = Callable[[list[bytes]], list[bytes]]
"""Changes the lines of a head: the start line and the headers, without Content-Length."""


class Messages:
    """Passes on what it is fed; heads only as a whole, rewritten, and with one length that was checked.

    FFmpeg reads the result, and must find the same messages in it. So what is passed on has no character that
    only one of the two ignores, and at most one Content-Length.

    Args:
        rewrite: changes each head.
    """

    def __init__(self, rewrite: Rewrite) -> None:
        self._rewrite = rewrite
        self._waiting = bytearray()
        self._lines: list[bytes] = []
        self._inside = 0
        """Bytes of a packet or a body that are still to come."""
        self._is_dropped = False

    def feed(self, data: bytes) -> bytes:
        """Takes the next bytes of the connection.

        Returns:
            What can be passed on; the rest waits for more.

        Raises:
            UserError: if a message is too large or damaged; and whatever ``rewrite`` raises.
        """
        self._waiting += data
        passed = bytearray()
        while self._waiting:
            if self._inside:
                self._take_inside(passed)
            elif not (self._begin_packet() if self._waiting[:1] == _PACKET else self._take_line(passed)):
                break
        return bytes(passed)

    def _take_inside(self, passed: bytearray) -> None:
        taken = self._waiting[: self._inside]
        del self._waiting[: len(taken)]
        self._inside -= len(taken)
        if not self._is_dropped:
            passed += taken

    def _begin_packet(self) -> bool:
        """Begins an interleaved packet; ``False`` if its length is not complete."""
        if len(self._waiting) < _PACKET_HEAD:
            return False
        size = int.from_bytes(self._waiting[2:_PACKET_HEAD], "big")
        # As in FFmpeg, a packet ends a head that is not complete.
        self._lines.clear()
        self._inside, self._is_dropped = _PACKET_HEAD + size, size < _SHORTEST_PACKET
        return True

    def _take_line(self, passed: bytearray) -> bool:
        """Takes a line, and passes on the head that it ends; ``False`` if it is not complete."""
        end = self._waiting.find(b"\n") + 1
        if (end or len(self._waiting)) + sum(map(len, self._lines)) > MOST_HEAD_BYTES:
            raise UserError(f"sends an RTSP message with a head of more than {MOST_HEAD_BYTES:,} bytes")
        if not end:
            return False
        # FFmpeg ignores every CR, and for it a NUL ends the text.
        line = bytes(self._waiting[:end]).translate(None, b"\r\n\0")
        del self._waiting[:end]
        if line.startswith(_PACKET):
            raise UserError("sends a damaged RTSP message")
        if line:
            self._lines.append(line)
        else:
            lines, self._lines = self._lines, []
            passed += self._head(lines)
        return True

    def _head(self, lines: list[bytes]) -> bytes:
        start, headers = lines[:1], lines[1:]
        lengths = [found for line in headers if (found := _LENGTH.match(line))]
        size = int(lengths[-1][1] or 0) if lengths else 0
        if size > MOST_BODY_BYTES:
            raise UserError(f"sends an RTSP message of {size:,} bytes; at most {MOST_BODY_BYTES:,} are read")
        self._inside, self._is_dropped = size, False
        others = [line for line in headers if not _LENGTH.match(line)]
        lines = self._rewrite(start + others) if start else []
        length = [b"Content-Length: %d" % size] if size else []
        return b"".join(line + b"\r\n" for line in [*lines, *length, b""])
