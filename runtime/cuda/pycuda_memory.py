"""CUDA through pycuda, on the primary context: that is the one that TensorRT and PyTorch use too."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any, cast

import numpy as np
import pycuda.driver as drv
from numpy.typing import DTypeLike, NDArray

from runtime.cuda.contract import (
    Cuda,
    DeviceMemory,
    Event,
    Gpu,
    Graph,
    Stream,
    dotted,
    no_gpu,
    size_of,
    translated,
)
from runtime.cuda.driver_graphs import DriverGraphs

_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING, for which pycuda has no name."""


class PyCuda(Cuda):
    """See :class:`Cuda`. Streams and events have no method that frees them: pycuda does when they go."""

    def __init__(self, index: int) -> None:
        """Makes the primary context of GPU ``index`` that of this thread.

        Raises:
            UserError: if there is no driver or no such GPU.
        """
        try:
            drv.init()
            count = drv.Device.count()
        except drv.Error as error:
            raise no_gpu(" ".join(str(error).split())) from error
        if index >= count:
            raise no_gpu(f"there is no device cuda:{index}: CUDA finds {count}, counted from 0")
        with _translated("using the GPU"):
            device = drv.Device(index)
            major, minor = device.compute_capability()
            self.gpu = Gpu(index, device.name(), f"{major}.{minor}", dotted(drv.get_driver_version()))
            self._graphs = DriverGraphs()
            self._context = device.retain_primary_context()
            self._context.push()
        self.package = f"pycuda {version('pycuda')}"

    def stream(self) -> Stream:
        """See :meth:`Cuda.stream`."""
        with _translated("a stream"):
            return Stream(drv.Stream(_NON_BLOCKING))

    def release_stream(self, stream: Stream) -> None:
        """It goes with its last reference, which is the caller's."""

    def handle(self, stream: Stream) -> int:
        """See :meth:`Cuda.handle`."""
        return int(cast(Any, stream).handle)

    def synchronise(self, stream: Stream) -> None:
        """See :meth:`Cuda.synchronise`."""
        with _translated("waiting for a stream"):
            cast(Any, stream).synchronize()

    def event(self) -> Event:
        """See :meth:`Cuda.event`."""
        with _translated("an event"):
            return Event(drv.Event(drv.event_flags.DISABLE_TIMING | drv.event_flags.BLOCKING_SYNC))

    def release_event(self, event: Event) -> None:
        """It goes with its last reference, which is the caller's."""

    def record(self, event: Event, stream: Stream) -> None:
        """See :meth:`Cuda.record`."""
        with _translated("recording an event"):
            cast(Any, event).record(stream)

    def wait(self, stream: Stream, event: Event) -> None:
        """See :meth:`Cuda.wait`."""
        with _translated("waiting for an event"):
            cast(Any, stream).wait_for_event(event)

    def wait_for(self, event: Event) -> None:
        """See :meth:`Cuda.wait_for`."""
        with _translated("waiting for an event"):
            cast(Any, event).synchronize()

    def memory(self, size: int) -> DeviceMemory:
        """See :meth:`Cuda.memory`."""
        with _translated(f"{size} bytes of device memory"):
            return DeviceMemory(drv.mem_alloc(size))

    def release_memory(self, memory: DeviceMemory) -> None:
        """See :meth:`Cuda.release_memory`."""
        with _translated("freeing device memory"):
            cast(Any, memory).free()

    def address(self, memory: DeviceMemory) -> int:
        """See :meth:`Cuda.address`."""
        return int(cast(Any, memory))

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """See :meth:`Cuda.pinned`."""
        with _translated("pinned host memory"):
            array: NDArray[Any] = drv.pagelocked_empty(shape, np.dtype(dtype))
        return array

    def release_pinned(self, array: NDArray[Any]) -> None:
        """See :meth:`Cuda.release_pinned`."""
        with _translated("freeing pinned host memory"):
            cast(Any, array.base).free()

    def copy_in(self, memory: DeviceMemory, array: NDArray[Any], stream: Stream) -> None:
        """See :meth:`Cuda.copy_in`."""
        size_of(array)
        with _translated("a copy to the device"):
            drv.memcpy_htod_async(self.address(memory), array, stream)

    def copy_out(self, array: NDArray[Any], memory: DeviceMemory, stream: Stream) -> None:
        """See :meth:`Cuda.copy_out`."""
        size_of(array)
        with _translated("a copy from the device"):
            drv.memcpy_dtoh_async(array, self.address(memory), stream)

    def copy_across(self, target: DeviceMemory, source: DeviceMemory, size: int, stream: Stream) -> None:
        """See :meth:`Cuda.copy_across`."""
        with _translated("a copy on the device"):
            drv.memcpy_dtod_async(self.address(target), self.address(source), size, stream)

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """See :meth:`Cuda.capture`."""
        return Graph(self._graphs.capture(self.handle(stream), work))

    def launch(self, graph: Graph, stream: Stream) -> None:
        """See :meth:`Cuda.launch`."""
        self._graphs.launch(cast(int, graph), self.handle(stream))

    def release_graph(self, graph: Graph) -> None:
        """See :meth:`Cuda.release_graph`."""
        self._graphs.release(cast(int, graph))

    def free_memory(self) -> int:
        """See :meth:`Cuda.free_memory`."""
        with _translated("asking for free memory"):
            free: int = drv.mem_get_info()[0]
        return free

    def close(self) -> None:
        """Pops the context; the last reference to it releases it, as pycuda.autoprimaryctx does."""
        with _translated("leaving the GPU"):
            self._context.pop()
        self._context = None


def _translated(doing: str) -> Any:
    return translated(doing, drv.Error)
