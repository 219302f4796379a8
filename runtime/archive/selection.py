"""Which files of a source are recordings, and the names of their results."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from runtime.archive.storage.place import StoredFile, stored
from runtime.sinks.video.containers import CONTAINERS

SUFFIXES = (
    *CONTAINERS, ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob", ".flv", ".wmv", ".asf", ".3gp", ".ogv",
    ".h264", ".264", ".h265", ".hevc", ".mjpeg", ".dav",
)  # fmt: skip
"""Suffixes that count as recordings unless ``--ext`` says otherwise."""


@dataclass(frozen=True)
class Recording:
    """One input file.

    Attributes:
        path: the file, or its address in an object store.
        name: its path relative to the source, with slashes.
    """

    path: Path | str
    name: str

    @property
    def stored(self) -> StoredFile:
        """The file in its storage."""
        return stored(self.path)

    @property
    def resolved(self) -> StoredFile:
        """The file behind symbolic links, with an absolute path."""
        return stored(Path(os.path.realpath(self.path)) if isinstance(self.path, Path) else self.path)

    @property
    def output(self) -> str:
        """The path of its result relative to the destination."""
        return result_name(self.name)


@dataclass(frozen=True)
class Selection:
    """Which files of a source are recordings.

    Attributes:
        include: patterns for the relative name; a file must match one of them. Empty for all.
        exclude: patterns for the relative name; a file that matches one of them is left out.
        suffixes: accepted suffixes, in lower case with the dot.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = SUFFIXES

    def has_suffix(self, name: str) -> bool:
        """Whether a file of this name can be a recording."""
        return PurePosixPath(name).suffix.lower() in self.suffixes

    def accepts(self, name: str) -> bool:
        """Whether the file with this relative name is a recording of the archive."""
        if not self.has_suffix(name):
            return False
        if self.include and not matches(name, self.include):
            return False
        return not matches(name, self.exclude)


def result_name(name: str) -> str:
    """The path of the result of a recording, both relative to their roots.

    The suffix stays if a result can have it; otherwise ``.mkv`` is appended, which keeps ``a.ts`` and
    ``a.flv`` apart.
    """
    return name if PurePosixPath(name).suffix.lower() in CONTAINERS else f"{name}.mkv"


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a relative name, or its last part, matches one of the patterns."""
    return any(fnmatch(name, each) or fnmatch(PurePosixPath(name).name, each) for each in patterns)


def is_hidden(name: str) -> bool:
    """Whether a relative name, or a directory in it, begins with a dot."""
    return any(part.startswith(".") for part in PurePosixPath(name).parts)
