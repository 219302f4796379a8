"""The precision that guided unpooling needs to find the maximum of four, and the cost of a wrong one.

    python -m benchmarks.unpooling_decision MODEL --table TABLE --judge rain800:DIR

MODEL is a float32 export and TABLE its calibration table; without one, the ranges are taken from the pictures
of ``--judge``. Three questions, one table each row of which is a
whole network on the same pictures, simulated:

1. Everything in float32 but the comparison, which sees its tensor rounded. The copied values stay exact.
2. The network in eight bits as ``granet-export quantize`` makes it, whose comparisons see what the
   convolutions made, unrounded; then with the comparison rounded to eight bits as well.
3. The same with the winners of the float32 network: what remains is rounding alone.

*Moved* is the share of winners that are not the float32 network's, the mean over the three poolings.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from calibration.pictures.examples import load_examples
from calibration.qdq.quantiser import Quantiser
from calibration.ranges.observe import Observer
from calibration.search.quality import Judge
from calibration.simulation import Outputs, Simulation
from calibration.table import Range, open_table, require_for
from granet.app.progress import progress_line
from runtime.artefacts.artefact import Model, read_model
from runtime.artefacts.metadata import ModelMetadata
from runtime.checks.machine import this_machine
from runtime.media.frame import Pixels
from runtime.models.packaged import FLOAT32

METRIC = "paper"
SMALLEST = [str(FLOAT32), "--judge", "drawn:1", "--judge-count", "1"]
"""Options of ``--smallest``: a run of a few seconds that does everything once. Its figures mean nothing."""
SEEN = "/seen"
"""Ends the name of what a comparison sees instead of a tensor."""
OTHER = "eight/"
"""Begins the names of the quantised network where both are in one graph."""

Rounding = Callable[[GraphProto, str, float], list[NodeProto]]
"""Function of a graph, a tensor and its largest magnitude; returns the nodes that make tensor + SEEN."""


def cast(kind: int) -> Rounding:
    """To a floating-point type and back."""

    def nodes(_: GraphProto, name: str, __: float) -> list[NodeProto]:
        return [
            helper.make_node("Cast", [name], [f"{name}/low"], to=kind),
            helper.make_node("Cast", [f"{name}/low"], [name + SEEN], to=TensorProto.FLOAT),
        ]

    return nodes


def steps(bits: int) -> Rounding:
    """To the steps of symmetric integers of so many bits; nothing is clipped that was calibrated."""

    def nodes(graph: GraphProto, name: str, largest: float) -> list[NodeProto]:
        step = np.float32(largest / (2 ** (bits - 1) - 1))
        graph.initializer.append(numpy_helper.from_array(np.asarray(step), f"{name}/step"))
        return [
            helper.make_node("Div", [name, f"{name}/step"], [f"{name}/number"]),
            helper.make_node("Round", [f"{name}/number"], [f"{name}/rounded"]),
            helper.make_node("Mul", [f"{name}/rounded", f"{name}/step"], [name + SEEN]),
        ]

    return nodes


def e4m3(graph: GraphProto, name: str, largest: float) -> list[NodeProto]:
    """To E4M3 with the scale that fp8 quantisation would take."""
    scale = np.float32(largest / 448)
    graph.initializer.append(numpy_helper.from_array(np.asarray(scale), f"{name}/scale"))
    zero = np.zeros((), ml_dtypes.float8_e4m3fn)
    graph.initializer.append(numpy_helper.from_array(zero, f"{name}/zero"))
    parameters = [f"{name}/scale", f"{name}/zero"]
    return [
        helper.make_node("QuantizeLinear", [name, *parameters], [f"{name}/low"]),
        helper.make_node("DequantizeLinear", [f"{name}/low", *parameters], [name + SEEN]),
    ]


ROUNDINGS: dict[str, Rounding] = {
    "float16": cast(TensorProto.FLOAT16),
    "bfloat16": cast(TensorProto.BFLOAT16),
    "16 bits": steps(16),
    "12 bits": steps(12),
    "10 bits": steps(10),
    "8 bits": steps(8),
    "E4M3": e4m3,
}


def winners(model: ModelProto) -> list[str]:
    """The masks that unpooling selects by, in the order of the graph, each once."""
    return list(dict.fromkeys(node.input[0] for node in model.graph.node if node.op_type == "Where"))


def deciding_on(model: ModelProto, rounding: Rounding, largest: Callable[[str], float]) -> ModelProto:
    """A copy whose comparisons see rounded tensors; what is copied is still the unrounded."""
    copy = _copied(model)
    graph = copy.graph
    compared = {name for node in graph.node if node.op_type == "Equal" for name in node.input}
    nodes: list[NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type == "MaxPool" and node.output[0] in compared:
            (source,), pooled = node.input, node.output[0]
            nodes += rounding(graph, source, largest(source))
            again = NodeProto()
            again.CopyFrom(node)
            again.name, again.input[0], again.output[0] = f"{node.name}{SEEN}", source + SEEN, pooled + SEEN
            nodes.append(again)
    seen = {name for node in nodes for name in node.output if name.endswith(SEEN)}
    for node in nodes:
        if node.op_type in ("Slice", "Equal"):
            node.input[:] = [name + SEEN if name + SEEN in seen else name for name in node.input]
    del graph.node[:]
    graph.node.extend(nodes)
    return copy


def with_winners_of(reference: ModelProto, model: ModelProto) -> ModelProto:
    """Both in one graph: ``model`` unpools to where ``reference`` does."""
    both, other = _copied(reference), _copied(model)
    own = {name for node in other.graph.node for name in node.output} | {
        tensor.name for tensor in other.graph.initializer
    }
    foreign = dict(zip(winners(model), winners(reference), strict=True))
    for tensor in other.graph.initializer:
        tensor.name = OTHER + tensor.name
    for node in other.graph.node:
        masks = [foreign[node.input[0]]] if node.op_type == "Where" else []
        rest = node.input[len(masks) :]
        node.input[:] = [*masks, *(OTHER + name if name in own else name for name in rest)]
        node.output[:] = [OTHER + name for name in node.output]
        node.name = OTHER + node.name
    both.graph.node.extend(other.graph.node)
    both.graph.initializer.extend(other.graph.initializer)
    return both


def _copied(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    return copy


class Rows:
    """Prints what each network costs."""

    def __init__(self, model: ModelProto, metadata: ModelMetadata, judge: Judge) -> None:
        self._metadata, self._judge = metadata, judge
        self._names = winners(model)
        self._expected = [self._masks(model, self._names, e.rainy) for e in judge.examples]

    def add(self, title: str, model: ModelProto, moved: bool) -> None:
        """One row; ``moved``: whether the winners are its own."""
        outputs = self._metadata.outputs if moved else [OTHER + name for name in self._metadata.outputs]
        report = self._judge.report(
            Simulation(model, replace(self._metadata, outputs=outputs)), budget_db=0.1
        )
        shares = [
            np.mean([np.mean(a != b) for a, b in zip(expected, found, strict=True)])
            for expected, example in zip(self._expected, self._judge.examples, strict=True)
            for found in ([self._masks(model, winners(model), example.rainy)] if moved else [expected])
        ]
        mean, least, drop, worst, ssim = report.figures(METRIC)
        share = f"{np.mean(shares):.3%}"
        print(f"| {title} | {share} | {mean:.1f} dB | {least:.1f} | {drop:.4f} | {worst:.3f} | {ssim:.5f} |")

    def _masks(self, model: ModelProto, names: Sequence[str], picture: Pixels) -> list[np.ndarray]:
        marked = _copied(model)
        for name in names:
            marked.graph.output.append(helper.make_tensor_value_info(name, TensorProto.BOOL, None))
        source = picture[..., ::-1] if self._metadata.colour == "bgr" else picture
        return Outputs(marked, names).run(np.ascontiguousarray(source))


def main() -> None:
    """Prints the table."""
    options = _options()
    source = read_model(options.model)
    metadata, model = source.metadata, onnx.load_from_string(source.content)
    examples = load_examples(metadata, options.judge, None, options.judge_count)
    judge = Judge(Simulation(model, metadata), examples)
    ranges = ranges_of(source, options.table, [example.rainy for example in examples])
    quantiser = Quantiser(model, ranges, "tensorrt", "int8")
    kept = quantiser.spared
    eight = quantiser.draft(kept)

    def largest(name: str) -> float:
        return max(abs(end) for end in ranges[name])

    variants = [(f"float32, decided on {name}", deciding_on(model, r, largest), True)
                for name, r in ROUNDINGS.items()]  # fmt: skip
    variants += [
        ("int8, decided on what the convolutions made", eight, True),
        ("int8, decided on 8 bits", deciding_on(eight, steps(8), largest), True),
        ("int8, decided by the float32 network", with_winners_of(model, eight), False),
    ]
    print(f"{this_machine('onnxruntime', 'onnx')}; {options.model.name}, {len(judge.examples)} pictures\n")
    print("| network | moved | PSNR to fp32, mean | worst | drop, mean | worst | SSIM drop |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    with progress_line("decisions", total=1.0) as show:
        rows = Rows(model, metadata, judge)
        for number, (title, variant, moved) in enumerate(variants):
            show(number / len(variants), title)
            rows.add(title, variant, moved)


def ranges_of(model: Model, path: Path | None, pictures: Sequence[Pixels]) -> Mapping[str, Range]:
    """Ranges of all tensors: those of the table, or the extremes over ``pictures``."""
    if path is not None:
        table = open_table(path)
        require_for(table, model)
        return table.metadata.ranges
    observer = Observer(model)
    for number, pixels in enumerate(pictures):
        observer.add(pixels, str(number))
    return {name: (seen.low, seen.high) for name, seen in observer.result().seen.items()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--judge", required=True, help="data set with truth")
    parser.add_argument("--judge-count", type=int, default=8, help="pictures of it, evenly spread")
    parser.add_argument("--smallest", action="store_true", help="end within seconds: only a trial run")
    arguments = sys.argv[1:]
    return parser.parse_args([*SMALLEST, *arguments] if "--smallest" in arguments else arguments)


if __name__ == "__main__":
    main()
