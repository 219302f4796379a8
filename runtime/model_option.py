"""``--model``: a packaged model, a file or a model on a server, and the backends that can run it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from granet.app.command import Options
from granet.app.console import UsageError
from granet.app.value import checked
from granet.errors import UserError
from granet.weights.file_names import is_checkpoint
from granet.weights.renames import parse_renames
from runtime.engines.device import Device
from runtime.engines.remote.address import ServerAddress
from runtime.models.packaged import PRESETS, packaged_model, packaged_names
from runtime.open import BACKENDS, ENGINES, check_backend

DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="D", callback=checked(Device.parse), help="Run on auto, cpu, cuda, cuda:N, gpu or npu."
    ),
]
BackendOption = Annotated[
    str,
    typer.Option(
        metavar="B",
        callback=checked(check_backend),
        help="Run in auto, onnxruntime, onnxruntime-tensorrt, openvino, tensorrt or torch.",
    ),
]


def is_packaged_name(text: str, option: str = "--model") -> bool:
    """Whether ``text`` is the name of a packaged model; a path has a suffix or a slash.

    Args:
        text: the name of a packaged model, or a path.
        option: names the option or the setting in the error.

    Raises:
        UsageError: if it is a bare name that no packaged model has.
    """
    path = Path(text)
    if path.suffix or path.name != text:
        return False
    if text not in PRESETS:
        names = " or ".join(packaged_names())
        raise UsageError(f"{option} {text}: give {names} for a packaged model, or a path")
    return True


def model_path(text: str, device: str, backend: str, option: str = "--model") -> Path:
    """The file of a model, or the address of a model on a server as a path.

    Args:
        text: the name of a packaged model, a path, or an address.
        device: as for :func:`runtime.open.open_engine`.
        backend: the same.
        option: names the option or the setting in the error.

    Raises:
        UserError: if it is malformed, or a name and this version has no such model.
    """
    ServerAddress.parse(text)  # refuses a malformed address
    return packaged_model(text, device, backend, option) if is_packaged_name(text, option) else Path(text)


def backend_conflict(model: str, backend: str) -> str | None:
    """Both sides of the conflict if ``backend`` cannot run ``model``, else ``None``.

    Args:
        model: as ``--model`` takes it.
        backend: as for :func:`runtime.open.open_engine`, which refuses an unknown one.

    Raises:
        UsageError: if ``model`` is a bare name that no packaged model has.
    """
    if backend not in BACKENDS:
        return None
    if ServerAddress.parse(model) is not None:
        return f"{backend} with --model {model}"
    suffix = ".onnx" if is_packaged_name(model) else Path(model).suffix.lower()
    if is_checkpoint(Path(f"model{suffix}")):
        runs = backend == "torch"
    elif suffix in ENGINES:
        runs = backend == "tensorrt"
    else:
        runs = suffix != ".onnx" or backend not in ("torch", "tensorrt")
    return None if runs else f"{backend} with --model {model}"


def check_model_options(
    options: Options, model: str | None, device: str, backend: str, renames: Sequence[str] | None = None
) -> None:
    """Refuses options of a command that its model would not use.

    Args:
        options: all options of the command.
        model: its ``--model``.
        device: its ``--device``.
        backend: its ``--backend``.
        renames: each ``--map``.

    Raises:
        UsageError: names both sides of the conflict.
    """
    remote = model is not None and ServerAddress.parse(model) is not None
    named = "without --model" if model is None else f"with --model {model}"
    is_engine = model is not None and Path(model).suffix.lower() in ENGINES
    options.refuse(
        "--rebuild",
        conflict=None if is_engine else named,
        why=f"only an engine ({ENGINES[0]}) can be rebuilt",
    )
    options.refuse(
        "--map",
        conflict=None if model is not None and is_checkpoint(Path(model)) else named,
        why="it names the weights of a checkpoint",
    )
    parse_renames(renames)
    unpackaged = backend_conflict("lite", backend) and f"{backend} without --model"
    options.refuse(
        "--backend",
        conflict=unpackaged if model is None else backend_conflict(model, backend),
        why="checkpoints run in torch, engines in tensorrt, ONNX models (the packaged ones too) in the "
        "others, and a server chooses its own",
    )
    options.refuse(
        "--device",
        conflict=f"{device} with --model {model}" if remote and device != "auto" else None,
        why="the server chooses its device; leave the option out",
    )


def require_file(model: Path, why: str) -> None:
    """Refuses a model on a server.

    Args:
        model: as :func:`model_path` returned it.
        why: why there must be a file, as a whole sentence without its dot.

    Raises:
        UserError: if it is an address.
    """
    address = ServerAddress.parse(model)
    if address is not None:
        raise UserError(f"{address}: {why}: give the file of the model")
