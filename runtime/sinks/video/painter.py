"""Draw frames, or comparisons of them, as YUV frames for an encoder."""

import av
import numpy as np

from runtime.media.colour_tags import LIMITED, UNSPECIFIED, guessed_matrix
from runtime.media.frame import Colour, Frame, Pixels
from runtime.sinks.video.yuv import SUBSAMPLING, YuvConverter, plane_views
from runtime.sources.base import Chroma, DecodedFrame, StreamInfo
from runtime.views.comparison import DIVIDER, joined_width, labels


def _tags(info: StreamInfo, matrix: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Colour tags for a video of ``height`` x ``width`` pixels in ``matrix``; the input's if still valid."""
    colour = info.colour
    if info.matrix is None:
        return matrix, LIMITED, colour.primaries, colour.transfer
    # Comparisons and rotated videos change in size, for which a player may guess a different matrix.
    untagged = colour.matrix == UNSPECIFIED and guessed_matrix(height, width) == matrix
    return UNSPECIFIED if untagged else matrix, colour.range, colour.primaries, colour.transfer


class Painter:
    """Frames, or comparisons of them -> YUV frames for the encoder.

    Attributes:
        size: (height, width) of the frames, in pixels.
        tags: (matrix, range, primaries, transfer) to declare in the output.
    """

    def __init__(
        self, size: tuple[int, int], chroma: Chroma, info: StreamInfo, colour: Colour, *, compare: bool
    ) -> None:
        height, width = self.size = size
        shown_width = joined_width(width) if compare else width
        matrix = info.matrix or guessed_matrix(height, width)
        self.tags = _tags(info, matrix, height, shown_width)
        self._chroma = chroma
        self._converter = YuvConverter(matrix, info.colour.effective_range, chroma, colour)
        self._frame = av.VideoFrame(shown_width, height, chroma)
        self._frame.color_range, self._frame.colorspace = self.tags[1], self.tags[0]
        if compare:
            self._paint_divider()
        self._labels = [(label, self._converted(label.pixels)) for label in labels(height, width)]

    def paint(self, frame: Frame, before: Frame | None) -> av.VideoFrame:
        """The YUV frame, valid until the next call."""
        # If the encoder still holds the previous frame, this copies it; otherwise the memory is reused.
        self._frame.make_writable()
        planes = plane_views(self._frame)
        if before is None:
            self._converter(frame.pixels, planes)
            return self._frame
        width = self.size[1]
        self._paint_before(before, self._part(planes, 0, 0, *self.size))
        self._converter(frame.pixels, self._part(planes, 0, width + DIVIDER, *self.size))
        for label, coloured in self._labels:
            part = self._part(planes, label.top, label.left, *label.pixels.shape[:2])
            for source, target in zip(coloured, part, strict=True):
                target[:] = source
        return self._frame

    def _paint_divider(self) -> None:
        """Paints the divider once: nothing overwrites it, and copies of the frame include it."""
        height, width = self.size
        divider = np.full((height, DIVIDER, 3), 255, np.uint8)
        self._converter(divider, self._part(plane_views(self._frame), 0, width, height, DIVIDER))

    def _converted(self, pixels: Pixels) -> list[Pixels]:
        planes = plane_views(av.VideoFrame(pixels.shape[1], pixels.shape[0], self._chroma))
        self._converter(pixels, planes)
        return planes

    def _paint_before(self, before: Frame, planes: list[Pixels]) -> None:
        native = before.native if isinstance(before, DecodedFrame) else None
        if native is None or native.format.name.replace("yuvj", "yuv") != self._chroma:
            self._converter(before.pixels, planes)
            return
        for source, target in zip(plane_views(native), planes, strict=True):
            target[:] = source

    def _part(self, planes: list[Pixels], top: int, left: int, height: int, width: int) -> list[Pixels]:
        """Views of a rectangle in each plane; all arguments in luma pixels."""
        rows, columns = SUBSAMPLING[self._chroma]
        coarse = np.s_[top // rows : (top + height) // rows, left // columns : (left + width) // columns]
        return [planes[0][top : top + height, left : left + width], planes[1][coarse], planes[2][coarse]]
