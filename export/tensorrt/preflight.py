"""Checks an ONNX model for everything that TensorRT is known to refuse, before a build of minutes.

The list of operators is that of the ONNX-TensorRT parser (its ``docs/operators.md``), the same for 10.3 and
for TensorRT-RTX; the tests compare it with a real parser. The builder may still refuse a model that passes,
with a message of its own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from granet.errors import UserError

OLDEST_OPSET = 9
QUANTISED_OPSET = 19
"""First opset in which Q/DQ may have float16 scales and float8 values."""

_OPERATORS = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization
    Cast CastLike Ceil Celu Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum
    DepthToSpace DequantizeLinear Div Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather
    GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual
    GridSample GroupNormalization GRU HardSigmoid HardSwish Hardmax Identity If InstanceNormalization IsInf
    IsNaN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool LRN LSTM
    MatMul Max MaxPool Mean MeanVarianceNormalization Min Mod Mul Neg NonMaxSuppression NonZero Not OneHot
    Or Pad Pow PRelu QuantizeLinear RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2
    ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu
    Reshape Resize ReverseSequence RNN RoiAlign Round Scan Scatter ScatterElements ScatterND Selu Shape Shrink
    Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan
    Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample Where Xor
"""
SUPPORTED = frozenset(_OPERATORS.split())
"""Names of the operators that the parser supports."""

_OWN_DOMAINS = ("", "ai.onnx")
_INTEGER = (TensorProto.INT8,)
_FLOAT8 = (TensorProto.FLOAT8E4M3FN,)
_HALF = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
_FUSED_HEADS = range(16, 257)
_AGAIN = "export the checkpoint again with granet-export onnx"
_QUANTISE_AGAIN = "quantise it with granet-export quantize --target tensorrt"


@dataclass(frozen=True)
class Finding:
    """A problem for which TensorRT would refuse the model.

    Attributes:
        node: name of the node, or of its first output if it has no name; empty for the whole file.
        what: the problem.
        remedy: the advice to the user.
    """

    node: str
    what: str
    remedy: str

    def __str__(self) -> str:
        """One line."""
        where = f"node {self.node}: " if self.node else ""
        return f"{where}{self.what}: {self.remedy}"


def check_model(model: onnx.ModelProto, newest_opset: int = 24) -> list[Finding]:
    """The problems for which TensorRT is known to refuse ``model``; an empty list if it can be built.

    Args:
        model: an ONNX model with embedded weights.
        newest_opset: newest opset that this TensorRT parses.
    """
    view, contradiction = _View.of(model)
    findings = list(_check_opset(view, newest_opset))
    if contradiction is not None:
        findings.append(contradiction)
    for node in view.nodes:
        findings += _check_node(node, view)
    return findings


def refuse(model: onnx.ModelProto, source: str, newest_opset: int = 24) -> None:
    """Raises the first problem that :func:`check_model` finds.

    Raises:
        UserError: names the first node, what is wrong and what to do, and how many more there are.
    """
    findings = check_model(model, newest_opset)
    if findings:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise UserError(f"{source}: TensorRT would refuse it: {findings[0]}{more}")


@dataclass(frozen=True)
class _View:
    """The nodes of a model and of its subgraphs, with the known types, shapes and constants."""

    opset: int
    nodes: list[onnx.NodeProto]
    constants: dict[str, TensorProto]
    types: dict[str, int]
    shapes: dict[str, list[int | None]]

    @classmethod
    def of(cls, model: onnx.ModelProto) -> tuple["_View", Finding | None]:
        """The view of ``model``, and a finding if its shapes contradict each other."""
        nodes, constants = [], {}
        for graph in _graphs(model.graph):
            nodes += graph.node
            constants.update({tensor.name: tensor for tensor in graph.initializer})
        for node in nodes:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.name == "value":
                    constants[node.output[0]] = attribute.t
        try:
            inferred, contradiction = shape_inference.infer_shapes(model).graph, None
        except shape_inference.InferenceError as error:  # reported for operators of other domains too
            inferred, contradiction = model.graph, _contradiction(str(error), nodes)
        types, shapes = _values(inferred)
        types.update({name: tensor.data_type for name, tensor in constants.items()})
        shapes.update({name: list(tensor.dims) for name, tensor in constants.items()})
        opsets = {item.domain: item.version for item in model.opset_import}
        return cls(opsets.get("", 0), nodes, constants, types, shapes), contradiction


def _contradiction(message: str, nodes: list[onnx.NodeProto]) -> Finding | None:
    if any(node.domain not in _OWN_DOMAINS for node in nodes):
        return None
    text = re.sub(r"\[\w+\] ", "", " ".join(message.split()))
    return Finding("", f"its shapes do not fit together ({text:.200})", _AGAIN)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for child in (attribute.g, *attribute.graphs):
                if child.node:
                    yield from _graphs(child)


def _values(graph: onnx.GraphProto) -> tuple[dict[str, int], dict[str, list[int | None]]]:
    """Known element types and shapes of the values."""
    types: dict[str, int] = {}
    shapes: dict[str, list[int | None]] = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        types[value.name] = tensor.elem_type
        shapes[value.name] = [
            dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim
        ]
    return types, shapes


def _check_opset(view: _View, newest: int) -> Iterator[Finding]:
    if not OLDEST_OPSET <= view.opset <= newest:
        yield Finding(
            "",
            f"it has ONNX opset {view.opset}, and this TensorRT parses {OLDEST_OPSET} to {newest}",
            f"{_AGAIN} --opset {min(newest, 20)}",
        )


def _check_node(node: onnx.NodeProto, view: _View) -> Iterator[Finding]:
    name = node.name or (node.output[0] if node.output else node.op_type)
    if node.domain not in _OWN_DOMAINS:
        yield Finding(name, f"{node.domain}.{node.op_type} is not an ONNX operator", _AGAIN)
    elif node.op_type not in SUPPORTED:
        yield Finding(name, f"TensorRT does not support the operator {node.op_type}", _AGAIN)
    elif node.op_type == "MaxPool" and len(node.output) > 1 and node.output[1]:
        yield Finding(
            name, "TensorRT's MaxPool has no output Indices", f"{_AGAIN}, which unpools without them"
        )
    elif node.op_type == "Attention":
        yield from _check_attention(node, name, view)
    elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        yield from _check_quantised(node, name, view)


def _check_attention(node: onnx.NodeProto, name: str, view: _View) -> Iterator[Finding]:
    remedy = f"{_AGAIN}, which writes MatMul-Softmax-MatMul"
    kind = view.types.get(node.input[0])
    if kind is not None and kind not in _HALF:
        given = helper.tensor_dtype_to_np_dtype(kind)
        yield Finding(name, f"there is no fused attention kernel in {given}, only in float16", remedy)
    shape = view.shapes.get(node.input[0], [])
    width = shape[3] if len(shape) == 4 else None
    if width is not None and width not in _FUSED_HEADS:
        limits = f"{_FUSED_HEADS[0]} to {_FUSED_HEADS[-1]}"
        yield Finding(
            name, f"there is no fused attention kernel for heads {width} wide, only {limits}", remedy
        )


def _check_quantised(node: onnx.NodeProto, name: str, view: _View) -> Iterator[Finding]:
    quantises = node.op_type == "QuantizeLinear"
    if not quantises and view.types.get(node.input[0]) == TensorProto.INT32:
        yield Finding(
            name, "it dequantises INT32, a quantised bias", f"{_QUANTISE_AGAIN}, which leaves biases alone"
        )
        return
    kind = _quantised_kind(node, view)
    if kind not in (*_INTEGER, *_FLOAT8):
        given = TensorProto.DataType.Name(kind) if kind is not None else "UINT8"
        yield Finding(
            name, f"it is quantised to {given}, and TensorRT has INT8 and FLOAT8E4M3FN", _QUANTISE_AGAIN
        )
    elif _has_zero_point(node, view):
        yield Finding(name, "its zero-point is not 0, and TensorRT is symmetric", _QUANTISE_AGAIN)
    half = view.types.get(node.input[1]) in _HALF
    if view.opset < QUANTISED_OPSET and (half or kind in _FLOAT8):
        what = "float16 scales" if half else "float8"
        yield Finding(
            name,
            f"Q/DQ with {what} needs ONNX opset {QUANTISED_OPSET}, and the file has {view.opset}",
            f"{_AGAIN} --opset 20 and {_QUANTISE_AGAIN}",
        )


def _quantised_kind(node: onnx.NodeProto, view: _View) -> int | None:
    """The output type of a Q or the input type of a DQ; ``None`` for Q's default, which is uint8."""
    if node.op_type == "DequantizeLinear" and node.input[0] in view.types:
        return view.types[node.input[0]]
    if len(node.input) > 2 and node.input[2]:
        return view.types.get(node.input[2])
    kinds = [attribute.i for attribute in node.attribute if attribute.name == "output_dtype"]
    return kinds[0] if kinds else view.types.get(node.output[0])


def _has_zero_point(node: onnx.NodeProto, view: _View) -> bool:
    """Whether the node has a zero-point that is not known to be 0."""
    if len(node.input) < 3 or not node.input[2]:
        return False
    constant = view.constants.get(node.input[2])
    return constant is None or bool(np.any(numpy_helper.to_array(constant).astype(np.float32) != 0))
