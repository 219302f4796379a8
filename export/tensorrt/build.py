"""Builds a TensorRT engine from an ONNX model: one path for TensorRT 10, 11 and TensorRT-RTX.

Networks are strongly typed: precision and Q/DQ are in the ONNX file, the builder chooses none.
TF32 is off: a file in float32 gives an engine in float32.
"""

from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from export.tensorrt.interruptible import interruptible, new_monitor
from export.tensorrt.layers import layer_precisions
from granet.app.console import UsageError
from granet.app.progress import Progress, no_progress
from granet.errors import UserError
from granet.size_rule import Size, SizeRule
from runtime.artefacts.artefact import Model
from runtime.artefacts.metadata import Layout
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.log import Messages, collected, plain
from runtime.tensorrt.optimisation_profile import Profile, Shape

MAX_OPTIMISATION_LEVEL = 5
"""TensorRT itself accepts any number and silently lowers it."""


@dataclass(frozen=True)
class BuildOptions:
    """User-selectable build options.

    Attributes:
        capabilities: compute capabilities, ``8.6``; what TensorRT-RTX builds by default if empty.
        workspace_gib: most scratch memory of a layer in GiB; all the GPU's if ``None``.
        optimisation_level: 0 (fast to build) to 5; TensorRT's default if ``None``.
        dla: DLA core that runs the layers it supports, the GPU the others; ``None`` for no DLA.
        timing_cache: file to read kernel timings from and to add new ones to.
        own_timings: that file belongs to this program: a stale one is replaced without an error.
    """

    capabilities: tuple[str, ...] = ()
    workspace_gib: float | None = None
    optimisation_level: int | None = None
    dla: int | None = None
    timing_cache: Path | None = None
    own_timings: bool = False


@dataclass(frozen=True)
class BuiltEngine:
    """The result of a build.

    Attributes:
        plan: the serialised engine.
        seconds: wall time of parsing and building.
        warnings: of parser and builder, each once, in the order they came.
        timings: the timing cache after the build; ``None`` where there is none.
        dla_layers: layers that run on the DLA core, of how many in the network; ``None`` without DLA.
        layers: see :func:`export.tensorrt.layers.layer_precisions`.
    """

    plan: bytes
    seconds: float
    warnings: tuple[str, ...]
    timings: bytes | None
    dla_layers: tuple[int, int] | None
    layers: dict[str, str] | None


def profile_of(sizes: list[Size], batch: int, rule: SizeRule) -> Profile:
    """The optimisation profile of frames of ``sizes``.

    One size gives a static engine, whose batch is ``batch``. Several give the smallest and largest
    height and width among them, at best speed for the middle one by area (of an even number the
    larger of the two), and batches of 1 to ``batch``.

    Args:
        sizes: (height, width) in pixels, at least one; rounded up by the padding rule.
        batch: most frames at once.
        rule: the padding rule.

    Raises:
        UserError: if a size is too small for the network.
    """
    padded = sorted({rule.padded_size(*size) for size in sizes}, key=lambda size: (size[0] * size[1], size))
    heights, widths = zip(*padded, strict=True)
    best = padded[len(padded) // 2]
    least = batch if len(padded) == 1 else 1
    return Profile((least, min(heights), min(widths)), (batch, *best), (batch, max(heights), max(widths)))


def build_engine(
    flavour: Flavour,
    model: Model,
    profile: Profile,
    options: BuildOptions,
    progress: Progress = no_progress,
) -> BuiltEngine:
    """Parses and builds.

    Args:
        flavour: the TensorRT that does it.
        model: an ONNX model with one input.
        profile: shapes that the engine is for.
        options: that :func:`check_options` allowed.
        progress: called from another thread; a build ends where it raises, with what it raised.

    Raises:
        KeyboardInterrupt: after Ctrl-C, as soon as TensorRT lets go.
        UserError: with TensorRT's own reason, and the name of the node where it gives one.
    """
    monitor = new_monitor(flavour, progress)
    return interruptible(lambda: _build(flavour, model, profile, options, monitor), monitor)


def _build(
    flavour: Flavour, model: Model, profile: Profile, options: BuildOptions, monitor: Any
) -> BuiltEngine:
    trt = flavour.module
    started = monotonic()
    with collected(flavour) as (logger, messages):
        builder = trt.Builder(logger)
        network = builder.create_network(flavour.network_flags)
        _parse(trt.OnnxParser(network, logger), model, flavour)
        config = builder.create_builder_config()
        _configure(flavour, builder, config, options)
        _set_shapes(builder, network, config, model.metadata.layout, profile, messages)
        dla_layers = _dla_layers(network, config) if options.dla is not None else None
        timings = _load_timings(flavour, config, options)
        config.progress_monitor = monitor
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            reason = messages.reason("the builder gave no reason: try again with --debug")
            raise UserError(f"{model.path}: {flavour} cannot build it: {reason}")
    seconds = monotonic() - started
    return BuiltEngine(
        bytes(plan),
        seconds,
        tuple(dict.fromkeys(plain(message) for message in messages.warnings)),
        bytes(timings.serialize()) if timings is not None else None,
        dla_layers,
        layer_precisions(flavour, bytes(plan)),
    )


def check_options(flavour: Flavour, options: BuildOptions) -> None:
    """Refuses options that this flavour would silently ignore or change.

    Raises:
        UsageError: names the two options.
        UserError: for an invalid value.
    """
    beside = f"with --flavour {flavour.name}"
    if options.capabilities and not flavour.capabilities:
        raise UsageError(
            f"--compute-capability {options.capabilities[0]} {beside}: {flavour} builds for the GPU of "
            "the machine it runs on: leave --compute-capability out, or build with --flavour tensorrt-rtx"
        )
    flavour.check_capabilities(options.capabilities)
    if options.dla is not None and not flavour.has_dla:
        raise UsageError(f"--dla {options.dla} {beside}: {flavour} does not use DLA: leave --dla out")
    if options.timing_cache is not None and not flavour.has_timing_cache:
        raise UsageError(
            f"--timing-cache {beside}: {flavour} times nothing when it builds: leave --timing-cache out"
        )
    level = options.optimisation_level
    if level is not None and not flavour.has_optimisation_levels:
        raise UsageError(
            f"--optimisation-level {level} {beside}: {flavour} builds the same engine at every level: "
            "leave --optimisation-level out"
        )
    if level is not None and not 0 <= level <= MAX_OPTIMISATION_LEVEL:
        raise UserError(f"optimisation level {level}: it is 0 to {MAX_OPTIMISATION_LEVEL}")


def _parse(parser: Any, model: Model, flavour: Flavour) -> None:
    if parser.parse(model.content):
        return
    source = model.path
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    if not errors:
        raise UserError(f"{source}: {flavour} cannot parse it and does not say why: export it again")
    first, more = errors[0], len(errors) - 1
    where = f"node {first.node_name()} ({first.node_operator()})" if first.node_name() else "the file"
    also = f" (and {more} more)" if more else ""
    raise UserError(f"{source}: {flavour} cannot parse {where}: {plain(first.desc())}{also}")


def _configure(flavour: Flavour, builder: Any, config: Any, options: BuildOptions) -> None:
    trt = flavour.module
    config.clear_flag(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # else the inspector knows names only
    flavour.set_capabilities(config, options.capabilities)
    if options.workspace_gib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(options.workspace_gib * 2**30))
    if options.optimisation_level is not None:
        config.builder_optimization_level = options.optimisation_level
    if options.dla is not None:
        _check_dla(builder, options.dla)
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = options.dla
        # The DLA supports few layers of this network; the count is reported, and the GPU runs the others.
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _check_dla(builder: Any, core: int) -> None:
    cores = builder.num_DLA_cores
    if core not in range(cores):
        has = f"cores 0 to {cores - 1}" if cores else "no DLA (or this TensorRT does not support it)"
        raise UserError(f"--dla {core}: this machine has {has}: leave it out or name another")


def _dla_layers(network: Any, config: Any) -> tuple[int, int]:
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    return sum(bool(config.can_run_on_DLA(layer)) for layer in layers), len(layers)


def _set_shapes(
    builder: Any, network: Any, config: Any, layout: Layout, profile: Profile, messages: Messages
) -> None:
    """Makes a dynamic input static for one shape; gives it a profile for several."""
    tensor = network.get_input(0)
    if -1 not in tuple(tensor.shape):
        return
    if profile.is_static:
        tensor.shape = _tensor_shape(profile.opt, layout)
        return
    shapes = builder.create_optimization_profile()
    shapes.set_shape(
        tensor.name, *(_tensor_shape(each, layout) for each in (profile.min, profile.opt, profile.max))
    )
    if config.add_optimization_profile(shapes) < 0:
        raise UserError(f"{profile}: {messages.reason('TensorRT refuses these sizes')}")


def _tensor_shape(shape: Shape, layout: Layout) -> tuple[int, int, int, int]:
    n, height, width = shape
    return (n, height, width, 3) if layout == "frames" else (n, 3, height, width)


def _load_timings(flavour: Flavour, config: Any, options: BuildOptions) -> Any:
    """The config's timing cache; ``None`` where none is asked for."""
    path = options.timing_cache
    if path is None:
        return None
    try:
        stored = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    for content in (stored, b"") if options.own_timings else (stored,):
        timings = config.create_timing_cache(content)
        if timings is not None and config.set_timing_cache(timings, False):
            return timings
    raise UserError(f"{path}: not a timing cache of {flavour} and this GPU: remove it or name another")
