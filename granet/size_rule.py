"""The padding rule: the frame sizes that the network accepts, and the padding of all others.

The coarse stage halves a frame three times and divides the halves into 4x4, the quarters into 2x2 and the
eighths into 1x1 regions (section 3.2), so a side must be a multiple of 8. Beyond ``region_extent`` pixels
the grid grows with the frame: a side of n pixels has ``ceil(n / extent)`` times the paper's number of
regions, and must be a multiple of 8 times that factor. A network on frames folded f x f computes at 1/f of
the side, so 8 f replaces 8.

Invariants, if ``multiple`` divides ``extent``:

* the padded side has as many regions as the unpadded one, so padding is idempotent;
* a side of at least 16 and at least ``multiple`` grows by less than its own length, so reflection (without
  repeating the edge) always has enough pixels.

Padding is added at the bottom and on the right only, and cropped after the network. Only this module
implements the rule: the network, the exported files and every engine use it.
"""

from dataclasses import dataclass

from granet.errors import UserError

Size = tuple[int, int]
"""(height, width) in pixels."""

MIN_SIDE = 16
"""Smallest height and width of a frame in pixels, unless ``multiple`` is larger."""


@dataclass(frozen=True)
class SizeRule:
    """Sides must be multiples of ``multiple * ceil(side / extent)`` pixels.

    Attributes:
        multiple: pixels; 8 for the paper's GraNet, 16 for a network on frames folded 2x2.
        extent: longest side in pixels of the frame area that one paper grid covers; ``None`` keeps the
            paper's literal grid at every size.

    Raises:
        UserError: if ``extent`` is not a multiple of ``multiple``, or either is not a positive integer.
    """

    multiple: int = 8
    extent: int | None = 512

    def __post_init__(self) -> None:
        if not _is_count(self.multiple):
            raise UserError(f"size multiple {self.multiple!r}: must be a positive integer")
        if self.extent is None:
            return
        if not _is_count(self.extent) or self.extent % self.multiple:
            raise UserError(
                f"region extent {self.extent!r}: must be a multiple of {self.multiple} pixels, or none"
            )

    def grid_growth(self, side: int) -> int:
        """Number of paper grids along a side of ``side`` pixels."""
        return 1 if self.extent is None else (side + self.extent - 1) // self.extent

    def padded_side(self, side: int) -> int:
        """The smallest side of at least ``side`` pixels that the network accepts."""
        step = self.multiple * self.grid_growth(side)
        return (side + step - 1) // step * step

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) in pixels of the padded frame.

        Raises:
            UserError: if a side is below :data:`MIN_SIDE` or ``multiple``.
        """
        least = max(MIN_SIDE, self.multiple)
        if min(height, width) < least:
            raise UserError(
                f"a frame of {width}x{height} pixels is too small: this GraNet needs at least {least}x{least}"
            )
        return self.padded_side(height), self.padded_side(width)


def _is_count(value: object) -> bool:
    """Whether ``value``, which may come from a file, is a positive integer and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
