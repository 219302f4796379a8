"""One push connection: encodes here and sends in a child process that can be killed."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from granet.app.console import Say
from granet.app.outside_text import decoded
from granet.errors import UserError
from runtime.media.frame import Colour, Frame
from runtime.sinks.push.certificate import write_certificate
from runtime.sinks.push.process import TARGET
from runtime.sinks.push.protocols import Target
from runtime.sinks.video.containers import VideoContainer
from runtime.sinks.video.writer import VideoWriter
from runtime.sources.base import StreamInfo

SILENCE = 5.0
"""Seconds without progress after which a server counts as lost."""

OPENING = 15.0
"""Seconds within which the first picture must be sent; includes starting a process and a TLS handshake."""

_CLOSE_TIMEOUT = 0.3
"""Seconds within which a stream must end."""


class PushConnection:
    """A connection that opens without blocking; :attr:`sending` or an error shows whether it succeeded.

    Attributes:
        sending: whether the first picture was sent.

    Args:
        target: the server; its address never appears on a command line.
        name: display name of the server.
        kind: the stream to the child process and its encoder.
        info: info of the source.
        colour: channel order of the frames.
        say: called with a note about each property of the input that is not kept.
        first: the first frame, which sets the size; it is not written yet.
        compare: whether each frame comes with its input frame.
    """

    def __init__(
        self,
        target: Target,
        name: str,
        kind: VideoContainer,
        info: StreamInfo,
        colour: Colour,
        say: Say,
        first: Frame,
        *,
        compare: bool,
    ) -> None:
        self._name = name
        self.sending = False
        self._opened = time.monotonic()
        self._begun = False
        self._folder = TemporaryDirectory() if target.protocol.has_certificate else None
        certificate = {} if self._folder is None else write_certificate(Path(self._folder.name))
        options = target.options | certificate
        self._read, self._write = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("process.py"))],
            stdin=self._read,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, TARGET: json.dumps([target.url, target.protocol.muxer, options])},
            # Only the parent handles Ctrl-C; it then ends the stream.
            start_new_session=True,
        )
        os.close(self._read)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._writer: VideoWriter | None = None
        try:
            self._writer = VideoWriter(
                f"pipe:{self._write}", self._name, kind, info, colour, say, first, compare=compare
            )
        except BaseException:
            self.kill()
            raise

    def ready(self) -> bool:
        """Whether to send the next frame now; until the server has accepted the first, it would only queue.

        Raises:
            UserError: if the connection fails, or does not accept the first frame within :data:`OPENING` s.
        """
        self._update_sending()
        if self.sending or not self._begun:
            return True
        if self._process.poll() is not None or time.monotonic() - self._opened > OPENING:
            raise UserError(f"{self._name}: {self._reason(OPENING)}")
        return False

    def write(self, frame: Frame, before: Frame | None) -> None:
        """Encodes and sends a frame.

        Raises:
            UserError: if the connection is lost, or makes no progress for :data:`SILENCE` seconds.
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
        self._update_sending()

    def _update_sending(self) -> None:
        """Reads the child's stdout: the child writes to it once the first picture is sent."""
        assert self._process.stdout is not None
        self.sending = self.sending or bool(self._process.stdout.read())

    def finish(self) -> None:
        """Ends the stream if the server still accepts data; otherwise drops the connection."""
        # FFmpeg writes the trailer while holding the GIL, so the pipe must have room for it.
        end = time.monotonic() + _CLOSE_TIMEOUT
        while self._process.poll() is None and self._waiting() and time.monotonic() < end:
            time.sleep(0.01)
        if self._process.poll() is None and not self._waiting() and self._writer is not None:
            with suppress(UserError, OSError):
                self._writer.finish()
            self._close_pipe()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_CLOSE_TIMEOUT)
        self.kill()

    def kill(self) -> None:
        """Drops the connection at once."""
        self._process.kill()
        self._process.wait()
        # The pipe has no reader now, so closing cannot block.
        if self._writer is not None:
            self._writer.close()
        self._close_pipe()
        if self._folder is not None:
            self._folder.cleanup()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _close_pipe(self) -> None:
        if self._write >= 0:
            os.close(self._write)
            self._write = -1

    def _waiting(self) -> int:
        """Bytes in the pipe that the child process has not read yet."""
        import fcntl
        import struct
        import termios

        return int(struct.unpack("i", fcntl.ioctl(self._write, termios.FIONREAD, bytes(4)))[0])

    def _reason(self, waited: float) -> str:
        self._process.kill()
        _, message = self._process.communicate()
        return f"cannot be written to: {decoded(message) or f'no progress for {waited:g} s'}"
