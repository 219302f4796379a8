"""The recipes of docs/running.md run unchanged, with fake sources of frames."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import runtime.cli as cli
import runtime.run.input as run_input
import runtime.run.model as model
from granet.app.console import run_app
from runtime.media.frame import Colour, Frame
from runtime.sources.base import Source, StreamInfo
from tests.media import make_clip, read_clip
from tests.patience import PATIENCE
from tests.runtime.fakes import FakeEngine

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")


def recipe(title: str) -> str:
    """The first block of a recipe, without the line that says what it needs."""
    section = TEXT.split(f"### {title}\n")[1].split("\n### ")[0]
    block: str = re.findall(r"```\w+\n(.*?)```", section, re.S)[0]
    return re.sub(r"\A# Needs: .*\n", "", block)


class StandIn(Source):
    """Thirty frames of a live source, and its end."""

    def __init__(self) -> None:
        base = Fraction(1, 90_000)
        self.info = StreamInfo(
            "stand-in", "camera", live=True, rate=Fraction(30), time_base=base, size=(48, 64)
        )

    def frames(self, colour: Colour) -> Iterator[Frame]:
        self.health.enter("live")
        for index in range(30):
            time.sleep(0.02)
            yield Frame(np.full((48, 64, 3), 100, np.uint8), index, 3000 * index, Fraction(1, 90_000))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[object, ...]]:
    """Runs in ``tmp_path`` with a stand-in for every source; what was opened."""
    calls: list[tuple[object, ...]] = []

    def open_stand_in(*arguments: object) -> Source:
        calls.append(arguments)
        return StandIn()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model, "open_engine", lambda *arguments, **options: FakeEngine())
    monkeypatch.setattr(run_input, "open_camera", open_stand_in)
    monkeypatch.setattr(run_input, "open_source", open_stand_in)
    monkeypatch.setattr(run_input, "device_path", lambda camera: None)
    return calls


def free_ports(command: str) -> str:
    """Ports of a recipe may be taken on this machine: any that is free."""
    return re.sub(r"(--serve|--metrics) :\d+", r"\1 :0", command)


def test_the_dash_camera(opened: list[tuple[object, ...]], tmp_path: Path) -> None:
    arguments = shlex.split(free_ports(recipe("A dash camera")))
    assert run_app(cli.app, arguments[1:]) == 0
    camera, options, *_ = opened[0]
    assert camera == 0
    assert (options.pixel_format, options.size) == ("MJPG", (720, 1280))  # type: ignore[attr-defined]
    (recording,) = tmp_path.iterdir()
    assert re.fullmatch(r"trip-\d{8}-\d{6}\.mkv", recording.name)
    assert len(read_clip(recording).frames) > 10


def test_the_rtsp_camera(
    opened: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    setting, command = recipe("An RTSP camera").strip().splitlines()
    name, value = shlex.split(setting)[1].split("=")
    monkeypatch.setenv(name, value)
    assert run_app(cli.app, shlex.split(free_ports(command))[1:]) == 0
    assert opened[0][0] == "rtsp://viewer:p%40ss%2Fword@192.0.2.7/stream1"
    err = capfd.readouterr().err
    # Nobody listens there; the other outputs do not mind.
    assert "rtsp://127.0.0.1:8554/dry, with" in err and "metrics: http://127.0.0.1:" in err
    assert "frames in" in err and "word" not in err


def test_several_cameras(
    opened: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = re.sub(r'(serve|metrics) = ":\d+"', r'\1 = ":0"', recipe("Several cameras, one engine"))
    (tmp_path / "streams.toml").write_text(text)
    monkeypatch.setenv("CAMERA_PASSWORD", "secret")
    assert run_app(cli.app, ["--config", "streams.toml"]) == 0
    assert {call[0] for call in opened} == {"rtsp://viewer:secret@192.0.2.7/stream1", 0}
    assert len(list(tmp_path.glob("front-20*.mkv"))) == 1


def test_the_folder_of_recordings(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    for name in ("a b.mp4", "c.mp4"):
        make_clip(tmp_path / "recordings" / name, count=5)
    python = f"{shlex.quote(sys.executable)} -m tests.runtime.run_fake --model fake.onnx"
    script = f'granet-run() {{ {python} "$@"; }}\n' + recipe("A folder of recordings")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(["bash", "-euc", script], cwd=tmp_path, env=environment, check=True, timeout=PATIENCE)
    for name in ("a b.mp4", "c.mp4"):
        assert len(read_clip(tmp_path / "dry" / name).frames) == 5


def test_the_service(
    opened: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unit = recipe("A service with a watchdog")
    start = re.findall(r"^ExecStart=(.*)$", unit, re.M)[0]
    # As systemd reads it: $$ and %% are one each.
    arguments = shlex.split(free_ports(start.replace("$$", "$").replace("%%", "%")))
    monkeypatch.setenv("CAMERA_PASSWORD", "secret")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        assert run_app(cli.app, arguments[1:]) == 0
        heard = []
        while not heard or heard[-1] != b"STOPPING=1":
            heard.append(systemd.recv(100))
    assert heard[0] == b"READY=1" and heard.count(b"WATCHDOG=1") >= 3
    assert opened[0][0] == "rtsp://viewer:secret@192.0.2.7/stream1"
    assert len(list(tmp_path.glob("20*.mkv"))) == 1


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    # It wants to see the program where the unit says it is.
    unit = recipe("A service with a watchdog").replace("ExecStart=granet-run", f"ExecStart={sys.executable}")
    (tmp_path / "granet.service").write_text(unit)
    told = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(tmp_path / "granet.service")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert told.returncode == 0 and "granet.service:" not in told.stderr, told.stderr


def test_every_recipe_says_whether_it_was_run() -> None:
    for section in TEXT.split("## Recipes")[1].split("\n### ")[1:]:
        first = section.split("\n")[2]
        assert first.startswith(("A test runs th", "Not run:")), first
