"""Letterboxing: fit frames into the fixed size of a recording or stream."""

import cv2
import numpy as np

from runtime.media.frame import Frame, Pixels, repainted


def letterboxed(frame: Frame, size: tuple[int, int]) -> Frame:
    """The frame scaled to fit ``size`` with its aspect ratio kept, centred on black.

    Args:
        frame: uint8 H x W x 3.
        size: (height, width) in pixels.

    Returns:
        A frame of that size with the same timestamp and index; the frame itself if the size matches.
    """
    if frame.pixels.shape[:2] == size:
        return frame
    return repainted(frame, fitted(frame.pixels, size))


def fitted(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """uint8 H x W x 3 -> uint8 of ``size`` = (height, width), aspect ratio kept, centred on black."""
    height, width = size
    scale = min(height / pixels.shape[0], width / pixels.shape[1])
    rows = max(1, min(height, round(pixels.shape[0] * scale)))
    columns = max(1, min(width, round(pixels.shape[1] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((height, width, 3), np.uint8)
    # Even offsets, so that subsampled chroma does not bleed from the picture into the bars.
    top, left = (height - rows) // 4 * 2, (width - columns) // 4 * 2
    canvas[top : top + rows, left : left + columns] = cv2.resize(
        pixels, (columns, rows), interpolation=method
    )
    return canvas
