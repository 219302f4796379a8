"""A directory as a storage."""

import errno
import fcntl
import glob
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from granet.app.claim import sweep_parts
from granet.app.files import destination_of, publish, write_atomically
from granet.app.input_file import LIST_BYTES, open_regular, read_bounded, require_regular
from granet.errors import UserError
from runtime.archive.storage.base import ENDS, Draft, Entry, Identity, Storage, fingerprint
from runtime.sinks.part_file import PartFile
from runtime.sources.url import Address
from runtime.sources.video.address import address_of


@dataclass(frozen=True)
class LocalStorage(Storage):
    """A directory. Hard links decide which of two writers is first.

    Attributes:
        root: the directory.
    """

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def address(self, key: str = "") -> str:
        """See :meth:`Storage.address`."""
        return str(self.path(key))

    def absolute(self) -> "LocalStorage":
        """See :meth:`Storage.absolute`."""
        return LocalStorage(Path(os.path.realpath(self.root)))

    def path(self, key: str) -> Path:
        """The path of a key."""
        return self.root / key

    def prepare(self, folders: Iterable[str]) -> None:
        """See :meth:`Storage.prepare`."""
        path = self.root
        try:
            for path in map(self.path, folders):
                path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{path}: cannot be created: {error.strerror or error}") from error

    def entry(self, key: str) -> Entry | None:
        """See :meth:`Storage.entry`."""
        try:
            status = self.path(key).stat()
        except OSError:
            return None
        return Entry(key, status.st_size, status.st_mtime)

    def entries(self, folder: str, prefix: str = "") -> Iterator[Entry]:
        """See :meth:`Storage.entries`."""
        for path in sorted(self.path(folder).glob(f"{prefix}*")):
            key = path.relative_to(self.root).as_posix()
            if path.is_dir():
                yield from self.entries(key)
            elif (entry := self.entry(key)) is not None:  # it may just have been removed
                yield entry

    def names(self, folder: str) -> list[str]:
        """See :meth:`Storage.names`."""
        try:
            return sorted(path.name for path in self.path(folder).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise UserError(f"{self.path(folder)}: cannot be read: {error.strerror or error}") from error

    def identity(self, key: str) -> Identity:
        """See :meth:`Storage.identity`."""
        path = self.path(key)
        try:
            with open_regular(path) as file:
                status = os.fstat(file.fileno())
                head = file.read(ENDS)
                file.seek(max(0, status.st_size - ENDS))
                tail = file.read(ENDS)
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
        return Identity(status.st_size, status.st_mtime_ns, fingerprint(status.st_size, head, tail))

    def read(self, key: str) -> bytes | None:
        """See :meth:`Storage.read`."""
        try:
            return read_bounded(self.path(key), LIST_BYTES)
        except UserError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    def copy_to(self, key: str, path: Path) -> None:
        """See :meth:`Storage.copy_to`."""
        require_regular(self.path(key))
        try:
            shutil.copyfile(self.path(key), path)
        except OSError as error:
            raise UserError(f"{self.path(key)}: cannot be copied: {error.strerror or error}") from error

    @contextmanager
    def fetched(self, key: str) -> Iterator[Path]:
        """See :meth:`Storage.fetched`; the file itself."""
        path = self.path(key)
        require_regular(path)
        if not path.is_file():
            raise UserError(f"{path}: cannot be read: {os.strerror(errno.ENOENT)}")
        yield path

    @contextmanager
    def video(self, key: str) -> Iterator[Address]:
        """See :meth:`Storage.video`.

        Raises:
            UserError: if it is not a file with content.
        """
        yield address_of(str(self.path(key)))

    def create(self, key: str, content: Iterable[bytes]) -> bool:
        """See :meth:`Storage.create`; it creates a folder, but not the one around that."""
        path = self.path(key)
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
        return publish_once(path, content)

    def replace(self, key: str, content: bytes) -> None:
        """See :meth:`Storage.replace`."""
        write_atomically(self.path(key), content)

    def remove(self, key: str) -> None:
        """See :meth:`Storage.remove`."""
        with suppress(OSError):
            self.path(key).unlink()

    @contextmanager
    def attempt(self, key: str) -> Iterator["LocalAttempt"]:
        """See :meth:`Storage.attempt`; it grows in its place.

        Raises:
            OSError: if the job's folder is gone; a new one, perhaps below a mount point, would lose the job.
        """
        path = self.path(key)
        path.parent.mkdir(exist_ok=True)
        attempt = LocalAttempt(path)
        try:
            yield attempt
        finally:
            unpublished = [*path.parent.glob(f"{glob.escape(path.stem)}.part*")]
            for left in unpublished if attempt.kept else [path, *unpublished]:
                with suppress(OSError):
                    left.unlink(missing_ok=True)

    def draft(self, key: str, *, overwrite: bool) -> Draft:
        """See :meth:`Storage.draft`; it grows beside its place."""
        path = self.path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{path.parent}: cannot be created: {error.strerror or error}") from error
        return PartFile(path, overwrite=overwrite)

    def sweep(self, key: str) -> None:
        """See :meth:`Storage.sweep`."""
        with suppress(UserError):  # a place that no longer takes a result
            sweep_parts(destination_of(self.path(key)).path)

    def shows(self, key: str) -> bool:
        """See :meth:`Storage.shows`."""
        path = self.path(key)
        try:
            return path.exists() or any(path.parent.iterdir())
        except OSError:
            return False

    def has_folder(self, folder: str) -> bool:
        """See :meth:`Storage.has_folder`."""
        try:
            return self.path(folder).is_dir()
        except OSError:  # a mount whose server is gone
            return False

    def has_room(self, folder: str, need: int) -> bool:
        """See :meth:`Storage.has_room`."""
        probe = self.path(folder) / ".probe"
        try:
            probe.write_bytes(b"x")
            probe.unlink()
            return shutil.disk_usage(self.path(folder)).free >= need
        except OSError:
            return False

    @contextmanager
    def holding(self, folder: str, job: str) -> Iterator[frozenset[str]]:
        """See :meth:`Storage.holding`; with file locks, which end with their process."""
        root = self.path(folder)
        with ExitStack() as held:
            try:
                with _opened(root / "lock", "ab") as gate:
                    fcntl.flock(gate, fcntl.LOCK_EX)  # one run at a time looks for others
                    own = held.enter_context(_opened(root / f"{job}.lock", "ab"))
                    fcntl.flock(own, fcntl.LOCK_SH)
                    names = [path.stem for path in root.glob("*.lock") if path.stem != job]
                    others = frozenset(name for name in names if self.is_held(folder, name))
            except OSError as error:
                raise UserError(f"{root}: cannot be written: {error.strerror or error}") from error
            yield others

    def is_held(self, folder: str, job: str) -> bool:
        """See :meth:`Storage.is_held`."""
        try:
            with _opened(self.path(folder) / f"{job}.lock", "rb") as own:
                fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # no run has begun here
            return False
        return False


@dataclass
class LocalAttempt:
    """See :class:`runtime.archive.storage.base.Attempt`.

    Attributes:
        path: the video.
        kept: whether it stays.
    """

    path: Path
    kept: bool = False

    def store(self) -> None:
        """Writes it through to the disk."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror or error}") from error

    def keep(self) -> None:
        """Leaves it where it is."""
        self.kept = True


def _opened(path: Path, mode: str) -> IO[bytes]:
    """A file to lock; a named pipe in its place would be waited for.

    Raises:
        UserError: if it is no regular file.
        OSError: if it cannot be opened.
    """
    require_regular(path)
    return cast("IO[bytes]", path.open(mode))


def publish_once(path: Path, lines: Iterable[bytes]) -> bool:
    """Writes a file under a temporary name, syncs it and gives it the name ``path``; the first wins.

    Returns:
        Whether ``path`` is now this content; ``False`` if it existed.

    Raises:
        UserError: if the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        with partial.open("wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        publish(partial, path, overwrite=False)
    except FileExistsError:
        return False
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return True
