"""``granet-export triton``: a model to a model repository of the Triton inference server."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from export.commands.options import OR_NAME
from granet.app.command import Options
from granet.app.console import UsageError, say
from granet.app.value import checked
from granet.errors import UserError

if TYPE_CHECKING:
    from export.triton.servable import Via

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _check_name(text: str) -> None:
    if _NAME.fullmatch(text) is None:
        raise UserError(f"--name {text}: use letters, digits, dots, dashes and underscores")


class ViaChoice(StrEnum):
    """Back ends of Triton."""

    auto = "auto"
    onnxruntime = "onnxruntime"
    openvino = "openvino"
    tensorrt = "tensorrt"
    python = "python"


@dataclass(frozen=True, kw_only=True)
class TritonOptions(Options):
    """Options of ``granet-export triton``."""

    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help=f"ONNX model, engine, checkpoint, {OR_NAME}."),
    ]
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="REPOSITORY", help="Model repository (created if missing)."),
    ]
    name: Annotated[
        str,
        typer.Option(metavar="NAME", callback=checked(_check_name), help="Name of the model on the server."),
    ] = "granet"
    max_batch: Annotated[
        int, typer.Option("--max-batch", min=1, help="Most frames that the server puts into one batch.")
    ] = 8
    instances: Annotated[int, typer.Option(min=1, help="Copies of the model that compute at once.")] = 1
    queue_delay_us: Annotated[
        int,
        typer.Option("--queue-delay-us", min=0, help="Wait N microseconds for frames to form a batch."),
    ] = 5000
    via: Annotated[
        ViaChoice,
        typer.Option(
            help="Back end: onnxruntime or openvino (ONNX), tensorrt (engines), or python (this runtime, for "
            "every model) (auto: onnxruntime, tensorrt, or python for a checkpoint)."
        ),
    ] = ViaChoice.auto


def triton(options: TritonOptions) -> None:
    """Add a model to a Triton model repository.

    A model that is there gets a new version. Nothing is overwritten.
    """
    from export.triton.config import Serving
    from export.triton.repository import add_to_repository
    from export.triton.servable import servable
    from runtime.model_option import model_path, require_file

    path = model_path(options.model, "auto", "auto", "MODEL")
    require_file(path, "a server needs the model itself")
    model = servable(path, cast("Via | None", None if options.via == "auto" else options.via.value))
    if model.fixed_batch is not None:
        options.refuse(
            "--max-batch",
            "--queue-delay-us",
            conflict=f"with {path}",
            why=f"the model computes {_frames(model.fixed_batch)} at a time, so the server forms no batches; "
            "leave the option out, export the model with --dynamic, or use --via python",
        )
    most = options.max_batch if model.most is None else min(options.max_batch, model.most)
    if most < options.max_batch and "--max-batch" in options.given:
        raise UsageError(
            f"--max-batch {options.max_batch} with {path}: it was built for up to {most} frames: "
            f"give --max-batch {most} or less"
        )
    options.refuse(
        "--queue-delay-us",
        conflict=f"with --max-batch {most}" if most == 1 else None,
        why="the server forms no batches of one frame; leave the option out",
    )
    serving = Serving(options.name, most, options.instances, options.queue_delay_us)
    version = add_to_repository(options.output, model, serving)
    say(f"{version}: {path.name} via {model.via}, {model.served.precision}")
    say(f"start it: tritonserver --model-repository {options.output}")
    say(f"use it: granet-run --model grpc://HOST:8001/{options.name}")


def _frames(count: int) -> str:
    return "one frame" if count == 1 else f"{count} frames"
