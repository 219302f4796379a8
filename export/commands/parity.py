"""``granet-export parity``: compares a model with the network in PyTorch."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from export.commands.options import BudgetOptions, Checkpoint, model_argument
from granet.app.command import Json
from granet.app.extras import require_export_extra
from granet.app.options import Map, parse_size
from granet.app.progress import terminal_progress
from granet.app.schema import to_json
from granet.app.value import checked
from granet.errors import ParityError
from runtime.checks.parity import in_short
from runtime.model_option import DeviceOption, backend_conflict
from runtime.open import check_backend


@dataclass(frozen=True, kw_only=True)
class ParityOptions(BudgetOptions):
    """Options of ``granet-export parity``."""

    model: Annotated[
        Path,
        model_argument("ONNX model, engine, grpc(s)://HOST:PORT/NAME"),
    ]
    ckpt: Checkpoint
    renames: Map = None
    images: Annotated[
        Path | None, typer.Option(help="Compare on the rain images of a directory (default: drawn rain).")
    ] = None
    size: Annotated[
        list[str] | None,
        typer.Option(
            "--size",
            metavar="WxH",
            help="Compare at WxH. Repeat for more (default: the model's own size; if it takes any, that "
            "of each image, or 480x320, 131x97 and 520x40).",
        ),
    ] = None
    backend: Annotated[
        str,
        typer.Option(
            metavar="B",
            callback=checked(check_backend),
            help="Run in auto, onnxruntime, onnxruntime-tensorrt, openvino or tensorrt.",
        ),
    ] = "auto"
    device: DeviceOption = "auto"
    as_json: Json = False

    def check(self) -> None:
        """Refuses a backend that cannot run the model.

        Raises:
            UsageError: names the two options.
        """
        self.refuse(
            "--backend",
            conflict=backend_conflict(str(self.model), self.backend),
            why="engines run in tensorrt, ONNX models in the others, and a server chooses its own",
        )


def parity(options: ParityOptions) -> None:
    """Compare a model with the original network in PyTorch. Exit status 3 if it misses its budget."""
    require_export_extra()
    from export.onnx.checkpoint_file import opened_checkpoint
    from export.reports.parity import Comparison, check_parity
    from export.reports.parity_table import print_parity

    options.check()
    sizes = tuple(parse_size(text) for text in options.size or [])
    on = Comparison(options.images, sizes, options.backend, options.device)
    with (
        opened_checkpoint(options.ckpt, options.renames) as checkpoint,
        terminal_progress("parity") as progress,
    ):
        report = check_parity(checkpoint, options.model, on, options.budget, progress)
    if options.as_json:
        sys.stdout.write(to_json(report.to_json(), indent=2) + "\n")
    else:
        print_parity(report)
    if report.misses():
        raise ParityError(f"parity missed: {in_short(report.misses())}")
