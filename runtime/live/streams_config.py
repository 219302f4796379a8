"""``granet-run --config streams.toml``: the schema of the file."""

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from granet.app.console import UsageError
from granet.app.credentials import conceal_addresses
from granet.app.schema import NotNegative, PositiveInt, Text, read_toml
from runtime.sinks.open import NULL, is_encoded, is_written_to_disk, place_of
from runtime.sinks.video.encoding import AUTO, Encoding
from runtime.sources.kind import (
    can_be_live,
    is_network,
    is_pictures,
    may_lose_parts,
)
from runtime.sources.part.part import Part
from runtime.sources.part.suitable import unsuitable
from runtime.sources.video.hardware import Hwaccel
from runtime.telemetry.listen import LOOPBACK

Outputs = Annotated[tuple[str, ...], Meta(description="a string or a list of strings")]
Time = Annotated[str, Meta(description="a time like 90s or 1:30, or a number of seconds")]
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
        strict: as for ``--strict``.
        codec: as for ``--codec``; empty for its default, as in the four that follow.
        crf: as for ``--crf``.
        preset: as for ``--preset``.
        bitrate: as for ``--bitrate``.
        pix_fmt: as for ``--pix-fmt``.
        hwaccel: as for ``--hwaccel``.
        start: as for ``--start``; empty for the beginning.
        duration: as for ``--duration``; empty for no limit.
        every: as for ``--every``.
        loop: as for ``--loop``.

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
    strict: bool = False
    codec: str = ""
    crf: int | None = None
    preset: str = ""
    bitrate: str = ""
    pix_fmt: str = ""
    hwaccel: Hwaccel = "none"
    start: Time = ""
    duration: Time = ""
    every: PositiveInt = 1
    loop: bool = False

    @property
    def encoding(self) -> Encoding:
        """The encoder of its outputs.

        Raises:
            UsageError: if the settings contradict each other.
        """
        return Encoding(self.codec or AUTO, self.crf, self.preset, self.bitrate, self.pix_fmt)

    @property
    def part(self) -> Part:
        """The part of a file that is read.

        Raises:
            UsageError: if a time is malformed, or the duration is zero.
        """
        return Part.parsed(
            self.start or None,
            self.duration or None,
            every=self.every,
            loop=self.loop,
            paced=not self._writes_files,
            dashes="",
        )

    @property
    def _writes_files(self) -> bool:
        return any(map(is_written_to_disk, self.output))

    def __post_init__(self) -> None:
        if bool(self.input) == bool(self.camera):
            raise ValueError("give one of input and camera")
        self._check_outputs()
        self._check_source()
        self._check_part()
        self._check_coding()

    def _check_outputs(self) -> None:
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

    def _check_source(self) -> None:
        if self.live and not is_network(self.input):
            raise ValueError("live is for addresses: a camera is always live, and a file never is")
        if self.give_up_after and self.input and not can_be_live(self.input):
            raise ValueError("give_up_after is for live sources, and input is a file")
        if self.strict and (self.camera or not may_lose_parts(self.input)):
            raise ValueError(
                "strict is for videos and folders: damage of a live source is skipped, and one damaged "
                "picture is an error"
            )
        if self.skip_dry and self.input and is_pictures(self.input):
            raise ValueError("skip_dry needs a video: rain is detected over several seconds")

    def _check_part(self) -> None:
        given = {
            "start": bool(self.start),
            "duration": bool(self.duration),
            "every": self.every > 1,
            "loop": self.loop,
        }
        for name, why in unsuitable(self.input or None).items():
            if given[name]:
                raise ValueError(f"{name} with {'input' if self.input else 'camera'}: {why}")
        if self.loop and not self.duration and self._writes_files:
            raise ValueError("loop: the file would never end: add duration")
        try:
            _ = self.part
        except UsageError as error:
            raise ValueError(str(error)) from None

    def _check_coding(self) -> None:
        is_decoded = bool(self.input) and (is_network(self.input) or not can_be_live(self.input))
        if self.hwaccel != "none" and not is_decoded:
            raise ValueError("hwaccel is for video files and addresses")
        try:
            plain = self.encoding == Encoding(AUTO)
        except UsageError as error:  # it names the options of the command line
            raise ValueError(str(error).replace("--pix-fmt", "pix_fmt").replace("--", "")) from None
        if not plain and not any(map(is_encoded, self.output)):
            raise ValueError("codec, crf, preset, bitrate and pix_fmt are for videos, and no output is one")


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
        ValueError: if there is no stream, two have the same name, output or port, or a setting would not be
            used.
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
        self._check_places([output for output in outputs if output != NULL])

    def _check_places(self, outputs: list[str]) -> None:
        places = list[str]()
        for output in outputs:
            place = place_of(output)
            if place in places:
                raise ValueError(f"two outputs name the same destination ({output}): give each its own")
            places.append(place)
        ports = list[tuple[str, str]]()
        for listen in (*(stream.serve for stream in self.stream), self.metrics):
            host, _, port = listen.rpartition(":")
            if port not in ("", "0") and (host or LOOPBACK, port) in ports:
                raise ValueError(f"two pages, or a page and the metrics, use port {port}: give each its own")
            ports.append((host or LOOPBACK, port))


def read_streams_config(path: Path) -> StreamsConfig:
    """Reads and checks the file.

    Raises:
        UserError: if it cannot be read or is not valid; the line says where and why.
    """
    config = read_toml(path, StreamsConfig, _write_out)
    conceal_addresses(text for stream in config.stream for text in (stream.input, *stream.output))
    return config


def _write_out(table: dict[str, Any]) -> None:
    """Replaces shorthand: a number for a camera, a port or a time, one output without a list."""
    streams = table.get("stream")
    for each in (table, *(streams if isinstance(streams, list) else ())):
        if not isinstance(each, dict):
            continue
        for name in ("name", "camera", "serve", "metrics"):
            if type(each.get(name)) is int:
                each[name] = str(each[name])
        for name in ("start", "duration"):
            if type(each.get(name)) in (int, float):
                each[name] = str(each[name])
        if isinstance(each.get("output"), str):
            each["output"] = [each["output"]]
