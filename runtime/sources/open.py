"""Open the source that a command-line argument names."""

import threading
from pathlib import Path

from granet.app.console import Say
from granet.data.image_files import is_picture
from granet.errors import UserError
from runtime.sources.base import Source
from runtime.sources.camera.gstreamer import GStreamerSource, is_pipeline
from runtime.sources.camera.source import CameraOptions, CameraSource, device_path
from runtime.sources.live.supervised import LiveOptions, SupervisedSource
from runtime.sources.pictures.source import PictureSource, has_wildcard
from runtime.sources.reachability import device_probe, server_probe
from runtime.sources.url import is_url, parse_url
from runtime.sources.video.raw import RawSource, parse_raw
from runtime.sources.video.source import VideoSource
from runtime.telemetry.health import Health


def can_be_live(text: str) -> bool:
    """Whether ``text`` may turn out to be a live source: an address over the network, or a pipeline."""
    return is_pipeline(text) or is_network(text)


def is_network(text: str) -> bool:
    """Whether ``text`` is an address over the network: neither a file nor a pipeline."""
    is_other = is_pipeline(text) or text.lower().startswith("file:") or Path(text).exists()
    return is_url(text) and not is_other


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
) -> Source:
    """Opens a picture, a directory, a pattern, a video file, a URL, a pipeline, or ``-`` for stdin.

    A directory means pictures, and so does a path with wildcards unless a file has that name. A file is a
    picture if it has a picture's suffix, otherwise a video. Live sources are supervised: they reconnect
    whenever they break. An ``rtsp`` address is live even while the server is offline; an ``http`` address
    is live if ``live`` says so or if its stream turns out to be live.

    Args:
        text: what to open.
        say: called with a note about each unexpected property of the input.
        live: options for supervising a live source.
        cancelled: when set, ends the wait for the first frame of a live source.
        health: health to report to, also while opening; ``None`` creates one.

    Raises:
        UserError: if there is nothing to read.
    """
    options = live or LiveOptions()
    health = health or Health(text, say=options.announce)
    source = _opened(text, say, options, cancelled, health)
    if not source.info.live:
        health.live = False
        source.health = health
    return source


def _opened(
    text: str, say: Say, options: LiveOptions, cancelled: threading.Event | None, health: Health
) -> Source:
    path = Path(text)
    if is_pipeline(text):
        return SupervisedSource(
            text, lambda: GStreamerSource(text), options, health=health, cancelled=cancelled
        )
    if text != "-" and not (is_url(text) and not path.exists()):
        if path.is_dir() or (path.exists() and is_picture(path)):
            return PictureSource(text, say)
        if not path.exists() and has_wildcard(text):
            return PictureSource(text, say)
    if is_url(text) and not path.exists() and parse_url(text).remote:
        return _open_remote(text, say, options, cancelled, health)
    if options.live:
        raise UserError(f"{text}: is a file; only an address can be live")
    return VideoSource(text, say)


def open_raw(text: str, health: Health) -> Source:
    """Opens uncompressed frames on stdin.

    Args:
        text: format of the frames, see :func:`runtime.sources.video.raw.parse_raw`.
        health: health to report to.

    Raises:
        UserError: if ``text`` is invalid or stdin ends before one whole frame.
    """
    source = RawSource(parse_raw(text))
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


def _open_remote(
    text: str, say: Say, options: LiveOptions, cancelled: threading.Event | None, health: Health
) -> Source:
    def open_once() -> VideoSource:
        return VideoSource(
            text,
            say,
            options.open_within,
            silence=options.reopen_after,
            corrupt=lambda: health.count("corrupt_packet"),
        )

    first: list[VideoSource] = []
    if not (options.live or parse_url(text).live):
        source = open_once()
        if not source.info.live:
            return source
        first.append(source)
    return SupervisedSource(
        text,
        # The first connection reuses the source that is already open, if any.
        lambda: first.pop() if first else open_once(),
        options,
        reachable=server_probe(text),
        health=health,
        cancelled=cancelled,
    )
