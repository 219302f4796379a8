"""One sink in a thread of its own, which takes frames without ever making their giver wait."""

import threading
from collections import deque
from dataclasses import dataclass

from runtime.media.frame import Colour, Frame
from runtime.media.newest import Newest
from runtime.sinks.base import Sink
from runtime.sources.base import SoundPacket
from runtime.telemetry.health import Health

WAITING = 2
"""Frames that may wait for a sink that records."""

_IDLE = 0.1
_SOUND = 1000


@dataclass(frozen=True)
class _Item:
    frame: Frame
    before: Frame | None


class SinkWorker:
    """Runs a sink: frames that it is too slow for are dropped, the oldest first, and counted.

    Attributes:
        sink: it is started, written to and ended in this thread only.
        error: what ended it before its time; then it was aborted.
    """

    def __init__(self, sink: Sink, colour: Colour, health: Health) -> None:
        self.sink = sink
        self.error: BaseException | None = None
        size = 1 if sink.shows else WAITING
        self._queue: Newest[_Item] = Newest(size, dropping=lambda: health.drop("sink"))
        self._sound: deque[SoundPacket] = deque(maxlen=_SOUND)
        self._aborting = False
        self._thread = threading.Thread(
            target=self._run, args=(colour,), name=f"sink {sink.name}", daemon=True
        )
        self._thread.start()

    def offer(self, frame: Frame, before: Frame | None) -> None:
        """Hands a frame over; does not wait."""
        self._queue.put(_Item(frame, before))

    def offer_sound(self, packets: list[SoundPacket]) -> None:
        """Hands sound over, to be written after the frames that wait."""
        self._sound.extend(packets)

    def finish(self) -> None:
        """Lets it write what waits and finish; does not wait for that."""
        self._queue.close()

    def abort(self) -> None:
        """Lets it abort; does not wait for that."""
        self._aborting = True
        self._queue.close(discard=True)

    def join(self, seconds: float) -> bool:
        """Waits for its end; whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self, colour: Colour) -> None:
        try:
            self.sink.start(colour)
            self._write_all()
            if self._aborting:
                self.sink.abort()
            else:
                self.sink.finish()
        except BaseException as error:  # noqa: BLE001 - raised again where the worker is looked at
            self.error = error
            self.sink.abort()

    def _write_all(self) -> None:
        while True:
            try:
                item = self._queue.get(_IDLE)
            except TimeoutError:
                self.sink.idle()
                continue
            if item is None:
                return
            self.sink.write(item.frame, item.before)
            if self._sound:
                self.sink.write_sound([self._sound.popleft() for _ in range(len(self._sound))])
