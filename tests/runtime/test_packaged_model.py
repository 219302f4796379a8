"""The model that comes along: made from the weights beside it, proved, small, and of use."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

import runtime
from granet import GraNetConfig
from granet.checkpoint import read_checkpoint
from granet.rain import add_rain, render_rain, sample_rain
from granet.scenes import street
from runtime import open_engine
from runtime.cli import MODEL
from runtime.frame import Pixels
from runtime.manifest import sha256_of, verify
from runtime.parity import BUDGETS

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
