"""Fixtures that several test files share. Prefixes say whose they are: ``engines_...``."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import runtime.sinks  # noqa: F401  OpenCV before PyAV, as in the program
from export.onnx.checkpoint_file import opened_checkpoint
from export.onnx.export import ExportOptions, export_onnx
from granet import GraNet, GraNetConfig, save_checkpoint
from runtime.checks.parity import ParityBudget


@pytest.fixture(scope="session", autouse=True)
def engines_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Engines and kernels are kept here, and not where the user of this machine keeps them."""
    path = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(path))
        yield path


@pytest.fixture(scope="session")
def engines_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small GraNet with random weights; every block does something, the non-local ones too.

    Mask and reconstruction are kept small, as a trained network's are: a maximum that flips between
    two backends moves a value by a pixel, and large values would make much of it.
    """
    torch.manual_seed(20261122)
    config = GraNetConfig(channels=8, growth=4, dense_layers=2, nonlocal_channels=4, fine_blocks=2)
    model = GraNet(config)
    for name, parameter in model.named_parameters():
        if "region_aware" in name and ".out." in name:  # zero at the start
            torch.nn.init.normal_(parameter, std=0.1)
        if name in ("coarse.mask.weight", "fine.reconstruct.weight"):
            parameter.data *= 0.25
    path = tmp_path_factory.mktemp("engines") / "small.pt"
    save_checkpoint(path, model, origin="random")
    return path


@pytest.fixture(scope="session")
def engines_onnx(engines_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """:func:`engines_checkpoint` exported for frames of any size, BGR."""
    path = tmp_path_factory.mktemp("engines") / "small.onnx"
    budget = ParityBudget(mean_db=60, min_db=50, share=1e-3, hard_db=40)  # untrained weights
    with opened_checkpoint(engines_checkpoint) as checkpoint:
        export_onnx(checkpoint, path, ExportOptions(size=None), budget)
    return path
