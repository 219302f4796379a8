"""The request to the builder for one ONNX file, and the shapes it builds for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from export.tensorrt.build import BuildOptions, profile_of
from granet.errors import UserError
from granet.size_rule import Size
from runtime.artefacts.metadata import ModelMetadata
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.optimisation_profile import Profile


@dataclass(frozen=True)
class EngineRequest:
    """An engine that is asked for.

    Attributes:
        output: the engine to write; its record goes beside it.
        flavour: the TensorRT that builds it.
        gpu: that it is built on; ``None`` for TensorRT-RTX where there is none.
        profile: shapes that it is for.
        options: of the builder.
        arguments: of ``granet-export trt``: they build the same engine again.
        use_cache: an engine that was built before may be taken, and this one is kept.
    """

    output: Path
    flavour: Flavour
    gpu: Gpu | None
    profile: Profile
    options: BuildOptions = field(default_factory=BuildOptions)
    arguments: tuple[str, ...] = ()
    use_cache: bool = True


def arguments_of(sizes: Sequence[Size], batch: int | None, options: BuildOptions) -> tuple[str, ...]:
    """The words of ``granet-export trt`` that ask for these."""
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
        source: names the model in errors.
        metadata: what it says of itself.
        sizes: (height, width) in pixels of the frames; the model's own if empty.
        batch: most frames at once; ``None`` for the model's own, or 1.

    Raises:
        UserError: if sizes or batch are not the model's, or a dynamic model is given none.
    """
    rule = metadata.size_rule
    if metadata.height is None or metadata.width is None:
        if not sizes:
            raise UserError(
                f"{source}: takes frames of any size, but an engine needs given ones: choose one with "
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
