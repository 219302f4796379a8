"""A checkpoint that is read once, however many steps look into it."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from granet.checkpoint import Checkpoint, load_checkpoint, read_checkpoint
from granet.errors import UserError
from granet.model import GraNet
from runtime.open import CHECKPOINTS

_CHUNK = 1 << 20


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint as it was when it was read.

    Attributes:
        path: the user's file.
        copy: of the bytes that were read; it has the same name, and nobody else writes there.
        sha256: of those bytes, hexadecimal.
        checkpoint: what they hold.
    """

    path: Path
    copy: Path
    sha256: str
    checkpoint: Checkpoint

    def network(self) -> GraNet:
        """The network: float32, on the CPU, in evaluation mode."""
        return load_checkpoint(self.copy)


@contextmanager
def opened_checkpoint(path: Path) -> Iterator[CheckpointFile]:
    """Reads and hashes ``path`` once, into a directory of this process, and parses what was read.

    Training may replace a checkpoint at any time: weights, reference and hash are those of one file.

    Raises:
        UserError: if the file is missing, damaged, hostile, or of another network.
    """
    with tempfile.TemporaryDirectory(prefix="granet-") as directory:
        copy = Path(directory) / path.name
        digest = _copied(path, copy)
        try:
            checkpoint = read_checkpoint(copy)
        except UserError as error:
            raise UserError(str(error).replace(str(copy), str(path))) from error
        yield CheckpointFile(path, copy, digest, checkpoint)


def _copied(path: Path, copy: Path) -> str:
    """SHA-256 of what was copied."""
    if path.suffix not in CHECKPOINTS:
        endings = ", ".join(CHECKPOINTS)
        raise UserError(f"{path}: the name of a checkpoint ends in {endings}: rename the file if it is one")
    digest = hashlib.sha256()
    try:
        with path.open("rb") as source, copy.open("wb") as target:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                target.write(chunk)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()
