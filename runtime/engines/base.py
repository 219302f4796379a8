"""What an engine is: uint8 frames in, rain-free uint8 frames out. One contract for every backend."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from typing_extensions import Self

from granet.errors import UserError
from runtime.engines.fitting import FittingPlan, FrameFit
from runtime.media.frame import Colour, Pixels


@dataclass(frozen=True)
class EngineInfo:
    """What a person and a report are told about an engine.

    Attributes:
        backend: ``torch``, ``onnxruntime``, ``openvino``, ...
        device: what it really runs on, as the backend names it (``cpu``, ``cuda:0``, ...).
        model: file name of the model.
        precision: ``fp32``, ``fp16``, ``int8``, ... as the model's manifest says.
        colour: channel order of the frames that :meth:`Engine.run` takes and returns.
        fit: the frame sizes the graph computes on.
        description: one line for people: backend, its version, device, precision, sizes.
    """

    backend: str
    device: str
    model: str
    precision: str
    colour: Colour
    fit: FrameFit
    description: str


class Engine(ABC):
    """A loaded model.

    Subclasses implement :meth:`_infer` and, if they hold anything, :meth:`close`; where the graph may
    give its rain mask, also :meth:`_infer_with_mask`.

    Attributes:
        info: what it is.
        has_mask: whether :meth:`run_with_mask` can be called.
        concurrency: how many threads may call :meth:`run` at once. With 1 it is one at a time, from any
            thread; an engine on a GPU says 3, and then overlaps the copies of their frames with computing.
    """

    info: EngineInfo
    has_mask: bool = False
    concurrency = 1

    def run(self, frames: Pixels) -> Pixels:
        """Removes rain from a batch of frames of any size.

        Frames the graph does not compute on as they are get padded (by reflection) or, where the
        graph is static and smaller, cut into overlapping tiles; :mod:`runtime.engines.fitting` does it for
        every engine.

        Args:
            frames: uint8 N x H x W x 3 in ``info.colour`` order, H and W from 16 up. Need not be
                contiguous. Not modified.

        Returns:
            uint8, same shape and colour order; a new array that the caller owns.

        Raises:
            UserError: if shape or dtype are not these.
        """
        return self._plan_for(frames).run(frames, self._infer)

    def run_with_mask(self, frames: Pixels) -> tuple[Pixels, Pixels]:
        """As :meth:`run`, and the coarse stage's rain mask; the network runs once.

        Args:
            frames: see :meth:`run`.

        Returns:
            The rain-free frames, and the grey levels that the mask takes away, below 0 as 0: uint8 of
            the same shape and colour order.

        Raises:
            UserError: if the frames are not as :meth:`run` says, or :attr:`has_mask` is false.
        """
        masks: list[Pixels] = []

        def infer(batch: Pixels) -> Pixels:
            result, mask = self._infer_with_mask(batch)
            masks.append(mask)
            return result

        plan = self._plan_for(frames)
        results = plan.run(frames, infer)
        # The same cuts come in the same order again.
        return results, plan.run(frames, lambda batch: masks.pop(0))

    def plan(self, height: int, width: int) -> FittingPlan:
        """How frames of ``height`` x ``width`` pixels are brought to the graph and back.

        Raises:
            UserError: if the graph cannot take such frames at all.
        """
        return self.info.fit.plan(height, width)

    @abstractmethod
    def _infer(self, batch: Pixels) -> Pixels:
        """uint8 n x h x w x 3 of a size that ``info.fit`` allows, C-contiguous -> same shape."""

    def _infer_with_mask(self, batch: Pixels) -> tuple[Pixels, Pixels]:
        """As :meth:`_infer`, and the mask, of the same shape; called only if :attr:`has_mask`."""
        raise UserError(f"{self.info.model}: gives no rain mask: export it with --stages")

    def _plan_for(self, frames: Pixels) -> FittingPlan:
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
            raise UserError(f"frames must be uint8 N x H x W x 3, not {frames.dtype} {frames.shape}")
        return self.plan(frames.shape[1], frames.shape[2])

    def close(self) -> None:  # noqa: B027 - not every backend holds something
        """Releases what the engine holds; it cannot be used after. May be called twice."""

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes."""
        self.close()
