"""The model that comes along: made from the weights beside it, proved, small, and of use."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import runtime
from granet import GraNetConfig
from granet.checkpoint import read_checkpoint
from granet.data.datasets import open_dataset
from granet.evaluation.metrics import score
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime import open_engine
from runtime.artefacts.manifest import sha256_of, verify
from runtime.checks.parity import BUDGETS
from runtime.media.frame import Pixels
from runtime.models.packaged import FLOAT32 as MODEL
from runtime.models.packaged import INT8, packaged_model

WEIGHTS = Path(runtime.__file__).parent / "models" / "lite.safetensors"


def test_it_was_exported_from_the_weights_beside_it() -> None:
    manifest = verify(MODEL)
    assert manifest is not None
    assert manifest.metadata.checkpoint_sha256 == sha256_of(WEIGHTS)
    assert manifest.metadata.height is None  # any size, since nobody knows the user's


def test_it_showed_its_parity() -> None:
    manifest = verify(MODEL)
    assert manifest is not None and manifest.parity is not None
    assert manifest.parity["passed"] is True
    assert manifest.parity["psnr_db"]["mean"] >= BUDGETS["fp32"].mean_db


def test_it_says_that_its_training_was_short() -> None:
    manifest = verify(MODEL)
    assert manifest is not None
    assert manifest.metadata.weights == read_checkpoint(WEIGHTS).facts
    assert "minutes" in manifest.metadata.weights["trained"]


def test_it_is_the_lite_preset_and_about_a_megabyte() -> None:
    assert read_checkpoint(WEIGHTS).config == GraNetConfig.lite()
    assert MODEL.stat().st_size < 1.5e6


def psnr(a: Pixels, b: Pixels) -> float:
    return 10 * math.log10(255**2 / float(np.mean((a.astype(float) - b.astype(float)) ** 2)))


def test_it_removes_rain_and_mostly_leaves_dry_streets_alone() -> None:
    """In the mean over streets and showers: at least 2 dB nearer to the truth, dry at least 25 dB."""
    gains, dry = [], []
    with open_engine(MODEL) as engine:
        for seed in range(4):
            clean = street(320, 480, seed=seed)[..., ::-1]
            shower = replace(sample_rain(np.random.default_rng(seed), 0.4), mist=0.0, drops=0.0)
            rainy = add_rain(clean, render_rain(shower, 320, 480))
            derained, untouched = engine.run(np.stack([rainy, clean]))
            gains.append(psnr(derained, clean) - psnr(rainy, clean))
            dry.append(psnr(untouched, clean))
    assert np.mean(gains) > 2
    assert np.mean(dry) > 25


def test_the_one_in_8_bits_was_made_from_the_other() -> None:
    manifest = verify(INT8)
    assert manifest is not None and manifest.metadata.quantisation is not None
    assert manifest.metadata.precision == "int8"
    assert manifest.metadata.quantisation["model_sha256"] == sha256_of(MODEL)
    assert manifest.metadata.checkpoint_sha256 == sha256_of(WEIGHTS)


def test_8_bits_lose_no_more_than_their_budget() -> None:
    """0.1 dB in the mean, 0.5 dB on the worst picture; where CPUs have no VNNI, its saturation included."""
    pairs = open_dataset("drawn:3", "test")
    drops = []
    with open_engine(MODEL, "cpu", "openvino") as full, open_engine(INT8, "cpu", "openvino") as eight:
        for index in range(len(pairs)):
            pair = pairs.read(index)
            quality = [
                score(engine.run(pair.rainy[None, ..., ::-1])[0][..., ::-1], pair.clean).paper.psnr_db
                for engine in (full, eight)
            ]
            drops.append(quality[0] - quality[1])
    assert np.mean(drops) < 0.1 and max(drops) < 0.5
    assert any(drops)  # they are two models


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
    assert packaged_model(device, backend) == model


def test_float32_runs_where_openvino_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.models.packaged.find_spec", lambda name: None)
    assert packaged_model("auto", "auto") == MODEL
