"""Q/DQ around the convolutions of a small model, with scales that nobody calibrated: only to be built."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

KINDS = {"int8": (TensorProto.INT8, 127.0), "fp8": (TensorProto.FLOAT8E4M3FN, 448.0)}


def quantised(
    model: onnx.ModelProto, precision: str, kind: int | None = None, zero_point: int = 0
) -> onnx.ModelProto:
    """A copy with Q/DQ on input and weights of each convolution; biases stay as they are."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "Conv":
            for index in (0, 1):
                values = weights.get(node.input[index])
                peak = 4.0 if values is None else float(np.abs(values).max()) or 1.0
                half = weights[node.input[1]].dtype == np.float16
                node.input[index] = pair(
                    graph, nodes, node.input[index], precision, peak, half, kind, zero_point
                )
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return copy


def pair(
    graph: onnx.GraphProto,
    nodes: list[onnx.NodeProto],
    name: str,
    precision: str,
    peak: float,
    half: bool,
    kind: int | None,
    zero_point: int,
) -> str:
    """Appends Q and DQ of ``name``; the name of what comes out."""
    default, largest = KINDS[precision]
    stem = f"{name}_q{len(nodes)}"
    real = np.float16 if half else np.float32
    graph.initializer.append(numpy_helper.from_array(np.array(peak / largest, real), f"{stem}_scale"))
    graph.initializer.append(helper.make_tensor(f"{stem}_zero", kind or default, [], [zero_point]))
    more = [f"{stem}_scale", f"{stem}_zero"]
    nodes.append(helper.make_node("QuantizeLinear", [name, *more], [f"{stem}_int"], f"{stem}_Q"))
    nodes.append(helper.make_node("DequantizeLinear", [f"{stem}_int", *more], [f"{stem}_real"], f"{stem}_DQ"))
    return f"{stem}_real"
