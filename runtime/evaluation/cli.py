"""``granet-eval``: how much rain models remove, by both metrics, and the paper's tables and figures."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from granet.app.console import DebugOption, run_app
from granet.app.used_options import StrictCommand, given_options
from runtime.evaluation.fixed_camera import MOST_FRAMES, evaluate_fixed_camera
from runtime.evaluation.options import EvalOptions
from runtime.evaluation.rules import check_eval_options
from runtime.evaluation.run import evaluate_models

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(cls=StrictCommand)
def evaluate(
    context: typer.Context,
    ckpt: Annotated[
        list[Path] | None,
        typer.Option("--ckpt", metavar="FILE", help="Run this checkpoint in PyTorch. Repeat for more."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="Run this model: lite or base (packaged), or a path to an ONNX model. Repeat for more.",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="SPEC",
            help="Measure on the test split of a data set with ground truth: rain100l:DIR, rain100h:DIR, "
            "ddn:DIR, did:DIR, rain800:DIR, pairs:RAINY_DIR,CLEAN_DIR, synthetic:CLEAN_DIR, drawn:COUNT. "
            "Repeat for more.",
        ),
    ] = None,
    clean: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Measure how well dry pictures are preserved.")
    ] = None,
    fixed_camera: Annotated[
        str | None,
        typer.Option(
            metavar="CLIP",
            help="Measure how much flicker of real rain is removed, on the static pixels of a video file or "
            "a directory of frames from a camera that does not move.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help=f"Use the first N pictures of each set (default: all) or frames of --fixed-camera "
            f"(default: {MOST_FRAMES}).",
        ),
    ] = None,
    table1: Annotated[
        bool, typer.Option("--table1", help="Print data sets by models beside the paper's results.")
    ] = False,
    table2: Annotated[
        bool, typer.Option("--table2", help="Print the four ablations; give a model of each.")
    ] = False,
    table3: Annotated[
        bool, typer.Option("--table3", help="Print coarse result and mask of each checkpoint.")
    ] = False,
    tables: Annotated[
        bool, typer.Option("--tables", help="Print all tables for which models are given.")
    ] = False,
    figure6: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw the stages of the first checkpoint on --images.")
    ] = None,
    figure7: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Draw the same on pairs of --data, with the ground truth."),
    ] = None,
    figure8: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw box plots of PSNR and SSIM on each data set.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Take the photographs of figure 6 from here.")
    ] = None,
    picked: Annotated[
        list[str] | None,
        typer.Option(
            "--pick",
            metavar="NAME",
            help="Show this picture in figure 6 or 7 (default: the first three). Repeat for more.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON with every picture on stdout, and no tables.")
    ] = False,
    device: Annotated[
        str, typer.Option(metavar="D", help="Run on auto, cpu, cuda, cuda:N, gpu or npu.")
    ] = "auto",
    backend: Annotated[
        str, typer.Option(metavar="B", help="Run exported models in auto, onnxruntime or openvino.")
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace figures that exist.")] = False,
    debug: DebugOption = False,
) -> None:
    """Measure models on data sets: PSNR and SSIM on Y, beside the rainy input.

    Two metrics, over 1 dB apart, are printed: `paper`, with which the paper's tables were measured, and
    `matlab`, which most of the literature reports. With --fixed-camera: the temporal deviation of luma and
    the PSNR to the temporal median, before and after. An option that the run would not use is an error. Exit
    status: 0 done, 1 failed, 2 wrong usage.
    """
    options = EvalOptions(
        ckpt=tuple(ckpt or ()),
        models=tuple(model or ()),
        data=tuple(data or ()),
        clean=clean,
        fixed_camera=fixed_camera,
        limit=limit,
        table1=table1,
        table2=table2,
        table3=table3,
        tables=tables,
        figure6=figure6,
        figure7=figure7,
        figure8=figure8,
        images=images,
        picked=tuple(picked or ()),
        as_json=as_json,
        device=device,
        backend=backend,
        overwrite=overwrite,
    )
    check_eval_options(options, given_options(context))
    if options.fixed_camera is not None:
        evaluate_fixed_camera(options.fixed_camera, options)
    else:
        evaluate_models(options)


def main() -> None:
    """Entry point of ``granet-eval``."""
    sys.exit(run_app(app))


if __name__ == "__main__":
    main()
