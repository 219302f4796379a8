"""Builds a TensorRT engine from an ONNX model: one path for TensorRT 10, 11 and TensorRT-RTX.

Networks are strongly typed: precision and Q/DQ are in the ONNX file, the builder chooses none.
TF32 is off: a file in float32 gives an engine in float32.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from export.tensorrt.interruptible import interruptible, new_monitor
from granet.app.console import UsageError
from granet.app.input_file import CACHE_BYTES, read_bounded
from granet.app.progress import Progress, no_progress
from granet.errors import UserError
from runtime.artefacts.artefact import Model
from runtime.artefacts.metadata import Layout
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.log import Messages, collected, plain
from runtime.tensorrt.optimisation_profile import Profile, Shape
from runtime.tensorrt.private_cache import ForeignFileError, read_private

MAX_OPTIMISATION_LEVEL = 5
"""TensorRT itself accepts any number and silently lowers it."""


@dataclass(frozen=True)
class BuildOptions:
    """User-selectable build options.

    Attributes:
        capabilities: compute capabilities, such as ``8.6``; empty for the default of TensorRT-RTX.
        workspace_gib: maximum scratch memory of a layer in GiB; ``None`` for all of the GPU's memory.
        optimisation_level: 0 (fast to build) to 5; ``None`` for TensorRT's default.
        dla: DLA core that runs the layers it supports; the GPU runs the others. ``None`` for no DLA.
        timing_cache: file of kernel timings to read and to extend; ``None`` for none.
        own_timings: whether that file belongs to this program, which replaces a stale one without an error.
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
        warnings: distinct warnings of parser and builder, in their order.
        timings: the timing cache after the build; ``None`` without one.
        dla_layers: number of layers on the DLA core and in all; ``None`` without DLA.
        layers: see :func:`layer_precisions`.
    """

    plan: bytes
    seconds: float
    warnings: tuple[str, ...]
    timings: bytes | None
    dla_layers: tuple[int, int] | None
    layers: dict[str, str] | None


def build_engine(
    flavour: Flavour,
    model: Model,
    profile: Profile,
    options: BuildOptions,
    progress: Progress = no_progress,
) -> BuiltEngine:
    """Parses an ONNX model and builds an engine.

    Args:
        flavour: the TensorRT to build with.
        model: an ONNX model with one input.
        profile: shapes that the engine supports.
        options: options checked by :func:`check_options`.
        progress: called from another thread; an exception in it ends the build and is raised here.

    Raises:
        KeyboardInterrupt: after Ctrl-C, as soon as TensorRT stops.
        UserError: if TensorRT fails; the message has its reason and, if it names one, the node.
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
    """The config's timing cache; ``None`` if none is requested."""
    path = options.timing_cache
    if path is None:
        return None
    stored = _stored_timings(path, own=options.own_timings)
    for content in (stored, b"") if options.own_timings else (stored,):
        timings = config.create_timing_cache(content)
        if timings is not None and config.set_timing_cache(timings, False):
            return timings
    raise UserError(f"{path}: not a timing cache of {flavour} and this GPU: remove it or name another")


def _stored_timings(path: Path, *, own: bool) -> bytes:
    """The content of a timing cache; empty if there is none, or if another user may have written our own."""
    if not path.exists():
        return b""
    try:
        return read_private(path, CACHE_BYTES) if own else read_bounded(path, CACHE_BYTES)
    except ForeignFileError:
        return b""
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def layer_precisions(flavour: Flavour, plan: bytes) -> dict[str, str] | None:
    """Name of each layer -> type of its output, such as ``Half`` or ``Int8``.

    Returns:
        ``None`` if the engine cannot be loaded here (TensorRT-RTX builds without a GPU and loads with
        one only) or the inspector gives no types.
    """
    with collected(flavour) as (logger, _):
        engine = flavour.module.Runtime(logger).deserialize_cuda_engine(plan)
        if engine is None:
            return None
        inspector = engine.create_engine_inspector()
        text = inspector.get_engine_information(flavour.module.LayerInformationFormat.JSON)
    return parse_layers(text)


def parse_layers(text: str) -> dict[str, str] | None:
    """Reads the inspector's JSON, whose layers are objects only in an engine of detailed verbosity."""
    try:
        layers = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError):
        return None
    found = {str(layer.get("Name", "")): _precision(layer) for layer in layers if isinstance(layer, dict)}
    return {name: kind for name, kind in found.items() if name and kind} or None


def _precision(layer: dict[str, Any]) -> str:
    """``Format/Datatype`` of the outputs, which older versions write as ``Row major linear FP16 format``."""
    kinds = [
        str(output.get("Format/Datatype", output.get("Format", ""))) for output in layer.get("Outputs", [])
    ]
    return ", ".join(dict.fromkeys(kind for kind in kinds if kind))
