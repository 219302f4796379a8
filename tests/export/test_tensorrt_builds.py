"""A real TensorRT parser and builder (TensorRT-RTX needs no GPU to build) on every variant we export."""

import warnings
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from calibration.layers import multiplications, too_small
from calibration.quantiser import Quantiser
from export.onnx_export import ExportOptions, build_model
from granet import GraNet, GraNetConfig

trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this platform")

# Operators of the ONNX-TensorRT parser that this network could meet (its docs/operators.md, TensorRT
# 10.3). SpaceToDepth and DepthToSpace are there; MaxUnpool and ScatterND with reduction are not.
PARSED = {
    "Abs", "Add", "And", "ArgMax", "AveragePool", "Cast", "CastLike", "Ceil", "Clip", "Concat",
    "Constant", "ConstantOfShape", "Conv", "DepthToSpace", "Div", "Equal", "Expand", "Flatten",
    "Floor", "Gather", "GatherElements", "GatherND", "Gemm", "Greater", "GreaterOrEqual", "Identity",
    "Less", "LessOrEqual", "MatMul", "Max", "MaxPool", "Min", "Mul", "Neg", "Not", "Or", "Pad", "Pow",
    "Range", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "Round", "Shape", "Size", "Slice",
    "Softmax", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tile", "Transpose",
    "Unsqueeze", "Where",
}  # fmt: skip


class Log(trt.ILogger):  # type: ignore[misc]
    """Keeps what TensorRT warns of."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        if severity <= trt.ILogger.WARNING:
            self.lines.append(message)


LOG = Log()  # TensorRT keeps the first logger it is given


def engine_of(model: onnx.ModelProto) -> bytes:
    """Parses and builds; a profile from 16x16 over 480x320 to 1920x1080 where sizes are dynamic."""
    LOG.lines.clear()
    builder = trt.Builder(LOG)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, LOG)
    parsed = parser.parse(model.SerializeToString())
    assert parsed, [parser.get_error(i).desc() for i in range(parser.num_errors)]
    config = builder.create_builder_config()
    tensor = network.get_input(0)
    if -1 in tuple(tensor.shape):
        profile = builder.create_optimization_profile()
        channels_last = tensor.shape[3] == 3
        shapes = [
            (n, h, w, 3) if channels_last else (n, 3, h, w)
            for n, h, w in ((1, 16, 16), (1, 320, 480), (2, 1080, 1920))
        ]
        profile.set_shape(tensor.name, *shapes)
        config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, LOG.lines
    return bytes(plan)


@pytest.fixture(scope="module")
def lite() -> GraNet:
    return GraNet(GraNetConfig.lite()).eval()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("layout", ["frames", "tensor"])
@pytest.mark.parametrize("size", [(64, 96), None], ids=["static", "dynamic"])
def test_each_variant_parses_and_builds(lite: GraNet, precision: str, layout: str, size: Any) -> None:
    options = ExportOptions(size=size, precision=precision, layout=layout, stages=True)  # type: ignore[arg-type]
    model = build_model(lite, options)
    used = {node.op_type for node in model.graph.node}
    assert used <= PARSED, used - PARSED
    assert engine_of(model)
    # A note on a builder's second logger aside, TensorRT has nothing to warn of.
    assert [line for line in LOG.lines if "logger" not in line] == []


@pytest.mark.parametrize("opset", [18, 24])
def test_the_ends_of_the_opset_range_build(lite: GraNet, opset: int) -> None:
    assert engine_of(build_model(lite, ExportOptions(size=(32, 32), opset=opset)))


def test_the_papers_network_builds_with_its_attention_cut_in_chunks() -> None:
    model = build_model(GraNet(GraNetConfig.paper()).eval(), ExportOptions(size=(320, 480), precision="fp16"))
    assert sum(node.op_type == "Softmax" for node in model.graph.node) > 3
    assert engine_of(model)


@cache
def float32(preset: str, dynamic: bool) -> onnx.ModelProto:
    network = GraNet(GraNetConfig.preset(preset)).eval()
    return build_model(network, ExportOptions(size=None if dynamic else (64, 96)))


@pytest.mark.parametrize("precision", ["int8", "fp8", "fp16"])
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("preset", ["lite", "paper"])
def test_each_quantised_variant_parses_and_builds(preset: str, dynamic: bool, precision: Any) -> None:
    """With float16 scales and float16 elsewhere; the ranges do not matter to a builder."""
    base = float32(preset, dynamic)
    ranges = {name: (-1.0, 1.0) for node in base.graph.node for name in node.output}
    quantiser = Quantiser(base, ranges, "tensorrt", precision)
    spared = too_small(multiplications(base, quantiser.layers, np.zeros((64, 96, 3), np.uint8)))
    model = quantiser.make(spared)
    used = {node.op_type for node in model.graph.node}
    assert used <= PARSED | {"QuantizeLinear", "DequantizeLinear"}
    assert ("QuantizeLinear" in used) == (precision != "fp16")
    assert engine_of(model)


def test_int8_in_every_layer_builds_too() -> None:
    base = float32("lite", False)
    ranges = {node.output[0]: (-1.0, 1.0) for node in base.graph.node}
    assert engine_of(Quantiser(base, ranges, "tensorrt", "int8").make(()))


def test_quantised_biases_would_be_noticed() -> None:
    """The parser refuses DequantizeLinear of INT32, which is why there is none."""
    model = Quantiser(
        float32("lite", False),
        {n.output[0]: (-1.0, 1.0) for n in float32("lite", False).graph.node},
        "tensorrt",
    ).make(())
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    for name, array in (("b/q", np.zeros(16, np.int32)), ("b/s", np.ones((), np.float16))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    model.graph.node.insert(0, onnx.helper.make_node("DequantizeLinear", ["b/q", "b/s"], ["b/dq"]))
    conv.input[2] = "b/dq"
    with pytest.raises(AssertionError):
        engine_of(model)


def test_the_check_would_notice_pytorchs_own_translation() -> None:
    """The exporter's default for max_unpool2d does not get through TensorRT: our own is needed."""

    class PoolUnpool(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            pooled, indices = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
            return torch.nn.functional.max_unpool2d(pooled, indices, [2, 2])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(PoolUnpool(), (torch.zeros(1, 2, 8, 8),), dynamo=True, verbose=False)
    assert program is not None
    used = {node.op_type for node in program.model_proto.graph.node}
    assert not used <= PARSED
