import time

import cv2
import numpy as np
import pytest

from runtime.sources.base import WrongSettingsError
from runtime.sources.camera.gstreamer import pipeline_of
from runtime.sources.open import open_source
from tests.runtime.sources.watching import Watcher, impatient


def has_gstreamer() -> bool:
    return bool(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))


@pytest.mark.skipif(has_gstreamer(), reason="this OpenCV has GStreamer")
@pytest.mark.parametrize("text", ["csi://0", "gst:rtspsrc location=rtsp://me:s3cret@cam/1 ! decodebin"])
def test_without_gstreamer_one_line_says_so_at_once(text: str) -> None:
    said: list[str] = []
    with pytest.raises(WrongSettingsError, match="built without GStreamer") as error:
        open_source(text, said.append, impatient(said))
    assert "s3cret" not in str(error.value) and not said


def test_pipelines_end_in_an_appsink_that_keeps_the_newest_frame() -> None:
    pipeline = pipeline_of("gst:videotestsrc ! video/x-raw,width=64")
    assert pipeline.startswith("videotestsrc ! video/x-raw,width=64 ! videoconvert")
    assert pipeline.endswith("appsink drop=true max-buffers=1 sync=false")
    assert pipeline_of("gst:videotestsrc ! appsink") == "videotestsrc ! appsink"
    assert "nvarguscamerasrc sensor-id=1 !" in pipeline_of("csi://1")


@pytest.mark.parametrize("text", ["csi://", "csi://front", "csi://0 ! fakesink", "gst:", "gst:  "])
def test_an_invalid_pipeline_gets_one_line(text: str) -> None:
    with pytest.raises(WrongSettingsError):
        pipeline_of(text)


def test_a_pipeline_is_supervised(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, int]] = []

    class Capture:
        def __init__(self, pipeline: str, backend: int) -> None:
            opened.append((pipeline, backend))

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
            return True

        def read(self) -> tuple[bool, np.ndarray]:
            time.sleep(0.01)
            return True, np.full((20, 30, 3), 7, np.uint8)

        def get(self, prop: int) -> float:
            return 25.0

        def release(self) -> None:
            pass

    monkeypatch.setattr("cv2.VideoCapture", Capture)
    monkeypatch.setattr("cv2.videoio_registry.hasBackend", lambda backend: True)
    with Watcher(open_source("gst:videotestsrc", print, impatient())) as watcher:
        watcher.wait_for_frames()
    assert opened == [(pipeline_of("gst:videotestsrc"), cv2.CAP_GSTREAMER)]
    assert watcher.frames[0].pixels.max() == 7
