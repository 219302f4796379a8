"""Dry frames pass through untouched and cost no inference.

Built to be wrong on the safe side: one frame with a little rain turns inference on, and only seconds
without any turn it off. What is dry to it is a scene in which fewer than half of the blocks have
anything bright, thin, long and near the vertical; a scene of railings or reeds in most of the picture is
taken for rain and computed as before. Rain that shows as mist, or as drops on the lens, is not seen.
"""

from granet.app.console import Say
from runtime.media.frame import Pixels
from runtime.telemetry.health import Health
from runtime.views.rain_strength import rain_strength

WET_FROM = 0.02
"""Strength, in grey levels, from which a frame has rain. Of 100 rainy pictures of Rain100L one is below,
of 52 photographs of rain none; light synthetic rain on dry videos is mostly above 0.07."""

DRY_BELOW = 0.01
"""Strength below which a frame may be dry. Three dry videos have 0.000 throughout."""

EVERY = 5
"""One frame of so many is looked at: rain is noticed that much later, and looking costs that much less."""

CALM = 12
"""Frames looked at in a row that must be dry before inference stops: 2 s at 30 frames a second."""


class DryDetector:
    """Says of frame after frame of one video whether it is dry; at first none is."""

    def __init__(self) -> None:
        self._seen = 0
        self._calm = 0
        self._dry = False

    def is_dry(self, pixels: Pixels) -> bool:
        """Takes the next frame, uint8 H x W x 3 in any channel order."""
        look = self._seen % EVERY == 0
        self._seen += 1
        if look:
            self._look(rain_strength(pixels))
        return self._dry

    def _look(self, strength: float) -> None:
        if strength >= WET_FROM:
            self._dry, self._calm = False, 0
        elif strength >= DRY_BELOW:
            # Neither: what it was, it stays.
            self._calm = 0
        else:
            self._calm += 1
            self._dry = self._dry or self._calm >= CALM


class DrySkipper:
    """Finds the frames of one video that need no inference.

    Args:
        health: of the stream; counts the frames that are skipped.
        say: prints a line when skipping begins and when it ends.
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
            self._say("dry: frames pass as they are" if dry else "rain: frames are computed again")
        if dry:
            self._health.dry(1)
        return dry
