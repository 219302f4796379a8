"""A window on the screen."""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from granet.errors import UserError
from runtime.media.frame import Colour, Frame, Pixels
from runtime.sinks.base import Sink
from runtime.sinks.pace import Pace
from runtime.sources.base import StreamInfo
from runtime.telemetry.health import Health
from runtime.views.banner import draw_banner
from runtime.views.comparison import CutPicture, SideBySide

_TITLE = "granet-run: q or Esc closes"
_CLOSING_KEYS = {27, ord("q"), ord("Q")}
_SLIDER = "input | result"
_STEPS = 1000
_SLIDER_HEIGHT = 24
"""Height of the slider in the window, in pixels."""

# If the screen does not respond, Qt does not raise: it ends the process or hangs. A child process therefore
# tries first; it imports the libraries in the same order, which matters (see runtime/sinks/__init__.py).
_PROBE = "import {modules}; cv2.namedWindow('granet-run probe'); cv2.destroyAllWindows()"
_PROBE_SECONDS = 20
_FONTS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))


class WindowSink(Sink):
    """Shows frames in a window: those of a file no faster than it plays, those of a camera at once.

    The last picture stays until a key is pressed. q, Esc or closing the window ends the run. A stalled
    live stream shows a banner.

    Args:
        info: info of the source.
        health: health of the stream; ``None`` disables the banner.
        slider: show the input left and the result right of a slider in one picture, instead of side by
            side; the user can also drag in the picture.
        clock: monotonic clock in seconds.
        instead: says in errors what works without a screen.

    Raises:
        UserError: if there is no screen, or OpenCV cannot open windows.
    """

    shows = True
    main_thread = True

    def __init__(
        self,
        info: StreamInfo,
        health: Health | None = None,
        *,
        slider: bool = False,
        clock: Callable[[], float] = time.monotonic,
        instead: str = "add --output to write the result, or --no-window to only measure",
    ) -> None:
        self.name = "a window"
        self.wants_before = slider
        self._info, self._health, self._slider = info, health, slider
        self._instead = instead
        self._side_by_side, self._cut = SideBySide(), CutPicture()
        self._pace = Pace(live=info.live, clock=clock)
        self._newest: tuple[Pixels, Pixels | None] | None = None
        self._drawn: tuple[str | None, int] = (None, 0)
        """Banner and slider position of the picture on the screen."""
        self._released = False
        _check_screen(instead)

    def start(self, colour: Colour) -> None:
        """Opens the window."""
        super().start(colour)
        _find_fonts()
        _prefer_x11_of_the_system()
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise UserError(f"a window cannot be opened with this OpenCV; {self._instead}") from error
        if self._slider:
            cv2.createTrackbar(_SLIDER, _TITLE, _STEPS // 2, _STEPS, lambda place: None)
            cv2.setMouseCallback(_TITLE, self._drag)

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Shows a frame when it is due."""
        self._wait_until_due(frame)
        if not self.wants_more:
            return
        first = self._newest is None
        self._newest = (frame.pixels, None if before is None else before.pixels)
        self._draw(None, resize=first)
        self._take_key(1)

    def idle(self) -> None:
        """Handles keys and the slider, and adds a banner if the stream is stalled."""
        self._refresh()
        self._take_key(1)

    def release(self) -> None:
        """See :meth:`Sink.release`."""
        self._released = True

    def finish(self) -> None:
        """Keeps pictures on the screen until a key is pressed, then closes the window."""
        stays = self._newest is not None and self._info.kind == "pictures"
        while stays and self.wants_more and not self._released and self._take_key(50) < 0:
            self._refresh()
        self.abort()

    def abort(self) -> None:
        """Closes the window."""
        cv2.destroyAllWindows()

    def _take_key(self, milliseconds: int) -> int:
        key = cv2.waitKey(milliseconds)
        if not self._is_open() or (key >= 0 and key & 0xFF in _CLOSING_KEYS):
            self.wants_more = False
        return key

    def _is_open(self) -> bool:
        if self._newest is None:
            return True
        try:
            return cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:
            # Qt shuts down with its only window, and then the property cannot be read.
            return False

    def _refresh(self) -> None:
        """Redraws the newest picture if the slider has moved or the banner has changed."""
        if self._newest is None or not self.wants_more:
            return
        # Only a new picture removes the banner.
        banner = (None if self._health is None else self._health.banner()) or self._drawn[0]
        if (banner, self._place()) != self._drawn:
            self._draw(banner)

    def _draw(self, banner: str | None, *, resize: bool = False) -> None:
        assert self._newest is not None
        self._drawn = (banner, self._place())
        pixels = self._joined(*self._newest)
        if self._colour == "rgb":
            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)
        if resize:
            width, height = _window_size(*pixels.shape[:2])
            cv2.resizeWindow(_TITLE, width, height + (_SLIDER_HEIGHT if self._slider else 0))
        cv2.imshow(_TITLE, pixels if banner is None else draw_banner(pixels, banner))

    def _joined(self, after: Pixels, before: Pixels | None) -> Pixels:
        if before is None:
            return after
        if not self._slider:
            return self._side_by_side.join(before, after)
        return self._cut.join(before, after, after.shape[1] * self._drawn[1] // _STEPS)

    def _place(self) -> int:
        return cv2.getTrackbarPos(_SLIDER, _TITLE) if self._slider else 0

    def _drag(self, event: int, x: int, y: int, flags: int, parameter: Any) -> None:
        if flags & cv2.EVENT_FLAG_LBUTTON and self._newest is not None:
            cv2.setTrackbarPos(_SLIDER, _TITLE, min(_STEPS, max(0, _STEPS * x // self._newest[0].shape[1])))

    def _wait_until_due(self, frame: Frame) -> None:
        while self.wants_more and not self._released and (ahead := self._pace.ahead(frame)) > 0:
            self._refresh()
            self._take_key(max(1, min(50, int(ahead * 1000))))


def _window_size(height: int, width: int) -> tuple[int, int]:
    """(width, height) in pixels that fits on most screens."""
    scale = min(1.0, 1600 / width, 900 / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _find_fonts() -> None:
    """Points Qt to the system's fonts: OpenCV's Qt uses a missing folder, so the slider has no text."""
    if Path(os.environ.get("QT_QPA_FONTDIR", ".")).is_dir():
        return
    found = next((path for root in _FONTS for path in sorted(root.rglob("*.ttf"))), None)
    if found is not None:
        os.environ["QT_QPA_FONTDIR"] = str(found.parent)


def _prefer_x11_of_the_system() -> None:
    """Loads the system's libX11-xcb first, because windows can otherwise stay black.

    With the copy of libX11-xcb bundled by opencv-python 5.0, one start in ten on two busy cores lost the
    X server's events that map the window, and Qt never drew; with the system's library, none of 120 did.
    Without a system library (Debian: libx11-xcb1) this does nothing.
    """
    if sys.platform.startswith("linux"):
        with suppress(OSError):
            ctypes.CDLL("libX11-xcb.so.1", mode=ctypes.RTLD_GLOBAL)


def _check_screen(instead: str) -> None:
    linux = sys.platform.startswith("linux")
    if linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UserError(f"there is no screen to open a window on; {instead}")
    if not _opencv_has_windows():
        raise UserError(
            "this OpenCV cannot open windows: pip uninstall opencv-python-headless && pip install "
            f"opencv-python; or {instead}"
        )
    if linux:
        _probe_screen(instead)


def _opencv_has_windows() -> bool:
    """Whether OpenCV was built with a window system; opencv-python-headless was not."""
    return bool(cv2.currentUIFramework()) if hasattr(cv2, "currentUIFramework") else False


def _probe_screen(instead: str) -> None:
    modules = ", ".join(name for name in sys.modules if name in ("av", "cv2"))
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE.format(modules=modules)],
            capture_output=True,
            check=False,
            timeout=_PROBE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"the screen does not respond; {instead}") from None
    if probe.returncode != 0:
        raise UserError(f"a window cannot be opened on this screen; {instead}")
