"""The rain instead of the picture: an engine whose result is the removed rain, painted over the input."""

import numpy as np

from granet.app.console import Say
from granet.errors import UserError
from runtime.engines.base import Engine, EngineInfo
from runtime.engines.fitting import FittingPlan
from runtime.media.frame import Pixels
from runtime.views.rain_overlay import paint_rain, removed_rain, without_offset


class MaskView(Engine):
    """Paints the rain in orange over a dark grey input.

    A model exported with ``--stages`` gives the coarse stage's rain mask itself, of which what exceeds its
    median over the frame is shown, see :func:`runtime.views.rain_overlay.without_offset`. Of any other the
    view is what the whole network took away, max(0, input - result). It is told which.

    Args:
        engine: computes the rain.
        say: is told which of the two it is.
    """

    def __init__(self, engine: Engine, say: Say) -> None:
        self.info: EngineInfo = engine.info
        self._engine = engine
        if engine.has_mask:
            say("shown is the coarse stage's rain mask, less its median over the frame")
        else:
            say(
                "this model gives no rain mask (granet-export onnx --stages makes one that does): "
                "shown is what was removed, input minus result"
            )

    def run(self, frames: Pixels) -> Pixels:
        """uint8 N x H x W x 3 -> the view of it, same shape; see :meth:`Engine.run`."""
        if self._engine.has_mask:
            rain = np.stack([without_offset(mask) for mask in self._engine.run_with_mask(frames)[1]])
        else:
            rain = removed_rain(frames, self._engine.run(frames))
        view = frames.copy()
        for frame, streaks, target in zip(frames, rain, view, strict=True):
            target[:] = paint_rain(frame, streaks, self.info.colour)
        return view

    def plan(self, height: int, width: int) -> FittingPlan:
        """See :meth:`Engine.plan`."""
        return self._engine.plan(height, width)

    def _infer(self, batch: Pixels) -> Pixels:
        raise UserError("a wrapper has no graph of its own")

    def close(self) -> None:
        """Closes the engine."""
        self._engine.close()
