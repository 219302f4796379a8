"""Write pictures to a directory under their original names."""

import errno
import os
from pathlib import Path, PurePosixPath

from granet.app.claim import Claim
from granet.app.console import Say
from granet.app.files import came_second, destination_of, publish
from granet.errors import UserError
from runtime.media.frame import Frame
from runtime.sinks.base import Sink
from runtime.sinks.part_file import OutputGoneError, check_parent
from runtime.sinks.pictures.encode import PictureEncoder, write_file
from runtime.sources.base import StreamInfo


class DirectorySink(Sink):
    """Writes one picture per frame; frames of a video are named ``000001.png`` and so on.

    The pictures are collected in ``DIRECTORY.part``, or in ``granet.part`` inside of a directory that exists,
    and moved to their places at the end. So a failed run leaves existing files untouched, and the pictures of
    an interrupted one do not pass for all.

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
        if directory.is_symlink():
            directory = destination_of(directory).path  # it may not exist yet
        self._directory = directory
        self._say = say
        self._tags = info.colour
        self._overwrite = overwrite
        self._inputs = {os.path.realpath(path) for path in info.paths}
        self._written: list[PurePosixPath] = []
        self._made = not directory.exists()
        self._staging: Claim | None = None
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
            self._encode = PictureEncoder(self._colour, self._say, self._tags)
        if not self._staging.in_place():
            raise OutputGoneError(f"{self._staging.path}: {self._staging.fate()}")
        target = self._staging.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_file(target, self._encode(name.suffix, frame, before), f"{self.name}{name}")
        self._written.append(name)

    def finish(self) -> None:
        """Moves the pictures to their places.

        Raises:
            UserError: if that fails; the pictures that are not in their places are kept.
        """
        if self._staging is None:
            return
        staging, self._staging = self._staging, None
        try:
            if not self._move_all(staging.path):
                for name in self._written:
                    self._publish(staging.path / name, self._directory / name)
                staging.remove()
        except FileExistsError:
            raise UserError(came_second(self._directory / name, staging.path)) from None
        except UserError as error:
            raise UserError(f"{error}; the output is kept as {staging.path}") from error
        except OSError as error:
            raise UserError(
                f"{self.name}: cannot be written: {error.strerror}; the output is kept as {staging.path}"
            ) from error
        finally:
            staging.unmark()
            staging.close()

    def interrupt(self) -> None:
        """Leaves the pictures where they are; see :meth:`Sink.interrupt`."""
        if self._staging is not None:
            self._say(
                f"{self.name} is not complete; {len(self._written)} pictures are in {self._staging.path}"
            )
            self._staging.close()
            self._staging = None

    def abort(self) -> None:
        """Removes the pictures."""
        if self._staging is not None:
            self._staging.remove()
            self._staging.close()

    def _move_all(self, staging: Path) -> bool:
        """Gives the whole directory its name; ``False`` if there is one of that name by now."""
        if not self._made:
            return False
        try:
            staging.rename(self._directory)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                return False
            raise
        return True

    def _publish(self, part: Path, final: Path) -> None:
        place = destination_of(final)
        place.path.parent.mkdir(parents=True, exist_ok=True)
        if place.mode is not None:
            part.chmod(place.mode)
        publish(part, place.path, overwrite=self._overwrite)

    def _stage(self) -> Claim:
        final = self._directory if self._made else self._directory / "granet"
        try:
            return Claim(final, directory=True)
        except OSError as error:
            raise UserError(f"{self.name}: cannot be written: {error.strerror}") from error

    def _check(self, name: PurePosixPath) -> None:
        target = self._directory / name
        if os.path.realpath(target) in self._inputs:
            raise UserError(f"{target}: is the input; write to another directory")
        if destination_of(target).mode is not None and not self._overwrite:
            raise UserError(f"{target}: exists; add --overwrite to replace it")
