"""What an engine is: uint8 frames in, rain-free uint8 frames out. One contract for every backend.

:class:`Engine` is the contract and holds no machinery. An engine that computes derives from
:class:`runtime.engines.graph.GraphEngine`; an engine that hands its frames on to another engine
derives from :class:`runtime.engines.forwarding.ForwardingEngine`.
"""

from abc import abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self, overload, runtime_checkable

from runtime.engines.fitting import FittingPlan, FrameFit
from runtime.media.frame import Colour, Pixels


@dataclass(frozen=True)
class EngineInfo:
    """Facts about an engine, for people and reports.

    Attributes:
        backend: ``torch``, ``onnxruntime``, ``openvino``, ...
        device: what it really runs on, as the backend names it (``cpu``, ``cuda:0``, ...).
        model: file name of the model.
        precision: ``fp32``, ``fp16``, ``int8``, ... as the model's manifest says.
        colour: channel order of the frames that :meth:`Engine.run` takes and returns.
        fit: the frame sizes the graph computes on.
        description: one line for people: backend, its version, device, precision, sizes.
        has_mask: whether it can give the rain mask of the coarse stage.
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
        mask: uint8 N x H x W x 3, the coarse stage's rain mask in grey levels to be taken away; levels
            below 0 are 0. ``None`` if it was not wanted.
    """

    frames: Pixels
    mask: Pixels | None = None


@runtime_checkable
class Engine(Protocol):
    """A loaded model. Use it as a context manager, or call :meth:`close`.

    Attributes:
        info: what it is.
        concurrency: how many threads may call it at once. With 1, any thread may, one at a time. An engine
            on a GPU says 3, to overlap copying with computing; an engine on a server may say more.
    """

    info: EngineInfo
    concurrency: int

    @overload
    def run(self, frames: Pixels, want_mask: Literal[False] = False) -> Pixels: ...

    @overload
    def run(self, frames: Pixels, want_mask: Literal[True]) -> tuple[Pixels, Pixels]: ...

    def run(self, frames: Pixels, want_mask: bool = False) -> Pixels | tuple[Pixels, Pixels]:
        """Removes rain from a batch of frames of any size.

        Frames that the graph does not compute on as they are get padded by reflection or, where the graph
        is static and smaller, cut into overlapping tiles (:mod:`runtime.engines.fitting`).

        Args:
            frames: uint8 N x H x W x 3 in ``info.colour`` order, H and W from 16 up. Need not be
                contiguous. Not modified.
            want_mask: also return the rain mask; the network runs once for both.

        Returns:
            The rain-free frames: uint8, same shape and colour order, a new array that the caller owns.
            With ``want_mask`` the pair ``(frames, mask)``; see :class:`Derained` for the mask.

        Raises:
            UserError: if shape or dtype differ from these, or the mask is wanted and ``info.has_mask``
                is false.
        """
        result = self.derain(frames, want_mask)
        return result.frames if result.mask is None else (result.frames, result.mask)

    @abstractmethod
    def derain(self, frames: Pixels, want_mask: bool) -> Derained:
        """Does the work of :meth:`run`: implement this one, and :meth:`run` follows.

        Args:
            frames: see :meth:`run`.
            want_mask: see :meth:`run`.

        Returns:
            Frames, and the mask exactly if ``want_mask``.

        Raises:
            UserError: see :meth:`run`.
        """

    @abstractmethod
    def plan(self, height: int, width: int) -> FittingPlan:
        """The way of frames of ``height`` x ``width`` pixels to the graph and back.

        Raises:
            UserError: if the graph cannot take such frames at all.
        """

    @abstractmethod
    def close(self) -> None:
        """Releases everything that the engine holds. It cannot be used afterwards. May be called twice."""

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes."""
        self.close()
