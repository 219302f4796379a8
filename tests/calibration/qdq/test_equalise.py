"""Layers of dense blocks are scaled to the channels that enter the block, and nothing else changes."""

from copy import deepcopy
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from calibration.qdq.equalise import equalise
from calibration.qdq.quantiser import Quantiser, Target
from calibration.simulation import Simulation
from calibration.table import Range
from export.onnx.export import ExportOptions, build_model
from granet.model import DenseBlock
from tests.calibration import sample

LARGE = 16.0


def inflated() -> ModelProto:
    """The sample with larger channels in every dense block, and the same results."""
    network = deepcopy(sample.network())
    with torch.no_grad():
        for block in (module for module in network.modules() if isinstance(module, DenseBlock)):
            layers = [layer for layer in block.layers.modules() if isinstance(layer, torch.nn.Conv2d)]
            start = block.fusion.out_channels
            for number, layer in enumerate(layers):
                layer.weight *= LARGE
                assert layer.bias is not None
                layer.bias *= LARGE
                end = start + layer.out_channels
                for reader in (*layers[number + 1 :], block.fusion):
                    reader.weight[:, start:end] /= LARGE
                start = end
    return build_model(network, ExportOptions(size=sample.SIZE))


def noise(model: ModelProto, quantiser: Quantiser) -> float:
    """Mean square of the change of a picture, in squared grey levels."""
    made = Simulation(quantiser.make(quantiser.spared), sample.metadata())
    expected = Simulation(model, sample.metadata())
    return float(np.mean([np.square(made.run(p) - expected.run(p)).mean() for p in sample.pictures(2)]))


def test_float32_results_stay_to_the_last_bit() -> None:
    model = inflated()
    before = model.SerializeToString()
    equal, _ = equalise(model, sample.ranges_of(model))
    assert model.SerializeToString() == before
    assert equal.SerializeToString() != before
    onnx.checker.check_model(equal, full_check=True)
    for picture in sample.pictures(2):
        runs = [Simulation(each, sample.metadata()).run(picture) for each in (model, equal)]
        np.testing.assert_array_equal(*runs)


def test_the_ranges_hold_the_scaled_values_and_nothing_is_left_to_scale() -> None:
    model = inflated()
    equal, ranges = equalise(model, sample.ranges_of(model))
    weights = {tensor.name for tensor in model.graph.initializer}
    for name, (least, most) in sample.ranges_of(equal).items():
        low, high = ranges[name]
        assert name in weights or (low <= least and most <= high)
    again, _ = equalise(equal, ranges)
    assert again == equal


@pytest.mark.parametrize("target", ["cpu", "tensorrt"])
def test_large_channels_cost_nothing(target: Target) -> None:
    plain, large = sample.model(), inflated()
    expected, found = (
        noise(model, Quantiser(model, sample.ranges_of(model), target)) for model in (plain, large)
    )
    assert found == pytest.approx(expected, rel=1e-3)


def graph(*, output: str = "", shared: bool = False, axis: int = 1, other: bool = False) -> ModelProto:
    """Two channels that stay, two that a convolution adds, and a convolution that reads all."""
    nodes = [
        helper.make_node("Abs", ["x"], ["trunk"]),
        helper.make_node("Conv", ["trunk", "grow", "bias"], ["grown"], "grow", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["grown"], ["added"], "relu"),
        helper.make_node("Concat", ["trunk", "added"], ["all"], "concat", axis=axis),
        helper.make_node("Conv", ["all", "read"], ["y"], "read"),
    ]
    if other:
        nodes.append(helper.make_node("Neg", ["added"], ["z"], "other"))
    if shared:
        nodes.append(helper.make_node("Conv", ["trunk", "grow"], ["z"], "again"))
    rng = np.random.default_rng(1)
    weights = {
        "grow": rng.normal(size=(2, 2, 3, 3)),
        "bias": rng.normal(size=2),
        "read": rng.normal(size=(3, 4 if axis == 1 else 2, 1, 1)),
    }
    outputs = ["y", *([output] if output else []), *(["z"] if other or shared else [])]
    made = helper.make_graph(
        nodes,
        "block",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)])


RANGES: dict[str, Range] = {
    "trunk": (0.0, 1.0),
    "grown": (-8.5, 8.5),
    "added": (0.0, 8.5),
    "all": (0.0, 7.5),
    "y": (-1.0, 1.0),
}


def test_the_factors_are_powers_of_two() -> None:
    model, before = graph(), {t.name: numpy_helper.to_array(t) for t in graph().graph.initializer}
    equal, ranges = equalise(model, RANGES)
    after = {t.name: numpy_helper.to_array(t) for t in equal.graph.initializer}
    np.testing.assert_array_equal(after["grow"], before["grow"] / 8)
    np.testing.assert_array_equal(after["bias"], before["bias"] / 8)
    np.testing.assert_array_equal(after["read"][:, :2], before["read"][:, :2])
    np.testing.assert_array_equal(after["read"][:, 2:], before["read"][:, 2:] * 8)
    assert ranges == RANGES | {"grown": (-1.0625, 1.0625), "added": (0, 1.0625), "all": (0, 1.0625)}


@pytest.mark.parametrize(("added", "factor"), [(1e-9, 256), (1e9, 1 / 256)])
def test_a_silent_layer_stays_within_float16(added: float, factor: float) -> None:
    model, ranges = graph(), RANGES | {"added": (0.0, added), "grown": (-added, added)}
    equal, _ = equalise(model, ranges)
    before, after = (
        {t.name: numpy_helper.to_array(t) for t in each.graph.initializer}["grow"] for each in (model, equal)
    )
    np.testing.assert_array_equal(after, before * factor)


@pytest.mark.parametrize(
    "change",
    [
        {"output": "added"},
        {"output": "grown"},
        {"output": "all"},
        {"shared": True},
        {"axis": 0},
        {"other": True},
    ],
)
def test_what_others_read_keeps_its_size(change: dict[str, Any]) -> None:
    model = graph(**change)
    equal, ranges = equalise(model, RANGES)
    assert equal == model and ranges == RANGES


def test_a_missing_range_stays_missing() -> None:
    """The table is incomplete then, and the quantiser says so."""
    _, ranges = equalise(graph(), {name: value for name, value in RANGES.items() if name != "all"})
    assert "all" not in ranges and ranges["added"] == (0, 1.0625)


@pytest.mark.parametrize("added", [(0.0, 0.0), None, (0.0, 1.3)])
def test_layers_that_are_silent_or_unknown_or_of_the_right_size_stay(added: Range | None) -> None:
    ranges = {name: value for name, value in RANGES.items() if name != "added"}
    if added is not None:
        ranges["added"] = added
    equal, found = equalise(graph(), ranges)
    assert equal == graph() and found == ranges
