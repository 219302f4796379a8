"""A value that no run could use is wrong usage: status 2 and the name of the option, in every command."""

import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import typer

import export.cli
import granet.training.cli
import runtime.cli
import runtime.evaluation.cli
from export.commands.bench import BenchOptions
from export.commands.calibrate import CalibrateOptions
from export.commands.field_report import FieldReportOptions
from export.commands.inspect import InspectOptions
from export.commands.onnx import OnnxOptions
from export.commands.parity import ParityOptions
from export.commands.quantize import QuantizeOptions
from export.commands.roofline import RooflineOptions
from export.commands.sensitivity import SensitivityOptions
from export.commands.triton import TritonOptions
from export.commands.trt_options import TrtOptions
from granet.app.command import Options, add_command
from granet.app.console import run_app
from granet.training.recipe_file import TrainCommandOptions
from runtime.archive.cli import COMMANDS
from runtime.archive.options import ArchiveOptions, WorkerOptions
from runtime.evaluation.options import EvalOptions
from runtime.run.options import RunOptions

WRONG = {
    "--backend": "trt",
    "--bandwidth": "0",
    "--batch": "0",
    "--bitrate": "fast",
    "--budget-db": "0",
    "--camera-format": "MJPEG",
    "--camera-rate": "often",
    "--camera-size": "big",
    "--camera": "front",
    "--clip-gradient": "0",
    "--coarse-loss": "2",
    "--codec": "mpeg",
    "--colour": "blue",
    "--compute-capability": "new",
    "--count": "0",
    "--crf": "-1",
    "--crop": "1",
    "--data": "rain9000:.",
    "--device": "0",
    "--dla": "-1",
    "--dry": "2",
    "--duration": "long",
    "--ema": "1",
    "--epoch-size": "0",
    "--epochs": "0",
    "--every": "0",
    "--flavour": "sweet",
    "--frames": "0",
    "--gflops": "0",
    "--give-up-after": "0",
    "--gpu": "voodoo",
    "--hard-db": "-1",
    "--heaviness": "2",
    "--hwaccel": "gpu",
    "--instances": "0",
    "--layout": "square",
    "--limit": "0",
    "--long-side": "1",
    "--loss": "none",
    "--lr": "0",
    "--map": "old",
    "--max-batch": "0",
    "--max-frames": "0",
    "--mean-db": "-1",
    "--method": "guess",
    "--metrics": "x",
    "--min-db": "-1",
    "--minutes": "0",
    "--model": "light",
    "--ms": "0",
    "--name": "a/b",
    "--on-failure": "cry",
    "--opset": "11",
    "--optimisation-level": "6",
    "--patience": "-1",
    "--pix-fmt": "rgb",
    "--precision": "int2",
    "--preset": "big",
    "--processes": "0",
    "--queue-delay-us": "-1",
    "--raw": "640x480",
    "--recipe": "soup",
    "--seed": "-1",
    "--segment": "long",
    "--serve": "80800",
    "--set": "nothing=1",
    "--shard": "4/4",
    "--share": "2",
    "--show": "all",
    "--size": "640",
    "--stable": "1",
    "--start": "soon",
    "--target": "phone",
    "--threads": "0",
    "--train": "drawn:none",
    "--tries": "0",
    "--val": "drawn:0",
    "--via": "rail",
    "--warm-up": "-1",
    "--workers": "-1",
    "--workspace": "0",
}
"""Option -> a value that no run could use."""

ANYTHING = {
    ("granet-run", "--preset"),  # each encoder has presets of its own
    ("granet-archive", "--preset"),
    ("granet-run", "--input"),
    ("granet-run", "--output"),  # tests/runtime/run holds its rules
    ("granet-eval", "--fixed-camera"),
    ("granet-eval", "--pick"),
    ("granet-archive", "--include"),
    ("granet-archive", "--exclude"),
    ("granet-archive", "--ext"),
    ("granet-archive", "--ray"),
    ("granet-export quantize", "--keep"),  # the model says which layers there are
}
"""Options whose allowed values only the files, or another program, know."""

ENOUGH: dict[str, list[str]] = {
    "granet-run": ["--input", "clip.mp4", "--output", "dry.mp4"],
    "granet-train": ["--train", "drawn:2", "--val", "drawn:2", "--out", "r"],
    "granet-eval": ["--model", "lite", "--data", "drawn:1"],
    "granet-archive": ["films", "dry"],
    "granet-archive worker": ["dry", "--shard", "0/1"],
    "granet-export onnx": ["--ckpt", "best.pt"],
    "granet-export parity": ["lite", "--ckpt", "best.pt"],
    "granet-export bench": ["lite"],
    "granet-export calibrate": ["lite", "--images", "photos"],
    "granet-export quantize": ["lite", "--table", "t.json"],
    "granet-export sensitivity": ["lite", "--table", "t.json"],
    "granet-export trt": ["lite"],
    "granet-export triton": ["lite", "--output", "repository"],
    "granet-export inspect": ["best.pt"],
    "granet-export roofline": ["lite"],
    "granet-export field-report": ["lite"],
}
"""Command -> arguments that would suffice; files need not exist, because values are checked first."""

INSTEAD = {
    ("granet-archive worker", "--shard"): ["dry"],
    ("granet-eval", "--model"): ["--data", "drawn:1"],
    ("granet-run", "--camera"): ["--output", "dry.mp4"],
    ("granet-run", "--camera-format"): ["--camera", "0", "--output", "dry.mp4"],
    ("granet-run", "--camera-rate"): ["--camera", "0", "--output", "dry.mp4"],
    ("granet-run", "--camera-size"): ["--camera", "0", "--output", "dry.mp4"],
    ("granet-run", "--raw"): ["--input", "-", "--output", "dry.mp4"],
    ("granet-run", "--hwaccel"): ["--input", "clip.mp4"],
    ("granet-run", "--map"): ["--input", "clip.mp4", "--model", "best.pt", "--output", "dry.mp4"],
    ("granet-eval", "--map"): ["--ckpt", "best.pt", "--data", "drawn:1"],
    ("granet-archive", "--map"): ["films", "dry", "--model", "best.pt"],
    ("granet-export trt", "--map"): ["--ckpt", "best.pt"],
    ("granet-train", "--stable"): ["--recipe", "lite", "--data", "photos", "--out", "r"],
    ("granet-export calibrate", "--data"): ["lite"],
    ("granet-export calibrate", "--seed"): ["lite", "--synthesise", "photos"],
    ("granet-export trt", "--data"): ["lite", "--int8"],
    ("granet-train", "--data"): [],
}
"""Arguments for options that :data:`ENOUGH` would make useless."""


def archive_app(word: str) -> typer.Typer:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    add_command(app, *COMMANDS[word])
    return app


COMMANDS_OF: dict[str, tuple[typer.Typer, type[Options], list[str]]] = {
    "granet-run": (runtime.cli.app, RunOptions, []),
    "granet-train": (granet.training.cli.app, TrainCommandOptions, []),
    "granet-eval": (runtime.evaluation.cli.app, EvalOptions, []),
    "granet-archive": (archive_app(""), ArchiveOptions, []),
    "granet-archive worker": (archive_app("worker"), WorkerOptions, []),
    **{
        f"granet-export {word}": (export.cli.app, options, [word])
        for word, options in {
            "onnx": OnnxOptions,
            "parity": ParityOptions,
            "bench": BenchOptions,
            "calibrate": CalibrateOptions,
            "quantize": QuantizeOptions,
            "sensitivity": SensitivityOptions,
            "trt": TrtOptions,
            "triton": TritonOptions,
            "inspect": InspectOptions,
            "roofline": RooflineOptions,
            "field-report": FieldReportOptions,
        }.items()
    },
}
"""Command -> its app, its options, and its first word there."""


def valued(options: type[Options]) -> list[str]:
    """The options that take a value other than a path."""
    found = []
    for name, hint in get_type_hints(options, include_extras=True).items():
        kind, info = (*get_args(hint), None, None)[:2]
        if not isinstance(info, typer.models.OptionInfo) or re.search("Path|bool", str(kind)):
            continue
        # In an annotation typer keeps the first name as the default.
        names = [info.default, *(info.param_decls or ())]
        long = [each for each in names if isinstance(each, str) and each.startswith("--")]
        found += long[:1] or ["--" + name.replace("_", "-")]
    return found


CASES = [
    (command, option)
    for command, (_, options, _) in COMMANDS_OF.items()
    for option in valued(options)
    if (command, option) not in ANYTHING
]


@pytest.mark.parametrize(("command", "option"), CASES)
def test_a_value_that_no_run_could_use_is_wrong_usage(
    command: str,
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    app, _, words = COMMANDS_OF[command]
    others = INSTEAD.get((command, option), ENOUGH[command])
    assert run_app(app, [*words, *others, option, WRONG[option]]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {option}") and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_commands_are_all_of_them() -> None:
    exported = typer.main.get_command(export.cli.app)
    assert {f"granet-export {word}" for word in exported.commands} <= set(COMMANDS_OF)  # type: ignore[attr-defined]
    archived = {f"granet-archive {word}".strip() for word, (kind, _) in COMMANDS.items() if valued(kind)}
    assert archived <= set(COMMANDS_OF)
