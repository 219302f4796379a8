"""Which tensors are quantised: the one place that decides where Q/DQ pairs stand.

It sees operators with names, kinds and tensors and nothing of ONNX, so that a training graph (for
quantisation-aware training) can be placed by the same function. The rules, each with what it cost to
break it (``lite``, symmetric int8; noise power in squared grey levels of the result, before rounding):

1. A convolution that is quantised gets Q/DQ on its input and on its weights; its output has none of its
   own: the next convolution's input has, after the ReLU, where TensorRT fuses it.
2. Q/DQ stand on the edge into a convolution and never on a tensor that others read too. So what decides
   which of four values wins (pooling, comparisons) sees what the convolutions made, unrounded.
3. Where the input is a concatenation, its parts are quantised, with *one* scale for a dense block,
   so that concatenating moves bytes and computes nothing (0.30 instead of 0.21 for all dense layers).
   Those who read the concatenation in more bits keep their own, of unrounded parts.
4. Residual additions stay in more bits. Eight bits on the skip of the three dense blocks before the
   poolings cost 0.24, as much as all dense layers together; on the fine stage's four, 0.12.
5. So do attention (softmax and both products, 3% of the arithmetic), the mean of the merging block and
   the picture itself.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

CONVOLUTION, CONCATENATION = "Conv", "Concat"


@dataclass(frozen=True)
class Op:
    """An operator of a graph.

    Attributes:
        name: unique.
        kind: ``Conv``, ``Concat`` or any other.
        inputs: names of tensors; of a convolution: input, weights(, bias).
        outputs: names of tensors.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Placement:
    """Where Q/DQ pairs stand.

    Attributes:
        convolutions: names of the operators whose input and weights are quantised.
        scales: quantised tensor -> the tensor whose range gives its scale.
        concatenations: names of the operators that are repeated on quantised parts.
    """

    convolutions: frozenset[str]
    scales: Mapping[str, str]
    concatenations: frozenset[str]


def place(ops: Sequence[Op], quantised: Collection[str]) -> Placement:
    """Decides for a graph; see the rules above.

    Args:
        ops: in topological order.
        quantised: names of the convolutions to be quantised.

    Returns:
        The placement. Tensors that share a scale take the range of their last concatenation, which
        holds them all.
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
