"""The page as seen by a browser's requests, over real HTTP on loopback."""

import http.client
import json
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from granet.app.console import UsageError
from granet.errors import UserError
from runtime.media.frame import Frame, Pixels
from runtime.sinks.page import server as page_server
from runtime.sinks.page.sink import PageSink
from runtime.telemetry.health import Health
from runtime.telemetry.listen import parse_listen
from runtime.views.rain_overlay import paint_rain
from tests.patience import PATIENCE


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Page:
    """A page, its stream's health, and a client."""

    def __init__(self, *, started: bool = True) -> None:
        self.clock = Clock()
        self.health = Health("rtsp://me:secret@camera/1", clock=self.clock)
        self.said: list[str] = []
        self.sink = PageSink(("127.0.0.1", 0), self.health, self.said.append)
        self.port = int(self.sink.name.rsplit(":", 1)[1].strip("/"))
        if started:
            self.sink.start("bgr")

    def show(self, level: int, before: int = 0, size: tuple[int, int] = (48, 64)) -> None:
        pixels = [np.full((*size, 3), value, np.uint8) for value in (level, before)]
        frames = [Frame(each, level, level, Fraction(1, 30)) for each in pixels]
        self.sink.write(frames[0], frames[1])
        self.health.enter("live")
        self.health.frame_out(0.03)

    def get(self, path: str, **headers: str) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers.get("Content-Type", ""), body

    def picture(self, view: str) -> Pixels:
        status, kind, body = self.get(f"/picture.jpg?view={view}")
        assert (status, kind) == (200, "image/jpeg")
        return decoded(body)


def decoded(jpeg: bytes) -> Pixels:
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(pixels, np.uint8)


class Viewer:
    """Reads a multipart stream according to RFC 2046, using the length stated in each part."""

    def __init__(self, page: Page, view: str = "result") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=PATIENCE)
        self._connection.request("GET", f"/stream.mjpg?view={view}")
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200
        kind = self._answer.headers["Content-Type"]
        self._boundary = re.fullmatch(r"multipart/x-mixed-replace; boundary=(\S+)", kind)[1].encode()  # type: ignore[index]

    def next(self) -> Pixels:
        assert self._answer.readline() == b"--" + self._boundary + b"\r\n"
        headers = http.client.parse_headers(self._answer)
        assert headers["Content-Type"] == "image/jpeg"
        data = self._answer.read(int(headers["Content-Length"]))
        assert self._answer.readline() == b"\r\n"
        return decoded(data)

    def close(self) -> None:
        self._answer.close()
        self._connection.close()


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page()
    yield made
    made.sink.finish()


def test_the_stream_gives_the_newest_picture_and_moves(page: Page) -> None:
    page.show(10)
    viewer = Viewer(page)
    assert abs(int(viewer.next().mean()) - 10) < 3
    for level in (80, 200):
        page.show(level)
        assert abs(int(viewer.next().mean()) - level) < 3
    viewer.close()


def test_each_view_shows_its_picture(page: Page) -> None:
    page.show(40, before=200)
    assert abs(page.picture("result").mean() - 40) < 3
    assert abs(page.picture("input").mean() - 200) < 3
    pair = page.picture("pair")
    assert pair.shape == (48, 128, 3)
    assert abs(pair[:, :56].mean() - 200) < 3 and abs(pair[:, 72:].mean() - 40) < 3
    assert page.picture("compare").shape == (48, 132, 3)
    # 160 grey levels of rain were removed: the whole picture is light blue, in BGR order.
    blue, green, red = page.picture("mask").mean((0, 1))
    assert blue > 230 and 160 < green < 200 and red < 70
    assert page.get("/picture.jpg?view=nonsense")[0] == 404


def painted(level: int, background: int = 200) -> list[int]:
    """RGB of a grey pixel with that much rain."""
    before = np.full((4, 4, 3), background, np.uint8)
    return [int(value) for value in paint_rain(before, np.full_like(before, level), "rgb")[0, 0]]


def test_noise_of_a_few_levels_leaves_the_picture_grey() -> None:
    assert painted(0) == painted(2) == painted(4) == [110, 110, 110]


def test_the_mask_is_one_hue_that_grows_with_the_rain() -> None:
    colours = [painted(level) for level in range(4, 65, 6)]
    for channel, towards in enumerate((40, 190, 255)):
        away = [abs(colour[channel] - towards) for colour in colours]
        assert away == sorted(away, reverse=True) and away[-1] < 20
    red, _, blue = painted(34)
    # The middle of the range is half way; on black and on white the hue is the same.
    assert (blue - 110) / (255 - 110) == pytest.approx(0.5, abs=0.02) and red < 110
    assert max(abs(a - b) for a, b in zip(painted(255, 0), painted(255, 255), strict=True)) < 15


def test_a_file_is_named_without_its_directory_and_says_how_far_it_is(page: Page) -> None:
    page.health.name, page.health.live, page.health.total = "/home/me/private/rain.mp4", False, 40
    page.show(10)
    body = page.get("/state.json")[2]
    state = json.loads(body)
    assert (state["name"], state["live"], state["frames"], state["total"]) == ("rain.mp4", False, 1, 40)
    assert b"private" not in body
    page.health.name, page.health.live = "rtsp://camera/1", True
    assert json.loads(page.get("/state.json")[2])["name"] == "rtsp://camera/1"


def test_a_wide_frame_is_shrunk(page: Page) -> None:
    page.show(10, size=(200, 2560))
    assert page.picture("result").shape == (100, 1280, 3)


def test_the_figures_are_live_and_have_no_credentials(page: Page) -> None:
    status, kind, body = page.get("/state.json")
    assert (status, kind) == (200, "application/json")
    assert json.loads(body)["state"] == "connecting" and json.loads(body)["latency_ms"] is None
    for level in range(10):
        page.show(level)
    page.health.drop("engine")
    page.health.count("reconnect")
    state = json.loads(page.get("/state.json")[2])
    assert (state["state"], state["frames"], state["dropped"], state["reconnects"]) == ("live", 10, 1, 1)
    assert state["fps"] > 0 and state["latency_ms"] == pytest.approx(30) and state["latency_p99_ms"] == 40
    for path in ("/", "/state.json"):
        assert b"secret" not in page.get(path)[2]
    assert "secret" not in page.sink.name


def test_a_picture_that_stands_still_says_so_by_itself(page: Page) -> None:
    html = (Path(page_server.__file__).parent / "page.html").read_text(encoding="utf-8")
    lost = re.search(r"const LOST = (\d+);", html)  # milliseconds until the page reports a lost connection
    assert lost is not None and int(lost[1]) / 2 > 1000 * page_server.AGAIN
    page.show(200)
    viewer = Viewer(page)
    assert viewer.next().min() > 190
    page.clock.now += 3
    # Without a new frame, the stream repeats the old picture with a banner: in the next part or, if that was
    # already being sent, in the one after.
    assert viewer.next().min() < 150 or viewer.next().min() < 150
    page.show(200)
    assert page.picture("result").min() > 190
    viewer.close()


def test_before_the_first_picture_there_is_one_that_says_so(page: Page) -> None:
    assert page.picture("result").shape == (360, 640, 3)
    assert page.picture("pair").shape == (360, 1280, 3)


def test_a_viewer_who_comes_before_the_run_starts_sees_that_and_then_the_first_frame() -> None:
    # The run prints the address before it has opened its source, which can take long.
    page = Page(started=False)
    try:
        viewer = Viewer(page)
        assert viewer.next().shape == page.picture("mask").shape == (360, 640, 3)
        page.sink.start("rgb")
        red = Frame(np.full((48, 64, 3), (250, 0, 0), np.uint8), 0)
        page.sink.write(red, red)
        # A part of the empty picture may be on its way.
        picture = next(each for each in (viewer.next(), viewer.next()) if each.shape == (48, 64, 3))
        assert abs(picture.mean(axis=(0, 1)) - (0, 0, 250)).max() < 5
        viewer.close()
    finally:
        page.sink.finish()


def test_a_viewer_that_takes_nothing_holds_up_nobody(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    encoding: set[int] = set()
    encode = cv2.imencode

    def encode_and_tell(*arguments: Any) -> Any:
        encoding.add(threading.get_ident())
        return encode(*arguments)

    monkeypatch.setattr("runtime.sinks.page.pictures.cv2.imencode", encode_and_tell)
    page.show(0)
    slow = socket.create_connection(("127.0.0.1", page.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    slow.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
    viewer = Viewer(page)
    viewer.next()
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    for index in range(30):
        page.sink.write(Frame(noise, index), Frame(noise, index))
        # The other viewer gets it although the slow one has stopped reading: 30 pictures fill its buffers.
        assert viewer.next().shape[1] in (64, 640)
    # The viewers' threads encode, not the pipeline.
    assert encoding and threading.get_ident() not in encoding
    slow.close()
    viewer.close()


def test_one_viewer_too_many_is_refused_and_the_page_still_loads(page: Page) -> None:
    viewers = [Viewer(page) for _ in range(16)]
    assert page.get("/stream.mjpg")[0] == 503
    assert page.get("/")[0] == 200
    for viewer in viewers:
        viewer.close()


def test_unknown_paths_and_foreign_host_names_are_refused(page: Page) -> None:
    assert page.get("/../cli.py")[0] == 404
    assert page.get("/", Host="evil.example:8080")[0] == 403
    assert page.get("/", Host="localhost:1")[0] == 200
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=PATIENCE)
    connection.request("POST", "/", body=b"x")
    assert connection.getresponse().status == 405
    connection.close()


def test_the_page_loads_nothing_from_elsewhere(page: Page) -> None:
    html = files("runtime.sinks.page").joinpath("page.html").read_text(encoding="utf-8")
    assert page.get("/") == (200, "text/html; charset=utf-8", html.encode())
    assert not re.search(r"(?:https?:)?//\w+\.\w", html) and ' src="http' not in html
    assert re.findall(r'<link[^>]* href="([^"]+)"', html) == ["favicon.svg"]
    assert page.get("/favicon.svg")[:2] == (200, "image/svg+xml")
    # The server knows everything that the script requests.
    asked = set(re.findall(r'fetch\("([\w.]+)', html)) | set(re.findall(r'data-view="(\w+)"', html))
    assert asked == {"stream.mjpg", "state.json", "result", "compare", "slider", "mask"}


def test_an_ended_page_leaves_no_thread_and_frees_its_port() -> None:
    threads = threading.active_count()
    for _ in range(3):
        made = Page()
        viewer = Viewer(made)
        viewer.next()
        made.sink.finish()
        viewer.close()
    deadline = time.monotonic() + PATIENCE
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= threads


def test_a_taken_port_is_one_line_and_a_public_page_is_noted(page: Page) -> None:
    with pytest.raises(UserError, match=f"127.0.0.1:{page.port}: cannot listen on this address"):
        PageSink(("127.0.0.1", page.port), page.health, print)
    said: list[str] = []
    public = PageSink(("0.0.0.0", 0), page.health, said.append)
    public.finish()
    assert len(said) == 1 and "everyone" in said[0] and page.said == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8080", ("127.0.0.1", 8080)), (":8080", ("127.0.0.1", 8080)), ("0.0.0.0:80", ("0.0.0.0", 80)),
     ("[::1]:9090", ("::1", 9090)), ("box.local:1", ("box.local", 1))],
)  # fmt: skip
def test_addresses_to_listen_on(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:", ":70000", "http://x:80", ":-1", ":\u0668\u0660"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="not an address to listen on"):
        parse_listen(text)


def test_the_page_is_packaged_where_the_server_reads_it() -> None:
    assert (Path(page_server.__file__).parent / "page.html").is_file()
    assert (Path(page_server.__file__).parent / "favicon.svg").is_file()


def test_a_painted_result_is_the_view_of_the_removed_rain() -> None:
    """With --show mask the page painted the difference to the painting: all of it light blue."""
    health = Health("cam")
    sink = PageSink(("127.0.0.1", 0), health, print, painted=True)
    try:
        sink.start("bgr")
        painted, before = (np.full((48, 64, 3), level, np.uint8) for level in (90, 20))
        sink.write(Frame(painted, 0, 0, Fraction(1, 30)), Frame(before, 0, 0, Fraction(1, 30)))
        with urllib.request.urlopen(f"{sink.name}picture.jpg?view=mask", timeout=PATIENCE) as answer:
            np.testing.assert_allclose(decoded(answer.read()), painted, atol=2)
    finally:
        sink.abort()
