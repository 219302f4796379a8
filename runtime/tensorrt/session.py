"""Runs a TensorRT engine on one GPU with streams, events and a CUDA graph. For one thread.

A frame passes through three streams, so that the copies of one frame overlap the compute of another::

    upload    pinned ──▶ slot          (event: uploaded)
    compute              slot ──▶ input ──▶ network ──▶ output ──▶ slot          (event: computed)
    download                                                      slot ──▶ pinned   (event: downloaded)

Each frame in flight has its own slot. The network has one input and one output whose addresses stay fixed
while the shape stays the same, so one CUDA graph serves all slots and is captured once (by this class, or
by TensorRT-RTX itself). The two copies on the device are less than a percent of the network's memory
traffic.
"""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from granet.app.console import say
from granet.errors import UserError
from runtime.engines.onnx_model import OnnxModel
from runtime.tensorrt.buffers import SLOTS, Buffers, Slot, TensorKind
from runtime.tensorrt.cuda.base import Cuda, CudaError, Stream
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.loaded import LoadedEngine
from runtime.tensorrt.log import collected
from runtime.tensorrt.optimisation_profile import Shape
from runtime.tensorrt.trust import TrustedPlan, check_gpu

SETTLED = 200
"""Frames of a shape after which TensorRT-RTX, which compiles in the background, has finished compiling."""


class Session:
    """A loaded engine. The thread that creates it must make every call, including :meth:`close`.

    Args:
        trusted: the engine.
        flavour: the TensorRT that loads it, checked by :func:`runtime.tensorrt.trust.check_software`.
        cuda: the GPU; the session closes it, also if the constructor fails.
        graphs: launch the network as a CUDA graph.
        note: called with one line for each problem that is not an error.

    Raises:
        UserError: if the engine is not for this GPU, or cannot be loaded.
    """

    def __init__(
        self,
        trusted: TrustedPlan,
        flavour: Flavour,
        cuda: Cuda,
        *,
        graphs: bool = True,
        note: Callable[[str], None] = say,
    ) -> None:
        self._trusted, self._flavour, self._cuda, self._note = trusted, flavour, cuda, note
        self._model = OnnxModel(trusted.path, trusted.record.metadata)
        self._captures = graphs and not flavour.captures_graphs
        self._failed = False
        self._upload: Stream
        self._compute: Stream
        self._download: Stream
        self._stack = ExitStack()  # releases everything that lives as long as the session
        self._bound: Buffers | None = None
        self._stack.callback(cuda.close)
        try:
            check_gpu(trusted, cuda.gpu)
            self._loaded = LoadedEngine(trusted, flavour, cuda.gpu, self._model, graphs=graphs, note=note)
            self._stack.callback(self._loaded.close)
            for name in ("_upload", "_compute", "_download"):
                self._open_stream(name)
        except BaseException:
            self._failed = True
            self.close()
            raise

    @property
    def source_dtype(self) -> Any:
        """The dtype that :meth:`start` takes: uint8 for frames, float32 or float16 for tensors."""
        return self._loaded.names.source_dtype

    @property
    def idle(self) -> bool:
        """Whether no frame is in flight."""
        return self._bound is None or len(self._bound.free) == SLOTS

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether :meth:`start` can take an input of ``shape`` now; always true when :attr:`idle`."""
        bound = self._bound
        return self.idle or (bound is not None and bound.shape == shape and bool(bound.free))

    def start(self, batch: NDArray[Any]) -> Slot:
        """Enqueues a batch without waiting for it.

        Args:
            batch: an array of the shape and dtype of the network's input; copied before this returns.

        Raises:
            UserError: if no profile takes it, or CUDA or TensorRT fail; then nothing is in flight.
        """
        index = self._trusted.record.profile_for(self._nhw(batch.shape), self._trusted.path)
        try:
            if self._bound is None or self._bound.shape != batch.shape:
                self._bind(batch.shape, index)
            assert self._bound is not None
            return self._enqueue(self._bound, batch)
        except BaseException as error:
            self._abandon(error)
            raise

    def finish(self, slot: Slot) -> NDArray[Any]:
        """Waits for a batch.

        Returns:
            The network's output as a new array; the slot is free again.

        Raises:
            UserError: if CUDA failed meanwhile; then nothing is in flight.
        """
        bound = self._bound
        assert bound is not None
        try:
            self._cuda.wait_for(slot.downloaded)
        except BaseException as error:
            self._abandon(error)
            raise
        result = slot.host_out.copy()
        bound.free.append(slot)
        bound.finished += 1
        if bound.finished == SETTLED:  # a live run may never end
            self._loaded.keep_kernels()
        return result

    def close(self) -> None:
        """Waits for the batches in flight and releases everything; may be called twice."""
        # After a failure CUDA repeats the same error in every call, and the first one was reported.
        with suppress(CudaError) if self._failed else ExitStack(), self._stack:
            used = self._bound is not None
            self._unbind()
            if used and not self._failed:
                self._loaded.keep_kernels()

    def _open_stream(self, name: str) -> None:
        stream = self._cuda.stream()
        setattr(self, name, stream)
        self._stack.callback(self._cuda.release_stream, stream)

    def _bind(self, shape: tuple[int, ...], index: int) -> None:
        """Makes buffers for inputs of ``shape`` in profile ``index``; nothing may be in flight."""
        self._unbind()
        bound = self._bound = Buffers(self._cuda, shape)
        loaded, names = self._loaded, self._loaded.names  # not the context: a traceback would keep it alive
        with collected(self._flavour) as (_, messages):
            if loaded.context.active_optimization_profile != index:
                self._require(
                    loaded.context.set_optimization_profile_async(index, self._cuda.handle(self._compute)),
                    f"optimisation profile {index}",
                    messages.reason,
                )
                self._cuda.synchronise(self._compute)
            if -1 in tuple(loaded.engine.get_tensor_shape(names.source)):
                self._require(
                    loaded.context.set_input_shape(names.source, tuple(shape)),
                    f"an input of {tuple(shape)}",
                    messages.reason,
                )
            kinds = {name: self._kind(name) for name in (names.source, *names.outputs)}
            for name, kind in kinds.items():
                self._require(
                    loaded.context.set_tensor_address(name, bound.add_tensor(name, kind)),
                    f"memory for {name}",
                    messages.reason,
                )
        for _ in range(SLOTS):
            bound.add_slot(kinds[names.source], kinds[self._model.output])

    def _kind(self, name: str) -> TensorKind:
        """Shape and dtype of a tensor of the network, for the input shape that was set."""
        shape = tuple(int(side) for side in self._loaded.context.get_tensor_shape(name))
        if min(shape) < 1:
            raise UserError(f"{self._trusted.path}: TensorRT: {name} has no shape for this input: {shape}")
        return TensorKind(shape, self._flavour.module.nptype(self._loaded.engine.get_tensor_dtype(name)))

    def _enqueue(self, bound: Buffers, batch: NDArray[Any]) -> Slot:
        cuda, slot = self._cuda, bound.free.pop()
        source, result = bound.tensors[self._loaded.names.source], bound.tensors[self._model.output]
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

    def _run_network(self, bound: Buffers) -> None:
        """Launches the network; as a graph after the first frame, which does what cannot be captured."""
        if bound.graph is None and bound.finished and self._captures:
            self._capture(bound)
        if bound.graph is not None:
            self._cuda.launch(bound.graph, self._compute)
        else:
            self._launch_network()

    def _capture(self, bound: Buffers) -> None:
        """Captures the graph, or notes why it cannot: CUDA does not capture every network."""
        try:
            bound.keep_graph(self._cuda.capture(self._compute, self._launch_network))
        except UserError as error:
            self._captures = False
            self._note(
                f"note: {self._trusted.path}: launching kernels one by one, because they cannot be "
                f"captured as a CUDA graph: {error}"
            )

    def _launch_network(self) -> None:
        with collected(self._flavour) as (_, messages):
            launched = self._loaded.context.execute_async_v3(self._cuda.handle(self._compute))
            self._require(launched, "running the network", messages.reason)

    def _require(self, done: bool, what: str, reason: Callable[[str], str]) -> None:
        if not done:
            raise UserError(f"{self._trusted.path}: TensorRT: {what}: {reason('failed without a message')}")

    def _abandon(self, error: BaseException) -> None:
        """Discards everything in flight after an error; the next frame gets new buffers."""
        self._failed = self._failed or isinstance(error, CudaError)
        with suppress(CudaError):
            self._unbind()

    def _unbind(self) -> None:
        """Waits for the GPU and releases the buffers of the current shape."""
        bound, self._bound = self._bound, None
        if bound is None:
            return
        with bound.stack:
            for stream in (self._upload, self._compute, self._download):
                self._cuda.synchronise(stream)

    def _nhw(self, shape: tuple[int, ...]) -> Shape:
        n, *rest = shape
        height, width = rest[:2] if self._model.metadata.layout == "frames" else rest[1:]
        return n, height, width
