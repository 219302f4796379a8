"""An object store through fsspec as a storage."""

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from granet.errors import UserError
from runtime.archive.storage.base import (
    ENDS,
    Draft,
    Entry,
    Identity,
    Storage,
    fingerprint,
)
from runtime.archive.storage.beat import every
from runtime.archive.storage.conditional import check_conditional, created
from runtime.archive.storage.drafts import RemoteAttempt, RemoteDraft, size_of
from runtime.archive.storage.errors import is_without_bucket, telling
from runtime.archive.storage.ranged_file import RangedFile
from runtime.archive.storage.schemes import filesystem
from runtime.archive.storage.scratch import has_scratch, scratch_folder
from runtime.sources.url import Address

A = TypeVar("A")
B = TypeVar("B")

_AT_ONCE = 8
"""Requests in flight, and recordings that are planned."""

_BEAT = 60.0
"""Seconds between two signs of life of an attempt."""

_LEASE = 20.0
"""Seconds after which the mark of a running job is renewed."""

_LEASE_ENDS = 90.0
"""Seconds after which a mark that was not renewed no longer counts."""


@dataclass(frozen=True)
class RemoteStorage(Storage):
    """A bucket, or a part of one. The store decides which of two writers is first: ``If-None-Match: *``.

    Attributes:
        root: its address, without a slash at the end.
    """

    root: str

    def __str__(self) -> str:
        return self.root

    def address(self, key: str = "") -> str:
        """See :meth:`Storage.address`."""
        return f"{self.root}/{key}" if key else self.root

    def absolute(self) -> "RemoteStorage":
        """See :meth:`Storage.absolute`."""
        return self

    def prepare(self, folders: Iterable[str]) -> None:
        """See :meth:`Storage.prepare`; a store has no folders."""
        for folder in list(folders)[:1]:
            check_conditional(self._filesystem, self._path(folder), self.root)

    def entry(self, key: str) -> Entry | None:
        """See :meth:`Storage.entry`."""
        info = self._info(key)
        return None if info is None else Entry(key, info["size"], _modified(info))

    def entries(self, folder: str, prefix: str = "") -> Iterator[Entry]:
        """See :meth:`Storage.entries`."""
        base = self._path(folder)
        with telling(self.address(folder)):
            try:
                found = self._filesystem.find(base, detail=True, prefix=prefix)
            except FileNotFoundError as error:
                if is_without_bucket(error):
                    raise
                found = {}
        for path, info in sorted(found.items()):
            name = path.lstrip("/").removeprefix(f"{base}/")
            if name and name != path.lstrip("/") and name.startswith(prefix):
                yield Entry(f"{folder}/{name}" if folder else name, info["size"], _modified(info))

    def names(self, folder: str) -> list[str]:
        """See :meth:`Storage.names`."""
        with telling(self.address(folder)):
            try:
                found = self._filesystem.ls(self._path(folder), detail=False)
            except FileNotFoundError as error:
                if is_without_bucket(error):
                    raise
                return []
        return sorted({path.rstrip("/").rpartition("/")[2] for path in found} - {""})

    def identity(self, key: str) -> Identity:
        """See :meth:`Storage.identity`; by ranged reads."""
        address, path = self.address(key), self._path(key)
        if (info := self._info(key)) is None:
            raise UserError(f"{address}: no such object")
        size = info["size"]
        with telling(address):
            head = self._filesystem.cat_file(path, start=0, end=min(size, ENDS)) if size else b""
            tail = self._filesystem.cat_file(path, start=size - ENDS, end=size) if size > ENDS else head
        tag = str(info.get("ETag") or info.get("etag") or "").strip('"')
        return Identity(size, round(_modified(info) * 1e9), fingerprint(size, head, tail), tag)

    def read(self, key: str) -> bytes | None:
        """See :meth:`Storage.read`."""
        with telling(self.address(key)):
            try:
                content: bytes = self._filesystem.cat_file(self._path(key))
            except FileNotFoundError as error:
                if is_without_bucket(error):
                    raise
                return None
        return content

    def copy_to(self, key: str, path: Path) -> None:
        """See :meth:`Storage.copy_to`."""
        with telling(self.address(key)):
            self._filesystem.get_file(self._path(key), str(path))

    @contextmanager
    def fetched(self, key: str) -> Iterator[Path]:
        """See :meth:`Storage.fetched`; a copy in the scratch folder."""
        with scratch_folder() as folder:
            path = folder / key.rpartition("/")[2]
            self.copy_to(key, path)
            yield path

    @contextmanager
    def video(self, key: str) -> Iterator[Address]:
        """See :meth:`Storage.video`; by ranged reads."""
        opened: list[RangedFile] = []

        def read() -> RangedFile:
            opened.append(RangedFile(self._filesystem, self._path(key), self.address(key)))
            return opened[-1]

        try:
            yield Address(self.address(key), {"protocol_whitelist": "crypto,data"}, opener=read)
        finally:
            for file in opened:
                file.close()
        for file in opened:
            if file.failed is not None:
                raise file.failed

    def create(self, key: str, content: Iterable[bytes]) -> bool:
        """See :meth:`Storage.create`."""
        data, path = b"".join(content), self._path(key)
        with telling(self.address(key)):
            if created(lambda: self._filesystem.pipe_file(path, data, mode="create")):
                return True
        # A request that is sent again because its answer was lost finds its own object.
        return self.read(key) == data

    def replace(self, key: str, content: bytes) -> None:
        """See :meth:`Storage.replace`."""
        with telling(self.address(key)):
            self._filesystem.pipe_file(self._path(key), content)

    def remove(self, key: str) -> None:
        """See :meth:`Storage.remove`."""
        with suppress(UserError), telling(self.address(key)), suppress(FileNotFoundError):
            self._filesystem.rm_file(self._path(key))

    @contextmanager
    def attempt(self, key: str) -> Iterator[RemoteAttempt]:
        """See :meth:`Storage.attempt`; it grows in the scratch folder, with a sign of life in the store."""
        alive = f"{key}.alive"
        seen = 0
        with scratch_folder() as folder:

            def beat() -> None:
                nonlocal seen
                if (now := size_of(folder)) != seen:
                    self.replace(alive, str(now).encode())
                    seen = now

            attempt = RemoteAttempt(folder / key.rpartition("/")[2], lambda path: self._upload(path, key))
            try:
                with every(_BEAT, beat):
                    yield attempt
            finally:
                if seen:
                    self.remove(alive)
                if not attempt.kept:
                    self.remove(key)

    def draft(self, key: str, *, overwrite: bool) -> Draft:
        """See :meth:`Storage.draft`; it grows in the scratch folder."""

        def upload(path: Path) -> None:
            if overwrite:
                self._upload(path, key)
            elif not self._create_from(path, key):
                raise UserError(f"{self.address(key)}: was created by another program meanwhile")

        return RemoteDraft(key.rpartition("/")[2], upload)

    def sweep(self, key: str) -> None:
        """See :meth:`Storage.sweep`; nothing: the next process removes the scratch folder of a killed one."""

    def shows(self, key: str) -> bool:
        """See :meth:`Storage.shows`."""
        try:
            self.entry(key)
        except UserError:
            return False
        return True

    def has_folder(self, folder: str) -> bool:
        """See :meth:`Storage.has_folder`."""
        try:
            return bool(self.names(folder))
        except UserError:
            return False

    def has_room(self, folder: str, need: int) -> bool:
        """See :meth:`Storage.has_room`; the room is that of the scratch folder."""
        probe = f"{folder}/probe-{uuid.uuid4().hex}"
        try:
            self.replace(probe, b"x")
        except UserError:
            return False
        self.remove(probe)
        return has_scratch(need)

    @contextmanager
    def holding(self, folder: str, job: str) -> Iterator[frozenset[str]]:
        """See :meth:`Storage.holding`; with objects that are renewed. One of a killed run counts for 90 s."""
        lease = f"{folder}/leases/{job}/{uuid.uuid4().hex}"

        def renew() -> None:
            self.replace(lease, b"")

        renew()
        try:
            own = self.entry(lease)
            now = 0.0 if own is None else own.modified
            with every(_LEASE, renew):
                yield frozenset(self._held(folder, now) - {job})
        finally:
            self.remove(lease)

    def is_held(self, folder: str, job: str) -> bool:
        """See :meth:`Storage.is_held`."""
        return job in self._held(folder, datetime.now().timestamp())

    def map(self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """See :meth:`Storage.map`."""
        waiting: deque[Future[B]] = deque()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * _AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    @property
    def _filesystem(self) -> Any:
        return filesystem(self.root.partition(":")[0])

    def _path(self, key: str) -> str:
        return self.address(key).partition("://")[2]

    def _info(self, key: str) -> dict[str, Any] | None:
        with telling(self.address(key)):
            try:
                info: dict[str, Any] = self._filesystem.info(self._path(key))
            except FileNotFoundError as error:
                if is_without_bucket(error):
                    raise
                return None
        return info if info["type"] == "file" else None

    def _held(self, folder: str, now: float) -> set[str]:
        leases = f"{folder}/leases"
        return {
            each.key.removeprefix(f"{leases}/").partition("/")[0]
            for each in self.entries(leases)
            if each.modified > now - _LEASE_ENDS
        }

    def _upload(self, path: Path, key: str) -> None:
        with telling(self.address(key)):
            self._filesystem.put_file(str(path), self._path(key))

    def _create_from(self, path: Path, key: str) -> bool:
        with telling(self.address(key)):
            if created(lambda: self._filesystem.put_file(str(path), self._path(key), mode="create")):
                return True
        return self._is_same(path, key)

    def _is_same(self, path: Path, key: str) -> bool:
        """Whether the object is this file: a request that is sent again finds its own object."""
        with path.open("rb") as file:
            size = path.stat().st_size
            head = file.read(ENDS)
            file.seek(max(0, size - ENDS))
            return self.identity(key).fingerprint == fingerprint(size, head, file.read(ENDS))


def _modified(info: dict[str, Any]) -> float:
    """Time of the last change, under the name that each store gives it."""
    for name in ("LastModified", "last_modified", "mtime", "updated", "created"):
        value = info.get(name)
        if isinstance(value, str) and value:
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0
