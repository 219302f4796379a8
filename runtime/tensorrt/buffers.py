"""Buffers for inputs of one shape: the network's own memory, and one slot per frame in flight."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.tensorrt.cuda.base import Cuda, DeviceMemory, Event, Graph

SLOTS = 3
"""Frames in flight: one is uploaded, one computed and one downloaded."""


@dataclass(frozen=True)
class TensorKind:
    """Shape and dtype of one of the network's tensors."""

    shape: tuple[int, ...]
    dtype: Any

    @property
    def size(self) -> int:
        """Size in bytes."""
        return prod(self.shape) * int(np.dtype(self.dtype).itemsize)


@dataclass
class Slot:
    """Memory and events of one frame in flight."""

    host_in: NDArray[Any]
    host_out: NDArray[Any]
    device_in: DeviceMemory
    device_out: DeviceMemory
    uploaded: Event
    computed: Event
    downloaded: Event


@dataclass
class Buffers:
    """Buffers for inputs of one shape. Closing :attr:`stack` releases all of them.

    Attributes:
        cuda: allocates and releases the memory.
        shape: shape of the input.
        stack: releases everything.
        free: slots that are not in flight.
        tensors: the network's own memory, by tensor name.
        graph: the network as a CUDA graph; ``None`` until it is captured.
        finished: number of finished frames.
    """

    cuda: Cuda
    shape: tuple[int, ...]
    stack: ExitStack = field(default_factory=ExitStack)
    free: list[Slot] = field(default_factory=list)
    tensors: dict[str, DeviceMemory] = field(default_factory=dict)
    graph: Graph | None = None
    finished: int = 0

    def add_tensor(self, name: str, kind: TensorKind) -> int:
        """Allocates device memory for a tensor of the network; returns its address."""
        self.tensors[name] = self._memory(kind.size)
        return self.cuda.address(self.tensors[name])

    def add_slot(self, source: TensorKind, result: TensorKind) -> None:
        """Allocates pinned and device memory for one frame, in and out, and its events."""
        sides = []
        for kind in (source, result):
            host = self.cuda.pinned(kind.shape, kind.dtype)
            self.stack.callback(self.cuda.release_pinned, host)
            sides.append((host, self._memory(kind.size)))
        (host_in, device_in), (host_out, device_out) = sides
        self.free.append(Slot(host_in, host_out, device_in, device_out, *(self._event() for _ in range(3))))

    def keep_graph(self, graph: Graph) -> None:
        """Keeps a graph that was captured with these buffers."""
        self.graph = graph
        self.stack.callback(self.cuda.release_graph, graph)

    def _memory(self, size: int) -> DeviceMemory:
        memory = self.cuda.memory(size)
        self.stack.callback(self.cuda.release_memory, memory)
        return memory

    def _event(self) -> Event:
        event = self.cuda.event()
        self.stack.callback(self.cuda.release_event, event)
        return event
