"""Decides whether an engine may be loaded: it is executable code, built for one kind of machine.

NVIDIA equates loading an untrusted plan with running native code, and a plan does not show whether it was
tampered with. So TensorRT gets a plan only after its record (``best.engine.json``) confirms that it is the
file that was built, with this version of TensorRT, for this kind of GPU. A record is not a signature:
whoever can write the engine can also write its record. Run only engines that you built.
"""

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path

from granet.app.input_file import MODEL_BYTES, read_bounded
from granet.errors import UserError
from runtime.artefacts.manifest import sha256_of
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.record import EngineRecord, read_record, record_path


class EngineRefusedError(UserError):
    """An engine that is not loaded here, but can be built again.

    Attributes:
        path: path of the engine.
        record: its record, from which it can be built again.
        reason: why it is not loaded, without advice.
    """

    def __init__(self, path: Path, record: EngineRecord, differences: list[str]) -> None:
        self.path, self.record = path, record
        self.reason = f"{path}: not loaded: {'; '.join(differences)}"
        super().__init__(
            f"{self.reason}: build it on this machine (granet-run --rebuild does): {record.rebuild_command}"
        )


@dataclass(frozen=True)
class TrustedPlan:
    """An engine file whose record matches it.

    Attributes:
        path: path of the engine.
        plan: its bytes, exactly those that were checked.
        record: its record.
    """

    path: Path
    plan: bytes
    record: EngineRecord

    def refuse(self, differences: list[str]) -> EngineRefusedError:
        """The error that lists the differences and says how to build the engine again."""
        return EngineRefusedError(self.path, self.record, differences)


def onnx_beside(engine: Path, record: EngineRecord) -> Path:
    """The ONNX model that an engine was built from.

    Raises:
        UserError: if it is not beside the engine, or does not match the record.
    """
    path = engine.with_name(record.onnx)
    if not path.exists():
        raise UserError(f"{engine}: the ONNX model that it was built from, {record.onnx}, is not beside it")
    if sha256_of(path) != record.onnx_sha256:
        raise UserError(f"{engine}: {path} is not the ONNX model that it was built from")
    return path


def this_platform() -> str:
    """``Linux-x86_64`` and the like: TensorRT's engines are not portable between systems."""
    return f"{platform.system()}-{platform.machine()}"


def read_trusted(path: Path) -> TrustedPlan:
    """Reads an engine and checks it against its record.

    Raises:
        EngineRefusedError: if the engine does not match its record (truncated, changed or replaced).
        UserError: if the record is missing or damaged, or one of the files cannot be read.
    """
    record = read_record(path)
    return matching(path, read_bounded(path, MODEL_BYTES), record)


def matching(path: Path, plan: bytes, record: EngineRecord) -> TrustedPlan:
    """Checks an engine that was read against its record.

    Raises:
        EngineRefusedError: if it does not match.
    """
    trusted = TrustedPlan(path, plan, record)
    if hashlib.sha256(plan).hexdigest() != record.sha256:
        name = record_path(path).name
        raise trusted.refuse([f"it does not match its record {name} (truncated or changed)"])
    return trusted


def check_software(trusted: TrustedPlan, flavour: Flavour) -> None:
    """Checks flavour, version and platform against the record.

    Raises:
        EngineRefusedError: if any differs; the message lists all differences.
    """
    record, found = trusted.record, []
    if (flavour.name, flavour.version) != (record.flavour, record.version):
        built = Flavour(record.flavour, record.version, None)
        found.append(f"it was built with {built}, but {flavour} is installed")
    here = this_platform()
    # RTX engines run on both Windows and Linux, but only on the processor architecture of the build.
    parts = slice(1, None) if flavour.is_rtx else slice(None)
    if record.platform.split("-", 1)[parts] != here.split("-", 1)[parts]:
        found.append(f"it was built for {record.platform}, but this is {here}")
    if found:
        raise trusted.refuse(found)


def check_gpu(trusted: TrustedPlan, gpu: Gpu) -> None:
    """Checks the compute capability against the record.

    An engine without one is of TensorRT-RTX and supports many GPUs: its runtime checks the GPU, see
    :meth:`runtime.tensorrt.flavour.Flavour.refusal`.

    Raises:
        EngineRefusedError: if the engine was built for another compute capability.
    """
    built_for = trusted.record.compute_capabilities
    if built_for and gpu.capability not in built_for:
        raise trusted.refuse(
            [
                f"it was built for compute capability {' and '.join(built_for)}"
                f"{f' ({trusted.record.gpu})' if trusted.record.gpu else ''}, "
                f"but cuda:{gpu.index} ({gpu.name}) has {gpu.capability}"
            ]
        )
