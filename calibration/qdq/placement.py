"""Decides which tensors are quantised, that is, where Q/DQ pairs are placed.

It knows only operators with names, kinds and tensors, not ONNX, so that the same function can place Q/DQ in
a training graph (for quantisation-aware training). The figures below are measured noise power (``lite``,
symmetric int8; squared grey levels of the result, before rounding). The rules:

1. A quantised convolution gets Q/DQ on its input and on its weights, but not on its output: the input of
   the next convolution has it, after the ReLU, where TensorRT fuses it.
2. Q/DQ is placed on the edge into a convolution, never on a tensor that other operators read too. So
   pooling and comparisons, which decide which of four values wins, see unrounded values.
3. If the input is a concatenation, its parts are quantised, with *one* scale for a dense block, so that
   the concatenation only moves bytes (noise 0.30 instead of 0.21 for all dense layers). Operators that read
   the concatenation in higher precision keep a separate one, of unrounded parts.
4. Residual additions stay in higher precision. 8 bits on the skip of the three dense blocks before the
   poolings cost 0.24, as much as all dense layers together; on the four of the fine stage, 0.12.
5. Attention (softmax and both products, 3% of the arithmetic), the mean of the merging block and the
   picture itself also stay in higher precision; only the edge into the first convolution has 8 bits.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

CONVOLUTION, CONCATENATION = "Conv", "Concat"


@dataclass(frozen=True)
class Op:
    """An operator of a graph.

    Attributes:
        name: unique name.
        kind: ``Conv``, ``Concat`` or any other operator type.
        inputs: names of the input tensors; for a convolution: input, weights(, bias).
        outputs: names of the output tensors.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Placement:
    """The positions of Q/DQ pairs.

    Attributes:
        convolutions: names of the convolutions whose input and weights are quantised.
        scales: quantised tensor -> the tensor whose range determines its scale.
        concatenations: names of the concatenations that are duplicated on quantised parts.
    """

    convolutions: frozenset[str]
    scales: Mapping[str, str]
    concatenations: frozenset[str]


def place(ops: Sequence[Op], quantised: Collection[str]) -> Placement:
    """Places Q/DQ in a graph by the rules above.

    Args:
        ops: operators in topological order.
        quantised: names of the convolutions to quantise.

    Returns:
        The placement. Tensors that share a scale use the range of their last concatenation, which
        contains them all.
    """
    producers = {tensor: op for op in ops for tensor in op.outputs}
    order = {tensor: number for number, op in enumerate(ops) for tensor in op.outputs}
    convolutions = [op for op in ops if op.kind == CONVOLUTION and op.name in quantised]
    groups = _Groups()
    concatenations: set[str] = set()
    pending = [op.inputs[0] for op in convolutions]
    while pending:
        tensor = pending.pop()
        groups.add(tensor)
        producer = producers.get(tensor)
        if producer is None or producer.kind != CONCATENATION or producer.name in concatenations:
            continue
        concatenations.add(producer.name)
        for part in producer.inputs:
            groups.join(tensor, part)
            pending.append(part)
    scales = {
        tensor: max(members, key=lambda member: order.get(member, -1))
        for members in groups.all()
        for tensor in sorted(members)
    }
    return Placement(frozenset(op.name for op in convolutions), scales, frozenset(concatenations))


class _Groups:
    """Sets of tensors that share a scale."""

    def __init__(self) -> None:
        self._of: dict[str, set[str]] = {}

    def add(self, tensor: str) -> set[str]:
        return self._of.setdefault(tensor, {tensor})

    def join(self, one: str, other: str) -> None:
        joined = self.add(one) | self.add(other)
        for tensor in joined:
            self._of[tensor] = joined

    def all(self) -> list[set[str]]:
        return list({id(group): group for group in self._of.values()}.values())
