"""Pushing to third-party servers where installed: nginx for RTMP, GStreamer's server for RTSP."""

import itertools
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from runtime.media.backoff import Backoff
from runtime.media.frame import Frame
from runtime.sinks.push.sink import PushSink
from runtime.sources.base import StreamInfo
from runtime.telemetry.health import Health
from tests.media import count_of, counted
from tests.patience import PATIENCE

BASE = Fraction(1, 90_000)
INFO = StreamInfo(
    "cam", "camera", live=True, rate=Fraction(25), time_base=BASE, size=(240, 320), aspect=Fraction(16, 11)
)

RTMP_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
NGINX_CONFIGURATION = """
load_module {module};
daemon off; master_process off; pid {directory}/pid; error_log {directory}/log;
events {{ worker_connections 64; }}
rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{
    live on; record video; record_path {directory}; record_suffix -%s.flv; }} }} }}
"""

SYSTEM_PYTHON = "/usr/bin/python3"
GSTREAMER = """
import gi, sys
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer, GLib
Gst.init(None)
server = GstRtspServer.RTSPServer(); server.set_address("127.0.0.1"); server.set_service(sys.argv[1])
media = GstRtspServer.RTSPMediaFactory(); media.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
# Without a container: matroskamux drops pictures that arrive at the same time, as they do on a busy machine.
media.set_launch("( rtph264depay name=depay0 ! h264parse ! video/x-h264,stream-format=byte-stream ! "
                 f"filesink buffer-mode=unbuffered sync=false location={sys.argv[2]} )")
server.get_mount_points().add_factory("/live/cam", media)
if not server.attach(None): sys.exit(1)
GLib.MainLoop().run()
"""


def recorded(path: Path) -> list[int]:
    """The numbers of the pictures in a file that ends where the server was stopped."""
    numbers = []
    with av.open(str(path)) as container:
        assert container.streams.video[0].sample_aspect_ratio == INFO.aspect
        for packet in container.demux(video=0):
            try:
                numbers += [count_of(frame.to_ndarray(format="bgr24")) for frame in packet.decode()]
            except av.FFmpegError:
                break
    return numbers[:-1]  # the last picture may be cut off


def has_gstreamer() -> bool:
    if not Path(SYSTEM_PYTHON).exists():
        return False
    probe = GSTREAMER.split("server =")[0]
    probe += "\nsys.exit(not all(Gst.ElementFactory.find(n) for n in ('rtph264depay', 'h264parse')))"
    return subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, check=False).returncode == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rtmp(directory: Path, port: int, number: int) -> list[str]:
    if NGINX is None or not RTMP_MODULE.exists():
        pytest.skip("no nginx with its RTMP module on this machine")
    configuration = directory / "nginx.conf"
    configuration.write_text(NGINX_CONFIGURATION.format(module=RTMP_MODULE, directory=directory, port=port))
    return [NGINX, "-c", str(configuration), "-p", str(directory), "-e", str(directory / "log")]


def rtsp(directory: Path, port: int, number: int) -> list[str]:
    if not has_gstreamer():
        pytest.skip("no GStreamer RTSP server with Python bindings on this machine")
    return [SYSTEM_PYTHON, "-c", GSTREAMER, str(port), str(directory / f"{number}.h264")]


@pytest.mark.parametrize(("scheme", "server"), [("rtmp", rtmp), ("rtsp", rtsp)])
def test_a_server_records_the_picture_before_and_after_it_was_started_again(
    scheme: str,
    server: Callable[[Path, int, int], list[str]],
    tmp_path: Path,
) -> None:
    port, said, health = free_port(), list[str](), Health("cam")
    sink = PushSink(
        f"{scheme}://127.0.0.1:{port}/live/cam",
        INFO,
        said.append,
        health=health,
        backoff=Backoff(0.2, 0.4),
    )
    sink.start("bgr")
    began, counter, accepted = time.monotonic(), itertools.count(), list[int]()

    def send_until(done: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, f"waited in vain: {what}; {said}"
            number, dropped = next(counter), health.snapshot().dropped["sink"]
            # As a camera stamps them: a server sorts out pictures whose time runs faster than the clock.
            pts = round((time.monotonic() - began) / BASE)
            sink.write(Frame(counted(number, 240, 320), number, pts, BASE))
            if health.snapshot().dropped["sink"] == dropped:
                accepted.append(number)
            time.sleep(0.02)

    def recordings() -> set[Path]:
        return {*tmp_path.glob("*.flv"), *tmp_path.glob("*.h264")}

    for number in range(2):
        before = recordings()

        def grown(before: set[Path] = before) -> bool:
            return any(path.stat().st_size > 4000 for path in recordings() - before)

        with subprocess.Popen(server(tmp_path, port, number)) as process:
            try:
                send_until(grown, "a recording")
            finally:
                process.terminate()
        send_until(lambda number=number: sum("retrying" in line for line in said) > number, "the end")
    sink.abort()
    assert sum("sending again" in line for line in said) >= 1
    files = sorted(recordings())
    assert len(files) == 2
    for path in files:
        numbers = recorded(path)
        assert len(numbers) >= 3
        # Every picture that the sink did not count as dropped arrives, once and in order.
        first = accepted.index(numbers[0])
        assert numbers == accepted[first : first + len(numbers)]
