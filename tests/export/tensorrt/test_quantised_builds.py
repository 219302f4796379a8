"""A real TensorRT builds what our quantiser makes of the presets, of one size and of any."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from calibration.qdq.quantiser import Quantiser
from export.onnx.export import ExportOptions, build_model
from export.tensorrt.build import BuildOptions, build_engine
from export.tensorrt.preflight import check_model
from granet import GraNet, GraNetConfig
from granet.errors import UserError
from runtime.artefacts.artefact import Artefact, Model
from runtime.tensorrt.flavour import find_flavour
from runtime.tensorrt.optimisation_profile import Profile
from tests.runtime.handmade import METADATA

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this platform")

FIXED = Profile.fixed(1, 64, 96)
RANGE = Profile((1, 16, 16), (1, 64, 96), (2, 128, 192))
VARIANTS = [("lite", False), ("lite", True), ("base", False), ("paper", False), ("paper", True)]
"""Presets, of one size and dynamic. The graph of base is that of lite in other widths."""


def plan_of(model: onnx.ModelProto, profile: Profile = FIXED) -> bytes:
    rtx = find_flavour("tensorrt-rtx")
    file: Model = Artefact(Path("q.onnx"), model.SerializeToString(), METADATA)
    return build_engine(rtx, file, profile, BuildOptions()).plan


@cache
def float32(preset: str, dynamic: bool) -> onnx.ModelProto:
    """A preset with all its kinds of layers and its widths, and two instead of four of each."""
    network = GraNet(replace(GraNetConfig.preset(preset), dense_layers=2, fine_blocks=2)).eval()
    return build_model(network, ExportOptions(size=None if dynamic else (64, 96)))


def quantiser_of(base: onnx.ModelProto, precision: Any) -> Quantiser:
    """The ranges do not matter to a builder."""
    ranges = {name: (-1.0, 1.0) for node in base.graph.node for name in node.output}
    return Quantiser(base, ranges, "tensorrt", precision)


@pytest.mark.parametrize("precision", ["int8", "fp8", "fp16"])
@pytest.mark.parametrize(("preset", "dynamic"), VARIANTS)
def test_each_variant_builds(preset: str, dynamic: bool, precision: str) -> None:
    """The model has float16 scales, and float16 layers elsewhere."""
    base = float32(preset, dynamic)
    quantiser = quantiser_of(base, precision)
    model = quantiser.make(quantiser.spared)
    assert check_model(model) == []
    assert any(node.op_type == "QuantizeLinear" for node in model.graph.node) == (precision != "fp16")
    assert plan_of(model, RANGE if dynamic else FIXED)


def test_int8_in_every_layer_builds_too() -> None:
    assert plan_of(quantiser_of(float32("lite", False), "int8").make(()))


def test_quantised_biases_would_be_noticed() -> None:
    """The parser refuses DequantizeLinear of INT32, which is why there is none."""
    model = quantiser_of(float32("lite", False), "int8").make(())
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    for name, array in (("b/q", np.zeros(32, np.int32)), ("b/s", np.ones((), np.float16))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    model.graph.node.insert(0, onnx.helper.make_node("DequantizeLinear", ["b/q", "b/s"], ["b/dq"]))
    conv.input[2] = "b/dq"
    assert check_model(model)
    with pytest.raises(UserError, match="cannot"):
        plan_of(model)
