"""Whether an engine may be loaded here: it is executable code, and made for one kind of machine.

NVIDIA equates loading an untrusted plan with running native code, and nothing in a plan tells whether
it was tampered with. So nothing of a plan is given to TensorRT before its record (``best.engine.json``)
says that it is the very file that was built, by this version of TensorRT, for this kind of GPU. A record
is no signature: whoever can write the engine can write its record too. Run engines that you built.
"""

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path

from granet.errors import UserError
from runtime.artefacts.manifest import sha256_of
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.record import EngineRecord, read_record, record_path


class EngineRefusedError(UserError):
    """An engine that is not loaded here, and could be built again.

    Attributes:
        path: of the engine.
        record: what is known of it, from which it is built again.
        reason: why it is not loaded, without what to do.
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
        path: of the engine.
        plan: its bytes, the very ones that were checked.
        record: what is known of it.
    """

    path: Path
    plan: bytes
    record: EngineRecord

    def refuse(self, differences: list[str]) -> EngineRefusedError:
        """The error that says what differs and how to build it again."""
        return EngineRefusedError(self.path, self.record, differences)


def onnx_beside(engine: Path, record: EngineRecord) -> Path:
    """The ONNX model that an engine was built from.

    Raises:
        UserError: if it is not beside the engine, or is another than the record says.
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
    """Reads an engine and holds it against its record.

    Raises:
        EngineRefusedError: if the engine is not the file of its record (truncated, changed or replaced).
        UserError: if there is no record, or it is damaged, or one of them cannot be read.
    """
    record = read_record(path)
    try:
        plan = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    trusted = TrustedPlan(path, plan, record)
    if hashlib.sha256(plan).hexdigest() != record.sha256:
        name = record_path(path).name
        raise trusted.refuse([f"it is not the file that {name} was written for (truncated or changed)"])
    return trusted


def check_software(trusted: TrustedPlan, flavour: Flavour) -> None:
    """Holds flavour, version and platform against the record.

    Raises:
        EngineRefusedError: with all that differs.
    """
    record, found = trusted.record, []
    if (flavour.name, flavour.version) != (record.flavour, record.version):
        built = Flavour(record.flavour, record.version, None)  # type: ignore[arg-type]
        found.append(f"it was built with {built}, and here is {flavour}")
    here = this_platform()
    # RTX engines run on Windows and Linux alike; what processor they were built on still counts.
    parts = slice(1, None) if flavour.is_rtx else slice(None)
    if record.platform.split("-", 1)[parts] != here.split("-", 1)[parts]:
        found.append(f"it was built for {record.platform}, and this is {here}")
    if found:
        raise trusted.refuse(found)


def check_gpu(trusted: TrustedPlan, gpu: Gpu) -> None:
    """Holds the compute capability against the record.

    An engine that names none is one of TensorRT-RTX for all GPUs that it supports: its runtime is asked,
    see :meth:`runtime.tensorrt.flavour.Flavour.refusal`.

    Raises:
        EngineRefusedError: if the engine was built for another one.
    """
    built_for = trusted.record.compute_capabilities
    if built_for and gpu.capability not in built_for:
        raise trusted.refuse(
            [
                f"it was built for compute capability {' and '.join(built_for)}"
                f"{f' ({trusted.record.gpu})' if trusted.record.gpu else ''}, "
                f"and cuda:{gpu.index} ({gpu.name}) has {gpu.capability}"
            ]
        )
