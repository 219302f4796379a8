"""Decodes untrusted JSON and TOML files into types; an error is one line that names the field.

A type describes a file: a frozen dataclass, or a :class:`msgspec.Struct` with ``forbid_unknown_fields`` for a
file that people write, where an unknown name is a typo. msgspec checks single values, ``__post_init__``
checks several fields together (it raises ValueError), and this module turns both kinds of error into a
:class:`UserError`. Files of earlier versions must load, so every new field needs a default.
"""

import json
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

from granet.app.schema_errors import Words, explained
from granet.errors import UserError

T = TypeVar("T")

PositiveInt = Annotated[int, Meta(ge=1)]
Finite = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max, description="a finite number")]
NotNegative = Annotated[float, Meta(ge=0, le=sys.float_info.max, description="a finite number of at least 0")]
Text = Annotated[str, Meta(min_length=1, description="a non-empty string")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", description="64 hexadecimal digits")]
FileName = Annotated[
    str,
    Meta(pattern=r"^(?!\.{1,2}\Z)[^/\\\n\r\x00]+\Z", description="the name of a file, without a directory"),
]
"""A bare file name: it is printed as part of a command and must not point to another directory."""

_JSON = Words("a JSON object")
_TOML = Words("a table", numbered_from_one=True)


class _Head(msgspec.Struct):
    """The fields that begin every JSON file of this project."""

    format: Any = msgspec.UNSET
    kind: Any = None


class DamagedError(ValueError):
    """JSON is invalid or has the wrong content; the message is one line that names the field."""


def decode_json(data: bytes | str, kind: type[T]) -> T:
    """Decodes JSON without a ``format`` field; for files with one see :class:`JsonFile`.

    Args:
        data: the complete JSON.
        kind: type of its content.

    Raises:
        DamagedError: if ``data`` is not JSON or does not match the type.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise DamagedError(explained(error, kind, _JSON)) from error
    except RecursionError:
        reason = "nested too deeply"
    except UnicodeError:
        reason = "not UTF-8"
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix("JSON is malformed: ").lower()
    raise DamagedError(f"it is not valid JSON: {reason}")


@dataclass(frozen=True)
class JsonFile(Generic[T]):
    """A kind of JSON file that this project writes.

    Attributes:
        holds: type of the content; unknown fields are ignored.
        what: name of the kind, as in "the manifest is damaged".
        remedy: the user's remedy for an unreadable file: "export the model again".
        format: version of the format that is written and read.
        kind: value of ``kind`` in the file, if files of several kinds share a format; otherwise ``None``.
    """

    holds: type[T]
    what: str
    remedy: str
    format: int
    kind: str | None = None

    def read(self, path: Path) -> T:
        """Reads a file.

        Raises:
            UserError: if the file cannot be read, or as :meth:`decode`.
        """
        return self.decode(read_bytes(path), str(path))

    def decode(self, data: bytes | str, source: str) -> T:
        """Decodes a file.

        Args:
            data: the complete file.
            source: name of the file, for errors.

        Raises:
            UserError: if the file is of another kind or damaged, or this version cannot read its format.
        """
        try:
            self._require_format(decode_json(data, _Head), source)
            return decode_json(data, self.holds)
        except DamagedError as error:
            raise UserError(f"{source}: the {self.what} is damaged ({error}): {self.remedy}") from error

    def _require_format(self, head: _Head, source: str) -> None:
        if head.format is msgspec.UNSET or (self.kind is not None and head.kind != self.kind):
            raise UserError(f"{source}: not a {self.what}: {self.remedy}")
        if head.format != self.format:
            raise UserError(
                f"{source}: a {self.what} of format {head.format!r:.40}, this version reads {self.format}: "
                f"{self.remedy}"
            )

    def values(self, content: T) -> dict[str, Any]:
        """The JSON values of the file for ``content``: ``format``, ``kind`` and the fields.

        Raises:
            ValueError: if the file could not be read back.
        """
        head = {"format": self.format} | ({} if self.kind is None else {"kind": self.kind})
        fields: Mapping[str, Any] = msgspec.to_builtins(content)
        msgspec.convert(fields, self.holds)
        return {**head, **fields}


def to_json(values: Mapping[str, Any], *, indent: int | None = None) -> str:
    """Encodes JSON; equal values give equal text.

    Raises:
        ValueError: if a number is not finite.
    """
    return json.dumps(values, indent=indent, allow_nan=False)


def read_toml(path: Path, kind: type[T], prepare: Callable[[dict[str, Any]], None] | None = None) -> T:
    """Reads a TOML file.

    Args:
        path: the file.
        kind: type of its content.
        prepare: expands abbreviations in place; it gets the unchecked content.

    Raises:
        UserError: if the file cannot be read, is not TOML, or does not match the type.
    """
    try:
        table = tomllib.loads(read_bytes(path).decode())
    except RecursionError:
        raise UserError(f"{path}: is not valid TOML: nested too deeply") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not valid TOML: not UTF-8") from None
    except ValueError as error:  # TOMLDecodeError, or a number of too many digits
        raise UserError(f"{path}: is not valid TOML: {error}") from error
    if prepare is not None:
        prepare(table)
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise UserError(f"{path}: {explained(error, kind, _TOML)}") from error


def read_bytes(path: Path) -> bytes:
    """Reads a whole file.

    Raises:
        UserError: if the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
