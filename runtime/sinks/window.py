"""A window on the screen."""

import os
import subprocess
import sys

import cv2
import numpy as np

from granet.errors import UserError
from runtime.compare import SideBySide
from runtime.frame import Colour, Frame, Pixels
from runtime.health import Health
from runtime.sinks.banner import draw_banner
from runtime.sinks.base import Sink
from runtime.sinks.pace import Pace
from runtime.sources.base import StreamInfo

_TITLE = "granet-run: q or Esc closes"
_CLOSING_KEYS = {27, ord("q"), ord("Q")}
_SLIDER = "input | result"
_STEPS = 1000
_HINT = "add --output to write the result, or --no-window to only measure"
# Qt does not fail without a screen that answers: it ends the process. So another process tries first.
_PROBE = "import cv2; cv2.namedWindow('granet-run probe'); cv2.destroyAllWindows()"
_PROBE_SECONDS = 20


class WindowSink(Sink):
    """Shows frames: those of a file no faster than the file plays, those of a camera as they come.

    Pictures stay until a key is pressed after the last one. q, Esc or closing the window ends the run.
    A camera's picture that stands still says so.

    Args:
        info: of the source.
        health: of the stream; ``None`` if nothing can stand still.
        slider: input left of a slider and result right of it, in one picture, instead of side by side.

    Raises:
        UserError: if there is no screen.
    """

    shows = True
    main_thread = True

    def __init__(self, info: StreamInfo, health: Health | None = None, *, slider: bool = False) -> None:
        self.name = "a window"
        self.wants_before = slider
        self._info, self._health, self._slider = info, health, slider
        self._side_by_side = SideBySide()
        self._pace = Pace(live=info.live)
        self._shown = False
        self._picture: Pixels | None = None
        self._banner: str | None = None
        _check_screen()

    def start(self, colour: Colour) -> None:
        """Opens the window."""
        super().start(colour)
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error as error:
            raise UserError(f"a window cannot be opened with this OpenCV; {_HINT}") from error
        if self._slider:
            cv2.createTrackbar(_SLIDER, _TITLE, _STEPS // 2, _STEPS, lambda place: None)

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Shows a frame when it is due."""
        pixels = frame.pixels if before is None else self._joined(before.pixels, frame.pixels)
        if self._colour == "rgb":
            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)
        self._wait_until_due(frame)
        if not self._shown:
            cv2.resizeWindow(_TITLE, *_window_size(*pixels.shape[:2]))
        cv2.imshow(_TITLE, pixels)
        self._shown, self._picture, self._banner = True, pixels, None
        self._take_key(1)

    def idle(self) -> None:
        """Takes keys, notices a closed window, and says it on the picture if that stands still."""
        banner = None if self._health is None else self._health.banner()
        if banner is not None and banner != self._banner and self._picture is not None:
            self._banner = banner
            cv2.imshow(_TITLE, draw_banner(self._picture, banner))
        self._take_key(1)

    def finish(self) -> None:
        """Leaves pictures on the screen until a key is pressed; closes the window."""
        while self._shown and self._info.kind == "pictures" and self.wants_more and self._take_key(50) < 0:
            pass
        self.abort()

    def abort(self) -> None:
        """Closes the window."""
        cv2.destroyAllWindows()

    def _take_key(self, milliseconds: int) -> int:
        key = cv2.waitKey(milliseconds)
        closed = self._shown and cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1
        if closed or (key >= 0 and key & 0xFF in _CLOSING_KEYS):
            self.wants_more = False
        return key

    def _joined(self, before: Pixels, after: Pixels) -> Pixels:
        if not self._slider:
            return self._side_by_side.join(before, after)
        cut = after.shape[1] * cv2.getTrackbarPos(_SLIDER, _TITLE) // _STEPS
        joined = np.hstack([before[:, :cut], after[:, cut:]])
        joined[:, max(0, cut - 1) : cut + 1] = 255
        return joined

    def _wait_until_due(self, frame: Frame) -> None:
        while self.wants_more and (ahead := self._pace.ahead(frame)) > 0:
            self._take_key(max(1, min(50, int(ahead * 1000))))


def _window_size(height: int, width: int) -> tuple[int, int]:
    """(width, height) that fits on most screens."""
    scale = min(1.0, 1600 / width, 900 / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _check_screen() -> None:
    if not sys.platform.startswith("linux"):
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UserError(f"there is no screen to open a window on; {_HINT}")
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, check=False, timeout=_PROBE_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"the screen does not answer; {_HINT}") from None
    if probe.returncode != 0:
        raise UserError(f"a window cannot be opened on this screen; {_HINT}")
