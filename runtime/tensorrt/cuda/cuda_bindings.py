"""CUDA through ``cuda-bindings``, a plain binding of the runtime API: every call returns an error code first.

The runtime API uses the primary context, as TensorRT does.
"""

import ctypes
from collections.abc import Callable
from importlib.metadata import version
from math import prod
from typing import Any

import numpy as np
from cuda.bindings import runtime as rt
from numpy.typing import DTypeLike, NDArray

from granet.app.outside_text import decoded
from runtime.tensorrt.cuda.base import (
    Cuda,
    DeviceMemory,
    Event,
    Gpu,
    Graph,
    Stream,
    dotted,
    failed,
    no_gpu,
    size_of,
)


class CudaBindings(Cuda):
    """See :class:`Cuda`."""

    def __init__(self, index: int) -> None:
        """Makes GPU ``index`` the current device of this thread.

        Raises:
            UserError: if there is no driver or no such GPU.
        """
        error, count = rt.cudaGetDeviceCount()
        if error != rt.cudaError_t.cudaSuccess or not count:
            raise no_gpu(_reason(error))
        if index >= count:
            raise no_gpu(f"cuda:{index} does not exist: CUDA finds {count} devices, numbered from 0")
        _call(rt.cudaSetDevice, index)
        facts = _call(rt.cudaGetDeviceProperties, index)
        name = decoded(facts.name) if isinstance(facts.name, bytes) else str(facts.name)
        driver = dotted(_call(rt.cudaDriverGetVersion))
        self.gpu = Gpu(index, name.rstrip("\0"), f"{facts.major}.{facts.minor}", driver)
        self.package = f"cuda-bindings {version('cuda-bindings')}"

    def stream(self) -> Stream:
        """See :meth:`Cuda.stream`."""
        return Stream(_call(rt.cudaStreamCreateWithFlags, rt.cudaStreamNonBlocking))

    def release_stream(self, stream: Stream) -> None:
        """See :meth:`Cuda.release_stream`."""
        _call(rt.cudaStreamDestroy, stream)

    def handle(self, stream: Stream) -> int:
        """See :meth:`Cuda.handle`."""
        return int(stream)  # type: ignore[call-overload, no-any-return]

    def synchronise(self, stream: Stream) -> None:
        """See :meth:`Cuda.synchronise`."""
        _call(rt.cudaStreamSynchronize, stream)

    def event(self) -> Event:
        """See :meth:`Cuda.event`."""
        return Event(_call(rt.cudaEventCreateWithFlags, rt.cudaEventDisableTiming | rt.cudaEventBlockingSync))

    def release_event(self, event: Event) -> None:
        """See :meth:`Cuda.release_event`."""
        _call(rt.cudaEventDestroy, event)

    def record(self, event: Event, stream: Stream) -> None:
        """See :meth:`Cuda.record`."""
        _call(rt.cudaEventRecord, event, stream)

    def wait(self, stream: Stream, event: Event) -> None:
        """See :meth:`Cuda.wait`."""
        _call(rt.cudaStreamWaitEvent, stream, event, 0)

    def wait_for(self, event: Event) -> None:
        """See :meth:`Cuda.wait_for`."""
        _call(rt.cudaEventSynchronize, event)

    def memory(self, size: int) -> DeviceMemory:
        """See :meth:`Cuda.memory`."""
        return DeviceMemory(_call(rt.cudaMalloc, size))

    def release_memory(self, memory: DeviceMemory) -> None:
        """See :meth:`Cuda.release_memory`."""
        _call(rt.cudaFree, memory)

    def address(self, memory: DeviceMemory) -> int:
        """See :meth:`Cuda.address`."""
        return int(memory)  # type: ignore[call-overload, no-any-return]

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """See :meth:`Cuda.pinned`."""
        kind = np.dtype(dtype)
        size = prod(shape) * kind.itemsize
        address = int(_call(rt.cudaHostAlloc, size, rt.cudaHostAllocDefault))
        memory: Any = (ctypes.c_uint8 * size).from_address(address)
        return np.ndarray(shape, kind, memory)

    def release_pinned(self, array: NDArray[Any]) -> None:
        """See :meth:`Cuda.release_pinned`."""
        _call(rt.cudaFreeHost, array.ctypes.data)

    def copy_in(self, memory: DeviceMemory, array: NDArray[Any], stream: Stream) -> None:
        """See :meth:`Cuda.copy_in`."""
        kind = rt.cudaMemcpyKind.cudaMemcpyHostToDevice
        _call(rt.cudaMemcpyAsync, memory, array.ctypes.data, size_of(array), kind, stream)

    def copy_out(self, array: NDArray[Any], memory: DeviceMemory, stream: Stream) -> None:
        """See :meth:`Cuda.copy_out`."""
        kind = rt.cudaMemcpyKind.cudaMemcpyDeviceToHost
        _call(rt.cudaMemcpyAsync, array.ctypes.data, memory, size_of(array), kind, stream)

    def copy_across(self, target: DeviceMemory, source: DeviceMemory, size: int, stream: Stream) -> None:
        """See :meth:`Cuda.copy_across`."""
        kind = rt.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        _call(rt.cudaMemcpyAsync, target, source, size, kind, stream)

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """See :meth:`Cuda.capture`."""
        mode = rt.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        _call(rt.cudaStreamBeginCapture, stream, mode)
        try:
            work()
        except BaseException:
            # Discard the partial capture; an error of its own would hide the first one.
            error, captured = rt.cudaStreamEndCapture(stream)
            if error == rt.cudaError_t.cudaSuccess:
                rt.cudaGraphDestroy(captured)
            raise
        captured = _call(rt.cudaStreamEndCapture, stream)
        try:
            return Graph(_call(rt.cudaGraphInstantiate, captured, 0))
        finally:
            _call(rt.cudaGraphDestroy, captured)

    def launch(self, graph: Graph, stream: Stream) -> None:
        """See :meth:`Cuda.launch`."""
        _call(rt.cudaGraphLaunch, graph, stream)

    def release_graph(self, graph: Graph) -> None:
        """See :meth:`Cuda.release_graph`."""
        _call(rt.cudaGraphExecDestroy, graph)

    def free_memory(self) -> int:
        """See :meth:`Cuda.free_memory`."""
        free: int = _call(rt.cudaMemGetInfo)[0]
        return free

    def close(self) -> None:
        """Does nothing: the primary context belongs to the process, and others may be using it."""


def _call(function: Any, *arguments: Any) -> Any:
    """Makes a call and returns its result: nothing, one value, or a tuple of several.

    Raises:
        CudaError: if the call returns an error code.
    """
    error, *results = function(*arguments)
    if error != rt.cudaError_t.cudaSuccess:
        raise failed(function.__name__, _text(error))
    if not results:
        return None
    return results[0] if len(results) == 1 else tuple(results)


def _reason(error: Any) -> str:
    """Why CUDA finds no GPU, and what to do if its package is newer than the driver."""
    if error == rt.cudaError_t.cudaSuccess:
        return "CUDA finds no device"
    _, driver = rt.cudaDriverGetVersion()  # 0 if there is no driver
    if error != rt.cudaError_t.cudaErrorInsufficientDriver or not driver:
        return _text(error)
    return (
        f"the driver has CUDA {dotted(driver)}, and cuda-bindings {version('cuda-bindings')} needs a newer "
        f"one: pip install 'cuda-bindings=={driver // 1000}.*', or update the driver"
    )


def _text(error: Any) -> str:
    """``CUDA error 35: CUDA driver version is insufficient ...``."""
    _, text = rt.cudaGetErrorString(error)
    words = decoded(text) if isinstance(text, bytes) else str(text)
    return f"CUDA error {int(error)}: {words}"
