"""An engine that may fail without ending a live run: its failures have a type of their own."""

import threading

import numpy as np

from granet.app.console import Say
from granet.errors import UserError
from runtime.engines.base import Derained, Engine
from runtime.engines.forwarding import ForwardingEngine
from runtime.media.frame import Pixels
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


class EngineFaultError(Exception):
    """The engine failed on a batch; the text says why, in one line."""


class EngineGuard(ForwardingEngine):
    """Watches the results of the network of one live stream.

    A batch fails if the engine raises, gives something of another shape, or gives black where there was
    light or white where there was none, in one channel or in all (which is what not-a-number becomes in
    uint8). It judges the network, so nothing may have been drawn into its results. The next batch is tried
    again. The user reads one line when a series of failures begins and one when it ends.

    Before the engine has computed anything, a :class:`UserError` is raised as it is: then the engine and
    the stream do not fit, which the user can mend.

    Args:
        engine: loaded.
        health: of the stream; counts the failures.
        say: prints a line when a series of failures begins and ends.
    """

    def __init__(self, engine: Engine, health: Health, say: Say) -> None:
        super().__init__(engine)
        self._health, self._say = health, say
        self._lock = threading.Lock()
        self._has_worked = False
        self._failed = 0

    def derain(self, frames: Pixels, want_mask: bool) -> Derained:
        """See :meth:`Engine.derain`.

        Raises:
            EngineFaultError: if the engine failed.
            UserError: if the engine refuses the very first frames.
        """
        try:
            result = super().derain(frames, want_mask)
        except UserError as error:
            if not self._has_worked:
                raise
            raise self._fault(_reason(error), frames) from error
        except Exception as error:
            raise self._fault(_reason(error), frames) from error
        wrong = _wrong(frames, result)
        if wrong:
            raise self._fault(wrong, frames)
        self._works()
        return result

    def _fault(self, why: str, frames: Pixels) -> EngineFaultError:
        """Reports a failure."""
        with self._lock:
            first, self._failed = not self._failed, self._failed + len(frames)
        self._health.engine_failing(why)
        for _ in frames:
            self._health.count("engine_fault")
        if first:
            self._say(f"the engine failed ({why}); frames pass with the rain in them until it works")
        return EngineFaultError(why)

    def _works(self) -> None:
        """Reports a success."""
        with self._lock:
            failed, self._failed = self._failed, 0
            self._has_worked = True
        self._health.engine_failing("")
        if failed:
            self._say(f"the engine works again after {failed} frames")


def _reason(error: Exception) -> str:
    text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or any(sign in text.lower().replace("_", " ") for sign in _MEMORY):
        return "out of memory"
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:199]}…"


def _wrong(before: Pixels, result: Derained) -> str:
    """What is wrong with a result; an empty text if nothing is."""
    for after in result:
        if after is not None and (after.shape != before.shape or after.dtype != np.uint8):
            return f"it gave {after.dtype} {after.shape}, not uint8 {before.shape}"
    return next(filter(None, map(_wrong_picture, before, result.frames)), "")


def _wrong_picture(before: Pixels, after: Pixels) -> str:
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
