"""``granet-eval``: how much rain models remove, by both metrics, and the paper's tables and figures."""

import typer

from granet.app.command import add_command
from granet.app.program import run_program
from runtime.evaluation.fixed_camera import evaluate_fixed_camera
from runtime.evaluation.options import EvalOptions
from runtime.evaluation.rules import check_eval_options
from runtime.evaluation.run import evaluate_models

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)


def evaluate(options: EvalOptions) -> None:
    """Measure models on data sets: PSNR and SSIM on Y, beside the rainy input.

    Two metrics, over 1 dB apart, are printed: `paper`, with which the paper's tables were measured, and
    `matlab`, which most of the literature reports. With --fixed-camera: the temporal deviation of luma and
    the PSNR to the temporal median, before and after. An option that the run would not use is an error. Exit
    status: 0 done, 1 failed, 2 wrong usage.
    """
    check_eval_options(options)
    if options.fixed_camera is not None:
        evaluate_fixed_camera(options.fixed_camera, options)
    else:
        evaluate_models(options)


add_command(app, EvalOptions, evaluate)


def main() -> None:
    """Entry point of ``granet-eval``."""
    run_program(app)


if __name__ == "__main__":
    main()
