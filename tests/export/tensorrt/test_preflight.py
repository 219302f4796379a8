"""Everything that TensorRT would refuse is found in the file, with the node and a remedy."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.tensorrt.preflight import check_model, refuse
from granet.errors import UserError
from tests.export.tensorrt.quantised import quantised


def model_of(
    *nodes: onnx.NodeProto,
    inputs: dict[str, tuple[int, list[int]]] | None = None,
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 20,
) -> onnx.ModelProto:
    given = inputs or {"x": (TensorProto.FLOAT, [1, 4, 8, 8])}
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in given.items()],
        [helper.make_tensor_value_info("y", TensorProto.UNDEFINED, None)],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    )


def conv(opset: int = 20, half: bool = False) -> onnx.ModelProto:
    real = np.float16 if half else np.float32
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    return model_of(
        helper.make_node("Conv", ["x", "w", "b"], ["y"], "conv1"),
        inputs={"x": (kind, [1, 4, 8, 8])},
        constants={"w": np.ones((4, 4, 3, 3), real), "b": np.ones(4, real)},
        opset=opset,
    )


def bias_quantised() -> onnx.ModelProto:
    model = conv()
    graph = model.graph
    graph.initializer.extend(
        [numpy_helper.from_array(np.ones(4, np.int32), "bi"), numpy_helper.from_array(np.float32(0.1), "bs")]
    )
    graph.node.insert(0, helper.make_node("DequantizeLinear", ["bi", "bs"], ["bd"], "bias_DQ"))
    graph.node[1].input[2] = "bd"
    return model


def attention(kind: int, width: int) -> onnx.ModelProto:
    inputs = {name: (kind, [1, 2, 16, width]) for name in "qkv"}
    node = helper.make_node("Attention", ["q", "k", "v"], ["y"], "attend")
    return model_of(node, inputs=inputs, opset=23)


def inside_if() -> onnx.ModelProto:
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Det", ["x"], ["inner"], "hidden")], "b", [], [value])
    node = helper.make_node("If", ["c"], ["y"], "choose", then_branch=branch, else_branch=branch)
    inputs = {"x": (TensorProto.FLOAT, [4, 4]), "c": (TensorProto.BOOL, [])}
    return model_of(node, inputs=inputs)


REFUSED = {
    "an operator that TensorRT has not": (
        model_of(helper.make_node("MaxUnpool", ["x", "i"], ["y"], "unpool", kernel_shape=[2, 2])),
        "unpool",
        "not support the operator MaxUnpool",
        "granet-export onnx",
    ),
    "one within a branch": (inside_if(), "hidden", "not support the operator Det", "granet-export onnx"),
    "one of another domain": (
        model_of(helper.make_node("QGemm", ["x"], ["y"], "gemm", domain="com.microsoft")),
        "gemm",
        "com.microsoft.QGemm",
        "granet-export onnx",
    ),
    "one without a name": (
        model_of(helper.make_node("Det", ["x"], ["y"])),
        "y",
        "not support the operator Det",
        "export",
    ),
    "indices of maxima": (
        model_of(helper.make_node("MaxPool", ["x"], ["y", "i"], "pool", kernel_shape=[2, 2])),
        "pool",
        "no output Indices",
        "unpools without them",
    ),
    "attention in float32": (attention(TensorProto.FLOAT, 32), "attend", "float32", "MatMul-Softmax-MatMul"),
    "narrow attention": (
        attention(TensorProto.FLOAT16, 8),
        "attend",
        "heads 8 wide",
        "MatMul-Softmax-MatMul",
    ),
    "a quantised bias": (bias_quantised(), "bias_DQ", "INT32", "leaves biases alone"),
    "a zero-point": (quantised(conv(), "int8", zero_point=3), "x_q0_Q", "zero-point is not 0", "quantize"),
    "unsigned activations": (
        quantised(conv(), "int8", kind=TensorProto.UINT8),
        "x_q0_Q",
        "quantised to UINT8",
        "quantize",
    ),
    "16-bit integers": (
        quantised(conv(opset=21), "int8", kind=TensorProto.INT16),
        "x_q0_Q",
        "INT16",
        "quantize",
    ),
    "float8 before opset 19": (
        quantised(conv(opset=18), "fp8"),
        "x_q0_Q",
        "float8 needs ONNX opset 19",
        "--opset 20",
    ),
    "float16 scales before opset 19": (
        quantised(conv(opset=18, half=True), "int8"),
        "x_q0_Q",
        "float16 scales needs ONNX opset 19",
        "--opset 20",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_names_the_node_the_fault_and_what_to_do(case: str) -> None:
    model, node, what, remedy = REFUSED[case]
    first = check_model(model)[0]
    assert first.node == node
    assert what in first.what
    assert remedy in first.remedy
    with pytest.raises(UserError, match=f"best.onnx: TensorRT would refuse it: node {node}: "):
        refuse(model, "best.onnx")


def test_shapes_that_contradict_each_other() -> None:
    model = conv()
    model.graph.value_info.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 9, 3, 3]))
    (found,) = check_model(model)
    assert "its shapes do not fit together" in found.what and "(9)" in found.what
    assert "granet-export onnx" in found.remedy


def test_a_domain_that_the_file_does_not_declare() -> None:
    model = model_of(helper.make_node("Foo", ["x"], ["y"], "foo", domain="com.acme"))
    (found,) = check_model(model)
    assert (found.node, found.what) == ("foo", "com.acme.Foo is not an ONNX operator")


def test_a_constant_without_a_value_is_left_to_the_parser() -> None:
    model = conv()
    model.graph.node.add(op_type="Constant", name="none", output=["c"])
    assert check_model(model) == []


@pytest.mark.parametrize(
    "model",
    [
        conv(),
        conv(opset=18),
        quantised(conv(), "int8"),
        quantised(conv(opset=18), "int8"),
        quantised(conv(half=True), "int8"),
        quantised(conv(), "fp8"),
        attention(TensorProto.FLOAT16, 32),
    ],
    ids=["fp32", "opset 18", "int8", "int8 in opset 18", "int8 in fp16", "fp8", "fused attention"],
)
def test_a_supported_model_passes(model: onnx.ModelProto) -> None:
    assert check_model(model) == []


@pytest.mark.parametrize(("opset", "newest"), [(8, 24), (25, 24), (21, 20)])
def test_an_opset_that_this_tensorrt_does_not_parse(opset: int, newest: int) -> None:
    (found,) = check_model(conv(opset=opset), newest)
    assert f"opset {opset}" in found.what
    assert "--opset 20" in found.remedy


def test_all_faults_are_counted() -> None:
    with pytest.raises(UserError, match=r"zero-point is not 0.* \(and 3 more\)$"):
        refuse(quantised(conv(), "int8", zero_point=1), "best.onnx")
