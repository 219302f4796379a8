"""Checkpoints: written atomically, read without ever executing what is in them.

A checkpoint of ours (``.pt`` or ``.safetensors``) carries its :class:`GraNetConfig` and facts about
its training. Foreign ones are brought to the same form first: wrappers (``state_dict``, ``ema``,
...) are opened, the averaged weights preferred, prefixes (``module.``) removed, and the
configuration is read off the shapes.
"""

import json
import os
import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from granet.config import GraNetConfig
from granet.errors import UserError
from granet.model import GraNet

FORMAT = "granet-checkpoint/1"
SUFFIXES = (".pt", ".pth", ".safetensors")

# Where training scripts keep weights; averaged ones first, because they are the better ones.
_WRAPPERS = (
    "params_ema", "ema_state_dict", "state_dict_ema", "model_ema", "ema", "shadow",
    "state_dict", "model_state_dict", "model", "params", "network", "net", "weights",
)  # fmt: skip
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "ema_model.")

State = dict[str, Tensor]


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


def save_checkpoint(path: str | Path, model: GraNet, **facts: Any) -> None:
    """Writes ``model`` with its configuration, under its final name only when it is complete.

    Args:
        path: ``.pt``, ``.pth`` or ``.safetensors``.
        model: the network; its parameters are written as they are.
        facts: JSON values about the training (data, minutes, PSNR, ...).

    Raises:
        UserError: for another suffix, facts that are not JSON, or a file that cannot be written.
    """
    path = _checked_suffix(path)
    try:
        record = json.dumps({"format": FORMAT, "config": asdict(model.config), "facts": facts}, sort_keys=True)
    except TypeError as error:
        raise UserError(f"facts about a checkpoint must be JSON values: {error}") from error
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    try:
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    os.close(handle)
    try:
        if path.suffix == ".safetensors":
            save_file(state, partial, metadata={"granet": record})
        else:
            torch.save({"granet": record, "state_dict": state}, partial)
        Path(partial).chmod(0o644)  # mkstemp makes it private; a checkpoint is an ordinary file
        Path(partial).replace(path)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise UserError(f"cannot write {path}: {_first_line(error)}") from error
    finally:
        Path(partial).unlink(missing_ok=True)


def load_checkpoint(path: str | Path) -> GraNet:
    """The network of a checkpoint: float32, on the CPU, in evaluation mode.

    Raises:
        UserError: if the file is missing, damaged, hostile, or of another network.
    """
    checkpoint = read_checkpoint(path)
    model = GraNet(checkpoint.config)
    model.load_state_dict(checkpoint.state)
    return model.eval()


def read_checkpoint(path: str | Path) -> Checkpoint:
    """What is in a checkpoint, checked against the network it says it is of.

    A plain state dict gets the configuration its shapes tell; what shapes do not tell (the key
    stride, the region extent) is taken from the preset of the same widths, else from ``paper``.

    Raises:
        UserError: if the file is missing, damaged, hostile, or of another network.
    """
    path = _checked_suffix(path)
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    content, record = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    state = _canonical(content, path)
    if record is None:
        config, facts = _config_of_shapes(state, path), {}
    else:
        config, facts = _parse_record(record, path)
    _check_fits(config, state, path)
    return Checkpoint(config, state, facts)


def _checked_suffix(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: a checkpoint's name ends in {', '.join(SUFFIXES)}")
    return path


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _read_safetensors(path: Path) -> tuple[State, str | None]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, (file.metadata() or {}).get("granet")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a readable .safetensors file: {_first_line(error)}") from error


def _read_pickle(path: Path) -> tuple[Mapping[Any, Any], str | None]:
    # Before 2.10 a crafted file could get past weights_only (CVE-2025-32434 and what followed it).
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 10):
        raise UserError(f"torch {torch.__version__} cannot load .pt files safely: pip install 'torch>=2.10'")
    with path.open("rb") as file:
        start = file.read(4)
    if not start.startswith((b"PK\x03\x04", b"\x80")):
        raise UserError(f"{path} is not a PyTorch checkpoint: it is neither a zip archive nor a pickle")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is refused: it holds Python objects that loading would have to execute "
            f"({_global_in(error)}); save the state_dict alone, with granet.save_checkpoint or torch.save"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise UserError(f"{path} is damaged: {_first_line(error)}") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds a {type(content).__name__}, not a checkpoint of GraNet")
    record = content.get("granet")
    return content, record if isinstance(record, str) else None


def _global_in(error: pickle.UnpicklingError) -> str:
    """The name of the class or function that the file asked for, out of torch's long message."""
    words = str(error).replace("`", " ").split()
    return next((word for before, word in zip(words, words[1:], strict=False) if before == "GLOBAL"), "a pickle")


def _canonical(content: Mapping[Any, Any], path: Path) -> State:
    """Opens wrappers, drops prefixes and counters, and gives float32 tensors."""
    while True:
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor) and value.ndim}
    if not tensors:
        raise UserError(f"{path} holds no tensors: it is not a checkpoint of GraNet")
    stripped = {_without_prefixes(name): value for name, value in tensors.items()}
    for name, value in stripped.items():
        if not value.is_floating_point() or value.layout != torch.strided:
            raise UserError(f"{path}: {name} is {value.dtype}, not floating-point weights")
        if not bool(torch.isfinite(value).all()):
            raise UserError(f"{path}: {name} holds NaN or infinite values: the training diverged")
    return {name: value.float() for name, value in stripped.items()}


def _without_prefixes(name: str) -> str:
    while True:
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
        if prefix is None:
            return name
        name = name.removeprefix(prefix)


def _parse_record(record: str, path: Path) -> tuple[GraNetConfig, dict[str, Any]]:
    try:
        values = json.loads(record)
        if values["format"] != FORMAT:
            raise UserError(f"{path}: its format is {values['format']!r}, this version reads {FORMAT}")
        return GraNetConfig.from_dict(values["config"]), cast(dict[str, Any], values["facts"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: its configuration is damaged: {_first_line(error)}") from error


def _config_of_shapes(state: State, path: Path) -> GraNetConfig:
    """The configuration that the parameter names and shapes of a plain state dict tell."""

    def count(prefix: str) -> int:
        depth = prefix.count(".")
        return len({name.split(".")[depth] for name in state if name.startswith(prefix)})

    try:
        head, layer = state["coarse.head.weight"], state["coarse.local.0.layers.0.weight"]
        fine_blocks = count("fine.blocks.")
        region_aware = "coarse.region_aware.0.theta.weight" in state
        told = GraNetConfig(
            channels=head.shape[0],
            growth=layer.shape[0],
            dense_layers=count("coarse.local.0.layers."),
            nonlocal_channels=state["coarse.region_aware.0.theta.weight"].shape[0] if region_aware else 1,
            fine_blocks=fine_blocks or 1,
            region_aware=region_aware,
            fine_stage="fine.head.weight" in state,
            context=fine_blocks > 0,
        )
    except KeyError as error:
        raise UserError(f"{path} is a checkpoint of another network: it has no {error.args[0]}") from error
    lite = GraNetConfig.lite()
    same_widths = (told.channels, told.growth, told.dense_layers) == (lite.channels, lite.growth, lite.dense_layers)
    return replace(told, key_stride=lite.key_stride) if same_widths else told


def _check_fits(config: GraNetConfig, state: State, path: Path) -> None:
    with torch.device("meta"):
        expected = GraNet(config).state_dict()
    missing = [name for name in expected if name not in state]
    surplus = [name for name in state if name not in expected]
    wrong = [name for name in expected if name in state and state[name].shape != expected[name].shape]
    if wrong:
        name = wrong[0]
        found, wanted = tuple(state[name].shape), tuple(expected[name].shape)
        raise UserError(f"{path} does not fit its configuration: {name} is {found}, expected {wanted}")
    if missing or surplus:
        what = f"lacks {missing[0]}" if missing else f"has {surplus[0]}, which GraNet has not"
        others = len(missing) + len(surplus) - 1
        raise UserError(f"{path} is a checkpoint of another network: it {what}" + (f" (and {others} more)" if others else ""))
