"""The last steps of ``granet-export trt``: an ONNX model -> build, verify, record."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from export.onnx.interface import interface_difference
from export.tensorrt.build import BuiltEngine, build_engine
from export.tensorrt.cache import EngineCache, cache_key
from export.tensorrt.preflight import refuse
from export.tensorrt.record import new_record, renamed
from export.tensorrt.request import EngineRequest
from granet.app.console import say
from granet.app.progress import terminal_progress
from granet.errors import ParityError, UserError
from runtime.artefacts.artefact import Artefact, Model
from runtime.checks.parity import ParityReport
from runtime.sinks.part_file import PartFile
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.private_cache import cache_directory, write_private
from runtime.tensorrt.record import EngineRecord, record_path, write_record

EngineFile = Artefact[EngineRecord]

Verify = Callable[[Path], ParityReport]
"""Holds an engine that has its record beside it against the checkpoint."""


@dataclass(frozen=True)
class MadeEngine:
    """The result of a request.

    Attributes:
        engine: with its record, as it is beside it.
        flavour: the TensorRT that built it.
        cached: whether the engine was built before and only copied.
        dla_layers: layers on the DLA core, of how many; ``None`` without DLA.
    """

    engine: EngineFile
    flavour: Flavour
    cached: bool
    dla_layers: tuple[int, int] | None = None


def require_buildable(model: Model, flavour: Flavour) -> None:
    """Refuses a model that TensorRT would refuse after minutes.

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
        request: what is asked for; :mod:`export.commands.trt_plan` allowed it.
        model: that it is built from.
        verify: measures parity before the engine gets its name; ``None`` where that cannot be done.

    Raises:
        ParityError: if the engine misses its budget; nothing is written.
        UserError: in TensorRT's own words, or if a file cannot be written.
    """
    part = PartFile(request.output)  # before the build, to fail at once if the directory cannot be written
    beside = record_path(part.path)
    try:
        made = _built_before(request, model) or _built(request, model)
        _write(part, made.engine)
        if verify is not None:
            made = replace(made, engine=_verified(part.path, made.engine, verify))
        # What may fail is done under the other name; what was there is replaced by the new pair or stays.
        write_record(part.path, made.engine.metadata)
        part.commit()
        beside.replace(record_path(request.output))
    finally:
        part.discard()
        beside.unlink(missing_ok=True)
    return made


def _verified(part: Path, engine: EngineFile, verify: Verify) -> EngineFile:
    """The engine with its parity in the record; it is at ``part`` for the time being."""
    write_record(part, engine.metadata)
    try:
        report = verify(part)
    except ParityError:
        raise
    except UserError as error:  # built for another GPU than the one that is here, say
        say(f"note: parity could not be measured here: {error}")
        reason = f"not measured: {error}"
        return replace(engine, metadata=replace(engine.metadata, parity=None, parity_reason=reason))
    if report.misses():
        raise ParityError(f"parity missed, nothing written: {'; '.join(report.misses())}")
    return replace(engine, metadata=replace(engine.metadata, parity=report.to_json(), parity_reason=None))


def _cache() -> EngineCache:
    return EngineCache(cache_directory() / "engines", say)


def _key(request: EngineRequest, model: Model) -> str:
    timed_on = None if request.flavour.builds_without_gpu else request.gpu
    return cache_key(request.flavour, model.sha256, request.profile, request.options, timed_on)


def _built_before(request: EngineRequest, model: Model) -> MadeEngine | None:
    """The same engine from the cache."""
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
    """Timings and engine for the next time. The engine is there: a file that cannot be written is a note."""
    timings = request.options.timing_cache
    if timings is not None and built.timings is not None:
        try:
            write_private(timings, built.timings)
        except UserError as error:
            say(f"note: the kernel timings are not cached: {error}")
    if request.use_cache:
        key = _key(request, model)
        try:
            _cache().keep(key, built.plan, replace(record, file=f"{key}.engine"))
        except UserError as error:
            say(f"note: the engine is not cached: {error}")


def _write(part: PartFile, engine: EngineFile) -> None:
    try:
        part.path.write_bytes(engine.content)
    except OSError as error:
        raise UserError(f"{engine.path}: cannot be written: {error.strerror or error}") from error
