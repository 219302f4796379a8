"""Live frames of a ``cv2.VideoCapture``."""

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import cv2
import numpy as np

from granet.data.opencv_log import silence_opencv
from granet.errors import UserError
from runtime.media.frame import Colour, Frame, Pixels
from runtime.sources.base import Source, StreamInfo

TIME_BASE = Fraction(1, 90_000)
"""Seconds per unit of a captured frame's timestamp, which is the time of its read."""

PATIENCE = 5.0
"""Seconds without a frame after which a camera counts as lost."""

_PAUSE = 0.01


class CaptureSource(Source):
    """Live frames of a capture; each timestamp is the time of the read, counted from 0.

    Args:
        name: display name.
        make: opens the capture.
        missing: error message if it does not open.
        check: called with the opened capture and its first frame; raises if they do not match the request.
        gone: whether the device has been unplugged; called when a read fails.

    Raises:
        UserError: if the capture does not open or delivers no frame.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], cv2.VideoCapture],
        missing: str,
        check: Callable[[cv2.VideoCapture, Pixels], None] = lambda capture, first: None,
        gone: Callable[[], bool] = lambda: False,
    ) -> None:
        self._name, self._gone = name, gone
        self._busy = threading.Lock()
        silence_opencv()
        self._capture = make()
        opened = self._capture.isOpened()
        first = self._read() if opened else None
        try:
            if first is None:
                silent = "delivers no frames; is another program using it?"
                raise UserError(f"{name}: {silent if opened else missing}")
            check(self._capture, first)
        except UserError:
            self.close()
            raise
        self._first: Pixels | None = first
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.info = StreamInfo(
            name=name,
            kind="camera",
            live=True,
            rate=Fraction(rate).limit_denominator(1001) if 1 <= rate <= 1000 else Fraction(30),
            time_base=TIME_BASE,
            size=(first.shape[0], first.shape[1]),
        )

    def frames(self, colour: Colour) -> Iterator[Frame]:
        """The frames, until none arrives for :data:`PATIENCE`; see :meth:`Source.frames`."""
        start, last, index = time.monotonic(), -1, 0
        while True:
            pixels = self._next()
            pts = max(last + 1, int((time.monotonic() - start) / TIME_BASE))
            if colour == "rgb":
                pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
            yield Frame(pixels, index, pts, TIME_BASE)
            last, index = pts, index + 1

    def close(self) -> None:
        """Releases the camera."""
        if self._busy.acquire(timeout=PATIENCE):
            self._capture.release()
            self._busy.release()

    def _next(self) -> Pixels:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            pixels = self._read()
            if pixels is not None:
                return pixels
            if self._gone():
                raise UserError(f"{self._name}: was unplugged")
            time.sleep(_PAUSE)
        raise UserError(f"{self._name}: delivered no frame for {PATIENCE:g} s")

    def _read(self) -> Pixels | None:
        """uint8 H x W x 3, BGR; ``None`` if the read fails."""
        try:
            with self._busy:
                good, pixels = self._capture.read()
        except cv2.error:
            return None
        return np.asarray(pixels, np.uint8) if good and pixels is not None and pixels.ndim == 3 else None
