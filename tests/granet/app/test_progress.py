"""Progress as people see it: a bar on a terminal, few lines in a log."""

import io
import itertools

import pytest
from rich.console import Console

from granet.app import progress as shown
from granet.app.progress import ProgressLines, labelled, progress_line, terminal_progress


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Log:
    """Lines and when they came."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        self.times: list[float] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self.times.append(self.clock.now - 1000)

    def work(self, steps: int, seconds: float) -> None:
        """``steps`` of ``seconds`` each, reported one by one."""
        progress = ProgressLines("quantising", self, self.clock)
        for step in range(1, steps + 1):
            self.clock.now = 1000 + step * seconds
            progress(step, steps, f"picture {step}")
        progress.finish()


def test_short_work_leaves_a_log_alone() -> None:
    log = Log()
    log.work(steps=90, seconds=0.1)
    assert log.lines == []


def test_long_work_says_now_and_then_how_far_it_is_and_how_it_ended() -> None:
    log = Log()
    log.work(steps=70, seconds=0.5)
    assert log.times == [10, 20, 35]
    assert log.lines[0] == "quantising: picture 20, 20/70"
    assert log.lines[-1] == "quantising: picture 70, 70/70"


@pytest.mark.parametrize("seconds", [0.25, 1.0, 45.0])
def test_a_log_of_a_day_stays_short(seconds: float) -> None:
    log = Log()
    log.work(steps=int(24 * 3600 / seconds), seconds=seconds)
    gaps = [after - before for before, after in itertools.pairwise([0, *log.times[:-1]])]
    # And never silent for longer than five minutes and a step.
    assert min(gaps) >= 10 and max(gaps) <= 300 + seconds
    assert len(log.lines) < 300 and log.times[-1] == 24 * 3600


def test_what_was_just_said_is_not_said_again_at_the_end() -> None:
    log = Log()
    log.work(steps=2, seconds=60)
    assert log.lines == ["quantising: picture 1, 1/2", "quantising: picture 2, 2/2"]


@pytest.mark.parametrize(
    ("done", "total", "expected"),
    [(3, 40, "frames, 3/40"), (0.25, 1, "frames, 25%"), (7, None, "frames, 7"), (0, 0, "frames")],
)
def test_items_shares_and_unknown_totals(done: float, total: float | None, expected: str) -> None:
    log = Log()
    progress = ProgressLines("frames", log, log.clock)
    log.clock.now += 11
    progress(done, total, "")
    assert log.lines == [expected]


def test_a_stage_is_named_before_its_steps() -> None:
    told: list[object] = []
    labelled(lambda *step: told.append(step), "search")(2, 8, "conv1")
    assert told == [(2, 8, "search: conv1")]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=110, markup=False, highlight=False)
    monkeypatch.setattr(shown, "stderr", console)
    return screen


def test_a_terminal_shows_names_as_they_are_and_no_credentials(terminal: io.StringIO) -> None:
    with terminal_progress("frames", "fps") as progress:
        progress(3, 10, "[red]a[/blue].png of rtsp://me:secret@cam/1")
    text = terminal.getvalue()
    assert "frames: [red]a[/blue].png" in text and "3/10" in text and "fps" in text
    assert "secret" not in text


def test_the_line_of_a_known_total_is_the_same_bar(terminal: io.StringIO) -> None:
    with progress_line("epoch 1", 400) as show:
        show(100, "loss 0.0123")
    assert "epoch 1: loss 0.0123" in terminal.getvalue() and "100/400" in terminal.getvalue()


def test_short_work_without_a_terminal_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal_progress("frames") as progress:
        progress(3, 10, "a.png")
    assert capsys.readouterr() == ("", "")
