"""Several streams through one engine: ``granet-run --config``."""

from contextlib import ExitStack
from pathlib import Path
from threading import Event

from granet.app.console import Interrupted, Notes, say
from granet.app.progress import without_log_progress
from granet.app.signals import on_interrupt
from granet.errors import UserError
from runtime.live.shared_engine import SharedEngine
from runtime.live.streams import Streams
from runtime.live.streams_config import StreamConfig, read_streams_config
from runtime.live.watchdog import Watchdog
from runtime.run.input import open_stream
from runtime.run.model import choose_model, open_model
from runtime.run.once import serve_metrics
from runtime.sources.base import Source
from runtime.sources.live.supervised import LiveOptions
from runtime.telemetry.health import Health
from runtime.telemetry.listen import parse_listen


def run_streams(path: Path) -> None:
    """Runs the streams of a file until all have ended or the user stops them.

    Args:
        path: the file (``streams.toml``).

    Raises:
        UserError: if the file is not valid, the model cannot be opened, or a stream failed.
        Interrupted: after Ctrl-C or SIGTERM, when the outputs are finished.
    """
    config = read_streams_config(path)
    model = choose_model(config.model or None, config.device, config.backend, f"{path}: model")
    engine = SharedEngine(open_model(model, config.device, config.backend))
    watchdog, notes = Watchdog(), Notes()

    def opened(stream: StreamConfig, patience: LiveOptions, cancelled: Event, health: Health) -> Source:
        return open_stream(stream, patience, cancelled, health, notes)

    streams = Streams(config, engine, opened, say, watchdog.alive)
    with ExitStack() as held:
        held.callback(engine.close)
        serve_metrics(parse_listen(config.metrics) if config.metrics else None, streams.healths, held)
        say(f"{len(config.stream)} streams, with {engine.engine.info.description}")
        watchdog.ready()
        with on_interrupt(streams.stop) as interruption, without_log_progress():
            streams.run()
        watchdog.stopping()
    if interruption.happened:
        raise Interrupted(interruption.number)
    if streams.failed:
        raise UserError(
            f"{len(streams.failed)} of {len(config.stream)} streams failed: {', '.join(streams.failed)}"
        )
