"""Rounding of weights by the inputs that they meet, and the observation of these inputs."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from calibration.qdq.gptq import Array, gptq
from calibration.qdq.layers import layers_of
from calibration.qdq.moments import input_moments
from calibration.qdq.quantiser import Quantiser
from calibration.simulation import Simulation
from export.onnx.export import ExportOptions, build_model
from granet import GraNet, GraNetConfig
from tests.calibration import sample

HEADS = ("coarse.head", "fine.head")
"""They read pictures, whose pixels are alike, so most of their noise is that of their weights."""


def rounded(values: Array) -> Array:
    return np.clip(np.rint(values), -127, 127)


def alike(count: int, correlation: float) -> Array:
    """Moments of inputs that are alike, as neighbouring pixels are."""
    return np.full((count, count), correlation) + (1 - correlation) * np.eye(count)


def error(steps: Array, found: Array, moments: Array) -> float:
    """Mean square of the change of the layer's results."""
    change = found - steps
    return float(np.einsum("oi,ij,oj->", change, moments, change))


@pytest.mark.parametrize("inputs", [12, 108])
def test_errors_on_inputs_that_are_alike_cancel(inputs: int) -> None:
    steps = np.random.default_rng(1).uniform(-100, 100, (16, inputs))
    moments = alike(inputs, 0.95)
    found = gptq(steps, moments, rounded)
    np.testing.assert_array_equal(found, rounded(found))
    assert error(steps, found, moments) < 0.25 * error(steps, rounded(steps), moments)
    assert np.abs(found - steps).max() < 2


def test_it_is_close_to_the_best_rounding_where_all_can_be_tried() -> None:
    rng = np.random.default_rng(2)
    for _ in range(10):
        samples = rng.standard_normal((40, 6)) + 3 * rng.standard_normal((40, 1))
        moments = samples.T @ samples / 40
        steps = rng.uniform(-5, 5, (1, 6))
        corners = np.array(np.meshgrid(*[[0, 1]] * 6)).reshape(6, -1).T + np.floor(steps)
        best = min(error(steps, corner[None], moments) for corner in corners)
        found = error(steps, gptq(steps, moments, rounded), moments)
        assert found <= error(steps, rounded(steps), moments) + 1e-9
        assert found <= 4 * best + 0.05


def test_independent_inputs_get_the_nearest_steps() -> None:
    steps = np.random.default_rng(3).uniform(-127, 127, (8, 20))
    np.testing.assert_array_equal(gptq(steps, np.diag(np.arange(1.0, 21)), rounded), rounded(steps))


@pytest.mark.parametrize("moments", [np.zeros((5, 5)), np.ones((5, 5)), np.diag([1.0, 0, 0, 0, 1e-30])])
def test_inputs_that_never_change_or_are_always_zero(moments: Array) -> None:
    steps = np.array([[1.5, -2.5, 0.25, 127.0, -127.0]])
    found = gptq(steps, moments, rounded)
    assert np.isfinite(found).all() and np.abs(found).max() <= 127
    assert np.abs(found - steps).max() < 3


def test_weights_that_are_on_the_steps_stay() -> None:
    steps = rounded(np.random.default_rng(4).uniform(-127, 127, (4, 30)))
    np.testing.assert_array_equal(gptq(steps, alike(30, 0.9), rounded), steps)


def test_the_moments_are_those_of_what_the_convolution_reads() -> None:
    """Checked against the convolution itself: its mean square is w^T M w for the moments M."""
    model = sample.model()
    layers = [
        layer for layer in layers_of(model.graph) if layer.name in ("coarse.head", "coarse.local.0.fusion")
    ]
    moments = input_moments(model, layers, sample.pictures(2), "bgr")
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for layer in layers:
        node = next(node for node in model.graph.node if node.name == layer.op)
        weights, bias = values[node.input[1]], values[node.input[2]].reshape(1, -1, 1, 1)
        flat = weights.reshape(len(weights), -1).astype(np.float64)
        expected = np.einsum("oi,ij,oj->o", flat, moments[layer.weight], flat)
        watched = sample.model()
        del watched.graph.output[:]
        watched.graph.output.append(helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None))
        session = ort.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
        results = [
            session.run(None, {"rainy": picture[None, ..., ::-1]})[0] - bias for picture in sample.pictures(2)
        ]
        squares = np.concatenate(results).astype(np.float64) ** 2
        # All positions of these small pictures are observed.
        np.testing.assert_allclose(expected, squares.mean(axis=(0, 2, 3)), rtol=1e-4, atol=1e-9)


def test_a_grid_of_positions_stands_for_a_large_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    model = sample.model()
    layers = layers_of(model.graph)[:1]
    full = input_moments(model, layers, sample.pictures(3), "bgr")
    monkeypatch.setattr("calibration.qdq.moments.POSITIONS", 600)
    some = input_moments(model, layers, sample.pictures(3), "bgr")
    name = layers[0].weight
    assert not np.array_equal(some[name], full[name])
    np.testing.assert_allclose(some[name], full[name], rtol=0.2, atol=0.05 * full[name].max())


@pytest.mark.parametrize(
    ("target", "precision", "most"),
    # Most of the error of fp8 is that of the activations, which stay the same.
    [("cpu", "int8", 0.6), ("tensorrt", "int8", 0.6), ("tensorrt", "fp8", 0.97)],
)
def test_the_quantised_network_is_closer_to_float32(target: str, precision: str, most: float) -> None:
    model = sample.model()
    plain = Quantiser(model, sample.ranges(), target, precision)  # type: ignore[arg-type]
    layers = [layer for layer in plain.layers if layer.name in HEADS]
    kept = {layer.name for layer in plain.layers} - {layer.name for layer in layers}
    better = replace(plain, moments=input_moments(model, layers, sample.pictures(3), "bgr"))
    expected = Simulation(model, sample.metadata())
    other = sample.pictures(5)[3:]  # pictures that were not observed

    def noise(quantiser: Quantiser) -> float:
        found = Simulation(quantiser.make(kept), sample.metadata())
        return float(np.mean([np.square(found.run(p) - expected.run(p)).mean() for p in other]))

    assert noise(better) < most * noise(plain)
    assert better.make(kept) == better.make(kept)


@pytest.mark.parametrize("target", ["cpu", "tensorrt"])
def test_a_first_convolution_may_read_the_input_itself(target: str) -> None:
    """An unfolded network in the layout ``tensor`` has no node before it."""
    config = GraNetConfig(
        channels=4, growth=2, dense_layers=1, nonlocal_channels=2, fine_blocks=1, key_stride=4
    )
    torch.manual_seed(0)
    model = build_model(GraNet(config), ExportOptions(size=(32, 48), layout="tensor"))
    named = {name for node in model.graph.node for name in (*node.input, *node.output)}
    ranges = dict.fromkeys(named, (-1.0, 1.0))
    quantiser = Quantiser(model, ranges, target)  # type: ignore[arg-type]
    pictures = [np.full((32, 48, 3), level, np.uint8) for level in (40, 200)]
    moments = input_moments(model, quantiser.layers, pictures, "rgb")
    for each in (quantiser, replace(quantiser, moments=moments)):
        for made in (each.make(()), each.draft(())):
            onnx.checker.check_model(made, full_check=True)
            session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
            (result,) = session.run(
                None, {session.get_inputs()[0].name: np.zeros((1, 3, 32, 48), np.float32)}
            )
            assert np.isfinite(result).all()


def test_pictures_of_other_sizes_count_alike() -> None:
    model = build_model(sample.network(), ExportOptions(size=None))
    layers = layers_of(model.graph)[:1]
    small, large = np.full((64, 96, 3), 40, np.uint8), np.full((256, 384, 3), 200, np.uint8)
    (found,) = input_moments(model, layers, [small, large], "bgr").values()
    centre = np.arange(12) * 9 + 4  # the middle tap of each channel lies in every picture
    expected = ((40 / 255) ** 2 + (200 / 255) ** 2) / 2
    np.testing.assert_allclose(found[np.ix_(centre, centre)], expected, rtol=1e-4)
