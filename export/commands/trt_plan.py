"""The plan of an engine: export → calibrate → quantise → build → verify → record.

:func:`planned` reads and checks all inputs once, before the first long step. :meth:`Plan.run` then runs the
steps in order; each takes the artefact of the one before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from export.commands.trt_models import ModelSteps, model_steps
from export.commands.trt_options import TrtOptions
from export.tensorrt.build import BuildOptions, check_options
from export.tensorrt.cache import timing_cache_path
from export.tensorrt.make import MadeEngine, Verify, make_engine, require_buildable
from export.tensorrt.request import EngineRequest, arguments_of, choose_profile
from granet.app.console import UsageError
from granet.app.options import CAMERA_SIZE
from granet.app.progress import terminal_progress
from granet.errors import UserError
from granet.size_rule import Size
from runtime.artefacts.metadata import ModelMetadata
from runtime.checks.parity import ParityReport, budget_for
from runtime.open import ENGINES
from runtime.sinks.part_file import check_file, check_parent
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.cuda.open import open_cuda
from runtime.tensorrt.flavour import Flavour, find_flavour

if TYPE_CHECKING:
    from export.onnx.checkpoint_file import CheckpointFile


@dataclass(frozen=True)
class Plan:
    """The steps to an engine.

    Attributes:
        models: export, calibrate and quantise, as needed.
        build: the engine to build.
        verify: compares the engine with the checkpoint; ``None`` without a checkpoint or a GPU.
    """

    models: ModelSteps
    build: EngineRequest
    verify: Verify | None

    def run(self) -> MadeEngine:
        """Runs the steps; each writes its file completely, or not at all.

        Raises:
            ParityError: if a step misses its budget.
            UserError: if a step fails.
        """
        model = self.models.run()
        if self.models.made_here:  # an existing model was checked before
            require_buildable(model, self.build.flavour)
        return make_engine(self.build, model, self.verify)


@contextmanager
def planned(options: TrtOptions) -> Iterator[Plan]:
    """Reads the inputs once and checks everything that can be checked before the work.

    Yields:
        The plan; the copy of the checkpoint exists until the end.

    Raises:
        UsageError: if the run would not use an option.
        UserError: if a file, a size, this machine or the installation cannot be used.
    """
    flavour, asked = find_flavour(options.flavour.value), options.build_options()
    check_options(flavour, asked)
    gpu = gpu_to_build_on(flavour)
    if options.ckpt is None:
        yield _plan(options, None, flavour, gpu, asked)
        return
    from granet.app.extras import require_export_extra

    require_export_extra()
    from export.onnx.checkpoint_file import opened_checkpoint  # torch takes seconds to import

    with opened_checkpoint(options.ckpt, options.renames) as checkpoint:
        yield _plan(options, checkpoint, flavour, gpu, asked)


def _plan(
    options: TrtOptions,
    checkpoint: "CheckpointFile | None",
    flavour: Flavour,
    gpu: Gpu | None,
    asked: BuildOptions,
) -> Plan:
    models = model_steps(options, checkpoint)
    if models.model is not None:
        require_buildable(models.model, flavour)
    sizes = _sizes(options, models.metadata)
    profile = choose_profile(models.source, models.metadata, sizes, options.batch)
    output = options.output or Path(f"{models.output.stem}.engine")
    if output.suffix.lower() not in ENGINES:
        raise UsageError(f"--output {output}: the name of an engine ends in {', '.join(ENGINES)}")
    check_file(output, (models.output,), overwrite=options.overwrite)
    if asked.timing_cache is not None:
        check_parent(asked.timing_cache)
    request = EngineRequest(
        output,
        flavour,
        gpu,
        profile,
        with_timings(asked, flavour, gpu, no_cache=options.no_cache),
        arguments_of(sizes, options.batch, asked),
        not options.no_cache,
        options.overwrite,
    )
    verify = None if checkpoint is None or gpu is None else _verifier(checkpoint, options)
    return Plan(models.with_rain_checked(), request, verify)


def _sizes(options: TrtOptions, metadata: ModelMetadata) -> tuple[Size, ...]:
    """The sizes to build for: a camera's from a checkpoint, if its model takes frames of any size."""
    if options.sizes or options.ckpt is None or metadata.height is not None:
        return options.sizes
    return (CAMERA_SIZE,)


def gpu_to_build_on(flavour: Flavour) -> Gpu | None:
    """The GPU that TensorRT will time kernels on; ``None`` for TensorRT-RTX without a GPU.

    Raises:
        UserError: if TensorRT has no GPU.
    """
    try:
        with open_cuda() as cuda:
            return cuda.gpu
    except UserError as error:
        if flavour.builds_without_gpu:
            return None
        raise UserError(
            f"{flavour} needs the target GPU to build ({error}): run it there, or build with "
            "--flavour tensorrt-rtx"
        ) from error


def with_timings(options: BuildOptions, flavour: Flavour, gpu: Gpu | None, *, no_cache: bool) -> BuildOptions:
    """Sets the default timing cache, unless the user gave one or wants no cache."""
    if no_cache or options.timing_cache is not None or gpu is None or not flavour.has_timing_cache:
        return options
    return replace(options, timing_cache=timing_cache_path(flavour, gpu), own_timings=True)


def _verifier(checkpoint: "CheckpointFile", options: TrtOptions) -> Verify:
    """Measures the parity of an engine on this machine's GPU."""

    def verify(engine: Path) -> ParityReport:
        from export.reports.parity import Comparison, check_parity

        several = (
            options.sizes if len(options.sizes) > 1 else ()
        )  # a static engine is compared at its own size
        on = Comparison(options.images, several, "tensorrt", "cuda")
        with terminal_progress("parity") as progress:
            return check_parity(checkpoint, engine, on, budget_for, progress)

    return verify
