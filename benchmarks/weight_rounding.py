"""Compares the steps of quantisation: nearest weights, equalised channels, weights rounded by their inputs.

    python -m benchmarks.weight_rounding MODEL --table TABLE --judge rain800:DIR --judge rain100l:DIR

MODEL is a float32 export and TABLE its calibration table. The inputs are observed on pictures of the first
``--judge``. Both networks keep what ``granet-export quantize`` keeps at least, and are simulated: the figures
are those of no particular machine. A drop is in dB by the metric ``paper``.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import onnx

from benchmarks.unpooling_decision import ranges_of
from calibration.pictures.examples import load_examples
from calibration.qdq.moments import input_moments
from calibration.qdq.quantiser import Quantiser
from calibration.search.quality import Judge
from calibration.simulation import Simulation
from calibration.table import Range
from granet.app.progress import progress_line
from runtime.artefacts.artefact import read_model
from runtime.checks.machine import this_machine
from runtime.models.packaged import FLOAT32

METRIC = "paper"
SMALLEST = [str(FLOAT32), "--judge", "drawn:1", "--judge-count", "1"]
"""Options of ``--smallest``: a run of a few seconds that does everything once. Its figures mean nothing."""


class Unequal(Quantiser):
    """Quantises the channels of a dense block as they are."""

    @cached_property
    def _equalised(self) -> tuple[onnx.ModelProto, Mapping[str, Range]]:
        return self.model, self.ranges


def main() -> None:
    """Prints the table."""
    options = _options()
    source = read_model(options.model)
    metadata, model = source.metadata, onnx.load_from_string(source.content)
    sets = {spec: load_examples(metadata, spec, None, options.judge_count) for spec in options.judge}
    observed = [example.rainy for example in sets[options.judge[0]]]
    ranges = ranges_of(source, options.table, observed)
    nearest = Quantiser(model, ranges, options.target)
    kept = nearest.spared
    layers = [layer for layer in nearest.layers if layer.name not in kept]
    by_inputs = replace(nearest, moments=input_moments(nearest.equalised, layers, observed, metadata.colour))
    print(f"{this_machine('onnxruntime', 'onnx')}; {options.model.name}, int8 for {options.target}\n")
    variants = {
        "nearest, not equalised": Unequal(model, ranges, options.target),
        "nearest": nearest,
        "GPTQ": by_inputs,
    }
    print("| pictures | weights | PSNR to fp32, mean | worst | drop, mean | worst | SSIM drop |")
    print("|---|---|---:|---:|---:|---:|---:|")
    with progress_line("weight rounding", total=1.0) as show:
        for number, (spec, examples) in enumerate(sets.items()):
            show(number / len(sets), spec)
            judge = Judge(Simulation(model, metadata), examples)
            for title, quantiser in variants.items():
                report = judge.report(Simulation(quantiser.make(kept), metadata), budget_db=0.1)
                mean, least, drop, worst, ssim = report.figures(METRIC)
                name = f"{spec.partition(':')[0]}, {len(examples)}"
                figures = f"{mean:.1f} dB | {least:.1f} | {drop:.3f} | {worst:.2f} | {ssim:.4f}"
                print(f"| {name} | {title} | {figures} |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--table", type=Path, help="default: the extremes over the first --judge")
    parser.add_argument("--judge", action="append", required=True, help="data set with truth; repeatable")
    parser.add_argument("--judge-count", type=int, default=8, help="pictures of each, evenly spread")
    parser.add_argument("--target", choices=["tensorrt", "cpu"], default="cpu")
    parser.add_argument("--smallest", action="store_true", help="end within seconds: only a trial run")
    arguments = sys.argv[1:]
    return parser.parse_args([*SMALLEST, *arguments] if "--smallest" in arguments else arguments)


if __name__ == "__main__":
    main()
