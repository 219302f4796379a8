"""Inputs that are not files: opening a named pipe would wait for a writer, reading a device would not end."""

import json
import os
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

import export.cli
import granet.training.cli
import runtime.cli
import runtime.evaluation.cli
from calibration.table import read_table
from granet.app.console import run_app
from granet.app.input_file import open_regular, read_bounded
from granet.app.schema import read_bytes, read_toml
from granet.data.image_files import read_rgb
from granet.errors import UserError
from granet.training.log import TrainingLog
from granet.training.recipe_file import read_recipe
from granet.training.state import load_state
from runtime.artefacts.manifest import read_manifest, sha256_of
from runtime.live.streams_config import StreamsConfig, read_streams_config
from runtime.sources.pictures.read import read_picture
from runtime.tensorrt.record import read_record
from tests.media import numbered, write_picture
from tests.patience import PATIENCE

LITE = Path(runtime.__file__).parent / "models" / "lite.onnx"


def result_of(action: Callable[[], Any]) -> Any:
    """Runs ``action`` in a thread and returns its result or error; fails if it blocks."""
    results: list[Any] = []

    def act() -> None:
        try:
            results.append(action())
        except Exception as error:  # noqa: BLE001 - the test judges it
            results.append(error)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert results, "it waits"
    return results[0]


def make(kind: str, path: Path) -> Path:
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        here = Path.cwd()
        os.chdir(path.parent)  # the address of a socket is at most 107 characters long
        try:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path.name)
        finally:
            os.chdir(here)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    return path


KINDS = ["a named pipe", "a socket", "a device", "a directory"]


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_file_is_opened(kind: str, tmp_path: Path) -> None:
    path = make(kind, tmp_path / "input")
    for action in (lambda: open_regular(path), lambda: read_bytes(path)):
        found = result_of(action)
        assert (
            isinstance(found, UserError)
            and str(found) == f"{path}: is {kind}, not a file: name a regular file"
        )


def test_a_file_and_a_link_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link") == b"content"
    with open_regular(tmp_path / "file") as file:
        assert os.get_blocking(file.fileno()) and file.read() == b"content"


COMMANDS: list[tuple[typer.Typer, str]] = [
    (runtime.cli.app, "--input in.png --model X.onnx --output out.png"),
    (runtime.cli.app, "--input in.png --model X.pt --output out.png"),
    (runtime.cli.app, "--input in.png --model of-X.onnx --output out.png"),
    (runtime.cli.app, "--config X.toml"),
    (export.cli.app, "inspect X.onnx"),
    (export.cli.app, "inspect X.safetensors"),
    (export.cli.app, "inspect X.engine"),
    (export.cli.app, "inspect of-X.onnx"),
    (export.cli.app, "onnx --ckpt X.pt"),
    (export.cli.app, "parity --ckpt X.safetensors model.onnx"),
    (export.cli.app, "roofline model.onnx --bench X.json --gpu H100"),
    (runtime.evaluation.cli.app, "--ckpt X.pt --data pairs:.,."),
    (granet.training.cli.app, "--recipe X.toml"),
    (granet.training.cli.app, "--train drawn:2 --val drawn:1 --init X.pt --out t"),
]


@pytest.mark.parametrize("kind", ["a named pipe", "a device"])
@pytest.mark.parametrize(("app", "line"), COMMANDS, ids=[line for _, line in COMMANDS])
def test_every_command_refuses_it_in_one_line(
    app: typer.Typer,
    line: str,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "in.png", numbered(1))
    shutil.copy(LITE, tmp_path / "model.onnx")
    name = next(word for word in line.split() if "X." in word)
    if name.startswith("of-"):
        shutil.copy(LITE, tmp_path / name)
        name += ".json"  # the manifest beside it
    make(kind, tmp_path / name)
    status = result_of(lambda: run_app(app, line.split()))
    last = capfd.readouterr().err.splitlines()[-1]
    assert status == 1 and last.startswith("error: ") and f"is {kind}, not a file" in last, last


@pytest.mark.parametrize("kind", KINDS[:3])
def test_a_picture_is_a_file(kind: str, tmp_path: Path) -> None:
    path = make(kind, tmp_path / "in.png")
    for action in (lambda: read_rgb(path), lambda: read_picture(path, "bgr", 0, "in.png", print)):
        found = result_of(action)
        assert isinstance(found, UserError) and f"is {kind}, not a file" in str(found)


@pytest.mark.parametrize("kind", ["a socket", "a device"])
def test_a_video_is_a_file_or_a_pipe(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = make(kind, tmp_path / "in.mp4")
    arguments = ["--input", str(path), "--output", str(tmp_path / "out.mp4"), "--model", str(LITE)]
    assert result_of(lambda: run_app(runtime.cli.app, arguments)) == 1
    assert f"is {kind}, not a file" in capfd.readouterr().err.splitlines()[-1]


def test_files_of_a_training_are_files(tmp_path: Path) -> None:
    make("a named pipe", tmp_path / "state.pt")
    make("a named pipe", tmp_path / "log.jsonl")
    for action in (
        lambda: load_state(tmp_path / "state.pt"),
        lambda: TrainingLog(tmp_path / "log.jsonl").read(),
    ):
        found = result_of(action)
        assert isinstance(found, UserError) and "a named pipe" in str(found)


def test_escape_sequences_in_a_model_are_written_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "\x1b[31m\x9b2J\u202etxt.onnx"
    shutil.copy(LITE, path)
    assert run_app(export.cli.app, ["inspect", str(path)]) == 0
    out = capfd.readouterr().out
    assert "\\x1b[31m\\x9b2J\\u202etxt.onnx" in out
    assert run_app(export.cli.app, ["inspect", "--json", str(path)]) == 0
    out = capfd.readouterr().out
    assert out.isascii() and "\x1b" not in out and json.loads(out)["file"] == str(path)


Read = Callable[[Path], Any]

READERS: dict[str, tuple[str, Read, int]] = {
    "manifest": ("m.onnx.json", read_manifest, 2**23),
    "record": ("m.engine.json", lambda path: read_record(path.with_name("m.engine")), 2**23),
    "table": ("table.json", read_table, 2**23),
    "streams": ("streams.toml", read_streams_config, 2**18),
    "recipe": ("recipe.toml", lambda path: read_recipe(str(path), ["seed"]), 2**18),
    "log": ("log.jsonl", lambda path: TrainingLog(path).read(), 2**26),
    "hash": ("m.onnx", sha256_of, 2**30),
}


def test_a_file_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    (path := tmp_path / "a").write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(UserError, match=f"^{path}: is too large: 5 bytes; at most 4 are read$"):
        read_bounded(path, 4)


@pytest.mark.parametrize("name", READERS)
def test_a_huge_file_is_not_read(tmp_path: Path, name: str) -> None:
    file, read, most = READERS[name]
    with (path := tmp_path / file).open("wb") as sparse:
        sparse.truncate(most + 1)
    with pytest.raises(
        UserError, match=f"{file}: is too large: {most + 1:,} bytes; at most {most:,} are read"
    ):
        read(path)


@pytest.mark.parametrize("name", READERS)
def test_a_named_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    file, read, _ = READERS[name]
    os.mkfifo(path := tmp_path / file)
    with pytest.raises(UserError, match=f"{file}: is a named pipe, not a file"):
        read(path)


def test_a_device_without_end_is_not_read() -> None:
    with pytest.raises(UserError, match="/dev/zero: is a device, not a file"):
        read_manifest(Path("/dev/zero"))


@pytest.mark.parametrize(
    "text",
    [
        ".".join(["a"] * 50_000) + " = 1",
        "a = " + "[" * 100_000,
        "[" + ".".join(["a"] * 300) + "]",
        "a = " + "9" * 10_000,
        'a = "' + "\udcff" + '"',
    ],
    ids=["dotted key", "lists", "dotted table", "number", "Latin-1"],
)
def test_toml_that_takes_a_parser_for_ever_is_refused(tmp_path: Path, text: str) -> None:
    (path := tmp_path / "a.toml").write_bytes(text.encode(errors="surrogateescape"))
    for read in (lambda: read_toml(path, StreamsConfig), lambda: read_recipe(str(path), [])):
        with pytest.raises(UserError, match=r"a\.toml: (is )?not valid TOML: "):
            read()
