"""Find recordings in which it never rains, and copy them without encoding."""

from pathlib import Path

from granet.errors import UserError
from runtime.archive.attempt import check_unchanged
from runtime.archive.dry_segment import is_dry
from runtime.archive.job_folder import FileRecord, JobFolder
from runtime.archive.join import publish_result
from runtime.archive.plan import PlannedFile
from runtime.archive.sign_of_life import SignOfLife
from runtime.archive.storage.place import stored
from runtime.archive.video_file import open_recording
from runtime.sinks.video.encoding import DEFAULT, Encoding
from runtime.sources.video.stream_info import video_stream


def copy_if_dry(job: JobFolder, file: PlannedFile, *, encoding: Encoding = DEFAULT, overwrite: bool) -> bool:
    """Copies a recording byte for byte if no measured frame of it shows rain; otherwise notes that it rains.

    A recording of another codec or pixel format than the user asks for is not copied either.

    Every fifth frame is measured, without the network. The segments are visited in the order of their keys,
    which is random: rain is usually found after a few of them.

    Args:
        job: the job of the recording.
        file: the recording.
        encoding: how results are encoded.
        overwrite: whether a result that exists may be replaced.

    Returns:
        Whether it was copied.

    Raises:
        ChangedInputError: if the recording changed.
        UserError: if it cannot be decoded, or the copy cannot be written.
    """
    check_unchanged(file)
    if not _is_as_asked(file, encoding) or not _is_dry_throughout(job, file):
        job.refuse_copy(file.key)
        return False
    publish_result(job, file, lambda part: _copied(file, part), overwrite=overwrite)
    return True


def _is_dry_throughout(job: JobFolder, file: PlannedFile) -> bool:
    by_chance = sorted(file.segments, key=lambda segment: segment.key)
    # Nothing is written. What is seen of the attempt is its sign of life: hours may have to be decoded.
    with job.attempt(file.key, Path(file.output).suffix) as attempt:
        life = SignOfLife(attempt.path)
        return all(is_dry(file, each, life.frame) for each in by_chance)


def may_be_copied(job: JobFolder, file: PlannedFile) -> bool:
    """Whether a recording is to be looked at: its result has its name, and nobody has looked at it yet."""
    return file.output == file.name and not job.copy_is_refused(file.key)


def _is_as_asked(file: PlannedFile, encoding: Encoding) -> bool:
    with open_recording(file.path) as source:
        context = video_stream(source, file.name).codec_context
        return encoding.is_met_by(context.codec.canonical_name, context.pix_fmt or "")


def _copied(file: PlannedFile, part: Path) -> FileRecord:
    stored(file.path).copy_to(part)
    check_unchanged(file)
    if stored(part).identity().fingerprint != file.fingerprint:
        raise UserError(f"{file.output}: the copy differs from {file.path}; run the command again")
    return FileRecord(
        name=file.name,
        output=file.name,
        frames=file.frames,
        expected=file.frames,
        bytes=file.bytes,
        seconds=file.seconds,
        dry=file.frames,
        fingerprint=file.fingerprint,
        copied=True,
        notes=("dry: copied without encoding",),
    )
