"""What is asked of ``granet-export trt`` once there is an ONNX file, and the shapes it is built for."""

from dataclasses import dataclass, field
from pathlib import Path

from export.tensorrt.build import BuildOptions, profile_of
from granet.errors import UserError
from granet.size_rule import Size
from runtime.artefacts.metadata import ModelMetadata
from runtime.tensorrt.optimisation_profile import Profile


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
