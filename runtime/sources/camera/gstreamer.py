"""GStreamer pipelines and the CSI cameras of Jetson boards, where OpenCV was built with GStreamer."""

import re

import cv2

from granet.app.credentials import mask
from runtime.sources.base import WrongSettingsError
from runtime.sources.camera.capture import CaptureSource

_PIPELINE, _CSI = "gst:", "csi://"
_SINK = "appsink drop=true max-buffers=1 sync=false"
_TO_BGR = f"videoconvert ! video/x-raw, format=BGR ! {_SINK}"
# The camera's own processor makes the picture; OpenCV wants it in the memory of the CPU.
_ARGUS = "nvarguscamerasrc sensor-id={} ! video/x-raw(memory:NVMM) ! nvvidconv ! video/x-raw, format=BGRx"


class GStreamerSource(CaptureSource):
    """The frames of a pipeline, live.

    Args:
        text: ``gst:`` and a pipeline in the language of ``gst-launch-1.0``, to which the conversion to
            BGR and an ``appsink`` are added unless it has one; or ``csi://N``, camera N of a Jetson.

    Raises:
        WrongSettingsError: if this OpenCV has no GStreamer, or N is no number.
        UserError: if the pipeline does not start or gives no frame.
    """

    def __init__(self, text: str) -> None:
        if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
            raise WrongSettingsError(
                f"{mask(text)}: this OpenCV was built without GStreamer (those of PyPI are); install one "
                "with it, as Jetson boards have"
            )
        pipeline = pipeline_of(text)
        super().__init__(
            mask(text), lambda: cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER), "its pipeline does not start"
        )


def is_pipeline(text: str) -> bool:
    """Whether ``text`` is one of the two."""
    return text.startswith((_PIPELINE, _CSI))


def pipeline_of(text: str) -> str:
    """What GStreamer is told for ``text``.

    Raises:
        WrongSettingsError: if a CSI camera has no number, or the pipeline is empty.
    """
    if text.startswith(_CSI):
        number = text.removeprefix(_CSI)
        if not number.isdecimal():
            raise WrongSettingsError(f"{text}: is no camera; write csi://0 for the first")
        return f"{_ARGUS.format(int(number))} ! {_TO_BGR}"
    pipeline = text.removeprefix(_PIPELINE).strip()
    if not pipeline:
        raise WrongSettingsError("gst: needs a pipeline after the colon, as gst-launch-1.0 takes it")
    return pipeline if re.search(r"\bappsink\b", pipeline) else f"{pipeline} ! {_TO_BGR}"
