"""Thumbnails of the report: a frame of the recording beside the same frame of the result."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.archive.thumbnails import WIDTH, before_and_after
from runtime.sources.url import file_address
from tests.media import make_clip


@pytest.mark.parametrize("frames", [1, 2, 8])
def test_a_recording_of_any_length_has_a_thumbnail(tmp_path: Path, frames: int) -> None:
    path = make_clip(tmp_path / "a.mp4", count=frames)
    coded = before_and_after(file_address(str(path)), path, frames / 25 / 2)
    pair = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR)
    assert pair is not None and pair.shape[1] == 2 * WIDTH
    before, after = pair[:, :WIDTH].astype(int), pair[:, WIDTH:].astype(int)
    assert np.abs(before - after).mean() < 3  # the same frame of the same file


def test_a_file_without_frames_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    assert before_and_after(file_address(str(tmp_path / "a.mp4")), tmp_path / "a.mp4", 1.0) == b""
