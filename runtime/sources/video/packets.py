"""Read the packets of a container: skips damage, and can look ahead."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from runtime.media.demuxing import demuxed
from runtime.sources.video.damage import Damage

MOST_AHEAD, MOST_AHEAD_BYTES = 256, 32 * 2**20
"""Limits of :meth:`PacketReader.look_ahead`: a stream may be empty."""

_MOST_FAULTS = 100
"""Number of faults in a row after which the demuxer is not asked again."""


_GIVEN_UP = (av.PatchWelcomeError, av.ArgumentError)
"""Errors with which a demuxer ends at data that it does not know, such as half a chunk of an animation."""


class PacketReader:
    """The packets of some streams of a container, in file order, with empty ones at the end.

    Args:
        container: an open container.
        streams: the streams to read.
        damage: counts packets that cannot be read; ``None`` for a live stream, where they raise an error.
        came: called after each packet.

    Attributes:
        busy: held during a read.
        end: end of the last packet in seconds.
        position: end of the last packet in bytes of the file; 0 if the container has no such positions.
        has_late: whether another stream began after the container was opened.
        waited: seconds that the last read took.
    """

    def __init__(
        self,
        container: InputContainer,
        streams: Sequence[Stream],
        damage: Damage | None,
        came: Callable[[], None] = lambda: None,
    ) -> None:
        self._came = came
        self.busy = threading.Lock()
        self.end = Fraction(0)
        self.waited = 0.0
        self.position = 0
        self.has_late = False
        self._container, self._streams, self._damage = container, streams, damage
        self._packets = self._demuxed()
        self._ahead: deque[Packet[Stream]] = deque()

    def _demuxed(self) -> "Iterator[Packet[Stream]]":
        return demuxed(self._container, *self._streams, late=self._found_late)

    def _found_late(self) -> None:
        self.has_late = True

    def next(self) -> "Packet[Stream] | None":
        """The next packet; ``None`` after the last.

        Raises:
            av.FFmpegError: if the input cannot be read.
        """
        return self._ahead.popleft() if self._ahead else self._read()

    def look_ahead(self, streams: Sequence[Stream], count: int) -> "list[Packet[Stream]]":
        """The next packets, which :meth:`next` still returns, until there are ``count`` of each stream.

        Reading ends early after :data:`MOST_AHEAD` packets or :data:`MOST_AHEAD_BYTES`.

        Raises:
            av.FFmpegError: if the input cannot be read.
        """
        seen, size = Counter[int](), 0
        while any(seen[stream.index] < count for stream in streams):
            if len(self._ahead) >= MOST_AHEAD or size >= MOST_AHEAD_BYTES:
                break
            if (packet := self._read()) is None:
                break
            self._ahead.append(packet)
            seen[packet.stream.index] += 1
            size += packet.size
        return [*self._ahead]

    def _read(self) -> "Packet[Stream] | None":
        for _ in range(_MOST_FAULTS):
            start = time.monotonic()
            try:
                with self.busy:
                    packet = next(self._packets, None)
            except av.InvalidDataError as error:
                if self._damage is None:
                    raise
                self._damage.failed(str(error.strerror))
                # A generator ends with its first error.
                self._packets = self._demuxed()
                continue
            except _GIVEN_UP:
                if self._damage is None:
                    raise
                break
            self.waited = time.monotonic() - start
            self._came()
            if packet is not None and packet.size and packet.pos is not None:
                self.position = max(self.position, packet.pos + packet.size)
            if packet is not None and packet.pts is not None:
                self.end = max(self.end, (packet.pts + (packet.duration or 0)) * packet.time_base)
            return packet
        assert self._damage is not None
        self._damage.missing("the rest is not readable")
        return None
