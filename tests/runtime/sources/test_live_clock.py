"""Timestamps of live streams, whatever cameras make of them."""

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import pytest

from runtime.sources.live.clock import LiveClock

TIME_BASE = Fraction(1, 90_000)
"""Time base of a live source: the video clock of RTP and MPEG."""


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
        # Repeated: as much later as it came later, without moving what follows.
        ([(50, 0.0), (50, 0.04), (50.08, 0.08)], [0, 0.04, 0.08], 1),
        # Repeated, in one burst: a millisecond apart, which every container can tell apart.
        ([(50, 0.0), (50, 0.0), (50, 0.0), (50.12, 0.12)], [0, 0.001, 0.002, 0.12], 2),
        # Closer together than a millisecond.
        ([(50, 0.0), (50.00002, 0.04), (50.08, 0.08)], [0, 0.04, 0.08], 1),
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


STUCK: dict[str, Callable[[int], float]] = {
    "constant": lambda index: 50,
    "in pairs": lambda index: 50 + index // 2 * 0.08,
    "in one unit steps": lambda index: 50 + index / 90_000,
    "in milliseconds taken for units": lambda index: 50 + index * 40 / 90_000,
    "to and fro": lambda index: 50 + index % 2 * 0.04,
    "backwards": lambda index: 50 - index * 0.04,
    "too fast": lambda index: 50 + index * 3.6,
}


@pytest.mark.parametrize("kind", STUCK)
def test_a_clock_that_stands_still_is_replaced_by_the_wall_clock(kind: str) -> None:
    """249 frames in ten seconds: they were once 4 ms together."""
    rng = random.Random(0)
    arrivals = [7 + index * 0.04 + rng.uniform(0, 0.01) for index in range(249)]
    stamps = [(STUCK[kind](index), arrival) for index, arrival in enumerate(arrivals)]
    given, repaired = _times(stamps)
    assert repaired
    assert all(b - a > 0.0009 for a, b in pairwise(given))
    assert given[-1] == pytest.approx(arrivals[-1] - arrivals[0], abs=0.1 if kind != "too fast" else 11)
    if kind not in ("in one unit steps", "in milliseconds taken for units", "too fast"):
        assert max(b - a for a, b in pairwise(given)) < 0.1
    # Times may be wrong for at most two seconds.
    late = [abs((given[i] - given[100]) - (arrivals[i] - arrivals[100])) for i in range(100, 249)]
    assert kind == "too fast" or max(late) < 0.1


@pytest.mark.parametrize("stream", [lambda index: 50.0, lambda index: 50 + index / 90_000])
def test_the_sound_keeps_its_own_clock_while_that_of_the_picture_stands_still(
    stream: Callable[[int], float],
) -> None:
    clock = LiveClock(lambda: None)
    for index in range(500):
        clock.time_of(Fraction(stream(index)).limit_denominator(90_000), index * 0.04)
    assert float(clock.offset) == pytest.approx(-50, abs=0.01)


def test_a_clock_that_runs_again_is_used_again() -> None:
    repairs: list[int] = []
    clock = LiveClock(lambda: repairs.append(0))
    for index in range(100):
        clock.time_of(Fraction(50), index * 0.04)
    before = [clock.time_of(Fraction(50 * 25 + index, 25), (100 + index) * 0.04) for index in range(100)]
    count = len(repairs)
    # Even steps of the stream, although the frames arrive unevenly.
    after = [clock.time_of(Fraction(1350 + i, 25), 8 + i * 0.04 + i % 3 * 0.01) for i in range(60)]
    assert len(repairs) == count and {b - a for a, b in pairwise(after)} == {3600}
    assert after[0] > before[-1]


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
