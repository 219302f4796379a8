"""The request for an engine: where it goes, how it is built, and for which shapes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from export.tensorrt.build import BuildOptions
from granet.errors import UserError
from granet.size_rule import Size, SizeRule
from runtime.artefacts.metadata import ModelMetadata
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.optimisation_profile import Profile


@dataclass(frozen=True)
class EngineRequest:
    """A requested engine.

    Attributes:
        output: the engine to write; its record is written beside it.
        flavour: the TensorRT that builds it.
        gpu: the GPU to build on; ``None`` for TensorRT-RTX on a machine without one.
        profile: shapes that the engine supports.
        options: options of the builder.
        arguments: arguments of ``granet-export trt`` that build the same engine again.
        use_cache: whether to take the engine from the cache if it is there, and else to store it.
        overwrite: whether an existing engine is replaced.
    """

    output: Path
    flavour: Flavour
    gpu: Gpu | None
    profile: Profile
    options: BuildOptions = field(default_factory=BuildOptions)
    arguments: tuple[str, ...] = ()
    use_cache: bool = True
    overwrite: bool = False


def arguments_of(sizes: Sequence[Size], batch: int | None, options: BuildOptions) -> tuple[str, ...]:
    """The arguments of ``granet-export trt`` that make this request."""
    words: list[str] = []
    for height, width in sizes:
        words += ["--size", f"{width}x{height}"]
    if batch is not None:
        words += ["--batch", str(batch)]
    for capability in options.capabilities:
        words += ["--compute-capability", capability]
    for name, value in (
        ("--workspace", options.workspace_gib),
        ("--optimisation-level", options.optimisation_level),
        ("--dla", options.dla),
    ):
        if value is not None:
            words += [name, f"{value:g}"]
    return tuple(words)


def choose_profile(
    source: Path, metadata: ModelMetadata, sizes: Sequence[Size], batch: int | None
) -> Profile:
    """The shapes to build for.

    Args:
        source: path of the model, for errors.
        metadata: metadata of the model.
        sizes: (height, width) of the frames in pixels; empty for the model's own.
        batch: maximum number of frames at once; ``None`` for the model's own, or 1.

    Raises:
        UserError: if sizes or batch do not fit the model, or a dynamic model gets no size.
    """
    rule = metadata.size_rule
    if metadata.height is None or metadata.width is None:
        if not sizes:
            raise UserError(
                f"{source}: takes frames of any size, but an engine needs given sizes: choose one with "
                "--size 640x480, or the smallest and the largest"
            )
        return profile_of(list(sizes), batch or 1, rule)
    own, frames = (metadata.height, metadata.width), metadata.batch or 1
    for height, width in sizes:
        if rule.padded_size(height, width) != own:
            raise UserError(
                f"{source}: computes on {own[1]}x{own[0]} only, not on {width}x{height}: leave --size out, "
                "or export it with granet-export onnx --dynamic"
            )
    if batch not in (None, frames):
        raise UserError(
            f"{source}: computes on {frames} frame{'s' if frames > 1 else ''} at a time, "
            f"not on {batch}: leave --batch out, or export it with granet-export onnx --dynamic"
        )
    return Profile.fixed(frames, *own)


def profile_of(sizes: list[Size], batch: int, rule: SizeRule) -> Profile:
    """The optimisation profile of frames of ``sizes``.

    Several sizes give a range from the smallest to the largest height and width; the engine is optimised
    for the median size by area (the larger of the two middle ones). It takes 1 to ``batch`` frames and is
    optimised for ``batch``: with fewer, the frames of one camera would be computed several times.

    Args:
        sizes: (height, width) in pixels, at least one; rounded up by the padding rule.
        batch: maximum number of frames at once.
        rule: the padding rule.

    Raises:
        UserError: if a size is too small for the network.
    """
    padded = sorted({rule.padded_size(*size) for size in sizes}, key=lambda size: (size[0] * size[1], size))
    heights, widths = zip(*padded, strict=True)
    best = padded[len(padded) // 2]
    return Profile((1, min(heights), min(widths)), (batch, *best), (batch, max(heights), max(widths)))
