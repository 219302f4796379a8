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

from granet.app.input_file import TEXT_BYTES, TOML_BYTES, read_bounded
from granet.app.outside_text import UTF_8, not_utf_8, shown, shown_values
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

_MOST_DOTS = 256

_DEEPEST = 32
"""Levels of tables and lists in a TOML file; those of this project have three."""

_TOO_DEEP = "nested too deeply"
_JSON = Words("a JSON object")
_TOML = Words("a table", numbered_from_one=True)


class _Head(msgspec.Struct):
    """The fields that begin every JSON file of this project."""

    format: Any = msgspec.UNSET
    kind: Any = None


class DamagedError(ValueError):
    """JSON or TOML is invalid or has the wrong content; the message is one line that names the field."""


def decode_json(data: bytes | str, kind: type[T]) -> T:
    """Decodes JSON without a ``format`` field; for files with one see :class:`JsonFile`.

    Args:
        data: the complete JSON.
        kind: type of its content.

    Raises:
        DamagedError: if ``data`` is not JSON, does not match the type, or has a name twice, of which some
            readers take the first value and others the last.
    """
    try:
        content = msgspec.json.decode(data, type=kind)
        json.loads(data, object_pairs_hook=_refuse_repeated)
        return content
    except msgspec.ValidationError as error:
        raise DamagedError(explained(error, kind, _JSON)) from error
    except _RepeatedError as error:
        raise DamagedError(f"{error} occurs twice") from error
    except RecursionError:
        reason = "nested too deeply"
    except UnicodeError:
        reason = "not UTF-8"
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix("JSON is malformed: ").lower()
    raise DamagedError(f"it is not valid JSON: {reason}")


class _RepeatedError(ValueError):
    """An object has a name twice."""


def _refuse_repeated(fields: list[tuple[str, Any]]) -> None:
    seen = set[str]()
    for name, _ in fields:
        if name in seen:
            raise _RepeatedError(f"{shown(name)!r:.60}")
        seen.add(name)


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
    """Encodes JSON; equal values give equal text, and no text in them is refused.

    Raises:
        ValueError: if a number is not finite.
    """
    return json.dumps(shown_values(values), indent=indent, allow_nan=False)


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
        table = decode_toml(read_bounded(path, TOML_BYTES))
    except DamagedError as error:
        raise UserError(f"{path}: is not valid TOML: {error}") from error
    if prepare is not None:
        prepare(table)
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise UserError(f"{path}: {explained(error, kind, _TOML)}") from error


def decode_toml(data: bytes) -> dict[str, Any]:
    """Decodes TOML; the values are not checked.

    Raises:
        DamagedError: if it is not TOML, or nested too deeply.
    """
    # tomllib takes the square of the number of parts of a dotted key.
    if any(line.count(b".") > _MOST_DOTS for line in data.splitlines()):
        raise DamagedError(f"a line with more than {_MOST_DOTS} dots")
    try:
        table = tomllib.loads(data.decode(UTF_8))
    except RecursionError:
        raise DamagedError(_TOO_DEEP) from None
    except UnicodeDecodeError as error:
        raise DamagedError(not_utf_8(error)) from None
    except ValueError as error:  # TOMLDecodeError, or a number of too many digits
        raise DamagedError(str(error)) from error
    # Dotted keys nest without recursion in the parser.
    if _is_deep(table):
        raise DamagedError(_TOO_DEEP)
    return table


def _is_deep(table: dict[str, Any]) -> bool:
    level: list[Any] = [table]
    for _ in range(_DEEPEST):
        level = [
            value
            for each in level
            if isinstance(each, dict | list)
            for value in (each.values() if isinstance(each, dict) else each)
        ]
    return bool(level)


def read_bytes(path: Path) -> bytes:
    """Reads a whole JSON or TOML file.

    Raises:
        UserError: if the file cannot be read, or is larger than :data:`granet.app.input_file.TEXT_BYTES`.
    """
    return read_bounded(path, TEXT_BYTES)
