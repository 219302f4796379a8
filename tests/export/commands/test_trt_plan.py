"""The plan of an engine: inputs are read once, refusals come first, each step hands on what it made."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this platform")

from calibration.search.sensitivity import ROUNDING
from calibration.table import open_table
from export.commands.trt_models import model_steps
from export.commands.trt_options import TrtOptions
from export.commands.trt_plan import planned, with_timings
from export.onnx.checkpoint_file import opened_checkpoint
from export.onnx.export import ExportOptions, export_onnx
from export.onnx.table_step import PICTURES
from export.tensorrt.build import BuildOptions
from export.tensorrt.make import keep_timings
from export.tensorrt.source import checkpoint_option
from granet import load_checkpoint, save_checkpoint
from granet.app.options import CAMERA_SIZE
from granet.errors import UserError
from runtime.artefacts.artefact import read_model
from runtime.artefacts.manifest import manifest_path, sha256_of
from runtime.artefacts.metadata import MAP
from runtime.artefacts.onnx_file import read_metadata
from runtime.checks.parity import ParityBudget
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.optimisation_profile import Profile
from runtime.tensorrt.record import read_record
from tests.calibration import sample
from tests.export.trt_ended import TRAINED, ended, names
from tests.media import write_picture

ANY = ParityBudget(mean_db=0, min_db=0, share=1, hard_db=0)

Steps = Callable[[TrtOptions], list[str]]


@pytest.fixture(autouse=True)
def here(trt_folder: Path) -> Path:
    return trt_folder


@pytest.fixture
def checkpoint(here: Path) -> Path:
    """Exported from the packaged weights."""
    save_checkpoint("best.pt", load_checkpoint(TRAINED))
    return Path("best.pt")


def another(path: Path) -> None:
    """Puts other weights under the name of a checkpoint, as training does."""
    network = load_checkpoint(path)
    network.coarse.mask.weight.data *= 1.5
    save_checkpoint(path, network)


def steps(options: TrtOptions) -> list[str]:
    """Names of the steps that a plan takes before the build."""
    with planned(options) as plan:
        models = plan.models
        return [name for name in ("export", "calibrate", "quantise") if getattr(models, name) is not None]


def test_a_plan_has_the_steps_that_are_needed(checkpoint: Path, trt_model: Path) -> None:
    wanted = TrtOptions(ckpt=checkpoint, size=["48x32"])
    assert steps(wanted) == ["export"]
    assert steps(replace(wanted, int8=True)) == ["export", "calibrate", "quantise"]
    assert steps(TrtOptions(model=trt_model, size=["48x32"])) == []
    assert steps(TrtOptions(model=trt_model, size=["48x32"], fp8=True)) == ["calibrate", "quantise"]


def test_a_checkpoint_that_is_replaced_meanwhile_is_not_mislabelled(
    checkpoint: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights, reference of the parity check and hash are those of one file, whatever training does."""
    import export.onnx.export as onnx_export

    was, build = sha256_of(checkpoint), onnx_export.build_model

    def build_while_training(*arguments: Any) -> Any:
        another(checkpoint)
        return build(*arguments)

    monkeypatch.setattr(onnx_export, "build_model", build_while_training)
    status, _, err = ended(capsys, "--ckpt", checkpoint, "--size", "48x32")
    assert status == 0, err
    assert sha256_of(checkpoint) != was
    assert read_record(here / "best.engine").checkpoint_sha256 == was
    assert read_metadata(here / "best.onnx").checkpoint_sha256 == was


def test_an_engine_is_of_the_model_that_was_hashed(
    trt_model: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is replaced while TensorRT builds from it."""
    import export.tensorrt.make as trt_make

    was, build = sha256_of(trt_model), trt_make.build_engine

    def build_while_exporting(flavour: Any, model: Any, *arguments: Any) -> Any:
        trt_model.write_bytes(b"another model")
        assert model.content != b"another model"
        return build(flavour, model, *arguments)

    monkeypatch.setattr(trt_make, "build_engine", build_while_exporting)
    status, _, err = ended(capsys, trt_model, "--size", "48x32", "--no-cache")
    assert status == 0, err
    assert read_record(here / "small.engine").onnx_sha256 == was


def test_each_input_is_read_once(checkpoint: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The checkpoint; and what a step has made is not read again by the next."""
    opened: Counter[str] = Counter()
    watching = True

    def watch(event: str, details: tuple[Any, ...]) -> None:
        if not watching or event != "open":
            return
        opens_descriptor = details[1] is None and not details[2] & (os.O_WRONLY | os.O_RDWR)
        if details[1] in ("r", "rb") or opens_descriptor:
            path = Path(str(details[0]))
            if path.resolve().parent == here:
                opened[path.name] += 1

    sys.addaudithook(watch)  # there is no way to remove it
    try:
        status, _, err = ended(capsys, "--ckpt", checkpoint, "--size", "48x32")
    finally:
        watching = False
    assert status == 0, err
    assert opened["best.pt"] == 1
    assert opened["best.onnx"] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--ckpt", "best.pt", "--size", "8x8"], "at least 16x16"),
        (["--ckpt", "best.pt", "-o", "no/such.engine"], "there is no directory"),
        (["--ckpt", "best.pt", "--size", "48x32", "-o", "taken.engine"], "taken.engine: exists"),
        (["--ckpt", "best.pt", "--size", "48x32", "--int8", "--calibration", "none.json"], "none.json"),
        (["--ckpt", "best.pt", "--size", "48x32", "--int8", "--images", "empty"], "empty"),
        (["--ckpt", "best.pt", "--size", "48x32", "--dla", "0"], "--dla"),
        (
            ["--ckpt", "best.pt", "--size", "48x32", "--int8", "--images", "dry"],
            "128 pictures look dry",
        ),
        (["--ckpt", "best.pt", "--size", "48x32", "--int8", "--video", "none.mkv"], "none.mkv"),
        (["small.onnx", "--size", "48x32", "--int8", "--calibration", "other.json"], "other.json"),
        (["small.onnx", "--size", "48x32", "--int8", "--images", "empty"], "empty"),
        (["small.onnx", "--size", "48x32", "--int8", "-o", "taken.engine"], "taken.engine: exists"),
    ],
)
def test_all_refusals_come_before_the_first_step(
    arguments: list[str],
    says: str,
    checkpoint: Path,
    trt_model: Path,
    here: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (here / "taken.engine").write_text("precious")
    (here / "empty").mkdir()
    for number in range(128):  # enough, but all are dry
        write_picture(here / "dry" / f"{number}.png", np.full((32, 48, 3), 90, np.uint8))
    (here / "other.json").write_text("{}")
    before = names(here)
    status, _, err = ended(capsys, *arguments)
    assert status in (1, 2) and says in err.splitlines()[-1]
    for step in ("exporting", "calibrating", "quantising", "building"):
        assert step not in err
    assert names(here) == before


def test_a_table_of_another_model_is_refused_before_the_first_step(
    trt_model: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample.save_table(here / "t.json", TRAINED)
    status, _, err = ended(capsys, trt_model, "--size", "48x32", "--int8", "--calibration", "t.json")
    assert status == 1 and "is not the model of this calibration table" in err
    assert "quantising" not in err


def test_a_quantised_model_of_this_checkpoint_needs_no_export(
    checkpoint: Path, here: Path, trt_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says itself which checkpoint it is of, even where the model between them is gone."""
    with opened_checkpoint(checkpoint) as opened:
        digest = opened.sha256
    made = read_model(trt_model)
    metadata = replace(
        made.metadata,
        precision="int8",
        checkpoint_sha256=digest,
        quantisation={"target": "tensorrt", "rounding": "equalised, gptq", "model_sha256": "0" * 64},
    )
    save_as(here / "best.int8.onnx", made.content, metadata)
    wanted = TrtOptions(ckpt=checkpoint, size=["48x32", "64x48"], int8=True)
    assert steps(wanted) == []
    save_as(here / "best.int8.onnx", made.content, replace(metadata, height=32, width=48, batch=1))
    with opened_checkpoint(checkpoint) as opened:
        for size in (["48x32"], None):
            assert model_steps(replace(wanted, size=size), opened).export is None
        with pytest.raises(UserError, match="takes frames of 48x32 only"):
            model_steps(replace(wanted, size=["64x48"]), opened)
    earlier = {"target": "tensorrt", "model_sha256": "0" * 64}  # weights rounded to the nearest step
    save_as(here / "best.int8.onnx", made.content, replace(metadata, quantisation=earlier))
    with pytest.raises(UserError, match="was made by another version"):
        steps(wanted)
    save_as(here / "best.int8.onnx", made.content, metadata)
    another(checkpoint)
    with pytest.raises(UserError, match="was made from another checkpoint"):
        steps(wanted)


def test_an_export_with_another_map_is_not_reused(checkpoint: Path) -> None:
    """A file may hold two networks, of which ``--map`` chooses one."""
    state = load_checkpoint(checkpoint).state_dict()
    both = {f"{name}.{key}": value for name in ("day", "night") for key, value in state.items()}
    torch.save(both, "two.pt")
    day = TrtOptions(ckpt=Path("two.pt"), size=["48x32"], renames=["day="])
    with planned(day) as plan:
        plan.models.run()
    assert steps(day) == []
    with pytest.raises(UserError, match="was made with another --map"):
        steps(replace(day, renames=["night="]))


@pytest.mark.parametrize("size", [(32, 48), None])
def test_the_export_of_before_sets_the_size_if_none_is_named(
    size: tuple[int, int] | None, checkpoint: Path
) -> None:
    """The size of a camera is a default, and no reason to replace what the user exported."""
    with opened_checkpoint(checkpoint) as opened:
        export_onnx(opened, Path("best.onnx"), ExportOptions(size=size), ANY)
    named = TrtOptions(ckpt=checkpoint, size=["48x32"])
    assert steps(named) == []
    unnamed = TrtOptions(ckpt=checkpoint)
    assert steps(unnamed) == []
    height, width = size or CAMERA_SIZE
    with planned(replace(unnamed, overwrite=True)) as plan:
        assert plan.models.export is not None and plan.models.export.options.size == size
        assert plan.build.profile == Profile.fixed(1, height, width)
        assert plan.build.arguments == (() if size else ("--size", f"{width}x{height}"))
    if size is None:
        assert steps(replace(named, size=["64x48"])) == []
        return
    with pytest.raises(UserError, match=r"takes frames of 48x32 only, 1 at a time: add --overwrite"):
        steps(replace(named, size=["64x48"]))


def test_a_number_of_frames_needs_no_size(checkpoint: Path) -> None:
    with planned(TrtOptions(ckpt=checkpoint, batch=2)) as plan:
        assert plan.build.profile.max == (2, *CAMERA_SIZE)


def test_a_damaged_export_is_replaced(checkpoint: Path) -> None:
    Path("best.onnx").write_text("half a file")
    assert steps(TrtOptions(ckpt=checkpoint, overwrite=True)) == ["export"]


def test_the_table_beside_the_model_is_used_wherever_the_engine_goes(
    trt_model: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--overwrite is for models and engines: the table's rain may be the user's own."""
    models = here / "models"
    models.mkdir()
    model = Path(shutil.copy(trt_model, models))
    table = sample.save_table(models / f"{model.stem}.calibration.json", model)
    wanted = TrtOptions(model=model, size=["48x32"], int8=True)
    for options in (wanted, replace(wanted, overwrite=True), replace(wanted, output=here / "a.engine")):
        with planned(options) as plan:
            assert plan.models.calibrate is None and plan.models.table is not None
            assert plan.models.table.path == table
    assert f"using {table}" in capsys.readouterr().err
    (here / "rain").mkdir()
    with pytest.raises(UserError, match="no pictures in this directory"):
        steps(replace(wanted, images=Path("rain"), output=here / "a.engine"))


def test_only_a_table_of_another_model_is_made_anew(trt_model: Path, here: Path) -> None:
    table = sample.save_table(here / f"{trt_model.stem}.calibration.json", TRAINED)
    wanted = TrtOptions(model=trt_model, size=["48x32"], int8=True)
    with pytest.raises(UserError, match=r"json belongs to another model than .*small\.onnx: add --overwrite"):
        steps(wanted)
    assert steps(replace(wanted, overwrite=True)) == ["calibrate", "quantise"]
    assert table.exists()
    (here / "out").mkdir()  # where nothing needs to be replaced
    assert steps(replace(wanted, output=here / "out" / "a.engine")) == ["calibrate", "quantise"]


def test_a_table_of_another_model_does_not_hide_the_right_one(trt_model: Path, here: Path) -> None:
    (here / "out").mkdir()
    name = f"{trt_model.stem}.calibration.json"
    sample.save_table(here / name, TRAINED)
    own = sample.save_table(here / "out" / name, trt_model)
    wanted = TrtOptions(model=trt_model, size=["48x32"], int8=True, output=own.with_name("a.engine"))
    with planned(wanted) as plan:
        assert plan.models.calibrate is None and plan.models.table is not None
        assert plan.models.table.path == own


def test_a_quantised_model_of_an_earlier_table_is_not_reused(trt_model: Path, here: Path) -> None:
    """The table beside the model is the one that is used, so it is the one that is compared."""
    made = read_model(trt_model)
    quantisation = {"target": "tensorrt", "rounding": ROUNDING, "model_sha256": made.sha256}
    wanted = TrtOptions(model=trt_model, size=["48x32"], int8=True)
    table = sample.save_table(here / f"{trt_model.stem}.calibration.json", TRAINED)
    for digest, reused in ((open_table(table).sha256, True), ("0" * 64, False)):
        metadata = replace(
            made.metadata, precision="int8", quantisation=quantisation | {"table_sha256": digest}
        )
        save_as(here / f"{trt_model.stem}.int8.onnx", made.content, metadata)
        if reused:
            assert steps(wanted) == []
            continue
        with pytest.raises(UserError, match="was made with another calibration table than "):
            steps(wanted)


def test_pictures_of_a_dynamic_model_are_cut_to_the_size_of_the_engine(trt_model: Path, here: Path) -> None:
    """A phone's pictures have 12 megapixels, which need tens of GiB."""
    for number in range(PICTURES):
        write_picture(here / "rain" / f"{number}.png", np.full((64, 96, 3), 90, np.uint8))
    for sizes, cut in ((["48x32"], (32, 48)), (["48x32", "32x64"], (64, 48)), ([], CAMERA_SIZE)):
        wanted = TrtOptions(model=trt_model, size=sizes, int8=True, images=here / "rain")
        calibrate = model_steps(wanted, None).calibrate
        assert calibrate is not None and calibrate.size == cut


def save_as(path: Path, content: bytes, metadata: Any) -> None:
    import onnx

    from export.onnx.save import serialised

    path.write_bytes(serialised(onnx.load_from_string(content), metadata))
    manifest_path(path).unlink(missing_ok=True)


def test_a_checkpoint_is_named_so_that_the_command_works(here: Path) -> None:
    """Only its file name is in the model."""
    metadata = sample.metadata()
    packaged = replace(metadata, checkpoint="lite.safetensors", checkpoint_sha256=sha256_of(TRAINED))
    assert checkpoint_option(packaged) == checkpoint_option(packaged, TRAINED) == "--ckpt lite"
    mine = here / "my net.pt"
    other = replace(metadata, checkpoint=mine.name, checkpoint_sha256="0" * 64)
    assert checkpoint_option(other, Path("runs/my net.pt")) == "--ckpt 'runs/my net.pt'"
    mine.touch()  # of another training
    assert checkpoint_option(other) == "--ckpt 'PATH/my net.pt'"
    own = replace(other, checkpoint_sha256=sha256_of(mine), weights={MAP: ["day=", "a b="]})
    assert checkpoint_option(own) == "--ckpt 'my net.pt' --map day= --map 'a b='"


@pytest.mark.parametrize("no_cache", [False, True])
def test_without_the_cache_kernels_are_measured_anew(no_cache: bool) -> None:
    """A Jetson in another power mode has other times."""
    flavour = Flavour("tensorrt", "10.3.0", None)
    asked = BuildOptions()
    options = with_timings(asked, flavour, Gpu(0, "Orin", "8.7", "12.6"), no_cache=no_cache)
    assert (options.timing_cache is None) == no_cache


def test_timings_of_a_team_keep_their_link_and_permissions(
    here: Path, trt_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, link = here / "shared.cache", here / "link.cache"
    shared.write_bytes(b"old")
    shared.chmod(0o664)
    link.symlink_to(shared)
    keep_timings(BuildOptions(timing_cache=link), b"new")
    assert link.is_symlink() and shared.read_bytes() == b"new" and shared.stat().st_mode & 0o777 == 0o664
    keep_timings(BuildOptions(timing_cache=here / "own.cache", own_timings=True), b"new")
    assert (here / "own.cache").stat().st_mode & 0o777 == 0o600
