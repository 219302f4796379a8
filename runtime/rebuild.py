"""``--rebuild``: an engine that is not for this machine is built again from its ONNX model, then run.

Building is granet-export's, which needs more than an edge box may have. It is another program, so that
nothing of it is imported here, and its memory is free again when the engine is loaded.
"""

import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from granet.app.console import Interrupted
from granet.app.signals import on_interrupt
from granet.errors import UserError
from runtime.engines.base import Engine
from runtime.engines.device import Device
from runtime.open import ENGINES, open_engine
from runtime.tensorrt.cuda.base import Cuda, Gpu
from runtime.tensorrt.cuda.open import open_cuda
from runtime.tensorrt.trust import EngineRefusedError, onnx_beside

_CAPABILITY = "--compute-capability"


def open_or_rebuild(
    path: Path,
    device: str,
    backend: str,
    say: Callable[[str], None],
    cuda: Callable[[int], Cuda] = open_cuda,
) -> Engine:
    """As :func:`runtime.open.open_engine`; an engine that is refused is built again and then opened.

    Args:
        path: the engine.
        device: see there.
        backend: see there.
        say: told why it is built again.
        cuda: opens CUDA on a GPU.

    Raises:
        UserError: if ``path`` is no engine, has no record, or cannot be built here; the message says why.
    """
    if path.suffix.lower() not in ENGINES:
        raise UserError(f"{path}: --rebuild is for engines ({', '.join(ENGINES)}): leave it out")
    try:
        return open_engine(path, device, backend)
    except EngineRefusedError as refused:
        reason, command = refused.reason, rebuild_command(refused, Device.parse(device), cuda)
    say(f"{reason}: building it again")
    _run(command, path)
    return open_engine(path, device, backend)


def rebuild_command(
    refused: EngineRefusedError, device: Device, cuda: Callable[[int], Cuda] = open_cuda
) -> list[str]:
    """The command that builds an engine for the GPU of this machine, from the ONNX model beside it.

    Raises:
        UserError: if that model or the GPU or what builds engines is not there.
    """
    try:
        model = onnx_beside(refused.path, refused.record)
    except UserError as error:
        raise UserError(
            f"{error}, so it cannot be built again: copy the model here, or build another"
        ) from error
    with cuda(device.index) as opened:  # for no GPU there is nothing to build
        gpu = opened.gpu
    arguments = _for_this_gpu(refused.record.arguments, gpu)
    return [*_builder(refused.path), "trt", str(model), *arguments, "-o", str(refused.path), "--overwrite"]


def _for_this_gpu(arguments: Sequence[str], gpu: Gpu) -> list[str]:
    """The arguments of before; compute capabilities that were named are replaced by that of the GPU."""
    words, named = list(arguments), []
    while _CAPABILITY in words:
        index = words.index(_CAPABILITY)
        named += words[index + 1 : index + 2]
        del words[index : index + 2]
    if not named:
        return words
    wanted = named if gpu.capability in named else [gpu.capability]
    return [*words, *(word for name in wanted for word in (_CAPABILITY, name))]


def _builder(engine: Path) -> list[str]:
    """granet-export of this installation, by its path."""
    own = Path(sysconfig.get_path("scripts")) / "granet-export"
    program = str(own) if own.exists() else shutil.which("granet-export")
    missing = "onnx" if find_spec("onnx") is None else None if program else "granet-export"
    if program is None or missing is not None:
        way = "pip install onnx" if missing == "onnx" else "install granet-deploy"
        raise UserError(
            f"{engine}: cannot be built again here, {missing} is not installed: {way}, or build it on a "
            "machine of this kind that has it"
        )
    return [program]


def _run(command: Sequence[str], engine: Path) -> None:
    """Builds, in the sight of the user.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, when the builder has cleaned up.
        UserError: if it fails; the builder has said why.
    """
    builders: list[subprocess.Popen[bytes]] = []

    def stop() -> None:
        while builders:
            builders.pop().send_signal(signal.SIGINT)

    with on_interrupt(stop) as interruption:
        # In a session of its own: a terminal would send it a Ctrl-C of its own, beside the one from here.
        process = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)
        builders.append(process)
        if interruption.happened:  # while it was being started
            stop()
        status = process.wait()
    if interruption.happened:
        raise Interrupted
    if status != 0:
        raise UserError(f"{engine}: was not built again: the line above says why")
