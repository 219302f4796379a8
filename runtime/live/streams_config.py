"""``granet-run --config streams.toml``: which streams there are, and what becomes of each."""

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_args

from granet.errors import UserError
from runtime.live.outputs import View

_T = TypeVar("_T")


@dataclass(frozen=True)
class StreamConfig:
    """One ``[[stream]]``.

    Attributes:
        name: for people and metrics; every stream has another.
        input: as ``--input`` takes it; or
        camera: a number or a device.
        output: as ``--output``, one or several.
        serve: as ``--serve``; every stream has a page of its own.
        show: ``result``, ``compare`` or ``mask``.
        skip_dry: as ``--skip-dry``.
        live: as ``--live``.
        give_up_after: seconds, as ``--give-up-after``.
    """

    name: str
    input: str = ""
    camera: str = ""
    output: tuple[str, ...] = ()
    serve: str = ""
    show: str = "result"
    skip_dry: bool = False
    live: bool = False
    give_up_after: float = 0.0


@dataclass(frozen=True)
class StreamsConfig:
    """The file.

    Attributes:
        stream: one or more.
        model: as ``--model``; empty for the one that came along.
        device: as ``--device``.
        backend: as ``--backend``.
        metrics: as ``--metrics``, for all streams together.
        overwrite: as ``--overwrite``.
    """

    stream: tuple[StreamConfig, ...]
    model: str = ""
    device: str = "auto"
    backend: str = "auto"
    metrics: str = ""
    overwrite: bool = False


def read_streams_config(path: Path) -> StreamsConfig:
    """Reads and checks the file.

    Raises:
        UserError: if it cannot be read, or anything in it is not what it must be; the line says what.
    """
    if sys.version_info < (3, 11):
        raise UserError("--config needs Python 3.11 or newer, which can read TOML")
    import tomllib

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is no TOML: {error}") from error
    streams = table.pop("stream", [])
    if not isinstance(streams, list) or not streams:
        raise UserError(f"{path}: has no [[stream]]")
    made = tuple(
        _made(StreamConfig, each, f"{path}: stream {number}") for number, each in enumerate(streams, 1)
    )
    for number, stream in enumerate(made, 1):
        _check(stream, f"{path}: stream {number}")
    names = [stream.name for stream in made]
    if len(set(names)) < len(names):
        raise UserError(f"{path}: two streams have the same name")
    return _made(StreamsConfig, {**table, "stream": made}, str(path))


def _made(kind: type[_T], table: Any, where: str) -> _T:
    """A dataclass of ``kind`` from a table whose keys and types are its fields'."""
    if not isinstance(table, dict):
        raise UserError(f"{where}: is no table")
    known = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]
    values = {}
    for key, value in table.items():
        if key not in known:
            raise UserError(f"{where}: there is no setting {key} (there are {', '.join(known)})")
        values[key] = _value(value, known[key], f"{where}: {key}")
    if kind is StreamConfig and not values.get("name"):
        raise UserError(f"{where}: needs a name")
    return kind(**values)


def _value(value: Any, default: Any, where: str) -> Any:
    if isinstance(default, tuple):
        value = tuple(value) if isinstance(value, list) else (value,)
        if not all(isinstance(each, str) for each in value):
            raise UserError(f"{where}: must be text, or a list of it")
        return value
    if isinstance(default, str) and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, (str, bool, float)) and type(value) is not type(default):
        kind = {str: "text", bool: "true or false", float: "a number"}[type(default)]
        raise UserError(f"{where}: must be {kind}")
    return value


def _check(stream: StreamConfig, where: str) -> None:
    if bool(stream.input) == bool(stream.camera):
        raise UserError(f"{where}: needs one of input and camera")
    if not stream.output and not stream.serve:
        raise UserError(f"{where}: needs output or serve")
    if "window" in stream.output or "-" in stream.output:
        raise UserError(
            f"{where}: several streams have neither a window nor stdout; give it a page with serve"
        )
    if stream.show not in get_args(View) or stream.show == "slider":
        raise UserError(f"{where}: show must be result, compare or mask")
