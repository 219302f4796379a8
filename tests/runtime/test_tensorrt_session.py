"""The TensorRT engine without a GPU: order of calls, lifetimes, leaks, and the very pixels.

Behind it a CUDA in which everything happens as late as it may (or in a random order), and a TensorRT whose
network is ``255 - x``; both check what is done to them.
"""

import gc
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from granet.errors import UserError
from runtime.cuda.contract import CudaError
from runtime.device import Device
from runtime.engine_record import Profile
from runtime.engines.tensorrt_engine import TensorRtEngine
from runtime.engines.tensorrt_session import SLOTS
from runtime.frame import Frame, Pixels
from runtime.pipeline import Pipeline
from tests.runtime.engine_files import PLAN, engine_file, record
from tests.runtime.fake_cuda import FakeCuda
from tests.runtime.fake_tensorrt import FakeTensorRt
from tests.runtime.test_pipeline import FakeSink, FakeSource

DYNAMIC = {"height": None, "width": None, "batch": None}
WIDE = Profile((1, 16, 16), (1, 48, 64), (4, 96, 128))
FLAVOURS = ("tensorrt", "tensorrt-rtx")


def noise(n: int, height: int = 48, width: int = 64, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)


class Opened:
    """An engine on fakes; closing it checks that nothing is left."""

    def __init__(
        self, directory: Path, *, graphs: bool = True, broken: str | None = None, **cuda: Any
    ) -> None:
        made = cuda.pop("made", None) or record()
        self.fake = FakeTensorRt(made, made.flavour)  # type: ignore[arg-type]
        self.fake.broken = broken
        self._path = engine_file(directory, made)
        self._options = {"graphs": graphs, "cuda": self.fake.open_cuda(**cuda), "flavours": self._flavour}
        self.engine: TensorRtEngine | None = None

    def _flavour(self, name: str) -> Any:
        assert name == self.fake.name
        return self.fake.flavour

    def __enter__(self) -> TensorRtEngine:
        self.engine = TensorRtEngine(self._path, Device.parse("auto"), **self._options)  # type: ignore[arg-type]
        return self.engine

    def __exit__(self, *error: object) -> None:
        assert self.engine is not None
        self.engine.close()
        self.engine.close()  # may be called twice
        self.check()

    @property
    def cuda(self) -> FakeCuda:
        assert self.fake.cuda is not None
        return self.fake.cuda

    def at_once(self, frames: Iterable[Pixels]) -> list[Future[NDArray[Any]]]:
        """Hands over all frames before the first is copied to the device."""
        assert self.engine is not None
        self.cuda.gate = threading.Event()
        pending = [self.engine._thread.submit(frame) for frame in frames]
        self.cuda.gate.set()
        return pending

    def check(self) -> None:
        if self.fake.cuda is not None:
            self.fake.cuda.check_no_leaks()
        if not self._dropped_in_order():
            gc.collect()  # an exception's traceback may have held on to something
            assert self._dropped_in_order(), self.fake.events

    def _dropped_in_order(self) -> bool:
        """The context before its engine, and that before its runtime."""
        events = [event for event in self.fake.events if event.endswith(("made", "dropped"))]
        made = [event.removesuffix(" made") for event in events if event.endswith("made")]
        return events[len(made) :] == [f"{name} dropped" for name in reversed(made)]


Open = Callable[..., Opened]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    return lambda **options: Opened(tmp_path, **options)


class TestFrames:
    @pytest.mark.parametrize("flavour", FLAVOURS)
    @pytest.mark.parametrize("graphs", [True, False])
    @pytest.mark.parametrize("seed", [None, 0, 1, 2])
    def test_pixels_are_right_in_whatever_order_the_gpu_works(
        self, opened: Open, flavour: str, graphs: bool, seed: int | None
    ) -> None:
        with opened(made=record(flavour), graphs=graphs, seed=seed) as engine:
            for index in range(7):
                frames = noise(1, seed=index)
                np.testing.assert_array_equal(engine.run(frames), 255 - frames)

    @pytest.mark.parametrize("seed", [None, *range(8)])
    def test_frames_of_several_threads_do_not_mix(self, opened: Open, seed: int | None) -> None:
        frames = [noise(1, seed=index) for index in range(40)]
        with opened(seed=seed) as engine, ThreadPoolExecutor(engine.concurrency) as pool:
            for frame, result in zip(frames, pool.map(engine.run, frames), strict=True):
                np.testing.assert_array_equal(result, 255 - frame)

    def test_sizes_take_turns(self, opened: Open) -> None:
        made = record(meta=DYNAMIC, profiles=(WIDE,))
        shapes = [(48, 64), (96, 128), (48, 64), (16, 16), (41, 50)]
        with opened(made=made, seed=3) as engine, ThreadPoolExecutor(engine.concurrency) as pool:
            frames = [noise(1, *shapes[index % 5], seed=index) for index in range(25)]
            for frame, result in zip(frames, pool.map(engine.run, frames), strict=True):
                np.testing.assert_array_equal(result, 255 - frame)

    @pytest.mark.parametrize("count", [1, 4, 5, 9])
    def test_a_batch_beyond_the_profile_goes_in_groups(self, opened: Open, count: int) -> None:
        with opened(made=record(meta=DYNAMIC, profiles=(WIDE,))) as engine:
            frames = noise(count)
            np.testing.assert_array_equal(engine.run(frames), 255 - frames)

    def test_a_batch_below_the_profile_is_filled(self, opened: Open) -> None:
        four = Profile((4, 16, 16), (4, 48, 64), (6, 96, 128))
        with opened(made=record(meta=DYNAMIC, profiles=(four,))) as engine:
            for count in (1, 3, 7):
                frames = noise(count)
                np.testing.assert_array_equal(engine.run(frames), 255 - frames)

    def test_a_dynamic_model_built_for_one_size_is_padded_and_tiled_to_it(self, opened: Open) -> None:
        made = record(meta=DYNAMIC, profiles=(Profile.fixed(1, 48, 64),))
        with opened(made=made) as engine:
            assert "64x48" in engine.info.description
            for size in ((48, 64), (40, 50), (100, 150)):
                frames = noise(2, *size)
                np.testing.assert_array_equal(engine.run(frames), 255 - frames)

    def test_an_engine_of_tensors_converts_on_the_host_and_says_so(self, opened: Open) -> None:
        with opened(made=record(meta={"layout": "tensor", "colour": "rgb"})) as engine:
            frames = noise(1)
            np.testing.assert_array_equal(engine.run(frames), 255 - frames)
            assert "on the host" in engine.info.description and engine.info.colour == "rgb"

    def test_more_outputs_than_the_one_that_is_asked_for(self, opened: Open) -> None:
        with opened(made=record(meta={"outputs": ["derained", "mask", "coarse"]})) as engine:
            np.testing.assert_array_equal(engine.run(noise(1)), 255 - noise(1))

    def test_the_description_says_what_runs_where(self, opened: Open) -> None:
        with opened(made=record("tensorrt-rtx"), capability="8.6") as engine:
            said = engine.info.description
            for part in (
                "RTX 1.7.1.116",
                "cuda:0",
                "Fake GPU",
                "fake 1.0",
                "with CUDA graphs",
                "fp32",
                "bgr",
            ):
                assert part in said
        with opened(graphs=False) as engine:
            assert "without CUDA graphs" in engine.info.description


class TestOverlap:
    def test_frames_are_copied_in_before_the_first_is_waited_for(self, opened: Open) -> None:
        session = opened()
        with session as engine:
            engine.run(noise(1))
            start = len(session.cuda.calls)
            pending = session.at_once(noise(1, seed=index) for index in range(3 * SLOTS))
            for index, future in enumerate(pending):
                np.testing.assert_array_equal(future.result(10), 255 - noise(1, seed=index))
            order = [call for call in session.cuda.calls[start:] if call in ("copy_in", "wait_for")]
            assert order[: SLOTS + 1] == ["copy_in"] * SLOTS + ["wait_for"]
            flying = np.cumsum([1 if call == "copy_in" else -1 for call in order])
            assert flying.max() == SLOTS and flying[-1] == 0

    def test_buffers_are_made_once_for_a_shape(self, opened: Open) -> None:
        session = opened()
        with session as engine:
            engine.run(noise(1))
            cuda = session.cuda
            count = len(cuda.alive)
            for index in range(50):
                engine.run(noise(1, seed=index))
            assert cuda.calls.count("pinned") == 2 * SLOTS
            assert len(cuda.alive) == count + 1  # the graph

    @pytest.mark.parametrize("seed", [None, 5])
    def test_the_pipeline_keeps_several_frames_in_flight_and_their_order(
        self, opened: Open, seed: int | None
    ) -> None:
        shown: list[int] = []

        class Sink(FakeSink):
            def write(self, frame: Frame, before: Frame | None = None) -> None:
                super().write(frame)
                shown.append(int(frame.pixels[0, 0, 0]))

        sink, session = Sink(), opened(seed=seed)
        with session as engine:
            Pipeline(FakeSource(60), engine, sink).run()
        assert sink.indices == list(range(60))
        assert shown == [255 - index for index in range(60)]


class TestGraphs:
    def test_the_network_is_enqueued_twice_and_launched_from_then_on(self, opened: Open) -> None:
        """Once as it is, once to be captured; one graph serves all slots."""
        session = opened()
        with session as engine:
            for index in range(10):
                engine.run(noise(1, seed=index))
            cuda = session.cuda
            assert session.fake.events.count("enqueued") == 2
            assert (cuda.calls.count("capture"), cuda.calls.count("launch")) == (1, 9)

    def test_a_new_shape_gets_a_new_graph_after_a_run_without_one(self, opened: Open) -> None:
        made = record(meta=DYNAMIC, profiles=(WIDE,))
        session = opened(made=made)
        with session as engine:
            for size in ((48, 64), (48, 64), (96, 128), (96, 128), (48, 64), (48, 64)):
                engine.run(noise(1, *size))
            cuda = session.cuda
            assert (cuda.calls.count("capture"), cuda.calls.count("release_graph")) == (3, 2)

    def test_rtx_makes_its_own(self, opened: Open) -> None:
        for graphs, strategy in ((True, "graphs whole"), (False, "graphs off")):
            session = opened(made=record("tensorrt-rtx"), graphs=graphs)
            with session as engine:
                _ = [engine.run(noise(1)) for _ in range(4)]
                assert "capture" not in session.cuda.calls
                assert session.fake.events.count(strategy) == 1

    def test_without_graphs_none_is_captured(self, opened: Open) -> None:
        session = opened(graphs=False)
        with session as engine:
            _ = [engine.run(noise(1)) for _ in range(4)]
            assert "capture" not in session.cuda.calls


class TestProfiles:
    SMALL = Profile((1, 16, 16), (1, 48, 64), (4, 96, 128))
    LARGE = Profile((1, 16, 16), (1, 96, 128), (2, 192, 256))

    def test_the_one_that_was_tuned_nearest_is_chosen(self, opened: Open) -> None:
        session = opened(made=record(meta=DYNAMIC, profiles=(self.SMALL, self.LARGE)))
        with session as engine:
            for size in ((48, 64), (96, 128), (192, 256), (32, 48)):
                np.testing.assert_array_equal(engine.run(noise(1, *size)), 255 - noise(1, *size))
            assert [event for event in session.fake.events if "profile" in event] == [
                "profile 1",
                "profile 0",
            ]

    def test_a_size_outside_gets_the_range_and_the_command(self, opened: Open) -> None:
        with opened(made=record(meta=DYNAMIC, profiles=(WIDE,))) as engine:
            for call in (lambda: engine.plan(480, 640), lambda: engine.run(noise(1, 480, 640))):
                with pytest.raises(UserError, match="not for 640x480") as caught:
                    call()
                for part in (
                    "1 to 4 frames of 16x16 to 128x96",
                    "granet-export trt best.onnx",
                    "--size 640x480",
                ):
                    assert part in str(caught.value)
            np.testing.assert_array_equal(engine.run(noise(1)), 255 - noise(1))  # and goes on


class TestFailures:
    """Whatever fails and wherever: one line, nothing left behind, nothing freed twice."""

    @staticmethod
    def calls_of_a_run(opened: Open) -> list[str]:
        session = opened()
        with session as engine:
            _ = [engine.run(noise(1)) for _ in range(3)]
        return session.cuda.calls

    @pytest.mark.parametrize("sticky", [True, False])
    def test_every_call_of_cuda_may_fail(self, opened: Open, sticky: bool) -> None:
        calls = self.calls_of_a_run(opened)
        failed = 0
        for number, name in enumerate(calls):
            session = opened(fail_at=number, sticky=sticky)
            try:
                with session as engine:
                    for _ in range(3):
                        np.testing.assert_array_equal(engine.run(noise(1)), 255 - noise(1))
            except CudaError as error:
                assert "CUDA error 700" in str(error) and "\n" not in str(error)
                failed += 1
            else:
                assert name.startswith("release_") or name == "close"
            session.check()
        assert failed > 30

    def test_after_a_passing_failure_the_next_frame_comes_through(self, opened: Open) -> None:
        calls = self.calls_of_a_run(opened)
        with opened(fail_at=calls.index("copy_out")) as engine:
            with pytest.raises(CudaError, match="copy_out"):
                engine.run(noise(1))
            np.testing.assert_array_equal(engine.run(noise(1)), 255 - noise(1))

    def test_all_frames_in_flight_get_the_error(self, opened: Open) -> None:
        calls = self.calls_of_a_run(opened)
        session = opened(fail_at=calls.index("wait_for"), sticky=True)
        with session as engine:
            assert engine.concurrency == SLOTS
            for future in session.at_once(noise(1) for _ in range(SLOTS)):
                assert isinstance(future.exception(timeout=10), CudaError)

    @pytest.mark.parametrize(
        ("broken", "reason"),
        [
            ("deserialise", "CUDA error 35"),
            ("context", "no memory"),
            ("profiles", "it has 2 profiles, its record 1"),
            ("shape", "not what its metadata says"),
        ],
    )
    def test_an_engine_that_cannot_be_loaded(self, opened: Open, broken: str, reason: str) -> None:
        session = opened(broken=broken)
        with pytest.raises(UserError, match=reason) as caught, session:
            pass
        assert "\n" not in str(caught.value) and ".cpp" not in str(caught.value)
        session.check()

    def test_rtx_is_asked_before_a_plan_is_loaded(self, opened: Open) -> None:
        session = opened(
            made=record("tensorrt-rtx", compute_capabilities=()), broken="invalid", capability="9.0"
        )
        with pytest.raises(UserError, match=r"Fake GPU \(9\.0\): its compute cap.*granet-export"), session:
            pass
        assert session.fake.given is None
        session.check()

    def test_a_dla_engine_gets_its_core(self, opened: Open) -> None:
        session = opened(made=record(arguments=("--size", "64x48", "--dla", "1")))
        with session:
            assert session.fake.dla_core == 1
        with opened() as engine:
            assert "dla" not in engine.info.description

    def test_a_network_that_does_not_start(self, opened: Open) -> None:
        with opened(broken="enqueue") as engine, pytest.raises(UserError, match="out of luck"):
            engine.run(noise(1))

    def test_a_closed_engine_says_so(self, opened: Open) -> None:
        with opened() as engine:
            engine.close()
            with pytest.raises(UserError, match="was closed"):
                engine.run(noise(1))

    def test_closing_finishes_what_is_in_flight(self, opened: Open) -> None:
        with opened() as engine:
            pending = [engine._thread.submit(noise(1, seed=index)) for index in range(8)]
            engine.close()
            for index, future in enumerate(pending):
                np.testing.assert_array_equal(future.result(timeout=10), 255 - noise(1, seed=index))

    @pytest.mark.parametrize("device", ["cpu", "gpu", "npu"])
    def test_other_devices_are_refused(self, tmp_path: Path, device: str) -> None:
        with pytest.raises(UserError, match="runs on NVIDIA GPUs"):
            TensorRtEngine(engine_file(tmp_path, record()), Device.parse(device))

    def test_another_gpu_than_the_first(self, tmp_path: Path) -> None:
        made = record()
        fake = FakeTensorRt(made)
        path = engine_file(tmp_path, made)
        device = Device.parse("cuda:2")
        with TensorRtEngine(
            path, device, cuda=fake.open_cuda(), flavours=lambda name: fake.flavour
        ) as engine:
            assert engine.info.device == "cuda:2"
            assert fake.cuda is not None and fake.cuda.gpu.index == 2
        assert fake.given == PLAN
