"""Checkpoints: written atomically, read without ever executing what is in them.

A checkpoint of ours (``.pt``, ``.pth`` or ``.safetensors``) carries its :class:`GraNetConfig` and
facts about its training. Those of others are understood by :mod:`granet.foreign_checkpoint`.
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
from granet.config import GraNetConfig
from granet.errors import UserError
from granet.foreign_checkpoint import State, canonical_state, config_of_shapes
from granet.model import GraNet

FORMAT = "granet-checkpoint/1"
SUFFIXES = (".pt", ".pth", ".safetensors")
_LONGEST_REASON = 300


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        config: which GraNet.
        state: its parameters by name, float32 on the CPU.
        facts: what the writer said of the training; JSON values.
    """

    config: GraNetConfig
    state: State
    facts: dict[str, Any]


def save_checkpoint(path: str | Path, model: GraNet, /, **facts: Any) -> None:
    """Writes ``model`` with its configuration, under its final name only when it is complete.

    Args:
        path: ``.pt``, ``.pth`` or ``.safetensors``.
        model: the network; its parameters are written as they are.
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
        write_atomically(path, content)
    except UserError as error:
        raise _about(path, error) from error
    except OSError as error:
        raise _about(path, UserError(f"cannot be written: {error.strerror}")) from error


def load_checkpoint(path: str | Path) -> GraNet:
    """The network of a checkpoint: float32, on the CPU, in evaluation mode.

    Raises:
        UserError: if the file is missing, damaged, hostile, or of another network.
    """
    checkpoint = read_checkpoint(path)
    with torch.device("meta"):  # no initialisation: it would take time and random numbers
        model = GraNet(checkpoint.config)
    model.load_state_dict(checkpoint.state, assign=True)
    return model.eval()


def read_checkpoint(path: str | Path) -> Checkpoint:
    """What is in a checkpoint, checked against the network it says it is of.

    Weights without a configuration get the one their shapes tell
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
    """``error`` with the file it concerns: one line, whatever the file has put into it."""
    reason = str(error)
    if len(reason) > _LONGEST_REASON:
        reason = reason[:_LONGEST_REASON] + " ..."
    # Line breaks and terminal escapes in the names of a hostile file.
    return UserError("".join(c if c.isprintable() else " " for c in f"{path}: {reason}"))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise UserError(f"the name of a checkpoint ends in {', '.join(SUFFIXES)}")


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
        raise UserError(f"it is damaged, or no .safetensors file: {_first_line(error)}") from error


def read_pickle(path: Path) -> tuple[Mapping[Any, Any], str | None]:
    """What ``torch.save`` wrote, and the record of ours in it; nothing in the file is executed.

    Raises:
        UserError: if it is damaged, hostile, or no mapping.
    """
    # Before 2.10 a crafted file could get past weights_only (CVE-2025-32434 and what followed it).
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 10):
        raise UserError(f"torch {torch.__version__} cannot load it safely: pip install 'torch>=2.10'")
    _check_container(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; if it matters, the error says so
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise UserError(_refusal(error)) from error
    except Exception as error:  # a crafted pickle can make the unpickler raise anything
        raise UserError(f"it is damaged, or no PyTorch checkpoint ({_first_line(error)})") from error
    if not isinstance(content, Mapping):
        raise UserError(f"it holds a {type(content).__name__}: this is not a checkpoint of GraNet")
    record = content.get("granet")
    return content, record if isinstance(record, str) else None


def _check_container(path: Path) -> None:
    """Refuses what torch.save never writes: other files, and archives that unpack to more than they are."""
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(b"\x80"):  # a pickle, from before PyTorch 1.6
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
    """What torch's long message comes down to: a class or function that the file asks for, or none."""
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
        values = json.loads(record)
        version, config, facts = values["format"], values["config"], values["facts"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"its configuration is damaged: {_first_line(error)}") from error
    if version != FORMAT:
        raise UserError(f"its format is {version!r}, and this version of granet reads {FORMAT}")
    if not isinstance(config, dict) or not isinstance(facts, dict):
        raise UserError("its configuration is damaged: it is no table of settings")
    return GraNetConfig.from_dict(config), facts


def _check_fits(config: GraNetConfig, state: State) -> None:
    """``state`` must be exactly the parameters of ``config``, found out without allocating them."""
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
        what = f"it has {surplus[0]}, which that network has not"
    others = len(missing) + len(surplus) + len(wrong) - 1
    what += f" (and {others} more)" if others else ""
    raise UserError(f"its weights do not fit its configuration: {what}")
