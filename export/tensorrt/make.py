"""The last steps of ``granet-export trt``: an ONNX model -> build, verify, record."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import onnx

from export.onnx.interface import interface_difference
from export.tensorrt.build import BuildOptions, BuiltEngine, build_engine
from export.tensorrt.cache import EngineCache, cache_key
from export.tensorrt.preflight import refuse
from export.tensorrt.request import EngineRequest
from granet.app.console import say
from granet.app.files import write_atomically
from granet.app.outside_text import decoded
from granet.app.progress import terminal_progress
from granet.errors import ParityError, UserError
from runtime.artefacts.artefact import Artefact, Model
from runtime.artefacts.manifest import with_name
from runtime.checks.parity import ParityReport, in_short
from runtime.sinks.part_file import PartFile
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.private_cache import cache_directory, write_private
from runtime.tensorrt.record import EngineRecord, record_path, write_record
from runtime.tensorrt.trust import this_platform

EngineFile = Artefact[EngineRecord]

Verify = Callable[[Path], ParityReport]
"""Compares an engine, whose record is beside it, with the checkpoint."""


@dataclass(frozen=True)
class MadeEngine:
    """The result of a request.

    Attributes:
        engine: the engine with its record.
        flavour: the TensorRT that built it.
        cached: whether the engine was copied from the cache.
        dla_layers: number of layers on the DLA core and in all; ``None`` without DLA.
    """

    engine: EngineFile
    flavour: Flavour
    cached: bool
    dla_layers: tuple[int, int] | None = None


def require_buildable(model: Model, flavour: Flavour) -> None:
    """Refuses at once a model that TensorRT would refuse after minutes.

    Raises:
        UserError: names the first node, what is wrong and what to do.
    """
    proto = onnx.load_from_string(model.content)
    refuse(proto, str(model.path), flavour.newest_opset)
    difference = interface_difference(proto, model.metadata)
    if difference is not None:
        raise UserError(f"{model.path}: does not match its metadata: {difference}: export it again")


def make_engine(request: EngineRequest, model: Model, verify: Verify | None) -> MadeEngine:
    """Writes the engine and its record, or nothing.

    Args:
        request: the engine to make, checked by :mod:`export.commands.trt_plan`.
        model: the ONNX model that it is built from.
        verify: measures parity before the engine is published; ``None`` if it cannot be measured here.

    Raises:
        ParityError: if the engine misses its budget; nothing is written.
        UserError: if TensorRT fails (with its own reason), or a file cannot be written.
    """
    # Before the build, so that a directory that cannot be written fails at once.
    part = PartFile(request.output, overwrite=request.overwrite)
    beside = record_path(part.path)
    try:
        made = _built_before(request, model) or _built(request, model)
        part.write(made.engine.content)
        if verify is not None:
            made = replace(made, engine=_verified(part.path, made.engine, verify))
        # Everything that may fail is done under a temporary name; the old pair of files stays until then.
        _publish(part, made.engine, request.output)
    finally:
        part.discard()
        beside.unlink(missing_ok=True)
    return made


def _verified(part: Path, engine: EngineFile, verify: Verify) -> EngineFile:
    """The engine with its parity in the record; its file is still at ``part``."""
    write_record(part, engine.metadata)
    try:
        report = verify(part)
    except ParityError:
        raise
    except UserError as error:  # for example, it was built for another GPU
        say(f"note: parity could not be measured here: {error}")
        # Others may read the record: it has names, not the user's folders.
        reason = "not measured: " + str(error).replace(str(part), engine.path.name)
        return replace(engine, metadata=replace(engine.metadata, parity=None, parity_reason=reason))
    if report.misses():
        raise ParityError(f"parity missed, nothing written: {in_short(report.misses())}")
    parity = with_name(report.to_json(), part, engine.path)
    return replace(engine, metadata=replace(engine.metadata, parity=parity, parity_reason=None))


def _cache() -> EngineCache:
    return EngineCache(cache_directory() / "engines", say)


def _key(request: EngineRequest, model: Model) -> str:
    timed_on = None if request.flavour.builds_without_gpu else request.gpu
    return cache_key(request.flavour, model.sha256, request.profile, request.options, timed_on)


def _built_before(request: EngineRequest, model: Model) -> MadeEngine | None:
    """The same engine from the cache; ``None`` if it is not there."""
    found = _cache().find(_key(request, model)) if request.use_cache else None
    if found is None:
        return None
    engine = Artefact(request.output, found.plan, renamed(found.record, request, model))
    return MadeEngine(engine, request.flavour, cached=True)


def _built(request: EngineRequest, model: Model) -> MadeEngine:
    say(f"building {request.output} with {request.flavour}: {request.profile}, {model.metadata.precision}")
    with terminal_progress("building") as progress:
        built = build_engine(request.flavour, model, request.profile, request.options, progress)
    engine = Artefact(request.output, built.plan, new_record(request, model, built))
    _keep(request, model, engine.metadata, built)
    return MadeEngine(engine, request.flavour, cached=False, dla_layers=built.dla_layers)


def _keep(request: EngineRequest, model: Model, record: EngineRecord, built: BuiltEngine) -> None:
    """Caches timings and engine. A failure is only a note, because the engine itself exists."""
    if built.timings is not None:
        keep_timings(request.options, built.timings)
    if request.use_cache:
        key = _key(request, model)
        try:
            _cache().keep(key, built.plan, replace(record, file=f"{key}.engine"))
        except UserError as error:
            say(f"note: the engine is not cached: {error}")


def keep_timings(options: BuildOptions, timings: bytes) -> None:
    """Extends the timing cache, if any; a file that the user named keeps its link and permissions."""
    if options.timing_cache is None:
        return
    write = write_private if options.own_timings else write_atomically
    try:
        write(options.timing_cache, timings)
    except UserError as error:
        say(f"note: the kernel timings are not cached: {error}")


def _publish(part: PartFile, engine: EngineFile, output: Path) -> None:
    record = PartFile(record_path(output))
    try:
        record.write(engine.metadata.to_json().encode())
        part.commit()
        record.commit()
    finally:
        record.discard()


NO_GPU = "not measured: the build machine had no GPU"
NO_CHECKPOINT = "not measured: built from an ONNX file, without --ckpt"


def new_record(request: EngineRequest, model: Model, built: BuiltEngine) -> EngineRecord:
    """Makes the record of an engine that was just built from ``model``."""
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
    """Changes the names in a cached record to those of this request; the build is the same."""
    return replace(record, file=request.output.name, onnx=model.path.name, arguments=request.arguments)


def driver_version() -> str | None:
    """Version of NVIDIA's driver, such as ``580.65.06``, from Linux; ``None`` elsewhere."""
    with suppress(OSError):
        return decoded(Path("/sys/module/nvidia/version").read_bytes()).strip() or None
    return None
