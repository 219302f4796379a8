"""Peak memory and time of one frame, from 480p to 4K: ``python -m benchmarks.scaling``.

Each figure comes from a process of its own (:mod:`runtime.checks.isolated_run`), whose whole resident
memory is counted, on a network with random weights: neither memory nor time depends on what they are.
Graphs are static, made for each size. The frame is run ``--frames`` times and the fastest counts; the time
of a lone first frame includes what a backend does only once.

A size that does not fit the memory, or takes longer than ``--timeout``, says so in its row.
"""

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from export.onnx.export import ExportOptions, build_model
from granet import GraNet, GraNetConfig, load_checkpoint, save_checkpoint
from granet.errors import UserError
from runtime.artefacts.metadata import KEY, ModelMetadata
from runtime.checks.isolated_run import IsolatedRun, run_isolated
from runtime.checks.machine import this_machine
from runtime.open import BACKENDS

SIZES = {"96p": (96, 170), "480p": (480, 854), "720p": (720, 1280), "1080p": (1080, 1920), "4K": (2160, 3840)}
"""(height, width) in pixels."""

SMALLEST = ["--presets", "lite", "--sizes", "96p", "--frames", "1"]
"""Options of ``--smallest``: a run of a few seconds that does everything once. Its figures mean nothing."""

HEADER = """\
| preset | frame | Mpixel | backend | seconds | core-seconds | core-s/Mpixel | peak GiB |
|---|---|---:|---|---:|---:|---:|---:|"""


def main() -> None:
    """Prints a markdown table, row by row."""
    options = _options()
    print(f"{this_machine('torch', 'onnxruntime', 'openvino')}\n\n{HEADER}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for preset in options.presets:
            checkpoint = _checkpoint(preset, Path(folder))
            for name in options.sizes:
                _measure(preset, name, checkpoint, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["lite", "paper"], choices=["lite", "paper"])
    parser.add_argument("--sizes", nargs="+", default=list(SIZES)[1:], choices=list(SIZES))
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), choices=list(BACKENDS))
    parser.add_argument("--dynamic", action="store_true", help="graphs of dynamic size")
    parser.add_argument("--frames", type=int, default=2, help="frames of each process")
    parser.add_argument("--timeout", type=float, default=400, help="seconds of each process")
    parser.add_argument("--smallest", action="store_true", help="end within seconds: only a trial run")
    arguments = sys.argv[1:]
    return parser.parse_args([*SMALLEST, *arguments] if "--smallest" in arguments else arguments)


def _measure(preset: str, name: str, checkpoint: Path, options: argparse.Namespace) -> None:
    size = SIZES[name]
    graph: Path | None = None
    for backend in options.backends:
        if backend != "torch" and graph is None:
            graph = _graph(checkpoint, None if options.dynamic else size)
        model = checkpoint if backend == "torch" or graph is None else graph
        head = f"| {preset} | {name} | {_megapixels(size):.2f} | {backend} |"
        try:
            run = run_isolated(
                model, size, device="cpu", backend=backend, frames=options.frames, timeout=options.timeout
            )
        except UserError as error:
            print(f"{head} {str(error).removeprefix(f'{model}: ')} | | | |", flush=True)
            continue
        print(f"{head} {_figures(run, size)} |", flush=True)
    if graph is not None:
        graph.unlink()


def _figures(run: IsolatedRun, size: tuple[int, int]) -> str:
    cpu = min(run.cpu_seconds)
    peak = "unknown" if run.peak_bytes is None else f"{run.peak_bytes / 2**30:.2f}"
    return f"{min(run.seconds):.2f} | {cpu:.2f} | {cpu / _megapixels(size):.2f} | {peak}"


def _megapixels(size: tuple[int, int]) -> float:
    return size[0] * size[1] / 1e6


def _checkpoint(preset: str, folder: Path) -> Path:
    path = folder / f"{preset}.pt"
    save_checkpoint(path, GraNet(GraNetConfig.preset(preset)), origin="random")
    return path


def _graph(checkpoint: Path, size: tuple[int, int] | None) -> Path:
    """An ONNX file of ``checkpoint``, without the parity check, which takes minutes at 4K."""
    network = load_checkpoint(checkpoint)
    options = ExportOptions(size=size)
    rule = network.config.size_rule
    height, width = (None, None) if size is None else rule.padded_size(*size)
    metadata = ModelMetadata(
        config=asdict(network.config),
        checkpoint=checkpoint.name,
        checkpoint_sha256="0" * 64,
        precision=options.precision,
        layout=options.layout,
        colour=options.colour,
        multiple=rule.multiple,
        extent=rule.extent,
        height=height,
        width=width,
        batch=None if size is None else 1,
        outputs=options.outputs,
        versions={},
    )
    model = build_model(network, options)
    model.metadata_props.add(key=KEY, value=metadata.to_json())
    path = checkpoint.with_name(f"{checkpoint.stem}-{width}x{height}.onnx")
    path.write_bytes(model.SerializeToString())
    return path


if __name__ == "__main__":
    main()
