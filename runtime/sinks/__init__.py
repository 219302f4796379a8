"""Where frames go: video files, pictures, stdout, a window, nowhere. One contract, one file each."""

# Before anything here imports PyAV: the wheels of both bring X11 libraries of the same names, and OpenCV's
# windows wait for ever, on all of a core, with those of PyAV (PyAV issues 978 and 1050).
import cv2  # noqa: F401
