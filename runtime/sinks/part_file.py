"""Output checks, and growing output files that get their final name when complete."""

import os
from contextlib import suppress
from pathlib import Path

from granet.errors import UserError


def check_file(path: Path, inputs: tuple[Path, ...], *, overwrite: bool) -> None:
    """Checks an output file before any computation.

    Args:
        path: the output file.
        inputs: the input files.
        overwrite: whether an existing file may be replaced.

    Raises:
        UserError: if its directory is missing or not writable, if it is a directory or an input file, or
            if it exists and ``overwrite`` is ``False``.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a directory")
    check_parent(path)
    if path.exists() and any(item.exists() and path.samefile(item) for item in inputs):
        raise UserError(f"{path}: is the input; write to another file")
    if path.exists() and not overwrite:
        raise UserError(f"{path}: exists; add --overwrite to replace it")


def check_parent(path: Path) -> None:
    """Checks that the directory of an output exists and is writable.

    Raises:
        UserError: if it is missing or not writable.
    """
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no directory {path.parent}; create it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UserError(
            f"{path}: the directory {path.parent} is not writable; change its permissions or use another"
        )


class PartFile:
    """Unfinished file ``.NAME.part.SUFFIX`` beside ``NAME.SUFFIX``, created empty.

    A part file left by a killed run is kept, because it may be a recording; a new one then gets a number.

    Args:
        final: final path of the file.
        visible: omit the leading dot, so that a user finds the file after a kill.
        overwrite: whether a file at the final path may be replaced.

    Attributes:
        path: path of the unfinished file.
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
        """Renames the file to its final path.

        Raises:
            UserError: if that fails, or if another program has created the final file in the meantime;
                both files are then kept.
        """
        if not self._overwrite and self._final.exists():
            self._kept = True
            raise UserError(
                f"{self._final}: was created by another program meanwhile; the output is kept as {self.path}"
            )
        try:
            self.path.replace(self._final)
        except OSError as error:
            raise UserError(f"{self._final}: cannot be written: {error.strerror}") from error

    def discard(self) -> None:
        """Removes the file if it exists and :meth:`commit` has not reported it as kept."""
        if self._kept:
            return
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
