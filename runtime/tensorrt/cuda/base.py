"""What the TensorRT engine asks of CUDA: streams, events, memory, copies and graphs, on one GPU.

Two packages can give it. pycuda is compiled on the machine it is used on and works on the primary
context; ``cuda-bindings`` comes as a wheel. :func:`runtime.tensorrt.cuda.open.open_cuda` takes one of them,
and the engine's description says which.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NewType

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import Self

from granet.errors import UserError

Stream = NewType("Stream", object)
Event = NewType("Event", object)
DeviceMemory = NewType("DeviceMemory", object)
Graph = NewType("Graph", object)
"""Opaque: each implementation has its own."""


@dataclass(frozen=True)
class Gpu:
    """The GPU that a :class:`Cuda` is on.

    Attributes:
        index: as CUDA counts, from 0.
        name: as NVIDIA calls it.
        capability: compute capability, ``8.6``.
        driver: the CUDA version that the driver supports, ``13.0``.
    """

    index: int
    name: str
    capability: str
    driver: str


class CudaError(UserError):
    """A call of CUDA failed. One line."""


class Cuda(ABC):
    """CUDA on one GPU, for the one thread that opened it; that thread makes every call.

    Who asks for a thing releases it, once, and before :meth:`close`. Every method raises
    :class:`CudaError` if CUDA refuses.

    Attributes:
        package: which package it is and its version, for people.
        gpu: where it is.
    """

    package: str
    gpu: Gpu

    @abstractmethod
    def stream(self) -> Stream:
        """A new stream that does not wait for the default stream."""

    @abstractmethod
    def release_stream(self, stream: Stream) -> None:
        """Gives it back; nothing may be running on it."""

    @abstractmethod
    def handle(self, stream: Stream) -> int:
        """Its ``cudaStream_t``, as TensorRT takes it."""

    @abstractmethod
    def synchronise(self, stream: Stream) -> None:
        """Waits for all that was put on it."""

    @abstractmethod
    def event(self) -> Event:
        """A new event, without timing; a thread that waits for it sleeps."""

    @abstractmethod
    def release_event(self, event: Event) -> None:
        """Gives it back."""

    @abstractmethod
    def record(self, event: Event, stream: Stream) -> None:
        """Happens when ``stream`` comes to here."""

    @abstractmethod
    def wait(self, stream: Stream, event: Event) -> None:
        """``stream`` goes on after ``event`` as it was last recorded; the thread does not wait."""

    @abstractmethod
    def wait_for(self, event: Event) -> None:
        """The thread waits until ``event`` has happened."""

    @abstractmethod
    def memory(self, size: int) -> DeviceMemory:
        """``size`` bytes on the device, at least 1."""

    @abstractmethod
    def release_memory(self, memory: DeviceMemory) -> None:
        """Gives it back; nothing on the device may use it any more."""

    @abstractmethod
    def address(self, memory: DeviceMemory) -> int:
        """Where it lies on the device."""

    @abstractmethod
    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Host memory that copies need not be staged for, C-contiguous and not initialised."""

    @abstractmethod
    def release_pinned(self, array: NDArray[Any]) -> None:
        """Gives back what :meth:`pinned` gave; no copy may be under way and no view of it in use."""

    @abstractmethod
    def copy_in(self, memory: DeviceMemory, array: NDArray[Any], stream: Stream) -> None:
        """Host to device, all of ``array``, in the order of ``stream``."""

    @abstractmethod
    def copy_out(self, array: NDArray[Any], memory: DeviceMemory, stream: Stream) -> None:
        """Device to host, as much as ``array`` holds, in the order of ``stream``."""

    @abstractmethod
    def copy_across(self, target: DeviceMemory, source: DeviceMemory, size: int, stream: Stream) -> None:
        """Device to device, ``size`` bytes, in the order of ``stream``."""

    @abstractmethod
    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """What ``work`` puts on ``stream``, as a graph, instead of doing it.

        The stream is out of capture mode after it, whatever ``work`` raises.
        """

    @abstractmethod
    def launch(self, graph: Graph, stream: Stream) -> None:
        """Does what was captured, in the order of ``stream``."""

    @abstractmethod
    def release_graph(self, graph: Graph) -> None:
        """Gives it back; it may not be running."""

    @abstractmethod
    def free_memory(self) -> int:
        """Bytes of the device that are free, for all processes."""

    @abstractmethod
    def close(self) -> None:
        """Leaves the device; nothing may be used after it. Only once."""

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes."""
        self.close()


def dotted(version: int) -> str:
    """CUDA's number of a version: 13050 -> ``13.5``."""
    return f"{version // 1000}.{version % 1000 // 10}"


def no_gpu(reason: str) -> UserError:
    """What a user without a usable GPU is told."""
    return UserError(
        f"no NVIDIA GPU can be used here ({reason}): a TensorRT engine needs one and NVIDIA's driver; "
        "without them run the ONNX model"
    )


def failed(call: str, reason: str) -> CudaError:
    """What a user is told when a call failed."""
    hint = ""
    if "memory" in reason.lower() and "out" in reason.lower():
        hint = ": the GPU's memory is full: close other programs, or build for a smaller --size or --batch"
    return CudaError(f"CUDA: {call}: {reason}{hint}")


@contextmanager
def translated(call: str, *errors: type[Exception]) -> Iterator[None]:
    """Turns ``errors`` of a package into :class:`CudaError`."""
    try:
        yield
    except errors as error:
        raise failed(call, " ".join(str(error).split()) or type(error).__name__) from error


def size_of(array: NDArray[Any]) -> int:
    """Bytes of ``array``, which must be C-contiguous: a copy of it is one block."""
    if not array.flags.c_contiguous:
        raise ValueError("only C-contiguous arrays are copied to a device")
    return int(np.asarray(array).nbytes)
