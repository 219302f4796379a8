import numpy as np
import pytest
from onnx import numpy_helper

from calibration.qdq.layers import chosen, layers_of, multiplications, require_layers
from calibration.qdq.quantiser import Quantiser, Target
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
    folded = height * width // 4  # pixels of a frame that is folded 2 x 2
    assert counts["coarse.head"] == folded * 12 * 32 * 9
    assert counts["coarse.local.1.layers.2"] == folded // 4 * (32 + 2 * 16) * 16 * 9
    assert counts["fine.blocks.3.fusion"] == folded * (32 + 4 * 16) * 32
    assert counts["coarse.region_aware.0.out"] == folded // 64 * 16 * 32


@pytest.mark.parametrize("target", ["tensorrt", "cpu"])
def test_the_attention_and_the_last_layers_are_never_quantised(target: Target) -> None:
    quantiser = Quantiser(sample.model(), sample.ranges(), target)
    attention = {layer.name for layer in quantiser.layers if "region_aware" in layer.name}
    assert len(attention) == 12
    assert quantiser.spared == attention | {"coarse.mask", "fine.reconstruct"}
    counts = multiplications(quantiser.model, quantiser.layers, sample.pictures(1)[0])
    assert sum(counts[name] for name in quantiser.spared) < 0.08 * sum(counts.values())


@pytest.mark.parametrize(("target", "narrow"), [("tensorrt", set()), ("cpu", {"coarse.head", "fine.head"})])
def test_products_of_bright_pixels_fit_into_16_bits_on_cpus(target: Target, narrow: set[str]) -> None:
    """CPUs without VNNI add two products of an unsigned and a signed byte in 16 bits, which saturate."""
    quantiser = Quantiser(sample.model(), sample.ranges(), target)
    made = quantiser.draft(quantiser.spared)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    for layer in quantiser.layers:
        if layer.name in quantiser.spared:
            continue
        largest = np.abs(weights[f"{layer.weight}/q"].astype(int)).max()
        assert (2 * 255 * largest < 2**15) == (layer.name in narrow)
        assert largest == (63 if layer.name in narrow else 127)


def test_a_prefix_stands_for_all_layers_below_it() -> None:
    layers = layers_of(sample.model().graph)
    assert len(chosen(layers, ["fine.blocks.1", "coarse.head"])) == 6
    with pytest.raises(UserError, match=r"--keep fine\.block: unknown layer: choose from coarse\.head"):
        require_layers(layers, ["fine.block"])
