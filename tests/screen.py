"""A real screen for the tests: Xvfb, looked at and clicked into over the X protocol."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.patience import PATIENCE

XVFB = shutil.which("Xvfb")
SIZE = (600, 800)


class Screen:
    """A screen of 800 x 600 pixels without a window manager. Needs python-xlib."""

    def __init__(self) -> None:
        from Xlib import X, display

        assert XVFB is not None
        read, write = os.pipe()
        self._process = subprocess.Popen(
            [XVFB, "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
            pass_fds=(write,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read) as told:
            self.name = f":{told.readline().strip()}"
        self._x: Any = X
        self._display: Any = display.Display(self.name)
        self._root: Any = self._display.screen().root

    def pixels(self) -> NDArray[np.uint8]:
        """A screenshot: uint8 H x W x 3, BGR."""
        image = self._root.get_image(0, 0, SIZE[1], SIZE[0], self._x.ZPixmap, 0xFFFFFFFF)
        return np.frombuffer(image.data, np.uint8).reshape(*SIZE, 4)[..., :3]

    def wait_for(self, condition: Callable[[NDArray[np.uint8]], object], what: str) -> NDArray[np.uint8]:
        """Waits until the picture on the screen is as asked; gives it."""
        deadline = time.monotonic() + PATIENCE
        while not condition(pixels := self.pixels()):
            assert time.monotonic() < deadline, f"waited in vain: {what}"
            time.sleep(0.02)
        return pixels

    def press(self, key: str) -> None:
        """Presses and releases a key, over the window: without a manager that is where keys go."""
        from Xlib import XK
        from Xlib.ext import xtest

        xtest.fake_input(self._display, self._x.MotionNotify, 0, x=20, y=20)
        code = self._display.keysym_to_keycode(XK.string_to_keysym(key))
        for event in (self._x.KeyPress, self._x.KeyRelease):
            xtest.fake_input(self._display, event, code)
        self._display.sync()

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Presses the left button at ``start`` = (x, y), and lets it go at ``end``."""
        from Xlib.ext import xtest

        steps: list[tuple[int, tuple[int, int] | None]] = [
            (self._x.MotionNotify, start),
            (self._x.ButtonPress, None),
            (self._x.MotionNotify, end),
            (self._x.ButtonRelease, None),
        ]
        for event, place in steps:
            x, y = place or (0, 0)
            xtest.fake_input(self._display, event, 0 if place else 1, x=x, y=y)
            self._display.sync()

    def close_window(self, title: str) -> None:
        """Asks the window to close, as a window manager does when its X is clicked."""
        from Xlib.protocol import event

        (window,) = [each for each in self._windows(self._root) if title in str(each.get_wm_name())]
        atoms = [self._display.intern_atom(name) for name in ("WM_PROTOCOLS", "WM_DELETE_WINDOW")]
        data = (32, [atoms[1], self._x.CurrentTime, 0, 0, 0])
        window.send_event(event.ClientMessage(window=window, client_type=atoms[0], data=data))
        self._display.sync()

    def close(self) -> None:
        """Ends the screen."""
        self._display.close()
        self._process.terminate()
        self._process.wait(PATIENCE)

    def _windows(self, window: Any) -> list[Any]:
        children = window.query_tree().children
        return [window, *(found for child in children for found in self._windows(child))]
