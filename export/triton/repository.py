"""Adds a model, or a new version of one, to a Triton model repository; changes no file that is there.

A directory gets its name only when all of its files are written: Triton may be looking.
"""

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from export.triton.config import Serving, config_text
from export.triton.servable import Servable
from granet.app.files import write_atomically
from granet.app.schema import read_bytes
from granet.errors import UserError

CONFIG = "config.pbtxt"


def add_to_repository(repository: Path, model: Servable, serving: Serving) -> Path:
    """Adds a model as version 1, or as the next version if the repository has the model.

    Args:
        repository: directory of the repository; created if its parent exists.
        model: the model.
        serving: its settings.

    Returns:
        The directory of the new version.

    Raises:
        UserError: if it cannot be written, or the model that is there has another configuration: all
            versions share one.
    """
    config = config_text(model, serving)
    place = repository / serving.name
    try:
        with _made(repository):
            if place.exists():
                _require_same(place / CONFIG, config, serving.name)
                return _add_version(place, model.files)
            return _add_model(place, model.files, config)
    except OSError as error:
        raise UserError(f"{error.filename or place}: cannot be written: {error.strerror or error}") from error


@contextmanager
def _made(repository: Path) -> Iterator[None]:
    """Creates the directory if it is missing, and removes it again if nothing came into it."""
    is_new = not repository.exists()
    if is_new:
        repository.mkdir()
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):  # another program has put something there
                repository.rmdir()
        raise


def _add_model(place: Path, files: Mapping[str, bytes], config: str) -> Path:
    part = _part_of(place.parent, place.name)
    try:
        _write(part / "1", files)
        write_atomically(part / CONFIG, config.encode())
        part.rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return place / "1"


def _add_version(place: Path, files: Mapping[str, bytes]) -> Path:
    part = _part_of(place, "version")
    try:
        _write(part, files)
        while True:
            final = place / str(_newest(place) + 1)
            try:
                part.rename(final)
            except OSError:
                if not final.exists():
                    raise
                continue  # another program was the first to add this version
            return final
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _require_same(path: Path, config: str, name: str) -> None:
    if not path.exists():
        raise UserError(f"{path.parent}: is not a model of Triton (it has no {CONFIG}): use another --name")
    there = read_bytes(path).decode(errors="replace")
    if there != config:
        ours, theirs = config.splitlines(), there.splitlines()
        first = next((line.strip() for line in ours if line not in theirs), "fewer lines")
        raise UserError(
            f"{path}: differs from the configuration of this model (first in: {first[:80]}), and all "
            f"versions share one: use another --name than {name}"
        )


def _newest(place: Path) -> int:
    return max((int(path.name) for path in place.iterdir() if path.name.isdecimal()), default=0)


def _part_of(directory: Path, name: str) -> Path:
    """A hidden directory with an unused name; Triton does not take it for a version."""
    part = directory / f".{name}.{uuid.uuid4().hex[:8]}"
    part.mkdir()
    return part


def _write(directory: Path, files: Mapping[str, bytes]) -> None:
    directory.mkdir(exist_ok=True)
    for name, content in files.items():
        write_atomically(directory / name, content)
