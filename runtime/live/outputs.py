"""All that one run writes to, as the command line asks for it."""

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
    """What is asked for.

    Attributes:
        destinations: as :func:`runtime.sinks.open.open_sink` takes them; with none and no page, a window.
        serve: (host, port) of a page.
        metrics: (host, port) for Prometheus.
        view: what of the frames is written.
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
    """The page, if one is asked for: open before there is a source, so that it says what is waited for.

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
    """Opens everything that is written to.

    Args:
        wanted: what is asked for.
        source: opened.
        notes: is told, once, what is not kept.
        say: is told what becomes of an output.
        beat: called again and again by the thread that writes, unless it is stuck.
        page: from :func:`open_page`; aborted with the others if one of them is refused.

    Raises:
        UserError: if one is refused; nothing was written then.
    """
    if len({_place(text) for text in wanted.destinations}) < len(wanted.destinations):
        raise UsageError("--output: the same destination twice")
    health, sinks = source.health, list[Sink]([] if page is None else [page])
    try:
        for text in wanted.destinations or ([] if sinks else [None]):
            sinks.append(_open(text, wanted, source, health, notes, say))
        if wanted.view == "slider" and not any(sink.wants_before for sink in sinks):
            raise UsageError("--show slider is for a window or a page; use --compare for files")
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise
    return SeveralSinks(sinks, live=source.info.live, health=health, say=say, beat=beat)


def _place(text: str) -> Path:
    """The same for every name of a file, which two sinks would write, and the last of them would win.

    Addresses, devices and the like are no paths, but as paths they differ where they differ.
    """
    return Path(text).absolute().resolve()


def _open(text: str | None, wanted: Outputs, source: Source, health: Health, notes: Say, say: Say) -> Sink:
    info = source.info
    # What happens again and again in a live run, as a full disk, is told each time.
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
