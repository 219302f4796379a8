"""The contract of all engines: uint8 frames in, rain-free uint8 frames out.

:class:`Engine` is the contract and holds no machinery. An engine that computes derives from
:class:`GraphEngine`; an engine that passes its frames to another engine derives from
:class:`ForwardingEngine`.
"""

from abc import abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self, overload, runtime_checkable

import numpy as np

from granet.errors import UserError
from runtime.engines.fitting import FittingPlan, FrameFit
from runtime.media.frame import Colour, Pixels


class EngineReplacedError(UserError):
    """Another model is now where the engine was: no later call can work, and the run has to begin anew."""


class EngineAwayError(UserError):
    """The engine computes elsewhere and cannot be reached, or is too busy; the same call may work later."""


@dataclass(frozen=True)
class EngineInfo:
    """Facts about an engine, for people and reports.

    Attributes:
        backend: ``torch``, ``onnxruntime``, ``openvino``, ...
        device: the device it really runs on, as the backend names it (``cpu``, ``cuda:0``, ...).
        model: file name of the model.
        precision: ``fp32``, ``fp16``, ``int8``, ... as stated in the model's manifest.
        colour: channel order of the frames that :meth:`Engine.run` takes and returns.
        fit: the frame sizes the graph computes on.
        description: one line for people: backend, its version, device, precision, sizes.
        has_mask: whether it can return the rain mask of the coarse stage.
    """

    backend: str
    device: str
    model: str
    precision: str
    colour: Colour
    fit: FrameFit
    description: str
    has_mask: bool = False


class Derained(NamedTuple):
    """The results of an engine for a batch of frames.

    Attributes:
        frames: uint8 N x H x W x 3, the rain-free frames; owned by the caller.
        mask: uint8 N x H x W x 3, the coarse stage's rain mask: the grey levels to subtract, clamped
            at 0. ``None`` if it was not requested.
    """

    frames: Pixels
    mask: Pixels | None = None


@runtime_checkable
class Engine(Protocol):
    """A loaded model. Use it as a context manager, or call :meth:`close`.

    >>> import runtime
    >>> from runtime.models.packaged import FLOAT32
    >>> with runtime.open_engine(FLOAT32, device="cpu") as engine:
    ...     isinstance(engine, runtime.Engine), engine.info.precision
    (True, 'fp32')

    Attributes:
        info: facts about the engine.
        concurrency: number of threads that may call it at once. With 1, any thread may call it, one at a
            time. An engine on a GPU states 3, to overlap copies with compute; one on a server may state
            more.
    """

    info: EngineInfo
    concurrency: int

    @overload
    def run(self, frames: Pixels, want_mask: Literal[False] = False) -> Pixels: ...

    @overload
    def run(self, frames: Pixels, want_mask: Literal[True]) -> tuple[Pixels, Pixels]: ...

    def run(self, frames: Pixels, want_mask: bool = False) -> Pixels | tuple[Pixels, Pixels]:
        """Removes rain from a batch of frames of any size.

        Frames of a size that the graph does not take are padded by reflection or, if the graph is static
        and smaller, cut into overlapping tiles (:mod:`runtime.engines.fitting`).

        Args:
            frames: uint8 N x H x W x 3 in ``info.colour`` order, H and W from 16 up. Need not be
                contiguous. Not modified.
            want_mask: also return the rain mask; the network still runs once.

        Returns:
            The rain-free frames: uint8, same shape and colour order, a new array that the caller owns.
            With ``want_mask`` the pair ``(frames, mask)``; see :class:`Derained` for the mask.

        Raises:
            UserError: if shape or dtype differ from these, the mask is requested and ``info.has_mask`` is
                false, or the engine is closed.
        """
        result = self.derain(frames, want_mask)
        return result.frames if result.mask is None else (result.frames, result.mask)

    @abstractmethod
    def derain(self, frames: Pixels, want_mask: bool) -> Derained:
        """Does the work of :meth:`run`, which is built on it; subclasses implement this method.

        Args:
            frames: see :meth:`run`.
            want_mask: see :meth:`run`.

        Returns:
            The frames, and the mask if and only if ``want_mask`` is true.

        Raises:
            UserError: see :meth:`run`.
        """

    @abstractmethod
    def plan(self, height: int, width: int) -> FittingPlan:
        """How frames of ``height`` x ``width`` pixels are fitted to the graph.

        Raises:
            UserError: if the graph cannot take frames of this size at all.
        """

    @abstractmethod
    def close(self) -> None:
        """Releases all resources. The engine cannot be used afterwards. May be called twice."""

    def __enter__(self) -> Self:
        """Returns the engine itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the engine."""
        self.close()


class GraphEngine(Engine):
    """An engine with a graph, local or on a server, that computes on the sizes in ``info.fit``.

    Subclasses set :attr:`info`, implement :meth:`_infer` and, if they hold resources, extend :meth:`close`.
    """

    concurrency = 1
    _closed = False

    def derain(self, frames: Pixels, want_mask: bool) -> Derained:
        """See :meth:`Engine.derain`."""
        if self._closed:
            raise UserError(f"{self.info.model}: the engine is closed: open it again with open_engine")
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
        """See :meth:`Engine.close`."""
        self._closed = True


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
