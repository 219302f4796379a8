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
        min: the least of each, (N, H, W).
        opt: what it was tuned for, (N, H, W).
        max: the most of each, (N, H, W). A static engine has one profile with all three the same.

    Raises:
        ValueError: if they are not three positive integers each, in ascending order.
    """

    min: Shape
    opt: Shape
    max: Shape

    def __post_init__(self) -> None:
        for name in ("min", "opt", "max"):
            shape = getattr(self, name)
            fits = isinstance(shape, tuple) and len(shape) == 3 and all(_is_positive(side) for side in shape)
            _require(fits, name, shape)
        ordered = all(a <= b <= c for a, b, c in zip(self.min, self.opt, self.max, strict=True))
        _require(ordered, "min, opt, max", (self.min, self.opt, self.max))

    @classmethod
    def fixed(cls, n: int, height: int, width: int) -> "Profile":
        """The profile of a static engine."""
        return cls((n, height, width), (n, height, width), (n, height, width))

    def takes(self, shape: Shape) -> bool:
        """Whether a batch of (N, H, W) lies within."""
        return all(a <= b <= c for a, b, c in zip(self.min, shape, self.max, strict=True))

    @property
    def is_static(self) -> bool:
        """Whether it takes one shape only."""
        return self.min == self.max

    def __str__(self) -> str:
        """For people, width first: ``640x480`` or ``1 to 4 frames of 16x16 to 1920x1080``."""
        (n, h, w), (most, tall, wide) = self.min, self.max
        sides = f"{w}x{h}" if (h, w) == (tall, wide) else f"{w}x{h} to {wide}x{tall}"
        if n == most:
            return sides if n == 1 else f"{n} frames of {sides}"
        return f"{n} to {most} frames of {sides}"


def nearest(profiles: Sequence[Profile], shape: Shape) -> int | None:
    """The index of the profile that takes ``shape`` and is tuned nearest to it; ``None`` if none does."""
    fitting = [index for index, profile in enumerate(profiles) if profile.takes(shape)]
    return min(fitting, key=lambda index: _distance(profiles[index], shape), default=None)


def _distance(profile: Profile, shape: Shape) -> float:
    """How far a profile's optimum is from a shape, in octaves of its sides."""
    return sum(abs(log2(opt / side)) for opt, side in zip(profile.opt, shape, strict=True))


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _require(condition: bool, name: str, value: object) -> None:
    if not condition:
        raise ValueError(f"{name} is {value!r:.60}")
