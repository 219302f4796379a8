"""Atomic files: a file has its name only when it is complete.

:func:`publish` gives every file of the project its name. :func:`write_atomically` is for content in memory;
for a file that grows while it is written see :class:`runtime.sinks.part_file.PartFile`.
"""

import os
import stat
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from granet.app.claim import part_names
from granet.errors import UserError

_BINARY = getattr(os, "O_BINARY", 0)
"""Without it Windows converts line ends."""


@dataclass(frozen=True)
class Destination:
    """The place of an output file.

    Attributes:
        path: the file behind symbolic links.
        mode: permissions of the file that is there, which a new one keeps; ``None`` if there is none.
    """

    path: Path
    mode: int | None


def destination_of(path: Path) -> Destination:
    """Finds the file that a name stands for.

    Raises:
        UserError: for a device, a pipe or a socket, which a file would replace, or if the file cannot be
            looked at.
    """
    try:
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        mode = target.stat().st_mode
    except FileNotFoundError:
        return Destination(target, None)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(f"{path}: is not a regular file; use another name")
    return Destination(target, stat.S_IMODE(mode))


def publish(part: Path, final: Path, *, overwrite: bool) -> None:
    """Gives a complete file its final name.

    Without ``overwrite`` the file system decides, not an earlier check: of two writers of one name exactly
    one succeeds.

    Args:
        part: the complete file, on the file system of ``final``.
        final: its name; not a symbolic link, see :func:`destination_of`.
        overwrite: whether an existing file is replaced.

    Raises:
        FileExistsError: if ``final`` exists and may not be replaced; ``part`` stays.
        OSError: if that fails for another reason; ``part`` stays.
    """
    if overwrite:
        part.replace(final)
        return
    try:
        os.link(part, final)
    except FileExistsError:
        raise
    except OSError:  # FAT, exFAT and some network file systems have no hard links
        _replace_reserved(part, final)
    else:
        part.unlink()


def _replace_reserved(part: Path, final: Path) -> None:
    """Reserves the name with an empty file, which only one writer can create, and replaces that file."""
    reserved = os.open(final, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        part.replace(final)
    except BaseException:
        with suppress(OSError):
            if os.path.samestat(os.fstat(reserved), final.stat()):
                final.unlink()
        raise
    finally:
        os.close(reserved)


def write_atomically(path: Path, content: bytes, *, overwrite: bool = True, private: bool = False) -> None:
    """Writes a temporary file beside ``path`` and gives it that name.

    A symbolic link stays, and the file that it points to is replaced. The new file has the permissions of the
    old one.

    Args:
        path: the file.
        content: its complete content.
        overwrite: whether an existing file is replaced.
        private: only this user may read and write the file; a symbolic link is not followed.

    Raises:
        UserError: if writing fails (no such directory, disk full, ...), or if the file exists and may not be
            replaced; the old file then stays.
    """
    try:
        place = Destination(path, 0o600) if private else destination_of(path)
        partial = place.path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
        try:
            _write(partial, content, place.mode)
            publish(partial, place.path, overwrite=overwrite)
        except FileExistsError:
            raise UserError(came_second(path, _keep(partial, place.path))) from None
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error


def came_second(path: Path, kept: Path) -> str:
    """The error if another program was the first to write ``path``."""
    return f"{path}: was created by another program meanwhile; the output is kept as {kept}"


def _keep(partial: Path, final: Path) -> Path:
    for path in part_names(final):
        with suppress(FileExistsError):
            publish(partial, path, overwrite=False)
            return path
    raise AssertionError("the names are endless")


def _write(path: Path, content: bytes, mode: int | None) -> None:
    first = 0o666 if mode is None else 0o600  # nobody else may read it before it has its permissions
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _BINARY, first), "wb") as file:
        file.write(content)
        file.flush()
        if mode is not None:
            path.chmod(mode)
        os.fsync(file.fileno())  # otherwise a power failure can leave an empty file under the name
