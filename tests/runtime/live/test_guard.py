import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest

from granet.errors import UserError
from runtime.engines.base import Derained, Engine
from runtime.live.guard import EngineFaultError, EngineGuard
from runtime.live.pipeline import Pipeline
from runtime.live.shared_engine import SharedEngine
from runtime.media.frame import Frame, Pixels
from runtime.models.packaged import FLOAT32
from runtime.open import open_engine
from runtime.sources.base import StreamInfo
from runtime.telemetry.health import Health
from tests.media import numbered
from tests.runtime.fakes import FakeEngine
from tests.runtime.live.test_pipeline import FakeSink, FakeSource


class SickEngine(FakeEngine):
    """Returns 1 + the input, or fails as ``faults`` say, by the number of the call."""

    def __init__(self, faults: dict[int, object]) -> None:
        super().__init__()
        self.faults = faults

    def derain(self, frames: Pixels, want_mask: bool) -> Derained:
        return Derained(self._sick(frames))

    def _sick(self, frames: Pixels) -> Pixels:
        fault = self.faults.get(self.calls)
        self.calls += 1
        if isinstance(fault, Exception):
            raise fault
        if fault == "black":
            return np.zeros_like(frames)
        if fault == "nan":
            # The result of casting NaN, on every processor tested.
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


def guarded(engine: Engine, said: list[str] | None = None, health: Health | None = None) -> EngineGuard:
    return EngineGuard(engine, health or Health("cam"), ([] if said is None else said).append)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("length", [1, 3])
def test_a_frame_the_engine_fails_on_is_a_fault_that_says_why(fault: object, length: int) -> None:
    said: list[str] = []
    health = Health("cam")
    guard = guarded(SickEngine(dict.fromkeys(range(2, 2 + length), fault)), said, health)
    for call in range(8):
        frames = numbered(call + 2)[None]
        if 2 <= call < 2 + length:
            with pytest.raises(EngineFaultError) as caught:
                guard.run(frames)
            assert str(caught.value) == health.snapshot().engine_failing and "\n" not in str(caught.value)
        else:
            np.testing.assert_array_equal(guard.run(frames), frames + 1)
            assert health.snapshot().engine_failing == ""
    assert health.snapshot().events["engine_fault"] == length
    assert len(said) == 2 and said[1] == f"the engine recovered after {length} frames"
    if fault in MEMORY:
        assert "out of memory" in said[0]


def test_a_first_frame_that_is_refused_is_the_users_mistake() -> None:
    guard = guarded(SickEngine({0: UserError("a frame of 8x8 is too small")}))
    with pytest.raises(UserError, match="too small"):
        guard.run(numbered(0)[None])


def test_dark_pictures_are_not_a_fault() -> None:
    rng = np.random.default_rng(0)
    guard = guarded(SickEngine({0: "black", 1: "black"}))
    for pixels in (np.zeros((48, 64, 3), np.uint8), rng.integers(0, 20, (48, 64, 3)).astype(np.uint8)):
        assert not guard.run(pixels[None]).any()


def test_removing_streaks_from_a_black_night_is_not_a_fault() -> None:
    night = np.zeros((240, 320, 3), np.uint8)
    night[:64, 30:34] = 90
    assert not guarded(SickEngine({0: "black"})).run(night[None]).any()


def test_the_mask_may_be_black_or_white_but_not_of_another_shape() -> None:
    class Masking(FakeEngine):
        def derain(self, frames: Pixels, want_mask: bool) -> Derained:
            return Derained(frames.copy(), masks.pop(0))

    frames = numbered(3)[None]
    masks = [np.zeros_like(frames), np.full_like(frames, 255), frames[:, ::2]]
    guard = guarded(Masking())
    assert not guard.run(frames, want_mask=True)[1].any()
    assert guard.run(frames, want_mask=True)[1].all()
    with pytest.raises(EngineFaultError, match="not uint8"):
        guard.run(frames, want_mask=True)


def test_a_nan_weight_is_detected_with_every_backend(
    tmp_path: Path,
) -> None:
    model = onnx.load(FLOAT32)
    weights = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 4][-1]
    values = onnx.numpy_helper.to_array(weights).copy()
    values.flat[0] = np.nan
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(model, tmp_path / "nan.onnx")
    for backend in ("onnxruntime", "openvino"):
        with (
            guarded(open_engine(tmp_path / "nan.onnx", "cpu", backend)) as guard,
            pytest.raises(EngineFaultError, match="or NaN"),
        ):
            guard.run(numbered(7)[None])


@pytest.mark.parametrize("seed", range(4))
def test_exactly_the_failed_frames_of_a_live_run_are_passed_through(seed: int) -> None:
    rng = random.Random(seed)
    faults = {call: rng.choice(FAULTS) for call in range(1, 60) if rng.random() < 0.4}
    source, sink, said = LitSource(40, live=True, pause=0.002), FaultSink(), list[str]()
    engine = SickEngine(faults)
    Pipeline(source, engine, sink, announce=said.append).run()
    # The frames arrived in call order, except that one may have been dropped before the sink.
    assert sink.calls[-1] == "finish" and len(sink.seen) > 5
    assert all(bool(fault) == (level == 100) and level in (100, 101) for fault, level in sink.seen)
    snapshot = source.health.snapshot()
    assert snapshot.events["engine_fault"] == sum(call in faults for call in range(engine.calls))
    failed = [call in faults for call in range(engine.calls)]
    episodes = sum(now and not before for before, now in pairwise([False, *failed]))
    assert sum("the engine failed" in line for line in said) == episodes
    assert sum("recovered" in line for line in said) == episodes - failed[-1]


def test_a_stream_whose_part_of_a_batch_is_black_does_not_spoil_another() -> None:
    class BlackBelow50(FakeEngine):
        def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
            return (np.where(batch < 50, 0, batch).astype(np.uint8),)

    shared = SharedEngine(BlackBelow50())
    healths = {level: Health(str(level)) for level in (49, 100)}

    def faults(level: int) -> int:
        guard = guarded(shared.stream(), health=healths[level])
        for _ in range(20):
            with suppress(EngineFaultError):
                guard.run(np.full((1, 20, 24, 3), level, np.uint8))
        return healths[level].snapshot().events["engine_fault"]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(faults, healths)) == [20, 0]
    shared.close()


class LitSource(FakeSource):
    def frames(self, colour: str) -> object:  # type: ignore[override]
        for frame in super().frames(colour):  # type: ignore[arg-type]
            yield replace(frame, pixels=np.full((20, 24, 3), 100, np.uint8))


class FaultSink(FakeSink):
    """Records fault and level of every frame."""

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
