"""A camera of this machine that other programs can open, made by pyvirtualcam."""

import time
from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np

from granet.errors import UserError
from runtime.media.frame import Frame
from runtime.sinks.base import Sink
from runtime.sinks.pace import Pace
from runtime.sources.base import StreamInfo
from runtime.telemetry.health import Health
from runtime.views.banner import draw_banner
from runtime.views.comparison import SideBySide
from runtime.views.letterbox import fitted

VIRTUAL_CAMERA = "virtual-camera"
_INSTALL = 'pip install "granet-deploy[virtual-camera]"'


class VirtualCameraSink(Sink):
    """Shows the newest picture in a virtual camera; one that stands still says so.

    Args:
        device: as the system names it (``/dev/video4``); ``None`` takes the first that is free.
        info: of the source.
        health: of the stream.

    Raises:
        UserError: if pyvirtualcam is not installed.
    """

    shows = True

    def __init__(self, device: str | None, info: StreamInfo, health: Health) -> None:
        self.name = device or "a virtual camera"
        self._device, self._info, self._health = device, info, health
        self._camera: Any = None
        self._picture: np.ndarray[Any, np.dtype[np.uint8]] | None = None
        self._banner: str | None = None
        self._side_by_side = SideBySide()
        self._pace = Pace(live=info.live)
        try:
            self._library: Any = import_module("pyvirtualcam")
        except ImportError:
            raise UserError(f"a virtual camera needs pyvirtualcam: {_INSTALL}") from None

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Shows a frame; see :meth:`Sink.write`."""
        pixels = frame.pixels if before is None else self._side_by_side.join(before.pixels, frame.pixels)
        if self._camera is None:
            self._camera = self._open(pixels.shape[0], pixels.shape[1])
        self._picture, self._banner = fitted(pixels, (self._camera.height, self._camera.width)), None
        time.sleep(max(0.0, self._pace.ahead(frame)))
        self._camera.send(self._picture)

    def idle(self) -> None:
        """Says it on the picture if that stands still."""
        banner = self._health.banner()
        if banner is not None and banner != self._banner and self._picture is not None:
            self._banner = banner
            self._camera.send(draw_banner(self._picture, banner))

    def finish(self) -> None:
        """Closes the camera."""
        self.abort()

    def abort(self) -> None:
        """Closes the camera."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def _open(self, height: int, width: int) -> Any:
        library = self._library
        order = library.PixelFormat.BGR if self._colour == "bgr" else library.PixelFormat.RGB
        try:
            return library.Camera(
                width=width // 2 * 2,
                height=height // 2 * 2,
                fps=float(self._info.rate or Fraction(30)),
                fmt=order,
                device=self._device,
            )
        except RuntimeError as error:
            # It joins the reasons of all of its backends; on Linux that is v4l2loopback's.
            reason = " ".join(str(error).split())
            raise UserError(f"{self.name}: cannot be opened: {reason}") from error
