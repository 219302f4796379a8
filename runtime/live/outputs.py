"""Opens all outputs of one run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from granet.app.console import Say, UsageError
from runtime.sinks.base import Sink
from runtime.sinks.open import open_sink, place_of
from runtime.sinks.page.sink import PageSink
from runtime.sinks.several import SeveralSinks
from runtime.sinks.video.encoding import DEFAULT, Encoding
from runtime.sinks.video.sink import STDOUT
from runtime.sources.base import Source
from runtime.sources.url import expanded
from runtime.telemetry.health import Health

View = Literal["result", "compare", "slider", "mask"]


@dataclass(frozen=True)
class Outputs:
    """The requested outputs.

    Attributes:
        destinations: arguments of :func:`runtime.sinks.open.open_sink`; empty for a window or a page.
        serve: (host, port) of a page.
        metrics: (host, port) for Prometheus.
        view: how frames are shown and written.
        window: whether there may be a window.
        overwrite: whether files that exist may be replaced.
        limit: maximum number of frames to write; ``None`` for all.
        encoding: encoding of video files.
    """

    destinations: tuple[str, ...] = ()
    serve: tuple[str, int] | None = None
    metrics: tuple[str, int] | None = None
    view: View = "result"
    window: bool = True
    overwrite: bool = False
    limit: int | None = None
    encoding: Encoding = DEFAULT


def open_page(wanted: Outputs, health: Health, say: Say) -> PageSink | None:
    """Opens the page, if the user wants one: before the source, so that viewers see the wait for it.

    Raises:
        UserError: if nothing can listen there.
    """
    return (
        None if wanted.serve is None else PageSink(wanted.serve, health, say, painted=wanted.view == "mask")
    )


def open_outputs(
    wanted: Outputs,
    source: Source,
    notes: Say,
    say: Say,
    beat: Callable[[], None],
    page: PageSink | None = None,
) -> SeveralSinks:
    """Opens all outputs.

    Args:
        wanted: the outputs.
        source: the opened source.
        notes: prints a line, once, on what an output loses.
        say: prints a line when an output fails.
        beat: called again and again by the thread that writes, unless it is stuck.
        page: the page from :func:`open_page`; aborted with the others if one of them is refused.

    Raises:
        UserError: if one cannot be opened; nothing is written then.
    """
    if len({place_of(text) for text in wanted.destinations}) < len(wanted.destinations):
        raise UsageError("--output: two of them name the same destination; leave one out")
    health, sinks = source.health, list[Sink]([] if page is None else [page])
    try:
        for text in wanted.destinations or ([] if sinks else [None]):
            sinks.append(_open(text, wanted, source, health, notes, say))
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise
    return SeveralSinks(sinks, live=source.info.live, health=health, say=say, beat=beat)


def _open(text: str | None, wanted: Outputs, source: Source, health: Health, notes: Say, say: Say) -> Sink:
    info = source.info
    # In a live run some events recur, such as a full disk: each is printed.
    sink = open_sink(
        text if text is None or text == STDOUT else expanded(text, notes),
        info,
        say if info.live else notes,
        window=wanted.window,
        overwrite=wanted.overwrite,
        limit=wanted.limit,
        health=health,
        slider=wanted.view == "slider",
        encoding=wanted.encoding,
    )
    sink.wants_before = sink.wants_before or wanted.view == "compare"
    return sink
