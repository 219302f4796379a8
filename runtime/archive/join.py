"""Join a recording whose segments are published: verify, copy, count, give it its name once."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

from granet.app.console import Say
from granet.errors import UserError
from runtime.archive.attempt import check_unchanged
from runtime.archive.job_folder import FileRecord, JobFolder, SegmentRecord
from runtime.archive.joined_video import JoinedVideo, JoinError, count_packets
from runtime.archive.list_file import first_of
from runtime.archive.plan import Plan, PlannedFile, PlannedSegment
from runtime.archive.selection import Recording
from runtime.archive.storage.base import Draft, Identity, is_away
from runtime.archive.storage.place import stored
from runtime.archive.thumbnails import before_and_after
from runtime.archive.video_file import digest_of
from runtime.archive.video_parts import Part
from runtime.sinks.video.encoding import DEFAULT, Encoding


def join_file(
    job: JobFolder, file: PlannedFile, *, encoding: Encoding = DEFAULT, overwrite: bool
) -> FileRecord:
    """Writes the result of a recording whose segments are all published.

    The result gets its name when it is complete and its frames are counted. Then the videos of the segments
    are removed.

    Args:
        job: holds the segments.
        file: the recording.
        encoding: how the segments are encoded.
        overwrite: whether a result that exists may be replaced.

    Raises:
        ChangedInputError: if the recording changed.
        UserError: if a segment is missing, or is damaged and was withdrawn, or the result cannot be written.
    """
    if (done := finished_file(job, file)) is not None:
        return done
    check_unchanged(file)
    return publish_result(job, file, lambda part: _joined(job, file, encoding, part), overwrite=overwrite)


def publish_result(
    job: JobFolder, file: PlannedFile, fill: Callable[[Path], FileRecord], *, overwrite: bool
) -> FileRecord:
    """Gives the result of a recording its name and its record.

    Args:
        job: the job of the recording.
        file: the recording.
        fill: writes the result into an unfinished file.
        overwrite: whether a result that exists may be replaced.

    Returns:
        The record, which may be that of a twin.

    Raises:
        UserError: if the result cannot be written.
    """
    try:
        made = _written(job, file, fill, overwrite=overwrite)
    except (UserError, OSError) as error:
        if is_away(error):
            raise
        # A twin may have been first: it removes the videos that this one still wants to read.
        if (done := finished_file(job, file)) is None:
            raise
        return done
    _settle(job, file, made)
    return made


def finished_file(job: JobFolder, file: PlannedFile) -> FileRecord | None:
    """The record of a recording that is finished; ``None`` if it is not.

    A result that got its name just before a crash has no record yet. It gets one here.

    Raises:
        UserError: if a record or the result cannot be read or written.
    """
    if (done := job.file(file.key)) is not None:
        return done
    if job.storage.entry(file.output) is None:
        return None
    intended = job.intended_file(file.key, job.storage.identity(file.output).fingerprint)
    if intended is not None:
        _settle(job, file, intended)
    return intended


def check_results(job: JobFolder, plan: Plan, say: Say, *, overwrite: bool) -> None:
    """Refuses results that exist and are not what the job made from these recordings.

    Results that the job made and that are gone, or were changed since, are made again with ``overwrite``.

    Args:
        job: the job.
        plan: its recordings.
        say: called with a line about results that are gone or changed, and stay so.
        overwrite: whether results may be replaced.

    Raises:
        UserError: names the first of them.
    """
    finished = job.storage.map(job.finished, plan)
    lost = [file for file, (_, loss) in zip(plan, finished, strict=True) if loss]
    if overwrite:
        for file in lost:
            _reopen(job, file)
        return
    if lost:
        say(
            f"gone or changed since they were finished: {first_of([file.output for file in lost])}; "
            "--overwrite makes them again"
        )
    there = job.storage.map(lambda file: not file.problem and job.storage.entry(file.output), plan)
    for file, found in zip(plan, there, strict=True):
        if found and finished_file(job, file) is None:
            raise _not_ours(job, file)


def _reopen(job: JobFolder, file: PlannedFile) -> None:
    """Makes a recording unfinished, and those of its segments whose videos were removed."""
    job.withdraw_file(file.key)
    for segment in file.segments:
        record = job.segment(segment.key)
        if record is not None and record.file and not job.has_video(segment.key, record):
            job.withdraw_segment(segment.key, record)


def check_new_job(job: JobFolder, recordings: Sequence[Recording], *, overwrite: bool) -> None:
    """Refuses results that exist before a job has its first plan, with which it becomes the current one.

    Raises:
        UserError: names the first of them.
    """
    if overwrite or job.plans():
        return
    there = job.storage.map(lambda each: job.storage.entry(each.output), recordings)
    for recording, found in zip(recordings, there, strict=True):
        if found:
            raise _not_ours(job, recording)


def _not_ours(job: JobFolder, file: PlannedFile | Recording) -> UserError:
    return UserError(
        f"{job.storage.address(file.output)}: exists, and job {job.job} did not make it from the present "
        f"{file.name}; add --overwrite to replace such files, or choose another destination"
    )


def tidy(job: JobFolder, plan: Plan) -> None:
    """Removes what attempts left that were ended after a twin had finished their recording.

    It does nothing while a recording is left to finish, whose attempts may still be at work.

    Raises:
        UserError: if a record cannot be read.
    """
    if all(job.storage.map(lambda file: bool(file.problem) or job.file(file.key) is not None, plan)):
        job.drop_attempts()
        for file in plan:
            if not file.problem:
                job.storage.sweep(file.output)


def _settle(job: JobFolder, file: PlannedFile, record: FileRecord) -> None:
    """Records a result that has its name, and removes what is no longer needed."""
    job.publish_file(file.key, record)
    job.drop_intents(file.key)
    job.storage.sweep(file.output)
    for segment in file.segments:
        job.drop_videos(segment.key)


def _joined(job: JobFolder, file: PlannedFile, encoding: Encoding, part: Path) -> FileRecord:
    with ExitStack() as held:
        records, videos = [], []
        for segment in file.segments:
            record = _record(job, file, segment)
            records.append(record)
            if record.file:
                video = _verified(job, file, segment, record, held)
                videos.append(Part(video, Fraction(record.start), record.outcome == "copied"))
        notes = JoinedVideo(file, videos, part, encoding).run()
    frames = sum(record.frames for record in records)
    written = count_packets(part)
    if written != frames:
        raise JoinError(f"{file.output}: {frames} frames were joined and {written} arrived; run again")
    with stored(file.path).video() as source:
        thumbnail = before_and_after(source, part, file.seconds / 2)
    if thumbnail:
        job.publish_thumbnail(file.key, thumbnail)
    return _summary(file, records, stored(part).identity(), notes)


def _written(
    job: JobFolder, file: PlannedFile, fill: Callable[[Path], FileRecord], *, overwrite: bool
) -> FileRecord:
    """Writes the result and gives it its name."""
    part = job.storage.draft(file.output, overwrite=overwrite)
    try:
        record = fill(part.path)
        job.intend_file(file.key, record)
        _commit(job, file, part)
    except BaseException:
        part.discard()
        raise
    return record


def _commit(job: JobFolder, file: PlannedFile, part: Draft) -> None:
    """Gives the result its name; if a twin of this job was first, its own copy is removed."""
    try:
        part.commit()
    except UserError:
        if finished_file(job, file) is not None:
            part.path.unlink(missing_ok=True)
        raise


def _record(job: JobFolder, file: PlannedFile, segment: PlannedSegment) -> SegmentRecord:
    record = job.segment(segment.key)
    if record is None:
        raise JoinError(f"{file.name}: a segment is missing; run the command again")
    return record


def _verified(
    job: JobFolder, file: PlannedFile, segment: PlannedSegment, record: SegmentRecord, held: ExitStack
) -> Path:
    """The video of a segment, if it is what was published; a damaged one is withdrawn."""
    if job.has_video(segment.key, record):
        video = held.enter_context(job.video_of(segment.key, record))
        if digest_of(video) == record.sha256:
            return video
    if job.file(file.key) is None:  # otherwise a twin has joined the recording and removed the video
        job.withdraw_segment(segment.key, record)
    raise JoinError(f"{file.name}: a published segment was damaged or removed; it is made again")


def _summary(
    file: PlannedFile, records: list[SegmentRecord], result: Identity, notes: tuple[str, ...]
) -> FileRecord:
    collected = [note for record in records for note in record.notes]
    reasons = [record.reason for record in records if record.reason]
    return FileRecord(
        name=file.name,
        output=file.output,
        frames=sum(record.frames for record in records),
        expected=file.frames,
        bytes=result.bytes,
        seconds=file.seconds,
        work_seconds=round(sum(record.seconds for record in records), 3),
        passed=sum(record.outcome == "passed" for record in records),
        gaps=sum(record.outcome == "gap" for record in records),
        dry=sum(record.dry for record in records),
        notes=tuple(dict.fromkeys((*collected, *reasons, *notes))),
        fingerprint=result.fingerprint,
        segments_copied=sum(record.outcome == "copied" for record in records),
    )
