"""Pictures: one file, the pictures of a directory, or the matches of a pattern."""

import re
from collections.abc import Iterator
from pathlib import Path

from granet.app.console import Say
from granet.data.image_files import PICTURE_SUFFIXES, is_picture_file, natural_order
from granet.errors import UserError
from runtime.media.frame import Colour, Frame
from runtime.sources.base import Source, StreamInfo
from runtime.sources.pictures.read import read_picture

_WILDCARD = re.compile(r"[*?\[]")


def has_wildcard(text: str) -> bool:
    """Whether ``text`` is a pattern (``*``, ``?`` or ``[...]``)."""
    return _WILDCARD.search(text) is not None


class PictureSource(Source):
    """The pictures, in natural order of their names; other files are ignored.

    Args:
        text: a picture, a directory (without subdirectories) or a pattern (``**`` recurses).
        say: called with a note about each unexpected property of a picture.

    Raises:
        UserError: if there is no picture.
    """

    def __init__(self, text: str, say: Say) -> None:
        self._say = say
        self._root, self._paths = _find(text)
        names = tuple(path.relative_to(self._root).as_posix() for path in self._paths)
        self.info = StreamInfo(
            name=text, kind="pictures", frames=len(names), names=names, paths=tuple(self._paths)
        )

    def frames(self, colour: Colour) -> Iterator[Frame]:
        """The pictures; see :meth:`Source.frames`."""
        for index, (path, name) in enumerate(zip(self._paths, self.info.names, strict=True)):
            yield read_picture(path, colour, index, name, self._say)


def _find(text: str) -> tuple[Path, list[Path]]:
    """(base directory of the names, paths of the pictures in order)."""
    path = Path(text)
    if path.is_dir():
        root, found = path, [item for item in path.iterdir() if is_picture_file(item)]
        missing = f"{text}: no pictures in this directory ({_endings()})"
    elif not path.exists() and has_wildcard(text):
        root = _root_of_pattern(path)
        pattern = path.relative_to(root).as_posix()
        found = [item for item in root.glob(pattern) if is_picture_file(item)]
        missing = f"{text}: matches no pictures ({_endings()})"
    else:
        return path.parent, [path]
    if not found:
        raise UserError(missing)
    return root, sorted(found, key=lambda item: natural_order(item.relative_to(root).as_posix()))


def _root_of_pattern(pattern: Path) -> Path:
    """The path up to the first part with a wildcard."""
    root = Path(pattern.anchor)
    for part in pattern.parts[len(root.parts) : -1]:
        if has_wildcard(part):
            break
        root /= part
    return root


def _endings() -> str:
    return " ".join(sorted(PICTURE_SUFFIXES))
