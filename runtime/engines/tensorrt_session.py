"""A TensorRT engine at work on one GPU: its memory, streams, events and graph. For one thread.

A frame goes through three streams, so that the copies of one frame overlap the computing of another::

    upload    pinned ──▶ slot          (event: uploaded)
    compute              slot ──▶ input ──▶ network ──▶ output ──▶ slot          (event: computed)
    download                                                      slot ──▶ pinned   (event: downloaded)

Each frame in flight has a slot of its own. The network itself has one input and one output that never
move while the shape stays: so one CUDA graph serves all slots, and whoever captures it (we, or
TensorRT-RTX by itself) does it once. The two copies on the device are below a percent of what the network
reads and writes.
"""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from granet.errors import UserError
from runtime.cuda.contract import Cuda, CudaError, DeviceMemory, Event, Graph, Stream
from runtime.engine_record import EngineRecord, Profile, Shape, as_built
from runtime.engine_trust import TrustedPlan, check_gpu
from runtime.engines.onnx_model import OnnxModel
from runtime.metadata import ModelMetadata
from runtime.tensorrt_flavour import Flavour
from runtime.tensorrt_log import collected

SLOTS = 3
"""Frames in flight: one is copied in, one computed and one copied out."""


@dataclass
class Slot:
    """What one frame in flight needs."""

    host_in: NDArray[Any]
    host_out: NDArray[Any]
    device_in: DeviceMemory
    device_out: DeviceMemory
    uploaded: Event
    computed: Event
    downloaded: Event


class Session:
    """A loaded engine. Everything, its end too, is done by the thread that made it.

    Args:
        trusted: the engine.
        flavour: the TensorRT that loads it; :func:`runtime.engine_trust.check_software` has passed it.
        cuda: the GPU; the session closes it, also if it cannot be made.
        graphs: launch the network as a CUDA graph.

    Raises:
        UserError: if the engine is not for this GPU, or cannot be loaded.
    """

    def __init__(self, trusted: TrustedPlan, flavour: Flavour, cuda: Cuda, *, graphs: bool = True) -> None:
        self._trusted, self._flavour, self._cuda, self._graphs = trusted, flavour, cuda, graphs
        self._model = OnnxModel(trusted.path, trusted.record.metadata)
        self._failed = False
        self._upload: Stream
        self._compute: Stream
        self._download: Stream
        self._stack = ExitStack()  # what lives as long as the session
        self._shape: _Bound | None = None
        self._stack.callback(cuda.close)
        try:
            check_gpu(trusted, cuda.gpu)
            self._load()
            for name in ("_upload", "_compute", "_download"):
                self._open_stream(name)
        except BaseException:
            self._failed = True
            self.close()
            raise

    @property
    def source_dtype(self) -> Any:
        """What :meth:`start` takes: uint8 for frames, float32 or float16 for tensors."""
        return self._names.source_dtype

    @property
    def idle(self) -> bool:
        """Whether no frame is in flight."""
        return self._shape is None or len(self._shape.free) == SLOTS

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether :meth:`start` takes an input of ``shape`` now; it always does when :attr:`idle`."""
        bound = self._shape
        return self.idle or (bound is not None and bound.shape == shape and bool(bound.free))

    def start(self, batch: NDArray[Any]) -> Slot:
        """Puts a batch on its way and does not wait for it.

        Args:
            batch: of the shape and dtype of the network's input; copied before this returns.

        Raises:
            UserError: if no profile takes it, or CUDA or TensorRT fail; then nothing is in flight.
        """
        index = profile_for(self._trusted.record, self._nhw(batch.shape), self._trusted.path)
        try:
            if self._shape is None or self._shape.shape != batch.shape:
                self._bind(batch.shape, index)
            assert self._shape is not None
            return self._enqueue(self._shape, batch)
        except BaseException as error:
            self._abandon(error)
            raise

    def finish(self, slot: Slot) -> NDArray[Any]:
        """Waits for a batch.

        Returns:
            What the network gave, as a new array; the slot is free again.

        Raises:
            UserError: if CUDA failed meanwhile; then nothing is in flight.
        """
        assert self._shape is not None
        try:
            self._cuda.wait_for(slot.downloaded)
        except BaseException as error:
            self._abandon(error)
            raise
        result = slot.host_out.copy()
        self._shape.free.append(slot)
        return result

    def close(self) -> None:
        """Waits for what is in flight and releases everything; may be called twice."""
        # After a failure CUDA answers every call with that same error, and the first one was told.
        with suppress(CudaError) if self._failed else ExitStack(), self._stack:
            self._unbind()

    def _load(self) -> None:
        """Runtime, engine and execution context; they go in the opposite order."""
        trt = self._flavour.module
        with collected(self._flavour) as (logger, messages):
            self._runtime = trt.Runtime(logger)
            self._stack.callback(self._drop, "_runtime")
            self._runtime.engine_host_code_allowed = False
            core = self._trusted.record.dla_core
            if core is not None:
                self._runtime.DLA_core = core
            refusal = self._flavour.refusal(self._runtime, self._trusted.plan)
            if refusal is not None:
                gpu, why = self._cuda.gpu, messages.reason(refusal)
                found = f"{self._flavour} finds it not valid for {gpu.name} ({gpu.capability}): {why}"
                raise self._trusted.refuse([found])
            self._engine = self._runtime.deserialize_cuda_engine(self._trusted.plan)
            if self._engine is None:
                raise self._trusted.refuse([messages.reason("TensorRT could not load it")])
            self._stack.callback(self._drop, "_engine")
            self._names = _Names.of(trt, self._engine, self._model)
            self._check_engine()
            self._context = self._flavour.execution_context(self._engine, graphs=self._graphs)
            if self._context is None:
                raise UserError(
                    f"{self._trusted.path}: {messages.reason('the GPU has no memory for it')}: close other "
                    "programs, or build for a smaller --size or --batch"
                )
            self._stack.callback(self._drop, "_context")

    def _drop(self, name: str) -> None:
        """TensorRT's objects go with their last reference, and each before the one it came from."""
        setattr(self, name, None)

    def _check_engine(self) -> None:
        """Holds what was loaded against the record: a damaged pair must not run."""
        names, record = self._names, self._trusted.record
        found = [None if side < 0 else int(side) for side in self._engine.get_tensor_shape(names.source)]
        shapes = [self._input_shape(record.metadata), self._input_shape(as_built(record))]
        # A side that the model leaves open and every profile fixes may come back either way.
        if all(side in pair for side, *pair in zip(found, *shapes, strict=True)):
            found = shapes[0]
        self._model.check_graph(names.source_dtype, found, names.outputs)
        count = self._engine.num_optimization_profiles
        if count != len(record.profiles):
            raise self._trusted.refuse([f"it has {count} profiles, its record {len(record.profiles)}"])

    def _input_shape(self, meta: ModelMetadata) -> list[int | None]:
        sides = [meta.height, meta.width]
        return [meta.batch, *sides, 3] if meta.layout == "frames" else [meta.batch, 3, *sides]

    def _open_stream(self, name: str) -> None:
        stream = self._cuda.stream()
        setattr(self, name, stream)
        self._stack.callback(self._cuda.release_stream, stream)

    def _bind(self, shape: tuple[int, ...], index: int) -> None:
        """Makes buffers for inputs of ``shape`` in profile ``index``; nothing is in flight."""
        self._unbind()
        bound = _Bound(shape)
        self._shape = bound
        with collected(self._flavour) as (_, messages):
            if self._context.active_optimization_profile != index:
                self._require(
                    self._context.set_optimization_profile_async(index, self._cuda.handle(self._compute)),
                    f"optimisation profile {index}",
                    messages.reason,
                )
                self._cuda.synchronise(self._compute)
            if -1 in tuple(self._engine.get_tensor_shape(self._names.source)):
                self._require(
                    self._context.set_input_shape(self._names.source, tuple(shape)),
                    f"an input of {tuple(shape)}",
                    messages.reason,
                )
            for name in (self._names.source, *self._names.outputs):
                self._give_memory(bound, name)
        for _ in range(SLOTS):
            bound.free.append(self._slot(bound))

    def _give_memory(self, bound: "_Bound", name: str) -> None:
        """Memory on the device for a tensor of the network."""
        shape = tuple(int(side) for side in self._context.get_tensor_shape(name))
        dtype = self._flavour.module.nptype(self._engine.get_tensor_dtype(name))
        if min(shape) < 1:
            raise UserError(f"{self._trusted.path}: TensorRT: {name} has no shape for such frames: {shape}")
        bound.tensors[name] = self._memory(bound, prod(shape) * np.dtype(dtype).itemsize)
        bound.kinds[name] = (shape, dtype)
        self._context.set_tensor_address(name, self._cuda.address(bound.tensors[name]))

    def _memory(self, bound: "_Bound", size: int) -> DeviceMemory:
        memory = self._cuda.memory(size)
        bound.stack.callback(self._cuda.release_memory, memory)
        return memory

    def _slot(self, bound: "_Bound") -> Slot:
        """Pinned and device memory of a frame, and its events."""
        sides = []
        for name in (self._names.source, self._model.output):
            shape, dtype = bound.kinds[name]
            host = self._cuda.pinned(shape, dtype)
            bound.stack.callback(self._cuda.release_pinned, host)
            sides.append((host, self._memory(bound, host.nbytes)))
        events = [self._event(bound) for _ in range(3)]
        (host_in, device_in), (host_out, device_out) = sides
        return Slot(host_in, host_out, device_in, device_out, *events)

    def _event(self, bound: "_Bound") -> Event:
        event = self._cuda.event()
        bound.stack.callback(self._cuda.release_event, event)
        return event

    def _enqueue(self, bound: "_Bound", batch: NDArray[Any]) -> Slot:
        cuda, slot = self._cuda, bound.free.pop()
        source, result = bound.tensors[self._names.source], bound.tensors[self._model.output]
        np.copyto(slot.host_in, batch, casting="no")
        cuda.copy_in(slot.device_in, slot.host_in, self._upload)
        cuda.record(slot.uploaded, self._upload)
        cuda.wait(self._compute, slot.uploaded)
        cuda.copy_across(source, slot.device_in, slot.host_in.nbytes, self._compute)
        self._run_network(bound)
        cuda.copy_across(slot.device_out, result, slot.host_out.nbytes, self._compute)
        cuda.record(slot.computed, self._compute)
        cuda.wait(self._download, slot.computed)
        cuda.copy_out(slot.host_out, slot.device_out, self._download)
        cuda.record(slot.downloaded, self._download)
        return slot

    def _run_network(self, bound: "_Bound") -> None:
        """As a graph from the second frame of a shape on: the first run does what cannot be captured."""
        if bound.graph is None and bound.ran and self._captures:
            bound.graph = self._cuda.capture(self._compute, self._launch_network)
            bound.stack.callback(self._cuda.release_graph, bound.graph)
        if bound.graph is not None:
            self._cuda.launch(bound.graph, self._compute)
        else:
            self._launch_network()
        bound.ran = True

    @property
    def _captures(self) -> bool:
        return self._graphs and not self._flavour.captures_graphs

    def _launch_network(self) -> None:
        with collected(self._flavour) as (_, messages):
            launched = self._context.execute_async_v3(self._cuda.handle(self._compute))
            self._require(launched, "running the network", messages.reason)

    def _require(self, done: bool, what: str, reason: Callable[[str], str]) -> None:
        if not done:
            raise UserError(f"{self._trusted.path}: TensorRT: {what}: {reason('refused without a word')}")

    def _abandon(self, error: BaseException) -> None:
        """After an error: nothing is in flight, and the next frame finds new buffers."""
        self._failed = self._failed or isinstance(error, CudaError)
        with suppress(CudaError):
            self._unbind()

    def _unbind(self) -> None:
        """Waits for the GPU and releases the buffers of the shape."""
        bound, self._shape = self._shape, None
        if bound is None:
            return
        with bound.stack:
            for stream in (self._upload, self._compute, self._download):
                self._cuda.synchronise(stream)

    def _nhw(self, shape: tuple[int, ...]) -> Shape:
        n, *rest = shape
        height, width = rest[:2] if self._model.metadata.layout == "frames" else rest[1:]
        return n, height, width


@dataclass
class _Bound:
    """Buffers for inputs of one shape.

    Attributes:
        shape: of the input.
        stack: releases everything here.
        free: slots that are not in flight.
        tensors: the network's own memory, by name.
        kinds: shape and dtype of each.
        graph: the network as a CUDA graph, once it is captured.
        ran: whether a first frame went through without a graph.
    """

    shape: tuple[int, ...]
    stack: ExitStack = field(default_factory=ExitStack)
    free: list[Slot] = field(default_factory=list)
    tensors: dict[str, DeviceMemory] = field(default_factory=dict)
    kinds: dict[str, tuple[tuple[int, ...], Any]] = field(default_factory=dict)
    graph: Graph | None = None
    ran: bool = False


@dataclass(frozen=True)
class _Names:
    """Inputs and outputs of a loaded engine."""

    source: str
    source_dtype: Any
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, trt: Any, engine: Any, model: OnnxModel) -> "_Names":
        """Sorts the engine's tensors; there must be one input."""
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        outputs = tuple(name for name in names if name not in inputs)
        if len(inputs) != 1:
            raise UserError(f"{model.path}: it has {len(inputs)} inputs, not one: it is not of granet-export")
        return cls(inputs[0], np.dtype(trt.nptype(engine.get_tensor_dtype(inputs[0]))), outputs)


def profile_for(record: EngineRecord, shape: Shape, path: Any) -> int:
    """The optimisation profile for a batch of (N, H, W): of those that take it, the one tuned nearest.

    Raises:
        UserError: if none does; the message has the ranges.
    """
    fitting = [index for index, profile in enumerate(record.profiles) if profile.takes(shape)]
    if not fitting:
        n, height, width = shape
        what = f"{width}x{height}" if n == 1 else f"{n} frames of {width}x{height}"
        ranges = " or ".join(str(profile) for profile in record.profiles)
        raise UserError(
            f"{path}: was built for {ranges}, not for {what}: build it for that size too: "
            f"{record.rebuild_command} --size {width}x{height}"
        )
    return min(fitting, key=lambda index: _distance(record.profiles[index], shape))


def _distance(profile: Profile, shape: Shape) -> float:
    """How far a profile's optimum is from a shape, in octaves of its sides."""
    return float(sum(abs(np.log2(opt / side)) for opt, side in zip(profile.opt, shape, strict=True)))
