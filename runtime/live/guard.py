"""Guards a live run against a failing engine: failures raise :class:`EngineFaultError`."""

import threading

import numpy as np

from granet.app.console import Say, Urgent
from granet.errors import UserError
from runtime.engines.base import Derained, Engine, EngineAwayError, EngineReplacedError, ForwardingEngine
from runtime.media.frame import Pixels
from runtime.telemetry.health import Health

_STRIDE = 16
_FAR = 48
"""An input value at least this many levels from black (or white) must not become black (or white)."""
_NEAR = 2
"""An output value at most this many levels from black (or white) counts as black (or white)."""
_SHARE = 0.25
"""The output is invalid if more than this share of the values far from black (or white) become so."""
_LEAST = 0.02
"""They must also be more than this share of all values: bright streaks on a black night may turn black."""

_MEMORY = (
    "out of memory",
    "outofmemory",
    "failed to allocate",
    "alloc failed",
    "bad alloc",
    "memoryallocation",
)


class EngineFaultError(Exception):
    """The engine failed on a batch; the message gives the reason in one line."""


class EngineGuard(ForwardingEngine):
    """Checks the results of the network for one live stream.

    A batch fails if the engine raises, returns another shape, or returns black where there was light or
    white where there was none, in one channel or in all (NaN becomes black or white in uint8). The guard
    judges the network, so nothing may be drawn into its results before. The next batch is tried again. The
    user gets one line when a series of failures begins and one when it ends.

    Before the first success a :class:`UserError` is passed on: then the engine does not fit the stream, and
    the user can fix that. A server that is away (:class:`EngineAwayError`) is a failure like any later one.
    A model that was replaced (:class:`EngineReplacedError`) is always passed on.

    Args:
        engine: the loaded engine.
        health: health of the stream; counts the failures.
        say: called with one line when a series of failures begins and when it ends.
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
            UserError: if the engine refuses the first frames, or was replaced.
        """
        try:
            result = super().derain(frames, want_mask)
        except EngineReplacedError:
            raise
        except UserError as error:
            if not (self._has_worked or isinstance(error, EngineAwayError)):
                raise
            raise self._fault(_reason(error), frames) from error
        except Exception as error:
            raise self._fault(_reason(error), frames) from error
        wrong = _wrong(frames, result)
        if wrong:
            raise self._fault(wrong, frames)
        self._recover()
        return result

    def _fault(self, why: str, frames: Pixels) -> EngineFaultError:
        """Reports a failure."""
        with self._lock:
            first, self._failed = not self._failed, self._failed + len(frames)
        self._health.engine_failing(why)
        for _ in frames:
            self._health.count("engine_fault")
        if first:
            what = f"the engine failed ({why}); frames bypass it, with rain, until it recovers"
            self._say(Urgent(what))
        return EngineFaultError(why)

    def _recover(self) -> None:
        """Reports a success."""
        with self._lock:
            failed, self._failed = self._failed, 0
            self._has_worked = True
        self._health.engine_failing("")
        if failed:
            self._say(f"the engine recovered after {failed} frames")


def _reason(error: Exception) -> str:
    text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or any(sign in text.lower().replace("_", " ") for sign in _MEMORY):
        return "out of memory"
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:199]}…"


def _wrong(before: Pixels, result: Derained) -> str:
    """The fault of a result; an empty text if there is none."""
    for after in result:
        if after is not None and (after.shape != before.shape or after.dtype != np.uint8):
            return f"it returned {after.dtype} {after.shape}, not uint8 {before.shape}"
    return next(filter(None, map(_wrong_picture, before, result.frames)), "")


def _wrong_picture(before: Pixels, after: Pixels) -> str:
    """The fault of one picture; checks only one pixel in 256, because it runs for every frame."""
    was, now = before[::_STRIDE, ::_STRIDE], after[::_STRIDE, ::_STRIDE]
    least = _LEAST * was.shape[0] * was.shape[1]
    for name, far, near in (
        ("black", was >= _FAR, now <= _NEAR),
        ("white", was <= 255 - _FAR, now >= 255 - _NEAR),
    ):
        # By channel: one weight that is NaN may spoil only one of the three.
        wrong, possible = (far & near).sum((0, 1)), far.sum((0, 1))
        if ((wrong > _SHARE * possible) & (wrong > least)).any():
            return f"it returned {name} or NaN"
    return ""
