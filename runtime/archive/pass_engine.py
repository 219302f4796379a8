"""An engine that returns its frames unchanged, for segments that cannot be derained."""

from granet.size_rule import SizeRule
from runtime.engines.base import EngineInfo, GraphEngine
from runtime.engines.fitting import FrameFit
from runtime.media.frame import Pixels


class PassEngine(GraphEngine):
    """Returns every frame as it is."""

    def __init__(self) -> None:
        fit = FrameFit(SizeRule(multiple=1, extent=None))
        self.info = EngineInfo("none", "cpu", "none", "uint8", "bgr", fit, "frames pass through unchanged")

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        return (batch.copy(),)
