"""Networks on folded frames in ONNX: the numbers of PyTorch, in every layout, precision and size."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from calibration.qdq.quantiser import Quantiser
from export.cli import app
from export.onnx.checkpoint_file import opened_checkpoint
from export.onnx.export import ExportOptions, build_model, export_onnx
from granet import GraNet, GraNetConfig, save_checkpoint
from granet.app.console import run_app
from runtime import open_engine
from runtime.artefacts.onnx_file import read_metadata
from runtime.checks.parity import BUDGETS, ParityBudget
from tests.runtime.engines.test_engines import rain

SMALL = GraNetConfig(
    fold=2, channels=16, growth=8, dense_layers=2, nonlocal_channels=4, fine_blocks=2, region_extent=64
)
"""Its grid grows from 64 pixels on, so that small frames show it."""
CONFIGS = {
    "small": SMALL,
    "literal grid": replace(SMALL, region_extent=None),
    "fold 4": replace(SMALL, fold=4),
    "lite": GraNetConfig.lite(),
}
Levels = NDArray[np.uint8]


@cache
def network(name: str = "small") -> GraNet:
    """Random weights; the non-local blocks do something, and the mask is small, as a trained one is."""
    torch.manual_seed(1126)
    model = GraNet(CONFIGS[name]).eval().requires_grad_(False)
    for block in model.coarse.region_aware:
        torch.nn.init.normal_(block.out.weight, std=0.1)  # type: ignore[union-attr, arg-type]
    assert model.fine is not None
    for weight in (model.coarse.mask.weight, model.fine.reconstruct.weight):
        weight.mul_(0.25)
    return model


def in_pytorch(model: GraNet, frames: Levels, colour: str = "bgr") -> list[NDArray[Any]]:
    """Rain-free, mask and coarse result of the network itself: float, N x H x W x 3 in ``colour``."""
    rgb = np.ascontiguousarray(frames[..., ::-1] if colour == "bgr" else frames)
    mask, coarse, fine = model.forward_stages(torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255)
    stages = [stage.permute(0, 2, 3, 1).numpy() for stage in (fine, mask, coarse)]
    return [stage[..., ::-1] if colour == "bgr" else stage for stage in stages]


def levels(image: NDArray[Any]) -> NDArray[Any]:
    return np.rint(np.clip(image, 0, 1) * 255)


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def psnr(found: NDArray[Any], expected: NDArray[Any], peak: float = 255) -> float:
    error = float(np.mean((found.astype(np.float64) - expected) ** 2))
    return 10 * np.log10(peak**2 / max(error, 1e-12))


# Sizes that the network computes on: multiples of 16 for each region extent of 64 pixels.
SIZES = [(16, 16), (48, 96), (64, 144), (144, 32)]


@pytest.mark.parametrize(
    ("colour", "precision", "least_db"), [("bgr", "fp32", 60), ("rgb", "fp32", 60), ("bgr", "fp16", 50)]
)
def test_frames_of_any_size(colour: Any, precision: Any, least_db: float) -> None:
    options = ExportOptions(size=None, colour=colour, precision=precision, stages=True)
    onnx_session, model = session(build_model(network(), options)), network()
    for n, size in enumerate(SIZES):
        frames = rain(1 + n % 2, *size)
        found = onnx_session.run(None, {"rainy": frames})
        for ours, theirs in zip(found, in_pytorch(model, frames, colour), strict=True):
            assert ours.dtype == np.uint8 and ours.shape == frames.shape
            assert psnr(ours, levels(theirs)) >= least_db, size


@pytest.mark.parametrize(
    ("name", "dynamic"),
    [("small", False), ("literal grid", True), ("fold 4", False), ("fold 4", True), ("lite", True)],
)
def test_tensors_and_their_stages(name: str, dynamic: bool) -> None:
    """Floats in and out, unclamped; the grid of the small one is twice as wide as the paper's."""
    size = CONFIGS[name].size_rule.padded_size(64, 96)
    options = ExportOptions(size=None if dynamic else size, layout="tensor", stages=True)
    image = rain(1, *size)
    tensor = np.ascontiguousarray(image.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
    found = session(build_model(network(name), options)).run(None, {"rainy": tensor})
    for ours, theirs in zip(found, in_pytorch(network(name), image, "rgb"), strict=True):
        assert psnr(ours.transpose(0, 2, 3, 1), theirs, peak=1) >= 60


@pytest.mark.parametrize("opset", [18, 24])
def test_opsets(opset: int) -> None:
    model = build_model(network(), ExportOptions(size=(64, 80), opset=opset))
    assert model.opset_import[0].version == opset
    frames = rain(1, 64, 96)  # 80 pixels need two grids, so they are padded to 96
    (found,) = session(model).run(None, {"rainy": frames})
    assert psnr(found, levels(in_pytorch(network(), frames)[0])) >= 60


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("folded") / "small.pt"
    save_checkpoint(path, network(), origin="random")
    return path


@pytest.mark.parametrize("size", [(45, 61), None], ids=["static", "dynamic"])
def test_an_exported_file_runs_on_every_backend_and_is_padded_to_its_rule(
    size: tuple[int, int] | None, checkpoint: Path, tmp_path: Path
) -> None:
    path = tmp_path / "small.onnx"
    with opened_checkpoint(checkpoint) as opened:
        export_onnx(opened, path, ExportOptions(size=size), ParityBudget(0, 0, 1, 0))
    metadata = read_metadata(path)
    assert (metadata.multiple, metadata.extent) == (16, 64)
    assert (metadata.height, metadata.width) == ((None, None) if size is None else (48, 64))
    frames = rain(1, 45, 61)
    for backend in ("onnxruntime", "openvino", "torch"):
        with open_engine(checkpoint if backend == "torch" else path, "cpu", backend) as engine:
            assert psnr(engine.run(frames), levels(in_pytorch(network(), frames)[0])) >= 60


def test_regions_smaller_than_the_stride_of_their_keys(tmp_path: Path) -> None:
    """A thumbnail or a strip: OpenVINO takes no kernel that is larger than what it pools, PyTorch does."""
    save_checkpoint(tmp_path / "lite.pt", network("lite"), origin="random")
    with opened_checkpoint(tmp_path / "lite.pt") as opened:
        export_onnx(opened, tmp_path / "lite.onnx", ExportOptions(size=None), ParityBudget(0, 0, 1, 0))
    for backend in ("onnxruntime", "openvino"):
        with open_engine(tmp_path / "lite.onnx", "cpu", backend) as engine:
            for size in ((16, 16), (40, 150)):
                frames = rain(1, *size)
                assert psnr(engine.run(frames), levels(in_pytorch(network("lite"), frames)[0])) >= 60


@cache
def observed() -> tuple[onnx.ModelProto, dict[str, tuple[float, float]]]:
    """A float32 graph, and the least and largest value of each of its tensors on a picture."""
    base = build_model(network(), ExportOptions(size=(64, 96)))
    seen = onnx.ModelProto()
    seen.CopyFrom(base)
    typed = onnx.shape_inference.infer_shapes(base)
    floats = [v for v in typed.graph.value_info if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
    seen.graph.output.extend(floats)
    names = [value.name for value in floats]
    values = session(seen).run(names, {"rainy": rain(1, 64, 96)})
    return base, {name: (float(v.min()), float(v.max())) for name, v in zip(names, values, strict=True)}


@pytest.mark.parametrize(
    ("target", "precision"),
    [("cpu", "int8"), ("tensorrt", "int8"), ("tensorrt", "fp8"), ("tensorrt", "fp16")],
)
def test_eight_bits(target: Any, precision: Any) -> None:
    """Every convolution quantised, with the ranges of the very picture: rounding is all that is lost.

    Of random weights that is what the budget allows hard pictures; a wrong graph is far below.
    """
    base, ranges = observed()
    model = Quantiser(base, ranges, target, precision).make(())
    quantised = sum(node.op_type == "QuantizeLinear" for node in model.graph.node)
    assert quantised == 0 if precision == "fp16" else quantised > 10
    frames = rain(1, 64, 96)
    (found,) = session(model).run(None, {"rainy": frames})
    assert psnr(found, levels(in_pytorch(network(), frames)[0])) >= BUDGETS[precision].hard_db


@pytest.mark.parametrize("fold", [6, 8])
def test_a_network_whose_multiple_is_large_can_be_exported_and_compared(fold: int, tmp_path: Path) -> None:
    torch.manual_seed(fold)
    config = replace(SMALL, channels=8, fold=fold, region_extent=None)
    save_checkpoint(tmp_path / "small.pt", GraNet(config), origin="random")
    command = ["onnx", "--ckpt", str(tmp_path / "small.pt"), "--dynamic", "-o", str(tmp_path / "small.onnx")]
    limits = ["--mean-db", "60", "--min-db", "50", "--share", "0.001", "--hard-db", "20"]
    assert run_app(app, [*command, *limits]) == 0
