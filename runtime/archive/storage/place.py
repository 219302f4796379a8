"""Parses a place that the user names: a directory, a file, or an address of an object store."""

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from granet.errors import UserError
from runtime.archive.storage.base import Identity, Storage
from runtime.archive.storage.local import LocalStorage
from runtime.archive.storage.remote import RemoteStorage
from runtime.archive.storage.schemes import ALIASES, SCHEMES, filesystem
from runtime.sources.url import Address

_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<slashes>/+)(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True)
class StoredFile:
    """A file in a storage.

    Attributes:
        storage: the storage of its folder.
        key: its name there.
    """

    storage: Storage
    key: str

    @property
    def address(self) -> str:
        """Its absolute path, or its address; :func:`stored` finds the file by it."""
        return self.storage.address(self.key)

    def identity(self) -> Identity:
        """See :meth:`Storage.identity`."""
        return self.storage.identity(self.key)

    def video(self) -> AbstractContextManager[Address]:
        """See :meth:`Storage.video`."""
        return self.storage.video(self.key)

    def exists(self) -> bool:
        """Whether it is there."""
        return self.storage.entry(self.key) is not None

    def shows(self) -> bool:
        """See :meth:`Storage.shows`."""
        return self.storage.shows(self.key)

    def copy_to(self, path: Path) -> None:
        """See :meth:`Storage.copy_to`."""
        self.storage.copy_to(self.key, path)


def is_address(text: str) -> bool:
    """Whether the user names an object store; one letter and a colon are a drive."""
    match = _ADDRESS.match(text)
    return match is not None and match["scheme"].lower() != "file"


def storage_at(place: str | Path) -> Storage:
    """The storage in a directory or below an address.

    Args:
        place: ``results``, ``file:///srv/results`` or ``s3://bucket/results``.

    Raises:
        UserError: for an address of another kind, one with credentials, or without the packages for it. It
            does not repeat the address, which may hold a password.
    """
    match = _ADDRESS.match(str(place)) if isinstance(place, str) else None
    if match is None:
        return LocalStorage(Path(place))
    scheme = match["scheme"].lower()
    if scheme == "file":
        return LocalStorage(Path("/" + match["rest"]))
    _check(scheme, match["slashes"], match["rest"])
    scheme = ALIASES.get(scheme, scheme)  # one place must not have two addresses
    filesystem(scheme)
    return RemoteStorage(f"{scheme}://{match['rest'].rstrip('/')}")


def stored(place: str | Path) -> StoredFile:
    """The file at a path or an address.

    Raises:
        UserError: as :func:`storage_at`.
    """
    if isinstance(place, str) and is_address(place):
        folder, _, name = place.rpartition("/")
        return StoredFile(storage_at(folder), name)
    path = Path(place)
    return StoredFile(LocalStorage(path.parent), path.name)


def _check(scheme: str, slashes: str, rest: str) -> None:
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in ("s3", "gs", "az"))
        raise UserError(
            f"{scheme}:// addresses cannot be SRC or DST, but {known} can; mount other storage, for example "
            "with rclone mount, and give the path"
        )
    bucket = rest.partition("/")[0]
    if slashes != "//" or not bucket:
        raise UserError(f"{scheme}: write {scheme}://BUCKET or {scheme}://BUCKET/FOLDER")
    if "@" in bucket or ":" in bucket:
        raise UserError(f"{scheme}://***: credentials do not belong into an address; {SCHEMES[scheme].hint}")
