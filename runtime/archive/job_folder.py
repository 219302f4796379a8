"""The files of one job below ``DST/.granet-archive``, and how each gets its name exactly once."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from granet.app.credentials import mask
from granet.app.schema import DamagedError, decode_json
from granet.errors import UserError
from runtime.archive.plan import Plan, PlannedFile
from runtime.archive.storage.base import Attempt, Entry, Storage, StorageAwayError
from runtime.archive.storage.place import storage_at

FOLDER = ".granet-archive"
T = TypeVar("T", bound=msgspec.Struct)
A = TypeVar("A")
_VideoName = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-zA-Z.-]*\Z", description="a name of a video")]
"""A record is read from storage that others can write to; its name must not lead to another folder."""


class SegmentRecord(msgspec.Struct, frozen=True):
    """One published segment. It names the file of the attempt that won.

    Attributes:
        file: name of the video beside the record; empty for a gap.
        frames: frames in it.
        expected: frames that the plan expects.
        start: time of the first frame in seconds, as a fraction (``304/300``): MP4 stores it rounded.
        dry: frames that bypassed the network because they were dry.
        seconds: processing time.
        outcome: ``derained``, ``copied`` (dry, without encoding), ``passed`` (unchanged, after failures) or
            ``gap`` (no frames).
        worker: who made it.
        notes: damage that the decoder found.
        reason: why it was not derained.
        sha256: SHA-256 of the video; empty for a gap.
    """

    file: _VideoName
    frames: int
    expected: int
    start: str = "0"
    dry: int = 0
    seconds: float = 0.0
    outcome: str = "derained"
    worker: str = ""
    notes: tuple[str, ...] = ()
    reason: str = ""
    sha256: str = ""


class FileRecord(msgspec.Struct, frozen=True):
    """One finished recording.

    Attributes:
        name: path of the recording relative to the source.
        output: path of the result relative to the destination.
        frames: frames in the result.
        expected: frames that the plan expects.
        bytes: size of the result.
        seconds: duration of the recording.
        work_seconds: processing time of its segments.
        passed: segments that hold unchanged frames.
        gaps: segments that are missing.
        dry: frames that bypassed the network.
        notes: remarks on the result for the user.
        fingerprint: identity of the result; see :class:`runtime.archive.storage.base.Identity`.
        copied: whether the recording is dry throughout and was copied.
        segments_copied: dry segments that were copied without encoding.
    """

    name: str
    output: str
    frames: int
    expected: int
    bytes: int
    seconds: float
    work_seconds: float = 0.0
    passed: int = 0
    gaps: int = 0
    dry: int = 0
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    copied: bool = False
    segments_copied: int = 0


class Failure(msgspec.Struct, frozen=True):
    """One attempt that failed.

    Attributes:
        name: path of the recording relative to the source.
        reason: one line.
        worker: who tried.
    """

    name: str
    reason: str
    worker: str = ""


class JobFolder:
    """Records of one job.

    Args:
        destination: root of the results.
        job: name of the job.

    Attributes:
        storage: of the destination.
        folder: key of the job's folder.
    """

    def __init__(self, destination: Path | Storage, job: str) -> None:
        self.storage = destination if isinstance(destination, Storage) else storage_at(destination)
        self.job = job
        self.folder = f"{FOLDER}/{job}"
        self._away: Callable[[StorageAwayError], None] | None = None
        self._held = ExitStack()

    def patient(self, away: Callable[[StorageAwayError], None]) -> "JobFolder":
        """The same job, which asks again while its storage is away.

        Args:
            away: waits until it is back; it raises the error to give up.
        """
        job = JobFolder(self.storage, self.job)
        job._away = away
        return job

    def make(self) -> None:
        """Creates the directories.

        Raises:
            UserError: if that fails.
        """
        self.storage.prepare(f"{self.folder}/{name}" for name in ("segments", "files", "failures"))

    def is_there(self) -> bool:
        """Whether the storage is there with the job."""
        return self.storage.has_folder(self.folder)

    def has_room(self, need: int) -> bool:
        """Whether the job can be continued with ``need`` bytes."""
        return self.storage.has_room(self.folder, need)

    def plans(self) -> list[str]:
        """Names of the plans of the job, oldest first: a run that finds other recordings adds one."""
        names = self.storage.names(self.folder)
        return [name for name in names if name.startswith("plan-") and name.endswith(".jsonl")]

    def publish_plan(self, name: str, lines: Iterable[bytes]) -> bool:
        """Writes a plan; the first one of this name stays."""
        return self.storage.create(f"{self.folder}/{name}", lines)

    def plan(self, name: str) -> Plan:
        """Opens a plan.

        Raises:
            UserError: if it was changed.
        """
        key = f"{self.folder}/{name}"
        path = self._held.enter_context(self.storage.fetched(key))
        return Plan(path, self.storage.address(key))

    def attempt(self, key: str, suffix: str) -> AbstractContextManager[Attempt]:
        """A new attempt at a segment.

        Raises:
            OSError: if the job's folder is gone; a new one, perhaps below a mount point, would lose the job.
        """
        return self.storage.attempt(f"{self._segments(key)}/{key}.{uuid.uuid4().hex[:12]}{suffix}")

    def segment(self, key: str) -> SegmentRecord | None:
        """The published segment; ``None`` if there is none yet."""
        return self._read(self._segment_key(key), SegmentRecord)

    def has_segment(self, key: str) -> bool:
        """Whether the segment is published."""
        return self._asked(partial(self.storage.entry, self._segment_key(key))) is not None

    def published(self) -> Iterator[tuple[str, float]]:
        """The published segments, and when that was in seconds since the epoch."""
        for entry in self.storage.entries(f"{self.folder}/segments"):
            if entry.key.endswith(".json"):
                yield Path(entry.key).stem, entry.modified

    def publish_segment(self, key: str, record: SegmentRecord) -> bool:
        """Publishes a segment; ``False`` if another attempt was first, which then stays.

        Raises:
            UserError: if it cannot be written.
        """
        return self._create(self._segment_key(key), msgspec.json.encode(record))

    def withdraw_segment(self, key: str, record: SegmentRecord) -> None:
        """Removes a published segment whose video is damaged, so that it is made again.

        Other attempts at it stay: one of them may be about to be published.
        """
        self.storage.remove(self._segment_key(key))
        if record.file:
            self.storage.remove(f"{self._segments(key)}/{record.file}")

    def video_of(self, key: str, record: SegmentRecord) -> AbstractContextManager[Path]:
        """The video of a published segment as a local file.

        Raises:
            UserError: if it is missing or cannot be read.
        """
        return self.storage.fetched(f"{self._segments(key)}/{record.file}")

    def has_video(self, key: str, record: SegmentRecord) -> bool:
        """Whether the video of a published segment is there."""
        return self.storage.entry(f"{self._segments(key)}/{record.file}") is not None

    def attempts_at(self, key: str) -> list[Entry]:
        """The videos of all attempts at a segment; they change while a worker is busy with it."""
        return list(self.storage.entries(self._segments(key), f"{key}."))

    def drop_videos(self, key: str) -> None:
        """Removes the videos of all attempts at a segment; its record stays, so that no late twin returns."""
        for entry in self.storage.entries(self._segments(key)):
            if f"{key}." in entry.key and not entry.key.endswith(".json"):
                self.storage.remove(entry.key)

    def drop_attempts(self) -> None:
        """Removes all videos of a job whose recordings are finished."""
        for entry in self.storage.entries(f"{self.folder}/segments"):
            if not entry.key.endswith(".json"):
                self.storage.remove(entry.key)

    def file(self, key: str) -> FileRecord | None:
        """The finished recording; ``None`` if it is not finished."""
        return self._read(self._file_key(key, "json"), FileRecord)

    def publish_file(self, key: str, record: FileRecord) -> bool:
        """Records that a recording is finished."""
        return self._create(self._file_key(key, "json"), msgspec.json.encode(record))

    def withdraw_file(self, key: str) -> None:
        """Forgets that a recording is finished, so that it is made again."""
        self.storage.remove(self._file_key(key, "json"))

    def finished(self, file: PlannedFile) -> tuple[FileRecord | None, str]:
        """The record of a recording, if it is finished, and what became of its result since.

        The second is empty if the result is there with its size.
        """
        record = None if file.problem else self.file(file.key)
        if record is None:
            return None, ""
        found = self._asked(partial(self.storage.entry, record.output))
        if found is None:
            return record, "its result is gone"
        return record, "" if found.bytes == record.bytes else "its result was changed"

    def intend_file(self, key: str, record: FileRecord) -> None:
        """Notes which result is about to get its name; a crash may follow before :meth:`publish_file`."""
        self._create(self._intent_key(key, record.fingerprint), msgspec.json.encode(record))

    def intended_file(self, key: str, fingerprint: str) -> FileRecord | None:
        """The record of a result with this fingerprint; ``None`` if this job did not make it."""
        return self._read(self._intent_key(key, fingerprint), FileRecord)

    def refuse_copy(self, key: str) -> None:
        """Notes that a recording is not to be copied, mostly since it rains, so that nobody looks again."""
        self._create(self._file_key(key, "rain"), b"")

    def copy_is_refused(self, key: str) -> bool:
        """Whether somebody looked at a recording and did not copy it."""
        return self._asked(partial(self.storage.entry, self._file_key(key, "rain"))) is not None

    def drop_intents(self, key: str) -> None:
        """Forgets the intents of a recording that is finished."""
        for entry in self.storage.entries(f"{self.folder}/files", f"{key}."):
            if entry.key.endswith(".intent"):
                self.storage.remove(entry.key)

    def publish_thumbnail(self, key: str, picture: bytes) -> None:
        """Keeps a JPEG: before and after, side by side."""
        self._create(self._file_key(key, "jpg"), picture)

    def thumbnail(self, key: str) -> bytes | None:
        """The JPEG; ``None`` if there is none."""
        return self._asked(partial(self.storage.read, self._file_key(key, "jpg")))

    def add_failure(self, key: str, failure: Failure) -> None:
        """Keeps a failed attempt for the report."""
        shown = msgspec.structs.replace(failure, reason=mask(failure.reason))
        path = f"{self.folder}/failures/{key}.{uuid.uuid4().hex[:12]}.json"
        with suppress(UserError):  # storage that fails is reported by the driver
            self.storage.create(path, [msgspec.json.encode(shown)])

    def failures(self) -> Iterator[Failure]:
        """All failed attempts."""
        keys = (f"{self.folder}/failures/{name}" for name in self.storage.names(f"{self.folder}/failures"))
        kept = (key for key in keys if key.endswith(".json"))
        for failure in self.storage.map(lambda key: self._read(key, Failure), kept):
            if failure is not None:
                yield failure

    def _segments(self, key: str) -> str:
        return f"{self.folder}/segments/{key[:2]}"

    def _segment_key(self, key: str) -> str:
        return f"{self._segments(key)}/{key}.json"

    def _file_key(self, key: str, suffix: str) -> str:
        return f"{self.folder}/files/{key}.{suffix}"

    def _intent_key(self, key: str, fingerprint: str) -> str:
        return self._file_key(key, f"{fingerprint[:24]}.intent")

    def _create(self, key: str, content: bytes) -> bool:
        return self._asked(lambda: self.storage.create(key, [content]))

    def _read(self, key: str, kind: type[T]) -> T | None:
        data = self._asked(lambda: self.storage.read(key))
        try:
            return None if data is None else decode_json(data, kind)
        except DamagedError as error:
            raise UserError(
                f"{self.storage.address(key)}: is damaged ({error}); remove it and run the command again"
            ) from error

    def _asked(self, ask: Callable[[], A]) -> A:
        while True:
            try:
                return ask()
            except StorageAwayError as error:
                if self._away is None:
                    raise
                self._away(error)
