"""The storage that an archive needs; keys are paths relative to its root, with slashes."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from granet.errors import UserError
from runtime.sources.url import Address

A = TypeVar("A")
B = TypeVar("B")

ENDS = 64 * 1024
"""Bytes of the head and of the tail of a file that its fingerprint covers."""


class StorageAwayError(UserError):
    """A storage does not answer. That passes, so it does not count as a failure of the work."""


def is_away(error: BaseException) -> bool:
    """Whether an error, or one that caused it, says that a storage does not answer."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, StorageAwayError):
        cause = cause.__cause__
    return cause is not None


@dataclass(frozen=True)
class Identity:
    """Identifies the content of a file without reading all of it.

    Attributes:
        bytes: its size.
        mtime_ns: time of its last change.
        fingerprint: SHA-256 over its size, its head and its tail.
        tag: the entity tag of an object store; empty for a local file.
    """

    bytes: int
    mtime_ns: int
    fingerprint: str
    tag: str = ""


@dataclass(frozen=True)
class Entry:
    """A file in a storage.

    Attributes:
        key: its key.
        bytes: its size.
        modified: time of its last change in seconds since the epoch, by the clock of the storage.
    """

    key: str
    bytes: int
    modified: float


class Draft(Protocol):
    """A result that has no name yet. Its file is local, and empty at first."""

    path: Path

    def commit(self) -> None:
        """Gives the complete result its name.

        Raises:
            UserError: if that fails, or the name is taken and may not be replaced.
        """

    def discard(self) -> None:
        """Removes what has no name; does nothing after :meth:`commit`."""


class Attempt(Protocol):
    """The video of an attempt at a segment, written locally and removed at the end unless it is kept."""

    path: Path

    def store(self) -> None:
        """Makes the complete video durable in the storage, under the name of the attempt.

        Raises:
            UserError: if that fails.
        """

    def keep(self) -> None:
        """Leaves it in the storage."""


class Storage(ABC):
    """A storage; it can be pickled, and holds no credentials."""

    @abstractmethod
    def address(self, key: str = "") -> str:
        """The path or the address of a key, for messages and for the plan."""

    @abstractmethod
    def absolute(self) -> "Storage":
        """The same storage for processes in other directories and on other machines."""

    @abstractmethod
    def prepare(self, folders: Iterable[str]) -> None:
        """Creates folders, and checks that two writers of one key cannot both win.

        Raises:
            UserError: if it cannot be written, or does not promise that.
        """

    @abstractmethod
    def entry(self, key: str) -> Entry | None:
        """The file under a key; ``None`` if there is none."""

    @abstractmethod
    def entries(self, folder: str, prefix: str = "") -> Iterator[Entry]:
        """All files below a folder whose names in it begin with ``prefix``; none if it does not exist."""

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """Names of the files and folders directly in a folder, sorted; none if it is not a folder."""

    @abstractmethod
    def identity(self, key: str) -> Identity:
        """Reads the identity of a file.

        Raises:
            UserError: if it is missing or cannot be read.
        """

    @abstractmethod
    def read(self, key: str) -> bytes | None:
        """The content of a small file; ``None`` if there is none.

        Raises:
            UserError: if it cannot be read.
        """

    @abstractmethod
    def copy_to(self, key: str, path: Path) -> None:
        """Copies a file to a local path.

        Raises:
            UserError: if that fails.
        """

    @abstractmethod
    def fetched(self, key: str) -> AbstractContextManager[Path]:
        """A local file with the content of a key, while the context is open.

        Raises:
            UserError: if it is missing or cannot be read.
        """

    @abstractmethod
    def video(self, key: str) -> AbstractContextManager[Address]:
        """A video as FFmpeg opens it, any number of times while the context is open.

        Raises:
            StorageAwayError: at the end, if a read failed and FFmpeg did not report it.
        """

    @abstractmethod
    def create(self, key: str, content: Iterable[bytes]) -> bool:
        """Writes a file unless it exists: of two writers exactly one succeeds.

        Returns:
            Whether the file is now this content; ``False`` if another one was there.

        Raises:
            UserError: if it cannot be written.
        """

    @abstractmethod
    def replace(self, key: str, content: bytes) -> None:
        """Writes a file, at once and whole.

        Raises:
            UserError: if it cannot be written.
        """

    @abstractmethod
    def remove(self, key: str) -> None:
        """Removes a file, if it exists."""

    @abstractmethod
    def attempt(self, key: str) -> AbstractContextManager[Attempt]:
        """A new attempt, whose video gets this key. While it grows, the entries that begin with it change."""

    @abstractmethod
    def draft(self, key: str, *, overwrite: bool) -> Draft:
        """A new result.

        Raises:
            UserError: if it cannot be written.
        """

    @abstractmethod
    def sweep(self, key: str) -> None:
        """Removes what killed runs left of a draft; one that is growing stays."""

    @abstractmethod
    def shows(self, key: str) -> bool:
        """Whether the storage is there, with or without this file: a mount point without it is empty."""

    @abstractmethod
    def has_folder(self, folder: str) -> bool:
        """Whether the storage is there with this folder."""

    @abstractmethod
    def has_room(self, folder: str, need: int) -> bool:
        """Whether a folder can be written, and ``need`` bytes fit."""

    @abstractmethod
    def holding(self, folder: str, job: str) -> AbstractContextManager[frozenset[str]]:
        """Marks a job as running while the context is open; yields the names of other running jobs."""

    @abstractmethod
    def is_held(self, folder: str, job: str) -> bool:
        """Whether a job is marked as running."""

    def map(self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """``function`` of each item, in order; a storage with slow answers asks for several at a time."""
        return map(function, items)


def fingerprint(size: int, head: bytes, tail: bytes) -> str:
    """SHA-256 over the size of a file, its first and its last :data:`ENDS` bytes."""
    return hashlib.sha256(str(size).encode() + head + tail).hexdigest()
