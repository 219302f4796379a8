"""CUDA through pycuda, in the primary context, which TensorRT and PyTorch use too."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, cast

import numpy as np
import pycuda.driver as drv
from numpy.typing import DTypeLike, NDArray

from runtime.tensorrt.cuda.base import (
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
from runtime.tensorrt.cuda.driver_graphs import DriverGraphs

_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING, for which pycuda has no name."""


@dataclass(eq=False)
class _Held:
    """Holds the only reference to a stream or event of pycuda, which is freed with its last reference.

    Dropping that reference frees it at a defined time. Anything else, such as a traceback, holds only this
    wrapper; otherwise it could be freed in another thread or after the context, which pycuda cannot do.
    """

    held: Any


class PyCuda(Cuda):
    """See :class:`Cuda`."""

    def __init__(self, index: int) -> None:
        """Makes the primary context of GPU ``index`` current in this thread.

        Raises:
            UserError: if there is no driver or no such GPU.
        """
        try:
            drv.init()
            count = drv.Device.count()
        except drv.Error as error:
            raise no_gpu(" ".join(str(error).split())) from error
        if index >= count:
            raise no_gpu(f"cuda:{index} does not exist: CUDA finds {count} devices, numbered from 0")
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
            return Stream(_Held(drv.Stream(_NON_BLOCKING)))

    def release_stream(self, stream: Stream) -> None:
        """See :meth:`Cuda.release_stream`."""
        cast(_Held, stream).held = None

    def handle(self, stream: Stream) -> int:
        """See :meth:`Cuda.handle`."""
        return int(_held(stream).handle)

    def synchronise(self, stream: Stream) -> None:
        """See :meth:`Cuda.synchronise`."""
        with _translated("waiting for a stream"):
            _held(stream).synchronize()

    def event(self) -> Event:
        """See :meth:`Cuda.event`."""
        with _translated("an event"):
            made = drv.Event(drv.event_flags.DISABLE_TIMING | drv.event_flags.BLOCKING_SYNC)
        return Event(_Held(made))

    def release_event(self, event: Event) -> None:
        """See :meth:`Cuda.release_event`."""
        cast(_Held, event).held = None

    def record(self, event: Event, stream: Stream) -> None:
        """See :meth:`Cuda.record`."""
        with _translated("recording an event"):
            _held(event).record(_held(stream))

    def wait(self, stream: Stream, event: Event) -> None:
        """See :meth:`Cuda.wait`."""
        with _translated("waiting for an event"):
            _held(stream).wait_for_event(_held(event))

    def wait_for(self, event: Event) -> None:
        """See :meth:`Cuda.wait_for`."""
        with _translated("waiting for an event"):
            _held(event).synchronize()

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
            drv.memcpy_htod_async(self.address(memory), array, _held(stream))

    def copy_out(self, array: NDArray[Any], memory: DeviceMemory, stream: Stream) -> None:
        """See :meth:`Cuda.copy_out`."""
        size_of(array)
        with _translated("a copy from the device"):
            drv.memcpy_dtoh_async(array, self.address(memory), _held(stream))

    def copy_across(self, target: DeviceMemory, source: DeviceMemory, size: int, stream: Stream) -> None:
        """See :meth:`Cuda.copy_across`."""
        with _translated("a copy on the device"):
            drv.memcpy_dtod_async(self.address(target), self.address(source), size, _held(stream))

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
        """Releases the primary context.

        Dropping the last reference would not: pycuda's destructor calls cuCtxDetach, which is for contexts
        that pycuda created; for a primary context it fails and only prints a message.
        """
        handle = int(self._context.handle)
        with _translated("leaving the GPU"):
            self._context.pop()
            self._context.detach()
        self._context = None
        self._graphs.leave(handle)


def _held(thing: Stream | Event) -> Any:
    return cast(_Held, thing).held


def _translated(doing: str) -> Any:
    return translated(doing, drv.Error)
