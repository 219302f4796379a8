"""Frame sources: pictures, video files and URLs, cameras. All implement one contract."""

# Import OpenCV before PyAV: the wheels of both bundle X11 libraries of the same names, and with PyAV's copies
# OpenCV's windows hang in a busy loop (PyAV issues 978 and 1050).
import cv2  # noqa: F401
