"""The choice of a number format: by a clock that the test sets, so that no test depends on a machine."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from granet import GraNet, GraNetConfig
from granet.training.compute import CANDIDATES, PLAIN, Compute, fastest

TINY = GraNetConfig(channels=2, growth=1, dense_layers=1, nonlocal_channels=1, fine_blocks=1, key_stride=8)
BF16 = Compute("bf16", channels_last=True)
CPU = torch.device("cpu")


def clock_of(seconds: dict[Compute, float]) -> Callable[[], float]:
    """A clock on which a step takes what it is to take; it is asked before and after each of the steps."""

    def times() -> Iterator[float]:
        now = 0.0
        for way in seconds:
            for _ in range(4):
                yield now
                now += seconds[way]
                yield now

    return times().__next__


def choice(seconds: dict[Compute, float], preferred: Compute | None = None) -> tuple[Compute, str]:
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8))
    network = GraNet(TINY)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = fastest(network, pixels, CPU, list(seconds), preferred, clock=clock_of(seconds))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    return found


@pytest.mark.parametrize(("bf16", "chosen"), [(0.5, BF16), (0.89, BF16), (0.91, PLAIN), (1.5, PLAIN)])
def test_bfloat16_must_be_faster_by_a_tenth(bf16: float, chosen: Compute) -> None:
    found, line = choice({PLAIN: 1.0, Compute("fp32", True): 1.2, BF16: bf16, Compute("bf16", False): 2.0})
    assert found == chosen
    assert (
        line.startswith(f"computing in {chosen} (a step: float32, contiguous 1000 ms, ") and "\n" not in line
    )


def test_a_layout_alone_must_be_faster_by_a_tenth_too() -> None:
    layout = Compute("fp32", channels_last=True)
    assert choice({PLAIN: 1.0, layout: 0.8, BF16: 1.5})[0] == layout
    assert choice({PLAIN: 1.0, layout: 0.95, BF16: 1.5})[0] == PLAIN


@pytest.mark.parametrize(("bf16", "chosen"), [(0.95, BF16), (1.0, BF16), (1.05, PLAIN)])
def test_a_resumed_training_keeps_its_number_format_unless_it_is_slower(bf16: float, chosen: Compute) -> None:
    assert choice({PLAIN: 1.0, BF16: bf16}, preferred=BF16)[0] == chosen


def test_processes_choose_by_their_sum() -> None:
    """Alone this process would choose float32; the other one is much faster in bfloat16."""
    pixels = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    found, _ = fastest(
        GraNet(TINY), pixels, CPU, [PLAIN, BF16], None,
        lambda mine: [mine[0] + 5.0, mine[1] + 1.0], clock_of({PLAIN: 1.0, BF16: 1.1}),
    )  # fmt: skip
    assert found == BF16


def test_the_plainest_way_is_the_first_candidate() -> None:
    assert CANDIDATES[0] == PLAIN == Compute("fp32", False) and len(set(CANDIDATES)) == 4


@pytest.mark.parametrize("way", CANDIDATES, ids=str)
def test_each_way_gives_pictures_and_networks_their_layout(way: Compute) -> None:
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, 16, 24, 3), np.uint8))
    image = way.image(pixels, CPU)
    assert image.dtype == torch.float32
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    assert image.is_contiguous(memory_format=layout)
    torch.testing.assert_close(image, pixels.permute(0, 3, 1, 2) / 255, rtol=0, atol=0)
    network = way.place(GraNet(TINY), CPU)
    weight = network.get_parameter("coarse.head.weight")
    assert weight.is_contiguous(memory_format=layout) and weight.dtype == torch.float32
    with way.autocast(CPU):
        product = torch.nn.functional.conv2d(image, weight)
    assert product.dtype == (torch.bfloat16 if way.precision == "bf16" else torch.float32)
