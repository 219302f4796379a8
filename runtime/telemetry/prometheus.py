"""Serves the counters of :mod:`runtime.telemetry.health` to Prometheus, over HTTP at ``/metrics``."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from granet.app.extras import missing_packages
from runtime.telemetry.health import LATENCY_BOUNDS, STATES, Health, HealthSnapshot
from runtime.telemetry.http_server import HttpServer, Request, Response

try:
    from prometheus_client import CollectorRegistry, make_wsgi_app
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError:
    raise missing_packages("--metrics", "prometheus-client") from None

__all__ = [
    "Collector",
    "CounterMetricFamily",
    "GaugeMetricFamily",
    "HealthCollector",
    "Metric",
    "metrics_server",
    "serve_collector",
]


class HealthCollector(Collector):
    """All metrics of one or more streams, which the label ``stream`` distinguishes.

    Args:
        healths: health of each stream.
    """

    def __init__(self, healths: Sequence[Health]) -> None:
        self._healths = healths

    def collect(self) -> Iterable[Metric]:
        """Yields every metric; see prometheus-client."""
        read = CounterMetricFamily("granet_frames_read", "Frames decoded.", labels=["stream"])
        written = CounterMetricFamily(
            "granet_frames_written", "Frames handed to the sinks.", labels=["stream"]
        )
        dry = CounterMetricFamily(
            "granet_frames_dry", "Frames that bypassed the engine because they were dry.", labels=["stream"]
        )
        dropped = CounterMetricFamily(
            "granet_frames_dropped", "Frames replaced by newer ones.", labels=["stream", "reason"]
        )
        events = CounterMetricFamily("granet_events", "Faults, by kind.", labels=["stream", "event"])
        entered = CounterMetricFamily(
            "granet_state_entered", "How often each state was entered.", labels=["stream", "state"]
        )
        state = GaugeMetricFamily(
            "granet_state", "1 for the current state of the source, else 0.", labels=["stream", "state"]
        )
        age = GaugeMetricFamily(
            "granet_picture_age_seconds",
            "Seconds since the last frame was written, or since the start.",
            labels=["stream"],
        )
        failing = GaugeMetricFamily(
            "granet_engine_failing",
            "1 while the engine is failing and frames are passed through.",
            labels=["stream"],
        )
        latency = HistogramMetricFamily(
            "granet_latency_seconds", "Latency from decoding to the sinks.", labels=["stream"]
        )
        for now in (health.snapshot() for health in self._healths):
            read.add_metric([now.name], now.frames_in)
            written.add_metric([now.name], now.frames_out)
            dry.add_metric([now.name], now.frames_dry)
            for reason, count in now.dropped.items():
                dropped.add_metric([now.name, reason], count)
            for event, count in now.events.items():
                events.add_metric([now.name, event], count)
            for name in STATES:
                entered.add_metric([now.name, name], now.transitions[name])
                state.add_metric([now.name, name], float(now.state == name))
            # Also before the first frame: an alarm must hear of a camera that never came up.
            age.add_metric([now.name], now.waited)
            failing.add_metric([now.name], float(bool(now.engine_failing)))
            latency.add_metric([now.name], _buckets(now), now.latency_sum)
        yield from (read, written, dry, dropped, events, entered, state, age, failing, latency)


@contextmanager
def metrics_server(listen: tuple[str, int], healths: Sequence[Health]) -> Iterator[str]:
    """Serves the metrics while the context is open.

    Args:
        listen: (host, port); port 0 picks a free port.
        healths: health of each stream.

    Yields:
        The URL of the metrics.

    Raises:
        UserError: if the address cannot be listened on.
    """
    with serve_collector(listen, HealthCollector(healths)) as url:
        yield url


@contextmanager
def serve_collector(listen: tuple[str, int], collector: Collector) -> Iterator[str]:
    """Serves the metrics of any collector; see :func:`metrics_server`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    server = HttpServer(listen, _answers(registry), "metrics")
    try:
        yield f"{server.url}metrics"
    finally:
        server.close()


def _answers(registry: CollectorRegistry) -> Callable[[Request], Response]:
    """Responds with prometheus-client's WSGI application, which chooses the format and compresses."""
    application = make_wsgi_app(registry)

    def respond(request: Request) -> Response:
        environment = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query,
            "HTTP_ACCEPT": request.headers.get("Accept"),
            "HTTP_ACCEPT_ENCODING": request.headers.get("Accept-Encoding"),
        }
        started: dict[str, Any] = {}

        def start(status: str, headers: list[tuple[str, str]]) -> None:
            started.update(status=HTTPStatus(int(status.split()[0])), headers=dict(headers))

        body = b"".join(application(environment, start))
        kind = started["headers"].pop("Content-Type", "text/plain")
        return Response(kind, body, started["status"], started["headers"])

    return respond


def _buckets(now: HealthSnapshot) -> list[tuple[str, float]]:
    """(upper bound, number of frames up to it): Prometheus expects cumulative buckets."""
    total, buckets = 0, []
    for bound, count in zip(
        [*(str(bound) for bound in LATENCY_BOUNDS), "+Inf"], now.latency_counts, strict=True
    ):
        total += count
        buckets.append((bound, float(total)))
    return buckets
