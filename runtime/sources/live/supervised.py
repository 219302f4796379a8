"""A live source that does not end: what stalls, breaks or hangs is opened again, for as long as it takes.

Two threads. One, made anew for every connection, opens the source and reads it as fast as it gives
frames; of these only the newest waits. The other is the caller's: it takes that frame, sees when none
comes, and opens the next connection.

A read that never returns (a driver that hangs) cannot be stopped from outside, only left. Its thread
ends, and releases what it holds, when the read does return. At most :data:`MOST_LEFT` are left behind
in that way: no further connection is opened before one of them is back.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

import cv2
import numpy as np

from granet.app.console import Say
from granet.app.credentials import mask
from granet.errors import UserError
from runtime.media.backoff import Backoff
from runtime.media.frame import Colour, Frame
from runtime.sources.base import DecodedFrame, SoundPacket, Source, StreamInfo, WrongSettingsError
from runtime.sources.live.clock import TIME_BASE, LiveClock
from runtime.sources.live.connection import Arrival, Connection, Inbox
from runtime.sources.live.sound import LiveSound
from runtime.sources.reachability import ReturnWatch
from runtime.sources.url import SILENCE, TIMEOUT
from runtime.telemetry.health import Health

MOST_LEFT = 2
"""Reads that hang at the same time, at most."""

_LOOK = 0.25
_OPENS_AT_ONCE = 1.0
"""Seconds in which a camera that is there is usually opened."""

_CLOSE_PATIENCE = 0.2
"""Seconds that closing waits for a connection, which then ends by itself when its read returns."""


@dataclass(frozen=True)
class LiveOptions:
    """How patient a live source is; seconds.

    Attributes:
        stalled_after: without a frame, the stream counts as stalled.
        reopen_after: without a frame, it is opened again.
        open_within: a server has to answer, and then to give a first frame. What has no such limit
            of its own is left after twice that.
        give_up_after: without a frame, the source ends with an error, even if there never was one;
            ``None`` tries for ever.
        live: whether an address is a live stream although it does not look like one: then it is
            tried again even if it cannot be opened at first.
        backoff: makes the waits between attempts.
        announce: is told each change of state, and why an attempt failed: one line each.
        waiting: called again and again while the first frame is awaited.
    """

    stalled_after: float = 2.5
    reopen_after: float = SILENCE
    open_within: float = TIMEOUT
    give_up_after: float | None = None
    live: bool = False
    backoff: Callable[[], Backoff] = Backoff
    announce: Say = field(default=lambda message: None)
    waiting: Callable[[], None] = field(default=lambda: None)


class SupervisedSource(Source):
    """The newest frame of a live source, for ever, with timestamps that only go forward.

    Constructing one waits for the first frame, and tries again until there is one.

    Args:
        name: for people; credentials in it are masked.
        open_once: opens the source; called in a thread of its own, for every connection. What it
            gives has the stream's own timestamps, which may do anything.
        options: how patient it is.
        reachable: says quickly whether there is anything to open: a server that takes connections, a
            device file. If it was not and now is, the wait ends at once. ``None`` if that is not known.
        health: to report to; ``None`` makes one.
        cancelled: if it is set while the first frame is awaited, the wait ends with an error.

    Raises:
        UserError: if it is given up, or can never be right (:class:`WrongSettingsError`).
    """

    def __init__(
        self,
        name: str,
        open_once: Callable[[], Source],
        options: LiveOptions | None = None,
        *,
        reachable: Callable[[], bool] | None = None,
        health: Health | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        self._options = options or LiveOptions()
        self._name = mask(name)
        self.health = health or Health(name, say=self._options.announce)
        self._open_once, self._reachable = open_once, reachable
        self._cancelled = cancelled or threading.Event()
        self._backoff = self._options.backoff()
        self._clock = LiveClock(lambda: self.health.count("timestamp_repair"))
        self._inbox = Inbox(self.health)
        self._colour: Colour = "bgr"
        self._connection: Connection | None = None
        self._left: list[Connection] = []
        self._reasons: set[str] = set()
        self._fresh_at = self._retry_at = time.monotonic()
        self._return_watch = ReturnWatch(reachable)
        self._attempts = 0
        self._first_info: StreamInfo | None = None
        self._wait_for_first()

    def frames(self, colour: Colour) -> Iterator[Frame]:
        """The newest frame whenever there is a new one; see :meth:`Source.frames`.

        Raises:
            UserError: if it is given up.
        """
        self._colour = colour
        while not self._inbox.closed:
            arrival = self._inbox.take(self._patience())
            if arrival is not None:
                yield self._stamped(arrival, colour)
            elif not self._supervise():
                return

    def sound(self) -> list[SoundPacket]:
        """See :meth:`Source.sound`; it has the times of the frames."""
        return self._sound.take()

    def close(self) -> None:
        """Leaves the connection; a read that hangs is left to the end of the process."""
        self._inbox.close()
        self._inbox.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.leave()
            connection.thread.join(_CLOSE_PATIENCE)
        self.health.enter("ended")

    def _wait_for_first(self) -> None:
        try:
            seen = 0
            while (first := self._inbox.peek()[0]) is None:
                self._options.waiting()
                if self._cancelled.is_set():
                    raise UserError(f"{self._name}: was not waited for any longer")
                if not self._supervise():
                    raise UserError(f"{self._name}: ended before its first frame")
                seen = self._inbox.wait_newer(seen, self._patience())
        except BaseException:
            self.close()
            raise
        self._first_info = first.info
        self._sound = LiveSound(
            first.info.sound, lambda what: self._options.announce(f"{self._name}: {what}")
        )
        self.info = _live_info(first.info, self._name)

    def _patience(self) -> float:
        """Seconds until the connection is worth a look although nothing happened."""
        if self._connection is not None:
            return _LOOK
        return min(_LOOK, max(0.0, self._retry_at - time.monotonic()))

    def _supervise(self) -> bool:
        """Looks at the connection while there is no frame; ``False`` if the stream has ended."""
        if self._inbox.closed:
            return False
        options, now, connection = self._options, time.monotonic(), self._connection
        self._fresh_at = max(self._fresh_at, self._inbox.last_at)
        if options.give_up_after is not None and now - self._fresh_at > options.give_up_after:
            raise self._given_up()
        if connection is None:
            if now >= self._retry_at or self._return_watch.came_back(now):
                self._connect(now)
            return True
        if connection.done and connection.ended_for_good:
            self.health.enter("ended")
            return False
        self._look_at(connection, now)
        return True

    def _look_at(self, connection: Connection, now: float) -> None:
        options = self._options
        silent = now - max(connection.started_at, self._inbox.last_at)
        if connection.done:
            self._lose(connection.error)
        elif connection.info is None:
            # A packet to a camera that was off is sent again after ever longer times: a new one is faster.
            if silent > _OPENS_AT_ONCE and self._return_watch.came_back(now):
                self._leave(connection)
                self._connect(now)
            elif silent > 2 * options.open_within + _LOOK:
                self._lose(UserError(f"cannot be opened within {silent:.0f} s"))
        elif silent > options.reopen_after:
            self._lose(UserError(f"no frame for {silent:.0f} s"))
        elif silent > options.stalled_after:
            self.health.enter("stalled", f"no frame for {silent:.1f} s")

    def _connect(self, now: float) -> None:
        self._left = [connection for connection in self._left if connection.thread.is_alive()]
        if len(self._left) >= MOST_LEFT:
            self._tell(f"{len(self._left)} reads hang; it is opened again when one of them returns")
            self._retry_at = now + self._backoff.wait()
            return
        if self._attempts:
            self.health.count("reconnect")
        self._attempts += 1
        self._inbox.clear()
        self._clock.restart()
        self._connection = Connection(self._open_once, self._colour, self._inbox)

    def _lose(self, error: Exception) -> None:
        """Leaves the connection, says why, and sets the time of the next attempt."""
        connection, now = self._connection, time.monotonic()
        assert connection is not None
        if isinstance(error, WrongSettingsError) and self._first_info is None:
            raise error
        self._leave(connection)
        if connection.info is not None:
            self._backoff.lived(self._inbox.last_at - connection.started_at)
        self._retry_at = now + self._backoff.wait()
        reason = str(error).removeprefix(f"{self._name}: ")
        if self.health.snapshot().state == "connecting":
            self.health.enter("connecting", reason)
            self._tell(f"{reason}; trying again until it answers")
        elif self.health.enter("reconnecting", reason):
            self._reasons = {reason}
        else:
            self._tell(reason)

    def _leave(self, connection: Connection) -> None:
        self._connection = None
        connection.leave()
        if connection.thread.is_alive():
            self._left.append(connection)

    def _stamped(self, arrival: Arrival, colour: Colour) -> Frame:
        if self.health.enter("live"):
            self._reasons.clear()
            self._return_watch.forget()
        self._fresh_at = arrival.at
        frame, pixels = arrival.frame, arrival.frame.pixels
        if arrival.colour != colour:
            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
        time_base = frame.time_base or Fraction(1)
        pts = self._clock.time_of(None if frame.pts is None else frame.pts * time_base, arrival.at)
        if frame.pts is not None:
            self._sound.add(arrival.sound, arrival.info.sound, self._clock.offset, pts * TIME_BASE)
        stamped = replace(frame, pixels=pixels, index=arrival.index, pts=pts, time_base=TIME_BASE)
        if isinstance(stamped, DecodedFrame):
            # A comparison copies it, and the output has the colours of the first connection.
            native = stamped.native if self._has_first_colours(arrival.info) else None
            stamped = replace(stamped, native=native, duration=0)
        return stamped

    def _has_first_colours(self, info: StreamInfo) -> bool:
        first = self._first_info
        return first is not None and (info.colour, info.matrix, info.chroma) == (
            first.colour, first.matrix, first.chroma,
        )  # fmt: skip

    def _tell(self, reason: str) -> None:
        """Once for every outage."""
        if reason not in self._reasons:
            self._reasons.add(reason)
            self._options.announce(f"{self._name}: {reason}")

    def _given_up(self) -> UserError:
        snapshot = self.health.snapshot()
        self.health.enter("ended", "given up")
        why = f" ({snapshot.detail})" if snapshot.detail else ""
        return UserError(
            f"{self._name}: given up after {self._options.give_up_after:g} s without a frame{why}"
        )


def _live_info(info: StreamInfo, name: str) -> StreamInfo:
    """``info`` of the first connection, as that of all."""
    return replace(info, name=name, live=True, frames=None, time_base=TIME_BASE)
