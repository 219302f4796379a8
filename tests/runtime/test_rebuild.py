"""``--rebuild``: which engine is rebuilt, from which model and for which GPU; and the errors."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from granet.errors import UserError
from runtime import rebuild
from runtime.artefacts.manifest import sha256_of
from runtime.engines.device import Device
from runtime.rebuild import open_or_rebuild, rebuild_command
from runtime.tensorrt.record import EngineRecord, read_record, write_record
from runtime.tensorrt.trust import EngineRefusedError, read_trusted
from tests.patience import PATIENCE
from tests.runtime.handmade import inverting_model, save
from tests.runtime.tensorrt.engine_files import engine_file, record
from tests.runtime.tensorrt.fake_cuda import FakeCuda

CUDA = Device.parse("cuda")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with exactly the outputs in its metadata, because engines are really built from it."""
    made = inverting_model(layout="tensor", colour="rgb", height=48, width=64, batch=1)
    mask, *outputs = made.graph.output
    del made.graph.output[:]
    made.graph.output.extend(outputs)
    made.graph.node.remove(next(node for node in made.graph.node if mask.name in node.output))
    return save(made, tmp_path / "best.onnx")


def made_from(model: Path, **changes: Any) -> EngineRecord:
    meta = {"layout": "tensor", "colour": "rgb"}
    return record("tensorrt-rtx", meta=meta, onnx_sha256=sha256_of(model), **changes)


def refused(model: Path, **changes: Any) -> EngineRefusedError:
    made = made_from(model, **changes)
    return EngineRefusedError(engine_file(model.parent, made), made, ["not for this machine"])


def gpu(capability: str = "8.6") -> Any:
    return lambda index: FakeCuda(index, capability=capability)


class TestCommand:
    def test_is_the_one_of_before_with_the_paths_of_now(self, model: Path) -> None:
        arguments = ("--size", "64x48", "--workspace", "2")
        _, *words = rebuild_command(refused(model, arguments=arguments), CUDA, gpu())
        engine = str(model.parent / "best.engine")
        assert words == ["trt", str(model), *arguments, "-o", engine, "--overwrite"]

    def test_leaves_out_what_tensorrt_rtx_never_used(self, model: Path) -> None:
        """It is refused there now; an engine of before must be built again all the same."""
        arguments = ("--size", "64x48", "--optimisation-level", "1", "--workspace", "2")
        words = rebuild_command(refused(model, arguments=arguments), CUDA, gpu())
        assert "--optimisation-level" not in words and words[words.index("--workspace") + 1] == "2"

    @pytest.mark.parametrize(
        ("before", "capability", "after"),
        [
            ((), "8.9", []),  # TensorRT-RTX's default serves many
            (("8.6",), "8.9", ["8.9"]),
            (("8.6", "8.9"), "12.0", ["12.0"]),
            (("8.6", "8.9"), "8.9", ["8.6", "8.9"]),
        ],
    )
    def test_builds_for_the_gpu_that_is_here(
        self, before: tuple[str, ...], capability: str, after: list[str], model: Path
    ) -> None:
        arguments = ["--size", "64x48", *(word for name in before for word in ("--compute-capability", name))]
        words = rebuild_command(refused(model, arguments=tuple(arguments)), CUDA, gpu(capability))
        assert [words[i + 1] for i, word in enumerate(words) if word == "--compute-capability"] == after
        assert words[words.index("--size") + 1] == "64x48"

    def test_tensorrt_builds_for_the_gpu_that_is_here_without_being_told(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The engine came from TensorRT-RTX, and granet-export prefers TensorRT where both are."""
        monkeypatch.setattr(rebuild, "find_spec", lambda name: object())
        words = rebuild_command(refused(model, arguments=("--compute-capability", "8.7")), CUDA, gpu("8.7"))
        assert "--compute-capability" not in words and "8.7" not in words

    def test_runs_what_is_installed_beside_this_python(self, model: Path) -> None:
        program = Path(rebuild_command(refused(model), CUDA, gpu())[0])
        assert program.is_absolute() and program.name.startswith("granet-export")

    def test_the_gpu_is_let_go_of(self, model: Path) -> None:
        opened: list[FakeCuda] = []

        def open_fake(index: int) -> FakeCuda:
            opened.append(FakeCuda(index))
            return opened[0]

        rebuild_command(refused(model), Device.parse("cuda:2"), open_fake)
        assert opened[0].gpu.index == 2
        opened[0].check_no_leaks()


class TestWhatIsMissing:
    def test_the_model(self, model: Path) -> None:
        error = refused(model)
        model.unlink()
        with pytest.raises(UserError, match=r"best\.onnx, is not beside it, so it cannot be rebuilt"):
            rebuild_command(error, CUDA, gpu())

    def test_the_model_is_another(self, model: Path) -> None:
        error = refused(model)
        model.write_bytes(model.read_bytes() + b"\x3a\x00")
        with pytest.raises(UserError, match="is not the ONNX model that it was built from"):
            rebuild_command(error, CUDA, gpu())

    def test_the_gpu(self, model: Path) -> None:
        def none(index: int) -> FakeCuda:
            raise UserError("no usable NVIDIA GPU (no driver)")

        with pytest.raises(UserError, match="no usable NVIDIA GPU"):
            rebuild_command(refused(model), CUDA, none)

    @pytest.mark.parametrize(
        ("package", "says"),
        [
            ("onnx", "onnx is not installed: pip install onnx"),
            ("granet-export", r"pip install \. in a checkout"),
        ],
    )
    def test_what_builds(self, package: str, says: str, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An edge box has only the packages to run a model."""
        if package == "onnx":
            monkeypatch.setattr(rebuild, "find_spec", lambda name: None)
        else:
            monkeypatch.setattr(rebuild.sysconfig, "get_path", lambda name: str(model.parent))
            monkeypatch.setenv("PATH", str(model.parent))
        with pytest.raises(UserError, match=says) as caught:
            rebuild_command(refused(model), CUDA, gpu())
        assert "best.engine: cannot be rebuilt here" in str(caught.value)

    def test_a_record(self, model: Path) -> None:
        """Without a record the original model is unknown."""
        path = model.with_suffix(".engine")
        path.write_bytes(b"a plan")
        with pytest.raises(UserError, match=r"its record best\.engine\.json is missing"):
            open_or_rebuild(path, "auto", "auto", print, gpu())

    def test_an_engine(self, model: Path) -> None:
        with pytest.raises(UserError, match=r"--rebuild works only with engines \(\.engine\)"):
            open_or_rebuild(model, "auto", "auto", print, gpu())


class TestBuilding:
    @staticmethod
    def by(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
        """A builder that runs the Python ``script``."""
        monkeypatch.setattr(rebuild, "_builder", lambda engine: [sys.executable, "-c", script])

    @pytest.fixture
    def engine(self, model: Path) -> Path:
        return engine_file(model.parent, made_from(model, version="1.3.0.35"))

    def test_fails(
        self, engine: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self.by(monkeypatch, "import sys; sys.exit('error: why')")
        before = engine.read_bytes()
        with pytest.raises(UserError, match="the rebuild failed: see the line above"):
            open_or_rebuild(engine, "auto", "auto", lambda line: None, gpu())
        assert capfd.readouterr().err == "error: why\n"
        assert engine.read_bytes() == before

    @pytest.mark.parametrize(
        ("device", "seen", "expected"),
        [
            ("cuda", None, None),
            ("cuda:0", "2,3", "2,3"),
            ("cuda:1", None, "1"),
            ("cuda:1", "2,3", "3"),
            ("cuda:1", "GPU-8f,GPU-c1", "GPU-c1"),
        ],
    )
    def test_builds_on_the_gpu_that_will_run_it(
        self,
        device: str,
        seen: str | None,
        expected: str | None,
        engine: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        """The builder takes the first GPU, so the engine was refused again on any other."""
        if seen is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
        self.by(monkeypatch, "import os, sys; sys.exit(str(os.environ.get('CUDA_VISIBLE_DEVICES')))")
        with pytest.raises(UserError, match="the rebuild failed"):
            open_or_rebuild(engine, device, "auto", lambda line: None, gpu())
        assert capfd.readouterr().err == f"{expected}\n"

    def test_is_interrupted(self, tmp_path: Path) -> None:
        """The builder gets one SIGINT, cleans up and exits; then granet-run exits."""
        cleaned = tmp_path / "cleaned"
        builder = (
            "import os, pathlib, signal, sys, time\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "try:\n"
            "    os.kill(os.getppid(), signal.SIGINT)\n"
            "    time.sleep(60)\n"
            "except KeyboardInterrupt:\n"
            f"    pathlib.Path({str(cleaned)!r}).touch()\n"
            "    sys.exit(130)\n"
        )
        # In a separate process, because the signal would also reach the test runner.
        program = (
            "import pathlib, sys\n"
            "from granet.app.console import Interrupted\n"
            "from runtime.rebuild import _run\n"
            "try:\n"
            f"    _run([sys.executable, '-c', {builder!r}], pathlib.Path('best.engine'))\n"
            "except Interrupted:\n"
            "    sys.exit(42)\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE
        )
        assert (result.returncode, result.stderr) == (42, "")
        assert cleaned.exists()

    def test_for_real(self, engine: Path) -> None:
        """A rebuild by granet-export and TensorRT-RTX, up to the trust in the new engine; it needs no GPU."""
        trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this platform")
        cuda = pytest.importorskip("cuda.bindings.runtime", reason="no cuda-bindings here")
        if cuda.cudaGetDeviceCount()[1]:
            pytest.skip("has a GPU: tests/gpu rebuilds an engine there")
        write_record(engine, replace(read_record(engine), arguments=("--workspace", "2")))
        told: list[str] = []
        with pytest.raises(UserError, match="no usable NVIDIA GPU"):
            open_or_rebuild(engine, "auto", "auto", told.append, gpu())
        (line,) = told
        assert "built with TensorRT-RTX 1.3.0.35" in line and line.endswith(": rebuilding it")
        made = read_trusted(engine).record
        assert made.version == trt.__version__ and made.onnx == "best.onnx"
        assert made.arguments == ("--workspace", "2")
