"""The page in a real browser: the picture moves, each view is correct, a lost server is reported."""

import threading
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from runtime.media.frame import Frame
from runtime.sinks.page.sink import PageSink
from runtime.telemetry.health import Health
from tests.chromium import Browser, find_chromium

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

_PIXEL = """(() => {{ const c = document.getElementById("canvas");
  return [...c.getContext("2d").getImageData(c.width * {x}, c.height * {y}, 1, 1).data].slice(0, 3); }})()"""


class Camera:
    """Shows ten frames per second: the result is grey and gets brighter, the input is blue."""

    def __init__(self, port: int = 0) -> None:
        self.health = Health("front door")
        self.sink = PageSink(("127.0.0.1", port), self.health, print)
        self.sink.start("bgr")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        before = np.zeros((180, 320, 3), np.uint8)
        before[:] = (230, 30, 30)
        index = 0
        self.health.enter("live")
        while not self._stop.wait(0.1):
            pixels = np.full((180, 320, 3), 40 + index % 100, np.uint8)
            base = Fraction(1, 10)
            self.sink.write(Frame(pixels, index, index, base), Frame(before, index, index, base))
            self.health.frame_out(0.02)
            index += 1

    def pause(self) -> None:
        self._stop.set()
        self._thread.join()

    def close(self) -> None:
        self.pause()
        self.sink.finish()


@pytest.fixture
def camera() -> Iterator[Camera]:
    made = Camera()
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    made = Browser(CHROMIUM, tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


def pixel(browser: Browser, x: float, y: float) -> list[int]:
    got = browser.value(_PIXEL.format(x=x, y=y))
    assert isinstance(got, list)
    return got


def test_a_browser_sees_the_picture_move(camera: Camera, browser: Browser) -> None:
    browser.open(camera.sink.name)
    browser.wait_for('document.getElementById("canvas").width === 320')
    first = pixel(browser, 0.5, 0.3)
    assert max(first) - min(first) < 6
    browser.wait_for(f"Math.abs({_PIXEL.format(x=0.5, y=0.3)}[0] - {first[0]}) > 8")
    browser.wait_for('document.getElementById("state").textContent === "live"')
    browser.wait_for('parseFloat(document.getElementById("fps").textContent) > 1')
    assert browser.value("document.title") == "front door \u2013 granet-run"
    assert browser.value('document.getElementById("lost").hidden') is True

    # Slider: the blue input on its left, the result on its right.
    browser.value("document.querySelector('[data-view=slider]').click()")
    browser.wait_for(f"{_PIXEL.format(x=0.25, y=0.5)}[2] > 200")
    right = pixel(browser, 0.75, 0.5)
    assert max(right) - min(right) < 6
    browser.value(
        "const r = document.getElementById('cut'); r.value = 0; r.dispatchEvent(new Event('input'))"
    )
    left = pixel(browser, 0.25, 0.5)
    assert max(left) - min(left) < 6

    browser.value("document.querySelector('[data-view=compare]').click()")
    browser.wait_for('document.getElementById("canvas").width === 644')
    assert pixel(browser, 0.25, 0.5)[2] > 200 and pixel(browser, 0.75, 0.5)[2] < 160

    # The removed "rain" has 90 or more levels in blue: the picture is light blue.
    browser.value("document.querySelector('[data-view=mask]').click()")
    browser.wait_for('document.getElementById("canvas").width === 320')
    browser.wait_for(f"{_PIXEL.format(x=0.5, y=0.3)}[2] > 200")
    assert pixel(browser, 0.5, 0.3)[0] < 90

    # The page sent requests only to its own server, and its script raised no error.
    asked = {
        m["params"]["request"]["url"] for m in browser.messages if m["method"] == "Network.requestWillBeSent"
    }
    own = {url for url in asked if url.startswith((camera.sink.name, "blob:", "data:"))}
    assert asked == own or asked - own <= {"about:blank"}
    faults = [m for m in browser.messages if m["method"] == "Runtime.exceptionThrown"]
    assert faults == []


def test_the_page_shows_when_the_picture_or_the_server_stops(camera: Camera, browser: Browser) -> None:
    browser.open(camera.sink.name)
    browser.wait_for('document.getElementById("canvas").width === 320')
    camera.pause()
    # The banner is a dark band with white letters across the middle of the picture itself.
    band = "document.getElementById('canvas').getContext('2d').getImageData(0, 90, 320, 1).data"
    browser.wait_for(f"Math.max(...{band}.filter((_, i) => i % 4 === 0)) > 200")
    assert browser.value('document.getElementById("lost").hidden') is True
    camera.sink.finish()
    browser.wait_for('document.getElementById("lost").hidden === false')
    # The indicators cannot contradict each other: the overlay, the state and the numbers change together.
    assert browser.value('document.getElementById("state").textContent') == "no connection"
    assert browser.value('document.getElementById("state").className') == "bad"
    assert browser.value('document.getElementById("fps").textContent') == "\u2013"


def test_a_page_finds_a_server_that_was_started_again(camera: Camera, browser: Browser) -> None:
    url = camera.sink.name
    browser.open(url)
    browser.wait_for('document.getElementById("canvas").width === 320')
    camera.close()
    browser.wait_for('document.getElementById("lost").hidden === false')
    again = Camera(int(url.rsplit(":", 1)[1].strip("/")))
    try:
        browser.wait_for('document.getElementById("lost").hidden')
        first = pixel(browser, 0.5, 0.3)
        browser.wait_for(f"Math.abs({_PIXEL.format(x=0.5, y=0.3)}[0] - {first[0]}) > 3")
        browser.wait_for('document.getElementById("state").textContent === "live"')
    finally:
        again.close()


def test_the_page_fits_a_phone_and_a_screen(camera: Camera, browser: Browser) -> None:
    for width, height, size in ((390, 844, (320, 364)), (844, 390, (644, 180)), (1280, 800, (644, 180))):
        browser.resize(width, height)
        browser.open("about:blank")
        browser.open(camera.sink.name + "#compare")
        # In portrait orientation, input and result are stacked.
        browser.wait_for(f"document.getElementById('canvas').width === {size[0]}")
        browser.wait_for(f"document.getElementById('canvas').height === {size[1]}")
        box = browser.value("document.getElementById('canvas').getBoundingClientRect().toJSON()")
        page = browser.value("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert page == [width, height]
        room = browser.value("document.querySelector('main').getBoundingClientRect().toJSON()")
        # The whole picture is visible with its aspect ratio, and one of its sides fills the available space.
        assert box["width"] / box["height"] == pytest.approx(size[0] / size[1], rel=0.02)
        fills = max(box["width"] / room["width"], box["height"] / room["height"])
        assert fills == pytest.approx(1, abs=0.02)


def state_of(browser: Browser) -> object:
    return browser.value('[document.getElementById("state").textContent, $("state").className]')


def test_a_file_has_progress_and_is_not_called_live(camera: Camera, browser: Browser) -> None:
    camera.health.live, camera.health.name, camera.health.total = False, "clips/rain.mp4", 10_000
    browser.open(camera.sink.name)
    browser.wait_for('document.getElementById("state").textContent === "file"')
    assert browser.value("document.title") == "rain.mp4 \u2013 granet-run"
    assert browser.value('$("progress").hidden') is False
    assert 0 <= browser.value('document.querySelector("progress").value') < 0.1
    assert browser.value('[...document.querySelectorAll(".of-live")].every(each => each.hidden)') is True
    camera.health.total = 1  # an estimate that was too low
    browser.wait_for('$("done").textContent === "100%"')
    camera.health.enter("ended")
    browser.wait_for('document.getElementById("state").textContent === "finished"')
    assert state_of(browser) == ["finished", "done"]


def test_a_failing_engine_is_not_shown_as_good(camera: Camera, browser: Browser) -> None:
    browser.open(camera.sink.name)
    browser.wait_for('document.getElementById("state").textContent === "live"')
    assert state_of(browser) == ["live", "good"] and browser.value('$("progress").hidden') is True
    camera.health.engine_failing("out of memory")
    browser.wait_for('document.getElementById("why").textContent === "out of memory"')
    assert state_of(browser) == ["live, rain not removed", "warn"]


def test_a_snapshot_is_the_picture_under_the_name_of_the_stream(camera: Camera, browser: Browser) -> None:
    browser.open(camera.sink.name)
    browser.wait_for('document.getElementById("canvas").width === 320 && figures !== null')
    browser.value(
        "window.saved = null; const make = URL.createObjectURL; let blob = null;"
        " URL.createObjectURL = given => { blob = given; return make.call(URL, given); };"
        " HTMLAnchorElement.prototype.click = function () { createImageBitmap(blob).then(picture => {"
        " window.saved = [this.download, picture.width, picture.height]; }); }; null"
    )
    browser.value("dispatchEvent(new KeyboardEvent('keydown', {key: 's'}))")
    browser.wait_for("window.saved !== null")
    name, width, height = browser.value("window.saved")
    assert name.startswith("front_door-result-") and name.endswith(".png")
    assert (width, height) == (320, 180)


def test_the_page_has_an_icon_and_fills_the_screen_on_request(camera: Camera, browser: Browser) -> None:
    browser.open(camera.sink.name)
    browser.wait_for('document.getElementById("canvas").width === 320')
    assert browser.value(
        "new Promise(done => { const icon = new Image(); icon.onload = () => done(icon.naturalWidth > 0);"
        " icon.onerror = () => done(false); icon.src = document.querySelector('link[rel=icon]').href; })"
    )
    browser.value(
        "window.full = null; Element.prototype.requestFullscreen = function () {"
        " window.full = this.id; return Promise.resolve(); }; $('full').click()"
    )
    assert browser.value("window.full") == "figure"
