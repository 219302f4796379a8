"""Q/DQ pairs in the file, with the packaged weights, as TensorRT's parser and fusions require them."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.qdq.fp16 import to_half
from calibration.qdq.layers import graph_ops, layers_of
from calibration.qdq.placement import place
from calibration.qdq.rewrite import SCHEMES, quantise
from calibration.simulation import Simulation
from granet.errors import UserError
from tests.calibration import sample


def quantised(scheme: str, half: bool, skip: str = "fusion") -> onnx.ModelProto:
    base = to_half(sample.model()) if half else sample.model()
    chosen = [layer.op for layer in layers_of(base.graph) if skip not in layer.name]
    return quantise(base, sample.ranges(), place(graph_ops(base.graph), chosen), SCHEMES[scheme])


def arrays(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in model.graph.node for name in node.output}


@pytest.mark.parametrize(("scheme", "kind"), [("int8", np.int8), ("fp8", ml_dtypes.float8_e4m3fn)])
def test_zero_points_are_zero_and_scales_are_of_the_networks_type(scheme: str, kind: Any) -> None:
    model = quantised(scheme, half=True)
    values = arrays(model)
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(pairs) > 80
    for node in pairs:
        scale, zero = values[node.input[1]], values[node.input[2]]
        assert scale.dtype == np.float16 and (scale > 0).all()
        assert zero.dtype == kind and not zero.astype(np.float32).any()
    onnx.checker.check_model(model, full_check=True)


def test_no_bias_is_quantised() -> None:
    """TensorRT's parser refuses DequantizeLinear of INT32."""
    model = quantised("int8", half=True)
    assert not any(value.dtype == np.int32 for value in arrays(model).values())
    made = producers(model)
    for node in model.graph.node:
        if node.op_type == "Conv":
            assert node.input[2] not in made


def test_weights_have_a_scale_for_each_output_channel() -> None:
    model, original = quantised("int8", half=False), arrays(sample.model())
    values = arrays(model)
    checked = 0
    for name, scale in values.items():
        if not name.endswith(".weight/scale"):
            continue
        weights = original[name.removesuffix("/scale")]
        largest = np.array([np.abs(channel).max() for channel in weights])
        np.testing.assert_allclose(scale[largest > 0], largest[largest > 0] / 127, rtol=1e-6)
        steps = values[name.removesuffix("scale") + "q"].astype(np.float32)
        back = steps * scale[:, None, None, None]
        assert np.abs(back - weights).max() <= 0.5001 * scale.max()
        checked += 1
    assert checked == 51 - 7


def test_parts_of_a_concatenation_share_its_scale() -> None:
    model = quantised("int8", half=True)
    values, made = arrays(model), producers(model)
    concatenations = [node for node in model.graph.node if node.name.endswith("/quantised")]
    assert len(concatenations) == 7 * 3  # the fourth is the fusion's, and kept
    for node in concatenations:
        after = next(user for user in model.graph.node if user.input[0] == node.output[0])
        assert after.op_type == "QuantizeLinear"
        scales = {float(values[made[part].input[1]]) for part in node.input}
        assert scales == {float(values[after.input[1]])}


def test_the_comparison_reads_unrounded_convolution_outputs() -> None:
    """Pooling and comparisons see the tensors that they see in the float32 model."""
    deciding = (
        "MaxPool",
        "Slice",
        "Equal",
        "Where",
        "DepthToSpace",
        "Softmax",
        "MatMul",
        "Add",
        "Sub",
    )
    before = {n.name: list(n.input) for n in to_half(sample.model()).graph.node if n.op_type in deciding}
    after = {n.name: list(n.input) for n in quantised("int8", True).graph.node if n.op_type in deciding}
    assert before == after


def test_for_cpus_activations_after_a_relu_use_all_256_levels() -> None:
    model = quantised("uint8", half=False)
    values = arrays(model)
    low, high = sample.ranges()["cat_2"]
    assert low == 0
    assert values["cat_2/zero"] == 0 and values["cat_2/zero"].dtype == np.uint8
    assert values["cat_2/scale"] == pytest.approx(high / 255, rel=1e-6)
    low, high = sample.ranges()["cat_18"]
    assert low < 0
    assert values["cat_18/scale"] == pytest.approx((high - low) / 255, rel=1e-6)
    assert values["cat_18/zero"] == round(-low / ((high - low) / 255))


def optimised(model: onnx.ModelProto, path: Path) -> list[onnx.NodeProto]:
    """The nodes after ONNX Runtime's optimisation of a model."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 4  # it warns that the file is for this machine
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(onnx.load(path).graph.node)


def test_on_cpus_every_convolution_of_a_dense_block_is_computed_in_eight_bits(tmp_path: Path) -> None:
    """A convolution that ONNX Runtime computes in float32 after all is slower than an unquantised one."""
    nodes = optimised(quantised("uint8", half=False, skip="none"), tmp_path / "optimised.onnx")
    weights = [node.input[3] for node in nodes if node.op_type == "QLinearConv"]
    assert len([name for name in weights if ".layers." in name]) == 7 * 4


def test_on_cpus_dense_blocks_put_steps_side_by_side() -> None:
    """No block is dequantised for its concatenation, and none is rounded twice."""
    model = quantised("uint8", half=False)
    made = producers(model)
    concatenations = [node for node in model.graph.node if node.name.endswith("/quantised")
                      and node.op_type == "Concat"]  # fmt: skip
    assert len(concatenations) == 7 * 3
    for node in concatenations:
        assert {made[part].op_type for part in node.input} <= {"QuantizeLinear", "Concat"}
        after = [user for user in model.graph.node if node.output[0] in user.input]
        assert {user.op_type for user in after} <= {"DequantizeLinear", "Concat"}


def test_the_relu_of_steps_changes_no_number() -> None:
    """Against the same pair only after the ReLU, computed as written."""
    model = quantised("uint8", half=False)
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    made = producers(plain)
    rewired = 0
    for node in plain.graph.node:
        source = made.get(node.input[0])
        if node.op_type == "QuantizeLinear" and source is not None and source.op_type == "LeakyRelu":
            convolution = made[made[made[source.input[0]].input[0]].input[0]]
            source.op_type, rewired = "Relu", rewired + 1
            del source.attribute[:]
            source.input[0] = convolution.output[0]
    assert rewired
    for picture in sample.pictures():
        np.testing.assert_array_equal(
            Simulation(model, sample.metadata()).run(picture),
            Simulation(plain, sample.metadata()).run(picture),
        )


def test_a_tensor_without_a_range_is_named() -> None:
    base = sample.model()
    some = {name: value for name, value in sample.ranges().items() if name != "cat_2"}
    chosen = [layer.op for layer in layers_of(base.graph) if layer.name == "coarse.local.0.layers.3"]
    with pytest.raises(UserError, match="no range for cat_2: make a new one with granet-export calibrate"):
        quantise(base, some, place(graph_ops(base.graph), chosen), SCHEMES["int8"])
