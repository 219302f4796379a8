"""Every kind of absence of a camera, not only a host that is off: the promises hold for all of them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise

import pytest

from granet.errors import UserError
from runtime.sources.base import Source
from runtime.sources.live.supervised import SupervisedSource
from runtime.sources.open import open_source
from runtime.sources.reachability import server_probe
from runtime.sources.video.source import VideoSource
from runtime.telemetry.health import Health
from tests.media import number_of
from tests.patience import PATIENCE, wait_for
from tests.runtime.sources.fault_server import PASSWORD, Fake, HttpCamera, RtspCamera
from tests.runtime.sources.test_faults_network import SERVERS, patient_backoff, watch
from tests.runtime.sources.watching import NEVER, Watcher, impatient, steady


@contextmanager
def answering(head: str, parts: bytes = b"", *, forever: bytes = b"") -> Iterator[str]:
    """A web server with one answer to every request; gives its address."""
    stop, listener = threading.Event(), socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.recv(2**14)
            connection.sendall(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n".encode() + parts)
            while forever and not stop.wait(0.02):
                connection.sendall(forever)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/video"
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


# Back after an outage


@pytest.mark.parametrize(
    "error", ["503 Service Unavailable", "404 Not Found", "500 Error", "401 Unauthorized", "close"]
)
@SERVERS
def test_a_camera_that_answers_with_an_error_comes_back_without_the_back_off(
    server: type, path: str, error: str
) -> None:
    """The back-off would wait for ten minutes, and the host never is unreachable."""
    with server() as camera, watch(camera, path, backoff=patient_backoff) as watcher:
        watcher.wait_for_frames(3)
        camera.fake.error = error
        camera.drop()
        watcher.wait_for_state("reconnecting")
        wait_for(lambda: watcher.source.health.snapshot().events["reconnect"] >= 2)
        camera.fake.error = ""
        watcher.wait_for_frames()
        watcher.wait_for_state("live")


def test_a_camera_that_answers_with_an_error_at_first_is_waited_for() -> None:
    said: list[str] = []
    with RtspCamera(Fake(error="503 Service Unavailable")) as camera:

        def come() -> None:
            wait_for(lambda: said)
            camera.fake.error = ""

        thread = threading.Thread(target=come)
        thread.start()
        with Watcher(
            open_source(camera.url(), said.append, impatient(said, backoff=patient_backoff))
        ) as watcher:
            watcher.wait_for_frames()
        thread.join()
    assert "retrying until it has a picture" in said[0]


def test_a_wrong_password_is_not_tried_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some cameras lock the account after a few attempts."""
    # A camera that has been away is asked again, and it is away for a probe while the machine stalls.
    monkeypatch.setattr("runtime.sources.open.server_probe", lambda url: lambda: True)
    with RtspCamera(Fake(mode="deny")) as camera, pytest.raises(UserError, match="given up"):
        options = steady(give_up_after=3.5, backoff=patient_backoff)
        open_source(camera.url(user="me:wr0ng"), print, options)
    # One without a password each for the redirects and for FFmpeg, and one with it.
    assert camera.fake.requests <= 3


# Redirects


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE"])
@pytest.mark.parametrize("path", ["cam", "other"])
def test_a_redirect_in_a_circle_is_an_error_after_a_few_requests(method: str, path: str) -> None:
    said, cancelled = list[str](), threading.Event()

    def look() -> None:
        if said:
            cancelled.set()

    with RtspCamera(Fake(redirect_at=method)) as camera:
        camera.fake.location = camera.url(path)
        with pytest.raises(UserError, match="cancelled"):
            open_source(camera.url(), said.append, steady(said, waiting=look), cancelled)
        assert camera.fake.connections < 20
    assert "in a circle" in said[0]


def test_a_redirect_to_another_camera_is_followed_and_one_to_another_scheme_is_not() -> None:
    with RtspCamera() as camera, RtspCamera() as first:
        first.fake.location = camera.url()
        with Watcher(open_source(first.url(user=f"me:{PASSWORD}"), print, impatient())) as watcher:
            watcher.wait_for_frames()
        first.fake.location = "file:///etc/passwd"
        with pytest.raises(UserError, match="not an RTSP address"):
            VideoSource(first.url(), print)


def test_a_chain_of_redirects_has_an_end() -> None:
    with RtspCamera() as camera:
        count = 0

        def elsewhere(head: str) -> bool:
            nonlocal count
            count += 1
            camera.fake.location = camera.url(f"cam{count}")
            return True

        camera.allowed = elsewhere  # type: ignore[method-assign]
        camera.fake.location = camera.url("cam0")
        with pytest.raises(UserError, match="redirects more than 5 times"):
            VideoSource(camera.url(), print)


# The first open, of what may be a file

MULTIPART = "200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=cut"
NOISE = b"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: 9\r\n\r\nnot a jpg\r\n"


def test_a_server_that_never_sends_a_picture_is_an_error() -> None:
    with answering(MULTIPART, forever=NOISE) as address, pytest.raises(UserError, match=r"no .*within"):
        open_source(address, print, impatient(open_within=0.5))


def test_giving_up_applies_to_the_first_open_too() -> None:
    with HttpCamera(Fake(mode="mute")) as camera, pytest.raises(UserError, match=r"no frame within 0\.5 s"):
        open_source(camera.url("mjpeg"), print, impatient(open_within=2 * PATIENCE, give_up_after=0.5))


def test_the_first_open_can_be_cancelled_and_shows_activity() -> None:
    beats, cancelled = list[int](), threading.Event()

    def beat() -> None:
        beats.append(0)
        if len(beats) == 3:
            cancelled.set()

    options = impatient(open_within=2 * PATIENCE, waiting=beat)
    with HttpCamera(Fake(mode="mute")) as camera, pytest.raises(UserError, match="cancelled"):
        open_source(camera.url("mjpeg"), print, options, cancelled)


def test_a_live_source_without_a_picture_is_left_and_its_thread_ends() -> None:
    options = impatient(open_within=0.3, give_up_after=2.0, live=True)
    with answering(MULTIPART, forever=NOISE) as address, pytest.raises(UserError, match="given up"):
        open_source(address, print, options)
    wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name == "connection"])


def test_flv_that_announces_sound_without_sending_any_opens() -> None:
    """FFmpeg would wait 90 s of video for the sound."""
    with HttpCamera(Fake(rate=25)) as camera, watch(camera, "flv", open_within=30.0) as watcher:
        watcher.wait_for_frames()
        assert watcher.source.info.live


# Answers of a server that are not a video


@pytest.mark.parametrize(
    ("head", "body", "reason"),
    [
        (MULTIPART, NOISE[5:] * 9, "sends Motion JPEG without its first boundary"),
        (MULTIPART.partition(";")[0], NOISE * 9, "sends Motion JPEG without naming its boundary"),
        ("200 OK\r\nContent-Type: text/html", b"<html>Log in" * 99, "sends text/html, not a video"),
        ("200 OK\r\nContent-Type: video/mp2t\r\nContent-Length: 0", b"", "sends an empty answer"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said_once(head: str, body: bytes, reason: str) -> None:
    said, cancelled, health = list[str](), threading.Event(), Health("camera", live=True)

    def look() -> None:
        if health.snapshot().events["reconnect"] == 2:
            cancelled.set()

    with answering(head, body) as address:
        with pytest.raises(UserError, match=reason):
            open_source(address, said.append, steady(said))
        with pytest.raises(UserError, match="cancelled"):
            open_source(address, said.append, steady(said, live=True, waiting=look), cancelled, health)
    assert sum(reason in line for line in said) == 1
    assert "retrying until it has a picture" in said[0]


# Old frames


@pytest.mark.parametrize("end", ["closed", "silent"])
def test_a_frame_that_was_held_back_does_not_make_a_stopped_camera_live(end: str) -> None:
    """The parser holds a frame until the next one begins, and hands it out when the connection ends."""
    patience = {"closed": NEVER, "silent": 3.0}[end]
    timeouts = {"stalled_after": 0.25, "reopen_after": patience, "open_within": 1.5}
    with RtspCamera() as camera, watch(camera, **timeouts) as watcher:
        watcher.wait_for_frames(10)
        camera.fake.mode = "mute"
        watcher.wait_for_silence()
        seen, live = len(watcher.frames), watcher.source.health.snapshot().transitions["live"]
        if end == "closed":
            camera.fake.mode = "refuse"
        watcher.wait_for_state("reconnecting")
        assert len(watcher.frames) == seen
        assert watcher.source.health.snapshot().transitions["live"] == live
        camera.fake.mode = "serve"
        camera.drop()
        watcher.wait_for_frames()


def test_a_slow_camera_loses_no_frame() -> None:
    with RtspCamera(Fake(rate=0.8)) as camera, watch(camera) as watcher:
        # A stall of the machine may cost one frame, but not every second one.
        wait_for(lambda: follow_each_other([number_of(frame.pixels) for frame in watcher.frames[-5:]]))


def follow_each_other(numbers: list[int]) -> bool:
    return len(numbers) == 5 and all((b - a) % 14 == 1 for a, b in pairwise(numbers))


# Schemes


@pytest.mark.parametrize("scheme", ["RTSP", "Rtsp"])
def test_an_upper_case_rtsp_scheme_is_the_same_scheme(scheme: str) -> None:
    with RtspCamera() as camera:
        address = camera.url().replace("rtsp", scheme, 1)
        with Watcher(open_source(address, print, impatient(give_up_after=PATIENCE))) as watcher:
            watcher.wait_for_frames()


@pytest.mark.parametrize("scheme", ["HTTP", "Http"])
@pytest.mark.parametrize("live", [True, False])
def test_an_upper_case_http_scheme_is_the_same_scheme(scheme: str, live: bool) -> None:
    with HttpCamera() as camera:
        address = camera.url("mjpeg").replace("http", scheme, 1)
        with Watcher(open_source(address, print, impatient(give_up_after=PATIENCE, live=live))) as watcher:
            watcher.wait_for_frames()


# Names that are looked up slowly, or cannot be


def test_a_name_that_is_looked_up_slowly_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that is away answers after half a minute."""
    asked, answer, cancelled = threading.Event(), threading.Event(), threading.Event()

    def look_up(*arguments: object, **options: object) -> None:
        asked.set()
        answer.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def refuse() -> Source:
        raise UserError("cannot be opened")

    monkeypatch.setattr(socket, "create_connection", look_up)
    errors: list[Exception] = []

    def open_it() -> None:
        try:
            SupervisedSource(
                "cam",
                refuse,
                impatient(backoff=patient_backoff),
                reachable=server_probe("rtsp://cam.example/1"),
                cancelled=cancelled,
            )
        except UserError as error:
            errors.append(error)

    thread = threading.Thread(target=open_it, daemon=True)
    thread.start()
    assert asked.wait(PATIENCE)
    cancelled.set()
    wait_for(lambda: errors, "an end while the name is looked up")
    answer.set()
    thread.join(PATIENCE)


@pytest.mark.parametrize("host", ["cam..local", "a" * 64 + ".example"])
@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_name_that_cannot_be_looked_up_is_one_line(scheme: str, host: str) -> None:
    with pytest.raises(UserError, match="is not a valid address"):
        open_source(f"{scheme}://{host}/1", lambda text: None, impatient(live=True))
