"""One connection to a live source: a reader thread, and an inbox for its newest frame."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from granet.errors import UserError
from runtime.media.frame import Colour, Frame
from runtime.media.newest import Newest
from runtime.sources.base import SoundPacket, Source, StreamInfo
from runtime.sources.live.sound import MOST_WAITING, lasting
from runtime.sources.sound_packets import assigned
from runtime.telemetry.health import Health


@dataclass(frozen=True)
class Arrival:
    """A frame with its colour order, arrival time, and the info of its connection.

    ``sound`` holds the packets received since the previously taken frame.
    """

    frame: Frame
    colour: Colour
    at: float
    index: int
    info: StreamInfo
    sound: list[SoundPacket]


class Inbox(Newest[Arrival]):
    """Holds the newest frame of the current connection."""

    def __init__(self, health: Health) -> None:
        super().__init__(dropping=self._count_dropped)
        self._health = health
        self.last_at = 0.0

    def arrive(
        self, connection: "Connection", frame: Frame, info: StreamInfo, sound: list[SoundPacket]
    ) -> bool:
        """Replaces the waiting frame but keeps its sound; ``False`` if the connection was abandoned."""
        # Under one lock: no frame of an abandoned connection may follow once its last one is cleared.
        with self._changed:
            if connection.is_left:
                return False
            waiting, index = self.peek()
            if waiting is not None:
                sound = [*waiting.sound, *sound][-MOST_WAITING:]
            now = time.monotonic()
            if not self.put(Arrival(frame, connection.colour, now, index, info, sound)):
                return False
            self.last_at = now
            return True

    def take(self, seconds: float) -> Arrival | None:
        """The waiting frame; ``None`` after ``seconds``, or earlier on :meth:`wake` or :meth:`close`."""
        with suppress(TimeoutError):
            return self.get(seconds)
        return None

    def _count_dropped(self) -> None:
        self._health.frame_in()
        self._health.drop("source")


class Connection:
    """One connection attempt: a thread that opens the source, reads it to its end, and closes it."""

    def __init__(self, open_source: Callable[[], Source], colour: Colour, inbox: Inbox) -> None:
        self.colour: Colour = colour
        self.started_at = time.monotonic()
        self.info: StreamInfo | None = None
        self.error: Exception = UserError("the stream ended")
        self.ended_for_good = False
        self.done = False
        self.is_left = False
        self._open, self._inbox = open_source, inbox
        self.thread = threading.Thread(target=self._run, name="connection", daemon=True)
        self.thread.start()

    def leave(self) -> None:
        """Abandons the connection; its thread ends when the pending read returns."""
        self.is_left = True

    def _run(self) -> None:
        try:
            with self._open() as source:
                streams = source.info.sound
                copies = lasting(streams)
                samples = {
                    copy.index: source.info.sound_samples.get(stream.index, ())
                    for copy, stream in zip(copies, streams, strict=True)
                }
                self.info = info = replace(source.info, sound=copies, sound_samples=samples)
                self.started_at = time.monotonic()
                self.ended_for_good = not info.live
                for frame in source.frames(self.colour):
                    sound = assigned(source.sound(), streams, info.sound)
                    if not self._inbox.arrive(self, frame, info, sound):
                        return
        except UserError as error:
            self.error, self.ended_for_good = error, False
        except Exception as error:  # noqa: BLE001 - a driver or library fault counts as a lost connection
            self.error, self.ended_for_good = UserError(f"{type(error).__name__}: {error}"), False
        finally:
            self.done = True
            self._inbox.wake()
