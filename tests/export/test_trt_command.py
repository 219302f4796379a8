"""``granet-export trt`` as a user types it: what it makes, what it prints, how it ends."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

from export.cli import app
from export.trt_layers import parse_layers
from granet.console import run_app
from runtime.cuda.contract import Gpu
from runtime.engine_record import read_record
from runtime.engine_trust import read_trusted
from runtime.manifest import manifest_path, read_manifest, sha256_of
from runtime.packaged import FLOAT32 as MODEL
from runtime.parity import CaseParity, ParityBudget, ParityReport
from runtime.profile import Profile

trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this platform")


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So that tests which need some engine, and not a build, take no seconds."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    return tmp_path / "own"


@pytest.fixture
def model(engines_onnx: Path, here: Path) -> Path:
    """A dynamic fp32 model with its manifest, in the working directory."""
    for path in (engines_onnx, manifest_path(engines_onnx)):
        shutil.copy(path, here)
    return here / engines_onnx.name


TRAINED = MODEL.with_suffix(".safetensors").resolve()


@pytest.fixture(scope="module")
def from_checkpoint(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what ``granet-export trt --ckpt`` makes of a checkpoint."""
    folder = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        patch.chdir(folder)
        assert run_app(app, ["trt", "--ckpt", str(TRAINED), "--size", "45x32"]) == 0
    return folder


def ended(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    capsys.readouterr()
    status = run_app(app, ["trt", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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
    assert (meta.multiple, meta.extent) == (8, 512)
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
    assert record.parity_reason == "not measured: there was no GPU where it was built"
    assert (record.gpu, record.cuda, record.driver, record.layers) == (None, None, None, None)
    _, _, err = ended(capsys, model, "--size", "48x32")
    assert "unverified" in err
    assert "granet-export parity --ckpt small.pt small.engine" in err


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
    assert "lite.onnx exists and is not what this engine is made from" in err
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
            "other": ["--optimisation-level", "1"],
            "again": ["--no-cache"],
        }.items()
    ]
    assert ["taken from the cache" in line for line in told] == [False, True, True, False, False]
    first, same = (read_trusted(here / f"{name}.engine") for name in ("first", "same"))
    assert first.plan == same.plan
    assert same.record.file == "same.engine"
    assert len(list((own_cache / "granet-deploy/engines").glob("*.engine"))) == 2


def test_the_model_made_last_is_taken(
    model: Path, from_checkpoint: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("lite.onnx", "lite.onnx.json"):
        shutil.copy(from_checkpoint / name, here / name.replace("lite", "later"))
    later = json.loads((here / "later.onnx.json").read_text()) | {"created": "2099-01-01T00:00:00+00:00"}
    (here / "later.onnx.json").write_text(json.dumps(later))
    (here / "stray.onnx").write_bytes(b"put here after all others, by someone else")
    status, _, err = ended(capsys)
    assert status == 0
    assert "using later.onnx, the last one made here" in err
    assert read_record(here / "later.engine").onnx == "later.onnx"


def test_a_model_of_another_precision_is_passed_over(
    from_checkpoint: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the int8 model, made last, when an engine in float32 is asked for."""
    for name in ("lite.onnx", "lite.onnx.json"):
        shutil.copy(from_checkpoint / name, here)
    shutil.copy(from_checkpoint / "lite.onnx", here / "later.onnx")
    later = json.loads((here / "lite.onnx.json").read_text()) | {"created": "2099-01-01T00:00:00+00:00"}
    later["metadata"]["precision"] = "fp16"
    (here / "later.onnx.json").write_text(json.dumps(later))
    assert "using lite.onnx, the last one made here" in ended(capsys, "--fp32")[2]
    (here / "lite.onnx.json").unlink()
    status, _, err = ended(capsys, "--int8")
    assert status == 1 and "gives an engine in int8" in err


def test_without_any_model_it_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = ended(capsys, "--int8")
    assert status == 1
    assert "granet-export trt best.onnx" in err and "--ckpt best.pt" in err


@pytest.mark.parametrize("source", [["--ckpt", str(TRAINED)], []])
def test_an_engine_that_exists_is_told_before_minutes_of_work(
    source: list[str], from_checkpoint: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not source:
        for name in ("lite.onnx", "lite.onnx.json"):
            shutil.copy(from_checkpoint / name, here)
    (here / "lite.int8.engine").write_text("precious")
    before = names(here)
    status, _, err = ended(capsys, *source, "--int8")
    assert status == 1 and "lite.int8.engine: exists; add --overwrite" in err
    assert "exporting" not in err and "calibrating" not in err
    assert names(here) == before


def changed(model: Path) -> None:
    """The model with another constant, and the manifest of before."""
    loaded = onnx.load(model)
    loaded.producer_name = "someone else"
    model.write_bytes(loaded.SerializeToString())


def with_unpool(model: Path) -> None:
    """An operator in our own file that TensorRT has not; no manifest."""
    loaded = onnx.load(model)
    loaded.graph.node.add(op_type="MaxUnpool", name="unpool", input=["rainy"], output=["spare"])
    model.write_bytes(loaded.SerializeToString())
    manifest_path(model).unlink()


MISTAKES: dict[str, tuple[list[str], int, str]] = {
    "no such file": (["none.onnx"], 1, "none.onnx: cannot be read"),
    "not a model": (["words.onnx"], 1, "words.onnx: not an ONNX file"),
    "not ours": (["foreign.onnx"], 1, "not one that granet-export made"),
    "no checkpoint": (["--ckpt", "none.pt"], 1, "none.pt"),
    "two sources": (["MODEL", "--ckpt", "CKPT"], 2, "built from one of them"),
    "two precisions": (["MODEL", "--fp16", "--int8"], 2, "give one of them"),
    "precision is in the file": (["MODEL", "--size", "48x32", "--fp16"], 1, "granet-export onnx --fp16"),
    "images for no quantisation": (["MODEL", "--images", "."], 2, "add one of them"),
    "images and a table": (["MODEL", "--int8", "--images", ".", "--calibration", "t"], 2, "one of them"),
    "no table": (["MODEL", "--int8", "--calibration", "none.json"], 1, "none.json: there is no such file"),
    "any size": (["MODEL"], 1, "--size 640x480"),
    "any size, to be calibrated": (["MODEL", "--int8"], 1, "--size 640x480"),
    "too small": (["MODEL", "--size", "8x8"], 1, "at least 16x16"),
    "no size": (["MODEL", "--size", "wide"], 2, "480x320"),
    "another size": (["STATIC", "--size", "64x48"], 1, "computes on 48x32 only, not on 64x48"),
    "another batch": (["STATIC", "--batch", "2"], 1, "1 frame at a time, not on 2"),
    "exists": (["STATIC", "-o", "exists.engine"], 1, "--overwrite"),
    "no directory": (["STATIC", "-o", "no/such/a.engine"], 1, "there is no directory"),
    "a directory": (["STATIC", "-o", "folder.engine"], 1, "is a directory"),
    "another ending": (["STATIC", "-o", "a.onnx"], 1, "ends in .engine"),
    "wrong capability": (["STATIC", "--compute-capability", "9.0"], 1, "it does for 7.5, 8.0"),
    "no capability": (["STATIC", "--compute-capability", "ampere"], 1, "write it as in 8.6"),
    "no DLA": (["STATIC", "--dla", "0"], 1, "does not use DLA"),
    "no timing cache": (["STATIC", "--timing-cache", "t"], 1, "--timing-cache"),
    "no such flavour": (["STATIC", "--flavour", "tensorflow"], 2, "tensorflow"),
    "level": (["STATIC", "--optimisation-level", "9"], 2, "optimisation-level"),
    "not for Turing": (["STATIC", "--compute-capability", "7.5"], 1, "FP32 GEMM is not supported"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(
    case: str,
    model: Path,
    from_checkpoint: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, status, says = MISTAKES[case]
    (here / "words.onnx").write_text("a model, honestly\n")
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [])), here / "foreign.onnx")
    (here / "exists.engine").write_text("precious")
    (here / "folder.engine").mkdir()
    before = names(here)
    stands_for = {
        "MODEL": model,
        "CKPT": TRAINED,
        "STATIC": from_checkpoint / "lite.onnx",
    }
    found, out, err = ended(capsys, *(stands_for.get(argument, argument) for argument in arguments))
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (found, out) == (status, "")
    assert len(errors) == 1 and says in errors[0]
    assert "NoneType" not in err and "Traceback" not in err
    assert names(here) == before
    assert (here / "exists.engine").read_text() == "precious"


def of_another_type(model: Path) -> None:
    """An input that is not the frames which the file says it takes; no manifest."""
    loaded = onnx.load(model)
    loaded.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    model.write_bytes(loaded.SerializeToString())
    manifest_path(model).unlink()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (of_another_type, "types of inputs and outputs are FLOAT, UINT8, not UINT8, UINT8"),
        (changed, "was changed after its manifest"),
        (with_unpool, "node unpool: TensorRT has no operator MaxUnpool"),
    ],
)
def test_a_model_that_is_not_to_be_built_is_refused(
    harm: Any, says: str, model: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harm(model)
    status, _, err = ended(capsys, model, "--size", "48x32")
    assert status == 1
    assert says in err
    assert not (here / "small.engine").exists()


def test_where_no_tensorrt_is_installed(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("runtime.tensorrt_flavour.find_spec", lambda name: None)
    status, _, err = ended(capsys, model, "--size", "48x32")
    assert status == 1
    assert "no TensorRT is installed" in err and "pip install tensorrt-rtx" in err


def test_tensorrt_without_a_gpu_says_where_to_build(
    model: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """TensorRT itself builds on a GPU only; here it is RTX's module under its name."""
    from granet.errors import UserError
    from runtime.tensorrt_flavour import Flavour

    def no_gpu() -> None:
        raise UserError("no driver")

    monkeypatch.setattr("runtime.tensorrt_flavour.find_flavour", lambda _: Flavour("tensorrt", "10.3.0", trt))
    monkeypatch.setattr("export.trt_make.open_cuda", no_gpu)
    status, _, err = ended(capsys, model, "--size", "48x32")
    assert status == 1
    assert "--flavour tensorrt-rtx" in err
    assert names(here) == ["small.onnx", "small.onnx.json"]


class OnGpu:
    """A GPU and a parity check that a test decides."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, psnr_db: float) -> None:
        self.psnr_db = psnr_db
        self.checked: list[Path] = []
        gpu = Gpu(0, "a GPU", "8.9", "13.0")
        monkeypatch.setattr("export.trt_make.gpu_to_build_on", lambda flavour: gpu)
        monkeypatch.setattr("export.parity_check.check_parity", self.check)

    def check(self, checkpoint: Path, engine: Path, *_: object) -> ParityReport:
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


CTRL_C = """
import os, signal
import export.trt_make as make
from export.cli import main

# A shell's background jobs, and what they start, ignore SIGINT unless they say otherwise.
signal.signal(signal.SIGINT, signal.default_int_handler)
build, interrupted = make.build_engine, []

def build_and_interrupt(*arguments):
    *others, progress = arguments
    def first_step(share, doing):
        if not interrupted:
            interrupted.append(doing)
            os.kill(os.getpid(), signal.SIGINT)
        progress(share, doing)
    return build(*others, first_step)

make.build_engine = build_and_interrupt
main()
"""


def test_ctrl_c_ends_a_build_and_leaves_nothing(model: Path, here: Path) -> None:
    """It comes at the builder's first step."""
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C, "trt", model.name, "--size", "480x320", "--no-cache"],
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "interrupted"
    assert names(here) == ["small.onnx", "small.onnx.json"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"Layers": [{"Name": "conv1", "Outputs": [{"Name": "a", "Format/Datatype": "Half"}]}, '
            '{"Name": "cast", "Outputs": [{"Format/Datatype": "Float"}, {"Format/Datatype": "Int8"}]}]}',
            {"conv1": "Half", "cast": "Float, Int8"},
        ),
        ('{"Layers": ["conv1", "cast"]}', None),  # names only
        ("", None),
        ("[]", None),
    ],
)
def test_what_the_inspector_says_of_layers(text: str, expected: dict[str, str] | None) -> None:
    assert parse_layers(text) == expected
