"""``granet-export trt``, once there is an ONNX file: check, cache, build, record."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

import onnx

from export.trt_build import (
    BuildOptions,
    BuiltEngine,
    Progress,
    build_engine,
    check_options,
    profile_of,
)
from export.trt_cache import EngineCache, cache_directory, cache_key, timing_cache_path, write_whole
from export.trt_check import refuse
from export.trt_layers import layer_precisions
from export.trt_source import quantisation_of
from granet.errors import ParityError, UserError
from runtime.cuda.choose import open_cuda
from runtime.cuda.contract import Gpu
from runtime.engine_record import EngineRecord, Profile, write_record
from runtime.engine_trust import this_platform
from runtime.engines.onnx_model import OnnxModel
from runtime.manifest import sha256_of
from runtime.metadata import ModelMetadata
from runtime.open import ENGINES
from runtime.parity import ParityReport
from runtime.parity_cases import Size
from runtime.sinks.part_file import PartFile, check_file
from runtime.tensorrt_flavour import Flavour

NO_GPU = "not measured: there was no GPU where it was built"
NO_CHECKPOINT = "not measured: it was built from an ONNX file, and the checkpoint was not named"

Verify = Callable[[Path], ParityReport]
"""Holds an engine that has its record beside it against the checkpoint."""


@dataclass(frozen=True)
class EngineRequest:
    """An engine that is asked for.

    Attributes:
        onnx: the model, of any precision.
        output: the engine to write; its record goes beside it.
        sizes: (height, width) in pixels of the frames; the model's own if empty.
        batch: most frames at once; ``None`` for the model's own, or 1.
        options: of the builder.
        overwrite: existing files are replaced.
        use_cache: an engine that was built before may be taken, and this one is kept.
    """

    onnx: Path
    output: Path
    sizes: tuple[Size, ...] = ()
    batch: int | None = None
    options: BuildOptions = field(default_factory=BuildOptions)
    overwrite: bool = False
    use_cache: bool = True

    def arguments(self) -> tuple[str, ...]:
        """Of ``granet-export trt``: they build the same engine again."""
        words: list[str] = []
        for height, width in self.sizes:
            words += ["--size", f"{width}x{height}"]
        if self.batch is not None:
            words += ["--batch", str(self.batch)]
        for capability in self.options.capabilities:
            words += ["--compute-capability", capability]
        for name, value in (
            ("--workspace", self.options.workspace_gib),
            ("--optimisation-level", self.options.optimisation_level),
            ("--dla", self.options.dla),
        ):
            if value is not None:
                words += [name, f"{value:g}"]
        return tuple(words)


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
        progress: see :func:`export.trt_build.build_engine`.
        verify: measures parity before the engine gets its name, where there is a GPU to do it on.

    Raises:
        ParityError: if the engine misses its budget; nothing is written.
        UserError: for a file, size or option that does not go, or in TensorRT's own words.
    """
    check_output(request.output, (request.onnx,), request.overwrite)
    check_options(flavour, request.options)
    metadata = OnnxModel.open(request.onnx).metadata
    profile = choose_profile(request, metadata)
    refuse(onnx.load(request.onnx), str(request.onnx), flavour.newest_opset)
    gpu = gpu_to_build_on(flavour)
    options = _with_timings(request.options, flavour, gpu)
    part = PartFile(request.output)  # before the build: a directory that cannot be written is told at once
    try:
        made = _built_or_cached(request, flavour, metadata, profile, options, gpu, say, progress, part.path)
        if gpu is not None and verify is not None:
            made = replace(made, record=_verified(part.path, made.record, verify, say))
        part.commit()
    finally:
        part.discard()
    try:
        write_record(request.output, made.record)
    except UserError:
        request.output.unlink()  # an engine without its record would never be loaded
        raise
    return made


def _verified(engine: Path, record: EngineRecord, verify: Verify, say: Callable[[str], None]) -> EngineRecord:
    """The record with the parity of the engine that is at ``engine`` for the time being."""
    beside = write_record(engine, record)
    try:
        report = verify(engine)
    except ParityError:
        raise
    except UserError as error:  # built for another GPU than the one that is here, say
        say(f"note: parity could not be measured here: {error}")
        return replace(record, parity=None, parity_reason=f"not measured: {error}")
    finally:
        beside.unlink(missing_ok=True)
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


def choose_profile(request: EngineRequest, metadata: ModelMetadata) -> Profile:
    """The shapes to build for.

    Raises:
        UserError: if sizes or batch are not the model's, or a dynamic model is given none.
    """
    rule, source = metadata.size_rule, request.onnx
    if metadata.height is None or metadata.width is None:
        if not request.sizes:
            raise UserError(
                f"{source}: takes frames of any size, and an engine is for some: name one with "
                "--size 640x480, or the smallest and the largest"
            )
        return profile_of(list(request.sizes), request.batch or 1, rule)
    own, batch = (metadata.height, metadata.width), metadata.batch or 1
    for height, width in request.sizes:
        if rule.padded_size(height, width) != own:
            raise UserError(
                f"{source}: computes on {own[1]}x{own[0]} only, not on {width}x{height}: leave --size out, "
                "or export it with granet-export onnx --dynamic"
            )
    if request.batch not in (None, batch):
        raise UserError(
            f"{source}: computes on {batch} frame{'s' if batch > 1 else ''} at a time, "
            f"not on {request.batch}: leave --batch out, or export it with granet-export onnx --dynamic"
        )
    return Profile.fixed(batch, *own)


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
    path = timing_cache_path(flavour, gpu)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return replace(options, timing_cache=path)


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
    cache = EngineCache(cache_directory() / "engines")
    found = cache.find(key) if request.use_cache else None
    if found is not None:
        _write(part, found.plan, request.output)
        return MadeEngine(_renamed(found.record, request), cached=True)
    say(f"building {request.output} with {flavour}: {profile}, {metadata.precision}")
    built = build_engine(
        flavour, request.onnx.read_bytes(), str(request.onnx), metadata.layout, profile, options, progress
    )
    _write(part, built.plan, request.output)
    record = _record(request, flavour, metadata, profile, gpu, built, digest, sha256_of(part))
    if options.timing_cache is not None and built.timings is not None:
        write_whole(options.timing_cache, built.timings)
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


def _renamed(record: EngineRecord, request: EngineRequest) -> EngineRecord:
    """A record of the cache for the engine that was asked for: other names, the same build."""
    return replace(
        record,
        file=request.output.name,
        onnx=request.onnx.name,
        arguments=request.arguments(),
    )


def _record(
    request: EngineRequest,
    flavour: Flavour,
    metadata: ModelMetadata,
    profile: Profile,
    gpu: Gpu | None,
    built: BuiltEngine,
    onnx_sha256: str,
    sha256: str,
) -> EngineRecord:
    capabilities = request.options.capabilities
    if not flavour.is_rtx and gpu is not None:
        capabilities = (gpu.capability,)
    return EngineRecord(
        file=request.output.name,
        sha256=sha256,
        onnx=request.onnx.name,
        onnx_sha256=onnx_sha256,
        table_sha256=quantisation_of(metadata).get("table_sha256") or None,
        metadata=metadata,
        flavour=flavour.name,
        version=flavour.version,
        platform=this_platform(),
        compute_capabilities=capabilities,
        cuda=None if gpu is None else gpu.driver,
        driver=None if gpu is None else driver_version() or gpu.driver,
        gpu=None if gpu is None else gpu.name,
        profiles=(profile,),
        layers=layer_precisions(flavour, built.plan),
        build_seconds=round(built.seconds, 2),
        parity=None,
        parity_reason=NO_GPU if gpu is None else NO_CHECKPOINT,
        warnings=built.warnings,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        arguments=request.arguments(),
    )


def driver_version() -> str | None:
    """NVIDIA's driver, ``580.65.06``, as the Linux kernel says it; ``None`` elsewhere."""
    with suppress(OSError):
        return Path("/sys/module/nvidia/version").read_text(encoding="utf-8").strip() or None
    return None
