"""Decoding on hardware: only if asked for by name, and never in silence."""

from typing import Literal

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from granet.app.console import Say
from granet.errors import UserError

Hwaccel = Literal["auto", "cuda", "vaapi", "qsv", "videotoolbox", "none"]

DEVICES: tuple[Hwaccel, ...] = ("cuda", "vaapi", "qsv", "videotoolbox")
"""In the order in which ``auto`` tries them."""

_USUAL = "h264"
"""A codec that every device decodes."""


def hardware_decoder(name: Hwaccel, say: Say) -> HWAccel | None:
    """The device to decode on; ``None`` for the CPU.

    Args:
        name: ``auto`` is the first device that works here, and the CPU for streams that it cannot decode.
        say: called with what ``auto`` has chosen.

    Raises:
        UserError: if this FFmpeg cannot use the device, or the machine does not have it.
    """
    if name == "none":
        return None
    if name != "auto":
        _require(name)
        return HWAccel(name, allow_software_fallback=False)
    for device in DEVICES:
        try:
            _require(device)
        except UserError:
            continue
        say(f"--hwaccel auto: decoding on {device}")
        return HWAccel(device, allow_software_fallback=True)
    say("--hwaccel auto: no hardware decoder works here; decoding on the CPU")
    return None


def _require(device: str) -> None:
    known = hwdevices_available()
    if device not in known:
        raise UserError(
            f"--hwaccel {device}: this FFmpeg does not decode on it (it knows {', '.join(known) or 'none'}); "
            "leave the option out to decode on the CPU"
        )
    try:
        HWAccel(device).create(av.Codec(_USUAL, "r"))
    except NotImplementedError:
        why = f"the {_USUAL} decoder of this FFmpeg does not use it"
    except av.FFmpegError:
        why = "needs hardware or a driver that this machine lacks"
    else:
        return
    raise UserError(f"--hwaccel {device}: {why}; leave the option out to decode on the CPU")
