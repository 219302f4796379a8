"""A float32 model with its ranges and a target: quantised models with any layers kept."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from onnx import ModelProto

from calibration.qdq.fp16 import to_half
from calibration.qdq.layers import Layer, graph_ops, layers_of
from calibration.qdq.placement import place
from calibration.qdq.rewrite import SCHEMES, Scheme, quantise
from calibration.table import Range
from granet.errors import UserError

Target = Literal["tensorrt", "cpu"]
Precision = Literal["int8", "fp8", "fp16"]

LEAST_OPSET = 19
"""QuantizeLinear takes float16 and E4M3 from 19 on."""


@dataclass(frozen=True)
class Quantiser:
    """Makes models in eight bits.

    Attributes:
        model: float32.
        ranges: of its tensors.
        target: ``tensorrt``: symmetric, float16 elsewhere. ``cpu``: unsigned activations with a
            zero-point, float32 elsewhere.
        precision: of the layers that are not kept; ``fp16`` quantises none.

    Raises:
        UserError: if the target has no such precision, or the opset is too old.
    """

    model: ModelProto
    ranges: Mapping[str, Range]
    target: Target
    precision: Precision = "int8"

    def __post_init__(self) -> None:
        opset = next(entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx"))
        if opset < LEAST_OPSET:
            raise UserError(
                f"the model has opset {opset}, and quantisation needs {LEAST_OPSET} or newer: "
                "export it again with granet-export onnx (its default is 20)"
            )
        if self.target == "cpu" and self.precision != "int8":
            raise UserError(f"target cpu has int8 only: --precision {self.precision} is for tensorrt")

    @cached_property
    def layers(self) -> list[Layer]:
        """The convolutions, in the order of the graph."""
        return layers_of(self.model.graph)

    @property
    def scheme(self) -> Scheme:
        """How activations and weights are written in eight bits."""
        return SCHEMES["uint8" if self.target == "cpu" else self.precision]

    @property
    def elsewhere(self) -> str:
        """Precision of what is not quantised."""
        return "fp32" if self.target == "cpu" else "fp16"

    def make(self, kept: Collection[str]) -> ModelProto:
        """The model as the target runs it.

        Args:
            kept: names of the layers that are not quantised.

        Raises:
            UserError: if a tensor has no range.
        """
        base = self.model if self.target == "cpu" else to_half(self.model)
        return self._quantised(base, kept)

    def draft(self, kept: Collection[str]) -> ModelProto:
        """:meth:`make` with float32 in the place of float16: quicker, and the noise is that of eight bits."""
        return self._quantised(self.model, kept)

    def alone(self, layer: str) -> ModelProto:
        """A draft in which this one layer is quantised."""
        return self.draft({other.name for other in self.layers} - {layer})

    def _quantised(self, base: ModelProto, kept: Collection[str]) -> ModelProto:
        if self.precision == "fp16":
            return base
        chosen = [layer.op for layer in self.layers if layer.name not in kept]
        return quantise(base, self.ranges, place(graph_ops(base.graph), chosen), self.scheme)
