"""The options of ``granet-eval``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from granet.app.command import Options
from granet.app.options import Map
from granet.app.value import checked
from granet.data.specs import parse_spec
from granet.weights.file_names import is_checkpoint
from granet.weights.packaged import named_checkpoint
from granet.weights.renames import Rename, parse_renames
from runtime.model_option import DeviceOption, model_path
from runtime.open import check_backend

MOST_FRAMES = 120
"""Frames of ``--fixed-camera`` that are measured by default; their luma is in memory, before and after."""


@dataclass(frozen=True, kw_only=True)
class EvalOptions(Options):
    """The options by their names; ``None`` or empty where one was not given.

    Attributes:
        models: each ``--model``: the name of a packaged model, or a path.
        renames: each ``--map``.
        picked: each ``--pick``.
        as_json: ``--json``.
    """

    ckpt: Annotated[
        list[Path],
        typer.Option(
            "--ckpt",
            metavar="CKPT",
            parser=named_checkpoint,
            help="Run this checkpoint in PyTorch: lite or base (packaged), or a file. Repeat for more.",
        ),
    ] = field(default_factory=list)
    models: Annotated[
        list[str],
        typer.Option(
            "--model",
            metavar="MODEL",
            help="Run this model: lite or base (packaged), or a path to an ONNX model. Repeat for more.",
        ),
    ] = field(default_factory=list)
    renames: Map = None
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            metavar="SPEC",
            callback=checked(parse_spec),
            help="Measure on the test split of a data set with ground truth: rain100l:DIR, rain100h:DIR, "
            "ddn:DIR, did:DIR, rain800:DIR, pairs:RAINY_DIR,CLEAN_DIR, synthetic:CLEAN_DIR, drawn:COUNT. "
            "Repeat for more.",
        ),
    ] = field(default_factory=list)
    clean: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Measure how well dry pictures are preserved.")
    ] = None
    fixed_camera: Annotated[
        str | None,
        typer.Option(
            metavar="CLIP",
            help="Measure how much flicker of real rain is removed, on the static pixels of a video file or "
            "a directory of frames from a camera that does not move.",
        ),
    ] = None
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help=f"Use the first N pictures of each set (default: all) or frames of --fixed-camera "
            f"(default: {MOST_FRAMES}).",
        ),
    ] = None
    table1: Annotated[
        bool, typer.Option("--table1", help="Print data sets by models beside the paper's results.")
    ] = False
    table2: Annotated[
        bool, typer.Option("--table2", help="Print the four ablations; give a model of each.")
    ] = False
    table3: Annotated[
        bool, typer.Option("--table3", help="Print coarse result and mask of each checkpoint.")
    ] = False
    tables: Annotated[bool, typer.Option("--tables", help="Print all tables for which models are given.")] = (
        False
    )
    figure6: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw the stages of the first checkpoint on --images.")
    ] = None
    figure7: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG",
            help="Draw the stages of the first checkpoint on pairs of --data, with the ground truth.",
        ),
    ] = None
    figure8: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw box plots of PSNR and SSIM on each data set.")
    ] = None
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Take the photographs of figure 6 from here.")
    ] = None
    picked: Annotated[
        list[str],
        typer.Option(
            "--pick",
            metavar="NAME",
            help="Show this picture in figure 6 or 7 (default: the first three). Repeat for more.",
        ),
    ] = field(default_factory=list)
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON with every picture on stdout, and no tables.")
    ] = False
    device: DeviceOption = "auto"
    backend: Annotated[
        str,
        typer.Option(
            metavar="B",
            callback=checked(check_backend),
            help="Run exported models in auto, onnxruntime or openvino.",
        ),
    ] = "auto"
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace figures that exist.")] = False

    def paths(self) -> list[Path]:
        """The files of the models, in the order in which they are shown.

        Raises:
            UserError: if a packaged model does not exist.
        """
        return [*self.ckpt, *(model_path(model, self.device, self.backend) for model in self.models)]

    def parsed_renames(self) -> dict[Path, tuple[Rename, ...]]:
        """Names of the weights, by checkpoint.

        Raises:
            UsageError: if one is malformed.
        """
        renames = parse_renames(self.renames)
        return dict.fromkeys(self.checkpoints, renames) if renames else {}

    @property
    def checkpoints(self) -> list[Path]:
        """The models that are checkpoints, in the order in which they are shown."""
        return [*self.ckpt, *(path for path in map(Path, self.models) if is_checkpoint(path))]

    @property
    def has_checkpoint(self) -> bool:
        """Whether one of the models runs in PyTorch, and so shows its stages."""
        return bool(self.checkpoints)

    @property
    def measures_every_model(self) -> bool:
        """Whether all models are measured, and not only stages of checkpoints."""
        return self.measures_results or self.clean is not None or self.fixed_camera is not None

    @property
    def figures(self) -> tuple[Path, ...]:
        """The files of the figures."""
        return tuple(path for path in (self.figure6, self.figure7, self.figure8) if path is not None)

    @property
    def measures_results(self) -> bool:
        """Whether all models run on every picture of ``--data``."""
        some = self.table1 or self.table2 or self.tables or self.figure8 is not None
        return bool(self.data) and (some or not (self.table3 or self.figure7))

    @property
    def measures_stages(self) -> bool:
        """Whether the stages of each checkpoint are measured on ``--data``."""
        return self.table3 or (self.tables and self.has_checkpoint)
