"""Colour tags of a video: the YUV encoding that a decoder reports and an encoder must declare.

The values are those of ISO/IEC 23091-2 (H.273); FFmpeg uses the same numbers.
"""

from dataclasses import dataclass

UNSPECIFIED = 2

LIMITED = 1
"""``tv``: luma 16 to 235, chroma 16 to 240. The default for YUV video without a tag."""
FULL = 2
"""``pc``: 0 to 255."""

BT709 = 1
BT601 = 6

KR_KB = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087)}
"""Matrix -> weights of red and blue in luma (H.273, table 4)."""
KR_KB[9] = (0.2627, 0.0593)


@dataclass(frozen=True)
class ColourTags:
    """Colour tags of a stream.

    Attributes:
        matrix: YUV matrix coefficients; 2 if unspecified.
        range: 1 limited, 2 full; 0 if unspecified.
        primaries: colour primaries; 2 if unspecified.
        transfer: transfer characteristics; 2 if unspecified.
    """

    matrix: int = UNSPECIFIED
    range: int = 0
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def effective_range(self) -> int:
        """The range to use in conversions: limited unless tagged full."""
        return FULL if self.range == FULL else LIMITED


def guessed_matrix(height: int, width: int) -> int:
    """The matrix that players assume for an untagged video of this size in pixels.

    BT.709 if the width is at least 1280 or the height exceeds 576, otherwise BT.601 (mpv's rule).
    """
    return BT709 if width >= 1280 or height > 576 else BT601
