"""The bytes of an address, read by FFmpeg's own protocols, with a limit on how many a packet may take.

A demuxer believes the sizes that a server states: a part of 2**40 bytes, a list of playlists without end. It
asks for bytes until memory runs out. So it does not read the network itself: it reads a :class:`Wire`, which
ends the input once more bytes have come than one packet can need.
"""

import os
from collections.abc import Iterator, Mapping

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from runtime.sources.allowance import Allowance

_CHUNK = 2**16
_NEAR = 2**18
"""A place that is not farther ahead is reached faster by reading than on a new connection."""


class Wire:
    """A read-only file. It can seek if the server states its size and sends parts of it.

    Args:
        url: the address.
        options: options of the protocol.
        timeout: seconds (to open, to read).
        allowance: shared by all files of an input.

    Raises:
        av.FFmpegError: if it cannot be opened.
    """

    def __init__(
        self, url: str, options: Mapping[str, str], timeout: tuple[float, float], allowance: Allowance
    ) -> None:
        self.name = url
        self._options = {**options, "raw_packet_size": str(_CHUNK), "format_whitelist": "data"}
        self._timeout, self._allowance = timeout, allowance
        self._waiting, self._at = b"", 0
        self._container: InputContainer | None = None
        self._packets: Iterator[Packet[Stream]] = iter(())
        self.size: int = self._open(0).size
        """Size in bytes; not positive if the server does not state it."""

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer at the end; the next read returns them again."""
        while len(self._waiting) < size and (more := self._next()):
            self._waiting += more
        return self._waiting[:size]

    def read(self, size: int) -> bytes:
        """Some of the next bytes, ``size`` at most; empty at the end.

        Raises:
            UserError: if the packet takes too many bytes.
            av.FFmpegError: if the server is silent or the connection breaks.
        """
        if self._allowance.failed:
            return b""
        try:
            data = self._waiting or self._next()
            self._allowance.take(len(data[:size]))
        except BaseException:
            self._allowance.failed = True
            raise
        self._waiting = data[size:]
        self._at += len(data[:size])
        return data[:size]

    def seekable(self) -> bool:
        """Whether the server sends parts of the file; asks it on a second connection."""
        if self.size <= 1:
            return False
        try:
            Wire(self.name, {**self._options, "offset": "1"}, self._timeout, self._allowance).close()
        except (av.FFmpegError, OSError):
            return False
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to another place; the next read connects again unless it is near."""
        to = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if self._container is not None and 0 <= to - self._at <= _NEAR:
            while self._at < to and self.read(to - self._at):
                pass
        if to != self._at:
            self.close()
            self._at = to
        return to

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def close(self) -> None:
        """Closes the connection."""
        container, self._container = self._container, None
        self._waiting, self._packets = b"", iter(())
        if container is not None:
            container.close()

    def _open(self, at: int) -> InputContainer:
        options = self._options if at == 0 else {**self._options, "offset": str(at)}
        container = av.open(self.name, "r", format="data", options=options, timeout=self._timeout)
        self._container, self._packets = container, container.demux()
        return container

    def _next(self) -> bytes:
        if self._container is None and 0 <= self._at < self.size:
            self._open(self._at)
        packet = next(self._packets, None)
        return b"" if packet is None or not packet.size else bytes(packet)
