"""Find the recordings of an archive: a directory tree, a list file or a pattern."""

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from granet.app.console import Say
from granet.app.input_file import LIST_BYTES, other_kind, read_bounded
from granet.app.outside_text import UTF_8, shown
from granet.errors import UserError
from runtime.archive.list_file import LISTS, chosen, entries_of, first_of, not_utf_8
from runtime.archive.remote_inputs import find_remote, root_of_address
from runtime.archive.selection import Recording, Selection, is_hidden, matches
from runtime.archive.storage.local import LocalStorage
from runtime.archive.storage.place import is_address, storage_at
from runtime.sources.pictures.source import has_wildcard, root_of_pattern

_LONGEST = 255 - len(".part99")
"""Bytes of the name of a result: file systems have 255 for that of its unfinished file."""


def find_recordings(source: str, selection: Selection, say: Say = lambda message: None) -> list[Recording]:
    """The recordings of a source, sorted by name.

    Hidden files and directories do not count unless the user names them, nor does our own
    ``.granet-archive``.

    Args:
        source: a directory, a list file (:data:`runtime.archive.list_file.LISTS`), a pattern, one recording,
            or an address of one of these.
        selection: which files count.
        say: called with a line about files of a list that are left out.

    Raises:
        UserError: if the source does not exist, has no recording, or a listed file is missing.
    """
    find = find_remote if is_address(source) else _found_locally
    found = find(source, selection, say)
    recordings = sorted(found, key=lambda recording: recording.name)
    if not recordings:
        raise UserError(
            f"{source}: has no recordings ({' '.join(selection.suffixes)}); --ext adds other suffixes"
        )
    return recordings


def _found_locally(source: str, selection: Selection, say: Say) -> Iterator[Recording]:
    path = _local(source)
    if path.is_dir():
        return _accepted(path, _walked(path, selection, say), selection, say)
    if path.is_file() and path.suffix.lower() in LISTS:
        listed = list(_listed(path))
        root = _common_root(listed)
        return chosen(source, (_recording(each, root) for each in listed), selection, say)
    if path.is_file():
        return (each for each in [_recording(path, path.parent)] if selection.accepts(each.name))
    if has_wildcard(source):
        root = root_of_pattern(path)
        return _accepted(root, root.glob(path.relative_to(root).as_posix()), selection, say)
    if (kind := other_kind(path)) is not None:
        raise UserError(f"{source}: is {kind}: give a directory, a list of files, a pattern or a recording")
    raise UserError(f"{source}: no such file or directory")


def check_names(recordings: Sequence[Recording]) -> None:
    """Refuses results that would overwrite each other, also where case does not count, or too long ones.

    The key of an object may begin with a slash, or hold two in a row, and then names another file on a disk.

    Raises:
        UserError: names two of them, or one whose name is too long or is not a path relative to the source.
    """
    taken: dict[str, Recording] = {}
    for recording in recordings:
        if recording.name != shown(recording.name):
            raise UserError(
                f"{shown(recording.name)}: its name is not valid UTF-8; rename it, or leave it out with "
                "--exclude"
            )
        if not all(recording.name.split("/")):
            raise UserError(
                f"{recording.path}: a folder in its name is empty, so its result could lie outside the "
                "destination; rename it, or leave it out with --exclude"
            )
        if len(os.fsencode(recording.output.rpartition("/")[2])) > _LONGEST:
            raise UserError(
                f"{recording.name}: its name is too long for a result that is not finished: rename it to at "
                f"most {_LONGEST} bytes, or leave it out with --exclude"
            )
        same = unicodedata.normalize("NFC", recording.output).casefold()
        other = taken.setdefault(same, recording)
        if other is not recording:
            raise UserError(
                f"{other.name} and {recording.name} would have the same result on a file system that ignores "
                "case or accents' encoding; rename one of them or leave it out with --exclude"
            )


def check_apart(source: str, destination: str | Path, recordings: Sequence[Recording] = ()) -> None:
    """Refuses a destination inside the source, or around it: results would become inputs or replace them.

    Args:
        source: the source that the user named.
        destination: root of the results.
        recordings: found in the source.

    Raises:
        UserError: if one contains the other.
    """
    inner = _whole(str(destination))
    place = str(root_of_address(source)) if is_address(source) else str(_without_wildcards(_local(source)))
    outer = _whole(place)
    if _is_folder(place) and inner.startswith(outer):
        raise UserError(f"{destination}: lies inside the source {source}; choose another destination")
    if _is_folder(place) and outer.startswith(inner):
        raise UserError(f"{source}: lies inside the destination {destination}; choose another destination")
    for recording in recordings:
        if recording.resolved.address.startswith(inner):
            raise UserError(
                f"{recording.path}: lies inside the destination {destination}; choose another destination"
            )


def _whole(place: str) -> str:
    """The absolute address of a folder, with one slash at the end."""
    return storage_at(place).absolute().address().rstrip("/") + "/"


def _is_folder(place: str) -> bool:
    storage = storage_at(place)
    return not isinstance(storage, LocalStorage) or storage.root.is_dir()


def _without_wildcards(path: Path) -> Path:
    return root_of_pattern(path) if "**" in str(path) else path


def _local(source: str) -> Path:
    """The path of a source that is not in an object store; it may be written ``file:///srv/recordings``."""
    return Path(storage_at(source).address())


def _walked(root: Path, selection: Selection, say: Say) -> Iterator[Path]:
    """All files below a directory; links to other directories, which may lead in a circle, are told.

    Raises:
        UserError: if a directory cannot be listed: its recordings would be missing without a word.
    """

    def counts(folder: Path) -> bool:
        name = folder.relative_to(root).as_posix()
        return not is_hidden(name) and not matches(f"{name}/", selection.exclude)

    def refuse(error: OSError) -> None:
        if counts(folder := Path(error.filename)):
            raise UserError(
                f"{folder}: cannot be listed: {error.strerror}; make it readable, or leave it out "
                f"with --exclude '{folder.relative_to(root).as_posix()}/*'"
            ) from error

    links: list[Path] = []
    for place, folders, files in os.walk(root, onerror=refuse):
        inner = (Path(place, name) for name in folders)
        links += [each for each in inner if each.is_symlink() and counts(each)]
        yield from (Path(place, name) for name in files)
    if links:
        say(f"links to folders are not followed: {first_of(links)}")


def _accepted(root: Path, found: Iterable[Path], selection: Selection, say: Say) -> Iterator[Recording]:
    others: list[Path] = []
    for path in found:
        each = _recording(path, root)
        if is_hidden(each.name) or not selection.accepts(each.name):
            continue
        if path.is_file():
            yield each
        else:
            others.append(path)
    if others:
        say(f"left out, since they are no files or lead to none: {first_of(others)}")


def _recording(path: Path, root: Path) -> Recording:
    return Recording(path, path.relative_to(root).as_posix())


def _listed(path: Path) -> Iterator[Path]:
    try:
        text = read_bounded(path, LIST_BYTES).decode(UTF_8)
    except UnicodeDecodeError as error:
        raise not_utf_8(str(path), error) from error
    for number, entry in entries_of(text):
        listed = path.parent.absolute() / entry
        if not listed.is_file():
            raise UserError(f"{path}: line {number}: there is no file {entry}")
        if ".." in listed.parts:  # two names of one file
            listed = Path(os.path.realpath(listed.parent)) / listed.name
        yield listed


def _common_root(paths: Sequence[Path]) -> Path:
    if not paths:
        return Path()
    parents = [set(path.parents) for path in paths]
    common = set.intersection(*parents)
    return max(common, key=lambda parent: len(parent.parts), default=Path())
