"""``granet-export onnx``: exports a checkpoint to an ONNX model."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from export.commands.options import BudgetOptions, Checkpoint
from export.onnx.opsets import DEFAULT_OPSET, OPSETS
from granet.app.command import Overwrite
from granet.app.extras import require_export_extra
from granet.app.options import CAMERA_SIZE, Map, parse_size
from granet.weights.file_names import base_name

if TYPE_CHECKING:
    from export.onnx.export import ExportOptions


class LayoutChoice(StrEnum):
    """Layout of the inputs and outputs."""

    frames = "frames"
    tensor = "tensor"


class ColourChoice(StrEnum):
    """Channel order of frames."""

    bgr = "bgr"
    rgb = "rgb"


@dataclass(frozen=True, kw_only=True)
class OnnxOptions(BudgetOptions):
    """Options of ``granet-export onnx``."""

    positional: ClassVar[str] = "--ckpt"
    results: ClassVar[tuple[str, ...]] = (".onnx",)

    ckpt: Checkpoint
    renames: Map = None
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="ONNX file (default: the checkpoint's name, in this directory)."),
    ] = None
    size: Annotated[
        str | None,
        typer.Option(
            "--size", metavar="WxH", help="Export a static graph for frames of WxH (default: 640x480)."
        ),
    ] = None
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="Accept any batch and size, at some cost in speed.")
    ] = False
    fp16: Annotated[bool, typer.Option("--fp16", help="Compute both stages in half precision.")] = False
    layout: Annotated[
        LayoutChoice,
        typer.Option(help="Take and return frames (uint8 NxHxWx3) or tensor (float NxCxHxW, RGB, [0, 1])."),
    ] = LayoutChoice.frames
    colour: Annotated[ColourChoice, typer.Option(help="Channel order of the frames.")] = ColourChoice.bgr
    stages: Annotated[
        bool, typer.Option("--stages", help="Add the rain mask and the coarse result to the outputs.")
    ] = False
    opset: Annotated[
        int,
        typer.Option(min=OPSETS[0], max=OPSETS[-1], help="Export this ONNX opset."),
    ] = DEFAULT_OPSET
    overwrite: Overwrite = False

    def check(self) -> None:
        """Refuses what can be refused before PyTorch is loaded.

        Raises:
            UsageError: for an option that the export would not use.
        """
        self.at_most_one("--size", "--dynamic", why="a graph takes one size or any")
        self.refuse(
            "--colour",
            conflict="with --layout tensor" if self.layout is LayoutChoice.tensor else None,
            why="tensors are always RGB; leave the option out",
        )

    def export_options(self) -> "ExportOptions":
        """Settings of the export.

        Raises:
            UsageError: for an option that the export would not use.
        """
        from export.onnx.export import ExportOptions, has_hard_cases

        size = None if self.dynamic else parse_size(self.size) if self.size is not None else CAMERA_SIZE
        large = size is not None and not has_hard_cases(*size)
        self.refuse(
            "--hard-db",
            conflict=f"with --size {self.size}" if large else None,
            why="hard cases are for frames up to 640x480; leave the option out",
        )
        return ExportOptions(
            size=size,
            precision="fp16" if self.fp16 else "fp32",
            layout=self.layout.value,
            colour=self.colour.value,
            stages=self.stages,
            opset=self.opset,
            overwrite=self.overwrite,
        )


def onnx(options: OnnxOptions) -> None:
    """Export a checkpoint to ONNX and check it against PyTorch.

    The file gets its name after the check. Exit status 3 if it misses the parity budget.
    """
    options.check()
    require_export_extra()
    from export.onnx.checkpoint_file import opened_checkpoint
    from export.onnx.export import ExportStep

    wanted = options.export_options()
    path = options.output or Path(f"{base_name(options.ckpt)}.onnx")
    with opened_checkpoint(options.ckpt, options.renames) as checkpoint:
        step = ExportStep(checkpoint, path, wanted, options.budget(wanted.precision))
        step.check()
        step.run()
