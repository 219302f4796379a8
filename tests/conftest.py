"""Fixtures that several test files share. Prefixes say whose they are: ``engines_...``."""

import fcntl
import gc
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import runtime.sinks  # noqa: F401  OpenCV before PyAV, as in the program
from export.onnx.checkpoint_file import opened_checkpoint
from export.onnx.export import ExportOptions, export_onnx
from granet import GraNet, GraNetConfig, save_checkpoint
from granet.app import credentials
from runtime.checks.parity import ParityBudget

for _number in (signal.SIGINT, signal.SIGHUP):
    # Background jobs ignore SIGINT, and what nohup started ignores SIGHUP. So would the
    # commands that tests start. A handler that does nothing is not inherited.
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Also divides what `--dist loadfile` would keep together for too long."""
    from tests.distribution import ByFile

    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only where several processes run the tests does their order matter."""
    if hasattr(config, "workerinput"):
        from tests.distribution import begin_with_the_longest

        begin_with_the_longest(items)


@pytest.fixture(scope="session", autouse=True)
def engines_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Engines and kernels are kept here, and not where the user of this machine keeps them."""
    path = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(path))
        yield path


@pytest.fixture(autouse=True)
def small_heap() -> Iterator[None]:
    """Garbage collections skip the modules of all tests: they took a third of the time of some files."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_concealed_values() -> Iterator[None]:
    """A value that one test conceals is an ordinary word in the next."""
    yield
    credentials.forget()


@pytest.fixture(scope="session")
def engines_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of pytest-xdist share, for what is made once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "engines_made"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "small.onnx").exists():
            _make_engines(folder)
    return folder


@pytest.fixture(scope="session")
def engines_checkpoint(engines_made: Path) -> Path:
    """A small GraNet with random weights; every block does something, the non-local ones too."""
    return engines_made / "small.pt"


@pytest.fixture(scope="session")
def engines_onnx(engines_made: Path) -> Path:
    """:func:`engines_checkpoint` exported for frames of any size, BGR."""
    return engines_made / "small.onnx"


def _make_engines(folder: Path) -> None:
    """Mask and reconstruction are kept small, as a trained network's are.

    A maximum that flips between two backends moves a value by a pixel, and large values would make much of
    it.
    """
    torch.manual_seed(20261122)
    config = GraNetConfig(channels=8, growth=4, dense_layers=2, nonlocal_channels=4, fine_blocks=2)
    model = GraNet(config)
    for name, parameter in model.named_parameters():
        if "region_aware" in name and ".out." in name:  # zero at the start
            torch.nn.init.normal_(parameter, std=0.1)
        if name in ("coarse.mask.weight", "fine.reconstruct.weight"):
            parameter.data *= 0.25
    save_checkpoint(folder / "small.pt", model, origin="random")
    budget = ParityBudget(mean_db=60, min_db=50, share=1e-3, hard_db=40)  # untrained weights
    with opened_checkpoint(folder / "small.pt") as checkpoint:
        export_onnx(checkpoint, folder / "small.onnx", ExportOptions(size=None), budget)
