"""An unfinished output ``NAME.part.EXT`` that belongs to one process.

While its process lives, the file is locked. Besides, it is marked as one that can be computed again: the next
run takes over what a killed run left, and touches no file of anyone else. The mark is an extended attribute;
on a file system that has none, old part files stay, and a new one gets a number.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_MARK = "user.granet.part"
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""The name may belong to anything: do not follow a link, do not wait for a pipe."""


class Claim:
    """An empty file or directory ``NAME.part.EXT``, held until :meth:`close`.

    If the name is taken by another program, by a running process or by a recording, it gets a number:
    ``NAME.part2.EXT``.

    Args:
        final: name of the finished output.
        directory: make a directory.
        mode: permissions before the umask.
        lasting: whether later runs must not take it over, because it cannot be computed again.

    Attributes:
        path: path of the unfinished output.

    Raises:
        OSError: if it cannot be created.
    """

    def __init__(
        self, final: Path, *, directory: bool = False, mode: int = 0o666, lasting: bool = False
    ) -> None:
        self._descriptor = -1
        for path in part_names(final):
            existed = os.path.lexists(path)
            if existed:
                _sweep(path, directory=directory)
            if self._descriptor < 0:
                with suppress(FileExistsError):
                    self._descriptor = _make(path, mode, directory=directory)
                    self.path = path
            elif not existed:
                break
        if not lasting:
            with suppress(OSError, AttributeError):
                os.setxattr(self._descriptor, _MARK, b"1")

    def in_place(self) -> bool:
        """Whether the output still has its name: it was not deleted, moved or replaced, nor its directory."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat(follow_symlinks=False))
        except OSError:
            return False

    def fate(self) -> str:
        """Why an output is not in its place, as a predicate: ``was deleted``."""
        try:
            if os.fstat(self._descriptor).st_nlink == 0:
                return "was deleted"
            found = Path(f"/proc/self/fd/{self._descriptor}").readlink()
            if os.path.samestat(os.fstat(self._descriptor), found.stat()):
                return f"was moved to {found}"
        except OSError:
            pass
        return "is no longer there"

    def settle(self, mode: int | None = None, *, durable: bool = True) -> None:
        """Prepares the output for its final name.

        Args:
            mode: permissions; ``None`` leaves them.
            durable: wait until the content is on the disk. Otherwise a power failure can leave an empty file
                under the final name.

        Raises:
            OSError: if that fails.
        """
        if mode is not None:
            os.fchmod(self._descriptor, mode)
        if durable:
            os.fsync(self._descriptor)

    def unmark(self) -> None:
        """Makes the output an ordinary one, which later runs keep. Call it after the output is published.

        A run that is killed between the two leaves a second name of the file, which the next run removes.
        """
        with suppress(OSError, AttributeError):
            os.removexattr(self._descriptor, _MARK)

    def remove(self) -> None:
        """Removes the output, unless something else has its name."""
        if self.in_place():
            _remove(self.path)

    def close(self) -> None:
        """Releases the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def sweep_parts(final: Path) -> None:
    """Removes the unfinished outputs that killed runs left beside an output, up to the first free name."""
    for path in part_names(final):
        if not os.path.lexists(path):
            return
        _sweep(path, directory=False)


def part_names(final: Path) -> Iterator[Path]:
    """``NAME.part.EXT``, ``NAME.part2.EXT``, ``NAME.part3.EXT`` ..."""
    yield final.with_name(f"{final.stem}.part{final.suffix}")
    for number in count(2):
        yield final.with_name(f"{final.stem}.part{number}{final.suffix}")


@contextmanager
def hold_directory(directory: Path) -> Iterator[None]:
    """Holds a directory for outputs with fixed names; where the file system has no locks, does nothing.

    Raises:
        BlockingIOError: if another process holds it.
    """
    descriptor = None if fcntl is None else os.open(directory, os.O_RDONLY)
    try:
        if descriptor is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise
            except OSError:
                pass
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _make(path: Path, mode: int, *, directory: bool) -> int:
    """A locked descriptor of a new output."""
    if directory:
        path.mkdir()
        descriptor = os.open(path, os.O_RDONLY)
    else:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
    _lock(descriptor)
    return descriptor


def _sweep(path: Path, *, directory: bool) -> None:
    """Removes the leftovers of an ended run, and nothing else."""
    try:
        descriptor = os.open(path, (os.O_RDONLY if directory else os.O_RDWR) | _FLAGS)
    except OSError:
        return
    try:
        status = os.fstat(descriptor)
        right = stat.S_ISDIR if directory else stat.S_ISREG
        ours = right(status.st_mode) and os.getxattr(descriptor, _MARK) and _lock(descriptor)
        # Its last owner may have published it before the lock was free.
        if ours and os.path.samestat(status, path.stat(follow_symlinks=False)):
            _remove(path)
    except (OSError, AttributeError):  # no mark, or no extended attributes
        return
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
