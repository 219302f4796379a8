"""Child process that sends an encoded video from its stdin to the server in ``GRANET_PUSH_TARGET``.

FFmpeg holds the GIL while it connects and disconnects, so a silent server would block the whole program.
Here it blocks only this process, which can be killed. FFmpeg also reads responses of any size that a server
states, so the memory of this process has a limit. The process imports nothing from the program, so that it
starts quickly, and writes ``+`` to stdout once the first picture is sent.
"""

import json
import os
import resource
import sys
import time
from contextlib import suppress

import av
from av.packet import Packet
from av.video.stream import VideoStream

from granet.app.outside_text import ELSE_LATIN_1

TARGET = "GRANET_PUSH_TARGET"
"""JSON: the address, the muxer, and its options."""

FORMAT = "nut"
"""The container on stdin: it adds no delay and keeps every time base."""

_MEMORY = 2**30
"""Address space of this process in bytes, of which the libraries take a third."""

# The header is sufficient; by default FFmpeg would wait for more pictures to confirm it.
_AT_ONCE = {"probesize": "32", "analyzeduration": "0"}


def main() -> int:
    """Sends until stdin ends; returns the exit status, and writes the reason to stderr if it is not 0."""
    _limit_memory()
    url, muxer, options = json.loads(os.environ[TARGET])
    try:
        with (
            av.open("pipe:0", format=FORMAT, options=_AT_ONCE, metadata_errors=ELSE_LATIN_1) as source,
            av.open(url, "w", format=muxer, container_options=options) as target,
        ):
            video = source.streams.video[0]
            stream = target.add_stream_from_template(video)
            timestamps = _Timestamps()
            for packet in source.demux(video):
                if packet.pts is None:
                    continue
                # Zero-latency encoding never reorders pictures; without a DTS FFmpeg would have to guess.
                packet.pts = packet.dts = pts = timestamps.of(packet)
                packet.stream = stream
                target.mux(packet)
                if timestamps.begin(pts):
                    os.write(1, b"+")
    except (av.FFmpegError, OSError) as error:
        sys.stderr.write(error.strerror or type(error).__name__)
        return 1
    return 0


class _Timestamps:
    """Takes the time that the connection needed to open out of the timestamps.

    The first picture is older by that time when it is sent. Without this, time would run faster than the
    clock between the first two pictures, and servers drop the pictures that follow.
    """

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None
        self._cut: int | None = None

    def begin(self, pts: int) -> bool:
        """Notes that the first picture is sent; ``False`` for a later one."""
        if self._first is not None:
            return False
        self._first = pts, time.monotonic()
        return True

    def of(self, packet: "Packet[VideoStream]") -> int:
        """The timestamp to send."""
        assert packet.pts is not None
        if self._first is None:
            return packet.pts
        if self._cut is None:
            before, sent_at = self._first
            passed = max(1, int((time.monotonic() - sent_at) / packet.time_base))
            self._cut = max(0, packet.pts - before - passed)
        return packet.pts - self._cut


def _limit_memory() -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = _MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard)
    with suppress(OSError, ValueError):  # a system without this limit
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    sys.exit(main())
