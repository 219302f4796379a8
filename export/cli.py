"""``granet-export``: exports checkpoints, checks models against them, and compares models."""

import sys

import typer

from export.commands.bench import BenchOptions, bench
from export.commands.calibrate import CalibrateOptions, calibrate
from export.commands.field_report import FieldReportOptions, field_report
from export.commands.inspect import InspectOptions, inspect
from export.commands.onnx import OnnxOptions, onnx
from export.commands.parity import ParityOptions, parity
from export.commands.quantize import QuantizeOptions, quantize
from export.commands.roofline import RooflineOptions, roofline
from export.commands.sensitivity import SensitivityOptions, sensitivity
from export.commands.triton import TritonOptions, triton
from export.commands.trt import trt
from export.commands.trt_options import TrtOptions
from granet.app.command import WITH_HELP, StrictGroup, VersionOption, add_command
from granet.app.program import run_program

app = typer.Typer(
    cls=StrictGroup,
    context_settings=dict(WITH_HELP),
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    invoke_without_command=True,
)


@app.callback()
def _help(context: typer.Context, version: VersionOption = False) -> None:
    """From a PyTorch GraNet to verified models for edge devices."""
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")
        raise typer.Exit


add_command(app, OnnxOptions, onnx)
add_command(app, ParityOptions, parity)
add_command(app, BenchOptions, bench)
add_command(app, CalibrateOptions, calibrate)
add_command(app, QuantizeOptions, quantize)
add_command(app, SensitivityOptions, sensitivity)
add_command(app, TrtOptions, trt)
add_command(app, TritonOptions, triton)
add_command(app, InspectOptions, inspect)
add_command(app, RooflineOptions, roofline)
add_command(app, FieldReportOptions, field_report)


def main() -> None:
    """The entry point of ``granet-export``."""
    run_program(app)


if __name__ == "__main__":
    main()
