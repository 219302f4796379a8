"""Find the recordings below an address of an object store."""

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from granet.app.console import Say
from granet.app.outside_text import UTF_8
from granet.errors import UserError
from runtime.archive.list_file import LISTS, chosen, entries_of, not_utf_8
from runtime.archive.selection import Recording, Selection, is_hidden
from runtime.archive.storage.place import storage_at, stored
from runtime.sources.pictures.source import has_wildcard


def find_remote(source: str, selection: Selection, say: Say) -> Iterator[Recording]:
    """The recordings of a source; see :func:`runtime.archive.inputs.find_recordings`.

    Args:
        source: address of a folder, a list file, one recording, or a pattern, in which ``**`` stands for any
            number of folders.
        selection: which files count.
        say: called with a line about files of a list that are left out.

    Raises:
        UserError: if the source does not exist, or a listed file is missing.
    """
    storage_at(source)  # refuses what is not an address of a store
    if not source.endswith("/") and source.count("/") > 2 and stored(source).exists():
        folder, _, name = source.rpartition("/")
        if PurePosixPath(name).suffix.lower() not in LISTS:
            return (each for each in _recordings(folder, [name]) if selection.accepts(name))
        return chosen(source, _recordings(*_rooted(folder, list(_listed(source)))), selection, say)
    root = root_of_address(source)
    names = [entry.key for entry in storage_at(root).entries("")]
    if not names:
        raise UserError(f"{source}: no such object or folder, or nothing is in it")
    pattern = None if root == source.rstrip("/") else source[len(root) + 1 :].split("/")
    return _recordings(
        root,
        (
            name
            for name in names
            if not is_hidden(name)
            and selection.accepts(name)
            and (pattern is None or _fits(name.split("/"), pattern))
        ),
    )


def _recordings(root: str, names: Iterable[str]) -> Iterator[Recording]:
    return (Recording(f"{root}/{name}", name) for name in names)


def _rooted(folder: str, names: Sequence[str]) -> tuple[str, Iterable[str]]:
    """The deepest folder that holds all names, and the names relative to it."""
    common = posixpath.commonpath([posixpath.dirname(name) for name in names]) if names else ""
    return posixpath.join(folder, common).rstrip("/"), [
        posixpath.relpath(name, common or ".") for name in names
    ]


def root_of_address(source: str) -> str:
    """The address up to the first part with a wildcard, without a slash at the end."""
    steps = source.rstrip("/").split("/")
    wild = [place for place, step in enumerate(steps) if place > 2 and has_wildcard(step)]
    return "/".join(steps[: wild[0]] if wild else steps)


def _fits(steps: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a name match those of a pattern."""
    if not pattern:
        return not steps
    if pattern[0] == "**":
        return any(_fits(steps[start:], pattern[1:]) for start in range(len(steps) + 1))
    return bool(steps) and fnmatchcase(steps[0], pattern[0]) and _fits(steps[1:], pattern[1:])


def _listed(source: str) -> Iterator[str]:
    """The names in a list file, relative to its folder, in which they must lie."""
    file = stored(source)
    try:
        text = (file.storage.read(file.key) or b"").decode(UTF_8)
    except UnicodeDecodeError as error:
        raise not_utf_8(source, error) from error
    for number, entry in entries_of(text):
        if file.storage.entry(entry) is None:
            raise UserError(f"{source}: line {number}: there is no file {entry}")
        yield entry
