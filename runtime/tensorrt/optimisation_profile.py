"""Optimisation profiles: the shapes that an engine takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

Shape = tuple[int, int, int]
"""(N, H, W): frames of a batch, height and width in pixels."""


@dataclass(frozen=True)
class Profile:
    """One optimisation profile: the shapes that an engine takes, and the one it is fastest at.

    Attributes:
        min: smallest (N, H, W).
        opt: (N, H, W) that the engine is tuned for.
        max: largest (N, H, W). A static engine has one profile in which all three are equal.

    Raises:
        ValueError: if they are not positive and in ascending order.
    """

    min: Shape
    opt: Shape
    max: Shape

    def __post_init__(self) -> None:
        if not all(0 < a <= b <= c for a, b, c in zip(self.min, self.opt, self.max, strict=True)):
            raise ValueError(f"expected 0 < min <= opt <= max, got {self.min}, {self.opt}, {self.max}")

    @classmethod
    def fixed(cls, n: int, height: int, width: int) -> "Profile":
        """The profile of a static engine."""
        return cls((n, height, width), (n, height, width), (n, height, width))

    def takes(self, shape: Shape) -> bool:
        """Whether a batch of (N, H, W) lies within the profile."""
        return all(a <= b <= c for a, b, c in zip(self.min, shape, self.max, strict=True))

    @property
    def is_static(self) -> bool:
        """Whether it takes only one shape."""
        return self.min == self.max

    def __str__(self) -> str:
        """For people, width first: ``640x480`` or ``1 to 4 frames of 16x16 to 1920x1080``."""
        (n, h, w), (most, tall, wide) = self.min, self.max
        sides = f"{w}x{h}" if (h, w) == (tall, wide) else f"{w}x{h} to {wide}x{tall}"
        if n == most:
            return sides if n == 1 else f"{n} frames of {sides}"
        return f"{n} to {most} frames of {sides}"


def nearest(profiles: Sequence[Profile], shape: Shape) -> int | None:
    """Index of the profile that takes ``shape`` and is tuned nearest to it; ``None`` if none takes it."""
    fitting = [index for index, profile in enumerate(profiles) if profile.takes(shape)]
    return min(fitting, key=lambda index: _distance(profiles[index], shape), default=None)


def _distance(profile: Profile, shape: Shape) -> float:
    """Distance of a profile's optimum from a shape, in octaves of its sides."""
    return sum(abs(log2(opt / side)) for opt, side in zip(profile.opt, shape, strict=True))
