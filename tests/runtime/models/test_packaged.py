"""The packaged model: made from the packaged weights, verified, small, and useful."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from granet import GraNetConfig
from granet.checkpoint import read_checkpoint
from granet.data.datasets import open_dataset
from granet.errors import UserError
from granet.evaluation.metrics import score
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime import open_engine
from runtime.artefacts.manifest import sha256_of, verify
from runtime.media.frame import Pixels
from runtime.models.packaged import FLOAT32 as MODEL
from runtime.models.packaged import PRESETS, default_model, packaged_model, packaged_names

INT8 = MODEL.with_name("lite.int8.onnx")


@pytest.fixture(params=PRESETS)
def name(request: pytest.FixtureRequest) -> str:
    """Each packaged model."""
    return str(request.param)


def file_of(name: str, ending: str) -> Path:
    return MODEL.with_name(name + ending)


def test_it_was_exported_from_the_weights_beside_it(name: str) -> None:
    manifest = verify(file_of(name, ".onnx"))
    assert manifest is not None
    assert manifest.metadata.checkpoint_sha256 == sha256_of(file_of(name, ".safetensors"))
    assert manifest.metadata.height is None  # any size, since nobody knows the user's


def test_it_showed_its_parity(name: str) -> None:
    manifest = verify(file_of(name, ".onnx"))
    assert manifest is not None and manifest.parity is not None
    assert manifest.parity["passed"] is True
    assert manifest.parity["psnr_db"]["mean"] >= 80


def test_it_says_how_it_was_trained(name: str) -> None:
    manifest = verify(file_of(name, ".onnx"))
    assert manifest is not None
    assert manifest.metadata.weights == read_checkpoint(file_of(name, ".safetensors")).facts
    assert {"minutes", "samples", "recipe"} <= manifest.metadata.weights.keys()


@pytest.mark.parametrize(("preset", "megabytes"), [("lite", 1.5), ("base", 5)])
def test_it_is_a_network_of_its_preset_and_small(preset: str, megabytes: float) -> None:
    config = GraNetConfig.preset(preset)
    assert read_checkpoint(file_of(preset, ".safetensors")).config == config
    assert file_of(preset, ".onnx").stat().st_size < megabytes * 1e6


def test_each_has_a_model_card_that_a_reader_finds(name: str) -> None:
    assert f"# Model card: `{name}`" in file_of(name, ".md").read_text("utf-8")


def psnr(a: Pixels, b: Pixels) -> float:
    return 10 * math.log10(255**2 / float(np.mean((a.astype(float) - b.astype(float)) ** 2)))


def test_it_removes_rain_and_mostly_leaves_dry_streets_alone(name: str) -> None:
    """In the mean over streets and showers: at least 2 dB nearer to the truth, dry at least 25 dB."""
    gains, dry = [], []
    with open_engine(file_of(name, ".onnx")) as engine:
        for seed in range(4):
            clean = street(320, 480, seed=seed)[..., ::-1]
            shower = replace(sample_rain(np.random.default_rng(seed), 0.4), mist=0.0, drops=0.0)
            rainy = add_rain(clean, render_rain(shower, 320, 480))
            derained, untouched = engine.run(np.stack([rainy, clean]))
            gains.append(psnr(derained, clean) - psnr(rainy, clean))
            dry.append(psnr(untouched, clean))
    assert np.mean(gains) > 2
    assert np.mean(dry) > 25


def test_the_one_in_8_bits_was_made_from_the_other(name: str) -> None:
    manifest = verify(file_of(name, ".int8.onnx"))
    assert manifest is not None and manifest.metadata.quantisation is not None
    assert manifest.metadata.precision == "int8"
    assert manifest.metadata.quantisation["model_sha256"] == sha256_of(file_of(name, ".onnx"))
    assert manifest.metadata.checkpoint_sha256 == sha256_of(file_of(name, ".safetensors"))


def test_8_bits_lose_no_more_than_their_budget(name: str) -> None:
    """0.1 dB in the mean, 0.5 dB on the worst picture; where CPUs have no VNNI, its saturation included."""
    pairs = open_dataset("drawn:3", "test")
    drops = []
    with (
        open_engine(file_of(name, ".onnx"), "cpu", "openvino") as full,
        open_engine(file_of(name, ".int8.onnx"), "cpu", "openvino") as eight,
    ):
        for index in range(len(pairs)):
            pair = pairs.read(index)
            quality = [
                score(engine.run(pair.rainy[None, ..., ::-1])[0][..., ::-1], pair.clean).paper.psnr_db
                for engine in (full, eight)
            ]
            drops.append(quality[0] - quality[1])
    assert np.mean(drops) < 0.1 and max(drops) < 0.5
    assert any(drops)  # they are two models


def test_this_version_has_both() -> None:
    assert packaged_names() == PRESETS


@pytest.mark.parametrize(
    ("device", "backend", "model"),
    [
        ("auto", "auto", INT8),
        ("cpu", "openvino", INT8),
        ("cpu", "onnxruntime", MODEL),
        ("cuda:1", "auto", MODEL),
        ("gpu", "openvino", MODEL),
    ],
)
def test_8_bits_run_where_they_are_faster(device: str, backend: str, model: Path) -> None:
    assert packaged_model("lite", device, backend) == model


def test_float32_runs_where_openvino_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.models.packaged.find_spec", lambda name: None)
    assert packaged_model("lite", "auto", "auto") == MODEL


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A directory that has both packaged models."""
    for name in ("lite.onnx", "lite.int8.onnx", "base.onnx", "base.int8.onnx"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("device", "backend", "model", "other"),
    [
        ("cpu", "onnxruntime", "lite.onnx", "base"),
        ("cpu", "openvino", "lite.int8.onnx", "base"),
        ("npu", "openvino", "lite.onnx", "base"),
        ("cuda:1", "auto", "base.onnx", "lite"),
        ("gpu", "openvino", "base.onnx", "lite"),
        ("auto", "onnxruntime-tensorrt", "base.onnx", "lite"),
    ],
)
def test_without_a_name_it_is_lite_on_a_cpu_and_base_on_a_gpu(
    both: Path, device: str, backend: str, model: str, other: str
) -> None:
    chosen = default_model(device, backend, both)
    assert chosen.path == both / model
    assert chosen.message.startswith(f"model: {model.split('.')[0]} (--model {other} ")


@pytest.mark.parametrize(("providers", "model"), [([], "lite"), (["CUDAExecutionProvider"], "base")])
def test_onnxruntime_decides_what_auto_is(
    both: Path, monkeypatch: pytest.MonkeyPatch, providers: list[str], model: str
) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: providers)
    assert default_model("auto", "onnxruntime", both).path == both / f"{model}.onnx"


def test_a_version_without_base_runs_lite_on_a_gpu_and_says_so(both: Path) -> None:
    for name in ("base.onnx", "base.int8.onnx"):
        (both / name).unlink()
    chosen = default_model("cuda", "auto", both)
    assert chosen.path == both / "lite.onnx" and "packages no other" in chosen.message
    with pytest.raises(UserError, match="--model base: this version packages only lite; give that or a path"):
        packaged_model("base", "cuda", "auto", directory=both)


def test_an_installation_without_models_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"packaged models are missing .*--model PATH"):
        default_model("cpu", "auto", tmp_path)
