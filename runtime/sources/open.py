"""Which source a text of the command line means."""

import threading
from pathlib import Path

from granet.app.console import Say
from granet.errors import UserError
from runtime.sources.base import Source
from runtime.sources.camera.gstreamer import GStreamerSource, is_pipeline
from runtime.sources.camera.source import CameraOptions, CameraSource, device_path
from runtime.sources.live.supervised import LiveOptions, SupervisedSource
from runtime.sources.pictures.read import is_picture
from runtime.sources.pictures.source import PictureSource, has_wildcard
from runtime.sources.reachability import device_probe, server_probe
from runtime.sources.url import is_url, parse_url
from runtime.sources.video.raw import RawSource, parse_raw
from runtime.sources.video.source import VideoSource
from runtime.telemetry.health import Health


def may_be_waited_for(text: str, live: LiveOptions) -> bool:
    """Whether opening ``text`` may take as long as it likes, because it is live and may be away."""
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
    """A picture, a directory of them, a pattern, a video file, a URL, a pipeline, or ``-`` for stdin.

    A directory and a path with wildcards that does not exist itself mean pictures; a file is a
    picture if its ending says so, and a video otherwise, as its content says. What turns out to be
    live is supervised: it is opened again whenever it breaks. An ``rtsp`` address is live even if nobody
    answers yet; an ``http`` address only if ``live`` says so, or once it was seen to be.

    Args:
        text: what to open.
        say: is told, once, about what the user would not expect.
        live: how a live source is supervised.
        cancelled: if it is set while the first frame of a live source is awaited, the wait ends.
        health: to report to, from before there is a source; ``None`` makes one.

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
        raise UserError(f"{text}: is a file, which cannot be live")
    return VideoSource(text, say)


def open_raw(text: str, health: Health) -> Source:
    """Uncompressed frames on stdin.

    Args:
        text: what they are, see :func:`runtime.sources.video.raw.parse_raw`.
        health: to report to.

    Raises:
        UserError: if ``text`` is wrong, or there is not one whole frame.
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
    """A camera of this machine, supervised: if it is unplugged, its return is waited for.

    Args:
        camera: its number, from 0, or its device (``/dev/video0``).
        options: format, size and frame rate.
        live: how it is supervised.
        cancelled: if it is set while the first frame is awaited, the wait ends.
        health: to report to, from before there is a camera; ``None`` makes one.

    Raises:
        WrongSettingsError: if the camera cannot do what ``options`` say.
        UserError: if it is given up.
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
        # The first time, what is open already, if there is anything.
        lambda: first.pop() if first else open_once(),
        options,
        reachable=server_probe(text),
        health=health,
        cancelled=cancelled,
    )
