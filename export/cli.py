"""``granet-export``: checkpoints to models, models against checkpoints, models side by side."""

import typer

from export.bench_command import BenchOptions, bench
from export.calibrate_command import CalibrateOptions, calibrate
from export.command_options import add_command
from export.inspect_command import InspectOptions, inspect
from export.onnx_command import OnnxOptions, onnx
from export.parity_command import ParityOptions, parity
from export.quantize_command import QuantizeOptions, quantize
from export.roofline_command import RooflineOptions, roofline
from export.sensitivity_command import SensitivityOptions, sensitivity
from export.trt_command import trt
from export.trt_options import TrtOptions
from granet.console import run_app

app = typer.Typer(
    help="From a PyTorch GraNet to verified models for edge devices.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
)

add_command(app, OnnxOptions, onnx)
add_command(app, ParityOptions, parity)
add_command(app, BenchOptions, bench)
add_command(app, CalibrateOptions, calibrate)
add_command(app, QuantizeOptions, quantize)
add_command(app, SensitivityOptions, sensitivity)
add_command(app, TrtOptions, trt)
add_command(app, InspectOptions, inspect)
add_command(app, RooflineOptions, roofline)


def main() -> None:
    """The entry point of ``granet-export``."""
    raise SystemExit(run_app(app))
