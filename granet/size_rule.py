"""The padding rule: which frame sizes the network computes on, and how any other is brought there.

The coarse stage halves a frame three times and divides the halves into 4x4, the quarters into 2x2
and the eighths into 1x1 regions (section 3.2), so a side must be a multiple of 8. Beyond
``region_extent`` pixels the grid grows with the frame: a side of n pixels has ``ceil(n / extent)``
times the paper's number of regions, and must be a multiple of 8 times that. A network on frames folded
f x f does all this at 1/f of the side, so there 8 f takes the place of 8.

Invariants, for ``multiple`` dividing ``extent``:

* the padded side has as many regions as the unpadded one, so padding is idempotent;
* a side of at least 16, or of ``multiple`` where that is more, grows by less than its own length, so
  reflection (without repeating the edge) always has the pixels it needs.

Padding is added at the bottom and on the right only, and is cropped away after the network. This
module is the one place that knows the rule: the network, the exported files and every engine use it.
"""

from dataclasses import dataclass

from granet.errors import UserError

Size = tuple[int, int]
"""(height, width) in pixels."""

MIN_SIDE = 16
"""Smallest height and width of a frame, in pixels; ``multiple`` where that is more."""


@dataclass(frozen=True)
class SizeRule:
    """Sides must be multiples of ``multiple * ceil(side / extent)`` pixels.

    Attributes:
        multiple: pixels; 8 for the paper's GraNet, 16 for one on frames folded 2x2.
        extent: longest side, in pixels, of the frame area that one paper grid covers;
            ``None`` keeps the paper's literal grid whatever the size.

    Raises:
        UserError: if ``extent`` is not a multiple of ``multiple``, or either is no positive integer.
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
        """How many times the paper's grid stands along a side of ``side`` pixels."""
        return 1 if self.extent is None else (side + self.extent - 1) // self.extent

    def padded_side(self, side: int) -> int:
        """The smallest side of at least ``side`` pixels that the network computes on."""
        step = self.multiple * self.grid_growth(side)
        return (side + step - 1) // step * step

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) in pixels that a frame is padded to.

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
    """Whether ``value``, which may come out of a file, is a positive integer; True is not."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
