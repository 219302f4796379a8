"""A status line for live streams, shown only on a terminal."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.live import Live
from rich.text import Text

from granet.app.console import shown, stderr
from granet.app.progress import Progress, no_progress, without_log_progress
from granet.app.verbosity import Verbosity, verbosity
from runtime.telemetry.health import Health
from runtime.telemetry.rates import Figures, LiveFigures

_EVERY = 0.5


def status_text(now: Figures) -> str:
    """``live, 24.8 fps, 41 ms, 1,204 frames, 3 dropped``; counts of faults that are zero are left out."""
    parts: list[str] = [now.state]
    if now.state == "live":
        parts.append(f"{now.fps:.1f} fps")
        if now.latency_ms is not None:
            parts.append(f"{now.latency_ms:.0f} ms")
    elif now.detail:
        parts[0] += f" ({now.detail})"
    parts.append(f"{now.frames:,} frames")
    for count, what in ((now.dropped, "dropped"), (now.reconnects, "reconnects"), (now.faults, "faults")):
        if count:
            parts.append(f"{count:,} {what}")
    if now.engine_failing:
        parts.append(f"RAIN NOT REMOVED: {now.engine_failing}")
    return ", ".join(parts)


@contextmanager
def status_line(healths: Sequence[Health]) -> Iterator[Progress]:
    """Shows one line per stream while the context is open, and removes it at the end; none with ``--quiet``.

    Args:
        healths: health of each stream.

    Yields:
        A progress callback for the pipeline. It does nothing: the line updates itself.
    """
    if not stderr.is_terminal or verbosity() is Verbosity.QUIET:
        with without_log_progress():
            yield no_progress
        return
    streams = [LiveFigures(health) for health in healths]

    def render() -> Text:
        lines = []
        for figures in (stream.now() for stream in streams):
            name = f"{figures.name}: " if len(streams) > 1 else ""
            lines.append(shown(name + status_text(figures)))
        return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")

    # Drawn by a separate thread: a stalled stream delivers no frames, and the user must see that.
    # Rich would print on stderr what is written to stdout meanwhile.
    with Live(
        get_renderable=render,
        console=stderr,
        transient=True,
        refresh_per_second=1 / _EVERY,
        redirect_stdout=False,
    ):
        yield no_progress
