"""Figures for Prometheus, over HTTP at ``/metrics``: what :mod:`runtime.telemetry.health` counted."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from granet.errors import UserError
from runtime.telemetry.health import LATENCY_BOUNDS, STATES, Health, HealthSnapshot
from runtime.telemetry.listen import cannot_listen, family_of, url_of

_INSTALL = 'pip install "granet-deploy[serve]"'

try:
    from prometheus_client import CollectorRegistry, make_wsgi_app
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError:
    raise UserError(f"--metrics needs prometheus-client: {_INSTALL}") from None


class HealthCollector(Collector):
    """All metrics of one or more streams; each is a sample of the label ``stream``.

    Args:
        healths: of the streams.
    """

    def __init__(self, healths: Sequence[Health]) -> None:
        self._healths = healths

    def collect(self) -> Iterable[Metric]:
        """Every metric; see prometheus-client."""
        read = CounterMetricFamily("granet_frames_read", "Frames decoded.", labels=["stream"])
        written = CounterMetricFamily(
            "granet_frames_written", "Frames handed to the sinks.", labels=["stream"]
        )
        dry = CounterMetricFamily(
            "granet_frames_dry", "Frames passed as they are because they were dry.", labels=["stream"]
        )
        dropped = CounterMetricFamily(
            "granet_frames_dropped", "Frames that gave way to newer ones.", labels=["stream", "reason"]
        )
        events = CounterMetricFamily("granet_events", "What went wrong, by kind.", labels=["stream", "event"])
        entered = CounterMetricFamily(
            "granet_state_entered", "How often each state was entered.", labels=["stream", "state"]
        )
        state = GaugeMetricFamily(
            "granet_state", "1 for the state of the source.", labels=["stream", "state"]
        )
        age = GaugeMetricFamily(
            "granet_picture_age_seconds", "Since the last frame was written.", labels=["stream"]
        )
        failing = GaugeMetricFamily(
            "granet_engine_failing", "1 while frames pass by a failing engine.", labels=["stream"]
        )
        latency = HistogramMetricFamily(
            "granet_latency_seconds", "From decoded to handed to the sinks.", labels=["stream"]
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
            if now.age is not None:
                age.add_metric([now.name], now.age)
            failing.add_metric([now.name], float(bool(now.engine_failing)))
            latency.add_metric([now.name], _buckets(now), now.latency_sum)
        yield from (read, written, dry, dropped, events, entered, state, age, failing, latency)


@contextmanager
def metrics_server(listen: tuple[str, int], healths: Sequence[Health]) -> Iterator[str]:
    """Serves the metrics while it lasts.

    Args:
        listen: (host, port); port 0 is any that is free.
        healths: of the streams.

    Yields:
        The address.

    Raises:
        UserError: if nothing can listen there, or prometheus-client is not installed.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HealthCollector(healths))
    try:
        server = make_server(
            listen[0], listen[1], make_wsgi_app(registry), _server_class(listen[0]), handler_class=_Silent
        )
    except OSError as error:
        raise cannot_listen(*listen, error) from error
    # Not prometheus-client's own: it takes half a second to stop.
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="metrics", daemon=True)
    thread.start()
    try:
        yield url_of(listen[0], server.server_port) + "metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Silent(WSGIRequestHandler):
    timeout = 10.0

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests are not told."""


def _server_class(host: str) -> type[WSGIServer]:
    class Server(ThreadingMixIn, WSGIServer):
        address_family = family_of(host)
        daemon_threads = True
        block_on_close = False

        def server_bind(self) -> None:
            """Binds without asking a name server for the host's name, which can take long."""
            TCPServer.server_bind(self)
            self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
            self.setup_environ()

    return Server


def _buckets(now: HealthSnapshot) -> list[tuple[str, float]]:
    """Upper bound and how many were at most that; Prometheus wants them cumulative."""
    total, buckets = 0, []
    for bound, count in zip(
        [*(str(bound) for bound in LATENCY_BOUNDS), "+Inf"], now.latency_counts, strict=True
    ):
        total += count
        buckets.append((bound, float(total)))
    return buckets
