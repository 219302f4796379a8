"""``grpc://HOST:PORT/MODEL[?shared-memory][&manifest=FILE]``: the address of a model on a server."""

import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Self

from granet.app.credentials import mask
from granet.errors import UserError

PORT = 8001
"""Triton's port for gRPC."""

_SCHEME = re.compile(r"(grpcs?):/+", re.IGNORECASE)
_REST = re.compile(
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?/([A-Za-z0-9][A-Za-z0-9._-]*)/?"
    r"(?:\?(?=.)(?:(shared-memory)(?:&(?=.)|\Z))?(?:manifest=(.+))?)?"
)
_HERE = re.compile(r"(127\.[0-9.]+|localhost|\[::1\]):[0-9]+", re.IGNORECASE)


@dataclass(frozen=True)
class ServerAddress:
    """A model on a server.

    Attributes:
        host: host and port, as gRPC takes them.
        model: the model's name on the server.
        secure: whether the connection is encrypted (``grpcs``).
        manifest: the model's manifest on this machine, for a server that does not pass on the model's
            description (only Triton does).
        shared_memory: whether frames lie in memory that this machine shares with the server.
    """

    host: str
    model: str
    secure: bool = False
    manifest: Path | None = None
    shared_memory: bool = False

    @classmethod
    def parse(cls, text: str | PathLike[str]) -> Self | None:
        """Parses a model as the user gave it.

        Args:
            text: an address, or any other model. A path holds one slash of an address's two.

        Returns:
            ``None`` if it is not an address.

        Raises:
            UserError: if it begins like an address and is none, or asks for shared memory with a server
                elsewhere.
        """
        given = str(text).replace("\\", "/")
        scheme = _SCHEME.match(given)
        if scheme is None:
            return None
        rest = _REST.fullmatch(given[scheme.end() :])
        if rest is None or int(rest[2] or PORT) not in range(1, 65536):
            shown = mask(f"{scheme[1]}://{given[scheme.end() :]}")
            raise UserError(
                f"{shown}: not the address of a model: give {scheme[1].lower()}://HOST:PORT/MODEL, such as "
                f"grpc://127.0.0.1:{PORT}/granet"
            )
        host, shared = f"{rest[1]}:{int(rest[2] or PORT)}", rest[4] is not None
        if shared and not _HERE.fullmatch(host):
            raise UserError(
                f"{host}: only a server on this machine has its memory: give a loopback address such as "
                "127.0.0.1, or leave out ?shared-memory"
            )
        manifest = None if rest[5] is None else Path(rest[5])
        return cls(host, rest[3], scheme[1].lower() == "grpcs", manifest, shared)

    def __str__(self) -> str:
        """The address."""
        return f"{'grpcs' if self.secure else 'grpc'}://{self.host}/{self.model}"
