"""Padding, tiling and batching must preserve the picture and must not copy more than needed."""

import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from granet.errors import UserError
from granet.size_rule import SizeRule
from runtime.engines.fitting import FrameFit
from runtime.media.frame import Pixels

RULE = SizeRule(multiple=8, extent=512)


class Recorder:
    """A graph that applies ``function`` to a batch and records its inputs."""

    def __init__(self, function=lambda batch: batch.copy()) -> None:
        self.function = function
        self.batches: list[Pixels] = []

    def __call__(self, batch: Pixels) -> tuple[Pixels, ...]:
        assert batch.flags.c_contiguous and batch.dtype == np.uint8
        self.batches.append(batch)
        return (self.function(batch),)


def noise(*shape: int) -> Pixels:
    return np.random.default_rng(sum(shape)).integers(0, 256, (*shape, 3), dtype=np.uint8)


def run(fit: FrameFit, frames: Pixels, graph: Recorder) -> Pixels:
    (result,) = fit.plan(*frames.shape[1:3]).run(frames, graph)
    return result


@pytest.mark.parametrize("fit", [FrameFit(RULE), FrameFit(RULE, 1080, 1920, 1), FrameFit(RULE, None, 1920)])
def test_frames_of_the_right_size_are_not_copied(fit: FrameFit) -> None:
    frames, result = noise(1, 1080, 1920), noise(1, 1080, 1920)
    graph = Recorder(lambda batch: result)
    assert run(fit, frames, graph) is result
    assert np.shares_memory(graph.batches[0], frames)
    assert fit.plan(1080, 1920).description == "as they are"


def test_any_strides_reach_the_graph_contiguous() -> None:
    frames = noise(2, 32, 48)[:, ::-1, :, ::-1]
    graph = Recorder()
    np.testing.assert_array_equal(run(FrameFit(RULE), frames, graph), frames)


@pytest.mark.parametrize("size", [(17, 31), (37, 53), (321, 481), (720, 1280), (515, 1030)])
def test_padding_is_the_reflection_that_the_network_itself_does(size: tuple[int, int]) -> None:
    frames = noise(2, *size)
    graph = Recorder()
    result = run(FrameFit(RULE), frames, graph)

    height, width = RULE.padded_size(*size)
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    expected = F.pad(images, (0, width - size[1], 0, height - size[0]), mode="reflect")
    np.testing.assert_array_equal(graph.batches[0], expected.permute(0, 2, 3, 1).to(torch.uint8).numpy())
    np.testing.assert_array_equal(result, frames)
    assert result.flags.c_contiguous


def test_a_static_graph_many_times_the_frame_is_filled_by_reflecting_again_and_again() -> None:
    frames = noise(1, 16, 20)
    graph = Recorder()
    np.testing.assert_array_equal(run(FrameFit(RULE, 80, 120), frames, graph), frames)
    expected = np.pad(frames, ((0, 0), (0, 64), (0, 100), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(graph.batches[0], expected)


@pytest.mark.parametrize(
    ("fit", "size"),
    [
        (FrameFit(RULE, 64, 64), (65, 64)),  # nearly all overlap
        (FrameFit(RULE, 64, 64), (100, 161)),
        (FrameFit(RULE, 64, 96), (48, 300)),  # padded down, tiled across
        (FrameFit(RULE, 320, 480), (1080, 1920)),
        (FrameFit(RULE, None, 480), (300, 1000)),  # height by the rule, width in tiles
        (FrameFit(RULE, 24, 16), (55, 77)),  # tiles smaller than the overlap
        (FrameFit(RULE, 64, 64, 3), (100, 161)),
    ],
)
def test_tiles_of_an_identity_reproduce_the_frame(fit: FrameFit, size: tuple[int, int]) -> None:
    frames = noise(2, *size)
    graph = Recorder()
    np.testing.assert_array_equal(run(fit, frames, graph), frames)
    for batch in graph.batches:
        height, width = fit.height or RULE.padded_side(size[0]), fit.width or RULE.padded_side(size[1])
        assert batch.shape[1:] == (height, width, 3)


@pytest.mark.parametrize("side", range(65, 400, 7))
def test_tiles_overlap_by_32_pixels_and_are_evenly_spaced(side: int) -> None:
    tiles = list(FrameFit(RULE, 64, 64).plan(64, side).tiles)
    starts = [tile.columns.start for tile in tiles]
    assert starts[0] == 0 and tiles[-1].columns.stop == side
    steps = np.diff(starts)
    assert steps.max() <= 64 - 32 and steps.max() - steps.min() <= 1


def test_tiles_fade_into_each_other_linearly() -> None:
    """Each tile comes out as one flat level; across the seam the levels must ramp, without a step."""
    levels = iter([0, 200])
    graph = Recorder(lambda batch: np.full_like(batch, next(levels)))
    row = run(FrameFit(RULE, 64, 64), noise(1, 64, 96), graph)[0, 0, :, 0].astype(int)
    assert row[0] == 0 and row[-1] == 200
    ramp = row[(row > 0) & (row < 200)]
    assert len(ramp) >= 31
    slope = np.diff(ramp)
    assert slope.min() >= 5 and slope.max() <= 7 and (np.diff(row) <= 7).all()


def test_a_fade_rounds_to_the_nearest_level() -> None:
    """Against a second implementation: every tile's flat level, weighted in float64."""
    grid = FrameFit(RULE, 64, 64).plan(100, 130).tiles
    levels = np.random.default_rng(0).integers(0, 256, len(grid))
    graph = Recorder(lambda batch: np.full_like(batch, levels[len(graph.batches) - 1]))
    result = run(FrameFit(RULE, 64, 64), noise(1, 100, 130), graph)
    total, weight = np.zeros((100, 130)), np.zeros((100, 130))
    for level, tile in zip(levels, grid, strict=True):
        shares = np.outer(_shares(tile.vertical, 100), _shares(tile.horizontal, 130))
        total += shares * level
        weight += shares
    np.testing.assert_allclose(weight, 1, atol=1e-12)
    assert np.abs(result[0, :, :, 0] - total).max() <= 0.5 + 1e-4


def _shares(cut, side: int) -> np.ndarray:
    shares = np.zeros(side)
    for part in cut.parts:
        shares[part.start : part.stop] = part.weights or 1
    return shares


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_a_static_batch_is_filled_with_the_last_frame(n: int) -> None:
    frames = noise(n, 32, 48)
    graph = Recorder()
    np.testing.assert_array_equal(run(FrameFit(RULE, 32, 48, 2), frames, graph), frames)
    assert [len(batch) for batch in graph.batches] == [2] * ((n + 1) // 2)
    if n % 2:
        np.testing.assert_array_equal(graph.batches[-1][1], frames[-1])


def test_a_static_batch_is_filled_with_tiles_first() -> None:
    graph = Recorder()
    run(FrameFit(RULE, 64, 64, 4), noise(1, 96, 96), graph)
    assert len(graph.batches) == 1


def test_a_dynamic_batch_goes_through_at_once() -> None:
    graph = Recorder()
    run(FrameFit(RULE), noise(5, 32, 48), graph)
    assert [len(batch) for batch in graph.batches] == [5]


@pytest.mark.parametrize(
    ("fit", "size", "description"),
    [
        (FrameFit(RULE), (320, 480), "as they are"),
        (FrameFit(RULE), (321, 481), "padded to 488x328"),
        (FrameFit(RULE, 328, 488), (321, 481), "padded to 488x328"),
        (
            FrameFit(RULE, 320, 480),
            (576, 768),
            "in 2x2 overlapping tiles of 480x320; export with --size 768x576 for full speed",
        ),
        (
            FrameFit(RULE, 320, 480),
            (200, 768),
            "padded to 768x320, in 2x1 overlapping tiles of 480x320; "
            "export with --size 768x200 for full speed",
        ),
        (
            FrameFit(RULE, 1080, 1920),
            (320, 480),
            "padded to 1920x1080; export with --size 480x320 for full speed",
        ),
    ],
)
def test_the_plan_says_what_it_costs(fit: FrameFit, size: tuple[int, int], description: str) -> None:
    assert fit.plan(*size).description == description


@pytest.mark.parametrize("size", [(15, 100), (100, 1), (1, 1)])
@pytest.mark.parametrize("fit", [FrameFit(RULE), FrameFit(RULE, 320, 480)])
def test_frames_below_16_pixels_are_refused(fit: FrameFit, size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=r"at least 16x16"):
        fit.plan(*size)


def test_several_outputs_come_back_in_one_pass() -> None:
    """Padding, tiles and static batches: each call of the graph returns a part of every output."""
    for fit in (FrameFit(RULE), FrameFit(RULE, 64, 64), FrameFit(RULE, 64, 64, 3), FrameFit(RULE, 120, 176)):
        frames, calls = noise(2, 100, 161), list[int]()

        def graph(batch: Pixels, calls: list[int] = calls) -> tuple[Pixels, ...]:
            calls.append(len(batch))
            return batch.copy(), 255 - batch, batch // 2

        same, inverted, half = fit.plan(100, 161).run(frames, graph)
        one = Recorder()
        run(fit, frames, one)
        assert calls == [len(batch) for batch in one.batches]
        np.testing.assert_array_equal(same, frames)
        for output, expected in ((inverted, 255 - frames.astype(int)), (half, frames / 2 - 0.25)):
            # Where tiles fade, a half level may be rounded either way.
            assert np.abs(output - expected).max() <= (1 if len(fit.plan(100, 161).tiles) > 1 else 0.25)


@pytest.mark.parametrize(("size", "copies"), [((1080, 1920), 0), ((720, 1280), 2)])
def test_no_more_is_copied_than_the_padded_frame_and_the_crop(size: tuple[int, int], copies: int) -> None:
    frames, result = noise(1, *size), noise(1, *RULE.padded_size(*size))
    fit = FrameFit(RULE)
    fit.plan(*size)  # is cached
    tracemalloc.start()
    try:
        run(fit, frames, Recorder(lambda batch: result))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < copies * result.nbytes + 100_000
