import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest

from granet.errors import UserError
from runtime.live.guard import EngineGuard
from runtime.live.pipeline import Pipeline
from runtime.media.frame import Frame, Pixels
from runtime.models.packaged import packaged_model
from runtime.open import open_engine
from runtime.sources.base import StreamInfo
from runtime.telemetry.health import Health
from tests.media import numbered
from tests.runtime.fakes import FakeEngine
from tests.runtime.live.test_pipeline import FakeSink, FakeSource


class SickEngine(FakeEngine):
    """Gives 1 + the input; does what ``faults`` say, by the number of the call."""

    def __init__(self, faults: dict[int, object]) -> None:
        super().__init__()
        self.faults = faults

    def run(self, frames: Pixels) -> Pixels:
        fault = self.faults.get(self.calls)
        self.calls += 1
        if isinstance(fault, Exception):
            raise fault
        if fault == "black":
            return np.zeros_like(frames)
        if fault == "nan":
            # What a cast makes of not-a-number, on every processor that was looked at.
            with np.errstate(invalid="ignore"):
                return np.full(frames.shape, np.nan, np.float32).astype(np.uint8)
        if fault == "white":
            return np.full_like(frames, 255)
        if fault == "one channel":
            result = frames + np.uint8(1)
            result[..., 1] = 0
            return result
        if fault == "half black":
            result = frames + np.uint8(1)
            result[:, : frames.shape[1] // 2] = 0
            return result
        if fault == "float":
            return frames.astype(np.float32)  # type: ignore[return-value]
        if fault == "small":
            return frames[:, ::2]
        return frames + np.uint8(1)


MEMORY = [
    MemoryError(),
    RuntimeError(
        "[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer of size 8589934592"
    ),
    RuntimeError("CUDA failure 2: out of memory ; GPU=0"),
    RuntimeError("CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2)"),
    RuntimeError("cudaErrorMemoryAllocation"),
]
FAULTS = [
    "black", "white", "nan", "one channel", "half black", "float", "small",
    RuntimeError("device lost"), ValueError("x\ny"), UserError("frames of 20x20 are not for this model"),
    *MEMORY,
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("length", [1, 3])
def test_a_frame_the_engine_fails_on_passes_and_says_so(fault: object, length: int) -> None:
    said: list[str] = []
    health = Health("cam")
    guard = EngineGuard(SickEngine(dict.fromkeys(range(2, 2 + length), fault)), said.append)
    for call in range(8):
        frame = Frame(numbered(call + 2), call)
        (result,) = guard.run([frame], [health])
        failed = 2 <= call < 2 + length
        assert bool(result.fault) == bool(health.snapshot().engine_failing) == failed
        np.testing.assert_array_equal(result.pixels, frame.pixels if failed else frame.pixels + 1)
        assert "\n" not in result.fault
    assert health.snapshot().events["engine_fault"] == length
    assert len(said) == 2 and said[1] == f"the engine works again after {length} frames"
    if fault in MEMORY:
        assert "out of memory" in said[0]


def test_a_first_frame_that_is_refused_is_the_users_mistake() -> None:
    guard = EngineGuard(SickEngine({0: UserError("a frame of 8x8 is too small")}))
    with pytest.raises(UserError, match="too small"):
        guard.run([Frame(numbered(0), 0)], [Health("cam")])


def test_dark_pictures_are_no_fault() -> None:
    rng = np.random.default_rng(0)
    guard = EngineGuard(SickEngine({0: "black", 1: "black"}))
    for pixels in (np.zeros((48, 64, 3), np.uint8), rng.integers(0, 20, (48, 64, 3)).astype(np.uint8)):
        assert not guard.run([Frame(pixels, 0)], [Health("cam")])[0].fault


def test_streaks_that_are_taken_off_a_black_night_are_no_fault() -> None:
    night = np.zeros((240, 320, 3), np.uint8)
    night[:64, 30:34] = 90
    guard = EngineGuard(SickEngine({0: "black"}))
    assert not guard.run([Frame(night, 0)], [Health("cam")])[0].fault


def test_a_weight_that_is_not_a_number_is_noticed_whatever_the_backend_makes_of_it(
    tmp_path: Path,
) -> None:
    model = onnx.load(packaged_model("cpu", "onnxruntime"))
    weights = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 4][-1]
    values = onnx.numpy_helper.to_array(weights).copy()
    values.flat[0] = np.nan
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(model, tmp_path / "nan.onnx")
    for backend in ("onnxruntime", "openvino"):
        with open_engine(tmp_path / "nan.onnx", "cpu", backend) as engine:
            (result,) = EngineGuard(engine).run([Frame(numbered(7), 0)], [Health("cam")])
        assert "not a number" in result.fault
        np.testing.assert_array_equal(result.pixels, numbered(7))


@pytest.mark.parametrize("seed", range(4))
def test_of_a_live_run_exactly_the_frames_that_failed_pass_as_they_were(seed: int) -> None:
    rng = random.Random(seed)
    faults = {call: rng.choice(FAULTS) for call in range(1, 60) if rng.random() < 0.4}
    source, sink, said = LitSource(40, live=True, pause=0.002), FaultSink(), list[str]()
    engine = SickEngine(faults)
    Pipeline(source, engine, sink, announce=said.append).run()
    # The frames came in the order of the calls, but for one that may have given way on its way out.
    assert sink.calls[-1] == "finish" and len(sink.seen) > 5
    assert all(bool(fault) == (level == 100) and level in (100, 101) for fault, level in sink.seen)
    snapshot = source.health.snapshot()
    assert snapshot.events["engine_fault"] == sum(call in faults for call in range(engine.calls))
    failed = [call in faults for call in range(engine.calls)]
    episodes = sum(now and not before for before, now in pairwise([False, *failed]))
    assert sum("the engine failed" in line for line in said) == episodes
    assert sum("works again" in line for line in said) == episodes - failed[-1]


def test_one_stream_of_a_batch_does_not_spoil_another() -> None:
    class HalfSick(FakeEngine):
        def _infer(self, batch: Pixels) -> Pixels:
            result = batch.copy()
            result[1] = 0
            return result

    healths = [Health("a"), Health("b")]
    results = EngineGuard(HalfSick()).run([Frame(numbered(3), 0), Frame(numbered(4), 0)], healths)
    assert [bool(result.fault) for result in results] == [False, True]
    assert [health.snapshot().events["engine_fault"] for health in healths] == [0, 1]


class LitSource(FakeSource):
    def frames(self, colour: str) -> object:  # type: ignore[override]
        for frame in super().frames(colour):  # type: ignore[arg-type]
            yield replace(frame, pixels=np.full((20, 24, 3), 100, np.uint8))


class FaultSink(FakeSink):
    """Remembers fault and level of every frame."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int]] = []

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        super().write(frame, before)
        self.seen.append((frame.fault, int(frame.pixels[0, 0, 0])))


def test_a_live_run_goes_on_and_a_file_ends() -> None:
    faults = {3: RuntimeError("CUDA error: out of memory"), 4: "black"}
    sink, said = FakeSink(), []
    source = LitSource(10, live=True, pause=0.02)
    Pipeline(source, SickEngine(dict(faults)), sink, announce=said.append).run()
    assert len(sink.indices) > 6 and sink.calls[-1] == "finish"
    assert source.health.snapshot().events["engine_fault"] == 2 and len(said) == 2
    assert source.info == StreamInfo("fake", "camera", live=True, frames=10)
    file_sink = FakeSink()
    with pytest.raises(RuntimeError, match="out of memory"):
        Pipeline(LitSource(10), SickEngine(dict(faults)), file_sink).run()
    assert file_sink.calls[-1] == "abort"
