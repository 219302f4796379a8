"""Recording of a live source; on a full disk it stops, raises an alarm, and resumes in a new file."""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from av.audio.stream import AudioStream

from granet.app.console import Say
from granet.errors import UserError
from runtime.media.backoff import Backoff
from runtime.media.frame import Colour, Frame
from runtime.sinks.base import Sink
from runtime.sinks.part_file import check_file
from runtime.sinks.video.containers import container_for
from runtime.sinks.video.sink import VideoSink
from runtime.sinks.video.sound_track import can_hold
from runtime.sources.base import SoundPacket, StreamInfo
from runtime.telemetry.health import Health

ROOM = 64 * 2**20
"""Free bytes required before a recording resumes: less would fill up again within seconds."""


def free_bytes(directory: Path) -> int:
    """Free bytes on the disk of ``directory``."""
    return shutil.disk_usage(directory).free


class RecordingSink(Sink):
    """Records a live source into files that are kept in any case.

    The first file has the requested name; later ones get ``-2``, ``-3`` ... before the extension. A ``%`` in
    the name makes it a pattern for the local time, see :func:`time.strftime`, so that a restarted service
    finds a new name: ``%Y%m%d-%H%M%S.mkv``. The sink deletes only its own files without any frame. Sound
    that the format cannot hold is dropped with a note, because the picture matters more.

    Args:
        destination: a path whose extension selects the format.
        info: info of the source.
        say: called on each stop and each restart.
        overwrite: whether the first file may replace an existing one.
        health: counts failures and frames that are not recorded.
        clock: monotonic clock in seconds.
        backoff: back-off between attempts to resume; ``None`` uses the default.

    Raises:
        UserError: if the destination cannot be used, see :class:`VideoSink`.
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
        backoff: Backoff | None = None,
    ) -> None:
        self.name = destination
        self._info = _with_sound_for(destination, info, say)
        self._say, self._health, self._clock = say, health, clock
        self._overwrite = overwrite
        self._files = 0
        self._video: VideoSink | None = self._next_file()
        self._stopped_at = 0.0
        self._backoff, self._retry_at = backoff or Backoff(), 0.0
        self._begun_at = clock()
        self._lost = 0

    def start(self, colour: Colour) -> None:
        """See :meth:`Sink.start`."""
        super().start(colour)
        if self._video is not None:
            self._video.start(colour)

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Records a frame; counts it as lost while recording is stopped, without raising an error."""
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
                f"recording resumed after {gap:.0f} s in {self._video.name}; "
                f"{self._lost} frames were not recorded"
            )
            self._lost = 0

    def write_sound(self, packets: list[SoundPacket]) -> None:
        """See :meth:`Sink.write_sound`."""
        if self._video is None:
            return
        try:
            self._video.write_sound(packets)
        except (UserError, OSError) as error:
            self._stop(error)

    def finish(self) -> None:
        """Finishes the file; keeps the incomplete file if that fails.

        Raises:
            UserError: if the file could not be finished.
        """
        if self._video is not None:
            self._video.finish()

    def abort(self) -> None:
        """Keeps the recording: either something else failed, or only the end of the file."""
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
                f"ALARM: recording stopped: {error}; everything else continues, and recording resumes in a "
                "new file as soon as possible"
            )
        self._backoff.lived(now - self._begun_at)
        self._retry_at = now + self._backoff.wait()
        self._lose()

    def _lose(self) -> None:
        self._lost += 1
        self._health.drop("sink")

    def _resume(self) -> bool:
        now = self._clock()
        if now < self._retry_at:
            return False
        self._retry_at = now + self._backoff.wait()
        try:
            if free_bytes(Path(self.name).parent) < ROOM:
                return False
            self._video = self._next_file()
        except (UserError, OSError):
            return False
        self._video.start(self._colour)
        self._begun_at = now
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
    # MP4 and QuickTime store PCM samples without timestamps: after a gap, all later sound would be early.
    if format_name in ("mp4", "mov") and stream.codec_context.name.startswith("pcm_"):
        return False
    return can_hold(format_name, stream)


def _with_sound_for(destination: str, info: StreamInfo, say: Say) -> StreamInfo:
    kind = container_for(Path(destination).suffix)
    kept = tuple(stream for stream in info.sound if _can_hold(kind.format, stream))
    if len(kept) < len(info.sound):
        names = ", ".join(stream.codec_context.name for stream in info.sound if stream not in kept)
        say(f"{destination}: this format cannot hold the sound ({names}), which is dropped; write .mkv")
    return replace(info, sound=kept)
