"""Engines without a model, for what surrounds the engine."""

import random
import time

import numpy as np

from granet.size_rule import SizeRule
from runtime.engines.base import EngineInfo, GraphEngine
from runtime.engines.fitting import FrameFit
from runtime.media.frame import Colour, Pixels


class FakeEngine(GraphEngine):
    """Gives every frame back, inverted if asked to.

    ``seconds`` is how long a frame takes; ``jitter`` is added at random, up to so many seconds.
    """

    def __init__(
        self,
        colour: Colour = "bgr",
        *,
        invert: bool = False,
        seconds: float = 0.0,
        jitter: float = 0.0,
        fit: FrameFit | None = None,
    ) -> None:
        fit = fit or FrameFit(SizeRule(multiple=1, extent=None))
        self.info = EngineInfo("fake", "cpu", "fake.onnx", "fp32", colour, fit, "fake, cpu, fp32")
        self.calls = 0
        self._invert, self._seconds, self._jitter = invert, seconds, jitter
        self._random = random.Random(0)

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        self.calls += 1
        wait = self._seconds + self._random.uniform(0, self._jitter)
        if wait:
            time.sleep(wait)
        return (np.asarray(255 - batch, np.uint8) if self._invert else batch.copy(),)
