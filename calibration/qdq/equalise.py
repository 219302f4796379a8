"""Brings the channels that share a scale to the same size, without a change of what the network computes.

The parts of a dense block have one scale (:mod:`calibration.qdq.placement`). Where the channels that its
layers add are many times larger than those that enter it, as in the last blocks of a trained network, most of
the 8-bit values serve a few channels. Multiplying a ReLU's input by a positive number multiplies its result,
so the readers' weights can make up for it: this is the equalisation of Nagel et al. ("Data-free quantization
through weight equalization and bias correction", ICCV 2019, section 4.1), with one factor a layer. Factors
are powers of two, so float32 results stay the same to the last bit.
"""

from collections.abc import Iterable, Mapping
from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, numpy_helper

from calibration.qdq.layers import graph_ops
from calibration.qdq.placement import CONCATENATION, CONVOLUTION, Op
from calibration.table import Range

Array = NDArray[Any]

_RELU = "Relu"

_MOST_EXPONENT = 8
"""A layer that is nearly silent gains nothing from more, and its weights would leave float16."""


def equalise(model: ModelProto, ranges: Mapping[str, Range]) -> tuple[ModelProto, dict[str, Range]]:
    """Scales the layers of dense blocks to the range of the channels that enter the block.

    Scaled are results of a convolution and a ReLU that only convolutions read, through at least one
    concatenation, next to channels of which this is not true. Weights that several convolutions share stay.

    Args:
        model: a float32 model; not modified.
        ranges: tensor name -> range of its 8-bit values. Tensors without a range stay as they are.

    Returns:
        A model with the same float32 results, and the ranges of its tensors. A concatenation of scaled
        tensors has the range that contains those of its parts.
    """
    result = ModelProto()
    result.CopyFrom(model)
    return result, _Equaliser(result.graph, ranges).run()


class _Equaliser:
    """Equalises one graph in place."""

    def __init__(self, graph: GraphProto, ranges: Mapping[str, Range]) -> None:
        self._graph = graph
        self._ops = graph_ops(graph)
        self._producers = {tensor: op for op in self._ops for tensor in op.outputs}
        self._readers: dict[str, list[Op]] = {}
        for op in self._ops:
            for tensor in op.inputs:
                self._readers.setdefault(tensor, []).append(op)
        self._outputs = {output.name for output in graph.output}
        self._channelwise = {
            node.name for node in graph.node for item in node.attribute if item.name == "axis" and item.i == 1
        }
        self._ranges = dict(ranges)
        self._weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}

    def run(self) -> dict[str, Range]:
        """Scales the weights and returns the ranges."""
        factors = {tensor: factor for tensor, factor in self._factors() if factor != 1}
        for tensor, factor in factors.items():
            convolution = self._convolution(tensor)
            assert convolution is not None
            for name in convolution.inputs[1:]:
                self._replace(name, self._weights[name] * np.float32(factor))
            for name in (*convolution.outputs, tensor):
                if name in self._ranges:
                    low, high = self._ranges[name]
                    self._ranges[name] = low * factor, high * factor
        for op in self._ops:
            parts = list(self._parts(op.inputs[0] if op.kind == CONVOLUTION else op.outputs[0]))
            if factors.keys().isdisjoint(parts):
                continue
            if op.kind == CONVOLUTION:
                self._compensate(op, [(part, factors.get(part, 1.0)) for part in parts])
            elif all(name in self._ranges for name in (op.outputs[0], *parts)):
                lows, highs = zip(*(self._ranges[part] for part in parts), strict=True)
                self._ranges[op.outputs[0]] = min(lows), max(highs)
        return self._ranges

    def _factors(self) -> Iterable[tuple[str, float]]:
        """The tensors that can be scaled, and their factors."""
        for op in self._ops:
            if op.kind != _RELU or not self._free(op.outputs[0]):
                continue
            tensor = op.outputs[0]
            joined = [reader.outputs[0] for reader in self._readers[tensor] if self._joins(reader)]
            fixed = {part for whole in joined for part in self._parts(whole) if not self._free(part)}
            sizes = [self._size(part) for part in fixed]
            own = self._size(tensor)
            if own > 0 and sizes and min(sizes) > 0:
                exponent = round(log2(max(sizes) / own))
                yield tensor, 2.0 ** min(max(exponent, -_MOST_EXPONENT), _MOST_EXPONENT)

    def _free(self, tensor: str) -> bool:
        """Whether a factor of ``tensor`` can be hidden from all but convolutions that can make up for it."""
        convolution = self._convolution(tensor)
        return (
            convolution is not None
            and self._own_weights(convolution)
            and self._outputs.isdisjoint(convolution.outputs)
            and len(self._readers[convolution.outputs[0]]) == 1
            and self._only_convolved(tensor)
        )

    def _only_convolved(self, tensor: str) -> bool:
        if tensor in self._outputs:
            return False
        return all(
            self._only_convolved(reader.outputs[0]) if self._joins(reader) else self._can_compensate(reader)
            for reader in self._readers.get(tensor, [])
        )

    def _can_compensate(self, reader: Op) -> bool:
        if reader.kind != CONVOLUTION or not self._own_weights(reader):
            return False
        return [self._channels(part) for part in self._parts(reader.inputs[0])].count(None) <= 1

    def _joins(self, op: Op) -> bool:
        """Whether ``op`` concatenates channels."""
        return op.kind == CONCATENATION and op.name in self._channelwise

    def _own_weights(self, convolution: Op) -> bool:
        return all(name in self._weights and len(self._readers[name]) == 1 for name in convolution.inputs[1:])

    def _convolution(self, tensor: str) -> Op | None:
        """The convolution before the ReLU that makes ``tensor``."""
        relu = self._producers.get(tensor)
        before = self._producers.get(relu.inputs[0]) if relu is not None and relu.kind == _RELU else None
        return before if before is not None and before.kind == CONVOLUTION else None

    def _parts(self, tensor: str) -> Iterable[str]:
        """The tensors of which ``tensor`` is the concatenation, in order; itself if it is none."""
        producer = self._producers.get(tensor)
        if producer is None or not self._joins(producer):
            yield tensor
            return
        for part in producer.inputs:
            yield from self._parts(part)

    def _size(self, tensor: str) -> float:
        return max(map(abs, self._ranges.get(tensor, (0.0, 0.0))))

    def _compensate(self, convolution: Op, parts: list[tuple[str, float]]) -> None:
        """Divides the weights that read scaled parts."""
        name = convolution.inputs[1]
        weights = self._weights[name].copy()
        widths = [self._channels(part) for part, _ in parts]
        # At most one part has an unknown width: it gets what the others leave.
        rest = weights.shape[1] - sum(width or 0 for width in widths)
        start = 0
        for (_, factor), width in zip(parts, widths, strict=True):
            end = start + (rest if width is None else width)
            weights[:, start:end] /= np.float32(factor)
            start = end
        self._replace(name, weights)

    def _channels(self, part: str) -> int | None:
        convolution = self._convolution(part)
        return None if convolution is None else len(self._weights[convolution.inputs[1]])

    def _replace(self, name: str, values: Array) -> None:
        self._weights[name] = values
        tensor = next(tensor for tensor in self._graph.initializer if tensor.name == name)
        tensor.CopyFrom(numpy_helper.from_array(values, name))
