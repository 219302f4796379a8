"""The state of a job, counted from its records: the finished and the remaining work."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from granet.app.durations import duration_text
from granet.errors import UserError
from runtime.archive.job_folder import FOLDER, FileRecord, JobFolder
from runtime.archive.lock import is_running
from runtime.archive.plan import Plan, PlannedFile
from runtime.archive.planning import newest_plan
from runtime.archive.storage.base import Storage

_RECENT = 600.0
"""Seconds over which the present rate is measured."""


@dataclass
class Status:
    """Counts of one job; the fields are those of ``granet-archive status --json``.

    Attributes:
        job: name of the job.
        model: name of its model.
        files: recordings in the plan.
        files_done: finished recordings.
        segments: segments in the plan.
        segments_done: published segments.
        frames: expected frames.
        frames_done: frames of published segments.
        hours: duration of the recordings.
        hours_done: duration of the finished recordings.
        work_hours: processing time of the finished recordings.
        frames_dry: frames that bypassed the network because they were dry.
        copied: recordings that are dry throughout and were copied without encoding.
        segments_copied: dry segments of other recordings that were copied without encoding.
        hours_saved: duration of the dry frames, copied ones included, for which the network did not run.
        passed: segments whose frames were passed through unchanged.
        gaps: segments that were left out.
        not_derained: recordings with such segments, with the number of these.
        failed_attempts: attempts that were repeated or given up.
        failed: recordings that are not finished although attempts were made, with a reason.
        lost: finished recordings whose result is gone or was changed since.
        problems: recordings that cannot be processed, with the reason.
        running: whether a run or a worker is active, on this machine or another one.
        fps: frames per second of the segments published in the last ten minutes; ``None`` if nothing
            is running, or too few were published to say.
        seconds_left: time that the rest takes at this rate; ``None`` like ``fps``.
    """

    job: str
    model: str
    files: int = 0
    files_done: int = 0
    segments: int = 0
    segments_done: int = 0
    frames: int = 0
    frames_done: int = 0
    hours: float = 0.0
    hours_done: float = 0.0
    work_hours: float = 0.0
    frames_dry: int = 0
    copied: int = 0
    segments_copied: int = 0
    hours_saved: float = 0.0
    passed: int = 0
    gaps: int = 0
    not_derained: dict[str, int] = field(default_factory=dict)
    failed_attempts: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    running: bool = False
    fps: float | None = None
    seconds_left: float | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every recording that can be processed is finished."""
        return self.files_done + len(self.problems) == self.files

    def to_dict(self) -> dict[str, Any]:
        """The status as JSON values."""
        return {**asdict(self), "complete": self.is_complete}

    def lines(self) -> Iterator[str]:
        """The status for people."""
        yield f"job {self.job}, model {self.model}: {'complete' if self.is_complete else 'not complete'}"
        yield f"recordings {self.files_done}/{self.files}, {self.hours_done:.2f}/{self.hours:.2f} hours"
        share = self.frames_done / self.frames if self.frames else 0.0
        segments = f"segments {self.segments_done}/{self.segments}"
        yield f"{segments}, frames {self.frames_done}/{self.frames} ({share:.0%})"
        runs = self.running and not self.is_complete
        if runs and self.fps is None:
            yield "running; the rate is known when more segments are published"
        if runs and self.fps and self.seconds_left is not None:
            yield f"running at {self.fps:.1f} frames per second, {duration_text(self.seconds_left)} left"
        if self.frames_dry:
            yield (
                f"dry frames that bypassed the network: {self.frames_dry}, {self.hours_saved:.2f} hours "
                f"saved; copied without encoding: {self.copied} recordings, {self.segments_copied} segments "
                "of others"
            )
        if self.passed or self.gaps:
            yield f"segments passed through unchanged: {self.passed}, left out: {self.gaps}"
        for name, count in self.not_derained.items():
            yield f"segments passed through or left out: {name}: {count}"
        if self.failed_attempts:
            yield f"failed attempts: {self.failed_attempts}"
        for name, reason in self.failed.items():
            yield f"failed: {name}: {reason}"
        for name, loss in self.lost.items():
            yield f"finished, but {loss}: {name}"
        for name, reason in self.problems.items():
            yield f"cannot be processed: {name}: {reason}"


def current_job(storage: Storage) -> tuple[JobFolder, Plan]:
    """The job of a destination and its newest plan.

    Raises:
        UserError: if there is no job, or its plan was changed.
    """
    made = (
        (entry.modified, job)
        for job in (JobFolder(storage, name) for name in storage.names(FOLDER))
        for entry in storage.entries(job.folder, "plan-")
        if entry.key.endswith(".jsonl")
    )
    newest = max(made, key=lambda each: each[0], default=None)
    if newest is None:
        raise UserError(f"{storage}: has no job; begin one with granet-archive SRC {storage}")
    job = newest[1]
    plan = newest_plan(job)
    assert plan is not None  # it was just found
    return job, plan


def status_of(job: JobFolder, plan: Plan) -> Status:
    """Counts the records of a job.

    Raises:
        UserError: if a record is damaged.
    """
    status = Status(job.job, plan.settings.model)
    unfinished = set()
    finished = job.storage.map(job.finished, plan)
    for file, (done, loss) in zip(plan, finished, strict=True):
        status.files += 1
        status.segments += len(file.segments)
        status.frames += file.frames
        status.hours += file.seconds / 3600
        if file.problem:
            status.problems[file.name] = file.problem
        elif done is not None:
            _add_finished(status, file, done)
            status.lost.update({file.name: loss} if loss else {})
        else:
            unfinished.add(file.name)
            _add_segments(status, job, file)
    _add_failures(status, job, unfinished)
    status.running = is_running(job)
    if status.running and (rate := _rate(job, plan)) is not None:
        status.fps = round(rate, 3)
        status.seconds_left = round((status.frames - status.frames_done) / rate, 1)
    return status


def _rate(job: JobFolder, plan: Plan) -> float | None:
    """Frames per second between the first and the last of the segments that were published lately."""
    since = time.time() - _RECENT
    published = {key: at for key, at in job.published() if at > since}
    recent = sorted(
        (published[segment.key], segment.frames)
        for file in plan
        for segment in file.segments
        if segment.key in published
    )
    if len(recent) < 2 or recent[-1][0] <= recent[0][0]:
        return None
    return sum(frames for _, frames in recent[1:]) / (recent[-1][0] - recent[0][0])


def _add_finished(status: Status, file: PlannedFile, done: FileRecord) -> None:
    status.files_done += 1
    status.segments_done += len(file.segments)
    status.frames_done += file.frames
    status.hours_done += file.seconds / 3600
    status.work_hours += done.work_seconds / 3600
    status.frames_dry += done.dry
    status.copied += done.copied
    status.segments_copied += done.segments_copied
    status.hours_saved += _dry_hours(file, done.dry)
    status.passed += done.passed
    status.gaps += done.gaps
    if done.passed or done.gaps:
        status.not_derained[file.name] = done.passed + done.gaps


def _add_segments(status: Status, job: JobFolder, file: PlannedFile) -> None:
    records = job.storage.map(lambda segment: job.segment(segment.key), file.segments)
    for segment, record in zip(file.segments, records, strict=True):
        if record is not None:
            status.segments_done += 1
            status.frames_done += segment.frames
            status.frames_dry += record.dry
            status.segments_copied += record.outcome == "copied"
            status.hours_saved += _dry_hours(file, record.dry)
            status.passed += record.outcome == "passed"
            status.gaps += record.outcome == "gap"
            if record.outcome in ("passed", "gap"):
                status.not_derained[file.name] = status.not_derained.get(file.name, 0) + 1


def _add_failures(status: Status, job: JobFolder, unfinished: set[str]) -> None:
    for failure in job.failures():
        status.failed_attempts += 1
        if failure.name in unfinished:
            status.failed[failure.name] = failure.reason


def _dry_hours(file: PlannedFile, frames: int) -> float:
    return file.seconds / 3600 * frames / max(1, file.frames)
