"""``granet-run --config streams.toml``: which streams there are, and what becomes of each."""

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from granet.app.schema import NotNegative, Text, read_toml

Outputs = Annotated[tuple[str, ...], Meta(description="a string or a list of strings")]
TextOrNumber = Annotated[str, Meta(description="a string or an integer")]


class StreamConfig(Struct, frozen=True, forbid_unknown_fields=True):
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
        give_up_after: seconds, as ``--give-up-after``; 0 for never.

    Raises:
        ValueError: if the settings contradict each other.
    """

    name: Text
    input: str = ""
    camera: TextOrNumber = ""
    output: Outputs = ()
    serve: TextOrNumber = ""
    show: Literal["result", "compare", "mask"] = "result"
    skip_dry: bool = False
    live: bool = False
    give_up_after: NotNegative = 0.0

    def __post_init__(self) -> None:
        if bool(self.input) == bool(self.camera):
            raise ValueError("needs one of input and camera")
        if not self.output and not self.serve:
            raise ValueError("needs output or serve")
        if "window" in self.output or "-" in self.output:
            raise ValueError("several streams have neither a window nor stdout; give it a page with serve")


class StreamsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The file.

    Attributes:
        stream: one or more.
        model: as ``--model``; empty for the one that came along.
        device: as ``--device``.
        backend: as ``--backend``.
        metrics: as ``--metrics``, for all streams together.
        overwrite: as ``--overwrite``.

    Raises:
        ValueError: if there is no stream, or two have the same name.
    """

    stream: tuple[StreamConfig, ...] = ()
    model: str = ""
    device: str = "auto"
    backend: str = "auto"
    metrics: TextOrNumber = ""
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.stream:
            raise ValueError("has no [[stream]]")
        names = [stream.name for stream in self.stream]
        if len(set(names)) < len(names):
            raise ValueError("two streams have the same name")


def read_streams_config(path: Path) -> StreamsConfig:
    """Reads and checks the file.

    Raises:
        UserError: if it cannot be read, or anything in it is not what it must be; the line says what.
    """
    return read_toml(path, StreamsConfig, _write_out)


def _write_out(table: dict[str, Any]) -> None:
    """Replaces the shorthand of the file: a number for a camera or a port, one output without a list."""
    streams = table.get("stream")
    for each in (table, *(streams if isinstance(streams, list) else ())):
        if not isinstance(each, dict):
            continue
        for name in ("name", "camera", "serve", "metrics"):
            if type(each.get(name)) is int:
                each[name] = str(each[name])
        if isinstance(each.get("output"), str):
            each["output"] = [each["output"]]
