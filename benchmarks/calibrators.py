"""Compares calibration methods and numbers of pictures by their cost in quality, measured on ground truth.

    python -m benchmarks.calibrators MODEL --data rain800:DIR --judge rain800:DIR --judge rain100l:DIR

MODEL is a float32 export. It is shown each number of pictures of ``--data`` once, and a table made by each
method from what was seen. The quantised models keep what ``granet-export quantize`` keeps at least, and are
simulated: the figures are those of no particular machine. A drop is in dB by the metric ``paper``.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import onnx

from calibration.pictures.examples import load_examples
from calibration.pictures.sets import DatasetPictures
from calibration.qdq.quantiser import Quantiser
from calibration.ranges.calibrate import calibrate
from calibration.search.quality import Judge, QualityReport
from calibration.simulation import Simulation
from calibration.table import METHODS
from granet.app.console import say
from granet.app.options import parse_size
from granet.app.progress import terminal_progress
from granet.data.datasets import open_dataset
from runtime.artefacts.artefact import read_model
from runtime.artefacts.onnx_file import read_metadata
from runtime.checks.machine import this_machine
from runtime.models.packaged import FLOAT32

METRIC = "paper"
SMALLEST = [
    str(FLOAT32), "--data", "drawn:3", "--judge", "drawn:1", "--counts", "2", "--size", "96x96", "--force",
]  # fmt: skip
"""Options of ``--smallest``: a run of a few seconds that does everything once. Its figures mean nothing."""


def main() -> None:
    """Prints a markdown table for each set of judging pictures."""
    options = _options()
    metadata, model = read_metadata(options.model), onnx.load(options.model)
    reference = Simulation(model, metadata)
    judges = {}
    for spec in options.judge:
        judges[spec] = Judge(reference, load_examples(metadata, spec, None, options.judge_count))
    reports: dict[tuple[str, str, int], QualityReport] = {}
    with terminal_progress("calibrators") as progress:
        for done, count in enumerate(options.counts):
            found = calibrate(
                read_model(options.model),
                DatasetPictures(open_dataset(options.data, "train")),
                count,
                size=parse_size(options.size) if metadata.height is None else None,
                force=options.force,
                say=say,
                progress=progress,
            )
            for method in METHODS:
                quantiser = Quantiser(model, found.table(method).ranges, options.target)
                for spec, judge in judges.items():
                    progress(done, len(options.counts), f"{method} of {count} pictures on {spec}")
                    kept = quantiser.spared
                    simulated = Simulation(quantiser.make(kept), metadata)
                    reports[spec, method, count] = judge.report(simulated, budget_db=0.1)
    print(f"{this_machine('onnxruntime', 'onnx')}; {options.model.name}, int8 for {options.target}\n")
    for spec, judge in judges.items():
        print(f"**{spec.partition(':')[0]}**, {len(judge.examples)} pictures\n")
        _print(reports, spec, options.counts)


def _print(reports: dict[tuple[str, str, int], QualityReport], spec: str, counts: Sequence[int]) -> None:
    print("| method | pictures | PSNR to fp32, mean | worst | drop, mean | worst | SSIM drop |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for method in METHODS:
        for count in counts:
            report = reports[spec, method, count]
            mean, least, drop, worst, ssim = report.figures(METRIC)
            print(
                f"| {method} | {count} | {mean:.2f} dB | {least:.2f} | "
                f"{drop:.4f} | {worst:.3f} | {ssim:.5f} |"
            )
    print()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True, help="data set to calibrate on")
    parser.add_argument("--judge", action="append", required=True, help="data set with truth; repeatable")
    parser.add_argument("--judge-count", type=int, default=16, help="pictures of each, evenly spread")
    parser.add_argument("--counts", type=int, nargs="+", default=[64, 256, 512])
    parser.add_argument("--target", choices=["tensorrt", "cpu"], default="tensorrt")
    parser.add_argument("--size", default="480x320", help="that pictures are cut to for a dynamic model")
    parser.add_argument("--force", action="store_true", help="calibrate on too few or dry pictures, too")
    parser.add_argument("--smallest", action="store_true", help="end within seconds: only a trial run")
    arguments = sys.argv[1:]
    return parser.parse_args([*SMALLEST, *arguments] if "--smallest" in arguments else arguments)


if __name__ == "__main__":
    main()
