"""Frames -> one encoded video in one container."""

from contextlib import suppress
from fractions import Fraction

from av.video.reformatter import VideoReformatter

from granet.app.console import Say, detail
from granet.errors import UserError
from runtime.media.frame import Colour, Frame
from runtime.sinks.video.containers import VideoContainer
from runtime.sinks.video.encoders import ENCODERS
from runtime.sinks.video.muxer import Muxer
from runtime.sinks.video.painter import Painter
from runtime.sinks.video.pixel_formats import PIXEL_FORMATS, chroma_for, odd_sides, require_fit
from runtime.sinks.video.tracks import losses
from runtime.sources.base import Chroma, DecodedFrame, Picture, SoundPacket, StreamInfo
from runtime.views.comparison import joined_width
from runtime.views.letterbox import letterboxed

PICTURE_RATE = Fraction(25)
"""Frames per second of a video made of pictures."""


class VideoWriter:
    """Encodes a video with its input's rate, timestamps, colour tags, pixel aspect ratio, sound and title.

    H.264 does not support chroma subsampling with odd sides, so such a video is written as 4:4:4. If the
    size changes within a video, later frames are letterboxed to the size of the first frame.

    Args:
        target: FFmpeg's URL of the output.
        name: display name of the output.
        kind: container, encoder and their settings.
        info: info of the source.
        colour: channel order of the frames.
        say: called with a note about each property of the input that is not kept.
        first: the first frame, which sets the size; it is not written yet.
        compare: whether each frame comes with its input frame.

    Raises:
        UserError: if the output cannot be opened.
    """

    def __init__(
        self,
        target: str,
        name: str,
        kind: VideoContainer,
        info: StreamInfo,
        colour: Colour,
        say: Say,
        first: Frame,
        *,
        compare: bool,
    ) -> None:
        self._name, self._info, self._say = name, info, say
        self._announced_sizes: set[tuple[int, int]] = set()
        height, width = self._size = (first.pixels.shape[0], first.pixels.shape[1])
        size = height, joined_width(width) if compare else width
        self._require_bitrate(kind, size)
        chroma = self._chroma(kind.pix_fmt)
        self._pix_fmt = kind.pix_fmt or ENCODERS[kind.encoder].layout_of(chroma) or chroma
        self._reformatter = VideoReformatter()
        self._painter = Painter(self._size, chroma, info, colour, compare=compare)
        lost = [info.left_behind] if info.left_behind else []
        lost += losses(kind.format, kind.encoder, info)
        if lost:
            say(f"not copied to the output: {', '.join(lost)}")
        self._muxer = Muxer(
            target,
            name,
            kind,
            info,
            size=size,
            pix_fmt=self._pix_fmt,
            tags=self._painter.tags,
            default_rate=PICTURE_RATE,
        )
        settings = " ".join(f"{key}={value}" for key, value in kind.encoder_options.items())
        detail(f"{name}: {kind.encoder} ({settings}) of {self._pix_fmt} in {kind.format}")
        for note in self._muxer.notes:
            say(f"{name}: {note}")
        if info.rate is None:
            say(f"pictures have no frame rate: the video uses {PICTURE_RATE} frames per second")

    def write(self, frame: Frame, before: Frame | None) -> None:
        """Encodes a frame, or a comparison of result and input.

        Raises:
            UserError: if the frame cannot be written, or pictures differ in size.
            BrokenPipeError: if the reader of stdout has exited.
        """
        size = (frame.pixels.shape[0], frame.pixels.shape[1])
        if size != self._size:
            self._check_size(frame, size)
            frame = letterboxed(frame, self._size)
            before = None if before is None else letterboxed(before, self._size)
        if isinstance(frame, Picture):
            self._say_losses(frame)
        painted = self._painter.paint(frame, before)
        if painted.format.name != self._pix_fmt:
            painted = self._reformatter.reformat(painted, format=self._pix_fmt, threads=1)
        painted.pts = self._time_of(frame)
        painted.duration = frame.duration if isinstance(frame, DecodedFrame) else 0
        self._muxer.write(painted)

    def write_sound(self, packets: list[SoundPacket]) -> None:
        """Copies the packets without re-encoding."""
        self._muxer.write_sound(packets)

    def finish(self) -> None:
        """Flushes the encoder and writes the trailer of the container.

        Raises:
            UserError: if that fails.
        """
        self._muxer.finish()
        for loss in self._muxer.sound_losses:
            self._say(f"{self._info.name}: {loss}")

    def close(self) -> None:
        """Releases the destination; raises nothing."""
        with suppress(UserError, OSError):
            self._muxer.close()

    def _time_of(self, frame: Frame) -> int:
        """Timestamp of a frame in the source's time base."""
        if frame.pts is None:
            return frame.index
        base, pts = self._info.time_base, frame.pts
        if base is not None and frame.time_base is not None and frame.time_base != base:
            pts = round(pts * frame.time_base / base)
        return pts

    def _say_losses(self, picture: Picture) -> None:
        if picture.alpha is not None:
            self._say("a video cannot store the transparency of the pictures, which is dropped")
        if picture.metadata.icc or picture.metadata.has_unusual_colours:
            self._say("a video cannot store the colour profiles of the pictures, which are dropped")

    def _check_size(self, frame: Frame, size: tuple[int, int]) -> None:
        was, now = (f"{width}x{height}" for height, width in (self._size, size))
        if self._info.kind == "pictures":
            where = frame.name or f"frame {frame.index + 1}"
            raise UserError(
                f"{self._info.name}: {where} is {now}, but the video is {was}; write to a directory"
            )
        if size in self._announced_sizes:
            return
        self._announced_sizes.add(size)
        self._say(f"{self._info.name}: size changed from {was} to {now}; {self._name} stays {was}, with bars")

    def _require_bitrate(self, kind: VideoContainer, size: tuple[int, int]) -> None:
        """Refuses a bit rate that the encoder does not keep for frames of this size."""
        least = ENCODERS[kind.encoder].least_with_bitrate
        if "b" in kind.encoder_options and min(size) < least:
            height, width = size
            raise UserError(
                f"{self._name}: {kind.encoder} keeps no --bitrate for frames of {width}x{height}, only from "
                f"{least}x{least}: give --crf, or another --codec"
            )

    def _chroma(self, pix_fmt: str) -> Chroma:
        """The subsampling to paint in."""
        if not pix_fmt:
            chroma = chroma_for(self._info.chroma, self._size)
            if chroma != self._info.chroma:
                why = odd_sides(self._size)
                self._say(f"{why}: the video is written as 4:4:4, which some players do not support")
            return chroma
        chroma, bits = PIXEL_FORMATS[pix_fmt]
        require_fit(pix_fmt, self._size, self._name)
        if bits > 8:
            self._say(
                f"{self._name}: {pix_fmt} has room for {bits} bits, but the network computes with 8: the "
                "picture has the detail of 8 bits"
            )
        return chroma
