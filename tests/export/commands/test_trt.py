"""``granet-export trt`` as a user types it: what it makes and what it prints."""

import json
import shutil
from pathlib import Path

import pytest

from runtime.artefacts.manifest import read_manifest, sha256_of
from runtime.checks.parity import CaseParity, ParityBudget, ParityReport
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.optimisation_profile import Profile
from runtime.tensorrt.record import read_record
from runtime.tensorrt.trust import read_trusted
from tests.export.trt_ended import TRAINED, ended, names

trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this platform")


@pytest.fixture(autouse=True)
def here(trt_folder: Path) -> Path:
    return trt_folder


@pytest.fixture
def model(trt_model: Path) -> Path:
    return trt_model


@pytest.fixture
def from_checkpoint(trt_made: Path) -> Path:
    return trt_made


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    return tmp_path / "own"


def test_from_a_checkpoint_it_does_the_whole_chain(from_checkpoint: Path) -> None:
    assert names(from_checkpoint) == ["lite.engine", "lite.engine.json", "lite.onnx", "lite.onnx.json"]
    record = read_trusted(from_checkpoint / "lite.engine").record
    assert record.sha256 == sha256_of(from_checkpoint / "lite.engine")
    assert record.onnx_sha256 == sha256_of(from_checkpoint / "lite.onnx")
    assert record.checkpoint_sha256 == sha256_of(TRAINED)
    assert record.table_sha256 is None
    assert (record.flavour, record.version) == ("tensorrt-rtx", trt.__version__)
    assert record.profiles == (Profile.fixed(1, 32, 48),)  # 45 wide, padded
    meta = record.metadata
    assert (meta.precision, meta.colour, meta.height, meta.width) == ("fp32", "bgr", 32, 48)
    assert (meta.multiple, meta.extent) == (16, 512)
    assert record.compute_capabilities == ()
    assert record.build_seconds > 0
    assert record.warnings == ()
    parity = read_manifest(from_checkpoint / "lite.onnx.json").parity
    assert parity is not None and parity["passed"] is True


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="with a GPU parity is measured")
def test_without_a_gpu_it_never_claims_parity(
    from_checkpoint: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = read_record(from_checkpoint / "lite.engine")
    assert record.parity is None
    assert record.parity_reason == "not measured: the build machine had no GPU"
    assert (record.gpu, record.cuda, record.driver, record.layers) == (None, None, None, None)
    _, _, err = ended(capsys, model, "--size", "48x32")
    assert "unverified" in err
    assert "granet-export parity --ckpt PATH/small.pt small.engine" in err


def test_the_onnx_of_before_is_used_again_and_another_is_not_overwritten(
    from_checkpoint: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(from_checkpoint, here, dirs_exist_ok=True)
    before = (here / "lite.onnx").stat().st_mtime_ns
    status, _, err = ended(capsys, "--ckpt", TRAINED, "--size", "48x32", "-o", "b.engine")
    assert status == 0
    assert "using lite.onnx" in err and "taken from the cache" in err
    assert (here / "lite.onnx").stat().st_mtime_ns == before
    status, _, err = ended(capsys, "--ckpt", TRAINED, "--size", "64x32", "-o", "c.engine")
    assert status == 1
    assert "lite.onnx exists and takes frames of 48x32 only, 1 at a time: add --overwrite" in err
    assert not (here / "c.engine").exists()


def test_several_sizes_make_a_profile(model: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--size", "64x48", "--size", "16x16", "--size", "48x32"]
    status, out, err = ended(capsys, model, *sizes, "--batch", "2", "--json")
    assert status == 0
    record = read_record(here / "small.engine")
    assert record.profiles == (Profile((1, 16, 16), (2, 32, 48), (2, 48, 64)),)
    assert record.metadata.height is None
    assert "1 to 2 frames of 16x16 to 64x48" in err
    assert json.loads(out)["profiles"] == [{"min": [1, 16, 16], "opt": [2, 32, 48], "max": [2, 48, 64]}]
    assert record.rebuild_command == (
        "granet-export trt small.onnx --size 64x48 --size 16x16 --size 48x32 --batch 2 "
        "-o small.engine --overwrite"
    )


def test_an_engine_is_built_once(
    model: Path, here: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [
        ended(capsys, model, "--size", "48x32", "-o", f"{name}.engine", *more)[2]
        for name, more in {
            "first": [],
            "same": [],
            "padded": ["--size", "41x30"],
            "other": ["--workspace", "1"],
            "again": ["--no-cache"],
        }.items()
    ]
    assert ["taken from the cache" in line for line in told] == [False, True, True, False, False]
    first, same = (read_trusted(here / f"{name}.engine") for name in ("first", "same"))
    assert first.plan == same.plan
    assert same.record.file == "same.engine"
    assert len(list((own_cache / "granet-deploy/engines").glob("*.engine"))) == 2


def test_without_a_model_the_one_made_last_is_named_and_not_taken(
    model: Path, from_checkpoint: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("lite.onnx", "lite.onnx.json"):
        shutil.copy(from_checkpoint / name, here / name.replace("lite", "later"))
    later = json.loads((here / "later.onnx.json").read_text()) | {"created": "2099-01-01T00:00:00+00:00"}
    (here / "later.onnx.json").write_text(json.dumps(later))
    (here / "stray.onnx").write_bytes(b"put here after all others, by someone else")
    status, _, err = ended(capsys)
    assert status == 2 and "write granet-export trt later.onnx" in err
    before = names(here)
    for options, line in (
        (["--fp32"], "granet-export trt later.onnx --fp32"),
        (["--size", "32x32", "--overwrite"], "granet-export trt later.onnx"),
        (["-o", "own.engine"], "granet-export trt later.onnx"),
    ):
        status, _, err = ended(capsys, *options)
        assert status == 2
        assert err == f"error: no model is named; for the last one made here write {line}\n"
    assert names(here) == before


def test_a_model_of_another_precision_is_passed_over(
    from_checkpoint: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For example, the newest model is int8, and the user asks for float32."""
    for name in ("lite.onnx", "lite.onnx.json"):
        shutil.copy(from_checkpoint / name, here)
    shutil.copy(from_checkpoint / "lite.onnx", here / "later.onnx")
    later = json.loads((here / "lite.onnx.json").read_text()) | {"created": "2099-01-01T00:00:00+00:00"}
    later["metadata"]["precision"] = "fp16"
    (here / "later.onnx.json").write_text(json.dumps(later))
    assert ended(capsys, "--fp32")[2].endswith("write granet-export trt lite.onnx --fp32\n")
    (here / "lite.onnx.json").unlink()
    status, _, err = ended(capsys, "--int8")
    assert status == 2 and "gives an engine in int8" in err


class OnGpu:
    """A GPU and a parity check that a test decides."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, psnr_db: float) -> None:
        self.psnr_db = psnr_db
        self.checked: list[Path] = []
        gpu = Gpu(0, "a GPU", "8.9", "13.0")
        monkeypatch.setattr("export.commands.trt_plan.gpu_to_build_on", lambda flavour: gpu)
        monkeypatch.setattr("export.reports.parity.check_parity", self.check)

    def check(self, checkpoint: object, engine: Path, *_: object) -> ParityReport:
        assert read_trusted(engine).record.sha256 == sha256_of(engine)  # it could be loaded
        self.checked.append(engine)
        case = CaseParity("rain", False, self.psnr_db, 0, 1, 0)
        return ParityReport("engine", "PyTorch", ParityBudget(90, 60, 1e-4, 50), (case,))


def test_on_a_gpu_parity_is_measured_and_recorded(
    from_checkpoint: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(from_checkpoint, here, dirs_exist_ok=True)
    gpu = OnGpu(monkeypatch, psnr_db=95.0)
    status, _, err = ended(capsys, "--ckpt", TRAINED, "--size", "48x32", "-o", "b.engine", "--no-cache")
    record = read_record(here / "b.engine")
    assert (status, len(gpu.checked)) == (0, 1)
    assert record.parity is not None and record.parity["psnr_db"]["mean"] == 95.0
    assert (record.gpu, record.cuda) == ("a GPU", "13.0")
    assert "unverified" not in err
    assert [name for name in names(here) if "part" in name] == []


def test_an_engine_that_misses_parity_is_not_left(
    from_checkpoint: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(from_checkpoint, here, dirs_exist_ok=True)
    before = (here / "lite.engine").read_bytes()
    OnGpu(monkeypatch, psnr_db=30.0)
    arguments = ("--ckpt", TRAINED, "--size", "48x32", "-o", "new.engine")
    status, _, err = ended(capsys, *arguments)
    assert status == 3
    assert "parity missed, nothing written" in err
    assert not (here / "new.engine").exists()
    assert (here / "lite.engine").read_bytes() == before
    assert [name for name in names(here) if "part" in name] == []
