"""A video file, or Matroska on stdout, with the timestamps, colours and sound of the input."""

from contextlib import suppress
from pathlib import Path

from granet.app.console import Say
from granet.errors import UserError
from runtime.media.frame import Frame
from runtime.sinks.base import Sink
from runtime.sinks.part_file import PartFile, check_file
from runtime.sinks.video.containers import MATROSKA, VideoContainer, container_for
from runtime.sinks.video.encoding import DEFAULT, Encoding
from runtime.sinks.video.writer import VideoWriter
from runtime.sources.base import SoundPacket, StreamInfo

STDOUT = "-"


class VideoSink(Sink):
    """Writes one video; :class:`VideoWriter` documents which properties of the input it keeps.

    The file is named ``NAME.part.SUFFIX`` until it is finished. A recording of a live source is playable
    while it grows, and after a kill except for its last second.

    Args:
        destination: a path whose extension selects the format, or ``-`` for Matroska on stdout.
        info: info of the source.
        overwrite: whether an existing file may be replaced.
        say: called with a note about each property of the input that is not kept.
        encoding: the encoder and its options.

    Raises:
        UserError: if the destination cannot be used, see :func:`runtime.sinks.part_file.check_file`, the
            format does not suit a live source, or the encoder cannot be used.
    """

    def __init__(
        self,
        destination: str,
        info: StreamInfo,
        say: Say,
        *,
        overwrite: bool,
        encoding: Encoding = DEFAULT,
    ) -> None:
        self.name = "stdout (Matroska)" if destination == STDOUT else destination
        self._path = None if destination == STDOUT else Path(destination)
        self._kind: VideoContainer = MATROSKA if self._path is None else container_for(self._path.suffix)
        if self._path is not None:
            check_file(self._path, info.paths, overwrite=overwrite)
        if info.live:
            self._kind = self._kind.for_live()
        self._kind = encoding.applied_to(self._kind, info, self.name, say)
        self._info = info
        self._say = say
        self._overwrite = overwrite
        self._part: PartFile | None = None
        self._writer: VideoWriter | None = None

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Encodes a frame; see :meth:`Sink.write`.

        Raises:
            OutputGoneError: if the unfinished file is no longer in its place.
        """
        self.check()
        if self._writer is None:
            self._writer = self._open(frame, compare=before is not None)
        self._writer.write(frame, before)

    def write_sound(self, packets: list[SoundPacket]) -> None:
        """Copies the packets without re-encoding."""
        if self._writer is not None:
            self._writer.write_sound(packets)

    def check(self) -> None:
        """Checks that the unfinished file is in its place.

        Raises:
            OutputGoneError: if it was deleted, moved or replaced.
        """
        if self._part is not None:
            self._part.check()

    def finish(self) -> None:
        """Flushes the encoder, writes the trailer and gives the file its final name."""
        if self._writer is None:
            return
        self._writer.finish()
        if self._part is not None:
            self._part.commit()

    def interrupt(self) -> None:
        """Finishes the file but keeps it as a part; see :meth:`Sink.interrupt`."""
        if self._writer is None:
            return
        self._writer.finish()
        if self._part is not None:
            self.check()
            self._part.keep()
            self._say(f"{self.name} is not complete; the finished part is in {self._part.path}")

    def abort(self) -> None:
        """Removes the unfinished file."""
        if self._writer is not None:
            self._writer.close()
        if self._part is not None:
            self._part.discard()

    def keep(self) -> bool:
        """Ends a recording that cannot continue and gives the incomplete file its final name.

        Returns:
            Whether a file was kept; an empty file is removed.
        """
        if self._writer is not None:
            with suppress(UserError, OSError):
                self._writer.finish()
            self._writer.close()
        if self._part is None or not self._part.has_content():
            self.abort()
            return False
        self._part.commit()
        return True

    def _open(self, first: Frame, *, compare: bool) -> VideoWriter:
        if self._path is not None:
            self._part = PartFile(self._path, overwrite=self._overwrite, recording=self._info.live)
        target = "pipe:1" if self._part is None else f"file:{self._part.path}"
        return VideoWriter(
            target, self.name, self._kind, self._info, self._colour, self._say, first, compare=compare
        )
