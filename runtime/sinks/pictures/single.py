"""Write one picture to one file."""

from pathlib import Path

from granet.app.console import Say
from granet.errors import UserError
from runtime.media.frame import Frame
from runtime.sinks.base import Sink
from runtime.sinks.part_file import PartFile, check_file
from runtime.sinks.pictures.encode import PictureEncoder
from runtime.sources.base import StreamInfo


class PictureSink(Sink):
    """Writes the only frame.

    Args:
        path: output file; its extension selects the format.
        info: info of the source.
        say: called with a note about each property that the format cannot store.
        overwrite: whether an existing file may be replaced.

    Raises:
        UserError: if the destination cannot be used, see :func:`runtime.sinks.part_file.check_file`.
    """

    def __init__(self, path: Path, info: StreamInfo, say: Say, *, overwrite: bool) -> None:
        self.name = str(path)
        self._path = path
        self._say = say
        self._tags = info.colour
        self._overwrite = overwrite
        self._part: PartFile | None = None
        check_file(path, info.paths, overwrite=overwrite)

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Writes the picture; see :meth:`Sink.write`."""
        if self._part is not None:
            raise UserError(f"{self._path}: is one picture, but the input has several; write to a directory")
        data = PictureEncoder(self._colour, self._say, self._tags)(self._path.suffix, frame, before)
        self._part = PartFile(self._path, overwrite=self._overwrite)
        self._part.write(data)

    def finish(self) -> None:
        """Gives the picture its final name."""
        if self._part is not None:
            self._part.commit()

    def abort(self) -> None:
        """Removes the picture."""
        if self._part is not None:
            self._part.discard()
