"""The TensorRT engine without a GPU: exact pixels, overlap, graphs and profiles.

Behind it a CUDA in which everything happens as late as it may (or in a random order), and a TensorRT whose
network is ``255 - x``; both check what is done to them.
"""

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from granet.errors import UserError
from runtime.live.pipeline import Pipeline
from runtime.media.frame import Frame
from runtime.tensorrt.optimisation_profile import Profile
from tests.runtime.live.test_pipeline import FakeSink, FakeSource
from tests.runtime.tensorrt.engine_files import record
from tests.runtime.tensorrt.opened_engine import DYNAMIC, FLAVOURS, WIDE, Opened, noise

SLOTS = 3
"""Frames in flight: one is uploaded, one computed and one downloaded."""

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

    def test_an_engine_with_more_outputs_than_requested(self, opened: Open) -> None:
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
    def test_frames_are_uploaded_before_the_first_result_is_awaited(self, opened: Open) -> None:
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

    @pytest.mark.parametrize("flavour", FLAVOURS)
    def test_ten_thousand_frames_leave_nothing_behind(self, opened: Open, flavour: str) -> None:
        """No leak on the device or in Python; the size changes every 500 frames."""
        made = record(flavour, meta=DYNAMIC, profiles=(WIDE,))
        session = opened(made=made)
        with session as engine:

            def run(count: int) -> tuple[int, int]:
                for index in range(count):
                    engine.run(frames[index // 500 % 2])
                session.cuda.calls.clear()  # the fakes' own records
                session.fake.events.clear()
                gc.collect()
                return len(session.cuda.alive), len(gc.get_objects())

            frames = [noise(1, 16, 16), noise(1, 16, 24)]
            things, objects = run(1_000)
            later_things, later_objects = run(10_000)
            assert later_things == things
            assert later_objects - objects < 100
            engine.close()
            session.fake.events.clear()  # the order of dropping is another test's


class TestGraphs:
    def test_the_network_is_enqueued_twice_and_launched_from_then_on(self, opened: Open) -> None:
        """First directly, then captured; one graph serves all slots."""
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

    def test_rtx_captures_graphs_itself(self, opened: Open) -> None:
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

    def test_the_profile_tuned_nearest_is_chosen(self, opened: Open) -> None:
        session = opened(made=record(meta=DYNAMIC, profiles=(self.SMALL, self.LARGE)))
        with session as engine:
            for size in ((48, 64), (96, 128), (192, 256), (32, 48)):
                np.testing.assert_array_equal(engine.run(noise(1, *size)), 255 - noise(1, *size))
            assert [event for event in session.fake.events if "profile" in event] == [
                "profile 1",
                "profile 0",
            ]

    def test_a_size_outside_all_profiles_gets_the_range_and_the_command(self, opened: Open) -> None:
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
