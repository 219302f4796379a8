"""A virtual camera that other programs can open, provided by pyvirtualcam."""

from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np

from granet.app.extras import missing_packages
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


class VirtualCameraSink(Sink):
    """Shows the newest picture in a virtual camera, with a banner while the stream is stalled.

    Args:
        device: device name (``/dev/video4``); ``None`` uses the first free device.
        info: info of the source.
        health: health of the stream.

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
            raise missing_packages("a virtual camera", "pyvirtualcam") from None

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Shows a frame; see :meth:`Sink.write`."""
        pixels = frame.pixels if before is None else self._side_by_side.join(before.pixels, frame.pixels)
        if self._camera is None:
            self._camera = self._open(pixels.shape[0], pixels.shape[1])
        self._picture, self._banner = fitted(pixels, (self._camera.height, self._camera.width)), None
        self._pace.wait(frame)
        self._camera.send(self._picture)

    def idle(self) -> None:
        """Adds a banner to the picture if the stream is stalled."""
        banner = self._health.banner()
        if banner is not None and banner != self._banner and self._picture is not None:
            self._banner = banner
            self._camera.send(draw_banner(self._picture, banner))

    def release(self) -> None:
        """See :meth:`Sink.release`."""
        self._pace.release()

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
            # pyvirtualcam joins the reasons of all its backends; on Linux the only one is v4l2loopback.
            reason = " ".join(str(error).split())
            raise UserError(f"{self.name}: cannot be opened: {reason}") from error
