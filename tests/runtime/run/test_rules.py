"""``granet-run``: an option that a run would not use is a usage error that names both sides."""

from dataclasses import replace

import pytest
import typer

import runtime.cli as cli
from granet.app.command import EVERYWHERE
from granet.app.console import UsageError, run_app
from runtime.run.options import RunOptions
from runtime.run.rules import check_run_options

VALUES = {
    "camera": "0", "input": "in.mp4", "model": "best.onnx", "output": "out.mp4", "serve": ":0",
    "metrics": ":0", "show": "mask", "max-frames": "3", "config": "streams.toml", "raw": "64x48:bgr24@10",
    "give-up-after": "3", "camera-format": "MJPG", "camera-size": "64x48", "camera-rate": "30",
    "start": "1:30", "duration": "9s", "every": "2",
    "codec": "h264", "crf": "20", "preset": "slow", "bitrate": "4M", "pix-fmt": "yuv444p", "hwaccel": "cuda",
    "device": "cpu", "backend": "openvino", "map": "a=b",
}  # fmt: skip
"""A value for each option that takes one."""

COMPLETION = ("--install-completion", "--show-completion")
"""Typer's own; the first writes into the home directory, so no test calls it."""

OPTIONS = [
    parameter.opts[0]
    for parameter in typer.main.get_command(cli.app).params
    if parameter.opts[0] not in ("--help", "--version", *EVERYWHERE, *COMPLETION)
]


def typed(option: str) -> list[str]:
    name = option.removeprefix("--")
    return [option, VALUES[name]] if name in VALUES else [option]


@pytest.mark.parametrize("option", [option for option in OPTIONS if option != "--list-cameras"])
def test_listing_cameras_uses_no_other_option(option: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(cli.app, ["--list-cameras", *typed(option)]) == 2
    assert f"error: {option} with --list-cameras: " in capfd.readouterr().err


@pytest.mark.parametrize("option", [o for o in OPTIONS if o not in ("--list-cameras", "--config")])
def test_a_configuration_uses_no_other_option(option: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(cli.app, ["--config", "streams.toml", *typed(option)]) == 2
    assert f"error: {option} with --config: " in capfd.readouterr().err


NOT_FILES = ("-", "null", "window", "virtual-camera", "virtual-camera:/dev/video9", "rtsp://host/app")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--camera 0 --input in.mp4", "--input with --camera 0: "),
        ("--input in.mp4 --camera-format MJPG", "--camera-format with --input: "),
        ("--input csi://0 --camera-size 64x48", "--camera-size with --input: "),
        ("--input - --camera-rate 30", "--camera-rate with --input: "),
        ("--input in.mp4 --raw 64x48:bgr24@10", "--raw with --input in.mp4: "),
        ("--camera 0 --raw 64x48:bgr24@10", "--raw with --camera 0: "),
        ("--input in.mp4 --live", "--live with --input in.mp4: "),
        ("--input file:in.mp4 --live", "--live with --input file:in.mp4: "),
        ("--input - --live", "--live with --input -: "),
        ("--input csi://0 --live", "--live with --input csi://0: "),
        ("--camera 0 --live", "--live with --camera 0: "),
        ("--input RTSPS://h/x --strict", "--strict with --input RTSPS://h/x: "),
        ("--input in.mp4 --give-up-after 3", "--give-up-after with --input in.mp4: "),
        ("--input photos --give-up-after 3", "--give-up-after with --input photos: "),
        ("--input - --give-up-after 3", "--give-up-after with --input -: "),
        ("--camera 0 --strict", "--strict with --camera 0: "),
        ("--input csi://0 --strict", "--strict with --input csi://0: "),
        ("--input in.png --strict", "--strict with --input in.png: "),
        ("--input in.png --skip-dry", "--skip-dry with --input in.png: "),
        ("--input folder/*.png --skip-dry", "--skip-dry with --input folder/*.png: "),
        ("--camera 0 --hwaccel cuda", "--hwaccel with --camera 0: "),
        ("--input *.png --hwaccel auto", "--hwaccel with --input *.png: "),
        ("--camera 0 --duration 9", "--duration with --camera 0: "),
        ("--input csi://0 --every 2", "--every with --input csi://0: "),
        ("--input - --start 9", "--start with --input -: "),
        ("--input - --raw 64x48:bgr24@10 --loop", "--loop with --input -: "),
        ("--input *.png --start 9", "--start with --input *.png: "),
        ("--input in.png --every 2", "--every with --input in.png: "),
        ("--input in.mp4 --loop --output out.mp4", "--loop with --output out.mp4: "),
        ("--input in.mp4 --duration 0", "--duration 0: "),
        ("--input in.mp4 --start soon", "--start soon: "),
        ("--input in.mp4 --output - --json", "--json with --output -: "),
        ("--input in.mp4 --compare --show mask", "--compare with --show mask: "),
        ("--input in.mp4 --compare --show compare", "--compare with --show compare: "),
        ("--input in.mp4 --show mask --no-window", "--show with --no-window: "),
        ("--input in.mp4 --compare --no-window", "--compare with --no-window: "),
        ("--input in.mp4 --compare --output null", "--compare with --output null: "),
        ("--input in.mp4 --compare --serve :0", "--compare with --serve: "),
        ("--input in.mp4 --show slider --output out.mp4", "--show with --output out.mp4: "),
        ("--input in.mp4 --show slider --serve :0", "--show with --serve: "),
        ("--input in.mp4 --no-window --output out.mp4", "--no-window with --output out.mp4: "),
        ("--input in.mp4 --no-window --serve :0", "--no-window with --serve: "),
        ("--input in.mp4 --overwrite", "--overwrite without --output: "),
        ("--input in.mp4 --overwrite --no-window", "--overwrite without --output: "),
        *((f"--input x --overwrite --output {to}", f"--overwrite with --output {to}: ") for to in NOT_FILES),
        ("--input in.mp4 --rebuild", "--rebuild without --model: "),
        ("--input in.mp4 --rebuild --model lite", "--rebuild with --model lite: "),
        ("--input in.mp4 --rebuild --model a.onnx", "--rebuild with --model a.onnx: "),
        ("--input in.mp4 --rebuild --model a.pt", "--rebuild with --model a.pt: "),
        ("--input in.mp4 --backend openvino --model a.engine", "--backend openvino with --model a.engine: "),
        ("--input in.mp4 --backend openvino --model a.pt", "--backend openvino with --model a.pt: "),
        ("--input in.mp4 --backend torch --model a.onnx", "--backend torch with --model a.onnx: "),
        ("--input in.mp4 --backend torch --model lite", "--backend torch with --model lite: "),
        ("--input in.mp4 --backend tensorrt", "--backend tensorrt without --model: "),
        ("--input a.mp4 --input b.mp4", "--input is given 2 times"),
    ],
)
def test_an_unused_option_names_the_other_one(
    line: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_app(cli.app, line.split()) == 2
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err.startswith(f"error: {message}")
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "given"),
    [
        (RunOptions(camera="0", camera_size="64x48", give_up_after=3), ["--camera-size", "--give-up-after"]),
        (RunOptions(source="http://h/x", live=True, give_up_after=3), ["--live", "--give-up-after"]),
        (RunOptions(source="gst:videotestsrc", give_up_after=3), ["--give-up-after"]),
        (RunOptions(source="-", raw="64x48:bgr24@10"), ["--raw"]),
        (RunOptions(source="photos", skip_dry=True), ["--skip-dry"]),
        (RunOptions(source="photos", every=2), ["--every"]),
        (RunOptions(source="-", duration="9", every=2), ["--duration", "--every"]),
        (RunOptions(source="x", start="1:30", loop=True, serve=":0"), ["--start", "--loop", "--serve"]),
        (RunOptions(source="x", loop=True, max_frames=3, outputs=["a.mp4"]), ["--loop", "--max-frames"]),
        (RunOptions(source="in.mp4", strict=True), ["--strict"]),
        (RunOptions(source="http://h/x", strict=True), ["--strict"]),
        (RunOptions(source="*.png", strict=True), ["--strict"]),
        (RunOptions(source="-", raw="64x48:bgr24@10", strict=True), ["--strict", "--raw"]),
        (RunOptions(source="x", show="mask", serve=":0"), ["--show", "--serve"]),
        (RunOptions(source="x", show="slider"), ["--show"]),
        (RunOptions(source="x", show="slider", serve=":0", outputs=["window"]), ["--show", "--serve"]),
        (RunOptions(source="x", compare=True, serve=":0", outputs=["a.mp4"]), ["--compare", "--serve"]),
        (RunOptions(source="x", no_window=True, as_json=True), ["--no-window", "--json"]),
        (RunOptions(source="x", overwrite=True, outputs=["null", "folder"]), ["--overwrite"]),
        (RunOptions(source="x", model="a.engine", rebuild=True, backend="tensorrt"), ["--rebuild"]),
        (RunOptions(source="x", model="a.engine", backend="tensorrt"), ["--backend"]),
        (RunOptions(source="x", model="a.pt", backend="torch"), ["--backend"]),
        (RunOptions(source="x", model="lite", backend="onnxruntime-tensorrt"), ["--backend"]),
    ],
)
def test_options_that_are_used_are_accepted(options: RunOptions, given: list[str]) -> None:
    check_run_options(replace(options, given=(*given, "--input") if options.source else tuple(given)))


def test_something_must_be_read() -> None:
    given = ("--live", "--raw", "--give-up-after")
    for options in (RunOptions(), RunOptions(live=True, raw="64x48:bgr24@10", give_up_after=3, given=given)):
        with pytest.raises(UsageError, match="give one of --camera and --input"):
            check_run_options(options)


@pytest.mark.parametrize(
    "line",
    [
        "-i a.mp4 -o out.png --codec hevc",
        "-i a.mp4 -o null --crf 20",
        "-i a.mp4 --preset slow",
        "-i a.mp4 -o frames/ --bitrate 4M",
        "-i a.mp4 -o virtual-camera --pix-fmt yuv444p",
    ],
)
def test_options_of_a_video_need_one(line: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(cli.app, line.split()) == 2
    assert "the run encodes no video" in capfd.readouterr().err
