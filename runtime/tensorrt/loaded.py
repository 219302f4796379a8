"""A TensorRT engine, loaded on its GPU: runtime, engine and execution context."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from granet.app.console import say
from granet.errors import UserError
from runtime.artefacts.metadata import ModelMetadata
from runtime.engines.onnx_model import OnnxModel
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.log import Messages, collected, no_collection
from runtime.tensorrt.record import as_built
from runtime.tensorrt.rtx_kernels import KeptKernels, kernels_path
from runtime.tensorrt.trust import TrustedPlan


class LoadedEngine:
    """An engine and its context, released in the reverse order of their creation.

    Args:
        trusted: the engine.
        flavour: the TensorRT that loads it.
        gpu: the GPU whose context is current in this thread.
        model: the model that the engine was built from; supplies the tensor names.
        graphs: launch the network as a CUDA graph; only for TensorRT-RTX, which captures it itself.
        note: called with one line for each problem that is not an error.

    Attributes:
        names: names of its input and outputs.
        engine: the ``ICudaEngine``.
        context: its ``IExecutionContext``.

    Raises:
        EngineRefusedError: if it cannot be loaded here, or does not match its record.
        UserError: if the GPU has no memory for it.
    """

    def __init__(
        self,
        trusted: TrustedPlan,
        flavour: Flavour,
        gpu: Gpu,
        model: OnnxModel,
        *,
        graphs: bool,
        note: Callable[[str], None] = say,
    ) -> None:
        self._trusted, self._flavour, self._gpu, self._model = trusted, flavour, gpu, model
        self._kernels = KeptKernels(kernels_path(flavour.version, gpu, trusted.record.sha256), note)
        self._stack = ExitStack()
        try:
            with collected(flavour) as (logger, messages), no_collection():
                self._load(logger, messages, graphs)
        except BaseException:
            self.close()
            raise

    def keep_kernels(self) -> None:
        """Stores the kernels that TensorRT-RTX has compiled; does nothing with TensorRT."""
        self._kernels.keep()

    def close(self) -> None:
        """Releases everything; nothing may be running. May be called twice."""
        self._stack.close()

    def _load(self, logger: Any, messages: Messages, graphs: bool) -> None:
        trt = self._flavour.module
        self._runtime = trt.Runtime(logger)
        self._stack.callback(self._drop, "_runtime")
        self._runtime.engine_host_code_allowed = False
        core = self._trusted.record.dla_core
        if core is not None:
            self._runtime.DLA_core = core
        refusal = self._flavour.refusal(self._runtime, self._trusted.plan)
        if refusal is not None:
            gpu, why = self._gpu, messages.reason(refusal)
            found = f"{self._flavour} reports that it is not valid for {gpu.name} ({gpu.capability}): {why}"
            raise self._trusted.refuse([found])
        self.engine = self._runtime.deserialize_cuda_engine(self._trusted.plan)
        if self.engine is None:
            raise self._trusted.refuse([messages.reason("TensorRT could not load it")])
        self._stack.callback(self._drop, "engine")
        self.names = Names.of(trt, self.engine, self._model)
        self._check()
        self._stack.callback(self._kernels.close)
        self._stack.callback(self._drop, "_config")
        self.context, self._config = self._flavour.execution_context(
            self.engine, graphs=graphs, fill=self._kernels.fill
        )
        if self.context is None:
            raise UserError(
                f"{self._trusted.path}: {messages.reason('not enough GPU memory')}: close other "
                "programs, or build for a smaller --size or --batch"
            )
        self._stack.callback(self._drop, "context")

    def _drop(self, name: str) -> None:
        """Drops the last reference, which frees a TensorRT object; each before the one that made it."""
        setattr(self, name, None)

    def _check(self) -> None:
        """Checks the loaded engine against the record: a mismatched pair must not run."""
        names, record = self.names, self._trusted.record
        found = [None if side < 0 else int(side) for side in self.engine.get_tensor_shape(names.source)]
        shapes = [_input_shape(record.metadata), _input_shape(as_built(record))]
        # A dynamic side of the model that every profile fixes may be reported either way.
        if all(side in pair for side, *pair in zip(found, *shapes, strict=True)):
            found = shapes[0]
        self._model.check_graph(names.source_dtype, found, names.outputs)
        count = self.engine.num_optimization_profiles
        if count != len(record.profiles):
            raise self._trusted.refuse([f"it has {count} profiles, but its record {len(record.profiles)}"])


@dataclass(frozen=True)
class Names:
    """Names of the input and the outputs of a loaded engine."""

    source: str
    source_dtype: Any
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, trt: Any, engine: Any, model: OnnxModel) -> "Names":
        """Sorts the engine's tensors into inputs and outputs.

        Raises:
            UserError: if there is not exactly one input.
        """
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        outputs = tuple(name for name in names if name not in inputs)
        if len(inputs) != 1:
            raise UserError(f"{model.path}: has {len(inputs)} inputs, not one: build it with granet-export")
        return cls(inputs[0], np.dtype(trt.nptype(engine.get_tensor_dtype(inputs[0]))), outputs)


def _input_shape(meta: ModelMetadata) -> list[int | None]:
    sides = [meta.height, meta.width]
    return [meta.batch, *sides, 3] if meta.layout == "frames" else [meta.batch, 3, *sides]
