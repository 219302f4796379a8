"""The README's commands, as they stand in it, in the order in which they stand."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from granet import load_checkpoint, save_checkpoint
from granet.app.console import run_app
from runtime.checks.parity_cases import synthetic_rain
from runtime.demo_clip import app as demo_clip

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Not run by the test that it runs, and installed already where tests run.
SKIPPED = {"make test": "is what runs this test", "pip install": "tests run on what is installed"}


def commands() -> list[str]:
    """The lines of the README's bash blocks, without comments."""
    blocks = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the README takes for given: a checkpoint, a clip, a folder of pictures."""
    folder = tmp_path_factory.mktemp("readme")
    save_checkpoint(folder / "best.pt", load_checkpoint(ROOT / "runtime" / "models" / "lite.safetensors"))
    assert run_app(demo_clip, [str(folder / "rain.mp4"), "--seconds", "0.5"]) == 0
    (folder / "photos").mkdir()
    for index, case in enumerate(synthetic_rain((320, 480), count=8)):
        cv2.imwrite(str(folder / "photos" / f"{index}.png"), case.frames[0, :, :, ::-1])
    return folder


def run(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )


def has_camera() -> bool:
    return bool(list(Path("/dev").glob("video*")))


@pytest.mark.parametrize("command", commands())
def test_each_command_works_as_it_stands(command: str, workspace: Path) -> None:
    reason = next((why for start, why in SKIPPED.items() if command.startswith(start)), None)
    if reason is not None:
        pytest.skip(reason)
    in_checkout = command.startswith(("make ", "python benchmarks/"))
    if "--camera" in command:
        if has_camera():
            pytest.skip("there is a camera here, which is not this test's to switch on")
        result = run(command, workspace)
        assert result.returncode == 1
        assert result.stderr.count("\n") == 1 and "camera 0" in result.stderr
        return
    result = run(command, ROOT if in_checkout else workspace)
    assert result.returncode == 0, result.stderr


def test_the_demo_leaves_what_it_promises() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("rain.mp4", "lite.onnx", "lite.onnx.json", "side-by-side.mp4"):
        assert (ROOT / "demo" / name).stat().st_size > 0


def test_every_link_and_picture_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_the_readme_has_the_two_commands() -> None:
    assert {"make demo", "make test"} <= set(commands())
