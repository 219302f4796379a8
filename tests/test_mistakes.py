"""Mistakes of new users: each ends with one line that says what to do, and names only what exists."""

import re
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

import export.cli
import granet.training.cli
import runtime.cli
import runtime.evaluation.cli
from granet import GraNet, GraNetConfig, save_checkpoint
from granet.app.command import add_command
from granet.app.console import run_app
from runtime.archive.cli import archive
from runtime.archive.options import ArchiveOptions
from runtime.models.packaged import FLOAT32
from tests.media import make_clip, write_picture
from tests.privileges import without_override
from tests.runtime.tensorrt.engine_files import engine_file, record


def _archive_app() -> typer.Typer:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    add_command(app, ArchiveOptions, archive)
    return app


APPS = {
    "granet-run": runtime.cli.app,
    "granet-export": export.cli.app,
    "granet-train": granet.training.cli.app,
    "granet-eval": runtime.evaluation.cli.app,
    "granet-archive": _archive_app(),
}


@dataclass(frozen=True)
class Mistake:
    """A command line and how it ends.

    Attributes:
        line: the command.
        says: what the error says, as a regular expression; it holds what to do.
        status: 1 failed, 2 wrong usage.
        unless: the hardware with which it is no mistake, as a pattern of its device files.
    """

    line: str
    says: str
    status: int = 1
    unless: str = "none"


USAGE = [
    Mistake("granet-run --input clip.mp4 --ouput dry.mp4", r"--ouput \(Possible options: --output", 2),
    Mistake("granet-run --input clip.mp4 --crf", r"--crf", 2),
    Mistake("granet-run", r"--camera.*--input", 2),
    *(
        Mistake(f"{line} {word}", rf"unexpected argument {word}: {hint}", 2)
        for line, word, hint in (
            ("granet-run clip.mp4", "a.mp4", "did you mean --output a.mp4"),
            ("granet-run --input clip.mp4", "a.mp4", "did you mean --output a.mp4"),
            ("granet-run clip.mp4 --output b.mp4", "a.mp4", "--help lists the arguments"),
            ("granet-export onnx best.pt", "a.onnx", "did you mean --output a.onnx"),
            ("granet-export quantize lite.onnx", "a.onnx", "did you mean --output a.onnx"),
            ("granet-export parity lite.onnx", "best.pt", "did you mean --ckpt best.pt"),
            ("granet-archive films old", "a.mp4", "--help lists the arguments"),
            ("granet-train", "photos", "did you mean --recipe photos"),
        )
    ),
    *(
        Mistake(f"granet-export {line}", rf"unexpected argument {word}: {other} is given too; give one", 2)
        for line, word, other in (
            ("onnx a.pt best.pt", r"best\.pt", r"a\.pt"),
            ("onnx --ckpt a.pt best.pt", r"best\.pt", r"a\.pt"),
            ("calibrate a.onnx b.onnx", r"b\.onnx", r"a\.onnx"),
            ("trt a.onnx b.onnx --size 64x48", r"b\.onnx", r"a\.onnx"),
        )
    ),
    Mistake("granet-run --input", r"'--input' requires an argument", 2),
    Mistake("granet-run --input clip.mp4 --max-frames 0", r"--max-frames: give 1 or more", 2),
    Mistake("granet-run --input clip.mp4 --max-frames ten", r"--max-frames: give a whole number", 2),
    Mistake("granet-run --input clip.mp4 --show big", r"--show: big .*result, compare, slider, mask", 2),
    Mistake("granet-run --input clip.mp4 --serve 80800", r"--serve 80800: .*HOST:PORT.*up to 65535", 2),
    Mistake("granet-run --input clip.mp4 --metrics x", r"--metrics x: .*HOST:PORT.*up to 65535", 2),
    Mistake("granet-run --input clip.mp4 --output dry.mp4 --model light", r"--model light: .*lite", 2),
    Mistake("granet-run --input clip.mp4 --output dry.xyz", r"--output dry\.xyz: .*\.mp4 .*\.png", 2),
    Mistake("granet-run --input clip.mp4 --output dry.gif", r"--output dry\.gif: .*\.mp4 .*\.png", 2),
    Mistake("granet-run --input clip.mp4 --output dry.jpg", r"directory, or --max-frames 1", 2),
    Mistake(
        "granet-run --input clip.mp4 --raw 32x32:bgr24@25", r"--raw with --input clip\.mp4: .*--input -", 2
    ),
    Mistake("granet-train --train drawn:2 --out r --preset big", r"--preset: big .*paper, base, lite", 2),
    Mistake("granet-train --train drawn:2 --out r --batch 0", r"--batch: give 1 or more", 2),
    Mistake("granet-train --out r", r"--train", 2),
    Mistake("granet-eval", r"--ckpt best\.pt, or --model", 2),
    Mistake("granet-export nothing", r"No such command 'nothing' \(--help", 2),
    Mistake("granet-export onx lite", r"No such command 'onx'; did you mean onnx\? \(--help", 2),
    Mistake("granet-export convert lite", r"No such command 'convert'; did you mean onnx\?", 2),
    Mistake("granet-export quantise lite", r"No such command 'quantise'; did you mean quantize\?", 2),
    Mistake("granet-export --model lite", r"--model before the command: write .* COMMAND --model", 2),
    Mistake(
        "granet-export onnx light", r"light: the name of a checkpoint must end in .*, or be lite or base"
    ),
    Mistake(
        "granet-eval --model lite --fixed-camera clip.mp4 --limit 3", r"--limit 3 with --fixed-camera: ", 2
    ),
    Mistake("granet-export onnx --ckpt best.pt --size 640", r"--size 640: .*480x320", 2),
    Mistake("granet-export onnx --ckpt best.pt --size 64x48 --dynamic", r"--dynamic with --size", 2),
    Mistake("granet-export trt best.pt", r"--ckpt best\.pt", 2),
    Mistake("granet-export trt", r"no model is named", 2),
    Mistake("granet-export trt light", r"MODEL light: give lite or base for a packaged model, or a path", 2),
    Mistake("granet-export trt lite.onnx --size 640", r"--size 640: .*480x320", 2),
    Mistake("granet-export calibrate lite.onnx", r"--images, --video, --data, --synthesise", 2),
    Mistake("granet-export parity lite.onnx", r"--ckpt", 2),
    Mistake("granet-export trt --ckpt best.pt --int8 --fp16", r"--int8 with --fp16: .*give one", 2),
]

ELSEWHERE = [
    Mistake(f"granet-{line}", rf"^error: No such option: {theirs}; here it is {ours} \(--help", 2)
    for line, theirs, ours in (
        ("run -ss 1 -i clip.mp4", "-ss", "--start"),
        ("run clip.mp4 -t 1", "-t", "--duration"),
        ("run clip.mp4 -c:v libx264", "-c:v", "--codec"),
        ("run clip.mp4 -b:v 4M", "-b:v", "--bitrate"),
        ("run clip.mp4 -hwaccel cuda", "-hwaccel", "--hwaccel"),
        ("run clip.mp4 -y", "-y", "--overwrite"),
        ("run clip.mp4 -m lite", "-m", "--model"),
        ("run --source clip.mp4", "--source", "--input"),
        ("run clip.mp4 --weights lite", "--weights", "--model"),
        ("run clip.mp4 --save-dir dry", "--save-dir", "--output"),
        ("export onnx best.pt --half", "--half", "--fp16"),
        ("export onnx best.pt --imgsz 640", "--imgsz", "--size"),
        ("export trt --onnx=lite.onnx", "--onnx", r"the argument MODEL\.onnx"),
        ("export trt lite --saveEngine=a.engine", "--saveEngine", "--output"),
        ("export trt lite --memPoolSize=workspace:9", "--memPoolSize", "--workspace"),
        ("export trt lite --useDLACore=0", "--useDLACore", "--dla"),
        ("export bench lite --iterations 3", "--iterations", "--frames"),
        ("export inspect --model lite", "--model", "the argument FILE"),
        ("train --weights best.pt", "--weights", "--init"),
        ("train --lr0 0.1", "--lr0", "--lr"),
        ("eval --weights best.pt", "--weights", "--model"),
        ("archive films dry --jobs 4", "--jobs", "--workers"),
    )
]
"""Options of FFmpeg, ultralytics and trtexec."""

SOURCES = [
    Mistake("granet-run 0 --output dry.mp4", r"0: no such file or directory; a camera is --camera 0$"),
    Mistake("granet-run n%03d.png --output dry.mp4", r"pictures with numbers are 'n\*\.png'$"),
    Mistake("granet-run a model=lite", r"unexpected argument model=lite: did you mean --model lite\?", 2),
    Mistake("granet-run --input missing.mp4 --output dry.mp4", r"missing\.mp4: no such file"),
    Mistake("granet-run --input empty.mp4 --output dry.mp4", r"empty\.mp4: is an empty file"),
    Mistake("granet-run --input text.mp4 --output dry.mp4", r"text\.mp4: .*not a supported video"),
    Mistake("granet-run --input cut.mp4 --output dry.mp4", r"cut\.mp4: is truncated"),
    Mistake("granet-run --input nothing --output dry", r"nothing: no pictures in this directory"),
    Mistake("granet-run --input texts --output dry", r"texts: no pictures in this directory"),
    Mistake("granet-run --input films --output dry", r"give one file, or run granet-archive films DST"),
    Mistake("granet-run --input http://127.0.0.1:9/x.mp4 --output dry.mp4", r":9/x\.mp4: .*refused"),
    Mistake("granet-run --config spelled.toml", r'spelled\.toml: unknown setting "?ouput"? .*stream, model'),
    Mistake("granet-run --config typed.toml", r"typed\.toml: stream 1: input: expected a string"),
    Mistake(
        "granet-run --input clip.mp4 --output a.mp4 --start 9s",
        r"--start 9s with --input clip\.mp4: the video ends after 0\.1 s",
    ),
    Mistake("granet-archive nowhere dry", r"nowhere: .*no such"),
]

DESTINATIONS = [
    Mistake("granet-run --input clip.mp4 --output clip.mp4 --overwrite", r"is the input; write to another"),
    Mistake("granet-run --input clip.mp4 --output no/dry.mp4", r"no directory no; create it first"),
    Mistake("granet-run --input clip.mp4 --output old.mp4", r"old\.mp4: .*--overwrite"),
    *(
        Mistake(f"{line} /proc/x.{suffix}", rf"/proc/x\.{suffix}: cannot be written: .*/proc takes no file")
        for line, suffix in (
            ("granet-run --input clip.mp4 --output", "mp4"),
            ("granet-run --input clip.mp4 --max-frames 1 --output", "png"),
            ("granet-export field-report lite.onnx --output", "html"),
            ("granet-export onnx --ckpt best.pt --output", "onnx"),
            ("granet-export calibrate lite.onnx --images photos --output", "json"),
        )
    ),
]

CODING = [
    Mistake(
        "granet-run --input clip.mp4 --output a.mp4 --codec mpeg9", r"--codec mpeg9: use one of auto, h264", 2
    ),
    Mistake(
        "granet-run --input clip.mp4 --output a.mp4 --codec h264_vaapi",
        r"a\.mp4: .*h264_vaapi.*choose another --codec",
    ),
    Mistake(
        "granet-run --input clip.mp4 --output a.mp4 --codec h264_nvenc",
        r"h264_nvenc needs hardware or a driver.*choose another --codec",
    ),
    Mistake("granet-run --input clip.mp4 --output a.webm --codec h264", r"cannot hold h264; write \.mkv"),
    Mistake(
        "granet-run --input clip.mp4 --output a.mp4 --codec copy-codec --crf 20",
        r"--crf with --codec copy-codec: name the codec",
        2,
    ),
    Mistake(
        "granet-run --input clip.mp4 --output a.mp4 --codec copy --crf 20", r"--crf with --codec copy: ", 2
    ),
    Mistake("granet-run --input clip.mp4 --output a.mp4 --codec copy", r"--codec copy: .*use copy-codec", 2),
    Mistake("granet-run --input clip.mp4 --output a.mp4 --pix-fmt rgb", r"--pix-fmt rgb: .*yuv420p, ", 2),
    Mistake(
        "granet-run --input clip.mp4 --output a.mp4 --codec av1 --pix-fmt yuv444p",
        r"cannot encode --pix-fmt yuv444p; it takes yuv420p, yuv420p10le",
    ),
    Mistake(
        "granet-run --input odd.mkv --output a.mkv --pix-fmt yuv420p",
        r"65x49 has odd sides, which yuv420p cannot hold: give --pix-fmt yuv444p",
    ),
    Mistake(
        "granet-run --input clip.mp4 --output a.mp4 --hwaccel vaapi", r"--hwaccel vaapi: .*leave the option"
    ),
    Mistake(
        "granet-run --input clip.mp4 --output a.mp4 --hwaccel gpu", r"--hwaccel: gpu .*auto, cuda, vaapi", 2
    ),
    Mistake(
        "granet-run --input sizes --output a.mp4", r"b\.png is 64x64, but the video is 64x48; write to a dir"
    ),
    Mistake(
        "granet-run --input clip.mp4 --output a.mp4 --loop", r"--loop with .*--duration or --max-frames", 2
    ),
    Mistake("granet-run --input clip.mp4 --output whip:///x", r"has no host; write .*whip://HOST/PATH", 2),
    Mistake("granet-run --input clip.mp4 --output srt://h/x", r"cannot be written to; use .*rtsp, .*whip", 2),
    Mistake(
        "granet-run --input clip.mp4 --quiet --verbose", r"--quiet with --verbose|--verbose with --quiet", 2
    ),
    Mistake("granet-export field-report lite.onnx -o no/report.html", r"no directory no; create it first"),
    Mistake("granet-export field-report lite.onnx -o report.txt", r"must end in \.html", 2),
]

MODELS = [
    Mistake("granet-run --input clip.mp4 --output dry.mp4 --model missing.onnx", r"no such model file"),
    Mistake("granet-run --input clip.mp4 --output dry.mp4 --model broken.onnx", r"damaged.*export it again"),
    Mistake("granet-run --input clip.mp4 --output dry.mp4 --device 0", r"device '0': .*cuda:N", 2),
    Mistake("granet-run --input clip.mp4 --output dry.mp4 --backend trt", r"backend 'trt': .*tensorrt", 2),
    Mistake("granet-export onnx --ckpt best.pt --opset 11", r"--opset: give (18 or more|.*18 to 24)", 2),
    Mistake(
        "granet-export onnx --ckpt module.pt", r"module\.pt: refused.*save the weights alone: torch\.save"
    ),
    Mistake("granet-export onnx --ckpt prenet.pt", r"prenet\.pt: .*--map OLD=NEW.*granet-export inspect"),
    Mistake("granet-export onnx --ckpt nan.pt", r"nan\.pt: .*holds NaN.*use an earlier one"),
    Mistake("granet-export onnx --ckpt renamed.pt", r"coarse\..*--map OLD=NEW.*granet-export inspect"),
    Mistake(
        "granet-export quantize lite.onnx", r"--table is missing: .*granet-export calibrate lite\.onnx", 2
    ),
    Mistake("granet-export calibrate coded.onnx --images photos", r"already quantised: use the float32"),
    Mistake("granet-export calibrate lite.onnx --images photos", r"at least 128 .*--synthesise.*--force"),
    Mistake("granet-export quantize lite.onnx --table table.json -o a.onnx", r"granet-export calibrate$"),
    Mistake(
        "granet-export parity --ckpt best.pt lite.onnx",
        r"lite\.onnx has another network than best\.pt: channels is 32, not 8",
        status=3,
    ),
    Mistake("granet-export parity --ckpt nan.pt lite.onnx", r"nan\.pt: .*holds NaN.*use an earlier one"),
    Mistake("granet-export inspect photos/a.png", r"a\.png: .*ends in \.onnx, \.engine, \.pt"),
    Mistake("granet-export trt photos/a.png", r"a\.png: not an ONNX file"),
    Mistake("granet-eval --model lite --data photos", r"'photos' is not a data set: .*rain100l:DIR", 2),
    Mistake(
        "granet-train --train photos --val photos --out r", r"'photos' is not a data set: .*rain100l:DIR", 2
    ),
    Mistake(
        "granet-export roofline lite.onnx --gpu gtx",
        r"'gtx'; the nearest .*rtx5090.*--gflops and --bandwidth",
        2,
    ),
]

HARDWARE = [
    Mistake(
        "granet-run --input clip.mp4 --output dry.mp4 --device cuda",
        r"device cuda:0: .*without CUDA.*pip install onnxruntime-gpu",
        unless="nvidia*",
    ),
    Mistake(
        "granet-run --input clip.mp4 --output dry.mp4 --device gpu",
        r"finds no Intel GPU here, only CPU: install Intel's driver",
        unless="dri/*",
    ),
    Mistake(
        "granet-run --input clip.mp4 --output dry.mp4 --device npu",
        r"finds no Intel NPU here, only CPU: install Intel's driver",
        unless="accel*",
    ),
    Mistake(
        "granet-run --input clip.mp4 --output dry.mp4 --model best.engine",
        r"no usable NVIDIA GPU.*run the ONNX model",
        unless="nvidia*",
    ),
    Mistake(
        "granet-run --input clip.mp4 --output dry.mp4 --model best.pt --device cuda",
        r"device cuda:0: .*finds no (CUDA|GPU).*pytorch\.org",
        unless="nvidia*",
    ),
    Mistake(
        "granet-train --train rain100l:pairs --val rain100l:pairs --out r --device cuda",
        r"--device cuda: PyTorch finds no GPU; give --device cpu",
        unless="nvidia*",
    ),
    Mistake("granet-run --camera 77 --no-window", r"no camera 77 .*/dev/video77 .*--list-cameras"),
    Mistake(
        "granet-run --input rtsp://127.0.0.1:9/a --output a.mkv --give-up-after 1",
        r"127\.0\.0\.1:9/a: given up after 1 s .*refused",
    ),
]

TRAINING = [
    Mistake("granet-train --train rain100l:pairs --val rain100l:pairs --out old", r"old.*--resume"),
    Mistake("granet-train --train rain100:pairs --val rain100l:pairs --out r", r"rain100:.*rain100l", 2),
    Mistake(
        "granet-export trt lite.onnx --size 64x48 --compute-capability 99",
        r"capability 9\.9: choose from .*8\.6",
    ),
]

NOT_INSTALLED = [
    (("torch",), "granet-run --input clip.mp4 --output dry.mp4 --model best.pt", r"pip install torch$"),
    (("onnx",), "granet-export onnx --ckpt best.pt", r"pip install onnx$"),
    (
        ("prometheus_client",),
        "granet-run --input clip.mp4 --no-window --metrics :0",
        r"pip install prometheus",
    ),
    (("openvino", "onnxruntime"), "granet-run --input clip.mp4 --output dry.mp4", r"pip install onnxruntime"),
]
"""Packages that are missing, a command that needs one of them, and what the error says."""


def _files(folder: Path) -> None:
    """Files that the commands read."""
    make_clip(folder / "clip.mp4", count=3, size=(48, 64))
    clip = (folder / "clip.mp4").read_bytes()
    for name, content in {"empty": b"", "text": b"hello " * 50, "cut": clip[:900], "old": clip}.items():
        (folder / f"{name}.mp4").write_bytes(content)
    make_clip(folder / "odd.mkv", count=3, size=(49, 65), pix_fmt="yuv444p")
    write_picture(folder / "sizes" / "a.png", np.full((48, 64, 3), 90, np.uint8))
    write_picture(folder / "sizes" / "b.png", np.full((64, 64, 3), 90, np.uint8))
    for name in ("nothing", "texts", "films", "photos"):
        (folder / name).mkdir()
    (folder / "texts" / "a.txt").write_text("x", encoding="utf-8")
    (folder / "films" / "a.mp4").write_bytes(clip)
    write_picture(folder / "photos" / "a.png", np.full((48, 64, 3), 90, np.uint8))
    for name in ("rain-1", "norain-1"):
        write_picture(folder / "pairs" / f"{name}.png", np.full((48, 64, 3), 90, np.uint8))
    (folder / "old").mkdir()
    (folder / "old" / "state.pt").write_bytes(b"x")
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    write_picture(folder / "noise.png", noise)
    (folder / "locked").mkdir(mode=0o555)
    stream = '[[stream]]\nname = "a"\n'
    (folder / "spelled.toml").write_text(f'ouput = "x"\n{stream}input = "clip.mp4"\n', encoding="utf-8")
    (folder / "table.json").write_text("{}", encoding="utf-8")
    (folder / "typed.toml").write_text(f"{stream}input = 7\n", encoding="utf-8")


def _models(folder: Path) -> None:
    network = GraNet(GraNetConfig(channels=8, growth=4, dense_layers=2, nonlocal_channels=4))
    save_checkpoint(folder / "best.pt", network)
    state = network.state_dict()
    torch.save(torch.nn.Conv2d(3, 3, 3), folder / "module.pt")
    torch.save({name: torch.full_like(each, torch.nan) for name, each in state.items()}, folder / "nan.pt")
    torch.save({"conv0.0.weight": torch.ones(32, 6, 3, 3)}, folder / "prenet.pt")
    torch.save({name.replace("weight", "w"): each for name, each in state.items()}, folder / "renamed.pt")
    for name, packaged in {"lite": "lite", "coded": "lite.int8"}.items():
        for suffix in (".onnx", ".onnx.json"):
            (folder / f"{name}{suffix}").symlink_to(FLOAT32.resolve().with_name(f"{packaged}{suffix}"))
    (folder / "broken.onnx").write_bytes(FLOAT32.read_bytes()[:5000])
    flavour = "tensorrt-rtx" if find_spec("tensorrt_rtx") else "tensorrt"
    engine_file(folder, record(flavour))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds what the commands name; a command that is refused leaves it as it was."""
    made = tmp_path_factory.mktemp("mistakes")
    _files(made)
    _models(made)
    return made


@pytest.fixture
def ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[str], tuple[int, str]]:
    """Runs a command in ``folder``; its exit status and its last line on stderr."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def run(line: str) -> tuple[int, str]:
        program, *arguments = line.split()
        status = run_app(APPS[program], arguments)
        captured = capfd.readouterr()
        assert captured.out == "" and "Traceback" not in captured.err
        errors = [each for each in captured.err.splitlines() if each.startswith("error: ")]
        assert len(errors) == 1 and captured.err.rstrip().endswith(errors[0])
        return status, errors[0]

    return run


@cache
def options_of(program: str, subcommand: str) -> frozenset[str]:
    """The options of a command."""
    command = typer.main.get_command(APPS[program])
    command = getattr(command, "commands", {}).get(subcommand, command)
    names = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    return frozenset({"--help", *names})


def assert_names_what_exists(error: str, line: str) -> None:
    """Fails if the error sends its reader to an option or a command that does not exist, or to a page."""
    named = [tuple(each.split(" ")) for each in (line, *re.findall(r"granet-\w+(?: \w+)?", error))]
    assert all(words[0] in APPS for words in named)
    known = set[str]().union(*(options_of(words[0], words[1] if words[1:] else "") for words in named))
    mistyped = {word.partition("=")[0] for word in line.split() if word.startswith("--")}
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", error)) <= known | mistyped
    assert not re.search(r"[\w-]+\.md\b", error), "a wheel has no pages"


@pytest.mark.parametrize(
    "line",
    [
        "granet-run --input clip.mp4 --output dry.mp4 --model grpcs://user:s3cr3t@127.0.0.1:9/m?auth=s3cr3t",
        "granet-eval --model grpc://user:s3cr3t@127.0.0.1:9/m --data drawn:1",
        "granet-export bench grpc://user:s3cr3t@127.0.0.1:9/m?key=s3cr3t",
        "granet-export parity --ckpt best.pt grpc://user:s3cr3t@127.0.0.1:9/m",
        "granet-run --input clip.mp4 --output dry.mp4 --metrics user:s3cr3t@127.0.0.1:99999",
        "granet-archive s3://user:s3cr3t@bucket/recordings dry",
    ],
)
def test_an_address_that_is_refused_shows_no_secret(
    line: str, ended: Callable[[str], tuple[int, str]]
) -> None:
    """Servers of models, metrics and storages, besides the addresses of cameras and pushed streams."""
    status, error = ended(line)
    assert status and "s3cr3t" not in error and "***" in error


@pytest.mark.parametrize(
    "mistake",
    [*USAGE, *ELSEWHERE, *SOURCES, *DESTINATIONS, *CODING, *MODELS, *HARDWARE, *TRAINING],
    ids=lambda mistake: mistake.line.replace("/", "|"),
)
def test_a_mistake_gets_one_line_that_says_what_to_do(
    mistake: Mistake, ended: Callable[[str], tuple[int, str]], folder: Path
) -> None:
    if any(Path("/dev").glob(mistake.unless)):
        pytest.skip("here it is no mistake: the hardware is there")
    before = sorted(folder.rglob("*"))
    status, error = ended(mistake.line)
    assert status == mistake.status
    assert re.search(mistake.says, error), error
    assert len(error) < 400
    assert_names_what_exists(error, mistake.line)
    assert sorted(folder.rglob("*")) == before  # nothing lost, nothing half-written


def test_a_mistake_with_an_option_that_does_not_exist_is_found() -> None:
    with pytest.raises(AssertionError):
        assert_names_what_exists("error: use --force", "granet-run --input clip.mp4")
    with pytest.raises(AssertionError):
        assert_names_what_exists("error: run granet-nothing", "granet-run --input clip.mp4")


def test_without_a_screen_the_line_says_what_to_add(ended: Callable[[str], tuple[int, str]]) -> None:
    status, error = ended("granet-run --input clip.mp4")
    assert status == 1 and "--output" in error and "--no-window" in error


@pytest.mark.parametrize(("packages", "line", "says"), NOT_INSTALLED)
def test_a_missing_package_is_named_with_a_command_that_works(
    packages: tuple[str, ...],
    line: str,
    says: str,
    ended: Callable[[str], tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "runtime.telemetry.prometheus", raising=False)
    for module in ("granet.app.extras", "runtime.open", "runtime.models.packaged"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None if name in packages else find_spec(name))
    status, error = ended(line)
    assert status == 1 and re.search(says, error), error
    assert "granet-deploy" not in error  # not on an index
    assert_names_what_exists(error, line)


def test_a_read_only_directory_is_named(ended: Callable[[str], tuple[int, str]], folder: Path) -> None:
    with without_override():
        status, error = ended("granet-run --input noise.png --output locked/dry.png")
    assert status == 1 and re.search(r"locked takes no file \(Permission denied\): .*use another", error)


def test_a_full_disk_is_named(ended: Callable[[str], tuple[int, str]], folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))  # the picture needs 9 kB
    try:
        status, error = ended("granet-run --input noise.png --output dry.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 1 and re.search(r"dry\.png: cannot be written: File too large", error)
    assert sorted(folder.rglob("*")) == before


def test_int8_with_too_few_pictures_recommends_options_that_trt_has(
    ended: Callable[[str], tuple[int, str]],
) -> None:
    line = "granet-export trt --ckpt best.pt --int8 --images photos --size 160x120 -o a.engine"
    status, error = ended(line)
    assert status == 1 and "1 pictures" in error
    assert_names_what_exists(error, line)


def test_granet_export_alone_shows_its_commands(capfd: pytest.CaptureFixture[str]) -> None:
    run_app(APPS["granet-export"], [])
    captured = capfd.readouterr()
    assert captured.err == ""
    assert all(f"  {name} " in captured.out for name in ("onnx", "trt", "parity", "quantize", "inspect"))


def test_a_checkpoint_may_end_in_ckpt(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The suffix that Lightning writes was refused."""
    (folder / "light.ckpt").write_bytes((folder / "best.pt").read_bytes())
    assert run_app(APPS["granet-export"], ["inspect", str(folder / "light.ckpt")]) == 0
    assert "GraNet" in capfd.readouterr().out
