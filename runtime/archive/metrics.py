"""The progress of a job for Prometheus."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from runtime.archive.driver import Tally
from runtime.archive.status import Status
from runtime.telemetry.listen import parse_listen
from runtime.telemetry.prometheus import (
    Collector,
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    serve_collector,
)


class TallyCollector(Collector):
    """Metrics of one run.

    Args:
        tally: counts of the run, which grow.
        plan: counts of the job at the start of the run.
    """

    def __init__(self, tally: Tally, plan: Status) -> None:
        self._tally, self._plan = tally, plan

    def collect(self) -> Iterable[Metric]:
        """Yields every metric; see prometheus-client."""
        tally, plan = self._tally, self._plan
        for name, help_text, value in (
            ("recordings", "Recordings in the plan.", plan.files),
            ("recordings_finished", "Recordings that are finished.", tally.files),
            ("recordings_failed", "Recordings that could not be finished.", len(tally.failed)),
            ("frames_planned", "Frames in the plan.", plan.frames),
            ("frames_done", "Frames that need no more work.", tally.done_frames),
        ):
            yield GaugeMetricFamily(f"granet_archive_{name}", help_text, value)
        for name, help_text, value in (
            ("segments", "Segments published by this run.", tally.segments),
            ("frames", "Frames processed by this run.", tally.frames),
            ("failed_attempts", "Attempts that were repeated or given up.", tally.lost),
        ):
            yield CounterMetricFamily(f"granet_archive_{name}", help_text, value)


@contextmanager
def serve_tally(listen: str, tally: Tally, plan: Status) -> Iterator[str]:
    """Serves the metrics while the context is open.

    Args:
        listen: value of ``--metrics``.
        tally: counts of the run.
        plan: counts of the job at its start.

    Yields:
        The URL of the metrics.

    Raises:
        UserError: if the address is malformed or cannot be listened on.
    """
    with serve_collector(parse_listen(listen), TallyCollector(tally, plan)) as url:
        yield url
