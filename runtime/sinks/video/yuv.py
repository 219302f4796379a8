"""RGB -> planar YUV, in any matrix and range.

FFmpeg's swscale does this without SIMD: 6 core-milliseconds for a 1080p frame, compared with 2.2 here for
the same result, and it cannot write into part of a picture, which a comparison needs.
"""

from collections.abc import Sequence
from typing import cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.media.colour_tags import FULL, KR_KB
from runtime.media.frame import Colour, Pixels
from runtime.sources.base import Chroma

SUBSAMPLING: dict[Chroma, tuple[int, int]] = {"yuv420p": (2, 2), "yuv422p": (1, 2), "yuv444p": (1, 1)}
"""(rows, columns) of pixels that share a chroma sample."""


_STRIP = 256
"""Rows to convert at a time; even. A strip stays in the CPU cache between the steps."""


def yuv_matrix(matrix: int, colour_range: int) -> NDArray[np.float32]:
    """float32 3 x 4 matrix: (R, G, B, 1), 0 to 255 -> (Y, Cb, Cr) in 8 bits; H.273, equations 27 to 37."""
    kr, kb = KR_KB[matrix]
    kg = 1 - kr - kb
    luma, chroma, offset = (1.0, 1.0, 0) if colour_range == FULL else (219 / 255, 224 / 255, 16)
    y = np.array([kr, kg, kb])
    cb = (np.array([0, 0, 1]) - y) / (2 * (1 - kb))
    cr = (np.array([1, 0, 0]) - y) / (2 * (1 - kr))
    rows = [[*(luma * y), offset], [*(chroma * cb), 128], [*(chroma * cr), 128]]
    return np.array(rows, np.float32)


def plane_views(frame: av.VideoFrame) -> list[Pixels]:
    """The planes of an 8-bit planar ``frame``, uint8 h x w each; writing to them writes to the frame."""
    return [
        np.frombuffer(cast("memoryview[int]", plane), np.uint8).reshape(-1, plane.line_size)[
            : plane.height, : plane.width
        ]
        for plane in frame.planes
    ]


class YuvConverter:
    """Converts frames of one colour order into planes with one subsampling.

    A shared chroma sample is the mean of its pixels, located at their centre.

    Args:
        matrix: H.273 matrix coefficients.
        colour_range: 1 limited, 2 full.
        chroma: subsampling of the planes.
        colour: channel order of the frames.
    """

    def __init__(self, matrix: int, colour_range: int, chroma: Chroma, colour: Colour) -> None:
        coefficients = yuv_matrix(matrix, colour_range)
        if colour == "bgr":
            coefficients = np.ascontiguousarray(coefficients[:, [2, 1, 0, 3]])
        self._coefficients = coefficients
        self._rows, self._columns = SUBSAMPLING[chroma]
        self._buffers: dict[tuple[str | int, ...], Pixels] = {}

    def __call__(self, pixels: Pixels, planes: Sequence[Pixels]) -> None:
        """Writes a frame into three planes.

        Args:
            pixels: uint8 H x W x 3; H and W are multiples of the subsampling.
            planes: uint8 output views: one H x W, two H x W divided by the subsampling.
        """
        for top in range(0, len(pixels), _STRIP):
            strip = pixels[top : top + _STRIP]
            rows = np.s_[top // self._rows : -(-(top + len(strip)) // self._rows)]
            self._convert(strip, [planes[0][top : top + _STRIP], planes[1][rows], planes[2][rows]])

    def _convert(self, pixels: Pixels, planes: Sequence[Pixels]) -> None:
        height, width = pixels.shape[:2]
        yuv = self._buffer("yuv", height, width, 3)
        cv2.transform(pixels, self._coefficients, dst=yuv)
        if (self._rows, self._columns) == (1, 1):
            cv2.split(yuv, list(planes))
            return
        # A single split uses SIMD, extracting a channel does not. It writes into the given arrays.
        cb, cr = (self._buffer(use, height, width) for use in ("cb", "cr"))
        cv2.split(yuv, [planes[0], cb, cr])
        for whole, shared in ((cb, planes[1]), (cr, planes[2])):
            cv2.resize(whole, shared.shape[1::-1], dst=shared, interpolation=cv2.INTER_AREA)

    def _buffer(self, use: str, *shape: int) -> Pixels:
        """A reusable buffer: allocating fresh memory costs as much as the arithmetic."""
        key: tuple[str | int, ...] = (use, *shape)
        if key not in self._buffers:
            self._buffers[key] = np.empty(shape, np.uint8)
        return self._buffers[key]
