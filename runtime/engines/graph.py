"""The base of every engine that computes: it checks frames and fits them to the size of its graph."""

from abc import abstractmethod

import numpy as np

from granet.errors import UserError
from runtime.engines.base import Derained, Engine
from runtime.engines.fitting import FittingPlan
from runtime.media.frame import Pixels


class GraphEngine(Engine):
    """An engine with a graph, local or on a server, that computes on the sizes in ``info.fit``.

    Subclasses set :attr:`info`, implement :meth:`_infer` and, if they hold resources, :meth:`close`.
    """

    concurrency = 1

    def derain(self, frames: Pixels, want_mask: bool) -> Derained:
        """See :meth:`Engine.derain`."""
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
            raise UserError(f"frames must be uint8 N x H x W x 3, not {frames.dtype} {frames.shape}")
        if want_mask and not self.info.has_mask:
            raise UserError(f"{self.info.model}: has no rain mask: export it with --stages")
        plan = self.plan(frames.shape[1], frames.shape[2])
        return Derained(*plan.run(frames, lambda batch: self._infer(batch, want_mask)))

    def plan(self, height: int, width: int) -> FittingPlan:
        """See :meth:`Engine.plan`."""
        return self.info.fit.plan(height, width)

    @abstractmethod
    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        """Runs the graph once.

        Args:
            batch: uint8 n x h x w x 3 of a size that ``info.fit`` allows, C-contiguous. Must not be
                modified.
            want_mask: true only if ``info.has_mask`` is true.

        Returns:
            The rain-free frames and, if requested, the mask: new arrays of the shape of ``batch``.
        """

    def close(self) -> None:
        """See :meth:`Engine.close`. Does nothing here: not every backend holds resources."""
