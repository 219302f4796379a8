"""A checkpoint that is read once for all steps."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from granet.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from granet.model import GraNet
from granet.weights.renames import parse_renames


@dataclass(frozen=True)
class CheckpointFile:
    """A snapshot of a checkpoint.

    Attributes:
        path: the user's file.
        copy: the same network in our own form; it has the same name, and nobody else writes there.
        checkpoint: the weights and their configuration.
        renames: each ``--map``, which may choose one of several networks in the file.
    """

    path: Path
    copy: Path
    checkpoint: Checkpoint
    renames: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """SHA-256 of the user's file, hexadecimal."""
        return self.checkpoint.sha256

    def network(self) -> GraNet:
        """The network: float32, on the CPU, in evaluation mode."""
        return self.checkpoint.network()


@contextmanager
def opened_checkpoint(path: Path, renames: Sequence[str] | None = None) -> Iterator[CheckpointFile]:
    """Reads ``path`` once and writes the network to a temporary directory, in the format of this project.

    Training may replace a checkpoint at any time; so weights, reference and hash come from the same bytes.

    Args:
        path: the file.
        renames: each ``--map``.

    Raises:
        UsageError: if one of ``renames`` is malformed or not used.
        UserError: if the file is missing, damaged or malicious, or has another network.
    """
    checkpoint = read_checkpoint(path, parse_renames(renames))
    with tempfile.TemporaryDirectory(prefix="granet-") as directory:
        copy = Path(directory) / path.name
        save_checkpoint(copy, checkpoint.network(), **checkpoint.facts)
        yield CheckpointFile(path, copy, checkpoint, tuple(renames or ()))
