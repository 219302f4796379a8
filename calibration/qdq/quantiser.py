"""Makes quantised models from a float32 model, its ranges and a target, with any set of layers kept."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from numpy.typing import NDArray
from onnx import ModelProto

from calibration.qdq.equalise import equalise
from calibration.qdq.fp16 import to_half
from calibration.qdq.gptq import gptq
from calibration.qdq.layers import FIRST, LAST, Layer, graph_ops, layers_of
from calibration.qdq.placement import place
from calibration.qdq.rewrite import SCHEMES, Scheme, quantise
from calibration.table import Range
from granet.errors import UserError

Array = NDArray[Any]
Target = Literal["tensorrt", "cpu"]
LayerPrecision = Literal["int8", "fp8", "fp16"]
"""Precision of the quantised layers."""

_ATTENTION = "region_aware"

LEAST_OPSET = 19
"""The first ONNX opset in which QuantizeLinear takes float16 and E4M3."""


@dataclass(frozen=True)
class Quantiser:
    """Makes 8-bit models.

    Attributes:
        model: the float32 model.
        ranges: tensor name -> range.
        target: ``tensorrt``: symmetric, float16 elsewhere. ``cpu``: unsigned activations with a
            zero-point, float32 elsewhere.
        precision: precision of the layers that are not kept; ``fp16`` quantises none.
        moments: name of weights -> second moments of their inputs in :attr:`equalised`
            (:func:`calibration.qdq.moments.input_moments`), by which :func:`calibration.qdq.gptq.gptq` rounds
            them; other weights are rounded to the nearest step.

    Raises:
        UserError: if the target does not support the precision, or the opset is too old.
    """

    model: ModelProto
    ranges: Mapping[str, Range]
    target: Target
    precision: LayerPrecision = "int8"
    moments: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        opset = next(entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx"))
        if opset < LEAST_OPSET:
            raise UserError(
                f"the model has opset {opset}, but quantisation needs {LEAST_OPSET} or newer: "
                "export it again with granet-export onnx (its default is 20)"
            )
        if self.target == "cpu" and self.precision != "int8":
            raise UserError(f"--precision {self.precision} is only for target tensorrt: use int8 for cpu")

    @cached_property
    def layers(self) -> list[Layer]:
        """The convolutions, in graph order."""
        return layers_of(self.model.graph)

    @property
    def spared(self) -> set[str]:
        """Names of the layers that are never quantised.

        - The attention's projections. They have under 1% of the arithmetic, so they save no time, and their
          results are exponents: 8 bits cost up to 2.8 dB if the rain is heavier than in the calibration
          pictures.
        - The last layer of each stage. It reads the sum of the stage. A picture with more light in it than
          those of the calibration exceeds its range: ``base`` lost 4.0 dB on one such picture, and 1.2 dB
          with these two layers in float32.
        """
        names = {layer.name for layer in self.layers}
        return {name for name in names if name in LAST or _ATTENTION in name.split(".")}

    @property
    def scheme(self) -> Scheme:
        """The 8-bit format of activations and weights."""
        return SCHEMES["uint8" if self.target == "cpu" else self.precision]

    @property
    def elsewhere(self) -> str:
        """Precision of everything that is not quantised."""
        return "fp32" if self.target == "cpu" else "fp16"

    @property
    def equalised(self) -> ModelProto:
        """The model that is quantised: its float32 results are those of ``model``."""
        return self._equalised[0]

    def make(self, kept: Collection[str]) -> ModelProto:
        """Makes the model as the target runs it.

        Args:
            kept: names of the layers that are not quantised.

        Raises:
            UserError: if a tensor has no range.
        """
        base = self.equalised if self.target == "cpu" else to_half(self.equalised)
        return self._quantised(base, kept)

    def draft(self, kept: Collection[str]) -> ModelProto:
        """Like :meth:`make` with float32 instead of float16: faster, and with only the 8-bit noise."""
        return self._quantised(self.equalised, kept)

    def alone(self, layer: str) -> ModelProto:
        """A draft in which only this layer is quantised."""
        return self.draft({other.name for other in self.layers} - {layer})

    def _quantised(self, base: ModelProto, kept: Collection[str]) -> ModelProto:
        if self.precision == "fp16":
            return base
        chosen = [layer.op for layer in self.layers if layer.name not in kept]
        placement = place(graph_ops(base.graph), chosen)
        return quantise(base, self._equalised[1], placement, self.scheme, self._round, self._narrow)

    @property
    def _narrow(self) -> set[str]:
        """Weights that need 7 bits on CPUs: those of the first layer of each stage.

        CPUs without VNNI add two products of bytes in 16 bits. The sums of 8-bit weights saturate where
        pixels are bright. In other layers most inputs are small, and 8 bits give the same on all CPUs.
        """
        return {layer.weight for layer in self.layers if self.target == "cpu" and layer.name in FIRST}

    @cached_property
    def _equalised(self) -> tuple[ModelProto, Mapping[str, Range]]:
        return (self.model, self.ranges) if self.precision == "fp16" else equalise(self.model, self.ranges)

    def _round(self, name: str, steps: Array, rounded: Callable[[Array], Array]) -> Array:
        """Rounds the weights ``name``; the search asks for the same ones again and again."""
        if name not in self.moments:
            return rounded(steps)
        key = name, steps.tobytes()
        if key not in self._done:
            flat = gptq(steps.reshape(len(steps), -1), self.moments[name], rounded)
            self._done[key] = flat.reshape(steps.shape)
        return self._done[key]

    @cached_property
    def _done(self) -> dict[tuple[str, bytes], Array]:
        return {}
