"""``granet-export trt``, once there is an ONNX file: check, cache, build, record."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from export.onnx.interface import interface_difference
from export.tensorrt.build import BuildOptions, build_engine, check_options
from export.tensorrt.cache import EngineCache, cache_key, timing_cache_path
from export.tensorrt.interruptible import Progress
from export.tensorrt.preflight import refuse
from export.tensorrt.record import new_record, renamed
from export.tensorrt.request import EngineRequest, choose_profile
from granet.errors import ParityError, UserError
from runtime.artefacts.manifest import sha256_of
from runtime.artefacts.metadata import ModelMetadata
from runtime.checks.parity import ParityReport
from runtime.engines.onnx_model import OnnxModel
from runtime.open import ENGINES
from runtime.sinks.part_file import PartFile, check_file, check_parent
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.cuda.open import open_cuda
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.optimisation_profile import Profile
from runtime.tensorrt.private_cache import cache_directory, write_private
from runtime.tensorrt.record import EngineRecord, record_path, write_record

Verify = Callable[[Path], ParityReport]
"""Holds an engine that has its record beside it against the checkpoint."""


@dataclass(frozen=True)
class MadeEngine:
    """What came of a request.

    Attributes:
        record: as it is beside the engine.
        cached: whether the engine was built before and only copied.
        dla_layers: layers on the DLA core, of how many; ``None`` without DLA.
    """

    record: EngineRecord
    cached: bool
    dla_layers: tuple[int, int] | None = None


def make_engine(
    request: EngineRequest,
    flavour: Flavour,
    say: Callable[[str], None],
    progress: Progress,
    verify: Verify | None = None,
) -> MadeEngine:
    """Writes the engine and its record, or nothing.

    Args:
        request: what is asked for.
        flavour: the TensorRT that builds it.
        say: told what a person should know, a line at a time.
        progress: see :func:`export.tensorrt.build.build_engine`.
        verify: measures parity before the engine gets its name, where there is a GPU to do it on.

    Raises:
        ParityError: if the engine misses its budget; nothing is written.
        UserError: for a file, size or option that does not go, or in TensorRT's own words.
    """
    check_output(request.output, (request.onnx,), request.overwrite)
    check_options(flavour, request.options)
    metadata = OnnxModel.open(request.onnx).metadata
    profile = choose_profile(request, metadata)
    model = onnx.load(request.onnx)
    refuse(model, str(request.onnx), flavour.newest_opset)
    difference = interface_difference(model, metadata)
    if difference is not None:
        raise UserError(f"{request.onnx}: is not what it says of itself: {difference}: export it again")
    gpu = gpu_to_build_on(flavour)
    options = _with_timings(request.options, flavour, gpu)
    if options.timing_cache is not None and not options.own_timings:
        check_parent(options.timing_cache)
    part = PartFile(request.output)  # before the build: a directory that cannot be written is told at once
    beside = record_path(part.path)
    try:
        made = _built_or_cached(request, flavour, metadata, profile, options, gpu, say, progress, part.path)
        if gpu is not None and verify is not None:
            made = replace(made, record=_verified(part.path, made.record, verify, say))
        # What may fail is done under the other name; what was there is replaced by the new pair or stays.
        write_record(part.path, made.record)
        part.commit()
        beside.replace(record_path(request.output))
    finally:
        part.discard()
        beside.unlink(missing_ok=True)
    return made


def _verified(engine: Path, record: EngineRecord, verify: Verify, say: Callable[[str], None]) -> EngineRecord:
    """The record with the parity of the engine that is at ``engine`` for the time being."""
    write_record(engine, record)
    try:
        report = verify(engine)
    except ParityError:
        raise
    except UserError as error:  # built for another GPU than the one that is here, say
        say(f"note: parity could not be measured here: {error}")
        return replace(record, parity=None, parity_reason=f"not measured: {error}")
    if report.misses():
        raise ParityError(f"parity missed, nothing written: {'; '.join(report.misses())}")
    return replace(record, parity=report.to_json(), parity_reason=None)


def check_output(output: Path, inputs: tuple[Path, ...], overwrite: bool) -> None:
    """Refuses a destination before anything is computed for it.

    Raises:
        UserError: if its name is not an engine's, or :func:`runtime.sinks.part_file.check_file` refuses.
    """
    if output.suffix.lower() not in ENGINES:
        raise UserError(f"{output}: the name of an engine ends in {', '.join(ENGINES)}")
    check_file(output, inputs, overwrite=overwrite)


def gpu_to_build_on(flavour: Flavour) -> Gpu | None:
    """The GPU whose kernels TensorRT will time; ``None`` for TensorRT-RTX where there is none.

    Raises:
        UserError: for TensorRT without a GPU.
    """
    try:
        with open_cuda() as cuda:
            return cuda.gpu
    except UserError as error:
        if flavour.builds_without_gpu:
            return None
        raise UserError(
            f"{flavour} builds on the GPU that the engine is for, and there is none to be had ({error}): "
            "run it there, or build with --flavour tensorrt-rtx"
        ) from error


def _with_timings(options: BuildOptions, flavour: Flavour, gpu: Gpu | None) -> BuildOptions:
    if options.timing_cache is not None or not flavour.has_timing_cache or gpu is None:
        return options
    return replace(options, timing_cache=timing_cache_path(flavour, gpu), own_timings=True)


def _built_or_cached(
    request: EngineRequest,
    flavour: Flavour,
    metadata: ModelMetadata,
    profile: Profile,
    options: BuildOptions,
    gpu: Gpu | None,
    say: Callable[[str], None],
    progress: Progress,
    part: Path,
) -> MadeEngine:
    """Writes the plan to ``part``."""
    digest = sha256_of(request.onnx)
    asked = None if flavour.builds_without_gpu else gpu
    key = cache_key(flavour, digest, profile, options, asked)
    cache = EngineCache(cache_directory() / "engines", say)
    found = cache.find(key) if request.use_cache else None
    if found is not None:
        _write(part, found.plan, request.output)
        return MadeEngine(renamed(found.record, request), cached=True)
    say(f"building {request.output} with {flavour}: {profile}, {metadata.precision}")
    built = build_engine(
        flavour, request.onnx.read_bytes(), str(request.onnx), metadata.layout, profile, options, progress
    )
    _write(part, built.plan, request.output)
    record = new_record(request, flavour, metadata, profile, gpu, built, digest, sha256_of(part))
    # The engine is there: what else cannot be written must not take it away.
    if options.timing_cache is not None and built.timings is not None:
        try:
            write_private(options.timing_cache, built.timings)
        except UserError as error:
            say(f"note: kernel timings are not kept for the next time: {error}")
    if request.use_cache:
        try:
            cache.keep(key, built.plan, replace(record, file=f"{key}.engine"))
        except UserError as error:
            say(f"note: the engine is not kept for the next time: {error}")
    return MadeEngine(record, cached=False, dla_layers=built.dla_layers)


def _write(part: Path, plan: bytes, output: Path) -> None:
    try:
        part.write_bytes(plan)
    except OSError as error:
        raise UserError(f"{output}: cannot be written: {error.strerror or error}") from error
