"""An engine that may fail without ending a live run: then the picture passes as it came, and says so."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from granet.errors import UserError
from runtime.engines.base import Engine
from runtime.media.frame import Frame, Pixels
from runtime.telemetry.health import Health

_STRIDE = 16
_FAR = 48
"""Levels from black (or white) from which a value of the input cannot become that."""
_NEAR = 2
"""Levels from black (or white) up to which a value of the output is that."""
_SHARE = 0.25
"""Share of the values far from black (or white) that become it, from which the output is no picture."""
_LEAST = 0.02
"""Share of all values that must do so: streaks on a black night may."""

_MEMORY = (
    "out of memory",
    "outofmemory",
    "failed to allocate",
    "alloc failed",
    "bad alloc",
    "memoryallocation",
)


class EngineGuard:
    """Runs an engine on frames of live streams, and watches what it gives.

    If it raises, gives something of another shape, or gives black where there was light or white where
    there was none, in one channel or in all (which is what not-a-number becomes in uint8), the frames pass
    as they came, with :attr:`Frame.fault` saying why; the next frame is tried again. Each episode is told
    once when it begins and once when it ends.

    Before the engine has computed anything, a :class:`UserError` is raised as it is: then the engine and
    the stream do not fit, which the user can mend.

    Args:
        engine: loaded.
        say: is told when an episode begins and ends.
    """

    def __init__(self, engine: Engine, say: Callable[[str], None] = lambda message: None) -> None:
        self._engine, self._say = engine, say
        self._has_worked = False
        self._failed = 0

    def run(self, frames: Sequence[Frame], healths: Sequence[Health]) -> list[Frame]:
        """The results of a batch; one frame that fails does not spoil those of other streams.

        Args:
            frames: of one size, one or more.
            healths: of the stream of each.

        Returns:
            As many frames, with new pixels, or with those they came with and a fault.

        Raises:
            UserError: if the engine refuses the very first frames.
        """
        pixels = frames[0].pixels[None] if len(frames) == 1 else np.stack([frame.pixels for frame in frames])
        try:
            results = self._engine.run(pixels)
        except UserError as error:
            if not self._has_worked:
                raise
            faults = [_reason(error)] * len(frames)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises, the picture goes on
            faults = [_reason(error)] * len(frames)
        else:
            faults = _faults(pixels, results)
        self._has_worked = self._has_worked or not all(faults)
        self._report(faults, healths)
        return [
            replace(frame, fault=fault) if fault else replace(frame, pixels=results[place])
            for place, (frame, fault) in enumerate(zip(frames, faults, strict=True))
        ]

    def _report(self, faults: list[str], healths: Sequence[Health]) -> None:
        for fault, health in zip(faults, healths, strict=True):
            health.engine_failing(fault)
            if fault:
                health.count("engine_fault")
        first = next((fault for fault in faults if fault), "")
        if first and not self._failed:
            self._say(f"the engine failed ({first}); frames pass with the rain in them until it works")
        if not first and self._failed:
            self._say(f"the engine works again after {self._failed} frames")
        self._failed = self._failed + sum(map(bool, faults)) if first else 0


def _reason(error: Exception) -> str:
    text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or any(sign in text.lower().replace("_", " ") for sign in _MEMORY):
        return "out of memory"
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:199]}…"


def _faults(before: Pixels, after: Pixels) -> list[str]:
    """What is wrong with each frame of a batch; an empty text if nothing is."""
    if after.shape != before.shape or after.dtype != np.uint8:
        wrong = f"it gave {after.dtype} {after.shape}, not uint8 {before.shape}"
        return [wrong] * len(before)
    return [_fault_of(b, a) for b, a in zip(before, after, strict=True)]


def _fault_of(before: Pixels, after: Pixels) -> str:
    """Looks at one pixel in 256, because this is done for every frame."""
    was, now = before[::_STRIDE, ::_STRIDE], after[::_STRIDE, ::_STRIDE]
    least = _LEAST * was.shape[0] * was.shape[1]
    for name, far, near in (
        ("black", was >= _FAR, now <= _NEAR),
        ("white", was <= 255 - _FAR, now >= 255 - _NEAR),
    ):
        # By channel: one weight that is not a number may spoil one of the three only.
        wrong, possible = (far & near).sum((0, 1)), far.sum((0, 1))
        if ((wrong > _SHARE * possible) & (wrong > least)).any():
            return f"it gave {name}, or not a number"
    return ""
