"""One attempt at a segment: decode the range, remove the rain, encode, decode again, publish."""

import os
import socket
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from granet.app.console import Say
from granet.errors import UserError
from runtime.archive.dry_segment import copy_dry
from runtime.archive.job_folder import JobFolder, SegmentRecord
from runtime.archive.plan import PlannedFile, PlannedSegment
from runtime.archive.sign_of_life import SignOfLife
from runtime.archive.storage.base import is_away
from runtime.archive.storage.place import stored
from runtime.archive.video_file import digest_of, open_video, read_recording
from runtime.engines.base import Engine
from runtime.live.pipeline import Pipeline
from runtime.media.frame import Frame
from runtime.sinks.video.encoding import DEFAULT, Encoding
from runtime.sinks.video.sink import VideoSink
from runtime.sources.base import StreamInfo
from runtime.views.letterbox import letterboxed


class ChangedInputError(UserError):
    """A recording changed or was removed after it was planned; trying again does not help."""


def worker_name() -> str:
    """Name of this process in records: machine and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def check_unchanged(file: PlannedFile) -> None:
    """Refuses a recording that is not what was planned.

    Raises:
        ChangedInputError: if its size, time or ends differ.
        UserError: if it cannot be read.
    """
    source = stored(file.path)
    if source.shows() and not source.exists():
        raise ChangedInputError(f"{file.path}: was removed after it was planned")
    if source.identity() != file.identity:
        raise ChangedInputError(
            f"{file.path}: changed after it was planned; run the command again to plan it anew"
        )


def storage_shows(file: PlannedFile) -> bool:
    """Whether the storage of a recording is there: a mount point without its storage is an empty folder."""
    return stored(file.path).shows()


def process_segment(
    job: JobFolder,
    file: PlannedFile,
    segment: PlannedSegment,
    engine: Engine,
    *,
    encoding: Encoding = DEFAULT,
    skip_dry: bool,
    passing: str = "",
) -> SegmentRecord:
    """Makes a segment and publishes it, unless another attempt was first.

    Args:
        job: the job to publish it in.
        file: the recording.
        segment: the part of it.
        engine: the network, or an engine that passes frames through.
        encoding: how the segment is encoded.
        skip_dry: copy the segment if it is dry, else let dry frames bypass the engine.
        passing: why the frames are passed through; empty if they are derained.

    Returns:
        The record that is published now, which may be that of a twin.

    Raises:
        ChangedInputError: if the recording changed.
        UserError: if the range cannot be decoded or the result cannot be written.
    """
    check_unchanged(file)
    try:
        with job.attempt(segment.key, Path(file.output).suffix) as attempt:
            record = _made(attempt.path, file, segment, engine, encoding, skip_dry=skip_dry, passing=passing)
            attempt.store()
            check_unchanged(file)
            if job.publish_segment(segment.key, record):
                attempt.keep()
                return record
    except (UserError, OSError, av.FFmpegError) as error:
        # A twin that was first may have joined the recording, and then removed the file of this attempt.
        if is_away(error) or (twin := job.segment(segment.key)) is None:
            raise
        return twin
    twin = job.segment(segment.key)
    if twin is None:  # it was withdrawn at once, because its video is damaged
        raise UserError(f"{file.name}: the segment of a twin was withdrawn; it is made again")
    return twin


def count_frames(path: Path, life: SignOfLife) -> int:
    """Decodes a video and counts its frames.

    Args:
        path: the video.
        life: of the attempt.

    Raises:
        UserError: if it cannot be decoded to its end.
    """
    try:
        with open_video(path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            count = 0
            for _ in container.decode(stream):
                count += 1
                life.frame()
            return count
    except (av.FFmpegError, IndexError) as error:
        raise UserError(f"{path}: the encoded segment cannot be decoded again: {error}") from error


class _SegmentSink(VideoSink):
    """Writes the frames of a segment in the size that the whole recording has."""

    def __init__(
        self, path: Path, info: StreamInfo, say: Say, size: tuple[int, int], encoding: Encoding
    ) -> None:
        super().__init__(str(path), info, say, overwrite=False, encoding=encoding)
        self._kind = self._kind.for_retries()
        self._size = size
        self.first_time: Fraction | None = None

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        if self.first_time is None:
            self.first_time = Fraction(frame.pts or 0) * (frame.time_base or 1)
        super().write(letterboxed(frame, self._size), before)


def _made(
    path: Path,
    file: PlannedFile,
    segment: PlannedSegment,
    engine: Engine,
    encoding: Encoding,
    *,
    skip_dry: bool,
    passing: str,
) -> SegmentRecord:
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text.replace(str(path), file.output))  # all attempts then say the same

    start, life = time.perf_counter(), SignOfLife(path)
    copied = _copied(path, file, segment, encoding, note, life) if skip_dry else None
    made = copied or _derained(path, file, segment, engine, encoding, note, skip_dry=skip_dry)
    frames = count_frames(path, life)
    if frames != made.frames:
        raise UserError(f"{path}: {made.frames} frames were written and {frames} can be decoded")
    return SegmentRecord(
        file=path.name,
        frames=frames,
        expected=segment.frames,
        start=str(made.start),
        dry=made.dry,
        seconds=round(time.perf_counter() - start, 3),
        outcome="copied" if copied else "passed" if passing else "derained",
        worker=worker_name(),
        notes=tuple(dict.fromkeys(notes)),
        reason=passing,
        sha256=digest_of(path),
    )


@dataclass(frozen=True)
class _Made:
    """A video that was written: frames, time of the first in seconds, frames that bypassed the network."""

    frames: int
    start: Fraction | None
    dry: int


def _copied(
    path: Path, file: PlannedFile, segment: PlannedSegment, encoding: Encoding, say: Say, life: SignOfLife
) -> _Made | None:
    start = copy_dry(path, file, segment, encoding, say, life.frame)
    if start is None:
        return None
    try:
        frames = count_frames(path, life)
    except UserError:  # the packets are those of the recording, which may be damaged
        frames = 0
    if frames != segment.frames:
        path.unlink(missing_ok=True)
        say("dry segments are encoded again: a copy cannot be decoded whole")
        return None
    return _Made(segment.frames, start, segment.frames)


def _derained(
    path: Path,
    file: PlannedFile,
    segment: PlannedSegment,
    engine: Engine,
    encoding: Encoding,
    say: Say,
    *,
    skip_dry: bool,
) -> _Made:
    with read_recording(file.path, say, segment.span) as source:
        sink = _SegmentSink(path, source.info, say, (file.height, file.width), encoding)
        summary = Pipeline(source, engine, sink, skip_dry=skip_dry).run()
        return _Made(summary.frames_out, sink.first_time, source.health.snapshot().frames_dry)
