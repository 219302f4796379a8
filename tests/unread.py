"""Readers of stderr and stdout that do not read: full pipes and stopped terminals."""

import os
import pty
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """A pipe into which no further byte fits: (read end, write end)."""
    read, write = os.pipe()
    fill(write)
    try:
        yield read, write
    finally:
        os.close(read)
        with suppress(OSError):
            os.close(write)


def fill(write: int) -> int:
    """Fills a pipe without waiting for its reader; the number of bytes that it took."""
    os.set_blocking(write, False)
    filled = 0
    for size in (1 << 16, 1):
        with suppress(BlockingIOError):
            while True:
                filled += os.write(write, b"x" * (size - 1) + b"\n")
    os.set_blocking(write, True)
    return filled


@contextmanager
def stopped_terminal() -> Iterator[tuple[int, int]]:
    """A terminal on which somebody has pressed Ctrl-S: (its screen, the descriptor of a program)."""
    screen, program = pty.openpty()
    termios.tcflow(program, termios.TCOOFF)
    try:
        yield screen, program
    finally:
        os.close(screen)
        with suppress(OSError):
            os.close(program)


def read_all(descriptor: int) -> bytes:
    """Everything until the end of a pipe or a terminal."""
    parts = []
    with suppress(OSError):  # a terminal whose program has ended
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
    return b"".join(parts)
