"""Open the source that a command-line argument names."""

import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.codec.hwaccel import HWAccel

from granet.app.console import Say
from granet.app.credentials import mask
from granet.app.input_file import PICTURE_BYTES, read_bounded
from granet.data.image_chunks import is_webp
from granet.data.image_files import is_picture
from granet.errors import UserError
from runtime.sources.base import Source
from runtime.sources.camera.gstreamer import GStreamerSource, is_pipeline
from runtime.sources.camera.source import CameraOptions, CameraSource, device_path
from runtime.sources.first_open import open_in_time
from runtime.sources.live.supervised import LiveOptions, SupervisedSource
from runtime.sources.part.part import WHOLE, Part
from runtime.sources.pictures.heif import can_read_heif, is_heif, is_sequence_alone
from runtime.sources.pictures.pages import is_animated
from runtime.sources.pictures.source import PictureSource, has_wildcard
from runtime.sources.pictures.webp_animation import WebpAnimation
from runtime.sources.reachability import device_probe, server_probe
from runtime.sources.url import is_url, local_path, parse_url
from runtime.sources.video.raw import RawSource, parse_raw
from runtime.sources.video.source import VideoSource
from runtime.telemetry.health import Health


def may_be_waited_for(text: str, live: LiveOptions) -> bool:
    """Whether opening ``text`` may block indefinitely, because it is live and may be offline."""
    if is_pipeline(text):
        return True
    return is_url(text) and not Path(text).exists() and (live.live or parse_url(text).live)


def open_source(
    text: str,
    say: Say,
    live: LiveOptions | None = None,
    cancelled: threading.Event | None = None,
    health: Health | None = None,
    strict: bool = False,
    part: Part = WHOLE,
    hwaccel: HWAccel | None = None,
) -> Source:
    """Opens a picture, a directory, a pattern, a video file, a URL, a pipeline, or ``-`` for stdin.

    A directory means pictures, and so does a path with wildcards unless a file has that name. A file is a
    picture if it has a picture's suffix and one frame, otherwise a video. Live sources are supervised: they
    reconnect whenever they break. An ``rtsp`` address is live even while the server is offline; an ``http``
    address is live if ``live`` says so or if its stream turns out to be live.

    Args:
        text: the source to open.
        say: called with a note about each unexpected property of the input.
        live: options for supervising a live source.
        cancelled: when set, ends the wait for the first frame of a live source.
        health: health to report to, also while opening; ``None`` creates one.
        strict: whether damage of a video file, or of one of several pictures, is an error.
        part: which part of a file is read.
        hwaccel: what a video is decoded on; ``None`` for the CPU.

    Raises:
        UserError: if there is nothing to read, or ``part`` does not suit the source.
    """
    options = live or LiveOptions()
    health = health or Health(text, say=options.announce)
    reading = _Reading(say, options, cancelled or threading.Event(), health, strict, part.start, hwaccel)
    source = part.of(lambda: reading.opened(text))
    if not source.info.live:
        health.live = False
        source.health = health
    return source


@dataclass(frozen=True)
class _Reading:
    """How a source is read; the attributes are arguments of :func:`open_source`."""

    say: Say
    options: LiveOptions
    cancelled: threading.Event
    health: Health
    strict: bool
    start: Fraction
    hwaccel: HWAccel | None

    def opened(self, text: str) -> Source:
        text = local_path(text)
        path = Path(text)
        if is_pipeline(text):
            return SupervisedSource(
                text,
                lambda: GStreamerSource(text),
                self.options,
                health=self.health,
                cancelled=self.cancelled,
            )
        if text != "-" and not (is_url(text) and not path.exists()):
            if path.is_file() and (source := _open_picture(path, self)) is not None:
                return source
            if path.is_dir() or (path.exists() and is_picture(path)):
                return PictureSource(text, self.say, strict=self.strict)
            if not path.exists() and has_wildcard(text):
                return PictureSource(text, self.say, strict=self.strict)
        if is_url(text) and not path.exists() and parse_url(text).remote:
            return self._opened_remote(text)
        if self.options.live:
            raise UserError(f"{text}: is a file; only an address can be live")
        return VideoSource(text, self.say, start=self.start, strict=self.strict, hwaccel=self.hwaccel)

    def _opened_remote(self, text: str) -> Source:
        options = self.options

        def open_once() -> VideoSource:
            return VideoSource(
                text,
                self.say,
                options.open_within,
                silence=options.reopen_after,
                corrupt=lambda: self.health.count("corrupt_packet"),
                start=self.start,
                strict=self.strict,
                hwaccel=self.hwaccel,
                live=options.live,
            )

        first: list[VideoSource] = []
        if not (options.live or parse_url(text).live):
            limit = 2 * options.open_within
            source = open_in_time(
                open_once,
                mask(text),
                limit if options.give_up_after is None else min(limit, options.give_up_after),
                waiting=options.waiting,
                cancelled=self.cancelled,
            )
            if not source.info.live:
                return source
            first.append(source)
        return SupervisedSource(
            text,
            # The first connection reuses the source that is already open, if any.
            lambda: first.pop() if first else open_once(),
            options,
            reachable=server_probe(text),
            health=self.health,
            cancelled=self.cancelled,
        )


def _open_picture(path: Path, reading: _Reading) -> Source | None:
    """An animation or a HEIC picture; ``None`` for any other file."""
    if not (is_picture(path) or is_heif(path)):
        return None
    try:
        data = read_bounded(path, PICTURE_BYTES)
    except UserError:
        data = b""  # whoever reads it reports it
    if is_heif(path) and not is_sequence_alone(data):
        return PictureSource(str(path), reading.say) if can_read_heif() else None
    if is_webp(data) and is_animated(data):
        return WebpAnimation(path, data, reading.say)
    if is_animated(data) or is_heif(path):
        return VideoSource(str(path), reading.say, start=reading.start, strict=reading.strict)
    return None


def open_raw(text: str, health: Health, say: Say, *, strict: bool = False, part: Part = WHOLE) -> Source:
    """Opens uncompressed frames on stdin.

    Args:
        text: format of the frames, see :func:`runtime.sources.video.raw.parse_raw`.
        health: health to report to.
        say: called with a note if stdin ends within a frame.
        strict: whether that is an error.
        part: which part is read.

    Raises:
        UserError: if ``text`` is invalid or stdin ends before one whole frame.
    """
    source = part.of(lambda: RawSource(parse_raw(text), say=say, strict=strict))
    source.health = health
    health.live = False
    return source


def open_camera(
    camera: int | str,
    options: CameraOptions | None = None,
    live: LiveOptions | None = None,
    cancelled: threading.Event | None = None,
    health: Health | None = None,
) -> Source:
    """Opens a camera of this machine, supervised: it reconnects after being unplugged.

    Args:
        camera: its number, from 0, or its device (``/dev/video0``).
        options: pixel format, size and frame rate.
        live: options for supervising it.
        cancelled: when set, ends the wait for the first frame.
        health: health to report to, also while opening; ``None`` creates one.

    Raises:
        WrongSettingsError: if the camera does not support ``options``.
        UserError: if no frame arrives within ``live.give_up_after``.
    """
    device = device_path(camera)
    return SupervisedSource(
        f"camera {camera}",
        lambda: CameraSource(camera, options),
        live,
        reachable=None if device is None else device_probe(device),
        health=health,
        cancelled=cancelled,
    )
