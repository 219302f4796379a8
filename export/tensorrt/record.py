"""The record of an engine that was just built, or taken from the cache."""

import hashlib
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from export.tensorrt.build import BuiltEngine
from export.tensorrt.request import EngineRequest
from runtime.artefacts.artefact import Model
from runtime.tensorrt.record import EngineRecord
from runtime.tensorrt.trust import this_platform

NO_GPU = "not measured: there was no GPU where it was built"
NO_CHECKPOINT = "not measured: it was built from an ONNX file, and the checkpoint was not named"


def new_record(request: EngineRequest, model: Model, built: BuiltEngine) -> EngineRecord:
    """Of an engine that was built of ``model`` as asked; see :class:`EngineRecord`."""
    gpu, flavour, capabilities = request.gpu, request.flavour, request.options.capabilities
    if not flavour.is_rtx and gpu is not None:
        capabilities = (gpu.capability,)
    return EngineRecord(
        file=request.output.name,
        sha256=hashlib.sha256(built.plan).hexdigest(),
        onnx=model.path.name,
        onnx_sha256=model.sha256,
        table_sha256=model.metadata.quantisation.get("table_sha256") or None,
        metadata=model.metadata,
        flavour=flavour.name,
        version=flavour.version,
        platform=this_platform(),
        compute_capabilities=capabilities,
        cuda=None if gpu is None else gpu.driver,
        driver=None if gpu is None else driver_version() or gpu.driver,
        gpu=None if gpu is None else gpu.name,
        profiles=(request.profile,),
        layers=built.layers,
        build_seconds=round(built.seconds, 2),
        parity=None,
        parity_reason=NO_GPU if gpu is None else NO_CHECKPOINT,
        warnings=built.warnings,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        arguments=request.arguments,
    )


def renamed(record: EngineRecord, request: EngineRequest, model: Model) -> EngineRecord:
    """A record of the cache for the engine that was asked for: other names, the same build."""
    return replace(record, file=request.output.name, onnx=model.path.name, arguments=request.arguments)


def driver_version() -> str | None:
    """NVIDIA's driver, ``580.65.06``, as the Linux kernel says it; ``None`` elsewhere."""
    with suppress(OSError):
        return Path("/sys/module/nvidia/version").read_text(encoding="utf-8").strip() or None
    return None
