"""One connection to a live source: a thread that reads it, and the place where its newest frame waits."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from granet.errors import UserError
from runtime.media.frame import Colour, Frame
from runtime.sources.base import SoundPacket, Source, StreamInfo
from runtime.sources.live.sound import MOST_WAITING, assigned, lasting
from runtime.telemetry.health import Health


@dataclass(frozen=True)
class Arrival:
    """A frame, the colour order it has, when it came, and what its connection says of itself.

    ``sound`` is what came since the frame that was taken before it.
    """

    frame: Frame
    colour: Colour
    at: float
    index: int
    info: StreamInfo
    sound: list[SoundPacket]


class Inbox:
    """Holds the newest frame, from whichever connection is the present one."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._changed = threading.Condition()
        self._arrival: Arrival | None = None
        self._count = 0
        self._woken = False
        self.closed = False
        self.last_at = 0.0

    def put(self, connection: "Connection", frame: Frame, info: StreamInfo, sound: list[SoundPacket]) -> bool:
        """Replaces the frame that waits, but not its sound; ``False`` if the connection was left."""
        with self._changed:
            if connection.is_left or self.closed:
                return False
            if self._arrival is not None:
                self._health.frame_in()
                self._health.drop("source")
                sound = [*self._arrival.sound, *sound][-MOST_WAITING:]
            self.last_at = time.monotonic()
            self._arrival = Arrival(frame, connection.colour, self.last_at, self._count, info, sound)
            self._count += 1
            self._changed.notify_all()
            return True

    def wait(self, seconds: float) -> bool:
        """Whether a frame waits: looks after ``seconds``, or sooner if something happened."""
        with self._changed:
            self._changed.wait_for(self._has_news, seconds)
            self._woken = False
            return self._arrival is not None

    def take(self, seconds: float) -> Arrival | None:
        """The frame that waits, or ``None`` after ``seconds``, or sooner if something happened."""
        with self._changed:
            self._changed.wait_for(self._has_news, seconds)
            self._woken = False
            arrival, self._arrival = self._arrival, None
            return arrival

    def _has_news(self) -> bool:
        return self._arrival is not None or self._woken or self.closed

    def forget(self) -> None:
        """Drops the frame of a connection that is gone."""
        with self._changed:
            self._arrival = None

    def wake(self) -> None:
        """Makes who waits look again."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def close(self) -> None:
        """No more frames."""
        with self._changed:
            self.closed = True
            self._arrival = None
            self._changed.notify_all()


class Connection:
    """One attempt: a thread that opens the source, reads it to its end, and closes it."""

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
        """Makes the thread end when its read returns."""
        self.is_left = True

    def _run(self) -> None:
        try:
            with self._open() as source:
                streams = source.info.sound
                self.info = info = replace(source.info, sound=lasting(streams))
                self.started_at = time.monotonic()
                self.ended_for_good = not info.live
                for frame in source.frames(self.colour):
                    sound = assigned(source.sound(), streams, info.sound)
                    if not self._inbox.put(self, frame, info, sound):
                        return
        except UserError as error:
            self.error, self.ended_for_good = error, False
        except Exception as error:  # noqa: BLE001 - a fault of a driver or a library is a lost connection
            self.error, self.ended_for_good = UserError(f"{type(error).__name__}: {error}"), False
        finally:
            self.done = True
            self._inbox.wake()
