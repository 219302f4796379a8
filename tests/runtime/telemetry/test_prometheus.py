import gzip
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from granet.errors import UserError
from runtime.telemetry.health import Health
from runtime.telemetry.prometheus import metrics_server
from runtime.telemetry.rates import LiveFigures
from runtime.telemetry.terminal import status_line, status_text
from tests.patience import PATIENCE


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def used_health(clock: Clock) -> Health:
    health = Health("rtsp://me:secret@camera/1", clock=clock)
    health.enter("live")
    for latency in (0.015, 0.03, 0.03, 9.0):
        health.frame_in()
        health.frame_out(latency)
    health.drop("engine")
    health.drop("sink")
    health.drop("sink")
    health.count("reconnect")
    health.dry(7)
    clock.now += 2
    return health


def test_prometheus_reads_what_happened() -> None:
    health = used_health(Clock())
    with metrics_server(("127.0.0.1", 0), [health]) as url:
        assert url.startswith("http://127.0.0.1:") and url.endswith("/metrics")
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            text = answer.read().decode()
    assert "secret" not in text
    samples: list[Sample] = [s for family in text_string_to_metric_families(text) for s in family.samples]

    def value(name: str, **labels: str) -> float:
        wanted = {"stream": "rtsp://***@camera/1", **labels}
        (got,) = [s.value for s in samples if s.name == name and s.labels == wanted]
        return got

    assert value("granet_frames_read_total") == value("granet_frames_written_total") == 4
    assert [value("granet_frames_dropped_total", reason=r) for r in ("source", "engine", "sink")] == [0, 1, 2]
    assert value("granet_events_total", event="reconnect") == 1
    assert value("granet_state", state="live") == 1 and value("granet_state", state="stalled") == 0
    assert value("granet_picture_age_seconds") == 2
    assert value("granet_frames_dry_total") == 7
    # Cumulative, as Prometheus defines a histogram.
    bounds = [("0.01", 0), ("0.02", 1), ("0.04", 3), ("5.12", 3), ("+Inf", 4)]
    assert [value("granet_latency_seconds_bucket", le=le) for le, _ in bounds] == [n for _, n in bounds]
    assert value("granet_latency_seconds_count") == 4
    assert value("granet_latency_seconds_sum") == pytest.approx(9.075)


def test_a_camera_that_never_came_up_has_an_age() -> None:
    """The alarm on the age of the picture must hear of it."""
    clock = Clock()
    health = Health("cam", clock=clock)
    clock.now += 3600
    assert health.snapshot().age is None and health.snapshot().waited == 3600
    with (
        metrics_server(("127.0.0.1", 0), [health]) as url,
        urllib.request.urlopen(url, timeout=PATIENCE) as answer,
    ):
        assert 'granet_picture_age_seconds{stream="cam"} 3600.0' in answer.read().decode()


def test_metrics_are_compressed_on_request_and_refused_for_another_host() -> None:
    with metrics_server(("127.0.0.1", 0), [used_health(Clock())]) as url:
        asked = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            assert b"granet_frames_read_total" in gzip.decompress(answer.read())
        asked = urllib.request.Request(url, headers={"Host": "127.evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            urllib.request.urlopen(asked, timeout=PATIENCE)
        refused.value.close()


def test_a_taken_port_is_one_line_and_a_free_one_is_given_back() -> None:
    with metrics_server(("127.0.0.1", 0), []) as url:
        port = int(url.split(":")[2].split("/")[0])
        with (
            pytest.raises(UserError, match=f"127.0.0.1:{port}: cannot listen on this address"),
            metrics_server(("127.0.0.1", port), []),
        ):
            pass
    with metrics_server(("127.0.0.1", port), []):
        pass


def test_figures_are_of_the_last_seconds() -> None:
    clock = Clock()
    health = Health("cam", clock=clock)
    figures = LiveFigures(health, clock)
    health.enter("live")
    # Twenty seconds at 10 frames a second and 100 ms, then six at 20 and 30 ms.
    for rate, latency, seconds in ((10, 0.1, 20), (20, 0.03, 6)):
        for index in range(rate * seconds):
            clock.now += 1 / rate
            health.frame_out(latency)
            if index % 5 == 0:
                figures.now()
    now = figures.now()
    assert now.fps == pytest.approx(20, rel=0.02) and now.frames == 320
    assert now.latency_ms == pytest.approx(30) and now.latency_p99_ms == 40
    assert status_text(now) == f"live, {now.fps:.1f} fps, 30 ms, 320 frames"
    clock.now += 10
    assert figures.now().fps < 20 / 3
    health.enter("reconnecting", "no answer")
    health.count("reconnect")
    health.drop("sink")
    assert status_text(figures.now()) == "reconnecting (no answer), 320 frames, 1 dropped, 1 reconnects"


def test_without_a_terminal_there_is_no_status_line(capsys: pytest.CaptureFixture[str]) -> None:
    with status_line([Health("cam")]) as progress:
        progress(1, None, "")
    assert capsys.readouterr() == ("", "")
