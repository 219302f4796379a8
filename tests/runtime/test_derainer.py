"""``runtime.Derainer``: from arrays, files and videos to results that can be used, saved and shown."""

import inspect
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import runtime
from granet.errors import UserError
from granet.synthetic.rain import add_rain, render_rain, sample_rain
from granet.synthetic.street import street
from runtime.media.frame import Colour, Pixels
from runtime.models.packaged import PRESETS
from runtime.sources.base import DecodedFrame
from tests.media import make_clip, number_of
from tests.runtime.fakes import FakeEngine


@pytest.fixture
def inverter(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The model of every Derainer in these tests: 255 - x, in BGR."""
    engine = FakeEngine(invert=True)
    monkeypatch.setattr("runtime.derainer.open_engine", lambda *args, **options: engine)
    return engine


def coloured(height: int = 48, width: int = 64) -> Pixels:
    return np.full((height, width, 3), (10, 100, 200), np.uint8)


def test_the_public_names_are_there_and_typed() -> None:
    assert set(runtime.__all__) == {"Derainer", "Engine", "Frame", "Result", "open_engine"}
    for name in runtime.__all__:
        assert inspect.getdoc(getattr(runtime, name))
    assert set(inspect.get_annotations(runtime.Derainer.predict)) == {"source", "stream", "return"}


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
def test_an_array_keeps_its_channel_order_whatever_the_model_has(
    colour: Colour, inverter: FakeEngine
) -> None:
    [result] = runtime.Derainer("lite", colour=colour).predict(coloured())
    np.testing.assert_array_equal(result.derained, 255 - coloured())
    np.testing.assert_array_equal(result.input, coloured())
    # 10 - 245 and 100 - 155 are not rain; 200 - 55 is.
    np.testing.assert_array_equal(result.rain, np.full((48, 64, 3), (0, 0, 145), np.uint8))


def test_colours_reach_a_model_in_its_own_order(
    monkeypatch: pytest.MonkeyPatch, inverter: FakeEngine
) -> None:
    seen: list[Pixels] = []
    infer = inverter._infer
    monkeypatch.setattr(inverter, "_infer", lambda batch, mask: (seen.append(batch), infer(batch, mask))[1])
    runtime.Derainer("lite", colour="rgb").predict(coloured())
    assert seen[0][0, 0, 0].tolist() == [200, 100, 10]


def test_files_are_read_and_written_alike_in_both_orders(tmp_path: Path, inverter: FakeEngine) -> None:
    cv2.imwrite(str(tmp_path / "rainy.png"), coloured())
    orders: tuple[Colour, ...] = ("bgr", "rgb")
    for colour in orders:
        [result] = runtime.Derainer("lite", colour=colour).predict(tmp_path / "rainy.png")
        assert result.input[0, 0].tolist() == ([10, 100, 200] if colour == "bgr" else [200, 100, 10])
        saved = result.save(tmp_path / f"{colour}.png")
        np.testing.assert_array_equal(cv2.imread(str(saved)), 255 - coloured())


def test_a_list_a_directory_and_an_iterator_give_results_in_order(
    tmp_path: Path, inverter: FakeEngine
) -> None:
    for name, level in (("b10.png", 10), ("b9.png", 9)):
        cv2.imwrite(str(tmp_path / name), np.full((20, 24, 3), level, np.uint8))
    derainer = runtime.Derainer("lite")
    folder = derainer.predict(str(tmp_path))
    assert [(r.name, int(r.input[0, 0, 0])) for r in folder] == [("b9.png", 9), ("b10.png", 10)]
    mixed = derainer.predict([coloured(), tmp_path / "b9.png", coloured(20, 40)])
    assert [r.input.shape for r in mixed] == [(48, 64, 3), (20, 24, 3), (20, 40, 3)]
    assert [r.name for r in mixed] == ["000001.png", "b9.png", "000003.png"]
    assert derainer.predict([]) == []


def test_an_iterator_is_read_only_as_far_as_results_are_taken(inverter: FakeEngine) -> None:
    given = []

    def camera() -> Iterator[Pixels]:
        for level in range(100):
            given.append(level)
            yield np.full((16, 16, 3), level, np.uint8)

    results = runtime.Derainer("lite").predict(camera(), stream=True)
    assert given == []
    assert next(results).input[0, 0, 0] == 0 and next(results).input[0, 0, 0] == 1
    assert given == [0, 1] and inverter.calls == 2


def test_a_video_gives_every_frame_with_its_time(tmp_path: Path, inverter: FakeEngine) -> None:
    make_clip(tmp_path / "clip.mp4", 5)
    results = list(runtime.Derainer("lite").predict(tmp_path / "clip.mp4", stream=True))
    assert [number_of(result.input) for result in results] == [0, 1, 2, 3, 4]
    assert [result.seconds for result in results] == pytest.approx([i * 1001 / 30000 for i in range(5)])
    # The decoder's frame beside the pixels would double the memory of a list.
    assert not any(isinstance(result.before, DecodedFrame) for result in results)


@pytest.mark.parametrize("name", PRESETS)
def test_a_packaged_model_takes_rain_away_and_keeps_a_dry_street(name: str) -> None:
    clean = street(160, 240, seed=1)[..., ::-1]
    shower = replace(sample_rain(np.random.default_rng(1), 0.4), mist=0.0, drops=0.0)
    rainy = add_rain(clean, render_rain(shower, 160, 240))
    with runtime.Derainer(name) as derainer:
        dry, wet = derainer.predict([clean, rainy])

    def error(picture: Pixels) -> float:
        return float(np.abs(picture.astype(int) - clean).mean())

    assert error(wet.derained) < error(rainy) * 2 / 3
    assert error(dry.derained) < 3
    fell = np.abs(rainy.astype(int) - clean).max(axis=2)
    assert wet.rain[fell > 30].mean() > 5 * wet.rain[fell < 3].mean()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            np.zeros((48, 64), np.uint8),
            r"array of uint8 with shape \(48, 64\) is not one picture: give numpy.dstack\(\[array\] \* 3\)",
        ),
        (np.zeros((48, 64, 1), np.uint8), r"is not one picture: give numpy.dstack\(\[array\] \* 3\)"),
        (np.zeros((48, 64, 4), np.uint8), r"is not one picture: give array\[..., :3\]"),
        (np.zeros((3, 48, 64), np.uint8), r"is not one picture: give array.transpose\(1, 2, 0\)"),
        (np.zeros((48, 64, 3)), r"float64 .* is not one picture: give numpy.uint8\(numpy.clip\(array \* 255"),
        (np.zeros((48, 64, 3), np.uint16), r"is not one picture: give numpy.uint8\(array // 257\)"),
        (np.zeros((0, 0, 3), np.uint8), "is not one picture: give uint8 H x W x 3"),
        ("", "the path is empty: give a uint8"),
        (b"rainy.png", "bytes is not an input: give a uint8"),
        ({}, "dict is not an input: give a uint8"),
        (np.zeros((48, 64, 3), np.float32), "array of float32 .* give numpy.uint8"),
        (np.zeros((2, 48, 64, 3), np.uint8), r"give list\(array\)"),
        ([coloured(), 3], "int is not an input: give a uint8 H x W x 3 array, a path"),
        (None, "NoneType is not an input"),
        ("nowhere.png", "nowhere.png"),
        ("rtsp://127.0.0.1:1/cam", "may never end: use predict.*stream=True"),
        (np.zeros((8, 64, 3), np.uint8), "16"),
    ],
)
def test_a_wrong_input_gets_one_line(source: Any, message: str) -> None:
    with runtime.Derainer("lite") as derainer, pytest.raises(UserError, match=message) as caught:
        derainer.predict(source)
    assert "\n" not in str(caught.value)


def test_a_pillow_picture_gets_the_way_to_give_it() -> None:
    class Image:
        __array_interface__ = None

    with runtime.Derainer("lite") as derainer, pytest.raises(UserError, match=r"numpy\.asarray.*'rgb'"):
        derainer.predict(Image())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "message"),
    [("light", "model light: give lite or base"), ("gone.onnx", "gone.onnx: no such model file")],
)
def test_a_model_that_is_not_there_gets_one_line(model: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        runtime.Derainer(model)


def test_a_wrong_channel_order_is_refused() -> None:
    with pytest.raises(UserError, match="'gbr': choose bgr or rgb"):
        runtime.Derainer("lite", colour="gbr")  # type: ignore[arg-type]


def test_use_after_close_is_an_error_also_in_the_middle_of_a_video(inverter: FakeEngine) -> None:
    derainer = runtime.Derainer("lite")
    results = derainer.predict([coloured()] * 3, stream=True)
    first = next(results)
    derainer.close()
    derainer.close()
    with pytest.raises(UserError, match="this Derainer is closed"):
        next(results)
    with pytest.raises(UserError, match="this Derainer is closed"):
        derainer.predict(coloured())
    np.testing.assert_array_equal(first.derained, 255 - coloured())


def test_threads_share_a_derainer_within_the_concurrency_of_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, inside, most = FakeEngine(seconds=0.01), [0], [0]
    infer, lock = engine._infer, threading.Lock()

    def counted(batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        try:
            return infer(batch, want_mask)
        finally:
            with lock:
                inside[0] -= 1

    monkeypatch.setattr(engine, "_infer", counted)
    monkeypatch.setattr("runtime.derainer.open_engine", lambda *args, **options: engine)
    derainer = runtime.Derainer("lite")
    threads = [threading.Thread(target=derainer.predict, args=([coloured()] * 5,)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert engine.calls == 20 and most == [1]


def test_saving_keeps_alpha_and_never_replaces_what_was_not_offered(
    tmp_path: Path, inverter: FakeEngine
) -> None:
    rainy = tmp_path / "rainy.png"
    cv2.imwrite(str(rainy), np.dstack([coloured(), np.full((48, 64), 77, np.uint8)]))
    before = rainy.read_bytes()
    [result] = runtime.Derainer("lite").predict(rainy)
    out = tmp_path / "out"
    out.mkdir()
    assert result.save(out) == out / "rainy.png"
    saved = cv2.imread(str(out / "rainy.png"), cv2.IMREAD_UNCHANGED)
    assert saved is not None and saved.shape == (48, 64, 4) and (saved[..., 3] == 77).all()
    with pytest.raises(UserError, match=r"exists; replace it with save\(\.\.\., overwrite=True\)"):
        result.save(out)
    assert result.save(out, compare=True, overwrite=True) == out / "rainy.png"
    assert cv2.imread(str(out / "rainy.png")).shape == (48, 64 * 2 + 4, 3)
    with pytest.raises(UserError, match="is the input"):
        result.save(rainy, overwrite=True)
    with pytest.raises(UserError, match="there is no directory"):
        result.save(tmp_path / "gone" / "x.png")
    for name in ("a.mp4", "new", "a.gif"):
        with pytest.raises(UserError, match=rf"{name}: is neither an existing directory .* \.png "):
            result.save(tmp_path / name)
    assert rainy.read_bytes() == before
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["out", "rainy.png", "rainy.png"]


def test_an_unexpected_property_of_a_file_is_a_warning(tmp_path: Path, inverter: FakeEngine) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((20, 24, 3), 65535, np.uint16))
    with pytest.warns(UserWarning, match="16-bit"):
        runtime.Derainer("lite").predict(tmp_path / "deep.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runtime.Derainer("lite").predict(coloured(17, 31))


def test_a_result_shows_itself_in_a_window_or_in_a_notebook(
    inverter: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    [result] = runtime.Derainer("lite").predict(coloured())
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UserError, match=r"no screen .*; write the result with save\(\)$"):
        result.show()

    class Shell:
        kernel = object()

    class IPython:
        get_ipython = Shell

    shown: list[Any] = []

    class Display:
        display = shown.append

    monkeypatch.setitem(__import__("sys").modules, "IPython", IPython)
    monkeypatch.setitem(__import__("sys").modules, "IPython.display", Display)
    result.show(compare=False)
    decoded = cv2.imdecode(np.frombuffer(shown[0]._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decoded, 255 - coloured())
    joined = cv2.imdecode(np.frombuffer(result._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    assert joined is not None and joined.shape == (48, 64 * 2 + 4, 3)
