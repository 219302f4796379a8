"""Write pictures to a directory under their original names."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path, PurePosixPath

from granet.app.console import Say
from granet.errors import UserError
from runtime.media.frame import Frame
from runtime.sinks.base import Sink
from runtime.sinks.part_file import check_parent
from runtime.sinks.pictures.encode import PictureEncoder, write_file
from runtime.sources.base import StreamInfo


class DirectorySink(Sink):
    """Writes one picture per frame; frames of a video are named ``000001.png`` and so on.

    The pictures are collected in a hidden subdirectory and moved to their places at the end, so that a
    failed run leaves existing files untouched.

    Args:
        directory: output directory; created if missing, but its parent must exist.
        info: info of the source.
        say: called with a note about each property that a format cannot store.
        overwrite: whether existing pictures may be replaced.

    Raises:
        UserError: if the directory cannot be created or written to, or contains a picture of that name.
    """

    def __init__(self, directory: Path, info: StreamInfo, say: Say, *, overwrite: bool) -> None:
        self.name = f"{directory}/"
        self._directory = directory
        self._say = say
        self._overwrite = overwrite
        self._inputs = {path.resolve() for path in info.paths}
        self._written: list[PurePosixPath] = []
        self._made = not directory.exists()
        self._staging: Path | None = None
        if directory.exists() and not directory.is_dir():
            raise UserError(f"{directory}: is a file; use a directory or a name with a file extension")
        check_parent(directory if self._made else directory / "picture")
        for name in info.names:
            self._check(PurePosixPath(name))

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Writes a picture; see :meth:`Sink.write`."""
        name = PurePosixPath(frame.name or f"{frame.index + 1:06d}.png")
        self._check(name)
        if self._staging is None:
            self._staging = self._stage()
            self._encode = PictureEncoder(self._colour, self._say)
        target = self._staging / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_file(target, self._encode(name.suffix, frame, before), f"{self.name}{name}")
        self._written.append(name)

    def finish(self) -> None:
        """Moves the pictures to their places."""
        if self._staging is None:
            return
        try:
            for name in self._written:
                (self._directory / name).parent.mkdir(parents=True, exist_ok=True)
                (self._staging / name).replace(self._directory / name)
        except OSError as error:
            raise UserError(f"{self.name}: cannot be written: {error.strerror}") from error
        shutil.rmtree(self._staging, ignore_errors=True)

    def abort(self) -> None:
        """Removes the pictures, and the directory if this sink created it."""
        if self._staging is None:
            return
        shutil.rmtree(self._staging, ignore_errors=True)
        if self._made:
            with suppress(OSError):
                self._directory.rmdir()

    def _stage(self) -> Path:
        try:
            self._directory.mkdir(exist_ok=True)
            return Path(tempfile.mkdtemp(prefix=".granet-part-", dir=self._directory))
        except OSError as error:
            raise UserError(f"{self.name}: cannot be written: {error.strerror}") from error

    def _check(self, name: PurePosixPath) -> None:
        target = self._directory / name
        if target.resolve() in self._inputs:
            raise UserError(f"{target}: is the input; write to another directory")
        if target.exists() and not self._overwrite:
            raise UserError(f"{target}: exists; add --overwrite to replace it")
