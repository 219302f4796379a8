"""A live source that reconnects indefinitely when it stalls, breaks or hangs.

It uses two threads. A reader thread, created for each connection, opens the source and reads frames as
fast as they arrive; only the newest is kept. The caller's thread takes that frame, detects stalls, and
opens the next connection.

A read that never returns (a hanging driver) cannot be interrupted, only abandoned. Its thread ends and
releases its resources when the read returns. At most :data:`MOST_LEFT` reads are abandoned at a time: no
further connection is opened until one of them returns.
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
from runtime.sources.base import (
    AnswerError,
    DecodedFrame,
    RefusedError,
    SoundPacket,
    Source,
    StreamInfo,
    WrongSettingsError,
)
from runtime.sources.live.clock import TIME_BASE, LiveClock
from runtime.sources.live.connection import Arrival, Connection, Inbox
from runtime.sources.live.schedule import POLL, Schedule
from runtime.sources.live.sound import LiveSound
from runtime.sources.reachability import ReturnWatch
from runtime.sources.url import SILENCE, TIMEOUT
from runtime.telemetry.health import Health

MOST_LEFT = 2
"""Maximum number of abandoned reads that hang at the same time."""

_USUAL_OPENING = 1.0
"""Seconds within which an available camera usually opens."""

_CLOSE_TIMEOUT = 0.2
"""Seconds for which closing waits for a connection, which otherwise ends when its read returns."""


@dataclass(frozen=True)
class LiveOptions:
    """Timeouts and callbacks of a live source.

    Attributes:
        stalled_after: seconds without a frame after which the stream counts as stalled.
        reopen_after: seconds without a frame after which the source reconnects.
        open_within: seconds for the server to respond, and again for the first frame. A source without
            such a timeout of its own is abandoned after twice this time.
        give_up_after: seconds without a frame, even before the first one, after which the source ends
            with an error; ``None`` retries indefinitely.
        live: treat an address as live even if it does not look live: retry if it cannot be opened.
        backoff: creates the back-off between attempts.
        announce: called with one line for each change of state and each failed attempt.
        waiting: called repeatedly while waiting for the first frame.
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
    """The newest frame of a live source, indefinitely, with strictly increasing timestamps.

    The constructor waits for the first frame and retries until it arrives.

    Args:
        name: display name; credentials in it are masked.
        open_once: opens the source; called in a new thread for each connection. The source may have
            arbitrary timestamps.
        options: timeouts and callbacks.
        reachable: quick check whether the server accepts connections or the device file exists. When it
            turns true, the source reconnects at once. ``None`` if there is no such check.
        health: health to report to; ``None`` creates one.
        cancelled: when set, ends the wait for the first frame with an error.

    Raises:
        UserError: if ``options.give_up_after`` passes or the settings are invalid
            (:class:`WrongSettingsError`).
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
        self._schedule = Schedule(self._options.backoff())
        self._clock = LiveClock(lambda: self.health.count("timestamp_repair"))
        self._inbox = Inbox(self.health)
        self._colour: Colour = "bgr"
        self._connection: Connection | None = None
        self._left: list[Connection] = []
        self._reasons: set[str] = set()
        self._fresh_at = time.monotonic()
        self._return_watch = ReturnWatch(reachable)
        self._attempts = 0
        self._first_info: StreamInfo | None = None
        self._wait_for_first()

    def frames(self, colour: Colour) -> Iterator[Frame]:
        """Yields each newest frame; see :meth:`Source.frames`.

        Raises:
            UserError: if ``give_up_after`` passes without a frame.
        """
        self._colour = colour
        while not self._inbox.closed:
            arrival = self._inbox.take(self._next_check())
            if arrival is not None:
                yield self._stamped(arrival, colour)
            elif not self._supervise():
                return

    def sound(self) -> list[SoundPacket]:
        """See :meth:`Source.sound`; the packets use the clock of the frames."""
        return self._sound.take()

    def close(self) -> None:
        """Abandons the connection; a hanging read may last until the process ends."""
        self._inbox.close()
        self._inbox.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.leave()
            connection.thread.join(_CLOSE_TIMEOUT)
        self.health.enter("ended")

    def _wait_for_first(self) -> None:
        try:
            seen = 0
            while (first := self._inbox.peek()[0]) is None:
                self._options.waiting()
                if self._cancelled.is_set():
                    raise UserError(f"{self._name}: cancelled while waiting for the first frame")
                if not self._supervise():
                    raise UserError(f"{self._name}: ended before its first frame")
                seen = self._inbox.wait_newer(seen, self._next_check())
        except BaseException:
            self.close()
            raise
        self._first_info = first.info
        self._sound = LiveSound(
            first.info.sound, lambda what: self._options.announce(f"{self._name}: {what}")
        )
        self.info = _live_info(first.info, self._name)

    def _next_check(self) -> float:
        """Seconds until the next check of the connection if nothing happens."""
        if self._connection is not None:
            return POLL
        return self._schedule.next_look(time.monotonic())

    def _supervise(self) -> bool:
        """Checks the connection while there is no frame; ``False`` if the stream has ended."""
        if self._inbox.closed:
            return False
        options, now, connection = self._options, time.monotonic(), self._connection
        self._fresh_at = max(self._fresh_at, self._inbox.last_at)
        if connection is not None:
            if connection.done and connection.ended_for_good:
                self.health.enter("ended")
                return False
            # Before giving up, so that the reason is known.
            self._check(connection, now)
        if options.give_up_after is not None and now - self._fresh_at > options.give_up_after:
            raise self._given_up()
        if connection is None:
            came_back = self._return_watch.came_back(now)
            if came_back or self._schedule.is_due(now, responds=self._return_watch.is_here):
                self._connect(now)
        return True

    def _check(self, connection: Connection, now: float) -> None:
        options = self._options
        silent = now - max(connection.started_at, self._inbox.last_at)
        if connection.done:
            self._lose(connection.error)
        elif connection.info is None:
            # TCP retransmits to a camera that was off at growing intervals: a new connection is faster.
            if silent > _USUAL_OPENING and self._return_watch.came_back(now):
                self._leave(connection)
                self._connect(now)
            elif silent > 2 * options.open_within + POLL:
                self._lose(UserError(f"did not open within {silent:.0f} s"))
        elif silent > options.reopen_after:
            self._lose(UserError(f"no frame for {silent:.0f} s"))
        elif silent > options.stalled_after:
            self.health.enter("stalled", f"no frame for {silent:.1f} s")

    def _connect(self, now: float) -> None:
        self._left = [connection for connection in self._left if connection.thread.is_alive()]
        if len(self._left) >= MOST_LEFT:
            self._announce_once(f"{len(self._left)} reads hang; reconnecting when one of them returns")
            self._schedule.postpone(now)
            return
        if self._attempts:
            self.health.count("reconnect")
        self._attempts += 1
        self._inbox.clear()
        self._clock.restart()
        self._connection = Connection(self._open_once, self._colour, self._inbox)

    def _lose(self, error: Exception) -> None:
        """Abandons the connection, announces why, and schedules the next attempt."""
        connection, now = self._connection, time.monotonic()
        assert connection is not None
        if isinstance(error, WrongSettingsError) and self._first_info is None:
            raise error
        self._leave(connection)
        lived = None if connection.info is None else self._inbox.last_at - connection.started_at
        # Until the first frame a refusal may mean a wrong password, and some cameras lock the account.
        refused = isinstance(error, RefusedError) and self._first_info is None
        self._schedule.lost(now, lived, may_be_soon=not refused)
        reason = str(error).removeprefix(f"{self._name}: ")
        if self.health.snapshot().state == "connecting":
            self.health.enter("connecting", reason)
            wanted = "has a picture" if isinstance(error, AnswerError) else "responds"
            self._announce_once(f"{reason}; retrying until it {wanted}")
        elif self.health.enter("reconnecting", reason):
            self._reasons = {reason}
        else:
            self._announce_once(reason)

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
            # A comparison copies the native frame, and the output has the colours of the first connection.
            native = stamped.native if self._has_first_colours(arrival.info) else None
            stamped = replace(stamped, native=native, duration=0)
        return stamped

    def _has_first_colours(self, info: StreamInfo) -> bool:
        first = self._first_info
        return first is not None and (info.colour, info.matrix, info.chroma) == (
            first.colour, first.matrix, first.chroma,
        )  # fmt: skip

    def _announce_once(self, reason: str) -> None:
        """Announces each reason once per outage."""
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
    """The ``info`` of the first connection, adapted to all connections."""
    return replace(info, name=name, live=True, frames=None, time_base=TIME_BASE)
