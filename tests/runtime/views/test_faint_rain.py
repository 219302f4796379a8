"""Faint rain is seen in several frames, of which each looks dry."""

import numpy as np

from runtime.live.dry_skipper import DRY_BELOW, EVERY, DryDetector
from runtime.media.frame import Pixels
from runtime.views.faint_rain import FAINT_BELOW, FAINT_FROM, FRAMES, FaintRain
from runtime.views.rain_strength import block_strengths, rain_strength

BLOCK = 32


def faint(index: int, height: int = 96, width: int = 160) -> Pixels:
    """A grey picture in which every third block has a streak; which ones depends on the frame."""
    picture = np.full((height, width, 3), 90, np.uint8)
    for place in range(index % 3, height // BLOCK * (width // BLOCK), 3):
        top, left = (BLOCK * at for at in divmod(place, width // BLOCK))
        picture[top + 4 : top + 28, left + 15 : left + 17] += 12
    return picture


def test_frames_that_look_dry_show_rain_together() -> None:
    measure = FaintRain()
    strengths = [measure.strength_with(block_strengths(faint(index))) for index in range(FRAMES)]
    assert all(rain_strength(faint(index)) < DRY_BELOW for index in range(FRAMES))
    assert strengths[0] == 0 and strengths[-1] > FAINT_FROM


def test_streaks_that_stay_in_their_blocks_are_no_rain() -> None:
    measure = FaintRain()
    assert [measure.strength_with(block_strengths(faint(0))) for _ in range(FRAMES)] == [0] * FRAMES


def test_rain_that_ended_is_forgotten_and_another_size_starts_anew() -> None:
    measure, dry = FaintRain(), np.full((96, 160, 3), 90, np.uint8)
    for index in range(FRAMES):
        measure.strength_with(block_strengths(faint(index)))
    after = [measure.strength_with(block_strengths(dry)) for _ in range(FRAMES)]
    assert after[0] > FAINT_BELOW and after[-1] == 0
    measure.strength_with(block_strengths(faint(0)))
    assert measure.strength_with(block_strengths(faint(0, 192, 320))) == 0


def test_frames_of_faint_rain_do_not_bypass_the_engine() -> None:
    detector = DryDetector()
    assert not any(detector.is_dry(faint(index // EVERY)) for index in range(40 * EVERY))


def test_faint_rain_after_a_dry_period_ends_the_bypass() -> None:
    detector, dry = DryDetector(), np.full((96, 160, 3), 90, np.uint8)
    assert [detector.is_dry(dry) for _ in range(20 * EVERY)][-1]
    assert not [detector.is_dry(faint(index // EVERY)) for index in range(FRAMES * EVERY)][-1]
