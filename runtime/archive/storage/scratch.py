"""Local folders for what is uploaded later or was downloaded; what a killed process leaves is removed."""

import atexit
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from granet.errors import UserError


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder below ``TMPDIR``, which is removed at the end.

    Raises:
        UserError: if it cannot be created.
    """
    try:
        path = Path(tempfile.mkdtemp(dir=_of_process(tempfile.gettempdir())))
    except OSError as error:
        raise UserError(
            f"{tempfile.gettempdir()}: cannot be written: {error.strerror or error}; set TMPDIR to a "
            "directory with room"
        ) from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def has_scratch(need: int) -> bool:
    """Whether ``need`` bytes fit into the folders."""
    return shutil.disk_usage(tempfile.gettempdir()).free >= need


@lru_cache
def _of_process(parent: str) -> Path:
    """The folder of this process, which is locked while it lives."""
    root = Path(parent) / f"granet-archive-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise UserError(f"{root}: belongs to somebody else; set TMPDIR to another directory")
    with (root / "lock").open("ab") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        for each in root.iterdir():
            _remove_if_left(each)
        folder = root / uuid.uuid4().hex[:12]
        folder.mkdir()
        descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # held until the process ends
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _remove_if_left(folder: Path) -> None:
    """Removes the folder of a process that is gone."""
    if not folder.is_dir():
        return
    try:
        with (folder / "lock").open("ab") as own:
            fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # its process lives
        return
