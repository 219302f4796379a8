"""A video: a file or Matroska on stdout, with the time, colours and sound of the input."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from granet.errors import UserError
from runtime.colour_tags import LIMITED, UNSPECIFIED, guessed_matrix
from runtime.compare import DIVIDER, joined_width, labels
from runtime.frame import Colour, Frame, Pixels
from runtime.sinks.base import Sink
from runtime.sinks.containers import MATROSKA, VideoContainer, container_for
from runtime.sinks.muxer import Muxer
from runtime.sinks.part_file import PartFile, check_file
from runtime.sinks.yuv import SUBSAMPLING, YuvConverter, plane_views
from runtime.sources.base import Chroma, DecodedFrame, Say, SoundPacket, StreamInfo

STDOUT = "-"
PICTURE_RATE = Fraction(25)
"""Frames a second of a video made of pictures."""


class VideoSink(Sink):
    """One video, as its input was: rate, timestamps, colour tags, pixel aspect, sound, title.

    A side that is odd cannot have subsampled colours in H.264, so such a video is written as 4:4:4.

    Args:
        destination: a path whose ending says the kind, or ``-`` for Matroska on stdout.
        info: of the source.
        overwrite: whether a file that exists may be replaced.
        say: is told what is not kept.

    Raises:
        UserError: if the destination is refused, see :func:`runtime.sinks.part_file.check_file`.
    """

    def __init__(self, destination: str, info: StreamInfo, say: Say, *, overwrite: bool) -> None:
        self.name = "stdout (Matroska)" if destination == STDOUT else destination
        self._path = None if destination == STDOUT else Path(destination)
        self._kind: VideoContainer = MATROSKA if self._path is None else container_for(self._path.suffix)
        if self._path is not None:
            check_file(self._path, info.paths, overwrite=overwrite)
        self._info = info
        self._say = say
        self._part: PartFile | None = None
        self._muxer: Muxer | None = None
        self._painter: _Painter | None = None

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Encodes a frame; see :meth:`Sink.write`."""
        size = (frame.pixels.shape[0], frame.pixels.shape[1])
        if self._painter is None or self._muxer is None:
            self._open(size, compare=before is not None)
        assert self._painter is not None and self._muxer is not None
        if size != self._painter.size:
            was, now = (f"{width}x{height}" for height, width in (self._painter.size, size))
            where = frame.name or f"frame {frame.index + 1}"
            raise UserError(
                f"{self._info.name}: {where} is {now} after {was}; a video has one size: write to a directory"
            )
        painted = self._painter.paint(frame, before)
        painted.pts = frame.index if frame.pts is None else frame.pts
        painted.duration = frame.duration if isinstance(frame, DecodedFrame) else 0
        self._muxer.write(painted)

    def write_sound(self, packets: list[SoundPacket]) -> None:
        """Copies the packets as they are."""
        if self._muxer is not None:
            self._muxer.write_sound(packets)

    def finish(self) -> None:
        """Writes what the encoder still holds, and the end of the file; names it."""
        if self._muxer is None:
            return
        self._muxer.finish()
        if self._part is not None:
            self._part.commit()

    def abort(self) -> None:
        """Removes the unfinished file."""
        if self._muxer is not None:
            with suppress(UserError, OSError):
                self._muxer.close()
        if self._part is not None:
            self._part.discard()

    def _open(self, size: tuple[int, int], *, compare: bool) -> None:
        chroma = self._chroma(size)
        info, (height, width) = self._info, size
        self._painter = _Painter(size, chroma, info, self._colour, compare=compare)
        if info.left_behind:
            self._say(f"not carried over: {info.left_behind}")
        if self._path is not None:
            self._part = PartFile(self._path)
        self._muxer = Muxer(
            "pipe:1" if self._part is None else f"file:{self._part.path}",
            self.name,
            self._kind,
            info,
            size=(height, joined_width(width) if compare else width),
            chroma=chroma,
            tags=self._painter.tags,
            default_rate=PICTURE_RATE,
        )
        if info.rate is None:
            self._say(f"pictures have no frame rate: the video has {PICTURE_RATE} frames a second")

    def _chroma(self, size: tuple[int, int]) -> Chroma:
        rows, columns = SUBSAMPLING[self._info.chroma]
        if size[0] % rows == 0 and size[1] % columns == 0:
            return self._info.chroma
        self._say(
            f"sides of {size[1]}x{size[0]} are odd: written with a colour for every pixel (4:4:4), "
            "which some players cannot show"
        )
        return "yuv444p"


def _tags(info: StreamInfo, matrix: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Tags for a video of ``height`` x ``width`` pixels in ``matrix``: the input's, if they still hold."""
    colour = info.colour
    if info.matrix is None:
        return matrix, LIMITED, colour.primaries, colour.transfer
    # A comparison and a turned video have another size, at which a player may guess another matrix.
    untagged = colour.matrix == UNSPECIFIED and guessed_matrix(height, width) == matrix
    return UNSPECIFIED if untagged else matrix, colour.range, colour.primaries, colour.transfer


class _Painter:
    """Frames, or comparisons of them, -> YUV frames for the encoder.

    Attributes:
        size: (height, width) of the frames.
        tags: (matrix, range, primaries, transfer) to be stated.
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
        """The YUV frame; it is painted over by the next one."""
        # The encoder may still hold the last one: then this is a copy, else the same memory.
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
        """Once: nothing is painted over it, and a copy of the frame has it too."""
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
        """Views of a rectangle of pixels in each plane."""
        rows, columns = SUBSAMPLING[self._chroma]
        coarse = np.s_[top // rows : (top + height) // rows, left // columns : (left + width) // columns]
        return [planes[0][top : top + height, left : left + width], planes[1][coarse], planes[2][coarse]]
