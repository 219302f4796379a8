"""The contract for CUDA on one GPU: streams, events, memory, copies and graphs.

Two packages can implement it. pycuda is compiled on the target machine and uses the primary context;
``cuda-bindings`` comes as a wheel. :func:`runtime.tensorrt.cuda.open.open_cuda` chooses one of them, and
the engine's description names it.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NewType

import numpy as np
from numpy.typing import DTypeLike, NDArray

from granet.errors import UserError
from runtime.media.closing import Closing

Stream = NewType("Stream", object)
Event = NewType("Event", object)
DeviceMemory = NewType("DeviceMemory", object)
Graph = NewType("Graph", object)
"""Opaque types; each implementation has its own."""


@dataclass(frozen=True)
class Gpu:
    """The GPU of a :class:`Cuda`.

    Attributes:
        index: CUDA's index of the device, from 0.
        name: NVIDIA's product name.
        capability: compute capability, such as ``8.6``.
        driver: the CUDA version that the driver supports, such as ``13.0``.
    """

    index: int
    name: str
    capability: str
    driver: str


class CudaError(UserError):
    """A CUDA call failed; the message is one line."""


class Cuda(Closing):
    """CUDA on one GPU. The thread that opened it makes every call.

    The caller releases each resource that it acquires, once, before :meth:`close`. Every method raises
    :class:`CudaError` if CUDA reports an error.

    Attributes:
        package: name and version of the package, for people.
        gpu: the GPU.
    """

    package: str
    gpu: Gpu

    @abstractmethod
    def stream(self) -> Stream:
        """Creates a stream that does not synchronise with the default stream."""

    @abstractmethod
    def release_stream(self, stream: Stream) -> None:
        """Destroys a stream; nothing may be running on it."""

    @abstractmethod
    def handle(self, stream: Stream) -> int:
        """The ``cudaStream_t`` of a stream, as TensorRT takes it."""

    @abstractmethod
    def synchronise(self, stream: Stream) -> None:
        """Waits for all work on a stream."""

    @abstractmethod
    def event(self) -> Event:
        """Creates an event without timing; a thread that waits for it sleeps."""

    @abstractmethod
    def release_event(self, event: Event) -> None:
        """Destroys an event."""

    @abstractmethod
    def record(self, event: Event, stream: Stream) -> None:
        """Records ``event`` at the current end of ``stream``."""

    @abstractmethod
    def wait(self, stream: Stream, event: Event) -> None:
        """Makes ``stream`` wait for the last record of ``event``; the thread does not wait."""

    @abstractmethod
    def wait_for(self, event: Event) -> None:
        """Blocks the thread until ``event`` has completed."""

    @abstractmethod
    def memory(self, size: int) -> DeviceMemory:
        """Allocates ``size`` bytes on the device, at least 1."""

    @abstractmethod
    def release_memory(self, memory: DeviceMemory) -> None:
        """Frees device memory; nothing on the device may still use it."""

    @abstractmethod
    def address(self, memory: DeviceMemory) -> int:
        """The device address of memory."""

    @abstractmethod
    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Allocates pinned host memory, which copies need not stage; C-contiguous and uninitialised."""

    @abstractmethod
    def release_pinned(self, array: NDArray[Any]) -> None:
        """Frees an array of :meth:`pinned`; no copy may be in flight and no view of it in use."""

    @abstractmethod
    def copy_in(self, memory: DeviceMemory, array: NDArray[Any], stream: Stream) -> None:
        """Copies all of ``array`` from host to device, in stream order."""

    @abstractmethod
    def copy_out(self, array: NDArray[Any], memory: DeviceMemory, stream: Stream) -> None:
        """Copies from device to host as much as ``array`` holds, in stream order."""

    @abstractmethod
    def copy_across(self, target: DeviceMemory, source: DeviceMemory, size: int, stream: Stream) -> None:
        """Copies ``size`` bytes on the device, in stream order."""

    @abstractmethod
    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """Captures the work that ``work`` enqueues on ``stream`` as a graph, without running it.

        The stream leaves capture mode even if ``work`` raises.
        """

    @abstractmethod
    def launch(self, graph: Graph, stream: Stream) -> None:
        """Launches a graph, in stream order."""

    @abstractmethod
    def release_graph(self, graph: Graph) -> None:
        """Destroys a graph; it must not be running."""

    @abstractmethod
    def free_memory(self) -> int:
        """Free memory of the device in bytes, shared by all processes."""

    @abstractmethod
    def close(self) -> None:
        """Leaves the device; nothing may be used afterwards. Must be called only once."""


def dotted(version: int) -> str:
    """CUDA's version number as text: 13050 -> ``13.5``."""
    return f"{version // 1000}.{version % 1000 // 10}"


def no_gpu(reason: str) -> UserError:
    """The error for a machine without a usable GPU."""
    return UserError(
        f"no usable NVIDIA GPU ({reason}): a TensorRT engine needs a GPU and NVIDIA's driver; "
        "without them run the ONNX model"
    )


def failed(call: str, reason: str) -> CudaError:
    """The error for a CUDA call that failed."""
    hint = ""
    if "memory" in reason.lower() and "out" in reason.lower():
        hint = ": GPU memory is full: close other programs, or build for a smaller --size or --batch"
    return CudaError(f"CUDA: {call}: {reason}{hint}")


@contextmanager
def translated(call: str, *errors: type[Exception]) -> Iterator[None]:
    """Converts ``errors`` of a package to :class:`CudaError`."""
    try:
        yield
    except errors as error:
        raise failed(call, " ".join(str(error).split()) or type(error).__name__) from error


def size_of(array: NDArray[Any]) -> int:
    """Size of ``array`` in bytes; it must be C-contiguous, because it is copied as one block."""
    if not array.flags.c_contiguous:
        raise ValueError("only C-contiguous arrays can be copied to or from a device")
    return int(np.asarray(array).nbytes)
