"""Decoded frames -> the pixels that an engine takes."""

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from runtime.media.frame import Colour, Pixels


class RgbConverter:
    """YUV frames -> uint8 H x W x 3, in the colours that the tags say.

    swscale's fast path: 1 core-millisecond for a 1080p frame, and up to 3 levels off, because it
    rounds down (by 0.5 levels on average where a pixel is gray, by 1.2 elsewhere). Its exact path
    takes 20 core-milliseconds.

    Args:
        colour_range: 1 limited, 2 full.
        matrix: of H.273; ``None`` if the frames are not YUV.
        colour: channel order of the pixels.
    """

    def __init__(self, colour_range: int, matrix: int | None, colour: Colour) -> None:
        self._range = colour_range
        self._matrix = matrix
        self._format = "bgr24" if colour == "bgr" else "rgb24"
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Pixels:
        """uint8 H x W x 3; rows may be padded."""
        if self._matrix is None:
            converted = self._reformatter.reformat(frame, format=self._format, threads=1)
        else:
            converted = self._reformatter.reformat(
                frame,
                format=self._format,
                src_colorspace=self._matrix,
                src_color_range=self._range,
                # Threads of its own would cost a third more and take cores from the engine.
                threads=1,
            )
        return np.asarray(converted.to_ndarray(), np.uint8)
