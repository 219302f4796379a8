"""The base of every engine that passes its frames to another engine."""

from runtime.engines.base import Derained, Engine
from runtime.engines.fitting import FittingPlan
from runtime.media.frame import Pixels


class ForwardingEngine(Engine):
    """Forwards the whole contract, so that a subclass cannot forget a part that it does not change.

    Args:
        engine: the engine to forward to.
    """

    def __init__(self, engine: Engine) -> None:
        self.info = engine.info
        self.concurrency = engine.concurrency
        self._engine = engine

    def derain(self, frames: Pixels, want_mask: bool) -> Derained:
        """See :meth:`Engine.derain`."""
        return self._engine.derain(frames, want_mask)

    def plan(self, height: int, width: int) -> FittingPlan:
        """See :meth:`Engine.plan`."""
        return self._engine.plan(height, width)

    def close(self) -> None:
        """Closes the wrapped engine."""
        self._engine.close()
