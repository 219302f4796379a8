"""The rain instead of the picture: what was removed from a frame, painted over it."""

import numpy as np

from granet.app.console import Say
from runtime.engines.base import EngineInfo
from runtime.media.frame import Pixels
from runtime.views.rain_overlay import paint_rain, removed_rain, without_offset


class MaskView:
    """Paints the rain in orange over a dark grey input.

    Where the engine gives the coarse stage's rain mask, the view is what of the mask exceeds its median over
    the frame, see :func:`runtime.views.rain_overlay.without_offset`. Otherwise it is what the whole network
    took away, max(0, input - result). The user reads which of the two it is.

    Args:
        info: of the engine.
        say: prints which view it is.

    Attributes:
        needs_mask: whether :meth:`paint` needs the mask.
    """

    def __init__(self, info: EngineInfo, say: Say) -> None:
        self.needs_mask = info.has_mask
        self._colour = info.colour
        if self.needs_mask:
            say("showing the coarse stage's rain mask, less its median over the frame")
        else:
            say(
                f"{info.backend} gives no rain mask of this model (an ONNX model exported with --stages has "
                "one): showing what was removed, input minus result"
            )

    def paint(self, before: Pixels, after: Pixels, mask: Pixels | None) -> Pixels:
        """The view of one frame.

        Args:
            before: uint8 H x W x 3, the frame with the rain in it.
            after: uint8 H x W x 3, the rain-free frame.
            mask: uint8 H x W x 3; ``None`` exactly if it is not needed.

        Returns:
            uint8 H x W x 3, new, in the engine's colour order.
        """
        rain = removed_rain(before, after) if mask is None else without_offset(mask)
        return paint_rain(before, rain, self._colour)

    def paint_dry(self, frame: Pixels) -> Pixels:
        """The view of a frame that nothing was removed from; as :meth:`paint`."""
        return paint_rain(frame, np.zeros_like(frame), self._colour)
