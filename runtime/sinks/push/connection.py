"""One connection to a server that is pushed to: encoding here, sending in a process that can be killed."""

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from granet.app.console import Say
from granet.errors import UserError
from runtime.media.frame import Colour, Frame
from runtime.sinks.push.process import FORMAT, URL
from runtime.sinks.video.containers import VideoContainer
from runtime.sinks.video.writer import VideoWriter
from runtime.sources.base import StreamInfo

SILENCE = 5.0
"""Seconds that a server may take nothing before it counts as lost."""

OPENING = 15.0
"""Seconds until the first picture must have been sent; a process is started for it, and a TLS connection."""

_FAREWELL = 0.3
"""Seconds that the end of a stream may take."""

# A viewer who joins waits for a key frame: one every two seconds at 30 frames a second.
_X264 = {
    "preset": "veryfast",
    "tune": "zerolatency",
    "crf": "23",
    "maxrate": "6M",
    "bufsize": "6M",
    "g": "60",
}
_KIND = VideoContainer(FORMAT, encoder_options=_X264, muxer_options={"flush_packets": "1"})


class PushConnection:
    """Opens at once; whether the server is there is known when :attr:`sending` becomes true, or by an error.

    Attributes:
        sending: the first picture was sent.

    Args:
        url: where to; it is not put on a command line.
        name: of it, for people.
        info: of the source.
        colour: channel order of the frames.
        say: is told what is not kept.
        first: the first frame; it decides the size and is not written yet.
        compare: whether frames come with what they were made from.
    """

    def __init__(
        self, url: str, name: str, info: StreamInfo, colour: Colour, say: Say, first: Frame, *, compare: bool
    ) -> None:
        self._name = name
        self.sending = False
        self._opened = time.monotonic()
        self._begun = False
        self._read, self._write = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("process.py"))],
            stdin=self._read,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, URL: url},
            # A Ctrl-C is for the program, which then ends the stream.
            start_new_session=True,
        )
        os.close(self._read)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._writer: VideoWriter | None = None
        try:
            self._writer = VideoWriter(
                f"pipe:{self._write}", self._name, _KIND, info, colour, say, first, compare=compare
            )
        except BaseException:
            self.kill()
            raise

    def ready(self) -> bool:
        """Whether the next frame will be sent now; after the first it would wait for the server in a pipe.

        Raises:
            UserError: if the server is not there, or takes nothing within :data:`OPENING` seconds.
        """
        self._listen()
        if self.sending or not self._begun:
            return True
        if self._process.poll() is not None or time.monotonic() - self._opened > OPENING:
            raise UserError(f"{self._name}: {self._reason(OPENING)}")
        return False

    def write(self, frame: Frame, before: Frame | None) -> None:
        """Encodes and sends a frame.

        Raises:
            UserError: if the server is lost, or has taken nothing for :data:`SILENCE` seconds.
        """
        assert self._writer is not None
        self._begun = True
        deadline = threading.Timer(SILENCE, self._process.kill)
        deadline.daemon = True
        deadline.start()
        try:
            self._writer.write(frame, before)
        except (UserError, OSError) as error:
            raise UserError(f"{self._name}: {self._reason(SILENCE)}") from error
        finally:
            deadline.cancel()
        self._listen()

    def _listen(self) -> None:
        """The process says so once the first picture is sent."""
        assert self._process.stdout is not None
        self.sending = self.sending or bool(self._process.stdout.read())

    def finish(self) -> None:
        """Ends the stream, if the server still takes it; else leaves it."""
        # The end of a file is written without letting other threads run: there must be room for it.
        end = time.monotonic() + _FAREWELL
        while self._process.poll() is None and self._waiting() and time.monotonic() < end:
            time.sleep(0.01)
        if self._process.poll() is None and not self._waiting() and self._writer is not None:
            with suppress(UserError, OSError):
                self._writer.finish()
            self._close_pipe()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_FAREWELL)
        self.kill()

    def kill(self) -> None:
        """Leaves the server at once."""
        self._process.kill()
        self._process.wait()
        # Nobody reads the pipe now: closing cannot wait for anything.
        if self._writer is not None:
            self._writer.close()
        self._close_pipe()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _close_pipe(self) -> None:
        if self._write >= 0:
            os.close(self._write)
            self._write = -1

    def _waiting(self) -> int:
        """Bytes that the process has not taken yet."""
        import fcntl
        import struct
        import termios

        return int(struct.unpack("i", fcntl.ioctl(self._write, termios.FIONREAD, bytes(4)))[0])

    def _reason(self, waited: float) -> str:
        self._process.kill()
        _, told = self._process.communicate()
        return f"cannot be written to: {told.decode(errors='replace') or f'took nothing for {waited:g} s'}"
