"""Lists of recordings: one path per line, relative to the list; ``#`` begins a comment."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from granet.app.console import Say
from granet.app.outside_text import shown
from granet.errors import UserError
from runtime.archive.job_folder import FOLDER
from runtime.archive.selection import Recording, Selection

LISTS = (".txt", ".lst")
"""Suffixes of list files."""


def entries_of(text: str) -> Iterator[tuple[int, str]]:
    """Number and content of each line that names a file."""
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if entry and not entry.startswith("#"):
            yield number, entry


def not_utf_8(source: str, error: UnicodeDecodeError) -> UserError:
    """The error for a list with a name that no other machine of the job could read."""
    line = error.object.count(b"\n", 0, error.start) + 1
    return UserError(f"{source}: line {line}: is not valid UTF-8; rename the file and write the list again")


def chosen(source: str, listed: Iterable[Recording], selection: Selection, say: Say) -> Iterator[Recording]:
    """The recordings of a list, each once; hidden ones too, because the user names them.

    Args:
        source: the list.
        listed: the files that it names.
        selection: which of them count.
        say: called with a line about those that are left out though no option leaves them out.
    """
    seen: set[str] = set()
    repeated: list[str] = []
    others: list[str] = []
    for each in listed:
        if each.name in seen:
            repeated.append(each.name)
        elif not selection.has_suffix(each.name) or FOLDER in PurePosixPath(each.name).parts:
            others.append(each.name)
        elif selection.accepts(each.name):
            yield each
        seen.add(each.name)
    if repeated:
        names = first_of([*dict.fromkeys(repeated)])
        say(f"{source}: names these more than once; each is processed once: {names}")
    if others:
        say(
            f"{source}: left out, since they are no recordings: {first_of(others)}; --ext adds other suffixes"
        )


def first_of(found: Sequence[object]) -> str:
    """The first of several files, and how many more there are."""
    rest = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{shown(str(found[0]))}{rest}"
