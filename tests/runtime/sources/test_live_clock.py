"""Timestamps of live streams, whatever cameras make of them."""

import random
from fractions import Fraction
from itertools import pairwise

import pytest

from runtime.sources.live.clock import LiveClock

TIME_BASE = Fraction(1, 90_000)
"""Of the times that a live source gives: what RTP and MPEG count video in."""


def _times(stamps: list[tuple[float | None, float]]) -> tuple[list[float], int]:
    """(times given in seconds, repairs) for (time of the stream, time of arrival)."""
    repairs: list[int] = []
    clock = LiveClock(lambda: repairs.append(0))
    given = []
    for stamp, arrival in stamps:
        seconds = None if stamp is None else Fraction(stamp).limit_denominator(90_000)
        given.append(round(float(clock.time_of(seconds, arrival) * TIME_BASE), 4))
    return given, len(repairs)


@pytest.mark.parametrize(
    ("stamps", "times", "repairs"),
    [
        # The stream's own steps are kept although frames arrive unevenly.
        ([(50, 0.0), (50.04, 0.01), (50.08, 0.09)], [0, 0.04, 0.08], 0),
        # Lost packets are a gap.
        ([(50, 0.0), (53, 0.04)], [0, 3], 0),
        # Hours ahead, and on from there.
        ([(50, 0.0), (9050, 0.04), (9050.04, 0.08)], [0, 0.04, 0.08], 1),
        # Back to the start, and on from there.
        ([(50, 0.0), (0, 0.04), (0.04, 0.08)], [0, 0.04, 0.08], 1),
        # Repeated: one unit later, without moving what follows.
        ([(50, 0.0), (50, 0.04), (50.08, 0.08)], [0, 0, 0.08], 1),
        # None at all: those of arrival.
        ([(None, 7.0), (None, 7.5), (None, 7.7)], [0, 0.5, 0.7], 0),
        # The first packets of RTSP have none until the server has said what time it is.
        ([(None, 7.0), (50, 7.5), (50.04, 7.5)], [0, 0.5, 0.54], 0),
    ],
)
def test_times_of_a_live_stream(
    stamps: list[tuple[float | None, float]], times: list[float], repairs: int
) -> None:
    given, repaired = _times(stamps)
    assert given == pytest.approx(times, abs=2e-4) and repaired == repairs


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_stamps_time_goes_forward_and_stays_near_ours(seed: int) -> None:
    rng = random.Random(seed)
    clock, arrival, stamp, last = LiveClock(lambda: None), 100.0, 0.0, -1
    for _ in range(2000):
        arrival += rng.uniform(0.0, 0.08)
        stamp += rng.choice([0.04, 0.04, 0.04, 0.04, 0.0, -0.04, rng.uniform(-1e5, 1e5)])
        if rng.random() < 0.01:
            clock.restart()
        time_now = clock.time_of(Fraction(round(stamp * 1000), 1000), arrival)
        assert time_now > last
        last = time_now
    assert abs(float(last * TIME_BASE) - (arrival - 100)) < 12


@pytest.mark.parametrize("pace", [0.8, 0.9, 1.1, 1.25])
def test_a_camera_whose_clock_runs_too_fast_or_too_slowly_does_not_run_away_from_ours(pace: float) -> None:
    """No step of the stream looks wrong, and after an hour a recording would be minutes off."""
    repairs: list[int] = []
    clock = LiveClock(lambda: repairs.append(0))
    seconds = [
        float(clock.time_of(Fraction(round(index * 40 * pace), 1000), index * 0.04) * TIME_BASE)
        for index in range(25 * 600)
    ]
    assert all(a < b for a, b in pairwise(seconds))
    # Ten seconds are forgiven; what is moved for the rest is counted.
    assert max(abs(given - index * 0.04) for index, given in enumerate(seconds)) < 11
    assert repairs
