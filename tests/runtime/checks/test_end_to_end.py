"""A whole run is measured on a clip that has rain."""

from pathlib import Path

import numpy as np

from runtime.checks.end_to_end import make_clip, measure_end_to_end
from runtime.sources.video.source import VideoSource
from tests.runtime.fakes import FakeEngine


def test_every_frame_of_the_clip_goes_through_the_engine_into_a_file() -> None:
    engine = FakeEngine()
    summary = measure_end_to_end(engine, (48, 64), 9)
    assert (summary.frames_in, summary.frames_out, summary.complete) == (9, 9, True)
    assert engine.calls == 10  # one before the clock starts
    assert summary.fps > 0 and summary.latency_ms.p50 >= summary.engine_ms.p50 > 0


def test_the_clip_moves_and_has_the_size_asked_for(tmp_path: Path) -> None:
    with VideoSource(str(make_clip(tmp_path / "clip.mp4", (48, 64), 4)), print) as source:
        frames = [frame.pixels for frame in source.frames("bgr")]
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 4
    assert not np.array_equal(frames[0], frames[2])
