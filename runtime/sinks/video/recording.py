"""A recording of a live source that survives a full disk: it stops, says so, and resumes in a new file."""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from av.audio.stream import AudioStream

from granet.app.console import Say
from granet.errors import UserError
from runtime.media.frame import Colour, Frame
from runtime.sinks.base import Sink
from runtime.sinks.part_file import check_file
from runtime.sinks.video.containers import container_for
from runtime.sinks.video.sink import VideoSink
from runtime.sinks.video.sound_track import can_hold
from runtime.sources.base import SoundPacket, StreamInfo
from runtime.telemetry.health import Health

ROOM = 64 * 2**20
"""Bytes that must be free before a recording resumes: less would be full again within seconds."""

RETRY = (1.0, 10.0)
"""Seconds until the first try to resume, which double from try to try, and their most."""


def free_bytes(directory: Path) -> int:
    """Bytes that a file in ``directory`` can take."""
    return shutil.disk_usage(directory).free


class RecordingSink(Sink):
    """Records a live source into files that are kept whatever happens.

    The first is called as it was asked for, later ones have ``-2``, ``-3`` ... before their ending. A
    ``%`` in the name makes it a pattern of the local time, as of :func:`time.strftime`, so that a
    service that starts again finds a new name: ``%Y%m%d-%H%M%S.mkv``. Nothing is ever deleted but a
    file of our own without a single frame. Sound that this kind of file cannot hold is told and left out:
    the picture matters more.

    Args:
        destination: a path whose ending says the kind of video.
        info: of the source.
        say: is told of every stop and every start.
        overwrite: whether a first file that exists may be replaced.
        health: counts what failed, and the frames that are not recorded.
        clock: seconds that only go forward.

    Raises:
        UserError: if the destination is refused, see :class:`VideoSink`.
    """

    def __init__(
        self,
        destination: str,
        info: StreamInfo,
        say: Say,
        *,
        overwrite: bool,
        health: Health,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = destination
        self._info = _with_sound_for(destination, info, say)
        self._say, self._health, self._clock = say, health, clock
        self._overwrite = overwrite
        self._files = 0
        self._video: VideoSink | None = self._next_file()
        self._stopped_at = 0.0
        self._wait, self._retry_at = RETRY[0], 0.0
        self._lost = 0

    def start(self, colour: Colour) -> None:
        """See :meth:`Sink.start`."""
        super().start(colour)
        if self._video is not None:
            self._video.start(colour)

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Records a frame, or counts it as lost while there is no room; raises nothing for that."""
        if self._video is None and not self._resume():
            self._lose()
            return
        assert self._video is not None
        try:
            self._video.write(frame, before)
        except (UserError, OSError) as error:
            self._stop(error)
            return
        if self._lost:
            gap = self._clock() - self._stopped_at
            self._say(
                f"recording again after {gap:.0f} s, into {self._video.name}; "
                f"{self._lost} frames are not recorded"
            )
            self._lost, self._wait = 0, RETRY[0]

    def write_sound(self, packets: list[SoundPacket]) -> None:
        """See :meth:`Sink.write_sound`."""
        if self._video is None:
            return
        try:
            self._video.write_sound(packets)
        except (UserError, OSError) as error:
            self._stop(error)

    def finish(self) -> None:
        """Finishes the file; where that fails, what there is of it is kept.

        Raises:
            UserError: if it could not be finished.
        """
        if self._video is not None:
            self._video.finish()

    def abort(self) -> None:
        """Keeps what was recorded: what failed was something else, or the end of the file only."""
        if self._video is not None:
            with suppress(UserError, OSError):
                self._video.keep()

    def _stop(self, error: Exception) -> None:
        assert self._video is not None
        with suppress(UserError, OSError):
            self._video.keep()
        self._health.count("sink_fault")
        self._video = None
        now = self._clock()
        if not self._lost:
            self._stopped_at = now
            self._say(
                f"ALARM: recording stopped: {error}; all else goes on, and the recording resumes in a new "
                "file when it can"
            )
        self._retry_at = now + self._wait
        self._wait = min(2 * self._wait, RETRY[1])
        self._lose()

    def _lose(self) -> None:
        self._lost += 1
        self._health.drop("sink")

    def _resume(self) -> bool:
        now = self._clock()
        if now < self._retry_at:
            return False
        self._retry_at = now + self._wait
        self._wait = min(2 * self._wait, RETRY[1])
        try:
            if free_bytes(Path(self.name).parent) < ROOM:
                return False
            self._video = self._next_file()
        except (UserError, OSError):
            return False
        self._video.start(self._colour)
        return True

    def _next_file(self) -> VideoSink:
        path = Path(time.strftime(self.name) if "%" in self.name else self.name)
        number, self._files = self._files, self._files + 1
        info = self._info
        if number == 0 and "%" not in self.name:
            return VideoSink(str(path), info, self._say, overwrite=self._overwrite)
        stem = path.stem
        while path.exists():
            number = max(2, number + 1)
            path = path.with_name(f"{stem}-{number}{path.suffix}")
        check_file(path, info.paths, overwrite=False)
        return VideoSink(str(path), info, self._say, overwrite=False)


def _can_hold(format_name: str, stream: AudioStream) -> bool:
    # MP4 and QuickTime store single samples without times: after a gap, all the rest would be early.
    if format_name in ("mp4", "mov") and stream.codec_context.name.startswith("pcm_"):
        return False
    return can_hold(format_name, stream)


def _with_sound_for(destination: str, info: StreamInfo, say: Say) -> StreamInfo:
    kind = container_for(Path(destination).suffix)
    kept = tuple(stream for stream in info.sound if _can_hold(kind.format, stream))
    if len(kept) < len(info.sound):
        names = ", ".join(stream.codec_context.name for stream in info.sound if stream not in kept)
        say(
            f"{destination}: this kind of file cannot hold the sound ({names}), which is left out; write .mkv"
        )
    return replace(info, sound=kept)
