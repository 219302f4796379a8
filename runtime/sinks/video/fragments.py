"""Where an MP4 file of fragments is cut, and what that does to its last pictures.

When FFmpeg ends a fragment, it moves the end of each track's edit list back to the packet that comes next.
Later packets move it forward again. Pictures are stored in decoding order: if the picture that is shown last
is stored before the last cut, the edit list ends too early, and players leave that picture out.
"""

import heapq
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from av.packet import Packet

_PATIENCE = 10_000_000
"""FFmpeg's default of ``max_interleave_delta`` in microseconds."""


class Fragments:
    """Follows the muxer, which sorts the packets of all tracks by their decoding time.

    A fragment ends before the packet that would make one of its tracks too long. The first one also waits
    until every track has a packet.

    Args:
        options: of the muxer; without ``frag_duration`` there are no fragments.
        tracks: number of tracks that get packets.
    """

    def __init__(self, options: Mapping[str, str], tracks: int) -> None:
        microseconds = options.get("frag_duration")
        self._longest = None if microseconds is None else Fraction(int(microseconds), 1_000_000)
        self._patience = Fraction(int(options.get("max_interleave_delta", _PATIENCE)), 1_000_000)
        self._tracks = tracks
        self._waiting: list[tuple[Fraction, int]] = []
        """Packets that the muxer may not have written yet: time and track, as a heap."""
        self._newest: dict[int, Fraction] = {}
        """Track -> time of its newest packet."""
        self._begun: dict[int, Fraction] = {}
        """Track -> time at which its part of the present fragment begins."""
        self._has_header = False
        self._after_cut: set[int] = set()
        """Tracks without a packet since the last cut."""
        self._last_was_cut: dict[int, bool] = {}
        """Track -> whether its newest written packet is the first after a cut."""

    def add(self, packet: "Packet[Any]", track: int) -> None:
        """Notes a packet that is muxed next."""
        if self._longest is None or packet.dts is None:
            return
        time = packet.dts * packet.time_base
        heapq.heappush(self._waiting, (time, track))
        self._newest[track] = time
        while self._waiting and self._is_written(self._waiting[0][0]):
            self._write(*heapq.heappop(self._waiting))

    def cuts_before_last(self, track: int) -> bool:
        """Whether a cut lies between the last two packets of a track; no packet may follow."""
        while self._waiting:
            self._write(*heapq.heappop(self._waiting))
        return self._last_was_cut.get(track, False)

    def _is_written(self, time: Fraction) -> bool:
        """Whether the muxer has written a packet of this time: it waits for all tracks, but not for long."""
        if len(self._newest) == self._tracks and time < min(self._newest.values()):
            return True
        return max(self._newest.values()) - time > self._patience

    def _write(self, time: Fraction, track: int) -> None:
        if self._longest is None:
            return
        if time - self._begun.get(track, time) >= self._longest:
            self._end_fragment()
        self._begun.setdefault(track, time)
        self._last_was_cut[track] = track in self._after_cut
        self._after_cut.discard(track)

    def _end_fragment(self) -> None:
        self._after_cut = set(range(self._tracks))
        self._has_header = self._has_header or len(self._begun) == self._tracks
        if self._has_header:
            self._begun = {}


def reach_end(packets: "Sequence[Packet[Any]]", end: int) -> None:
    """Lets packets last until the end of the video, so that the edit list reaches it.

    Only the edit list is made of these durations: otherwise a picture lasts until the next one in the file.

    Args:
        packets: the last ones of a video, without the very last.
        end: when the picture ends that is shown last.
    """
    for packet in packets:
        packet.duration = max(packet.duration or 0, end - (packet.pts or 0))
