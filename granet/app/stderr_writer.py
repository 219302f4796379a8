"""Writes to stderr without ever waiting for its reader.

A pipe that nobody reads, a terminal stopped by Ctrl-S and a log reader that has died must not stop the work.
A thread of its own writes, from a queue of limited length.
"""

import io
import os
import select
import stat
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

CAPACITY = 256
"""Texts that wait for a reader; beyond it the oldest are dropped."""

FLUSH_SECONDS = 1.0
"""Time that a program waits at its end for a reader."""

_Item = tuple[int, bytes, bool]
"""Descriptor, encoded text, and whether it is a message rather than a drawing."""


class StderrWriter(io.TextIOBase):
    """A text file for whatever :data:`sys.stderr` is at the time of writing; writing never blocks.

    Messages that no reader takes are dropped, the oldest first, and their number is written as soon as there
    is a reader again. Errors of stderr, such as a reader that has died, are ignored. Regular files do not
    make their writer wait and are written at once.

    Args:
        capacity: texts that may wait.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        super().__init__()
        self._capacity = capacity
        self._waiting: deque[_Item] = deque()
        self._is_writing = False
        self._dropped = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._local = threading.local()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of stderr."""
        return getattr(_stderr(), "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether stderr is a terminal."""
        stream = _stderr()
        return stream is not None and stream.isatty()

    def fileno(self) -> int:
        """The descriptor of stderr."""
        stream = _stderr()
        if stream is None:
            raise io.UnsupportedOperation("stderr is closed")
        return stream.fileno()

    def writable(self) -> bool:
        """Always ``True``."""
        return True

    @contextmanager
    def message(self) -> Iterator[None]:
        """Inside the context this thread writes messages, whose loss is counted; otherwise drawings."""
        self._local.is_message = True
        try:
            yield
        finally:
            self._local.is_message = False

    def write(self, text: str) -> int:
        """Queues ``text``; see the class."""
        stream = _stderr()
        if stream is None or not text:
            return len(text)
        try:
            descriptor = stream.fileno()
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        except (OSError, ValueError):  # a stream in memory, or one that is closed
            with suppress(OSError, ValueError):
                stream.write(text)
            return len(text)
        content = text.encode(self.encoding, "backslashreplace")
        if is_file:
            _write(descriptor, content)
        else:
            self._put((descriptor, content, getattr(self._local, "is_message", False)))
        return len(text)

    def finish(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Waits until everything is written, at most ``seconds``; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._is_writing, seconds)

    def _put(self, item: _Item) -> None:
        with self._changed:
            if len(self._waiting) >= self._capacity:
                self._drop_one()
            self._waiting.append(item)
            if self._thread is None or not self._thread.is_alive():  # also in a forked process
                self._thread = threading.Thread(target=self._run, name="stderr", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _drop_one(self) -> None:
        """Makes room: a drawing is replaced by the next one anyway, a message is missed."""
        drawing = next((index for index, item in enumerate(self._waiting) if not item[2]), None)
        self._dropped += drawing is None
        del self._waiting[drawing or 0]

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._waiting))
                descriptor, content, _ = self._waiting.popleft()
                dropped, self._dropped = self._dropped, 0
                self._is_writing = True
            if dropped:
                _write(descriptor, f"{dropped} earlier messages are lost: nobody read stderr\n".encode())
            _write(descriptor, content)


def _stderr() -> TextIO | None:
    """The real stderr, also while rich has replaced it; ``None`` if it is closed."""
    stream: TextIO | None = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
    return stream


def _write(descriptor: int, content: bytes) -> None:
    """Writes everything, however long the reader takes; gives up if the reader has died."""
    rest = memoryview(content)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            _wait_for_reader(descriptor)
        except OSError:
            return


def _wait_for_reader(descriptor: int) -> None:
    """Waits until ``descriptor``, which does not block, takes more."""
    waiting = select.poll()  # unlike select.select not limited to 1,024 descriptors
    waiting.register(descriptor, select.POLLOUT)
    waiting.poll()
