"""``granet-run --config streams.toml``: the schema of the file."""

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from granet.app.schema import NotNegative, Text, read_toml
from runtime.sinks.open import NULL, is_written_to_disk
from runtime.sources.open import can_be_live, is_network

Outputs = Annotated[tuple[str, ...], Meta(description="a string or a list of strings")]
TextOrNumber = Annotated[str, Meta(description="a string or an integer")]


class StreamConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[stream]]``.

    Attributes:
        name: unique; for people and metrics.
        input: as for ``--input``; empty with ``camera``.
        camera: a number or a device; empty with ``input``.
        output: as for ``--output``; one or several.
        serve: as for ``--serve``; each stream serves a page of its own.
        show: ``result``, ``compare`` or ``mask``.
        skip_dry: as for ``--skip-dry``.
        live: as for ``--live``.
        give_up_after: seconds, as for ``--give-up-after``; 0 for never.

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
            raise ValueError("give one of input and camera")
        if not self.output and not self.serve:
            raise ValueError("give output or serve")
        if "window" in self.output or "-" in self.output:
            raise ValueError("streams cannot share a window or stdout; give this one a page with serve")
        shown = any(output != NULL for output in self.output)
        if self.show == "compare" and not shown:
            raise ValueError(
                'show = "compare" needs an output that shows it; the page always offers both pictures'
            )
        if self.show == "mask" and not shown and not self.serve:
            raise ValueError('show = "mask" needs serve, or an output that shows it')
        if self.live and not is_network(self.input):
            raise ValueError("live is for addresses: a camera is always live, and a file never is")
        if self.give_up_after and self.input and not can_be_live(self.input):
            raise ValueError("give_up_after is for live sources, and input is a file")


class StreamsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The file.

    Attributes:
        stream: one or more.
        model: as for ``--model``; empty for the packaged model for the device.
        device: as for ``--device``.
        backend: as for ``--backend``.
        metrics: as for ``--metrics``, for all streams together.
        overwrite: as for ``--overwrite``.

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
            raise ValueError("add a [[stream]]")
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
