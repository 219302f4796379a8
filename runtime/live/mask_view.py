"""The mask view: shows the removed rain instead of the rain-free picture."""

import numpy as np

from granet.app.console import Say
from runtime.engines.base import EngineInfo
from runtime.media.frame import Pixels
from runtime.views.rain_overlay import paint_rain, removed_rain, without_offset


class MaskView:
    """Paints the rain in light blue over a dark grey input.

    If the engine returns the coarse stage's rain mask, the view shows the part of the mask above its median
    over the frame, see :func:`runtime.views.rain_overlay.without_offset`. Otherwise it shows what the whole
    network removed, max(0, input - result). One line says which of the two is shown.

    Args:
        info: facts about the engine.
        say: called with one line that names the view.

    Attributes:
        needs_mask: whether :meth:`paint` needs the mask.
    """

    def __init__(self, info: EngineInfo, say: Say) -> None:
        self.needs_mask = info.has_mask
        self._colour = info.colour
        if self.needs_mask:
            say("showing the coarse stage's rain mask, minus its median over the frame")
        else:
            say(
                f"{info.backend} has no rain mask for this model (an ONNX model exported with --stages has "
                "one): showing input minus result"
            )

    def paint(self, before: Pixels, after: Pixels, mask: Pixels | None) -> Pixels:
        """Paints the view of one frame.

        Args:
            before: uint8 H x W x 3, the rainy frame.
            after: uint8 H x W x 3, the rain-free frame.
            mask: uint8 H x W x 3; ``None`` if and only if :attr:`needs_mask` is false.

        Returns:
            A new array, uint8 H x W x 3, in the engine's colour order.
        """
        rain = removed_rain(before, after) if mask is None else without_offset(mask)
        return paint_rain(before, rain, self._colour)

    def paint_dry(self, frame: Pixels) -> Pixels:
        """Paints the view of a frame from which nothing was removed; see :meth:`paint`."""
        return paint_rain(frame, np.zeros_like(frame), self._colour)
