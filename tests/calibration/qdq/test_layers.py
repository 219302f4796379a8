import pytest

from calibration.qdq.layers import chosen, layers_of, multiplications, require_layers, too_small
from granet.errors import UserError
from tests.calibration import sample


def test_layers_have_the_names_of_the_network() -> None:
    names = [layer.name for layer in layers_of(sample.model().graph)]
    assert len(names) == 51
    theirs = {name.removesuffix(".weight") for name, p in sample.network().named_parameters() if p.ndim == 4}
    assert set(names) == theirs


def test_the_arithmetic_is_what_the_widths_say() -> None:
    model = sample.model()
    counts = multiplications(model, layers_of(model.graph), sample.pictures(1)[0])
    height, width = sample.SIZE
    assert counts["coarse.head"] == height * width * 3 * 16 * 9
    assert counts["coarse.local.1.layers.2"] == height * width // 4 * (16 + 2 * 8) * 8 * 9
    assert counts["fine.blocks.3.fusion"] == height * width * (16 + 4 * 8) * 16
    assert counts["coarse.region_aware.0.out"] == height * width // 64 * 16 * 16


def test_ends_and_attention_are_not_worth_quantising() -> None:
    model = sample.model()
    counts = multiplications(model, layers_of(model.graph), sample.pictures(1)[0])
    spared = too_small(counts)
    ends = {"coarse.head", "coarse.mask", "fine.head", "fine.reconstruct"}
    assert ends <= spared
    assert {name for name in counts if "region_aware" in name} <= spared
    assert not any("fine.blocks" in name for name in spared)
    assert sum(counts[name] for name in spared) < 0.08 * sum(counts.values())


def test_a_prefix_stands_for_all_layers_below_it() -> None:
    layers = layers_of(sample.model().graph)
    assert len(chosen(layers, ["fine.blocks.1", "coarse.head"])) == 6
    with pytest.raises(UserError, match=r"--keep fine\.block: unknown layer: choose from coarse\.head"):
        require_layers(layers, ["fine.block"])
