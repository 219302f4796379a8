"""``granet-run --config streams.toml``: the schema of the file."""

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from granet.app.schema import NotNegative, Text, read_toml
from runtime.sinks.open import is_written_to_disk
from runtime.sources.open import can_be_live, is_network

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
        ValueError: if settings contradict each other, or one would not be used.
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
        if self.live and not is_network(self.input):
            raise ValueError("live is for addresses: a camera is always live, and a file never is")
        if self.give_up_after and self.input and not can_be_live(self.input):
            raise ValueError("give_up_after is for live sources, and input is a file")


class StreamsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The file.

    Attributes:
        stream: one or more.
        model: as ``--model``; empty for the packaged model for the device.
        device: as ``--device``.
        backend: as ``--backend``.
        metrics: as ``--metrics``, for all streams together.
        overwrite: as ``--overwrite``.

    Raises:
        ValueError: if there is no stream, two have the same name, or a setting would not be used.
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
        outputs = [output for stream in self.stream for output in stream.output]
        if self.overwrite and not any(map(is_written_to_disk, outputs)):
            raise ValueError("overwrite is for files, and no stream writes one")


def read_streams_config(path: Path) -> StreamsConfig:
    """Reads and checks the file.

    Raises:
        UserError: if it cannot be read or is not valid; the line says where and why.
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
