import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

import runtime.cli as cli
import runtime.run.input as run_input
import runtime.run.model as run_model
from granet.app.console import run_app
from granet.errors import UserError
from runtime.engines.base import Engine
from runtime.sources.camera.v4l2 import Camera, CameraMode
from tests.media import make_clip, number_of, numbered, read_clip, write_picture
from tests.patience import PATIENCE
from tests.runtime.fakes import FakeEngine

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "-m", "tests.runtime.run_fake", "--model", "fake.onnx"]

Invoke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Invoke:
    """Runs ``granet-run`` in ``tmp_path``; gives (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_model, "open_engine", lambda *arguments, **options: FakeEngine(invert=True))

    def call(*arguments: str) -> tuple[int, str, str]:
        status = run_app(cli.app, [*arguments, "--model", "fake.onnx"])
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return call


def test_a_video_to_a_video(invoke: Invoke, tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", count=20, size=(96, 128), sound="aac")
    status, out, err = invoke("--input", "in.mp4", "--output", "out.mp4", "--compare")
    assert (status, out) == (0, "")
    lines = err.splitlines()
    assert len(lines) == 2
    assert "in.mp4 (128x96, 29.97 fps, 20 frames) -> out.mp4, with fake.onnx" in lines[0]
    assert lines[1].startswith("20 frames in ") and "latency" in lines[1]
    after = read_clip(tmp_path / "out.mp4")
    assert len(after.frames) == 20 and after.sound
    assert number_of(after.frames[3][:, :128]) == 3


def test_one_frame_is_singular(invoke: Invoke, tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", count=2, size=(64, 64))
    assert "\n1 frame in " in invoke("in.mp4", "-o", "null", "--max-frames", "1")[2]


def test_json_has_every_field_and_nothing_else_is_on_stdout(invoke: Invoke, tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", count=10)
    status, out, _ = invoke("--input", "in.mp4", "--no-window", "--json", "--max-frames", "6")
    assert status == 0
    summary = json.loads(out)
    counts = {"frames_in", "frames_out", "complete", "dropped", "seconds", "fps"}
    assert set(summary) == counts | {"latency_ms", "engine_ms", "backend", "device", "model"}
    assert (summary["frames_in"], summary["frames_out"], summary["dropped"]) == (6, 6, 0)
    assert summary["complete"] is True
    assert set(summary["latency_ms"]) == set(summary["engine_ms"]) == {"p50", "p90", "p99"}
    assert (summary["backend"], summary["device"], summary["model"]) == ("fake", "cpu", "fake.onnx")


def test_pictures_to_a_directory(invoke: Invoke, tmp_path: Path) -> None:
    for name in ("1.png", "2.jpg"):
        write_picture(tmp_path / "in" / name, numbered(2))
    status, _, err = invoke("--input", "in", "--output", "out/")
    assert status == 0 and "in (2 pictures) -> out/" in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.png", "2.jpg"]
    assert np.array_equal(cv2.imread("out/1.png"), 255 - numbered(2))


def test_a_damaged_picture_of_a_folder_costs_only_itself(invoke: Invoke, tmp_path: Path) -> None:
    for index in (1, 2, 3):
        write_picture(tmp_path / "in" / f"{index}.png", numbered(index))
    (tmp_path / "in" / "2.png").write_bytes(b"no picture")
    status, out, err = invoke("--input", "in", "--output", "out", "--json")
    assert status == 1 and err.splitlines()[-1] == "error: in: 1 of 3 pictures cannot be processed: 2.png"
    assert json.loads(out)["complete"] is False and json.loads(out)["frames_out"] == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.png", "3.png"]
    assert np.array_equal(cv2.imread("out/3.png"), 255 - numbered(3))
    status, _, err = invoke("--input", "in", "--output", "strict", "--strict")
    assert status == 1 and "in/2.png: is damaged" in err and not (tmp_path / "strict").exists()


def test_a_picture_that_is_too_small_costs_only_itself(invoke: Invoke, tmp_path: Path) -> None:
    for index in (1, 2, 3):
        write_picture(tmp_path / "in" / f"{index}.png", numbered(index, *((10, 30) if index == 2 else ())))
    status, out, err = invoke("--input", "in", "--output", "out", "--json")
    assert status == 1 and "left out: 2.png: a frame of 30x10 pixels is too small" in err
    assert err.splitlines()[-1] == "error: in: 1 of 3 pictures cannot be processed: 2.png"
    assert json.loads(out)["frames_in"] == json.loads(out)["frames_out"] == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.png", "3.png"]
    status, _, err = invoke("--input", "in", "--output", "strict", "--strict")
    assert status == 1 and "2.png: a frame of 30x10" in err and not (tmp_path / "strict").exists()


def test_a_name_that_is_too_long_is_a_mistake_of_the_user(invoke: Invoke, tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", count=3)
    status, _, err = invoke("--input", "in.mp4", "--output", "x" * 300 + ".mkv")
    assert status == 1 and err.startswith("error: ") and "File name too long" in err and err.count("\n") == 1


def test_a_camera_is_recorded_with_its_times(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runtime.sources.camera import source as camera
    from tests.runtime.sources.test_camera import FakeCapture

    class Slow(FakeCapture):
        frames = 400

        def read(self) -> tuple[bool, np.ndarray | None]:
            time.sleep(0.01)
            return super().read()

    monkeypatch.setattr(camera.cv2, "VideoCapture", Slow)
    monkeypatch.setattr(camera, "problem_of", lambda path: None)
    monkeypatch.setattr(run_input, "device_path", lambda camera: None)
    status, out, err = invoke("--camera", "0", "--output", "out.mkv", "--max-frames", "20", "--json")
    assert status == 0 and "camera 0 (30x20, 29.97 fps) -> out.mkv" in err
    after = read_clip(tmp_path / "out.mkv")
    # The camera does not wait while the encoder starts: what comes meanwhile is dropped, and the times tell.
    assert 2 < len(after.times) <= 20 and float(after.times[-1]) > 0.1
    assert json.loads(out)["frames_out"] == 20


def make_inputs(directory: Path) -> None:
    make_clip(directory / "in.mp4", count=3)
    data = make_clip(directory / "cut.mp4", count=60).read_bytes()
    (directory / "cut.mp4").write_bytes(data[: len(data) // 2])
    write_picture(directory / "pictures" / "1.png", numbered(1))
    write_picture(directory / "pictures" / "2.png", numbered(1))
    (directory / "empty").mkdir()
    (directory / "text.txt").write_text("hello")
    (directory / "there.mp4").write_bytes(b"precious")
    (directory / "text.png").write_text("hello")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("", 2, "give one of --camera and --input"),
        ("--camera -1", 2, "--camera"),
        ("--input in.mp4 --max-frames 0 --no-window", 2, "--max-frames"),
        ("--input in.mp4 --nonsense", 2, "--nonsense"),
        ("--input in.mp4 --output out.png", 2, "--max-frames 1"),
        ("--input pictures --output out.png", 2, "use a directory"),
        ("--input in.mp4 --output a.mp4 --output a.mp4", 2, "name the same destination"),
        ("--input in.mp4 --output a.mp4 --output ./a.mp4", 2, "name the same destination"),
        ("--input in.mp4 --output=", 2, "--output is empty"),
        ("--input in.mp4 --output rtsp:///path", 2, "has no host"),
        ("--input in.mp4 --output a.mp4 --output there.mp4", 1, "--overwrite"),
        ("--input in.mp4 --serve nonsense", 2, "nonsense: not an address to listen on"),
        ("--input in.mp4 --metrics :99999", 2, "not an address"),
        ("--input in.mp4 --output a.mp4 --show nonsense", 2, "--show"),
        ("--camera 0 --camera-size big", 2, "WIDTHxHEIGHT"),
        ("--camera 0 --camera-rate 0", 2, "frames per second"),
        ("--camera front", 2, "a number, from 0, or a device"),
        ("--input in.mp4 --output out.xyz", 2, "unsupported file extension .xyz"),
        ("--input in.mp4 --output http://me:secret@host/out", 2, "http://***@host/out"),
        ("--input missing.mp4 --no-window", 1, "missing.mp4: no such file"),
        ("--input empty --no-window", 1, "no pictures"),
        ("--input *.jpg --no-window", 1, "matches no pictures"),
        ("--input text.txt --no-window", 1, "text.txt"),
        ("--input text.png --no-window", 1, "text.png: is damaged"),
        ("--input cut.mp4 --output out.mp4", 1, "truncated"),
        ("--input in.mp4 --output there.mp4", 1, "--overwrite"),
        ("--input in.mp4 --output in.mp4 --overwrite", 1, "is the input"),
        ("--input file:in.mp4 --output in.mp4 --overwrite", 1, "is the input"),
        ("--input in.mp4 --output no/out.mp4", 1, "no directory no"),
        ("--input gopher://host/x --no-window", 1, "gopher"),
        ("--camera 97", 1, "camera 97"),
        ("--input in.mp4", 1, "no screen"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, status: int, message: str
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    make_inputs(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    got, out, err = invoke(*arguments.split())
    assert got == status
    assert out == ""
    assert message in err and "secret" not in err
    error = [line for line in err.splitlines() if not line.startswith("note:") and " -> " not in line]
    assert len(error) == 1 and error[0].startswith("error: ")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_damage_of_a_video_is_reported_at_the_end_and_strict_fails(invoke: Invoke, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.ts", count=40, options={"bf": "0", "g": "5"})
    data = path.read_bytes()
    # One packet of 188 bytes is lost, the 20th of the video.
    at = [at for at in range(0, len(data), 188) if data[at + 1 : at + 3] in (b"\x01\x00", b"\x41\x00")][20]
    path.write_bytes(data[:at] + data[at + 188 :])
    status, _, err = invoke("--input", "in.ts", "--output", "out.mp4")
    lines = err.splitlines()
    count = len(read_clip(tmp_path / "out.mp4").frames)
    assert status == 0 and 34 < count <= 40
    assert lines[1].startswith("note: in.ts: is damaged: 1 packet incomplete")
    assert lines[1].endswith(f"{count} frames were decoded") and lines[2].startswith(f"{count} frames in ")
    status, _, err = invoke("--input", "in.ts", "--output", "strict.mp4", "--strict")
    assert status == 1 and not (tmp_path / "strict.mp4").exists()
    assert re.fullmatch(r"error: in\.ts: is damaged or truncated after frame \d+", err.splitlines()[-1])


def test_several_outputs_a_page_and_metrics_at_once(invoke: Invoke, tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", count=20)
    outputs = ["--output", "a.mp4", "--output", "b.mkv", "--output", "pictures/", "--output", "null"]
    ports = ["--serve", "127.0.0.1:0", "--metrics", ":0"]
    status, out, err = invoke("--input", "in.mp4", *outputs, *ports)
    assert (status, out) == (0, "")
    assert "-> http://127.0.0.1:" in err and ", a.mp4, b.mkv, pictures/, nowhere" in err
    assert "metrics: http://127.0.0.1:" in err
    for name in ("a.mp4", "b.mkv"):
        numbers = [number_of(frame) for frame in read_clip(tmp_path / name).frames]
        # The engine inverts.
        assert numbers == [14 - i % 14 for i in range(20)]
    assert len(list((tmp_path / "pictures").iterdir())) == 20


def test_the_rain_is_shown_and_dry_frames_are_skipped(invoke: Invoke, tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", frames=[np.full((48, 64, 3), 200, np.uint8)] * 80)
    assert invoke("--input", "in.mp4", "--output", "mask.mp4", "--show", "mask")[0] == 0
    # The engine inverts: 145 levels were taken away everywhere, which is all light blue.
    blue, _, red = read_clip(tmp_path / "mask.mp4").frames[5].mean((0, 1))
    assert blue > 220 and red < 90
    status, _, err = invoke("--input", "in.mp4", "--output", "dry.mp4", "--skip-dry")
    assert status == 0 and "25 frames were dry" in err
    levels = [frame.mean() for frame in read_clip(tmp_path / "dry.mp4").frames]
    assert levels[0] < 60 and levels[-1] > 195


def test_a_password_in_the_environment_is_used_and_not_shown(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def refuse(text: str, *arguments: object) -> None:
        opened.append(text)
        raise UserError(f"{text}: no answer")

    monkeypatch.setattr(run_input, "open_source", refuse)
    monkeypatch.setenv("CAMERA_PASSWORD", "p@ss/word")
    status, _, err = invoke("--input", "rtsp://me:${CAMERA_PASSWORD}@camera/1", "--no-window")
    assert status == 1 and opened == ["rtsp://me:p%40ss%2Fword@camera/1"]
    assert err == "error: rtsp://***@camera/1: no answer\n"
    invoke("--input", "rtsp://me:secret@camera/1", "--no-window")
    assert invoke("--input", "rtsp://me:${MISSING}@camera/1", "--no-window")[0] == 2


MISTYPED = [
    "rtsp:/me:zq7zx9@camera/1",
    "rtsp//me:zq7zx9@camera/1",
    "me:zq7zx9@camera/1",
    "me:zq7 zx9@camera/1",
    "rtsp://me:zq7zx9",
    "rtsp://me:zq7\nzx9@camera/1",
    "rtsp:/me:zq7\nzx9@camera/1",
    "rtsp://[me:zq7zx9@camera/1",
    "rtsp://me:zq7zx9\u2100@camera/1",
    "rstp://me:zq7zx9@camera/1",
    "camera/video?pw=zq7zx9",
    "192.0.2.7/user=me_password=zq7zx9_channel=1",
]


@pytest.mark.parametrize("address", MISTYPED)
@pytest.mark.parametrize("option", ["--input", "--output", "--input="])
def test_a_mistyped_address_does_not_show_its_password(
    invoke: Invoke, tmp_path: Path, address: str, option: str
) -> None:
    make_clip(tmp_path / "in.mp4", count=3)
    given = [option + address] if option.endswith("=") else [option, address]
    more = ["--no-window"] if option != "--output" else ["--input", "in.mp4"]
    for debug in ([], ["--debug"]):
        status, _, err = invoke(*given, *more, *debug)
        assert status in (1, 2) and "internal error" not in err
        # Neither the password nor its second half.
        assert "zq7" not in err and "zx9" not in err


@pytest.mark.parametrize(
    "arguments",
    ["--json --output -", "--live --camera 0", "--raw 640x480:bgr24@30", "--rebuild", "--input twice"],
)
def test_a_usage_error_does_not_show_the_secrets_of_an_address(invoke: Invoke, arguments: str) -> None:
    for address in ("http://me:s3cret@camera/1?pw=s3cret", "rtmp://camera/app/s3cret"):
        status, _, err = invoke("--input", address, "--output", address, *arguments.split())
        assert status == 2 and "s3cret" not in err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://${V}/a", "http://p%40ss%20w%E9/a"),
        ("http://camera/${V}/a?key=${V}", "http://camera/p%40ss%20w%E9/a?key=p%40ss%20w%E9"),
        (
            "gst:rtspsrc location=rtsp://camera/${V} user-pw=${V} ! decodebin",
            "gst:rtspsrc location=rtsp://camera/p%40ss%20w%E9 user-pw=p\\@ss\\ w\\\udce9 ! decodebin",
        ),
        ("GST:fakesrc name=${V}", "GST:fakesrc name=p\\@ss\\ w\\\udce9"),
    ],
)
def test_a_value_of_the_environment_may_stand_anywhere_in_an_address(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    opened: list[str] = []

    def refuse(text: str, *arguments: object) -> None:
        opened.append(text)
        raise UserError(f"{text}: no answer, not even to {text.upper()!r}")

    monkeypatch.setattr(run_input, "open_source", refuse)
    # The environment is bytes.
    monkeypatch.setitem(os.environ, "V", "p@ss w\udce9")
    status, _, err = invoke("--input", text, "--no-window", "--debug")
    assert status == 1 and opened == [expected]
    assert not re.search(r"(@|%40)ss|ss(\\|%20)|%E9|e9\b", err, re.IGNORECASE)


def test_a_password_on_the_command_line_is_warned_of(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise UserError("enough")

    monkeypatch.setattr(run_input, "open_source", refuse)
    _, _, err = invoke("--input", "rtsp://me:secret@camera/1", "--no-window")
    assert "process list" in err and "secret" not in err


def test_the_first_frame_as_a_picture(invoke: Invoke, tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", count=3)
    assert invoke("--input", "in.mp4", "--output", "out.png", "--max-frames", "1")[0] == 0
    assert cv2.imread("out.png").shape == (48, 64, 3)


def test_without_a_model_the_packaged_one_runs_and_the_first_line_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    opened: list[tuple[object, ...]] = []

    def open_engine(*arguments: object, **options: object) -> Engine:
        opened.append(arguments)
        raise UserError("enough")

    monkeypatch.setattr(run_model, "open_engine", open_engine)
    make_clip(tmp_path / "in.mp4", count=3)
    line = ["--input", str(tmp_path / "in.mp4"), "--no-window", "--backend", "onnxruntime", "--device", "cpu"]
    assert run_app(cli.app, line) == 1
    first, *_ = capfd.readouterr().err.splitlines()
    assert first.startswith("model: lite (") and "--model" in first
    assert run_app(cli.app, [*line, "--model", "lite"]) == 1
    assert "model:" not in capfd.readouterr().err
    assert opened == 2 * [(ROOT / "runtime" / "models" / "lite.onnx", "cpu", "onnxruntime")]


@pytest.mark.parametrize(
    ("model", "status", "message"),
    [
        ("fast", 2, "--model fast: give lite or base for a packaged model, or a path"),
        ("best.onnx", 1, "best.onnx: no such model file"),
        ("./lite", 1, "lite: no such model file"),
    ],
)
def test_a_model_that_does_not_exist_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    model: str,
    status: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "in.mp4", count=3)
    assert run_app(cli.app, ["--input", "in.mp4", "--no-window", "--model", model]) == status
    assert capfd.readouterr().err == f"error: {message}\n"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


def test_an_address_that_turns_out_to_be_a_file_is_not_waited_for(invoke: Invoke, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", count=3, container_options={"movflags": "faststart"})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/a.mp4"
            status, _, err = invoke("--input", url, "--give-up-after", "9", "--output", "b.mp4")
        finally:
            server.shutdown()
            thread.join()
    assert status == 2 and f"error: --give-up-after with --input {url}: " in err
    assert not (tmp_path / "b.mp4").exists()


def start(*arguments: str, cwd: Path, seconds: float = 0.01, **pipes: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FAKE_SECONDS": str(seconds)}
    return subprocess.Popen([*RUN, *arguments], cwd=cwd, env=environment, stderr=subprocess.PIPE, **pipes)


def test_stdin_to_stdout(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mkv", count=20, sound="aac")
    with clip.open("rb") as file:
        process = start(
            "--input", "-", "--output", "-", cwd=tmp_path, stdin=file.fileno(), stdout=subprocess.PIPE
        )
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    (tmp_path / "out.mkv").write_bytes(out)
    after = read_clip(tmp_path / "out.mkv")
    assert [number_of(frame) for frame in after.frames] == [i % 14 for i in range(20)]
    assert after.sound == read_clip(clip).sound


def test_raw_frames_on_stdin(tmp_path: Path) -> None:
    frames = b"".join(numbered(index).tobytes() for index in range(10))
    process = start(
        "--input", "-", "--raw", "64x48:bgr24@10", "--output", "out.mkv", cwd=tmp_path, stdin=subprocess.PIPE
    )  # fmt: skip
    _, err = process.communicate(frames, timeout=PATIENCE)
    assert process.returncode == 0, err
    after = read_clip(tmp_path / "out.mkv")
    assert [number_of(frame) for frame in after.frames] == list(range(10)) and after.rate == 10


def test_cameras_are_listed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    modes = (CameraMode("MJPG", (720, 1280), (Fraction(30), Fraction(15))),)
    found = [Camera(Path("/dev/video0"), "Front", modes), Camera(Path("/dev/video2"), "", problem="busy")]
    monkeypatch.setattr(cli, "list_cameras", lambda: found)
    assert run_app(cli.app, ["--list-cameras"]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "/dev/video0  Front",
        "    MJPG 1280x720 at 30, 15",
        "/dev/video2  busy",
    ]


def test_a_full_stdout_is_one_line(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", count=20)
    with Path("/dev/full").open("wb") as full:
        process = start("--input", "in.mp4", "--output", "-", cwd=tmp_path, stdout=full.fileno())
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert err.splitlines()[-1] == b"error: stdout (Matroska): cannot be written: No space left on device"


def test_a_reader_that_goes_away_ends_the_run_quietly(tmp_path: Path) -> None:
    make_clip(tmp_path / "in.mp4", count=300, size=(96, 128))
    process = start("--input", "in.mp4", "--output", "-", cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(20) == 141
    assert b"Traceback" not in err and b"error" not in err
    process.stderr.close()


def test_the_runtime_needs_neither_torch_nor_onnx() -> None:
    code = (
        "import sys, runtime.cli; "
        "sys.exit(bool({'torch', 'onnx', 'onnxruntime', 'openvino'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
