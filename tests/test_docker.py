"""The images and compose.yaml: linted, hardened, and their steps run without Docker."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml

from runtime.cli import app
from tests.media import write_picture
from tests.patience import PATIENCE

dockerfile_parse = pytest.importorskip("dockerfile_parse")

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "docker").glob("*/Dockerfile"))
CPU = ROOT / "docker" / "cpu" / "Dockerfile"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
each_service = pytest.mark.parametrize("name", SERVICES)


def instructions(path: Path, kind: str) -> list[str]:
    """The values of a kind of instruction, in order; continued lines are one."""
    parser = dockerfile_parse.DockerfileParser(fileobj=io.BytesIO(path.read_bytes()))
    return [each["value"] for each in parser.structure if each["instruction"] == kind]


def health_check(path: Path) -> list[str]:
    """The command of the health check."""
    (check,) = instructions(path, "HEALTHCHECK")
    command: list[str] = json.loads(check.partition("CMD ")[2])
    return command


def test_there_is_an_image_for_each_kind_of_machine() -> None:
    assert [path.parent.name for path in FILES] == ["cpu", "jetson", "tensorrt"]


@each_file
def test_hadolint_has_no_complaint(path: Path) -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    result = subprocess.run([hadolint, str(path)], capture_output=True, text=True, timeout=PATIENCE)
    assert result.returncode == 0, result.stdout


@each_file
def test_an_image_runs_as_a_user_without_rights(path: Path) -> None:
    user = re.fullmatch(r"(\d+):(\d+)", instructions(path, "USER")[-1])
    assert user and int(user[1]) >= 1000  # a number: Kubernetes' runAsNonRoot cannot check a name
    assert any(f"--owner {user[1]} --group {user[2]} /data" in step for step in instructions(path, "RUN"))


@each_file
def test_an_image_writes_to_its_volume_and_to_tmp_only(path: Path) -> None:
    settings = " ".join(instructions(path, "ENV"))
    assert "HOME=/tmp" in settings and "PYTHONDONTWRITEBYTECODE=1" in settings
    assert instructions(path, "WORKDIR")[-1] == "/data"


@each_file
def test_an_image_is_built_on_a_named_version(path: Path) -> None:
    images = [value.split(" ")[0] for value in instructions(path, "FROM")]
    assert all(re.search(r":[\w.-]*\d", image) for image in images)
    assert path == CPU or all(image.startswith("nvcr.io/nvidia/") for image in images)


@each_file
def test_an_image_has_the_opencv_that_is_tested(path: Path) -> None:
    (pinned,) = re.findall(r"^opencv-python==(.+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert f"opencv-python-headless=={pinned}" in " ".join(instructions(path, "RUN"))


@each_file
def test_the_entry_point_is_a_command_line_that_granet_run_takes(path: Path) -> None:
    program, *arguments = json.loads(instructions(path, "ENTRYPOINT")[-1])
    assert program == "granet-run"
    typer.main.get_command(app).make_context(program, [*arguments, "--input", "clip.mp4"])
    assert f"0.0.0.0:{instructions(path, 'EXPOSE')[-1]}" in arguments


class Page(BaseHTTPRequestHandler):
    """Answers as the page of granet-run does."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/state.json" else 404)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[int]:
    """The port of a page."""
    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@each_file
def test_the_health_check_finds_a_page_and_the_lack_of_one(path: Path, page: int) -> None:
    _, *arguments = health_check(path)
    for port, healthy in ((page, True), (1, False)):
        words = [word.replace(":8080/", f":{port}/") for word in arguments]
        ended = subprocess.run([sys.executable, *words], capture_output=True, timeout=PATIENCE)
        assert (ended.returncode == 0) == healthy


def sent_to_docker(folder: Path) -> Path:
    """Copies what .dockerignore lets through: everything is excluded but the names after ``!``."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "*"
    for name in (line[1:] for line in lines if line.startswith("!")):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def test_the_steps_of_the_cpu_image_install_what_runs(tmp_path: Path) -> None:
    """Each RUN line that installs, in a clean environment; folders of the image lie in a temporary one."""
    (tmp_path / "src").mkdir()
    (tmp_path / "wheels").mkdir()
    source = sent_to_docker(tmp_path / "src")
    shutil.copy(ROOT / "constraints.txt", tmp_path / "wheels")
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    settings["PATH"] = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def shell(command: str) -> "subprocess.CompletedProcess[str]":
        words = ["bash", "-eu", "-c", command]
        return subprocess.run(words, cwd=source, env=settings, capture_output=True, text=True, timeout=600)

    if shell("pip download --no-deps --dest ../probe shellingham").returncode:
        pytest.skip("its packages cannot be had without a network")
    for step in instructions(CPU, "RUN"):
        if step.startswith("pip "):
            result = shell(step.replace("/wheels", str(tmp_path / "wheels")))
            assert result.returncode == 0, result.stderr
    write_picture(tmp_path / "rain.png", np.full((48, 64, 3), 90, np.uint8))
    result = shell(f"granet-run --input {tmp_path}/rain.png --output {tmp_path}/dry.png")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "dry.png").stat().st_size > 0
    assert "headless" in shell("pip list").stdout
    refused = shell(f"DISPLAY=:1 granet-run --input {tmp_path}/rain.png")
    assert refused.returncode == 1 and "cannot open windows" in refused.stderr


@each_service
def test_a_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"


@each_service
def test_a_service_has_keys_that_compose_knows(name: str) -> None:
    """The keys are those of the Compose specification that this file uses."""
    known = {
        *("build", "image", "command", "environment", "depends_on", "ports", "volumes", "read_only", "tmpfs"),
        *("cap_drop", "security_opt", "init", "stop_grace_period", "restart"),
    }
    service = SERVICES[name]
    assert set(service) <= known
    assert ("image" in service) != ("build" in service)
    assert all(re.fullmatch(r"(127\.0\.0\.1:)?\d+:\d+(/udp)?", port) for port in service["ports"])
    assert all(other in SERVICES for other in service.get("depends_on", []))
    assert all(volume.split(":")[0] in COMPOSE["volumes"] for volume in service.get("volumes", []))
    assert "image" not in service or re.search(r":\d+\.\d+", service["image"])


def test_the_composed_camera_is_a_command_line_that_granet_run_takes() -> None:
    service = SERVICES["granet"]
    # As Compose reads it: $$ is a dollar sign, ${NAME:?...} a variable of its own environment.
    words = [re.sub(r"(?<!\$)\$\{\w+:\?[^}]*\}", "192.0.2.7", word) for word in service["command"]]
    words = [word.replace("$$", "$") for word in words]
    entry = json.loads(instructions(ROOT / service["build"]["dockerfile"], "ENTRYPOINT")[-1])
    context = typer.main.get_command(app).make_context("granet-run", [*entry[1:], *words])
    assert context.params["source"] == "rtsp://viewer:${CAMERA_PASSWORD}@192.0.2.7/stream1"
    assert context.params["outputs"][0].startswith("rtsp://mediamtx:")
    assert set(re.findall(r"\$\$\{(\w+)\}", " ".join(service["command"]))) == set(service["environment"])


def test_what_docker_is_sent_is_in_the_repository() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert all((ROOT / name).exists() for name in kept)
    assert not any(fnmatch(name, "*.git*") or name == "runs" for name in kept)
