"""The colour tags of a video: which YUV a decoder gives and an encoder must state.

The numbers are those of ISO/IEC 23091-2 (H.273), which FFmpeg uses as they are.
"""

from dataclasses import dataclass

UNSPECIFIED = 2

LIMITED = 1
"""``tv``: luma 16 to 235, chroma 16 to 240. What a YUV video without a tag is."""
FULL = 2
"""``pc``: 0 to 255."""

BT709 = 1
BT601 = 6

KR_KB = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087)}
"""Matrix -> weights of red and blue in luma (H.273, table 4)."""
KR_KB[9] = (0.2627, 0.0593)


@dataclass(frozen=True)
class ColourTags:
    """What a stream says about its colours.

    Attributes:
        matrix: YUV matrix coefficients; 2 if the stream does not say.
        range: 1 limited, 2 full; 0 if the stream does not say.
        primaries: colour primaries; 2 if the stream does not say.
        transfer: transfer characteristics; 2 if the stream does not say.
    """

    matrix: int = UNSPECIFIED
    range: int = 0
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def effective_range(self) -> int:
        """The range to compute with."""
        return FULL if self.range == FULL else LIMITED


def guessed_matrix(height: int, width: int) -> int:
    """The matrix of a video of this many pixels that does not say it, as players guess it.

    BT.709 if it is 1280 or more wide or more than 576 high, BT.601 otherwise (mpv's rule).
    """
    return BT709 if width >= 1280 or height > 576 else BT601
