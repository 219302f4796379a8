"""Helpers that watch a live source, and the resources left after it is closed."""

import ctypes
import os
import threading
import time
from pathlib import Path

from runtime.media.backoff import Backoff
from runtime.media.frame import Frame
from runtime.sources.base import Source
from runtime.sources.live.supervised import LiveOptions
from tests.patience import PATIENCE, wait_for

NEVER = 600.0
"""Seconds of a timeout that no stall of the machine reaches."""


def impatient(said: list[str] | None = None, **changes: object) -> LiveOptions:
    """Options with timeouts of tenths of seconds, which a busy machine reaches too, and a short back-off."""
    settings: dict[str, object] = {
        "stalled_after": 0.25,
        "reopen_after": 0.6,
        "open_within": 1.5,
        "backoff": lambda: Backoff(0.05, 0.2),
        "announce": (said if said is not None else []).append,
    }
    return LiveOptions(**{**settings, **changes})  # type: ignore[arg-type]


def steady(said: list[str] | None = None, **changes: object) -> LiveOptions:
    """Options with which only an event ends a connection: for tests that count connections."""
    timeouts = {"stalled_after": NEVER, "reopen_after": NEVER, "open_within": NEVER}
    return impatient(said, **{**timeouts, **changes})


class Watcher:
    """Reads a source in its own thread, like the pipeline."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.frames: list[Frame] = []
        self.arrivals: list[float] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        try:
            for frame in self.source.frames("bgr"):
                self.arrivals.append(time.monotonic())
                self.frames.append(frame)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    @property
    def state(self) -> str:
        return self.source.health.snapshot().state

    def wait_for_state(self, state: str) -> None:
        wait_for(lambda: self.state == state, f"{state}; it is {self.source.health.snapshot()}")

    def wait_for_frames(self, more: int = 5) -> None:
        """Waits for ``more`` further frames."""
        wanted = len(self.frames) + more
        wait_for(lambda: len(self.frames) >= wanted, f"{more} frames; {self.source.health.snapshot()}")

    def wait_for_silence(self) -> None:
        """Waits until no frame has come in 150 looks; a machine that stalls makes none."""
        looks, seen = 0, -1
        while looks < 150:
            looks, seen = looks + 1 if len(self.frames) == seen else 0, len(self.frames)
            time.sleep(0.01)

    def times(self) -> list[float]:
        return [float(frame.pts * frame.time_base) for frame in self.frames]  # type: ignore[operator]

    def end(self) -> None:
        self.source.close()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *arguments: object) -> None:
        self.end()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0


def system_threads() -> int:
    """Threads of this process, FFmpeg's own included."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


def resident_bytes() -> int:
    """Resident memory in bytes."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


class _MallocInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc's ``malloc.h``."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
            "keepcost",
        )
    ]  # fmt: skip


def native_bytes() -> int:
    """Bytes allocated by the C allocator in all arenas and mappings; 0 if unknown."""
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo2 is None:
        return 0
    mallinfo2.restype = _MallocInfo
    info = mallinfo2()
    return int(info.uordblks + info.hblkhd)
