"""A file has its name only when it is whole: until then it is a hidden one beside it."""

import os
from contextlib import suppress
from pathlib import Path

from granet.errors import UserError


def check_file(path: Path, inputs: tuple[Path, ...], *, overwrite: bool) -> None:
    """Refuses an output file before anything is computed for it.

    Args:
        path: the output.
        inputs: files that are read.
        overwrite: whether a file that exists may be replaced.

    Raises:
        UserError: if its directory is missing or not writable, if it is a directory or an input, or
            if it exists.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a directory")
    check_parent(path)
    if path.exists() and any(item.exists() and path.samefile(item) for item in inputs):
        raise UserError(f"{path}: is the input; write to another file")
    if path.exists() and not overwrite:
        raise UserError(f"{path}: exists; add --overwrite to replace it")


def check_parent(path: Path) -> None:
    """Refuses an output whose directory is missing or not writable.

    Raises:
        UserError: see above.
    """
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no directory {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UserError(f"{path}: the directory {path.parent} is not writable")


class PartFile:
    """``.NAME.part.SUFFIX`` beside ``NAME.SUFFIX``, created empty.

    What a killed run left under that name is kept: it may be a recording. A number makes ours another.

    Args:
        final: the name it shall have.
        visible: without the dot in front, for what is worth finding after a kill.
        overwrite: whether a file that has that name by then may be replaced.

    Attributes:
        path: of the unfinished file.
    """

    def __init__(self, final: Path, *, visible: bool = False, overwrite: bool = True) -> None:
        self._final, self._overwrite = final, overwrite
        self._kept = False
        dot = "" if visible else "."
        number = ""
        while True:
            self.path = final.with_name(f"{dot}{final.stem}.part{number}{final.suffix}")
            try:
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            except FileExistsError:
                number = str(int(number or 1) + 1)
                continue
            except OSError as error:
                raise UserError(f"{final}: cannot be written: {error.strerror}") from error
            return

    def commit(self) -> None:
        """Gives the file its name.

        Raises:
            UserError: if that fails, or if another program made a file of that name meanwhile; then both
                are kept.
        """
        if not self._overwrite and self._final.exists():
            self._kept = True
            raise UserError(f"{self._final}: was made by another program meanwhile; ours is {self.path}")
        try:
            self.path.replace(self._final)
        except OSError as error:
            raise UserError(f"{self._final}: cannot be written: {error.strerror}") from error

    def discard(self) -> None:
        """Removes the file, if it is there and has not been told of as kept."""
        if self._kept:
            return
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
