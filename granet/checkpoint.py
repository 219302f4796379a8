"""Checkpoints: written atomically, and read without executing their content.

Our checkpoints (``.pt``, ``.pth`` or ``.safetensors``) contain their :class:`GraNetConfig` and facts about
the training. :mod:`granet.foreign_checkpoint` handles checkpoints of other programs.
"""

import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import ZipFile

import torch
from safetensors import safe_open
from safetensors.torch import save

from granet.app.files import write_atomically
from granet.app.schema import DamagedError, decode_json
from granet.config import GraNetConfig
from granet.errors import UserError
from granet.foreign_checkpoint import State, canonical_state, config_of_shapes
from granet.model import GraNet

FORMAT = "granet-checkpoint/1"
SUFFIXES = (".pt", ".pth", ".safetensors")
_LONGEST_REASON = 300


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
    """

    config: GraNetConfig
    state: State
    facts: dict[str, Any]


def save_checkpoint(path: str | Path, model: GraNet, /, **facts: Any) -> None:
    """Writes ``model`` and its configuration atomically.

    Args:
        path: ``.pt``, ``.pth`` or ``.safetensors``.
        model: the network; its parameters are written unchanged.
        facts: JSON values about the training (data, minutes, PSNR, ...).

    Raises:
        UserError: for another suffix, facts that are not JSON, or a file that cannot be written.
    """
    path = Path(path)
    try:
        _check_suffix(path)
        record = _record(model.config, facts)
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        if path.suffix == ".safetensors":
            content = save(state, metadata={"granet": record})
        else:
            buffer = io.BytesIO()
            torch.save({"granet": record, "state_dict": state}, buffer)
            content = buffer.getvalue()
    except UserError as error:
        raise _about(path, error) from error
    write_atomically(path, content)


def load_checkpoint(path: str | Path) -> GraNet:
    """Loads the network of a checkpoint: float32, on the CPU, in evaluation mode.

    Raises:
        UserError: if the file is missing, damaged, hostile, or of another network.
    """
    checkpoint = read_checkpoint(path)
    with torch.device("meta"):  # skips the initialisation, which takes time and random numbers
        model = GraNet(checkpoint.config)
    model.load_state_dict(checkpoint.state, assign=True)
    return model.eval()


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Reads a checkpoint and checks its weights against its configuration.

    If there is no configuration, it is inferred from the shapes of the weights
    (:func:`granet.foreign_checkpoint.config_of_shapes`).

    Raises:
        UserError: if the file is missing, damaged, hostile, or of another network.
    """
    path = Path(path)
    try:
        _check_suffix(path)
        if not path.is_file():
            raise UserError("it is a directory" if path.is_dir() else "there is no such file")
        content, record = _read_safetensors(path) if path.suffix == ".safetensors" else read_pickle(path)
        state = canonical_state(content, most_bytes=path.stat().st_size)
        config, facts = (config_of_shapes(state), {}) if record is None else _parse_record(record)
        _check_fits(config, state)
    except UserError as error:
        raise _about(path, error) from error
    except OSError as error:
        raise _about(path, UserError(f"cannot be read: {error.strerror or error}")) from error
    return Checkpoint(config, state, facts)


def _about(path: Path, error: UserError) -> UserError:
    """``error`` with the path, as one line even if it quotes text of the file."""
    reason = str(error)
    if len(reason) > _LONGEST_REASON:
        reason = reason[:_LONGEST_REASON] + " ..."
    # Names in a hostile file may contain line breaks and terminal escapes.
    return UserError("".join(c if c.isprintable() else " " for c in f"{path}: {reason}"))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise UserError(f"the name of a checkpoint must end in {' or '.join(SUFFIXES)}")


def _record(config: GraNetConfig, facts: dict[str, Any]) -> str:
    try:
        record = {"format": FORMAT, "config": asdict(config), "facts": facts}
        return json.dumps(record, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"facts about a checkpoint must be JSON values: {_first_line(error)}") from error


def _read_safetensors(path: Path) -> tuple[State, str | None]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
            return tensors, (file.metadata() or {}).get("granet")
    except Exception as error:
        raise UserError(f"it is damaged, or not a .safetensors file: {_first_line(error)}") from error


def read_pickle(path: Path) -> tuple[Mapping[Any, Any], str | None]:
    """Reads the mapping that ``torch.save`` wrote, and our record in it, without executing anything.

    Raises:
        UserError: if the file is damaged, hostile, or not a mapping.
    """
    # Before 2.10 a crafted file could bypass weights_only (CVE-2025-32434 and its successors).
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 10):
        raise UserError(f"torch {torch.__version__} cannot load it safely: pip install 'torch>=2.10'")
    _check_container(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # warnings about pickle protocols; errors repeat the relevant ones
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise UserError(_refusal(error)) from error
    except Exception as error:  # a crafted pickle can make the unpickler raise anything
        raise UserError(f"it is damaged, or not a PyTorch checkpoint ({_first_line(error)})") from error
    if not isinstance(content, Mapping):
        raise UserError(f"it holds a {type(content).__name__}: this is not a checkpoint of GraNet")
    record = content.get("granet")
    return content, record if isinstance(record, str) else None


def _check_container(path: Path) -> None:
    """Refuses files that torch.save never writes, such as archives that unpack to more than their size."""
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(b"\x80"):  # a pickle of PyTorch before 1.6
        return
    if start != b"PK\x03\x04":
        raise UserError("it is neither a zip archive nor a pickle: this is not a PyTorch checkpoint")
    try:
        with ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception as error:
        raise UserError(f"it is damaged or cut short ({_first_line(error)}): copy it again") from error
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise UserError("it is a TorchScript program: save the state_dict of the network instead")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise UserError("it is a compressed archive: this is not a PyTorch checkpoint")


def _refusal(error: UnpicklingError) -> str:
    """Shortens torch's message to the class or function that the file would run, if it names one."""
    words = str(error).replace("`", " ").split()
    wanted = next((word for before, word in pairwise(words) if before == "GLOBAL"), None)
    if wanted is None:
        return "it is damaged, or a pickle that torch.save did not write"
    return (
        f"refused, because loading it would run {wanted}: "
        "it holds more than weights; save the state_dict alone, or use granet.save_checkpoint"
    )


def _parse_record(record: str) -> tuple[GraNetConfig, dict[str, Any]]:
    try:
        found = decode_json(record, _Record)
    except DamagedError as error:
        raise UserError(f"its configuration is damaged: {error}") from error
    if found.format != FORMAT:
        raise UserError(f"its format is {found.format!r}, and this version of granet reads {FORMAT}")
    return GraNetConfig.from_dict(found.config), found.facts


def _check_fits(config: GraNetConfig, state: State) -> None:
    """Requires that ``state`` has exactly the parameters of ``config``; allocates none of them."""
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in GraNet(config).state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    missing, surplus = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    wrong = [name for name in expected if name in found and found[name] != expected[name]]
    if not (missing or surplus or wrong):
        return
    if wrong:
        what = f"{wrong[0]} is {found[wrong[0]]}, expected {expected[wrong[0]]}"
    elif missing:
        what = f"it lacks {missing[0]}"
    else:
        what = f"it has {surplus[0]}, which that network lacks"
    others = len(missing) + len(surplus) + len(wrong) - 1
    what += f" (and {others} more)" if others else ""
    raise UserError(f"its weights do not fit its configuration: {what}")
