"""When a live source tries again, by times that the tests choose."""

from runtime.media.backoff import Backoff
from runtime.sources.live.schedule import Schedule


def first_attempt(schedule: Schedule, now: float, *, responds: bool) -> float:
    """The time of the first attempt, for a source that looks as often as the schedule says."""
    while not schedule.is_due(now, responds=responds):
        now += max(schedule.next_look(now), 1e-6)
    return now


def test_a_server_that_responds_is_asked_again_in_one_to_two_seconds_whatever_the_back_off() -> None:
    schedule = Schedule(Backoff(600.0, 600.0))
    waits = []
    for now in range(1000, 2000):
        schedule.lost(now, None, may_be_soon=True)
        waits.append(first_attempt(schedule, now, responds=True) - now)
    assert min(waits) >= 1.0 and max(waits) < 1.8  # what is left of two seconds is for the opening
    assert len({round(wait, 3) for wait in waits}) > 1  # a hundred boxes do not ask at the same instant


def test_a_server_that_is_away_or_refuses_waits_for_the_back_off() -> None:
    schedule = Schedule(Backoff(600.0, 600.0))
    for responds, may_be_soon in ((False, True), (True, False)):
        schedule.lost(1000.0, None, may_be_soon=may_be_soon)
        assert 450 <= first_attempt(schedule, 1000.0, responds=responds) - 1000 <= 750


def test_the_waits_grow_until_a_connection_has_lived() -> None:
    schedule = Schedule(Backoff(1.0, 64.0))

    def wait(lived: float | None) -> float:
        schedule.lost(1000.0, lived, may_be_soon=True)
        return first_attempt(schedule, 1000.0, responds=False) - 1000

    for _ in range(4):
        wait(0.5)
    assert wait(None) >= 12  # 16 s with a jitter of a quarter
    assert wait(30.0) <= 1.25
