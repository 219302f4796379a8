"""Videos and streams that were made to take memory, or to read what is beside them."""

import re
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import cv2
import pytest

from granet.errors import UserError
from runtime.sources.live.supervised import LiveOptions
from runtime.sources.open import open_source
from runtime.sources.video import container as video_container
from runtime.sources.video.source import VideoSource
from tests.granet.data.test_image_bounds import black_png
from tests.media import make_clip, number_of, numbered
from tests.runtime.sources.fault_server import HttpCamera
from tests.runtime.sources.hostile_server import Server, endless, grown, refusal


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.ts", count=5)


# Files that read other files.


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a", "a.mkv"])
def test_a_list_of_files_in_a_video_file_does_not_read_its_neighbours(
    tmp_path: Path, clip: Path, name: str
) -> None:
    (path := tmp_path / name).write_text(f"ffconcat version 1.0\nfile {clip.name}\n")
    assert "not a supported video" in refusal(str(path))
    assert "not a supported video" in refusal(f"file://{path}")
    with path.open("rb") as file:
        piped = subprocess.run(
            [sys.executable, "-c", "from runtime.sources.open import *; open_source('-', print)"],
            stdin=file, capture_output=True, text=True, cwd=tmp_path,
        )  # fmt: skip
    assert "not a supported video" in piped.stderr


def test_a_session_description_in_a_video_file_opens_no_port(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (path := tmp_path / "a.mp4").write_text(
        f"v=0\no=- 1 1 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 26\n"
    )
    assert "not a supported video" in refusal(str(path))


def test_a_numbered_name_does_not_read_its_neighbours(tmp_path: Path) -> None:
    """FFmpeg takes ``a%d.jpg`` for a pattern."""
    for i in range(3):
        (tmp_path / f"a{i}.jpg").write_bytes(cv2.imencode(".jpg", numbered(i))[1].tobytes())
    (tmp_path / "a%d.jpg").write_text("not a picture")
    with pytest.raises(UserError):
        VideoSource(str(tmp_path / "a%d.jpg"), print)


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile {}\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        "<AdaptationSet><Representation><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    ],
    ids=["ffconcat", "DASH"],
)
def test_a_list_from_a_server_reaches_no_other_address(server: Server, text: str) -> None:
    server.answers["/list"] = text.format(server.url("/inside"))
    assert "not a supported video" in refusal(server.url("/list"))
    assert all(path == "/list" for path in server.asked)


def test_one_function_opens_all_inputs() -> None:
    """Everything else that PyAV opens is written, or is the pipe between two of our own processes."""
    root = Path(video_container.__file__).parents[3]
    call = re.compile(r"av\.open\((?:[^()]|\([^()]*\))*\)")
    readers = {
        path.relative_to(root).as_posix()
        for package in ("granet", "runtime", "calibration", "export")
        for path in (root / package).rglob("*.py")
        if any('"w"' not in found for found in call.findall(path.read_text()))
    }
    ours = {f"runtime/sources/video/{name}.py" for name in ("container", "wire")}
    assert readers == ours | {"runtime/sinks/push/process.py"}


# Frames that are too large.


def avi_of(stated: int, actual: int) -> bytes:
    """One black PNG picture in AVI; the header states another size for it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)

    main = struct.pack("<14I", 40_000, 0, 0, 0, 1, 0, 1, 0, stated, stated, 0, 0, 0, 0)
    stream = b"vidsMPNG" + struct.pack("<IHHIIIIIIIIhhhh", 0, 0, 0, 0, 1, 25, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    form = struct.pack("<IiiHH4sIiiII", 40, stated, stated, 1, 24, b"MPNG", 0, 0, 0, 0, 0)
    head = chunk(b"avih", main) + chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", form))
    frame = chunk(b"00dc", black_png(actual, actual))
    return chunk(b"RIFF", b"AVI " + chunk(b"LIST", b"hdrl" + head) + chunk(b"LIST", b"movi" + frame))


def test_a_video_whose_header_states_a_huge_frame_is_refused(tmp_path: Path) -> None:
    (path := tmp_path / "a.y4m").write_bytes(
        b"YUV4MPEG2 W10000 H10000 F25:1 Ip C420jpeg\nFRAME\n" + bytes(100)
    )
    assert f"{path}: states frames of 10000x10000 pixels; at most 67,108,864 pixels" in refusal(str(path))


@pytest.mark.parametrize("stated", [64, 0, 8_000, 12_000])
def test_a_huge_frame_is_refused_whatever_the_header_states(tmp_path: Path, stated: int) -> None:
    (path := tmp_path / "a.avi").write_bytes(avi_of(stated, 12_000))
    assert grown(lambda: refusal(str(path))) < 100


def test_the_largest_frame_is_decoded(tmp_path: Path) -> None:
    (path := tmp_path / "a.avi").write_bytes(avi_of(8_192, 8_192))
    with open_source(str(path), lambda message: None) as source:
        assert source.info.size == (8_192, 8_192)


# Streams without end.


PART = b"--cut\r\nContent-Type: image/jpeg\r\n"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (PART + b"Content-Length: %d\r\n\r\n" % 2**40, bytes(2**20)),
        (PART + b"Content-Length: %d\r\n\r\n" % (2**31 - 1), bytes(2**20)),
        (PART + b"\r\n", bytes(2**20)),
        (b"--cut\r\n", b"X-Header: rain\r\n" * 2**14),
        (b"--cut\r\nX: ", b"x" * 2**20),
        (b"\0\0\0\x18ftypisom" + bytes(16) + struct.pack(">I", 2**31 - 1) + b"moov", bytes(2**20)),
        (b"", bytes(2**20)),
    ],
    ids=["2**40", "2 GiB", "no length", "headers", "one header", "MP4", "zeros"],
)
def test_an_endless_part_of_a_stream_ends_the_connection(server: Server, head: bytes, piece: bytes) -> None:
    server.answers["/video"] = endless(head, piece)
    # 64 MiB are read, and FFmpeg's buffer doubles as it grows.
    assert grown(lambda: refusal(server.url("/video"))) < 300


def test_a_huge_part_after_good_pictures_is_a_lost_connection(server: Server) -> None:
    jpeg = cv2.imencode(".jpg", numbered(3))[1].tobytes()
    good = PART + b"Content-Length: %d\r\n\r\n" % len(jpeg) + jpeg + b"\r\n"
    server.answers["/video"] = endless(good * 30 + PART + b"Content-Length: %d\r\n\r\n" % 2**40, bytes(2**20))
    told: list[str] = []
    with open_source(server.url("/video"), print, LiveOptions(live=True, announce=told.append)) as source:
        for frame in source.frames("bgr"):
            assert number_of(frame.pixels) == 3
            # The connection that follows begins with good pictures again.
            if any("sent more than 67,108,864 bytes without a complete packet" in line for line in told):
                return
    pytest.fail("the source ended")


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_an_address_that_the_user_calls_live_is_opened_again_unless_its_size_is_known(
    suffix: str, server: Server, tmp_path: Path
) -> None:
    """A camera that serves MP4 or Matroska ended the run with its first response."""
    content = make_clip(tmp_path / f"a{suffix}", count=10).read_bytes()

    def without_length(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(content)

    server.answers |= {"/camera": without_length, "/file": content}
    with open_source(server.url("/camera"), print, LiveOptions(live=True)) as source:
        for _ in source.frames("bgr"):
            if server.asked.count("/camera") > 2:
                break
        else:
            pytest.fail("the source ended")
    with open_source(server.url("/file"), print, LiveOptions(live=True)) as source:
        assert list(source.frames("bgr"))  # and it ends


def test_many_pictures_are_more_bytes_than_one_may_have(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is for each packet, not for the stream."""
    monkeypatch.setattr(video_container, "MOST_BYTES", 100_000)
    with HttpCamera() as camera:
        camera.fake.size, camera.fake.rate = (480, 640), 200
        with VideoSource(camera.url("mjpeg"), print) as source:
            frames = source.frames("bgr")
            for index in range(60):
                assert number_of(next(frames).pixels) == index % 14
    assert 60 * len(cv2.imencode(".jpg", numbered(0, 480, 640))[1]) > 2 * 100_000


# Files over HTTP, which FFmpeg reads through the same limits.


def file_answer(data: bytes, *, parts: bool) -> Callable[[BaseHTTPRequestHandler], None]:
    """Serves a file, and parts of it if the server can send them."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        first = re.match(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(first[1]) if first and parts else 0
        handler.send_response(206 if first and parts else 200)
        if parts:
            handler.send_header("Accept-Ranges", "bytes")
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        handler.wfile.write(data[start:])

    return answer


@pytest.mark.parametrize("parts", [True, False], ids=["parts", "whole"])
@pytest.mark.parametrize("name", ["start.mp4", "end.mp4", "a.mkv", "a.ts", "a.avi"])
def test_a_file_over_http_is_read_as_from_the_disk(
    server: Server, tmp_path: Path, name: str, parts: bool
) -> None:
    options = {"movflags": "faststart"} if name == "start.mp4" else {}
    path = make_clip(tmp_path / name, count=14, size=(96, 128), container_options=options)
    server.answers["/" + name] = file_answer(path.read_bytes(), parts=parts)
    if name == "end.mp4" and not parts:
        return  # without parts, nobody can read what comes before its own table of contents
    with open_source(server.url("/" + name), print) as source:
        assert not source.info.live
        assert [number_of(frame.pixels) for frame in source.frames("bgr")] == list(range(14))


def test_a_file_that_states_a_small_size_cannot_send_more(server: Server) -> None:
    """Every connection has the same limits, whatever the first one stated."""
    count = iter(range(1000))

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if next(count) == 0:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
            handler.wfile.write(b"\0\0\0\x18ftypisom" + bytes(16) + struct.pack(">I", 2**31 - 1) + b"moov")
        else:
            endless(PART + b"Content-Length: %d\r\n\r\n" % 2**40, bytes(2**20))(handler)

    server.answers["/video"] = answer
    assert grown(lambda: refusal(server.url("/video"))) < 300
