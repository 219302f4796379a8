"""The newest frame as JPEG in each requested view; it costs nothing without a viewer."""

import threading
from collections.abc import Callable
from typing import Literal, get_args

import cv2
import numpy as np

from runtime.media.frame import Colour, Frame, Pixels
from runtime.media.newest import Newest
from runtime.views.banner import draw_banner
from runtime.views.comparison import SideBySide
from runtime.views.rain_overlay import paint_rain, removed_rain

PageView = Literal["result", "input", "pair", "compare", "mask"]
"""*pair* is input and result without a divider, for the page's script; *compare* has divider and labels;
*mask* is the removed rain, painted over the input."""

VIEWS: tuple[PageView, ...] = get_args(PageView)
WIDEST = 1280
"""Width in pixels to which wider frames are downscaled for the page."""

_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 80]
_EMPTY = (360, 640)


class PagePictures:
    """Holds the newest frame. Offering one never blocks; the first viewer encodes it, for all viewers.

    Before the first frame each view is an empty picture that says so.

    Attributes:
        colour: channel order of the frames; set it before the first one.

    Args:
        banner: returns the banner of a stalled stream; ``None`` if the picture is fresh.
        painted: whether the frames are results with the removed rain already painted over them.
    """

    def __init__(self, banner: Callable[[], str | None], *, painted: bool = False) -> None:
        self.colour: Colour = "bgr"
        self._banner, self._painted = banner, painted
        self._newest: Newest[tuple[Frame, Frame | None]] = Newest()
        self._encoding = threading.Lock()
        self._encoded: dict[PageView, tuple[tuple[int, str | None], bytes]] = {}
        self._side_by_side = SideBySide()

    def offer(self, frame: Frame, before: Frame | None) -> None:
        """Replaces the newest frame."""
        self._newest.put((frame, before))

    def wait_newer(self, seen: int, seconds: float) -> int:
        """Number of the newest frame, from 1; waits at most ``seconds`` until it differs from ``seen``."""
        return self._newest.wait_newer(seen, seconds)

    def jpeg(self, view: PageView) -> bytes:
        """The newest picture as a JPEG file, with a banner if the stream is stalled."""
        newest, serial = self._newest.peek()
        key = (serial, self._banner())
        with self._encoding:
            cached = self._encoded.get(view)
            if cached is None or cached[0] != key:
                cached = self._encoded[view] = (key, self._encode(view, newest, key[1]))
            return cached[1]

    def _encode(self, view: PageView, newest: tuple[Frame, Frame | None] | None, banner: str | None) -> bytes:
        pixels = self._paint(view, newest, banner)
        if self.colour == "rgb":
            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)
        good, data = cv2.imencode(".jpg", pixels, _QUALITY)
        assert good
        return data.tobytes()

    def _paint(self, view: PageView, newest: tuple[Frame, Frame | None] | None, banner: str | None) -> Pixels:
        if newest is None:
            empty = np.full((*_EMPTY, 3), 24, np.uint8)
            picture = draw_banner(empty, banner or "no picture yet")
            return np.hstack([picture, picture]) if view == "pair" else picture
        after = _shrunk(newest[0].pixels)
        before = after if newest[1] is None else _shrunk(newest[1].pixels)
        if view == "mask" and self._painted:
            before = after
        elif view == "mask":
            before = after = paint_rain(before, removed_rain(before, after), self.colour)
        if banner is not None:
            before, after = draw_banner(before, banner), draw_banner(after, banner)
        if view == "pair":
            return np.hstack([before, after])
        if view == "compare":
            return self._side_by_side.join(before, after)
        return before if view == "input" else after


def _shrunk(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    if width <= WIDEST:
        return pixels
    size = (WIDEST, max(1, round(height * WIDEST / width)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
