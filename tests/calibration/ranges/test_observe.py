"""Observations must match all tensors, compared with a run that outputs each of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from calibration.ranges import observe
from calibration.ranges.instrumented_graph import build_probe
from calibration.ranges.observe import Observer
from granet.errors import UserError
from runtime.artefacts.artefact import read_model
from runtime.media.frame import Pixels
from tests.calibration.small_model import FLOATS, all_values, small_file, small_model
from tests.runtime.handmade import METADATA, inverting_file, save, write_manifest


def noise(height: int, width: int, seed: int = 0, top: int = 256) -> Pixels:
    return np.random.default_rng(seed).integers(0, top, (height, width, 3), np.uint8)


def test_every_float_tensor_has_its_exact_extremes(tmp_path: Path) -> None:
    frames = [noise(32, 48, 1, 100), noise(40, 24, 2), noise(160, 120, 3, 30)]
    observer = Observer(read_model(small_file(tmp_path / "m.onnx")))
    for frame in frames:
        observer.add(frame, "frame")
    seen = observer.result().seen
    assert set(seen) == FLOATS | {"nhwc"}
    assert observer.tensors == len(seen)
    everything = [all_values(small_model(), frame[None, :, :, ::-1].copy()) for frame in frames]
    for name, found in seen.items():
        values = [each[name] for each in everything]
        extremes = min(v.min() for v in values), max(v.max() for v in values)
        # Two summation orders of a convolution differ in the last bit; moving or scaling values does not.
        tolerance = 1e-6 if name in ("conv", "relu", "pooled", "flat", "wide") else 0.0
        assert (found.low, found.high) == pytest.approx(extremes, rel=tolerance, abs=0), name


def test_the_sample_is_of_the_whole_tensor(tmp_path: Path) -> None:
    observer = Observer(read_model(small_file(tmp_path / "m.onnx")))
    frame = np.zeros((256, 512, 3), np.uint8)
    frame[:, 256:] = 200  # a width that is a power of two, and a colour a half
    for _ in range(4):
        observer.add(frame, "frame")
    histogram = observer.result().seen["conv"].histogram
    # Of four frames 8192 values each, two thirds of that to twice as many: what is seen costs little memory.
    assert 4 * 8192 * 2 / 3 <= histogram.total <= 4 * 8192 * 2
    cast = observer.result().seen["cast"].histogram
    assert cast.zeros / cast.total == pytest.approx(0.5, abs=0.01)


def test_small_tensors_are_sampled_whole(tmp_path: Path) -> None:
    observer = Observer(read_model(small_file(tmp_path / "m.onnx")))
    observer.add(noise(16, 16), "frame")
    assert observer.result().seen["conv"].histogram.total == 4 * 16 * 16


def test_tensors_of_the_same_values_share_what_was_seen(tmp_path: Path) -> None:
    probe = build_probe(small_model())
    assert probe.same == {"nchw": "cast", "flat": "pooled", "nhwc": "clipped"}
    assert set(probe.tensors) == FLOATS - {"nchw", "flat"}


@pytest.mark.parametrize(("colour", "value"), [("bgr", 30.0), ("rgb", 10.0)])
def test_channels_are_in_the_order_of_the_model(colour: str, value: float, tmp_path: Path) -> None:
    """The first channel of BGR frames is blue."""
    model = small_model(colour=colour)
    first = np.zeros((4, 3, 3, 3), np.float32)
    first[:, 0, 1, 1] = 255
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(first, "w"))
    observer = Observer(read_model(save(model, tmp_path / "m.onnx")))
    observer.add(np.full((16, 16, 3), (10, 20, 30), np.uint8), "frame")
    assert observer.result().seen["conv"].high == pytest.approx(value, rel=1e-6)


def test_a_tensor_model_is_given_tensors(tmp_path: Path) -> None:
    observer = Observer(read_model(small_file(tmp_path / "m.onnx", layout="tensor", colour="rgb")))
    observer.add(noise(16, 16), "frame")
    seen = observer.result().seen
    assert {"rainy", "unit", "conv", "derained"} <= set(seen)
    assert seen["rainy"].high <= 1.0


def test_a_small_picture_is_padded_to_a_static_model_as_an_engine_does(tmp_path: Path) -> None:
    observer = Observer(read_model(small_file(tmp_path / "m.onnx", height=32, width=64, batch=1)))
    frame = noise(20, 40)
    observer.add(frame, "frame")
    padded = np.pad(frame, ((0, 12), (0, 24), (0, 0)), mode="reflect")
    expected = all_values(small_model(height=32, width=64, batch=1), padded[None, :, :, ::-1].copy())["conv"]
    assert observer.result().seen["conv"].high == pytest.approx(expected.max(), rel=1e-6)


def quantised(path: Path) -> Path:
    model = small_model()
    model.graph.node.append(helper.make_node("QuantizeLinear", ["unit", "step"], ["q"]))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.1), "step"))
    return save(model, path)


def broken_weights(path: Path) -> Path:
    model = small_model()
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.full((4, 3, 3, 3), np.nan, np.float32), "w")
    )
    return save(model, path)


def foreign(path: Path) -> Path:
    model = small_model()
    del model.metadata_props[:]
    return save(model, path)


def changed_later(path: Path) -> Path:
    write_manifest(small_file(path), "00" * 32, METADATA)
    return path


def text(path: Path) -> Path:
    path.write_text("a model, honestly")
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (quantised, "is already quantised"),
        (lambda path: small_file(path, precision="int8"), "is already quantised"),
        (lambda path: small_file(path, precision="fp16"), "computes in fp16"),
        (foreign, "was not made by granet-export"),
        (changed_later, "was changed after"),
        (text, "not an ONNX file"),
        (lambda path: path, "No such file"),
    ],
)
def test_a_model_that_cannot_be_calibrated_is_one_line(make: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says) as caught:
        Observer(read_model(make(tmp_path / "m.onnx")))
    assert "\n" not in str(caught.value) and "m.onnx" in str(caught.value)


def test_weights_that_are_not_numbers_are_named(tmp_path: Path) -> None:
    observer = Observer(read_model(broken_weights(tmp_path / "m.onnx")))
    with pytest.raises(UserError, match=r"conv is not finite on rain\.png"):
        observer.add(noise(16, 16), "rain.png")


def test_a_picture_that_is_too_small_is_named(tmp_path: Path) -> None:
    observer = Observer(read_model(small_file(tmp_path / "m.onnx")))
    with pytest.raises(UserError, match=r"icon\.png: .*8x8 pixels is too small"):
        observer.add(noise(8, 8), "icon.png")


@pytest.mark.parametrize(
    "error",
    [MemoryError(), observe.ORT_ERRORS[0]("Failed to allocate memory for requested buffer of size 9")],
)
def test_too_little_memory_says_what_helps(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Starved:
        def run(self, *_: Any) -> None:
            raise error

    observer = Observer(read_model(small_file(tmp_path / "m.onnx")))
    monkeypatch.setattr(observer, "_session", Starved())
    with pytest.raises(UserError, match=r"photo\.png: not enough memory .* 64x48: choose a smaller --size"):
        observer.add(noise(48, 64), "photo.png")


def test_the_model_is_not_modified() -> None:
    model = small_model()
    before = model.SerializeToString()
    build_probe(model)
    assert model.SerializeToString() == before
    assert "granet" in {entry.key for entry in model.metadata_props}


def test_a_model_without_floating_point_has_nothing_to_calibrate(tmp_path: Path) -> None:
    """``255 - x`` on uint8."""
    with pytest.raises(UserError, match="no floating-point tensor"):
        Observer(read_model(inverting_file(tmp_path / "m.onnx")))
