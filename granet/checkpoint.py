"""Checkpoints: written atomically, and read without executing their content.

Our checkpoints contain their :class:`GraNetConfig` and facts about the training.
:mod:`granet.foreign_checkpoint` handles checkpoints of other programs, and :mod:`granet.weights` the files.
The page "Checkpoints" of the documentation describes the format.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from granet.app.console import Notes
from granet.app.files import write_atomically
from granet.app.outside_text import shown_values
from granet.app.schema import DamagedError, decode_json
from granet.config import GraNetConfig
from granet.errors import UserError
from granet.foreign_checkpoint import (
    NamedWeights,
    State,
    check_plain,
    config_of_shapes,
    named_weights,
    plain_weights,
)
from granet.model import GraNet
from granet.weights.content import first_line, parse_content, read_file
from granet.weights.file_names import ENDINGS, SAFETENSORS, is_checkpoint
from granet.weights.mismatch import MismatchError, listed, require_fit
from granet.weights.packaged import named_checkpoint, packaged_weights
from granet.weights.renames import Rename

FORMAT = "granet-checkpoint/1"
_LONGEST_REASON = 400
_notes = Notes()


@dataclass(frozen=True)
class _Record:
    """The JSON beside the weights; :class:`GraNetConfig` checks the configuration."""

    format: Any
    config: dict[str, Any]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file.

    Attributes:
        config: configuration of the network.
        state: its parameters by name, float32 on the CPU.
        facts: facts about the training, as JSON values.
        left_out: names of the tensors that GraNet does not have.
        sha256: SHA-256 of the file, hexadecimal.
    """

    config: GraNetConfig
    state: State
    facts: dict[str, Any]
    left_out: tuple[str, ...]
    sha256: str

    def network(self) -> GraNet:
        """The network: float32, on the CPU, in evaluation mode."""
        with torch.device("meta"):  # skips the initialisation, which takes time and random numbers
            model = GraNet(self.config)
        model.load_state_dict(self.state, assign=True)
        return model.eval()


def save_checkpoint(path: str | Path, model: GraNet, overwrite: bool = True, /, **facts: Any) -> None:
    """Writes ``model`` and its configuration atomically.

    >>> import tempfile
    >>> from granet import GraNet, GraNetConfig, load_checkpoint, save_checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(f"{folder}/mine.safetensors", GraNet(GraNetConfig.lite()), psnr_db=33.7)
    ...     load_checkpoint(f"{folder}/mine.safetensors").config == GraNetConfig.lite()
    True

    Args:
        path: its name ends in one of :data:`granet.weights.file_names.ENDINGS`.
        model: the network; its parameters are written unchanged.
        overwrite: whether an existing file is replaced.
        facts: JSON values about the training (data, minutes, PSNR, ...).

    Raises:
        UserError: for another suffix, facts that are not JSON, or a file that cannot be written.
    """
    path = Path(path)
    try:
        _check_suffix(path)
        record = _record(model.config, facts)
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        if path.suffix.lower() == SAFETENSORS:
            content = save(state, metadata={"granet": record})
        else:
            buffer = io.BytesIO()
            torch.save({"granet": record, "state_dict": state}, buffer)
            content = buffer.getvalue()
    except UserError as error:
        error.args = (_about(path, str(error)),)
        raise
    write_atomically(path, content, overwrite=overwrite)


def load_checkpoint(path: str | Path, renames: Sequence[Rename] = ()) -> GraNet:
    """Loads the network of a checkpoint: float32, on the CPU, in evaluation mode.

    >>> from granet import load_checkpoint
    >>> network = load_checkpoint("lite")
    >>> network.config.channels, network.training
    (32, False)

    Args:
        path: the file, or the name of a packaged checkpoint (``lite``, ``base``).
        renames: renames for weights of another program, see :func:`granet.weights.renames.parse_renames`.

    Raises:
        UserError: if the file is missing, damaged, hostile, or of another network.
    """
    return read_checkpoint(path, renames).network()


def read_checkpoint(path: str | Path, renames: Sequence[Rename] = ()) -> Checkpoint:
    """Reads a checkpoint and checks its weights against its configuration.

    If there is no configuration, it is inferred from the shapes of the weights
    (:func:`granet.foreign_checkpoint.config_of_shapes`). Tensors beside the network, such as those of a loss,
    are left out with a note.

    Args:
        path: as for :func:`load_checkpoint`.
        renames: the same.

    Raises:
        UsageError: if one of ``renames`` is not used.
        MismatchError: if the file is of another network.
        UserError: if the file is missing, damaged or hostile.
    """
    path = named_checkpoint(path)
    try:
        if not path.suffix:
            names = " or ".join(packaged_weights())
            raise UserError(
                f"the name of a checkpoint must end in {' or '.join(ENDINGS)}, or be {names} (no folder)"
            )
        _check_suffix(path)
        data = read_file(path)
        content, record = parse_content(data, path.name)
        named = named_weights(content, renames)
        check_plain(named.state, most_bytes=len(data))
        config, facts = _configured(named, record)
        state = plain_weights(named.state)
    except UserError as error:
        error.args = (_about(path, str(error)),)
        raise
    except OSError as error:
        raise UserError(_about(path, f"cannot be read: {error.strerror or error}")) from error
    if named.left_out:
        _notes(_about(path, f"left out what GraNet does not have: {listed(named.left_out)}"))
    return Checkpoint(config, state, facts, named.left_out, hashlib.sha256(data).hexdigest())


def _configured(named: NamedWeights, record: str | None) -> tuple[GraNetConfig, dict[str, Any]]:
    """The configuration, which the weights must fit, and the facts about the training."""
    try:
        if record is None:
            config = config_of_shapes(named.state, named.left_out)
            facts: dict[str, Any] = {}
        else:
            config, facts = _parse_record(record)
        found = {name: tuple(value.shape) for name, value in named.state.items()}
        require_fit(config, found, named.left_out)
    except MismatchError as error:
        error.shapes = named.shapes
        raise
    return config, facts


def _about(path: Path, reason: str) -> str:
    """``reason`` with the path, as one line even if it quotes text of the file."""
    reason = reason.removeprefix(f"{path}: ")
    if len(reason) > _LONGEST_REASON:
        reason = reason[:_LONGEST_REASON] + " ..."
    # Names in a hostile file may contain line breaks and terminal escapes.
    return "".join(c if c.isprintable() else " " for c in f"{path}: {reason}")


def _check_suffix(path: Path) -> None:
    if not is_checkpoint(path):
        raise UserError(f"the name of a checkpoint must end in {' or '.join(ENDINGS)}")


def _record(config: GraNetConfig, facts: dict[str, Any]) -> str:
    try:
        record = {"format": FORMAT, "config": asdict(config), "facts": facts}
        return json.dumps(shown_values(record), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"facts about a checkpoint must be JSON values: {first_line(error)}") from error


def _parse_record(record: str) -> tuple[GraNetConfig, dict[str, Any]]:
    try:
        found = decode_json(record, _Record)
    except DamagedError as error:
        raise UserError(f"its configuration is damaged: {error}") from error
    if found.format != FORMAT:
        raise UserError(f"its format is {found.format!r}, and this version of granet reads {FORMAT}")
    return GraNetConfig.from_dict(found.config), found.facts
