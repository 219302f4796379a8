"""Recording of a live source; it outlives a full disk, and the loss of its file or directory.

Then it raises an alarm and resumes in a new file.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, count, takewhile
from pathlib import Path

from av.audio.stream import AudioStream

from granet.app.console import Say, Urgent
from granet.errors import UserError
from runtime.media.backoff import FIRST, Backoff
from runtime.media.frame import Colour, Frame
from runtime.sinks.base import Sink
from runtime.sinks.part_file import OutputGoneError, check_parent
from runtime.sinks.video.containers import VideoContainer, container_for
from runtime.sinks.video.encoding import DEFAULT, Encoding
from runtime.sinks.video.sink import VideoSink
from runtime.sinks.video.sound_trial import way_for
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
        encoding: the encoder and its options, of all files.
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
        encoding: Encoding = DEFAULT,
        clock: Callable[[], float] = time.monotonic,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = destination
        self._encoding = encoding
        # A directory that is moved away must not take a relative path with it.
        self._base = Path.cwd()
        self._info = _with_sound_for(destination, info, say)
        self._say, self._health, self._clock = say, health, clock
        self._overwrite = overwrite
        self._files = 0
        self._video: VideoSink | None = self._next_file()
        self._stopped_at: float | None = None
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
        self.idle()
        if self._video is None and not self._resume():
            self._lose()
            return
        assert self._video is not None
        try:
            self._video.write(frame, before)
        except (UserError, OSError) as error:
            self._stop(error)
            self._lose()
            return
        if self._stopped_at is not None:
            gap = self._clock() - self._stopped_at
            self._say(
                f"recording resumed after {gap:.0f} s in {self._video.name}; "
                f"{self._lost} frames were not recorded"
            )
            self._stopped_at, self._lost = None, 0

    def idle(self) -> None:
        """Checks that the file is in its place."""
        if self._video is not None:
            try:
                self._video.check()
            except UserError as error:
                self._stop(error)

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
        self._keep()

    def _keep(self) -> None:
        if self._video is not None:
            try:
                self._video.keep()
            except (UserError, OSError) as error:
                self._say(Urgent(str(error)))  # it names the file, which may have another name than expected

    def _stop(self, error: Exception) -> None:
        self._keep()
        self._health.count("sink_fault")
        self._video = None
        now = self._clock()
        if self._stopped_at is None:
            self._stopped_at = now
            self._say(
                Urgent(
                    f"ALARM: recording stopped: {error}; everything else continues, and recording resumes in "
                    "a new file as soon as possible"
                )
            )
        lived = now - self._begun_at
        self._backoff.lived(lived)
        wait = self._backoff.wait()
        # A new file can be opened at once, unless something removes each of them.
        self._retry_at = now if isinstance(error, OutputGoneError) and lived > FIRST else now + wait

    def _lose(self) -> None:
        self._lost += 1
        self._health.drop("sink")

    def _resume(self) -> bool:
        now = self._clock()
        if now < self._retry_at:
            return False
        self._retry_at = now + self._backoff.wait()
        try:
            directory = self._path().parent
            directory.mkdir(parents=True, exist_ok=True)
            if free_bytes(directory) < ROOM:
                return False
            self._video = self._next_file()
        except (UserError, OSError):
            return False
        self._video.start(self._colour)
        self._begun_at = now
        return True

    def _path(self) -> Path:
        return self._base / (time.strftime(self.name) if "%" in self.name else self.name)

    def _next_file(self) -> VideoSink:
        first, pattern, path = self._files == 0, "%" in self.name, self._path()
        if pattern or not first:
            numbers = count(max(2, self._files + 1))
            later = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in numbers)
            path = next(name for name in chain([path] if pattern else [], later) if not name.exists())
        if pattern:
            self._make_folders(path)
        overwrite = self._overwrite and first and not pattern
        video = VideoSink(str(path), self._info, self._say, overwrite=overwrite, encoding=self._encoding)
        self._files += 1
        return video

    def _make_folders(self, path: Path) -> None:
        """Makes the folders of a pattern, as of the day. What comes before the first % must be there.

        It may be mistyped, or a disk that is not mounted.
        """
        fixed = takewhile(lambda part: "%" not in part, (self._base / self.name).parent.parts)
        check_parent(Path(*fixed) / path.name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{path.parent}: cannot be created: {error.strerror}") from error


def _can_hold(kind: VideoContainer, stream: AudioStream, samples: Sequence[SoundPacket]) -> bool:
    way = way_for(kind, stream, samples)
    # MP4 and QuickTime store PCM samples without timestamps: after a gap, all later sound would be early.
    is_pcm = way is not None and (not way.copies or stream.codec_context.name.startswith("pcm_"))
    return way is not None and not (is_pcm and kind.format in ("mp4", "mov"))


def _with_sound_for(destination: str, info: StreamInfo, say: Say) -> StreamInfo:
    kind = container_for(Path(destination).suffix)
    if not kind.keeps_time:
        # VideoSink refuses it.
        return info
    kind = kind.for_live()
    samples = info.sound_samples
    kept = tuple(stream for stream in info.sound if _can_hold(kind, stream, samples.get(stream.index, ())))
    if len(kept) < len(info.sound):
        names = ", ".join(stream.codec_context.name for stream in info.sound if stream not in kept)
        say(f"{destination}: this format cannot hold the sound ({names}), which is dropped; write .mkv")
    return replace(info, sound=kept)
