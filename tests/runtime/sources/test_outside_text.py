"""Names and metadata that are not UTF-8, from the source to the outputs."""

import json
import os
from pathlib import Path

import av
import pytest

import runtime.cli as cli
import runtime.run.model as run_model
from granet.app.console import run_app
from runtime.sources.open import open_source
from runtime.sources.url import expanded
from runtime.telemetry.health import Health
from tests.media import make_clip, numbered, read_clip, write_picture
from tests.runtime.fakes import FakeEngine
from tests.runtime.sources.fault_server import Fake, RtspCamera
from tests.runtime.sources.watching import Watcher, impatient

PLACE = "Stra?e"
LATIN_1 = b"Stra\xdfe"


def with_latin_1_title(path: Path, *, stream: bool = False) -> Path:
    """A clip whose title, or the title of whose stream, is Latin-1."""
    plain = make_clip(path.with_name(f"plain{path.suffix}"), count=4)
    with (
        av.open(plain) as source,
        av.open(path, "w", container_options={"write_crc32": "0"} if path.suffix == ".mkv" else {}) as target,
    ):
        copy = target.add_stream_from_template(source.streams.video[0])
        (copy if stream else target).metadata["title"] = PLACE
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    content = path.read_bytes()
    assert PLACE.encode() in content
    path.write_bytes(content.replace(PLACE.encode(), LATIN_1))
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".mp4", ".mov"])
def test_a_title_in_latin_1_is_read_as_such(suffix: str, tmp_path: Path) -> None:
    with open_source(str(with_latin_1_title(tmp_path / f"a{suffix}")), lambda note: None) as source:
        assert source.info.metadata["title"] == "Straße"
        assert len(list(source.frames("bgr"))) == 4


def test_the_title_of_a_stream_in_latin_1_does_no_harm(tmp_path: Path) -> None:
    path = with_latin_1_title(tmp_path / "a.mkv", stream=True)
    with open_source(str(path), lambda note: None) as source:
        assert len(list(source.frames("bgr"))) == 4


def test_a_title_in_utf_8_is_kept_as_it_is(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", count=2)
    with av.open(path) as source, av.open(tmp_path / "b.mkv", "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        target.metadata["title"] = "Straße 雨"
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    with open_source(str(tmp_path / "b.mkv"), lambda note: None) as opened:
        assert opened.info.metadata["title"] == "Straße 雨"


def test_a_camera_with_a_session_name_in_latin_1_goes_live() -> None:
    said: list[str] = []
    with RtspCamera(Fake(session=os.fsdecode(LATIN_1))) as camera:
        watcher = Watcher(open_source(camera.url("cam"), said.append, impatient(said)))
        with watcher:
            watcher.wait_for_frames(3)
            assert watcher.source.info.metadata.get("title", "Straße") == "Straße"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, whose own name is Latin-1 too."""
    folder = tmp_path / os.fsdecode(b"\xfcber")
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(run_model, "open_engine", lambda *arguments, **options: FakeEngine(invert=True))
    return folder


@pytest.mark.parametrize("ending", ["mkv", "mp4", "png"])
def test_a_file_name_in_latin_1_goes_all_the_way(
    ending: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, target = (os.fsdecode(b"stra\xdfe" + end + ending.encode()) for end in (b".", b"-dry."))
    if ending == "png":
        write_picture(folder / "plain.png", numbered(3))
        (folder / "plain.png").rename(source)
    else:
        with_latin_1_title(folder / f"t.{ending}").rename(source)
    status = run_app(
        cli.app, ["--input", source, "--output", target, "--json", "--model", os.fsdecode(b"m\xdf.onnx")]
    )
    out, err = capfd.readouterr()
    assert status == 0, err
    assert (folder / target).exists()
    assert json.loads(out)["frames_out"] == (1 if ending == "png" else 4)
    out.encode(), err.encode()
    if ending != "png":
        assert len(read_clip(folder / target).frames) == 4
        with av.open(folder / target) as made:
            assert made.metadata["title"] == "Straße"


def test_a_password_that_is_not_utf_8_is_quoted_byte_by_byte() -> None:
    environment = {"PW": os.fsdecode(b"\xdf/@")}
    address = "rtsp://me:${PW}@cam/1"
    assert expanded(address, lambda note: None, environment) == "rtsp://me:%DF%2F%40@cam/1"
    assert expanded(address, lambda note: None, {"PW": "ß"}) == "rtsp://me:%C3%9F@cam/1"


def test_the_name_of_a_stream_can_be_shown_on_a_page_and_in_a_label() -> None:
    assert (
        Health(os.fsdecode(b"stra\xdfe.mp4")).name.encode() == "stra\N{REPLACEMENT CHARACTER}e.mp4".encode()
    )
