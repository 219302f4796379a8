"""GStreamer pipelines and CSI cameras of Jetson boards; needs an OpenCV built with GStreamer."""

import re

import cv2

from granet.app.credentials import mask
from runtime.sources.base import WrongSettingsError
from runtime.sources.camera.capture import CaptureSource

_PIPELINE, _CSI = "gst:", "csi://"
_SINK = "appsink drop=true max-buffers=1 sync=false"
_TO_BGR = f"videoconvert ! video/x-raw, format=BGR ! {_SINK}"
# The board's image signal processor produces the picture; OpenCV needs it in CPU memory.
_ARGUS = "nvarguscamerasrc sensor-id={} ! video/x-raw(memory:NVMM) ! nvvidconv ! video/x-raw, format=BGRx"


class GStreamerSource(CaptureSource):
    """Live frames of a pipeline.

    Args:
        text: ``gst:`` and a pipeline in ``gst-launch-1.0`` syntax; a conversion to BGR and an ``appsink``
            are appended unless it has an ``appsink``. Or ``csi://N`` for camera N of a Jetson.

    Raises:
        WrongSettingsError: if this OpenCV has no GStreamer, or N is not a number.
        UserError: if the pipeline does not start or delivers no frame.
    """

    def __init__(self, text: str) -> None:
        if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
            raise WrongSettingsError(
                f"{mask(text)}: this OpenCV was built without GStreamer, like all PyPI builds; install one "
                "with GStreamer, such as the system package of a Jetson"
            )
        pipeline = pipeline_of(text)
        super().__init__(
            mask(text), lambda: cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER), "the pipeline does not start"
        )


def is_pipeline(text: str) -> bool:
    """Whether ``text`` is a ``gst:`` pipeline or a ``csi://`` camera."""
    return text.lower().startswith((_PIPELINE, _CSI))


def pipeline_of(text: str) -> str:
    """The complete GStreamer pipeline for ``text``.

    Raises:
        WrongSettingsError: if a CSI camera has no number, or the pipeline is empty.
    """
    if text.lower().startswith(_CSI):
        number = text[len(_CSI) :]
        if not number.isdecimal():
            raise WrongSettingsError(f"{text}: is not a camera; write csi://0 for the first")
        return f"{_ARGUS.format(int(number))} ! {_TO_BGR}"
    pipeline = text[len(_PIPELINE) :].strip()
    if not pipeline:
        raise WrongSettingsError("gst: needs a pipeline after the colon, in gst-launch-1.0 syntax")
    return pipeline if re.search(r"\bappsink\b", pipeline) else f"{pipeline} ! {_TO_BGR}"
