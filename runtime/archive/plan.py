"""The plan of an archive: an immutable file that lists every recording and its segments."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from granet.app.console import UsageError
from granet.app.schema import DamagedError, decode_json
from granet.errors import UserError
from granet.weights.renames import Rename
from runtime.archive.selection import result_name
from runtime.archive.storage.base import Identity
from runtime.sinks.video.encoding import DEFAULT, Encoding
from runtime.sources.video.span import Span

FORMAT = 1

_KEY = r"[0-9a-f]{24}"
_Key = Annotated[str, msgspec.Meta(pattern=rf"^{_KEY}\Z", description="24 hexadecimal digits")]
_FileKey = Annotated[
    str, msgspec.Meta(pattern=rf"^({_KEY})?\Z", description="24 hexadecimal digits, or none")
]
_Name = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(?!\.\.?(/|\Z))[^/\x00]+(/(?!\.\.?(/|\Z))[^/\x00]+)*\Z",
        description="a path below its root",
    ),
]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Extent = Annotated[int, msgspec.Meta(ge=0, le=65535, description="a width or height in pixels")]
_Time = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1, description="a timestamp of 64 bits")]
"""A plan is read from storage that others can write to: its names and keys must not lead out of it."""


class Settings(msgspec.Struct, frozen=True):
    """The settings that the frames of a result depend on. A change makes another job.

    Attributes:
        model: name of the model.
        model_sha256: SHA-256 of its file.
        version: version of this package.
        segment: shortest length of a segment in seconds.
        skip_dry: whether dry frames bypass the network.
        encoding: how the results are encoded.
        renames: new names of the weights of a checkpoint.
    """

    model: str
    model_sha256: str
    version: str
    segment: float
    skip_dry: bool = False
    encoding: Encoding = DEFAULT
    renames: tuple[Rename, ...] = ()

    @property
    def job(self) -> str:
        """Name of the job: a short hash of the settings."""
        return _digest(msgspec.to_builtins(self))[:12]


class PlannedSegment(msgspec.Struct, frozen=True):
    """One segment of a recording; see :class:`runtime.archive.key_frames.Segment`."""

    key: _Key
    frames: _Count
    start: _Time | None = None
    end: _Time | None = None
    seek: _Time | None = None

    @property
    def span(self) -> Span:
        """The part of the video."""
        return Span(self.start, self.end, self.seek)


class PlannedFile(msgspec.Struct, frozen=True):
    """One recording.

    Attributes:
        key: hash of its name, size, time and ends: another content has another key.
        name: path relative to the source.
        path: the file, or its address.
        output: path of the result relative to the destination.
        bytes: size of the file.
        mtime_ns: time of its last change.
        fingerprint: hash of its size, head and tail.
        seconds: duration.
        height: height of the upright frames in pixels.
        width: their width in pixels.
        segments: the segments in order.
        problem: why the file cannot be processed; it then has no segments.
        tag: its entity tag in an object store.
    """

    key: _FileKey
    name: _Name
    path: str
    output: _Name
    bytes: _Count
    mtime_ns: int
    fingerprint: str
    seconds: float = 0.0
    height: _Extent = 0
    width: _Extent = 0
    segments: tuple[PlannedSegment, ...] = ()
    problem: str = ""
    tag: str = ""

    def __post_init__(self) -> None:
        if self.output != result_name(self.name):
            raise ValueError("output: must be the name of the recording")
        if not self.problem and not self.key:
            raise ValueError("key: is missing")

    @property
    def identity(self) -> Identity:
        """Identity of the file when it was planned."""
        return Identity(self.bytes, self.mtime_ns, self.fingerprint, self.tag)

    @property
    def frames(self) -> int:
        """Expected frames."""
        return sum(segment.frames for segment in self.segments)


def file_key(name: str, identity: Identity) -> str:
    """Key of a recording."""
    tag = [identity.tag] if identity.tag else []
    return _digest([name, identity.bytes, identity.mtime_ns, identity.fingerprint, *tag])[:24]


def segment_key(file: str, span: Span, settings: Settings) -> str:
    """Key of a segment: the recording, the range, the model, the options and the version."""
    return _digest([file, span.start, span.end, msgspec.to_builtins(settings)])[:24]


class PlanWriter:
    """Encodes a plan line by line, so that a large one needs no memory; the last line is a checksum."""

    def __init__(self, settings: Settings, source: str) -> None:
        self._digest = hashlib.sha256()
        self._rows = 0
        head = {"format": FORMAT, "job": settings.job, "source": source}
        self._head = {**head, "settings": msgspec.to_builtins(settings)}

    def lines(self, files: Iterable[PlannedFile]) -> Iterator[bytes]:
        """The lines of the plan."""
        yield self._line(json.dumps(self._head).encode())
        for file in files:
            self._rows += 1
            yield self._line(msgspec.json.encode(file))
        yield json.dumps({"files": self._rows, "sha256": self._digest.hexdigest()}).encode() + b"\n"

    def _line(self, text: bytes) -> bytes:
        self._digest.update(text + b"\n")
        return text + b"\n"


class _Foot(msgspec.Struct):
    files: int
    sha256: str


class _Head(msgspec.Struct):
    format: int
    job: str
    source: str
    settings: Settings


class Plan:
    """A plan that was written; opening it verifies the checksum.

    Args:
        path: its file.
        address: its name in the storage, if ``path`` is a copy.

    Attributes:
        settings: settings of the job.
        source: the source as it was given.
        files: number of recordings.

    Raises:
        UserError: if it cannot be read, is of another version, or was changed.
    """

    def __init__(self, path: Path, address: str = "") -> None:
        self.path, self._address = path, address or str(path)
        digest = hashlib.sha256()
        previous: bytes | None = None
        head: bytes | None = None
        try:
            with path.open("rb") as file:
                for line in file:
                    if previous is not None:
                        digest.update(previous)
                        if head is None:
                            head = previous
                        else:
                            decode_json(previous, PlannedFile)
                    previous = line
            foot = decode_json(previous or b"", _Foot)
            read = decode_json(head or b"", _Head)
        except OSError as error:
            raise UserError(f"{self._address}: cannot be read: {error.strerror or error}") from error
        except (DamagedError, UsageError) as error:
            raise self._changed() from error
        if foot.sha256 != digest.hexdigest():
            raise self._changed()
        if read.format != FORMAT:
            raise UserError(f"{self._address}: a plan of format {read.format}, this version reads {FORMAT}")
        self.settings, self.source, self.files = read.settings, read.source, foot.files

    def __iter__(self) -> Iterator[PlannedFile]:
        """The recordings in the order of their names; read one by one."""
        with self.path.open("rb") as file:
            next(file)
            for _, line in zip(range(self.files), file, strict=False):
                yield decode_json(line, PlannedFile)

    def _changed(self) -> UserError:
        return UserError(
            f"{self._address}: the plan was changed or is incomplete; remove this file and run the command "
            "again, finished segments are kept"
        )


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
