"""The steps from a source frame to a written frame: dry check, engine, view."""

import threading
import time
from dataclasses import replace

from granet.app.console import Say
from granet.errors import UserError
from runtime.engines.base import Engine
from runtime.live.dry_skipper import DrySkipper
from runtime.live.guard import EngineFaultError
from runtime.live.mask_view import MaskView
from runtime.media.frame import Frame
from runtime.telemetry.summary import Times


class FrameSteps:
    """Turns the frames of one stream into the frames to write.

    Args:
        engine: the loaded engine. Frames for which it raises
            :class:`runtime.live.guard.EngineFaultError` are passed through, marked with :attr:`Frame.fault`.
        dry: finds dry frames, which bypass the engine; ``None`` computes all frames.
        view: shows the rain instead of the picture; ``None`` shows the picture.
        say: called once with one line if frames have to be padded or tiled.
    """

    def __init__(self, engine: Engine, dry: DrySkipper | None, view: MaskView | None, say: Say) -> None:
        self._engine, self._dry, self._view = engine, dry, view
        self._say = say
        self._lock = threading.Lock()
        self._is_first = True
        self.times = Times()
        """Seconds that each frame spent in the engine; read it only after the run."""

    def skips(self, frame: Frame) -> bool:
        """Whether the frame needs no inference; call it for every frame, in order."""
        return self._dry is not None and self._dry.skips(frame.pixels)

    def apply(self, frame: Frame, skipped: bool) -> Frame:
        """Makes the frame to write; up to ``engine.concurrency`` threads may call it at once.

        Args:
            frame: the frame as read. Not modified.
            skipped: the result of :meth:`skips` for it.

        Returns:
            The frame with new pixels of the same shape, or unchanged.

        Raises:
            UserError: if the engine refuses the frame or fails; names the picture if it has a name.
        """
        if skipped:
            return replace(frame, pixels=self._view.paint_dry(frame.pixels)) if self._view else frame
        try:
            return self._compute(frame)
        except UserError as error:
            if frame.name is None:
                raise
            raise UserError(f"{frame.name}: {error}") from error

    def _compute(self, frame: Frame) -> Frame:
        self._say_plan_once(frame)
        start = time.perf_counter()
        try:
            result = self._engine.derain(frame.pixels[None], self._view is not None and self._view.needs_mask)
        except EngineFaultError as error:
            return replace(frame, fault=str(error))
        finally:
            with self._lock:
                self.times.add(time.perf_counter() - start)
        after = result.frames[0]
        if self._view is not None:
            after = self._view.paint(frame.pixels, after, None if result.mask is None else result.mask[0])
        return replace(frame, pixels=after)

    def _say_plan_once(self, frame: Frame) -> None:
        with self._lock:
            is_first, self._is_first = self._is_first, False
        if not is_first:
            return
        height, width = frame.pixels.shape[:2]
        plan = self._engine.plan(height, width)
        if not plan.as_they_are:
            self._say(f"frames of {width}x{height} go through the network {plan.description}")
