"""Drive a job: give out tasks, count failures, pause while storage is away."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from granet.app.console import Say
from granet.app.progress import Progress, no_progress
from granet.errors import UserError
from runtime.archive.attempt import storage_shows
from runtime.archive.dry import may_be_copied
from runtime.archive.job_folder import Failure, JobFolder, SegmentRecord
from runtime.archive.plan import Plan, PlannedFile, PlannedSegment
from runtime.archive.pool import Pool
from runtime.archive.shards import Shard
from runtime.archive.storage.base import StorageAwayError
from runtime.archive.tasks import Outcome, Task

OnFailure = Literal["stop", "passthrough", "gap"]

_POLL = 0.5
_PAUSE = 5.0
"""Seconds between two looks at storage that is full or gone."""

_LEAST_ROOM = 16 << 20
"""Bytes that must be free before a paused run continues."""

_MOST_PAUSES = 20
"""Pauses because of one task, after which its error counts as a failure: a disk error may not pass."""


@dataclass
class Tally:
    """Counts of a run.

    Attributes:
        files: recordings finished, now or earlier.
        failed: recordings that could not be finished, with the reason.
        segments: segments published in this run.
        frames: frames processed in this run.
        done_frames: frames that need no more work, earlier runs included.
        lost: attempts that were repeated.
    """

    files: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    segments: int = 0
    frames: int = 0
    done_frames: int = 0
    lost: int = 0


class Driver:
    """Runs the tasks of a job until all are done; keeps only the recordings in progress in memory.

    Args:
        job: records of the job.
        pool: the workers that run the tasks.
        files: the recordings to work on.
        total_frames: expected frames of all recordings.
        shard: the share to work on; ``None`` for all segments. Whoever finds all segments of a recording
            published joins it.
        copy_dry: copy recordings that are dry throughout instead of processing them.
        tries: attempts at a segment before ``on_failure`` decides.
        on_failure: ``stop`` ends the run, ``passthrough`` keeps the original frames, ``gap`` leaves them out.
        announce: prints one line about an event.
        progress: called with the frames that are done.
        pause: seconds between two looks at storage that is away.
    """

    def __init__(
        self,
        job: JobFolder,
        pool: Pool,
        files: Plan | Sequence[PlannedFile],
        total_frames: int,
        *,
        shard: Shard | None = None,
        copy_dry: bool = False,
        tries: int = 3,
        on_failure: OnFailure = "stop",
        announce: Say = lambda message: None,
        progress: Progress = no_progress,
        pause: float = _PAUSE,
    ) -> None:
        self._job, self._pool = job.patient(self._await_answer), pool
        self._copy_dry, self._is_share = copy_dry, shard is not None
        self._tries, self._on_failure = tries, on_failure
        self._announce, self._progress, self._pause = announce, progress, pause
        self._total = total_frames
        self._tasks = self._planned(files) if shard is None else self._shared(files, shard)
        self._again: deque[Task] = deque()
        self._open: dict[str, int] = {}
        """Key of a recording -> segments that are not published yet."""
        self._attempts: Counter[str] = Counter()
        self._pauses: Counter[str] = Counter()
        self._running: Counter[str] = Counter()
        self._stopped = ""
        self.tally = Tally()

    def stop(self) -> None:
        """Ends the run; safe in a signal handler."""
        self._stopped = self._stopped or "interrupted"

    def run(self) -> Tally:
        """Runs until every recording is finished or has failed, or until :meth:`stop`.

        Raises:
            UserError: if a segment failed as often as allowed and ``on_failure`` is ``stop``.
        """
        try:
            self._run()
        except StorageAwayError:
            if not self._stopped:
                raise
        return self.tally

    def _run(self) -> None:
        error: UserError | None = None
        while not self._stopped:
            while self._pool.free() > 0 and not error and (task := self._next()) is not None:
                self._running[task.key] += 1
                self._pool.submit(task)
            if not self._running:
                break
            for task, outcome in self._pool.wait(_POLL):
                self._running -= Counter([task.key])
                try:
                    self._handle(task, outcome)
                except UserError as failure:
                    error = error or failure
        if error is not None:
            raise error

    def _next(self) -> Task | None:
        if self._again:
            return self._again.popleft()
        return next((task for task in self._tasks if task.file.name not in self.tally.failed), None)

    def _shared(self, files: Iterable[PlannedFile], shard: Shard) -> Iterator[Task]:
        """The segments of a share, and then the recordings that are ready to be joined.

        A pool of one worker is needed: the second pass begins when the last segment is published.
        """
        for file in files:
            if shard.has(file.key) and self._may_be_copied(file):
                yield Task(file, copying=True)
        for file in files:
            if self._may_be_copied(file):
                yield Task(file, copying=True)  # its own worker has not come to it yet
            yield from self._segments_of(file, shard)
        for file in files:
            if file.problem:
                self.tally.failed[file.name] = file.problem
            elif self._job.file(file.key) is None and all(
                self._job.has_segment(segment.key) for segment in file.segments
            ):
                yield Task(file)

    def _segments_of(self, file: PlannedFile, shard: Shard) -> Iterator[Task]:
        if not file.problem and self._job.file(file.key) is not None:
            return
        for segment in file.segments:
            if shard.has(segment.key) and not self._job.has_segment(segment.key):
                self._open[file.key] = len(file.segments) + 1  # never joined by counting
                yield Task(file, segment)

    def _planned(self, files: Iterable[PlannedFile]) -> Iterator[Task]:
        """The tasks that are left, recording by recording."""
        for file in files:
            if file.problem:
                self.tally.failed[file.name] = file.problem
            elif self._job.file(file.key) is not None:
                self.tally.files += 1
                self._count(file.frames)
            else:
                missing = [segment for segment in file.segments if not self._job.has_segment(segment.key)]
                self._count(file.frames - sum(segment.frames for segment in missing))
                self._open[file.key] = len(missing)
                if self._may_be_copied(file):
                    yield Task(file, copying=True)
                    continue
                for segment in missing:
                    yield Task(file, segment)
                if not missing:
                    yield Task(file)

    def _may_be_copied(self, file: PlannedFile) -> bool:
        if not self._copy_dry or file.problem or self._job.file(file.key) is not None:
            return False
        return may_be_copied(self._job, file)

    def _handle(self, task: Task, outcome: Outcome) -> None:
        if outcome.kind == "done" or (outcome.kind != "storage" and self._is_published(task)):
            self._handle_done(task, outcome)
        elif outcome.kind == "lost" and self._stopped:
            pass  # what stops the run ends its workers too
        elif outcome.kind == "storage" and self._pauses[task.key] < _MOST_PAUSES:
            self._pauses[task.key] += 1
            self._await_storage(task.file, outcome.reason)
            self._again.append(task)
        else:
            self._handle_failure(task, outcome)

    def _is_published(self, task: Task) -> bool:
        """Whether the result is there, although an attempt failed: a twin or its own last step was first."""
        if task.copying or task.segment is None:
            return self._job.file(task.key) is not None
        return self._job.has_segment(task.key)

    def _handle_done(self, task: Task, outcome: Outcome) -> None:
        if task.copying:
            self._attempts.pop(task.key, None)
            if self._job.file(task.key) is None:
                self._again += [] if self._is_share else self._missing(task.file)
                return
            self._count(sum(each.segment.frames for each in self._missing(task.file) if each.segment))
        if task.segment is None:
            self.tally.files += 1
            self._open.pop(task.key, None)
            self._attempts.pop(task.key, None)
            return
        self.tally.segments += 1
        self.tally.frames += outcome.frames
        self._finish_segment(task.file, task.segment)

    def _finish_segment(self, file: PlannedFile, segment: PlannedSegment) -> None:
        self._attempts.pop(segment.key, None)
        self._count(segment.frames)
        self._open[file.key] -= 1
        if not self._open[file.key] and file.name not in self.tally.failed:
            self._again.append(Task(file))

    def _handle_failure(self, task: Task, outcome: Outcome) -> None:
        self.tally.lost += 1
        self._job.add_failure(task.key, Failure(task.file.name, outcome.reason, outcome.worker))
        self._attempts[task.key] += 1
        if outcome.kind == "hopeless":
            self._fail(task, outcome.reason)
        elif self._attempts[task.key] < self._tries:
            self._again += self._repeated(task)
        elif task.segment is None:
            self._fail(task, outcome.reason)
        else:
            self._give_up(task, task.segment, outcome.reason)

    def _repeated(self, task: Task) -> list[Task]:
        """The task, or if joining found damaged segments, these, whose end leads to joining again."""
        if task.segment is not None or task.copying:
            return [task]
        missing = self._missing(task.file)
        self._open[task.key] = len(missing)
        self._count(-sum(each.segment.frames for each in missing if each.segment))
        return missing or [task]

    def _missing(self, file: PlannedFile) -> list[Task]:
        """The segments that are not published; if all are, the joining."""
        missing = [each for each in file.segments if not self._job.has_segment(each.key)]
        return [Task(file, segment) for segment in missing] or [Task(file)]

    def _give_up(self, task: Task, segment: PlannedSegment, reason: str) -> None:
        where = f"{task.file.name}: a segment failed {self._tries} times: {reason}"
        if self._on_failure == "stop":
            raise UserError(f"{where} (--on-failure passthrough or gap continues without it)")
        if self._on_failure == "passthrough" and not task.passing:
            self._announce(f"{where}; its frames are passed through unchanged")
            self._attempts.pop(task.key)
            self._again.append(Task(task.file, segment, passing=reason))
            return
        record = SegmentRecord(file="", frames=0, expected=segment.frames, outcome="gap", reason=reason)
        if self._job.publish_segment(segment.key, record):
            self._announce(f"{where}; its frames are left out")
        self._finish_segment(task.file, segment)

    def _fail(self, task: Task, reason: str) -> None:
        if task.file.name not in self.tally.failed:
            self._announce(f"{task.file.name}: failed: {reason}")
        self.tally.failed[task.file.name] = reason
        self._again = deque(each for each in self._again if each.file.key != task.file.key)

    def _await_storage(self, file: PlannedFile, reason: str) -> None:
        """Waits until the recording is there, and the destination has room for two segments of it."""
        need = max(2 * file.bytes // max(1, len(file.segments)), _LEAST_ROOM)
        self._await(reason, lambda: storage_shows(file) and self._job.has_room(need))

    def _await_answer(self, error: StorageAwayError) -> None:
        """Waits until the storage answers the driver itself; raises the error after :meth:`stop`."""
        self._await(str(error), lambda: self._job.has_room(_LEAST_ROOM))
        if self._stopped:
            raise error

    def _await(self, reason: str, can_continue: Callable[[], bool]) -> None:
        self._announce(f"paused: {reason}; make room or bring the storage back, the run then continues")
        time.sleep(self._pause)
        while not self._stopped and not can_continue():
            time.sleep(self._pause)
        if not self._stopped:
            self._announce("continued: the storage can be used again")

    def _count(self, frames: int) -> None:
        self.tally.done_frames += frames
        lost = self.tally.lost
        self._progress(self.tally.done_frames, self._total, f"{lost} failed attempts" if lost else "")
