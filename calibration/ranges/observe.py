"""Runs a model on rain pictures and collects the values of its tensors, in one pass for all methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from calibration.ranges.float32_model import load_float32
from calibration.ranges.histogram import Histogram
from calibration.ranges.instrumented_graph import LENGTHS, START, VALUES, Probe, build_probe
from calibration.ranges.methods import Seen
from granet.app.cores import thread_limit
from granet.errors import UserError
from runtime.artefacts.artefact import Model
from runtime.engines.fitting import FrameFit
from runtime.engines.onnx_model import OnnxModel
from runtime.engines.onnxruntime import ORT_ERRORS
from runtime.media.frame import Pixels

_RUN_ERRORS: tuple[type[Exception], ...] = (*ORT_ERRORS, MemoryError)

# Fibonacci hashing: consecutive frames start far apart, whatever the step of the sample.
_SPREAD = 2654435769


@dataclass(frozen=True)
class Observation:
    """The observed values of all tensors of a model.

    Attributes:
        seen: tensor name -> observed values. Tensors with the same values share one entry.
    """

    seen: Mapping[str, Seen]


class Observer:
    """Observes the tensors of a model frame by frame, in ONNX Runtime on the CPU.

    Attributes:
        model: the file and its metadata.
        fit: the frame sizes that it takes.
    """

    def __init__(self, model: Model) -> None:
        """Loads a float32 export of ours.

        Raises:
            UserError: if it is damaged, quantised already or of another precision, or cannot be run.
        """
        path, meta = model.path, model.metadata
        self.model = OnnxModel(path, meta)
        self.fit = FrameFit(meta.size_rule, meta.height, meta.width, meta.batch)
        proto = load_float32(model)
        self._probe = build_probe(proto)
        if not self._probe.tensors:
            raise UserError(f"{path}: has no floating-point tensor to calibrate")
        self._session = self._open(self._probe)
        self._input = proto.graph.input[0].name
        count = len(self._probe.tensors)
        self._lows, self._highs = np.full(count, np.inf), np.full(count, -np.inf)
        self._histograms = [Histogram() for _ in range(count)]
        self._frames = 0

    @property
    def tensors(self) -> int:
        """Number of tensors with a range, including those that share their values with another."""
        return len(self._probe.tensors) + len(self._probe.same)

    def add(self, pixels: Pixels, name: str) -> None:
        """Runs the model on a picture, padded or tiled as in an engine.

        Args:
            pixels: uint8 H x W x 3, RGB.
            name: name for errors.

        Raises:
            UserError: if the picture is too small, memory runs out, or a tensor is not finite.
        """
        frame = pixels if self.model.colour == "rgb" else pixels[:, :, ::-1]
        try:
            plan = self.fit.plan(*pixels.shape[:2])
        except UserError as error:
            raise UserError(f"{name}: {error}") from error

        def observe(batch: Pixels) -> tuple[Pixels, ...]:
            self._observe(batch, name)
            return ()

        plan.run(frame[None], observe)

    def result(self) -> Observation:
        """The values observed so far."""
        own = {
            name: Seen(float(low), float(high), histogram)
            for name, low, high, histogram in zip(
                self._probe.tensors, self._lows, self._highs, self._histograms, strict=True
            )
        }
        return Observation(own | {name: own[source] for name, source in self._probe.same.items()})

    def _observe(self, batch: Pixels, name: str) -> None:
        inputs = {
            self._input: self.model.to_input(batch, np.float32),
            START: np.array([self._frames * _SPREAD % 2**32], np.int64),
        }
        try:
            values, lengths = self._session.run([VALUES, LENGTHS], inputs)
        except _RUN_ERRORS as error:
            raise self._failure(batch, name, error) from error
        parts = np.split(values, np.cumsum(lengths)[:-1])
        lows, highs = (np.array([part[i] for part in parts], np.float64) for i in (0, 1))
        self._check_finite(lows, highs, name)
        self._frames += 1
        self._lows, self._highs = np.minimum(self._lows, lows), np.maximum(self._highs, highs)
        for histogram, part in zip(self._histograms, parts, strict=True):
            histogram.add(part[2:])

    def _check_finite(self, lows: NDArray[Any], highs: NDArray[Any], name: str) -> None:
        bad = ~(np.isfinite(lows) & np.isfinite(highs))
        if bad.any():
            tensor = self._probe.tensors[int(bad.argmax())]
            raise UserError(
                f"{self.model.path}: {tensor} is not finite on {name}, so it has no 8-bit range: check the "
                "weights"
            )

    def _open(self, probe: Probe) -> Any:
        options = ort.SessionOptions()
        options.intra_op_num_threads = thread_limit()
        options.log_severity_level = 4  # failures raise an exception anyway
        # Run nodes in graph order, so that each probe follows its tensor, which is then freed. By default
        # ONNX Runtime runs all probes last: lite at 480x320 then peaks at 1.2 GiB instead of 0.27 GiB. The
        # layout changes of higher optimisation levels would break the order.
        options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.enable_mem_pattern = False
        options.enable_mem_reuse = False
        try:
            return ort.InferenceSession(probe.model, options, providers=["CPUExecutionProvider"])
        except ORT_ERRORS as error:
            raise self.model.failure("loading it in ONNX Runtime", error) from error

    def _failure(self, batch: Pixels, name: str, error: Exception) -> UserError:
        height, width = batch.shape[1:3]
        if isinstance(error, MemoryError) or "allocate" in str(error) or "bad_alloc" in str(error):
            return UserError(
                f"{name}: not enough memory to run {self.model.path} at {width}x{height}: "
                "choose a smaller --size, or calibrate on a machine with more memory"
            )
        return self.model.failure(f"ONNX Runtime on {name}", error)
