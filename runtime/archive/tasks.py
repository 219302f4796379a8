"""The tasks of an archive's workers: make a segment, or join a recording."""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import av
import msgspec

from granet.errors import UserError
from runtime.archive.attempt import ChangedInputError, process_segment, storage_shows, worker_name
from runtime.archive.dry import copy_if_dry
from runtime.archive.job_folder import JobFolder
from runtime.archive.join import join_file
from runtime.archive.pass_engine import PassEngine
from runtime.archive.plan import PlannedFile, PlannedSegment
from runtime.archive.storage.base import Storage, is_away
from runtime.engines.base import Engine
from runtime.run.model import open_model
from runtime.sinks.video.encoding import DEFAULT, Encoding

_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENOTCONN, errno.EROFS}
"""Errors of storage that is full or gone: they pass, so they do not count as a failure of the segment."""


@dataclass(frozen=True)
class Work:
    """The common settings of all tasks of a job.

    Attributes:
        destination: root of the results.
        job: name of the job.
        model: the file of the model.
        device: as for :func:`runtime.open.open_engine`.
        backend: the same.
        skip_dry: let dry frames bypass the network.
        encoding: how the results are encoded.
        overwrite: whether results that exist may be replaced.
        opened: opens the model; a function of a module, since it is sent to the workers.
    """

    destination: Path | Storage
    job: str
    model: Path
    device: str = "auto"
    backend: str = "auto"
    skip_dry: bool = False
    encoding: Encoding = DEFAULT
    overwrite: bool = False
    opened: Callable[[Path, str, str], Engine] = open_model


@dataclass(frozen=True)
class Task:
    """One task. Equal tasks may run twice, also at the same time: the result is published once.

    Attributes:
        file: the recording.
        segment: the segment to make; ``None`` to join the recording.
        passing: why the frames of the segment are passed through; empty to derain them.
        copying: copy the recording if it is dry throughout; there is no segment then.
    """

    file: PlannedFile
    segment: PlannedSegment | None = None
    passing: str = ""
    copying: bool = False

    @property
    def key(self) -> str:
        """Key of the segment or of the recording."""
        return self.file.key if self.segment is None else self.segment.key

    def for_worker(self) -> "Task":
        """The task as it is sent: one segment needs no list of all others, which may be long."""
        if self.segment is None:
            return self
        return replace(self, file=msgspec.structs.replace(self.file, segments=()))


@dataclass(frozen=True)
class Outcome:
    """The outcome of a task.

    Attributes:
        key: key of the task.
        kind: ``done``; ``failed``, and another try may help; ``hopeless``; ``storage`` is full or gone;
            ``lost``: the worker died.
        reason: one line, unless it is done.
        frames: frames that were processed.
        seconds: processing time.
        worker: who did it.
    """

    key: str
    kind: Literal["done", "failed", "hopeless", "storage", "lost"]
    reason: str = ""
    frames: int = 0
    seconds: float = 0.0
    worker: str = field(default_factory=worker_name)


class Worker:
    """Does tasks in this process, one after the other; the model is opened once, when it is needed.

    Args:
        work: the common settings of all tasks.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._job = JobFolder(work.destination, work.job)
        self._engine: Engine | None = None

    def do(self, task: Task) -> Outcome:
        """Does a task; an error is an outcome."""
        try:
            return self._done(task)
        except ChangedInputError as error:
            return Outcome(task.key, "hopeless", str(error))
        except (UserError, OSError, av.FFmpegError) as error:
            away = is_storage(error) or not self._job.is_there() or not storage_shows(task.file)
            return Outcome(task.key, "storage" if away else "failed", str(error))
        except MemoryError:
            return Outcome(task.key, "failed", "this machine has too little free memory; use fewer workers")

    def sees_job(self) -> bool:
        """Whether the job can be seen from this machine."""
        return self._job.is_there()

    def close(self) -> None:
        """Closes the model."""
        if self._engine is not None:
            self._engine.close()

    def _done(self, task: Task) -> Outcome:
        if task.copying:
            copied = copy_if_dry(
                self._job, task.file, encoding=self._work.encoding, overwrite=self._work.overwrite
            )
            return Outcome(task.key, "done", frames=task.file.frames if copied else 0)
        if task.segment is None:
            return self._joined(task)
        if (published := self._job.segment(task.segment.key)) is not None:
            return Outcome(task.key, "done", frames=published.frames)
        record = process_segment(
            self._job,
            task.file,
            task.segment,
            PassEngine() if task.passing else self._model(),
            encoding=self._work.encoding,
            skip_dry=self._work.skip_dry and not task.passing,
            passing=task.passing,
        )
        return Outcome(task.key, "done", frames=record.frames, seconds=record.seconds)

    def _joined(self, task: Task) -> Outcome:
        record = join_file(self._job, task.file, encoding=self._work.encoding, overwrite=self._work.overwrite)
        return Outcome(task.key, "done", frames=record.frames)

    def _model(self) -> Engine:
        if self._engine is None:
            work = self._work
            self._engine = work.opened(work.model, work.device, work.backend)
        return self._engine


def is_storage(error: BaseException) -> bool:
    """Whether an error, or one that caused it, says that storage is full or gone."""
    if is_away(error):
        return True
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _STORAGE:
            return True
        cause = cause.__cause__
    return False
