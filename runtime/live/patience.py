"""Waits for an engine that is away, on behalf of a file: it must lose no frame."""

import time
from collections.abc import Callable

from granet.app.console import Say
from granet.errors import UserError
from runtime.engines.base import Derained, Engine, EngineAwayError, ForwardingEngine
from runtime.media.backoff import Backoff
from runtime.media.frame import Pixels

PATIENCE = 60.0
"""Seconds for which the frame of a file waits for an engine that is away."""

_POLL = 0.05


class PatientEngine(ForwardingEngine):
    """Sends a frame again while the engine is away, up to :data:`PATIENCE`.

    Args:
        engine: the loaded engine.
        say: called with one line when the waiting begins.
        stopped: whether the run was stopped; ends the waiting.
        patience: seconds to wait for the engine.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        engine: Engine,
        say: Say,
        stopped: Callable[[], bool] = lambda: False,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(engine)
        self._say, self._stopped = say, stopped
        self._patience, self._clock = patience, clock
        self._waiting = False

    def derain(self, frames: Pixels, want_mask: bool) -> Derained:
        """See :meth:`Engine.derain`.

        Raises:
            UserError: if the engine is still away after the patience, or the run is stopped.
        """
        give_up_at: float | None = None
        backoff = Backoff(first=0.1, most=2.0)
        while True:
            try:
                result = super().derain(frames, want_mask)
            except EngineAwayError as error:
                now = self._clock()
                give_up_at = now + self._patience if give_up_at is None else give_up_at
                if now >= give_up_at:
                    raise UserError(f"{error}; gave up after {self._patience:g} s") from error
                self._announce(str(error))
                self._sleep(min(backoff.wait(), give_up_at - now), error)
            else:
                self._waiting = False
                return result

    def _announce(self, why: str) -> None:
        waiting, self._waiting = self._waiting, True
        if not waiting:
            self._say(f"{why}; waiting for up to {self._patience:g} s")

    def _sleep(self, seconds: float, error: EngineAwayError) -> None:
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            if self._stopped():
                raise error
            time.sleep(min(_POLL, left))
