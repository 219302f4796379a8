"""One sink in its own thread; handing it a frame never blocks."""

import threading
from collections import deque
from dataclasses import dataclass

from runtime.media.frame import Colour, Frame
from runtime.media.newest import Newest
from runtime.sinks.base import Sink
from runtime.sources.base import SoundPacket
from runtime.telemetry.health import Health

WAITING = 2
"""Queue size in frames for a sink that records."""

_IDLE = 0.1
_SOUND = 1000


@dataclass(frozen=True)
class _Item:
    frame: Frame
    before: Frame | None


class SinkWorker:
    """Runs a sink in a thread; if the sink is too slow, drops and counts the oldest frames.

    Attributes:
        sink: the sink; only the worker's thread starts it, writes to it and ends it.
        error: the error on which the sink was aborted; ``None`` if there is none.
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
        """Queues a frame; does not block."""
        self._queue.put(_Item(frame, before))

    def offer_sound(self, packets: list[SoundPacket]) -> None:
        """Queues sound, to be written after the next frame."""
        self._sound.extend(packets)

    def finish(self) -> None:
        """Requests that the sink write its queued frames and finish; does not block."""
        self._queue.close()

    def abort(self) -> None:
        """Requests that the sink abort; does not block."""
        self._aborting = True
        self._queue.close(discard=True)

    def join(self, seconds: float) -> bool:
        """Waits up to ``seconds`` for the thread; whether it has ended."""
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
        except BaseException as error:  # noqa: BLE001 - the owner of the worker raises it again
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
