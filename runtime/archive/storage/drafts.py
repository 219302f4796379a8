"""Videos that are written locally and then uploaded."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from runtime.archive.storage.scratch import scratch_folder

Upload = Callable[[Path], None]


class RemoteAttempt:
    """See :class:`runtime.archive.storage.base.Attempt`.

    Args:
        path: the local video.
        upload: copies it to its object.

    Attributes:
        path: the local video.
        kept: whether the object stays.
    """

    def __init__(self, path: Path, upload: Upload) -> None:
        self.path, self._upload = path, upload
        self.kept = False

    def store(self) -> None:
        """Uploads the video."""
        self._upload(self.path)

    def keep(self) -> None:
        """Leaves the object."""
        self.kept = True


class RemoteDraft:
    """See :class:`runtime.archive.storage.base.Draft`.

    Args:
        name: of the local file.
        publish: uploads a complete file; the object appears at once and whole.

    Attributes:
        path: the local file.
    """

    def __init__(self, name: str, publish: Upload) -> None:
        self._publish = publish
        self._held = ExitStack()
        self.path = self._held.enter_context(scratch_folder()) / name
        self.path.touch()

    def commit(self) -> None:
        """Uploads the file under its key."""
        self._publish(self.path)
        self._held.close()

    def discard(self) -> None:
        """Removes the local file."""
        self._held.close()


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder, some of which may be removed meanwhile."""
    sizes = []
    for path in folder.iterdir():
        try:
            sizes.append(path.stat().st_size)
        except OSError:
            continue
    return sum(sizes)
