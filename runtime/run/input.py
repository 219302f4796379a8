"""The source of ``granet-run``, from a camera's number or an address; opened later."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from granet.app.console import Say, UsageError, say
from granet.errors import UserError
from runtime.live.streams_config import StreamConfig
from runtime.run.options import RunOptions
from runtime.sources.base import Source
from runtime.sources.camera.source import CameraOptions, device_path
from runtime.sources.live.supervised import LiveOptions
from runtime.sources.open import may_be_waited_for, open_camera, open_raw, open_source
from runtime.sources.url import expanded
from runtime.sources.video.hardware import hardware_decoder
from runtime.telemetry.health import Health


@dataclass(frozen=True)
class PendingSource:
    """A source that is not open yet.

    Attributes:
        health: health of the stream, before the source is open and after.
        may_be_away: whether opening it may wait for a camera or a server.
        open: opens it.
    """

    health: Health
    may_be_away: bool
    open: Callable[[], Source]


def pending_source(options: RunOptions, patience: LiveOptions, notes: Say) -> PendingSource:
    """The source that the command line names.

    Args:
        options: options with a camera or an input.
        patience: how a live source is supervised.
        notes: prints a line on what the user would not expect.

    Raises:
        UserError: if the source certainly does not exist.
    """
    if options.camera is not None:
        return _pending_camera(options.camera, options.parsed_camera(), patience)
    source = options.source
    assert source is not None  # check_run_options wants one of the two
    part, hwaccel = options.parsed_part(), hardware_decoder(options.hwaccel, say)
    health = Health("stdin" if source == "-" else source, say=say)
    if options.raw is not None:
        raw = options.raw
        return PendingSource(
            health,
            may_be_away=False,
            open=lambda: open_raw(raw, health, notes, strict=options.strict, part=part),
        )
    address = expanded(source, notes)
    return PendingSource(
        health,
        may_be_waited_for(address, patience),
        lambda: open_source(address, notes, patience, None, health, options.strict, part, hwaccel),
    )


def open_stream(
    stream: StreamConfig, patience: LiveOptions, cancelled: Event, health: Health, notes: Say
) -> Source:
    """Opens the source of one stream of ``--config``.

    Args:
        stream: a stream of the file.
        patience: how a live source is supervised.
        cancelled: if it is set while the first frame is awaited, the wait ends.
        health: health of the stream.
        notes: prints a line on what the user would not expect.

    Raises:
        UserError: if there is nothing to read.
    """
    if stream.camera:
        return open_camera(_camera(stream.camera), CameraOptions(), patience, cancelled, health)
    address = expanded(stream.input, notes)
    hwaccel = hardware_decoder(stream.hwaccel, notes)
    return open_source(address, notes, patience, cancelled, health, stream.strict, stream.part, hwaccel)


def _pending_camera(text: str, options: CameraOptions, patience: LiveOptions) -> PendingSource:
    camera, health = _camera(text), Health(f"camera {text}", say=say)
    return PendingSource(
        health, may_be_away=True, open=lambda: open_camera(camera, options, patience, None, health)
    )


def _camera(text: str) -> int | str:
    """A number or a device.

    Raises:
        UsageError: if it is neither.
        UserError: if there is no such camera now.
    """
    if not text.isdecimal() and not text.startswith("/"):
        raise UsageError(f"--camera {text}: give a number, from 0, or a device (/dev/video0)")
    camera = int(text) if text.isdecimal() else text
    # Only a camera that was unplugged is waited for, not a wrong number.
    path = device_path(camera)
    if path is not None and not path.exists():
        raise UserError(
            f"there is no camera {text} on this machine: {path} does not exist; "
            "granet-run --list-cameras lists those that do"
        )
    return camera
