"""Tests that need an NVIDIA GPU: ``make test-gpu``. Without one each is skipped, and says why."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from export.cli import app
from granet.app.console import run_app
from granet.errors import UserError
from runtime import open_engine
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.cuda.open import open_cuda
from runtime.tensorrt.flavour import Flavour, find_flavour

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "runtime" / "models" / "lite.safetensors"
RAIN100L = ROOT / ".." / "shared" / "data" / "rain100l-test" / "rainy"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gpu: needs an NVIDIA GPU")


@pytest.fixture(scope="session")
def gpu() -> Gpu:
    """The first GPU."""
    try:
        with open_cuda(0) as cuda:
            return cuda.gpu
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def flavour(gpu: Gpu) -> Flavour:
    """The TensorRT that is installed."""
    try:
        return find_flavour()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, gpu: Gpu) -> Path:
    """A directory with the trained network in fp32 and fp16, static and dynamic, as ONNX."""
    if not CHECKPOINT.exists():
        pytest.skip(f"{CHECKPOINT.name} is not there")
    directory = tmp_path_factory.mktemp("models")
    for precision in ("fp32", "fp16"):
        options = [] if precision == "fp32" else ["--fp16"]
        for name, size in (("static", ["--size", "480x320"]), ("dynamic", ["--dynamic"])):
            path = directory / f"{precision}-{name}.onnx"
            arguments = ["onnx", "--ckpt", str(CHECKPOINT), "-o", str(path), *size, *options]
            assert run_app(app, arguments) == 0
    return directory


@pytest.fixture(scope="session")
def engines(models: Path, flavour: Flavour) -> Iterator[Path]:
    """The same as engines, built here: ``fp32-static.engine`` and so on, dynamic up to 640x512 by 2.

    Rain100L has upright pictures too: 321x481, padded to 328x488.
    """
    for path in models.glob("*.onnx"):
        sizes = [] if "static" in path.stem else ["--size", "128x96", "--size", "640x512", "--batch", "2"]
        arguments = ["trt", str(path), "-o", str(path.with_suffix(".engine")), *sizes]
        assert run_app(app, arguments) == 0
    try:
        open_engine(models / "fp32-static.engine", "cuda").close()
    except UserError as error:
        if "not valid for" in str(error):  # TensorRT-RTX does not run on every GPU
            pytest.skip(str(error))
        raise
    yield models
