"""Dry frames pass through untouched and cost no inference.

Built to be wrong on the safe side: one frame with a little rain turns inference on, and only seconds
without any turn it off. What is dry to it is a scene in which fewer than half of the blocks have
anything bright, thin, long and near the vertical; a scene of railings or reeds in most of the picture is
taken for rain and computed as before. Rain that shows as mist, or as drops on the lens, is not seen.
"""

import numpy as np

from granet.app.console import Say
from granet.errors import UserError
from runtime.engines.base import Engine, EngineInfo
from runtime.engines.fitting import FittingPlan
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


class DrySkipper(Engine):
    """An engine that gives dry frames back as they are.

    Args:
        engine: computes the others.
        health: of the stream; counts the frames that are given back as they are.
        say: is told when frames begin to be skipped, and when they are computed again.
    """

    def __init__(self, engine: Engine, health: Health, say: Say) -> None:
        self.info: EngineInfo = engine.info
        self.has_mask = engine.has_mask
        self._engine, self._health, self._say = engine, health, say
        self._detector = DryDetector()
        self._was_dry = False

    def run(self, frames: Pixels) -> Pixels:
        """See :meth:`Engine.run`; frames are of one video, in order, and dry ones are copied."""
        return frames.copy() if self._skips(frames) else self._engine.run(frames)

    def run_with_mask(self, frames: Pixels) -> tuple[Pixels, Pixels]:
        """See :meth:`Engine.run_with_mask`; where it is dry the mask is empty."""
        if self._skips(frames):
            return frames.copy(), np.zeros_like(frames)
        return self._engine.run_with_mask(frames)

    def plan(self, height: int, width: int) -> FittingPlan:
        """See :meth:`Engine.plan`."""
        return self._engine.plan(height, width)

    def _skips(self, frames: Pixels) -> bool:
        dry = [self._detector.is_dry(frame) for frame in frames]
        if dry and dry[-1] != self._was_dry:
            self._was_dry = dry[-1]
            self._say("dry: frames pass as they are" if dry[-1] else "rain: frames are computed again")
        if not all(dry):
            return False
        self._health.dry(len(frames))
        return True

    def _infer(self, batch: Pixels) -> Pixels:
        raise UserError("a wrapper has no graph of its own")

    def close(self) -> None:
        """Closes the engine."""
        self._engine.close()
