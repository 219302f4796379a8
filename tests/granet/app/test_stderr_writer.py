"""Messages never wait for their reader; none is lost without being counted."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

import pytest

from granet.app.stderr_writer import StderrWriter
from tests.patience import PATIENCE
from tests.unread import fill, read_all


@dataclass
class Pipe:
    """The read end, and stderr, which is the write end."""

    read: int
    stderr: TextIO

    def rest(self) -> str:
        """Reads to the end, after stderr is closed."""
        self.stderr.close()
        return read_all(self.read).decode()


@contextmanager
def piped(encoding: str = "utf-8") -> Iterator[Pipe]:
    """Makes a pipe of stderr; not a fixture, because pytest puts its own stderr back before each test."""
    read, write = os.pipe()
    with os.fdopen(write, "w", encoding=encoding) as stderr, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        yield Pipe(read, stderr)
    os.close(read)


def write_message(writer: StderrWriter, text: str) -> None:
    with writer.message():
        writer.write(f"{text}\n")


def test_everything_arrives_in_order_where_somebody_reads() -> None:
    with piped() as pipe:
        writer = StderrWriter()
        for number in range(100):
            write_message(writer, f"message {number}")
        assert writer.finish(PATIENCE)
        assert pipe.rest().splitlines() == [f"message {number}" for number in range(100)]


def test_what_nobody_reads_is_dropped_and_the_number_is_said_later() -> None:
    with piped() as pipe:
        filled = fill(pipe.stderr.fileno())
        writer = StderrWriter(capacity=10)
        for number in range(100):
            write_message(writer, f"message {number}")
        assert not writer.finish(0.01)  # still waits, and did not block
        os.read(pipe.read, filled)
        assert writer.finish(PATIENCE)
        lines = pipe.rest().splitlines()
        arrived = [int(line.split()[1]) for line in lines if line.startswith("message")]
        lost = [
            int(found[1]) for line in lines if (found := re.match(r"(\d+) earlier messages are lost", line))
        ]
        assert arrived[-10:] == list(range(90, 100))  # the newest: the last one says why a command failed
        assert len(arrived) + sum(lost) == 100


def test_drawings_give_way_to_messages() -> None:
    with piped() as pipe:
        filled = fill(pipe.stderr.fileno())
        writer = StderrWriter(capacity=10)
        for number in range(5):
            write_message(writer, f"message {number}")
            for _ in range(50):
                writer.write("[bar]")
        os.read(pipe.read, filled)
        assert writer.finish(PATIENCE)
        text = pipe.rest()
        assert re.findall(r"message (\d)", text) == ["0", "1", "2", "3", "4"] and "lost" not in text


def test_a_reader_that_has_died_is_not_an_error() -> None:
    with piped() as pipe:
        os.dup2(os.open(os.devnull, os.O_RDONLY), pipe.read)
        writer = StderrWriter()
        for number in range(3):
            write_message(writer, f"message {number}")
        assert writer.finish(PATIENCE)


def test_a_closed_stderr_is_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    writer = StderrWriter()
    write_message(writer, "message")
    assert writer.finish(PATIENCE) and not writer.isatty()


def test_an_encoding_without_a_character_is_not_an_error() -> None:
    with piped("ascii") as pipe:
        writer = StderrWriter()
        write_message(writer, "café")
        assert writer.finish(PATIENCE)
        assert pipe.rest() == "caf\\xe9\n"


def test_a_descriptor_that_does_not_block_gets_everything() -> None:
    with piped() as pipe:
        os.set_blocking(pipe.stderr.fileno(), False)
        writer = StderrWriter()
        text = "y" * 300_000  # more than a pipe holds
        write_message(writer, text)
        found = b""
        while len(found) <= len(text):
            found += os.read(pipe.read, 1 << 16)
        assert found.decode() == text + "\n"
