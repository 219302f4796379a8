"""``--rebuild``: rebuilds an engine that does not match this machine from its ONNX model.

granet-export does the build and needs more packages than an edge box may have. It runs as a separate
program, so nothing of it is imported here and its memory is free again when the engine is loaded.
"""

import os
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from granet.app.console import Interrupted
from granet.app.extras import pip_install
from granet.app.progress import without_log_progress
from granet.app.signals import on_interrupt
from granet.errors import UserError
from runtime.engines.base import Engine
from runtime.engines.device import Device
from runtime.open import ENGINES, open_engine
from runtime.tensorrt.cuda.base import Cuda, Gpu
from runtime.tensorrt.cuda.open import open_cuda
from runtime.tensorrt.flavour import MODULES
from runtime.tensorrt.record import EngineRecord
from runtime.tensorrt.trust import EngineRefusedError, onnx_beside

_CAPABILITY = "--compute-capability"
_LEVEL = "--optimisation-level"

_VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Indices or names of the GPUs that CUDA numbers from 0 in a process."""


def open_or_rebuild(
    path: Path,
    device: str,
    backend: str,
    say: Callable[[str], None],
    cuda: Callable[[int], Cuda] = open_cuda,
) -> Engine:
    """Like :func:`runtime.open.open_engine`, but rebuilds an engine that is refused and then opens it.

    Args:
        path: the engine.
        device: as for ``open_engine``.
        backend: as for ``open_engine``.
        say: called with the reason for a rebuild.
        cuda: opens CUDA on a GPU.

    Raises:
        UserError: if ``path`` is not an engine, has no record, or cannot be built here.
    """
    if path.suffix.lower() not in ENGINES:
        raise UserError(f"{path}: --rebuild works only with engines ({', '.join(ENGINES)}): omit it")
    try:
        return open_engine(path, device, backend)
    except EngineRefusedError as refused:
        wanted = Device.parse(device)
        reason, command = refused.reason, rebuild_command(refused, wanted, cuda)
    say(f"{reason}: rebuilding it")
    _run(command, path, _seeing(wanted))
    return open_engine(path, device, backend)


def rebuild_command(
    refused: EngineRefusedError, device: Device, cuda: Callable[[int], Cuda] = open_cuda
) -> list[str]:
    """The command that builds an engine for the GPU of this machine, from the ONNX model beside it.

    Raises:
        UserError: if the model, the GPU or the builder is missing.
    """
    try:
        model = onnx_beside(refused.path, refused.record)
    except UserError as error:
        raise UserError(
            f"{error}, so it cannot be rebuilt: copy the model here, or build another engine"
        ) from error
    with cuda(device.index) as opened:  # raises early without a GPU
        gpu = opened.gpu
    arguments = _for_this_gpu(_used(refused.record), gpu)
    return [*_builder(refused.path), "trt", str(model), *arguments, "-o", str(refused.path), "--overwrite"]


def _used(record: EngineRecord) -> list[str]:
    """The arguments of before, without the one that TensorRT-RTX never used and is refused for it now."""
    words = list(record.arguments)
    if record.flavour == "tensorrt-rtx" and _LEVEL in words:
        index = words.index(_LEVEL)
        del words[index : index + 2]
    return words


def _for_this_gpu(arguments: Sequence[str], gpu: Gpu) -> list[str]:
    """The original arguments, with named compute capabilities replaced by that of this GPU."""
    words, named = list(arguments), []
    while _CAPABILITY in words:
        index = words.index(_CAPABILITY)
        named += words[index + 1 : index + 2]
        del words[index : index + 2]
    if not named or _gpu_decides():
        return words
    wanted = named if gpu.capability in named else [gpu.capability]
    return [*words, *(word for name in wanted for word in (_CAPABILITY, name))]


def _gpu_decides() -> bool:
    """Whether TensorRT, which granet-export prefers, builds here: always for the GPU that is here."""
    return find_spec(MODULES["tensorrt"]) is not None


def _builder(engine: Path) -> list[str]:
    """The command for granet-export of this installation."""
    own = Path(sysconfig.get_path("scripts")) / "granet-export"
    program = str(own) if own.exists() else shutil.which("granet-export")
    missing = "onnx" if find_spec("onnx") is None else None if program else "granet-export"
    if program is None or missing is not None:
        way = pip_install("onnx") if missing == "onnx" else "pip install . in a checkout of this project"
        raise UserError(
            f"{engine}: cannot be rebuilt here, because {missing} is not installed: {way}, or build it on a "
            "machine of the same kind that has it"
        )
    return [program]


def _seeing(device: Device) -> dict[str, str]:
    """The environment of the builder, which takes the first GPU that it sees: ``device`` alone."""
    if device.index == 0:
        return dict(os.environ)
    seen = os.environ.get(_VISIBLE)
    # All GPUs of the list are there: this one was opened.
    name = seen.split(",")[device.index] if seen else str(device.index)
    return {**os.environ, _VISIBLE: name}


def _run(command: Sequence[str], engine: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Runs the builder, whose output the user sees.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, once the builder has cleaned up.
        UserError: if the build fails; the builder has printed the reason.
    """
    builders: list[subprocess.Popen[bytes]] = []

    def stop() -> None:
        while builders:
            builders.pop().send_signal(signal.SIGINT)

    with on_interrupt(stop) as interruption:
        # In its own session: otherwise the terminal would send it a second Ctrl-C besides the one below.
        process = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL, env=environment)
        builders.append(process)
        if interruption.happened:  # while the process was starting
            stop()
        with without_log_progress():  # the builder prints its own
            status = process.wait()
    if interruption.happened:
        raise Interrupted(interruption.number)
    if status != 0:
        raise UserError(f"{engine}: the rebuild failed: see the line above")
