"""Output checks, and growing output files that get their final name when complete."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from granet.app.claim import Claim
from granet.app.files import came_second, destination_of, publish
from granet.errors import UserError


def check_file(path: Path, inputs: tuple[Path, ...], *, overwrite: bool) -> None:
    """Checks an output file before any computation.

    Args:
        path: the output file.
        inputs: the input files.
        overwrite: whether an existing file may be replaced.

    Raises:
        UserError: if its directory is missing or takes no file, if it is a directory or an input file, or
            if it exists and ``overwrite`` is ``False``, or if it is a device or a pipe.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a directory")
    check_parent(path)
    place = destination_of(path)
    if place.path != path:
        check_parent(place.path)
    if path.exists() and any(item.exists() and path.samefile(item) for item in inputs):
        raise UserError(f"{path}: is the input; write to another file")
    if place.mode is not None and not overwrite:
        raise UserError(f"{path}: exists; add --overwrite to replace it")


def check_parent(path: Path) -> None:
    """Checks that the directory of an output exists and takes a file, by creating one without a name.

    Permissions alone do not tell: a file system may be read-only or hold no files, as /proc.

    Raises:
        UserError: if it is missing or takes no file.
    """
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no directory {path.parent}; create it first")
    try:
        TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written: the directory {path.parent} takes no file ({error.strerror}): "
            "change its permissions or use another"
        ) from error


class OutputGoneError(UserError):
    """An unfinished output was deleted, moved or replaced, or its directory was."""


class PartFile:
    """Unfinished file ``NAME.part.SUFFIX`` beside ``NAME.SUFFIX``, created empty.

    A later run with the same output removes one that a killed run left, unless it is a recording; see
    :class:`granet.app.claim.Claim`. If ``NAME.SUFFIX`` is a symbolic link, the part is beside its target.

    Args:
        final: final path of the file.
        overwrite: whether a file at the final path may be replaced; the new one has its permissions.
        recording: the file is of a live source: it cannot be computed again, and :meth:`commit` does not wait
            for the disk.

    Attributes:
        path: path of the unfinished file.

    Raises:
        UserError: if it cannot be created.
    """

    def __init__(self, final: Path, *, overwrite: bool = True, recording: bool = False) -> None:
        self._final, self._overwrite, self._recording = final, overwrite, recording
        self._kept = False
        self._place = destination_of(final)
        mode = 0o666 if self._place.mode is None else self._place.mode | 0o600
        try:
            self._claim = Claim(self._place.path.with_name(final.name), mode=mode, lasting=recording)
        except OSError as error:
            raise UserError(f"{final}: cannot be written: {error.strerror}") from error
        self.path = self._claim.path

    def write(self, content: bytes) -> None:
        """Writes content that is in memory.

        Raises:
            UserError: if that fails.
        """
        try:
            self.path.write_bytes(content)
        except OSError as error:
            raise UserError(f"{self._final}: cannot be written: {error.strerror or error}") from error

    def check(self) -> None:
        """Checks that the file still has its name.

        Raises:
            OutputGoneError: if it was deleted, moved or replaced.
        """
        if not self._claim.in_place():
            fate = self._claim.fate()
            self.keep()
            raise OutputGoneError(f"{self.path}: {fate}")

    def has_content(self) -> bool:
        """Whether the file is in its place and not empty."""
        return self._claim.in_place() and self.path.stat().st_size > 0

    def commit(self) -> None:
        """Gives the file its final name.

        Raises:
            UserError: if that fails, or if another program has created the final file in the meantime;
                both files are then kept.
        """
        self.check()
        try:
            self._claim.settle(self._place.mode, durable=not self._recording)
            publish(self.path, self._place.path, overwrite=self._overwrite)
        except FileExistsError:
            self._claim.unmark()
            self.keep()
            raise UserError(came_second(self._final, self.path)) from None
        except OSError as error:
            self._claim.unmark()
            self.keep()
            raise UserError(
                f"{self._final}: cannot be written: {error.strerror}; the output is kept as {self.path}"
            ) from error
        self._claim.unmark()
        self._claim.close()

    def keep(self) -> None:
        """Ends without the final name; :meth:`discard` then does nothing."""
        self._kept = True
        self._claim.close()

    def discard(self) -> None:
        """Removes the file, unless it was published or kept."""
        if not self._kept:
            with suppress(OSError):
                self._claim.remove()
            self._claim.close()
