"""A cache for machine code, in a directory that only this user can write.

Engines and the kernels that TensorRT-RTX compiles are executable code. A file that another user could have
written is not trusted: a cache that others can write lets them run code as this user.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from granet.app.files import write_atomically
from granet.app.input_file import read_bounded, read_opened
from granet.errors import UserError

_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_ROOT = 0


class ForeignFileError(Exception):
    """A file that another user may have written; the message says which file or directory, and why."""


def cache_directory() -> Path:
    """``$XDG_CACHE_HOME/granet-deploy`` (default: ``~/.cache/granet-deploy``); it need not exist."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "granet-deploy"


def read_private(path: Path, most: int) -> bytes:
    """Reads a file that only this user can have written.

    The file and its directory must belong to this user, and no other user may be able to write them. Each
    directory above must belong to this user or root, and nobody else may be able to rename what is in it.
    The file is judged after it is opened, and it is found through the directories that were judged: nobody
    can replace one of them in between.

    Args:
        path: the file; not a symbolic link. A directory above may be one.
        most: maximum size in bytes.

    Raises:
        ForeignFileError: if another user may have written it.
        UserError: if it is larger than ``most`` or not a regular file.
        OSError: if it does not exist or cannot be read.
    """
    if os.name != "posix":
        return read_bounded(path, most)
    directory = path.parent.resolve(strict=True)
    with ExitStack() as opened:
        within = -1
        for each in (*reversed(directory.parents), directory):
            within = _open_at(each, within, os.O_DIRECTORY, opened)
            _judge(each, os.fstat(within), is_own=each == directory)
        # Without O_NONBLOCK the opening of a named pipe waits for its writer.
        descriptor = _open_at(directory / path.name, within, os.O_NONBLOCK, opened)
        _judge(path, os.fstat(descriptor), is_own=True)
        return read_opened(descriptor, path, most)


def _open_at(path: Path, within: int, flags: int, opened: ExitStack) -> int:
    """Opens a file or a directory in an open directory, without following a link."""
    name = str(path) if within < 0 else path.name
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | flags, dir_fd=None if within < 0 else within)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ForeignFileError(f"{path} is a symbolic link") from error
        raise
    opened.callback(os.close, descriptor)
    return descriptor


def _judge(path: Path, status: os.stat_result, *, is_own: bool) -> None:
    """Checks the owner and the permissions of the file or directory ``path``."""
    if status.st_uid != os.geteuid() and (is_own or status.st_uid != _ROOT):
        raise ForeignFileError(f"{path} belongs to another user")
    # In a sticky directory such as /tmp only the owner of a file can rename or remove it.
    is_sticky = not is_own and bool(status.st_mode & stat.S_ISVTX)
    if status.st_mode & _OTHERS and not is_sticky:
        raise ForeignFileError(f"other users can write {path}")


def write_private(path: Path, content: bytes) -> None:
    """Atomically writes a file that only this user can read and write; creates its directory.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UserError(f"{path.parent}: cannot be created: {error.strerror or error}") from error
    write_atomically(path, content, private=True)


def beyond(directory: Path, pattern: str, kept: int) -> Iterator[Path]:
    """All matching files except the ``kept`` newest; other processes may use the directory meanwhile."""
    found = []
    for path in directory.glob(pattern):
        with suppress(OSError):  # removed meanwhile
            if not path.name.startswith("."):  # still being written
                found.append((path.stat().st_mtime_ns, path))
    yield from (path for _, path in sorted(found)[:-kept])
