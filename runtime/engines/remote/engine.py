"""A model on a server as an engine.

Up to :data:`IN_FLIGHT` threads may each wait for a frame; gRPC answers in any order, and
:func:`runtime.live.in_order.in_order` restores it. Frames are fitted to the model's size here, by the same
rule as for a local model, so the pixels are the same.
"""

import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from granet.app.console import Say
from granet.errors import UserError
from runtime.engines.base import EngineAwayError, EngineInfo, EngineReplacedError, GraphEngine
from runtime.engines.fitting import FrameFit
from runtime.engines.onnx_model import MASK
from runtime.engines.remote.address import ServerAddress
from runtime.engines.remote.availability import Availability, Deadline
from runtime.engines.remote.client import Description, FrameDroppedError, LateError, ModelClient
from runtime.media.backoff import Backoff
from runtime.media.frame import Pixels

REMOTE = "remote"
"""The ``backend`` of :class:`EngineInfo`; the server chooses the real one."""

IN_FLIGHT = 8

PATIENCE = 60.0
"""Seconds to wait for the server when the engine is opened."""

_ASK = 2.0
"""Deadline of a question that needs no computing, in seconds."""


class RemoteEngine(GraphEngine):
    """A model on a server that speaks KServe v2.

    Args:
        address: address of the model.
        say: called with one line if the server is awaited.
        patience: seconds to wait for the server before the first frame.
        sleep: waits for seconds.

    Raises:
        UserError: if the server is away for longer than the patience, or the model is not one of ours.
    """

    concurrency = IN_FLIGHT

    def __init__(
        self,
        address: ServerAddress,
        say: Say = lambda message: None,
        patience: float = PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._address = address
        self._client = ModelClient(address)
        self._deadlines: dict[tuple[int, ...], Deadline] = defaultdict(Deadline)
        self._availability = Availability(str(address))
        self._replaced = False
        try:
            self._description = self._first_answer(say, patience, sleep)
        except BaseException:
            self._client.close()
            raise
        self.info = _info(address, self._description)

    def _first_answer(self, say: Say, patience: float, sleep: Callable[[float], None]) -> Description:
        backoff = Backoff(first=0.25, most=4.0)
        give_up_at = time.monotonic() + patience
        waiting = False
        while True:
            try:
                return self._client.describe(_ASK)
            except EngineAwayError as error:
                left = give_up_at - time.monotonic()
                if left <= 0:
                    raise UserError(f"{error}; gave up after {patience:g} s") from error
                if not waiting:
                    say(f"{error}; waiting for up to {patience:g} s")
                waiting = True
                sleep(min(backoff.wait(), left))

    def _infer(self, batch: Pixels, want_mask: bool) -> tuple[Pixels, ...]:
        outputs = [self._description.model.outputs[0], *([MASK] if want_mask else [])]
        most = self._description.most or len(batch)
        parts = [self._send(batch[start : start + most], outputs) for start in range(0, len(batch), most)]
        if len(parts) == 1:
            return parts[0]
        return tuple(np.concatenate(pictures) for pictures in zip(*parts, strict=True))

    def _send(self, frames: Pixels, outputs: list[str]) -> tuple[Pixels, ...]:
        """Sends frames that the server takes in one call, unless it is known to be away."""
        if self._replaced:  # seen by the thread of another frame
            raise self._replacement()
        try:
            if self._availability.must_ask():
                self._check_same(self._client.describe(_ASK))
            result = self._timed(frames, outputs)
        except FrameDroppedError:
            self._availability.is_back()
            raise
        except EngineAwayError as error:
            raise self._availability.is_away(str(error).removeprefix(f"{self._address}: ")) from error
        self._availability.is_back()
        return result

    def _timed(self, frames: Pixels, outputs: list[str]) -> tuple[Pixels, ...]:
        started, deadline = time.monotonic(), self._deadlines[frames.shape]
        try:
            result = self._client.infer(frames, outputs, deadline.seconds)
        except LateError:
            deadline.missed()
            raise
        deadline.took(time.monotonic() - started)
        return result

    def _check_same(self, now: Description) -> None:
        """Refuses another model under the same name: its frames would be padded or coloured wrongly."""
        if (now.model, now.most) != (self._description.model, self._description.most):
            self._replaced = True
            raise self._replacement()

    def _replacement(self) -> EngineReplacedError:
        return EngineReplacedError(f"{self._address}: the server has another model now: start again")

    def close(self) -> None:
        """Closes the connection; frames in flight fail."""
        self._client.close()


def _info(address: ServerAddress, found: Description) -> EngineInfo:
    model = found.model
    fit = FrameFit(model.size_rule, model.height, model.width, model.batch)
    version = f" version {found.version}" if found.version else ""
    what = f"{address.model}{version}, {model.precision}, {fit}, {model.colour}"
    return EngineInfo(
        backend=REMOTE,
        device=address.host,
        model=address.model,
        precision=model.precision,
        colour=model.colour,
        fit=fit,
        description=f"{found.server} at {address}: {what}",
        has_mask=MASK in model.outputs,
    )
