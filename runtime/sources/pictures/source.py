"""Pictures: one file, the pictures of a directory, or the matches of a pattern."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from granet.app.console import Say
from granet.app.input_file import PICTURE_BYTES, read_bounded
from granet.data.image_files import (
    PICTURE_SUFFIXES,
    is_picture,
    is_picture_file,
    is_visible_file,
    natural_order,
)
from granet.errors import UserError
from runtime.media.frame import Colour, Frame
from runtime.sources.base import Source, StreamInfo
from runtime.sources.pictures.heif import is_heif, require_heif
from runtime.sources.pictures.pages import pages_in
from runtime.sources.pictures.read import read_picture

_WILDCARD = re.compile(r"[*?\[]")


def has_wildcard(text: str) -> bool:
    """Whether ``text`` is a pattern (``*``, ``?`` or ``[...]``)."""
    return _WILDCARD.search(text) is not None


class PictureSource(Source):
    """The pictures, in natural order of their names; other files are ignored.

    A single TIFF, PBM, PGM or PPM gives all its pages; of a file among others only the first is read. One of
    several pictures that cannot be read or processed is told and left out, and :meth:`require_whole` then
    fails.

    Args:
        text: a picture, a directory (without subdirectories) or a pattern (``**`` recurses).
        say: called with a note about each unexpected property of a picture.
        strict: whether the first picture that cannot be read or processed is an error.

    Raises:
        UserError: if there is no picture.
    """

    def __init__(self, text: str, say: Say, *, strict: bool = False) -> None:
        self._say = say
        self.left_out: list[str] = []
        root, paths = _find(text)
        if any(map(is_heif, paths)):
            require_heif()
        names = [_name_of(path, root) for path in paths]
        self._items: list[tuple[Path, int | None]] = [(path, None) for path in paths]
        if len(paths) == 1 and paths[0] == Path(text) and (pages := _pages_of(paths[0])) > 1:
            self._items = [(paths[0], number) for number in range(pages)]
            names = [f"{paths[0].stem}-{number}{paths[0].suffix}" for number in range(1, pages + 1)]
        self._strict = strict or len(names) == 1
        self.info = StreamInfo(
            name=text, kind="pictures", frames=len(names), names=tuple(names), paths=tuple(paths)
        )

    def keep_every(self, step: int) -> None:
        """Leaves all but every ``step``th picture out of the source, before the first is read.

        They are counted by their names: one that cannot be read does not shift the others.
        """
        self._items = self._items[::step]
        names = self.info.names[::step]
        self.info = replace(self.info, frames=len(names), names=names)

    def frames(self, colour: Colour) -> Iterator[Frame]:
        """The pictures; see :meth:`Source.frames`.

        Raises:
            UserError: if none of them can be read, or in strict mode the first that cannot.
        """
        for index, ((path, number), name) in enumerate(zip(self._items, self.info.names, strict=True)):
            try:
                picture = read_picture(path, colour, index, name, self._say, number)
            except UserError as error:
                self._leave_out(name, error)
            else:
                yield picture

    def leave_out(self, frame: Frame, error: UserError) -> None:
        """See :meth:`Source.leave_out`."""
        assert frame.name is not None
        self._leave_out(frame.name, UserError(f"{frame.name}: {error}"))

    def _leave_out(self, name: str, error: UserError) -> None:
        if self._strict:
            raise error
        self.left_out.append(name)
        if len(self.left_out) == len(self.info.names):
            self.require_whole()
        self._say(f"left out: {error}")


def _name_of(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    # Nothing here writes HEIC. The whole name is kept: a phone may have saved a .jpg beside it.
    return f"{name}.png" if is_heif(path) else name


def _pages_of(path: Path) -> int:
    try:
        return pages_in(read_bounded(path, PICTURE_BYTES))
    except UserError:
        return 1  # read_picture reports it


def _is_input(path: Path) -> bool:
    """Whether a file of a directory is meant; a broken link is, and reading it then fails."""
    if path.is_symlink() and not path.exists():
        return is_picture(path) and not path.name.startswith(".")
    return is_picture_file(path) or (is_heif(path) and is_visible_file(path))


def _find(text: str) -> tuple[Path, list[Path]]:
    """(base directory of the names, paths of the pictures in order)."""
    path = Path(text)
    if path.is_dir():
        root, items = path, list(path.iterdir())
        files = [item for item in items if is_visible_file(item)]
        found = [item for item in items if _is_input(item)]
        videos = f"; for videos give one file, or run granet-archive {text} DST" if files else ""
        missing = f"{text}: no pictures in this directory ({_endings()}){videos}"
    elif not path.exists() and has_wildcard(text):
        root = root_of_pattern(path)
        pattern = path.relative_to(root).as_posix()
        found = [item for item in root.glob(pattern) if _is_input(item)]
        missing = f"{text}: matches no pictures ({_endings()})"
    else:
        return path.parent, [path]
    if not found:
        raise UserError(missing)
    return root, sorted(found, key=lambda item: natural_order(item.relative_to(root).as_posix()))


def root_of_pattern(pattern: Path) -> Path:
    """The path up to the first part with a wildcard."""
    root = Path(pattern.anchor)
    for part in pattern.parts[len(root.parts) : -1]:
        if has_wildcard(part):
            break
        root /= part
    return root


def _endings() -> str:
    return " ".join(sorted(PICTURE_SUFFIXES))
