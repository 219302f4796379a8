"""Make the plan of a job, or find the one that exists and add what is new in the source."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import msgspec

from granet.app.console import Say, UsageError
from granet.app.progress import Progress, no_progress
from granet.errors import UserError
from runtime.archive.job_folder import JobFolder
from runtime.archive.key_frames import index_video
from runtime.archive.plan import (
    Plan,
    PlannedFile,
    PlannedSegment,
    PlanWriter,
    Settings,
    file_key,
    segment_key,
)
from runtime.archive.selection import Recording
from runtime.archive.storage.base import Identity, is_away
from runtime.archive.storage.place import StoredFile
from runtime.archive.video_file import read_video
from runtime.sinks.video.containers import container_for
from runtime.sinks.video.encoding import AUTO, Encoding
from runtime.sources.base import StreamInfo

_GROWS = "is still being written; run the command again when it is complete"


def plan_file(recording: Recording, settings: Settings) -> PlannedFile:
    """Plans one recording; a recording that cannot be processed has a ``problem``."""
    try:
        identity = recording.stored.identity()
    except UserError as error:
        if is_away(error):
            raise
        return PlannedFile(
            "", recording.name, recording.stored.address, recording.output, 0, 0, "", problem=str(error)
        )
    source = recording.resolved
    file = PlannedFile(
        key=file_key(recording.name, identity),
        name=recording.name,
        path=source.address,
        output=recording.output,
        bytes=identity.bytes,
        mtime_ns=identity.mtime_ns,
        fingerprint=identity.fingerprint,
        tag=identity.tag,
    )
    try:
        with source.video() as video:
            index = index_video(video, settings.segment)
        _encoded(recording, settings.encoding, index.info)
        if source.identity() != identity:
            raise UserError(f"{source.address}: {_GROWS}")
    except UserError as error:
        if is_away(error):
            raise
        # A recording that is being written often looks damaged.
        problem = str(error) if _identity_or_none(source) == identity else f"{source.address}: {_GROWS}"
        return msgspec.structs.replace(file, problem=problem)
    segments = tuple(
        PlannedSegment(
            segment_key(file.key, each.span, settings),
            each.frames,
            each.span.start,
            each.span.end,
            each.span.seek,
        )
        for each in index.segments
    )
    height, width = index.size
    return msgspec.structs.replace(file, seconds=index.seconds, height=height, width=width, segments=segments)


def check_encoding(recordings: Sequence[Recording], encoding: Encoding, *, here: bool) -> None:
    """Refuses an encoding that does not suit the first readable recording of each format.

    Args:
        recordings: found in the source.
        encoding: as the user asks for it.
        here: whether this machine encodes, and must have the hardware of the encoder.

    Raises:
        UserError: if it cannot work.
    """
    checked = set() if encoding != Encoding(AUTO) else {Path(each.output).suffix for each in recordings}
    for recording in recordings:
        suffix = Path(recording.output).suffix
        if suffix in checked:
            continue
        try:
            with recording.stored.video() as video, read_video(video, lambda note: None) as source:
                info = source.info
        except (UserError, av.FFmpegError) as error:
            if is_away(error):
                raise
            continue  # the plan says why
        try:
            _encoded(recording, encoding, info, here=here)
        except UsageError:
            raise
        except UserError as error:
            raise UserError(f"{error}; --exclude '*{suffix}' leaves such recordings out") from error
        checked.add(suffix)


def _encoded(recording: Recording, encoding: Encoding, info: StreamInfo, *, here: bool = False) -> None:
    kind = container_for(Path(recording.output).suffix)
    encoding.applied_to(kind, info, recording.output, lambda note: None, here=here)


def _identity_or_none(source: StoredFile) -> Identity | None:
    try:
        return source.identity()
    except UserError:
        return None


def newest_plan(job: JobFolder) -> Plan | None:
    """The plan that counts; ``None`` before the first.

    Raises:
        UserError: if it was changed.
    """
    plans = job.plans()
    return job.plan(plans[-1]) if plans else None


def make_plan(
    job: JobFolder,
    recordings: Sequence[Recording],
    settings: Settings,
    source: str,
    say: Say,
    progress: Progress = no_progress,
) -> Plan:
    """The plan for these recordings. A plan is never changed: if the source did, a new one is added.

    Two planners at once make the same plan, and the first to publish it wins.

    Args:
        job: the job that keeps the plan; its directories exist.
        recordings: found in the source.
        settings: settings of the job.
        source: the source that the user named.
        say: prints one line if the source changed.
        progress: called after each recording.

    Raises:
        UserError: if a plan was changed by hand, or cannot be written.
    """
    before = newest_plan(job)
    if before is not None and _is_current(before, recordings, settings):
        return before
    known = {} if before is None else {file.name: file for file in before}
    storage = recordings[0].stored.storage
    files = storage.map(lambda each: _reused(each, settings, known), _counted(recordings, progress))
    name = f"plan-{_number(before) + 1:04}.jsonl"
    job.publish_plan(name, PlanWriter(settings, source).lines(files))
    plan = job.plan(name)
    if before is not None:
        new = sum(file != known.get(file.name) for file in plan)
        say(f"the source has changed since the last plan: {new} recordings are new, changed or moved")
    return plan


def _number(plan: Plan | None) -> int:
    return 0 if plan is None else int(plan.path.stem.rpartition("-")[2])


def _reused(recording: Recording, settings: Settings, known: dict[str, PlannedFile]) -> PlannedFile:
    was = known.get(recording.name)
    if was is not None and not was.problem and was.key == _key_of(recording):
        return msgspec.structs.replace(was, path=recording.resolved.address)
    return plan_file(recording, settings)


def _is_current(plan: Plan, recordings: Sequence[Recording], settings: Settings) -> bool:
    """Whether planning anew would change nothing; a recording with a problem is looked at again."""
    planned = {file.name: file if file.problem else (file.key, file.path) for file in plan}
    if planned.keys() != {recording.name for recording in recordings}:
        return False

    def is_as_planned(recording: Recording) -> bool:
        was = planned[recording.name]
        if isinstance(was, PlannedFile):
            return was == plan_file(recording, settings)
        return was == (_key_of(recording), recording.resolved.address)

    return all(recordings[0].stored.storage.map(is_as_planned, recordings))


def _key_of(recording: Recording) -> str:
    """Key of a recording as it is now; empty if it cannot be read."""
    try:
        return file_key(recording.name, recording.stored.identity())
    except UserError as error:
        if is_away(error):
            raise
        return ""


def _counted(recordings: Sequence[Recording], progress: Progress) -> Iterator[Recording]:
    for count, recording in enumerate(recordings):
        progress(count, len(recordings), recording.name)
        yield recording
