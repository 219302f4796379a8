"""Without a GPU, each command that gets an engine ends with one line and nothing else.

The engine is a real one of TensorRT-RTX, which builds without a GPU, of a network of one layer.
"""

from pathlib import Path

import numpy as np
import pytest

import runtime.cli
from export.cli import app
from granet.app.console import run_app
from granet.errors import UserError
from runtime import open_engine
from runtime.artefacts.manifest import sha256_of
from runtime.tensorrt.flavour import find_flavour
from runtime.tensorrt.record import record_path, write_record
from tests.media import write_picture
from tests.runtime.handmade import inverting_file
from tests.runtime.tensorrt.engine_files import record

trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this platform")
cuda = pytest.importorskip("cuda.bindings.runtime", reason="no cuda-bindings here")

if cuda.cudaGetDeviceCount()[1]:
    pytest.skip("has a GPU: tests/gpu runs engines on it", allow_module_level=True)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """255 - x in uint8, built by the real parser and builder."""
    from runtime.tensorrt.log import collected

    flavour = find_flavour("tensorrt-rtx")
    path = inverting_file(tmp_path_factory.mktemp("rtx") / "m.onnx", layout="tensor", colour="rgb", **SIZE)
    with collected(flavour) as (logger, messages):
        builder = trt.Builder(logger)
        network = builder.create_network(flavour.network_flags)
        parser = trt.OnnxParser(network, logger)
        assert parser.parse(path.read_bytes()), messages.errors
        made = builder.build_serialized_network(network, builder.create_builder_config())
        assert made is not None, messages.errors
    return bytes(made)


SIZE = {"height": 48, "width": 64, "batch": 1}


@pytest.fixture
def engine(plan: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "best.engine"
    path.write_bytes(plan)
    made = record(
        "tensorrt-rtx",
        plan=plan,
        version=trt.__version__,
        compute_capabilities=(),
        meta={"layout": "tensor", "colour": "rgb"},
    )
    write_record(path, made)
    return path


def one_line(capfd: pytest.CaptureFixture[str]) -> str:
    captured = capfd.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    return line


NO_GPU = "no usable NVIDIA GPU"


def test_open_engine(engine: Path) -> None:
    with pytest.raises(UserError, match=NO_GPU) as caught:
        open_engine(engine)
    assert "\n" not in str(caught.value)


def test_granet_run(engine: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "rain.png"
    write_picture(picture, np.full((48, 64, 3), 100, np.uint8))
    arguments = ["--input", str(picture), "--output", str(tmp_path / "clean.png"), "--model", str(engine)]
    assert run_app(runtime.cli.app, arguments) == 1
    assert NO_GPU in one_line(capfd)
    assert not (tmp_path / "clean.png").exists()


def test_granet_run_rebuild(
    engine: Path, plan: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """For no GPU there is nothing to build: neither the engine nor its record is touched."""
    model = inverting_file(tmp_path / "best.onnx", layout="tensor", colour="rgb", **SIZE)
    made = record(
        "tensorrt-rtx", plan=plan, version="1.3.0.35", compute_capabilities=(), onnx_sha256=sha256_of(model)
    )
    before = write_record(engine, made).read_text()
    picture = tmp_path / "rain.png"
    write_picture(picture, np.full((48, 64, 3), 100, np.uint8))
    arguments = ["--input", str(picture), "--no-window", "--model", str(engine)]
    assert run_app(runtime.cli.app, arguments) == 1
    assert "built with TensorRT-RTX 1.3.0.35" in one_line(capfd)
    assert run_app(runtime.cli.app, [*arguments, "--rebuild"]) == 1
    assert NO_GPU in one_line(capfd)
    assert record_path(engine).read_text() == before and engine.read_bytes() == plan


def test_granet_export_bench(engine: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, ["bench", str(engine)]) == 1
    assert NO_GPU in one_line(capfd)


def test_granet_export_parity(
    engine: Path, engines_checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The network in the record is compared with the checkpoint first."""
    arguments = ["parity", str(engine), "--ckpt", str(engines_checkpoint)]
    assert run_app(app, arguments) == 3
    assert "has another network than" in one_line(capfd)


def test_a_changed_engine_is_reported_before_a_missing_gpu(
    engine: Path, plan: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    engine.write_bytes(plan[:-1])
    assert run_app(app, ["bench", str(engine)]) == 1
    assert "truncated or changed" in one_line(capfd)


def test_an_engine_of_another_version_is_reported_before_a_missing_gpu(
    engine: Path, plan: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    write_record(engine, record("tensorrt-rtx", plan=plan, version="1.3.0.35", compute_capabilities=()))
    assert run_app(app, ["bench", str(engine)]) == 1
    line = one_line(capfd)
    assert "built with TensorRT-RTX 1.3.0.35" in line and trt.__version__ in line


def test_every_reason_of_rtx_has_words_of_its_own() -> None:
    class Answers:
        """A runtime of RTX that has this to say of every plan."""

        def __init__(self, diagnostics: object) -> None:
            self._diagnostics = diagnostics

        def get_engine_validity(self, plan: bytes) -> tuple[object, object]:
            return trt.EngineValidity.INVALID, self._diagnostics

    flavour, members = find_flavour("tensorrt-rtx"), trt.EngineInvalidityDiagnostics.__members__
    words = {name: flavour.refusal(Answers(value), b"plan") for name, value in members.items()}
    assert len(set(words.values())) == len(words) and "no reason given" not in words.values()
    assert "compute capability" in str(words["UNSUPPORTED_CC"])


def test_the_real_runtime_refuses_in_its_own_words(engine: Path) -> None:
    """With a fake CUDA, the run ends with TensorRT's own error in one line, and nothing leaks."""
    from runtime.engines.device import Device
    from runtime.tensorrt.engine import TensorRtEngine
    from tests.runtime.tensorrt.fake_cuda import FakeCuda

    opened: list[FakeCuda] = []

    def pretended(index: int) -> FakeCuda:
        opened.append(FakeCuda(index))
        return opened[0]

    with pytest.raises(UserError, match=r"best\.engine: not loaded: .*granet-export trt") as caught:
        TensorRtEngine(engine, Device.parse("cuda"), cuda=pretended)
    assert "\n" not in str(caught.value) and "None" not in str(caught.value)
    opened[0].check_no_leaks()
