"""One line on a terminal that says how live streams fare; silence elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.live import Live
from rich.text import Text

from granet.app.console import stderr
from runtime.telemetry.health import Health
from runtime.telemetry.rates import Figures, LiveFigures

_EVERY = 0.5


def status_text(now: Figures) -> str:
    """``live, 24.8 fps, 41 ms, 1,204 frames, 3 dropped``; what is zero and good is left out."""
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
def status_line(healths: Sequence[Health]) -> Iterator[Callable[[int], None]]:
    """Shows a line a stream while it lasts, and takes it away at the end.

    Args:
        healths: of the streams.

    Yields:
        A function to be called after each frame, as a progress bar's is.
    """
    if not stderr.is_terminal:
        yield lambda written: None
        return
    streams = [LiveFigures(health) for health in healths]

    def render() -> Text:
        lines = []
        for figures in (stream.now() for stream in streams):
            name = f"{figures.name}: " if len(streams) > 1 else ""
            lines.append(name + status_text(figures))
        return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")

    # Drawn by a thread of its own: a stalled stream has no frames, and that must be seen.
    with Live(get_renderable=render, console=stderr, transient=True, refresh_per_second=1 / _EVERY):
        yield lambda written: None
