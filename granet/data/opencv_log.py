"""OpenCV's own log."""

import cv2

_SILENT = 0


def silence_opencv() -> None:
    """Stops OpenCV from logging to stderr; our own messages replace its warnings.

    OpenCV warns when a picture is damaged, and when a camera is opened, read and released. Redirecting stderr
    instead would lose the output of other threads.
    """
    # Up to OpenCV 4.7, which some systems ship with GStreamer, the function is elsewhere.
    old = getattr(cv2, "setLogLevel", None)
    (old or cv2.utils.logging.setLogLevel)(_SILENT)
