"""Encode one picture to the bytes of a file."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from granet.app.console import Say
from granet.errors import UserError
from runtime.media.colour_tags import ColourTags
from runtime.media.frame import Colour, Frame, Pixels
from runtime.media.picture_metadata import PictureMetadata, cicp_chunk
from runtime.sinks.pictures.embed import (
    WITH_COLOUR_CHUNKS,
    WITH_EXIF,
    WITH_ICC,
    WITH_RESOLUTION,
    WITH_TEXT,
    embed,
    fits_in_jpeg,
)
from runtime.sources.base import Picture
from runtime.views.comparison import SideBySide, join_alpha

_WITH_ALPHA = {".png", ".webp", ".tif", ".tiff", ".bmp", ".avif"}
_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe")
_SPACE_OF_ICC = slice(16, 20)
"""Where a profile names the colour space of its pixels (ISO 15076-1, 7.2)."""

_EMBEDS = hasattr(cv2, "imencodeWithMetadata")
"""Since OpenCV 4.12. Only AVIF needs it."""

_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]
if hasattr(cv2, "IMWRITE_JPEG_SAMPLING_FACTOR"):
    # OpenCV's default subsamples chroma, which smears red and blue edges.
    _JPEG += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
_OPTIONS = {
    **dict.fromkeys(_JPEG_SUFFIXES, _JPEG),
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],  # above 100 means lossless
    ".avif": [cv2.IMWRITE_AVIF_QUALITY, 95],
}


class PictureEncoder:
    """Encodes results or comparisons in the format of their file extension.

    Args:
        colour: channel order of the frames.
        say: called with a note about each property that a format cannot store.
        tags: colour tags of the video that the frames are from; not used for pictures.
    """

    def __init__(self, colour: Colour, say: Say, tags: ColourTags) -> None:
        self._colour = colour
        self._tags = tags
        self._say = say
        self._side_by_side = SideBySide()

    def __call__(self, suffix: str, frame: Frame, before: Frame | None) -> bytes:
        """Encodes one file.

        Args:
            suffix: file extension such as ``.png``.
            frame: the result; a :class:`Picture` keeps its single channel or its transparency.
            before: the input frame, shown on the left; ``None`` without a comparison.

        Raises:
            UserError: if OpenCV cannot write this format.
        """
        pixels = frame.pixels if before is None else self._side_by_side.join(before.pixels, frame.pixels)
        pixels = self._as_written(pixels, frame, suffix, compare=before is not None)
        metadata = self._kept(suffix.lower(), self._metadata_of(frame), gray=pixels.ndim == 2)
        try:
            good, data = _encoded(suffix, pixels, metadata)
        except cv2.error as error:
            raise UserError(f"{suffix} pictures cannot be written: {error.err or error}") from error
        if not good:
            raise UserError(f"{suffix} pictures cannot be written by this OpenCV")
        has_alpha = pixels.ndim == 3 and pixels.shape[2] == 4
        size = (pixels.shape[0], pixels.shape[1])
        return embed(data.tobytes(), suffix, metadata, size, alpha=has_alpha)

    def _metadata_of(self, frame: Frame) -> PictureMetadata:
        if isinstance(frame, Picture):
            return frame.metadata
        return PictureMetadata(colour_chunks=cicp_chunk(self._tags.primaries, self._tags.transfer))

    def _kept(self, suffix: str, metadata: PictureMetadata, *, gray: bool) -> PictureMetadata:
        """The metadata that a file of this suffix can hold; a note lists the rest."""
        icc, exif, chunks = metadata.icc, metadata.exif, metadata.colour_chunks
        if icc and icc[_SPACE_OF_ICC] != (b"GRAY" if gray else b"RGB "):
            self._say("colour profiles of another kind than the written pixels (such as CMYK) are dropped")
            icc = b""
        by_opencv = suffix == ".avif" and _EMBEDS
        if icc and suffix not in WITH_ICC and not by_opencv:
            self._say(f"{suffix} pictures cannot store the colour profile, which is dropped; write .png")
        cannot = suffix not in WITH_EXIF or (suffix in _JPEG_SUFFIXES and not fits_in_jpeg(exif))
        if exif and cannot and not by_opencv:
            self._say(f"EXIF metadata is dropped, because it cannot be stored in the {suffix} pictures")
        if suffix not in WITH_COLOUR_CHUNKS and metadata.has_unusual_colours:
            self._say(
                f"{suffix} pictures cannot store the tags of the colour space, which are dropped; write .png"
            )
        if suffix not in WITH_RESOLUTION and metadata.per_metre:
            self._say(f"{suffix} pictures cannot store the resolution in dots per inch, which is dropped")
        if suffix not in WITH_TEXT and metadata.text:
            self._say(f"{suffix} pictures cannot store the text of PNG files, which is dropped; write .png")
        return replace(metadata, icc=icc, exif=exif, colour_chunks=chunks)

    def _as_written(self, pixels: Pixels, frame: Frame, suffix: str, *, compare: bool) -> Pixels:
        """The pixels in BGR order, with the number of channels of the input."""
        gray = isinstance(frame, Picture) and frame.gray
        alpha = frame.alpha if isinstance(frame, Picture) else None
        if gray or suffix.lower() == ".pgm":
            code = cv2.COLOR_BGR2GRAY if self._colour == "bgr" else cv2.COLOR_RGB2GRAY
            return np.asarray(cv2.cvtColor(pixels, code), np.uint8)
        if self._colour == "rgb":
            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)
        if alpha is None:
            return pixels
        if suffix.lower() not in _WITH_ALPHA:
            self._say(f"{suffix} pictures cannot store transparency, which is dropped; write .png")
            return pixels
        return np.dstack([pixels, join_alpha(alpha) if compare else alpha])


def _encoded(suffix: str, pixels: Pixels, metadata: PictureMetadata) -> tuple[bool, Pixels]:
    """(whether it succeeded, the bytes of the file); with the metadata only if it is an AVIF."""
    options = _OPTIONS.get(suffix.lower(), [])
    if suffix.lower() != ".avif" or not _EMBEDS:
        good, data = cv2.imencode(suffix, pixels, options)
    else:
        kinds = {cv2.IMAGE_METADATA_ICCP: metadata.icc, cv2.IMAGE_METADATA_EXIF: metadata.exif}
        found = {kind: np.frombuffer(block, np.uint8) for kind, block in kinds.items() if block}
        good, data = cv2.imencodeWithMetadata(suffix, pixels, list(found), list(found.values()), options)
    return good, np.asarray(data, np.uint8)


def write_file(path: Path, data: bytes, name: str) -> None:
    """Writes ``data`` to ``path``.

    Raises:
        UserError: if that fails; the message shows ``name``.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UserError(f"{name}: cannot be written: {error.strerror}") from error
