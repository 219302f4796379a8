"""Progress as people see it: a bar on a terminal, few lines in a log."""

import io
import itertools
import time

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
    assert log.times == [10, 35]
    assert log.lines[0] == "quantising: picture 20, 20/70"
    assert log.lines[-1] == "quantising: picture 70, 70/70"


@pytest.mark.parametrize("seconds", [0.25, 1.0, 45.0])
def test_a_line_comes_every_half_minute_however_long_a_step_takes(seconds: float) -> None:
    log = Log()
    log.work(steps=int(3600 / seconds), seconds=seconds)
    gaps = [after - before for before, after in itertools.pairwise([0, *log.times[:-1]])]
    assert min(gaps) >= 10 and max(gaps) <= 30 + seconds
    assert log.times[-1] == 3600


def test_a_step_that_takes_minutes_does_not_leave_a_log_silent() -> None:
    log = Log()
    progress = ProgressLines("building", log, log.clock, first=5, every=20)
    for second in range(1, 61):
        log.clock.now = 1000 + second
        if second == 20:
            progress(1, 4, "tactics")
        progress.tick()
    assert log.times == [5, 25, 45]
    assert log.lines[0] == "building, still working after 5 s"
    assert log.lines[1:] == ["building: tactics, 1/4", "building: tactics, 1/4, still working after 45 s"]


def test_work_without_a_step_says_that_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal_progress("calibrating", first=0.0, every=0.05):
        told = ""
        while told.count("calibrating, still working") < 2:
            told += capsys.readouterr().err
            time.sleep(0.01)


def test_the_last_line_is_not_printed_twice() -> None:
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


def test_more_steps_than_stated_leave_no_negative_time() -> None:
    """The number of frames that a container states is a guess."""
    log = Log()
    progress = ProgressLines("frames", log, log.clock, first=5, every=5, rate="fps")
    for second in range(1, 11):
        log.clock.now = 1000 + second
        progress(second, 5, "")
    assert log.lines[-1].startswith("frames, 10/5, 1.0 fps") and " left" not in log.lines[-1]
