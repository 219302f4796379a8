"""Skips inference for dry frames, which bypass the engine unchanged.

The detector errs on the safe side: one frame with a little rain turns inference on, and only seconds
without rain turn it off. Rain that is too faint for one frame is seen in several
(:mod:`runtime.views.faint_rain`). A scene counts as dry if fewer than half of its blocks contain anything
bright, thin, long and nearly vertical. A scene full of railings or reeds is taken for rain and computed as
usual. Rain that appears as mist, or as drops on the lens, is not detected.
"""

import numpy as np

from granet.app.console import Say
from runtime.media.frame import Pixels
from runtime.telemetry.health import Health
from runtime.views.faint_rain import FAINT_BELOW, FAINT_FROM, FaintRain
from runtime.views.rain_strength import block_strengths

WET_FROM = 0.02
"""Strength in grey levels from which a frame counts as rainy. Of 100 rainy pictures of Rain100L one is
below, of 52 photographs of rain none; light synthetic rain on dry videos is mostly above 0.07."""

DRY_BELOW = 0.01
"""Strength in grey levels below which a frame may be dry. Three dry videos have 0.000 throughout."""

EVERY = 5
"""Only every fifth frame is measured, which costs a fifth and detects rain up to four frames later."""

CALM = 12
"""Consecutive measured frames that must be dry before inference stops: 2 s at 30 fps."""


class DryDetector:
    """Decides for each frame of one video whether it is dry; the first frames count as rainy."""

    def __init__(self) -> None:
        self._seen = 0
        self._calm = 0
        self._dry = False
        self._faint = FaintRain()

    def is_dry(self, pixels: Pixels) -> bool:
        """Whether the next frame is dry; call it for every frame, uint8 H x W x 3 in any channel order."""
        is_measured = self._seen % EVERY == 0
        self._seen += 1
        if is_measured:
            blocks = block_strengths(pixels)
            self._update(float(np.median(blocks)), self._faint.strength_with(blocks))
        return self._dry

    def _update(self, strength: float, faint: float) -> None:
        if strength >= WET_FROM or (self._dry and faint >= FAINT_FROM):
            self._dry, self._calm = False, 0
        elif strength >= DRY_BELOW:
            # Undecided: keep the current state.
            self._calm = 0
        else:
            self._calm += 1
            self._dry = self._dry or (self._calm >= CALM and faint < FAINT_BELOW)


class DrySkipper:
    """Finds the frames of one video that need no inference.

    Args:
        health: health of the stream; counts the skipped frames.
        say: called with one line when skipping begins and when it ends.
    """

    def __init__(self, health: Health, say: Say) -> None:
        self._health, self._say = health, say
        self._detector = DryDetector()
        self._was_dry = False

    def skips(self, pixels: Pixels) -> bool:
        """Whether the next frame of the video is dry; call it for every frame, in order.

        Args:
            pixels: uint8 H x W x 3 in any channel order.
        """
        dry = self._detector.is_dry(pixels)
        if dry != self._was_dry:
            self._was_dry = dry
            self._say("dry: frames bypass the engine" if dry else "rain: frames pass through the engine")
        if dry:
            self._health.dry(1)
        return dry
