"""The pixel formats that a video can be written in."""

from typing import NamedTuple

from granet.errors import UserError
from runtime.sinks.video.yuv import SUBSAMPLING
from runtime.sources.base import Chroma


class PixelFormat(NamedTuple):
    """Chroma subsampling, and bits of a sample."""

    chroma: Chroma
    bits: int


PIXEL_FORMATS = {
    "yuv420p": PixelFormat("yuv420p", 8),
    "yuv422p": PixelFormat("yuv422p", 8),
    "yuv444p": PixelFormat("yuv444p", 8),
    "yuv420p10le": PixelFormat("yuv420p", 10),
    "yuv422p10le": PixelFormat("yuv422p", 10),
    "yuv444p10le": PixelFormat("yuv444p", 10),
    "nv12": PixelFormat("yuv420p", 8),
    "p010le": PixelFormat("yuv420p", 10),
}
"""FFmpeg's name -> what it holds; the last two are those of hardware."""


def canonical(name: str) -> str | None:
    """A name of :data:`PIXEL_FORMATS`, also for ``yuv420p10`` without its byte order; ``None`` for others."""
    return next((each for each in (name, f"{name}le") if each in PIXEL_FORMATS), None)


def fits(chroma: Chroma, size: tuple[int, int]) -> bool:
    """Whether frames of ``size`` (height, width) have whole chroma samples in this subsampling."""
    rows, columns = SUBSAMPLING[chroma]
    return size[0] % rows == 0 and size[1] % columns == 0


def require_fit(pix_fmt: str, size: tuple[int, int], name: str) -> None:
    """Refuses a pixel format whose chroma samples do not fit frames.

    Args:
        pix_fmt: one of :data:`PIXEL_FORMATS`.
        size: (height, width) of the frames in pixels.
        name: display name of the output.

    Raises:
        UserError: names a format that fits.
    """
    chroma = PIXEL_FORMATS[pix_fmt].chroma
    if not fits(chroma, size):
        whole = pix_fmt.replace(chroma, "yuv444p") if chroma in pix_fmt else "yuv444p"
        raise UserError(f"{name}: {odd_sides(size)}, which {pix_fmt} cannot hold: give --pix-fmt {whole}")


def odd_sides(size: tuple[int, int]) -> str:
    """Why chroma samples do not fit frames of ``size`` (height, width)."""
    return f"{size[1]}x{size[0]} has odd sides"


def chroma_for(chroma: Chroma, size: tuple[int, int] | None) -> Chroma:
    """The subsampling for frames of ``size`` (height, width): 4:4:4 if ``chroma`` does not fit them."""
    return chroma if size is None or fits(chroma, size) else "yuv444p"
