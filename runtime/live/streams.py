"""Several streams in one process through one engine; a stream never stalls or ends another."""

import threading
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from typing import cast

from granet.app.console import Say, Urgent
from granet.app.progress import log_progress, no_progress
from granet.errors import UserError
from runtime.live.outputs import Outputs, View, open_outputs, open_page
from runtime.live.pipeline import Pipeline
from runtime.live.shared_engine import SharedEngine
from runtime.live.streams_config import StreamConfig, StreamsConfig
from runtime.sources.base import Source
from runtime.sources.live.supervised import LiveOptions
from runtime.telemetry.health import Health
from runtime.telemetry.listen import parse_listen

OpenStream = Callable[[StreamConfig, LiveOptions, threading.Event, Health], Source]
"""Opens the source of a stream; the event ends the wait for its first frame."""

_LOOK = 0.2


class Streams:
    """Runs every stream of a configuration until all have ended or :meth:`stop` is called.

    Args:
        config: the configuration.
        engine: the engine that all streams share.
        open_stream: opens a source.
        say: prints a line on what happens in a stream.
        beat: called again and again by the thread that waits for the streams.
    """

    def __init__(
        self,
        config: StreamsConfig,
        engine: SharedEngine,
        open_stream: OpenStream,
        say: Say,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.healths = [Health(stream.name, say=say) for stream in config.stream]
        """Health of the streams, in their order."""
        self.failed: dict[str, Exception] = {}
        """Name -> the error that ended the stream early."""
        self._config, self._engine, self._open, self._say = config, engine, open_stream, say
        self._beat = beat
        self._stopping = threading.Event()
        self._pipelines: list[Pipeline] = []

    def stop(self) -> None:
        """Ends all streams and finishes their outputs; may be called from a signal handler."""
        self._stopping.set()
        for pipeline in self._pipelines:
            pipeline.stop()

    def run(self) -> None:
        """Runs all streams; a failure is reported and stored in :attr:`failed`, and the others continue."""
        threads = [
            threading.Thread(target=self._guarded, args=(stream, health), name=stream.name, daemon=True)
            for stream, health in zip(self._config.stream, self.healths, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                self._beat()
                thread.join(_LOOK)
        self._say(str(self._engine))

    def _guarded(self, stream: StreamConfig, health: Health) -> None:
        try:
            self._run(stream, health)
        except Exception as error:  # noqa: BLE001 - reported; the others continue
            health.enter("ended", str(error))
            if not self._stopping.is_set():
                self.failed[stream.name] = error
                self._say(Urgent(f"{stream.name}: {error}"))

    def _run(self, stream: StreamConfig, health: Health) -> None:
        def say(message: str) -> None:
            self._say(type(message)(f"{stream.name}: {message}"))

        wanted = Outputs(
            stream.output,
            serve=parse_listen(stream.serve) if stream.serve else None,
            view=cast("View", stream.show),
            window=False,
            overwrite=self._config.overwrite,
            encoding=stream.encoding,
        )
        patience = LiveOptions(give_up_after=stream.give_up_after or None, live=stream.live, announce=say)
        page = open_page(wanted, health, say)
        with ExitStack() as unused:
            if page is not None:
                unused.callback(page.abort)
                say(f"page: {page.name}")
            source = self._open(stream, patience, self._stopping, health)
            unused.callback(source.close)
            if stream.give_up_after and not source.info.live:
                raise UserError(f"give_up_after is for live sources, and {source.info.name} is a file")
            if stream.strict and source.info.live:
                raise UserError(f"strict is for files, and {source.info.name} is live")
            sink = open_outputs(wanted, source, say, say, lambda: None, page)
            unused.pop_all()
        # A file ends, and a log shows how far it is; a camera runs for months.
        showing = nullcontext(no_progress) if source.info.live else log_progress(stream.name)
        with source, showing as progress:
            say(f"{source.info.name} -> {sink.name}")
            pipeline = Pipeline(
                source,
                self._engine.stream(),
                sink,
                compare=sink.wants_before,
                skip_dry=stream.skip_dry,
                show_mask=stream.show == "mask",
                say=say,
                announce=say,
                progress=progress,
            )
            self._pipelines.append(pipeline)
            if self._stopping.is_set():
                pipeline.stop()
            summary = pipeline.run()
            say(str(summary))
            source.require_whole()
            if sink.failed:
                raise UserError(f"an output failed during the run: {sink.failed[0]}")
