"""Opens all outputs of one run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from granet.app.console import Say, UsageError
from runtime.sinks.base import Sink
from runtime.sinks.open import open_sink
from runtime.sinks.page.sink import PageSink
from runtime.sinks.several import SeveralSinks
from runtime.sinks.video.sink import STDOUT
from runtime.sources.base import Source
from runtime.sources.url import expanded
from runtime.telemetry.health import Health

View = Literal["result", "compare", "slider", "mask"]


@dataclass(frozen=True)
class Outputs:
    """The requested outputs.

    Attributes:
        destinations: as :func:`runtime.sinks.open.open_sink` takes them; with none and no page, a window.
        serve: (host, port) of a page.
        metrics: (host, port) for Prometheus.
        view: how frames are shown and written.
        window: whether there may be a window.
        overwrite: whether files that exist may be replaced.
        limit: most frames that are written.
    """

    destinations: tuple[str, ...] = ()
    serve: tuple[str, int] | None = None
    metrics: tuple[str, int] | None = None
    view: View = "result"
    window: bool = True
    overwrite: bool = False
    limit: int | None = None


def open_page(wanted: Outputs, health: Health, say: Say) -> PageSink | None:
    """Opens the page, if the user wants one: before the source, so that viewers see the wait for it.

    Raises:
        UserError: if nothing can listen there.
    """
    return None if wanted.serve is None else PageSink(wanted.serve, health, say)


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
        source: opened.
        notes: prints a line, once, on what an output loses.
        say: prints a line when an output fails.
        beat: called again and again by the thread that writes, unless it is stuck.
        page: from :func:`open_page`; aborted with the others if one of them is refused.

    Raises:
        UserError: if one cannot be opened; nothing is written then.
    """
    if len({_place(text) for text in wanted.destinations}) < len(wanted.destinations):
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


def _place(text: str) -> Path:
    """The same path for every name of a file: of two sinks for one file the last would win.

    Addresses and devices are compared as if they were paths, which keeps different ones different.
    """
    return Path(text).absolute().resolve()


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
    )
    sink.wants_before = sink.wants_before or wanted.view == "compare"
    return sink
