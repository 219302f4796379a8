"""The arithmetic is PyTorch's own count; bytes and floors are counted by hand on small graphs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from export.cli import app
from export.onnx.export import ExportOptions, build_model
from export.onnx.shapes import GraphShapes
from export.reports.gpus import GPUS, GpuPeaks, find_gpu, own_gpu
from export.reports.roofline import LayerCost, Roofline, roofline, shares
from granet import GraNet, GraNetConfig, load_checkpoint
from granet.app.console import run_app
from granet.errors import UserError
from runtime.artefacts.manifest import sha256_of
from runtime.artefacts.onnx_file import read_metadata
from runtime.models.packaged import FLOAT32
from runtime.tensorrt.record import write_record
from tests.runtime.handmade import METADATA, inverting_file
from tests.runtime.tensorrt.engine_files import record

GPU = GpuPeaks("test", {"fp32": 1e12, "fp16": 2e12, "int8": 4e12}, 1e9, "a test")


@pytest.mark.parametrize(("size", "n"), [((48, 64), 1), ((40, 56), 2), ((64, 528), 1)])
def test_the_arithmetic_is_what_pytorch_counts(
    engines_checkpoint: Path, engines_onnx: Path, size: tuple[int, int], n: int
) -> None:
    """Exactly, in a dynamic graph too; the third size has two regions to the side."""
    network = load_checkpoint(engines_checkpoint).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        network(torch.zeros(n, 3, *size))
    line = roofline(engines_onnx, read_metadata(engines_onnx), size, n)
    assert line.flop == counter.get_total_flops() > 1e6
    assert (line.size, line.batch) == (size, n)


class Moved(TorchDispatchMode):
    """Bytes that convolutions and matrix products read and write, but for scores of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        tensors = [each for each in args[:3] if isinstance(each, torch.Tensor)] + [result]
        if function._schema.name == "aten::bmm":  # of the three the scores are the largest
            tensors.sort(key=torch.Tensor.numel)
            tensors.pop()
        if function._schema.name in ("aten::convolution", "aten::bmm"):
            self.bytes += sum(each.numel() * each.element_size() for each in tensors)
        return result


@pytest.mark.parametrize("size", [(320, 480), (1080, 1920)])
def test_of_the_packaged_network_all_is_what_pytorch_reads_and_writes(size: tuple[int, int]) -> None:
    network = load_checkpoint(FLOAT32.with_suffix(".safetensors")).eval().to("meta")
    rainy = torch.zeros(1, 3, *size, device="meta")
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(rainy)
    with torch.no_grad(), Moved() as moved:
        network(rainy)
    line = roofline(FLOAT32, read_metadata(FLOAT32), size)
    frames = 2 * 3 * line.size[0] * line.size[1]  # padded by the size rule
    assert line.bytes == moved.bytes + frames
    assert line.flop == counter.get_total_flops()


@pytest.mark.parametrize("preset", ["lite", "base"])
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_of_folded_networks_too(preset: str, dynamic: bool, tmp_path: Path) -> None:
    """Folding and unfolding move pixels and multiply nothing; 544 pixels need two grids."""
    size, path = (48, 544), tmp_path / "m.onnx"
    network = GraNet(replace(GraNetConfig.preset(preset), dense_layers=2, fine_blocks=2)).eval()
    path.write_bytes(
        build_model(
            network, ExportOptions(size=None if dynamic else size, layout="tensor")
        ).SerializeToString()
    )
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.to("meta")(torch.zeros(1, 3, *size, device="meta"))
    changes = {"layout": "tensor", "colour": "rgb", "multiple": 16, "extent": 512}
    metadata = METADATA.__class__(**{**METADATA.__dict__, **changes})
    line = roofline(path, metadata, size)
    assert line.flop == counter.get_total_flops() > 1e8
    assert line.weight_bytes == pytest.approx(4 * sum(p.numel() for p in network.parameters()), rel=0.02)


def test_weights_are_those_of_the_network(engines_checkpoint: Path, engines_onnx: Path) -> None:
    line = roofline(engines_onnx, read_metadata(engines_onnx), (48, 64))
    parameters = sum(p.numel() for p in load_checkpoint(engines_checkpoint).parameters())
    assert line.weight_bytes == pytest.approx(4 * parameters, rel=0.02)


def graph(nodes: list[Any], initializers: list[Any], shape: list[int], kind: int) -> onnx.ModelProto:
    made = helper.make_graph(
        nodes,
        "by_hand",
        [helper.make_tensor_value_info("rainy", kind, shape)],
        [helper.make_tensor_value_info("derained", kind, None)],
        initializer=initializers,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def weights(name: str, kind: int, *shape: int) -> TensorProto:
    size = int(torch.tensor(shape).prod())
    return helper.make_tensor(
        name, kind, shape, bytes(size * helper.tensor_dtype_to_np_dtype(kind).itemsize), True
    )


def counted(tmp_path: Path, model: onnx.ModelProto) -> Roofline:
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    metadata = METADATA.__class__(**{**METADATA.__dict__, "layout": "tensor", "colour": "rgb"})
    return roofline(path, metadata, (16, 24))


@pytest.mark.parametrize(
    ("kind", "size", "name"), [(TensorProto.FLOAT, 4, "fp32"), (TensorProto.FLOAT16, 2, "fp16")]
)
def test_a_convolution_by_hand(tmp_path: Path, kind: int, size: int, name: str) -> None:
    """3 -> 8 channels, 3x3, stride 2, on 16x24: 12x8 places of 8 sums of 27 products."""
    node = helper.make_node(
        "Conv", ["rainy", "w", "b"], ["x"], kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]
    )
    relu = helper.make_node("Relu", ["x"], ["derained"])
    model = graph([node, relu], [weights("w", kind, 8, 3, 3, 3), weights("b", kind, 8)], [1, 3, 16, 24], kind)
    line = counted(tmp_path, model)
    (layer,) = line.layers
    assert layer.flop == 2 * 8 * 8 * 12 * 27
    assert layer.bytes == size * (3 * 16 * 24 + 8 * 27 + 8 + 8 * 8 * 12)
    assert (layer.precision, line.weight_bytes) == (name, size * (8 * 27 + 8))
    assert line.io_bytes == size * (3 * 16 * 24 + 8 * 8 * 12)


def test_int8_layers_move_a_quarter_and_use_the_peak_of_int8(tmp_path: Path) -> None:
    """Q/DQ before a convolution, a quantised weight, and a Q after its ReLU."""
    f, i = TensorProto.FLOAT, TensorProto.INT8
    scale = helper.make_tensor("s", f, [], [0.1])
    zero = helper.make_tensor("z", i, [], [0])
    nodes = [
        helper.make_node("QuantizeLinear", ["rainy", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["dq"]),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["dw"]),
        helper.make_node("Conv", ["dq", "dw"], ["x"], kernel_shape=[1, 1]),
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("QuantizeLinear", ["y", "s", "z"], ["yq"]),
        helper.make_node("DequantizeLinear", ["yq", "s", "z"], ["derained"]),
    ]
    line = counted(tmp_path, graph(nodes, [scale, zero, weights("w", i, 8, 3, 1, 1)], [1, 3, 16, 24], f))
    (layer,) = line.layers
    assert layer.precision == "int8" and line.by_precision() == {"int8": 1.0}
    assert layer.bytes == 3 * 16 * 24 + 8 * 3 + 8 * 16 * 24
    assert line.weight_bytes == 24


def test_the_scores_of_attention_are_not_moved(tmp_path: Path) -> None:
    f = TensorProto.FLOAT
    nodes = [
        helper.make_node("Reshape", ["rainy", "flat"], ["q"]),
        helper.make_node("Transpose", ["q"], ["k"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "k"], ["scores"]),
        helper.make_node("Div", ["scores", "root"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "q"], ["derained"]),
    ]
    flat = helper.make_tensor("flat", TensorProto.INT64, [3], [1, 384, 3])
    line = counted(
        tmp_path, graph(nodes, [flat, helper.make_tensor("root", f, [], [1.7])], [1, 3, 16, 24], f)
    )
    assert [layer.flop for layer in line.layers] == [2 * 384 * 384 * 3] * 2
    assert [layer.bytes for layer in line.layers] == [2 * 4 * 384 * 3] * 2


def test_the_floor_adds_what_each_layer_takes_at_least() -> None:
    compute = LayerCost("a", flop=10**12, bytes=1e6, precision="fp32")  # 1 s against 1 ms
    memory = LayerCost("b", flop=10**6, bytes=2e9, precision="fp16")  # 2 s of bytes
    line = Roofline((16, 24), 1, (compute, memory), io_bytes=1e9, weight_bytes=0)
    assert line.floor(GPU) == pytest.approx(1 + 2 + 1)
    assert line.compute_share(GPU) == pytest.approx(1 / 4)
    assert shares(line, GPU, {"engine": 8000.0}) == {"engine": pytest.approx(0.5)}


def test_shapes_that_a_graph_computes_are_found(engines_onnx: Path) -> None:
    model = onnx.load(engines_onnx)
    found = GraphShapes(model, {model.graph.input[0].name: (2, 64, 528, 3)})
    assert found.shape(model.graph.output[0].name) == (2, 64, 528, 3)


ORIN_DENSE_INT8 = {
    "orin-nano-4gb": 10, "orin-nano": 20, "orin-nano-4gb-super": 17, "orin-nano-super": 33.5,
    "orin-nx-8gb": 25, "orin-nx": 30, "agx-orin-32gb": 54, "agx-orin": 85,
}  # fmt: skip
"""TOPS of the GPU alone, half of the sparse ones, as NVIDIA states them for each module."""

ADA_AI_TOPS = {
    "rtx4060": 242, "rtx4060-ti": 353, "rtx4070": 466, "rtx4070-super": 568, "rtx4070-ti": 641,
    "rtx4070-ti-super": 706, "rtx4080": 780, "rtx4080-super": 836, "rtx4090": 1321,
}  # fmt: skip
"""NVIDIA's "AI TOPS" of RTX 40: eight bits with sparsity, twice the dense rate."""

BLACKWELL_AI_TOPS = {
    "rtx5050": 421, "rtx5060": 614, "rtx5060-ti": 759, "rtx5070": 988, "rtx5070-ti": 1406, "rtx5080": 1801,
    "rtx5090": 3352,
}  # fmt: skip
"""NVIDIA's "AI TOPS" of RTX 50: float4 with sparsity, four times the dense rate of eight bits."""


class TestGpus:
    @pytest.mark.parametrize(
        ("stated", "times"), [(ORIN_DENSE_INT8, 1), (ADA_AI_TOPS, 2), (BLACKWELL_AI_TOPS, 4)]
    )
    def test_they_come_to_the_tops_that_nvidia_states(self, stated: dict[str, float], times: int) -> None:
        for name, tops in stated.items():
            assert times * find_gpu(name).flops("int8") / 1e12 == pytest.approx(tops, rel=0.03), name

    def test_thor_comes_to_its_float4(self) -> None:
        # With sparsity, four times the dense rate of float8.
        for name, tera in (("thor", 2070), ("thor-t4000", 1200)):
            assert 4 * find_gpu(name).flops("fp8") / 1e12 == pytest.approx(tera, rel=0.01)
            assert find_gpu(name).bandwidth == 273e9

    def test_every_series_that_the_documentation_names_is_there(self) -> None:
        for series in ("Orin Nano", "Orin NX", "AGX Orin", "Thor", "RTX 40", "RTX 50"):
            assert any(series in gpu.name for gpu in GPUS.values()), series

    @pytest.mark.parametrize("name", ["RTX 4070 Ti", "rtx4070ti", "rtx4070-ti", "RTX_4070-TI"])
    def test_a_name_is_found_as_people_write_it(self, name: str) -> None:
        assert find_gpu(name).name == "GeForce RTX 4070 Ti"

    def test_peaks_grow_as_precision_falls(self) -> None:
        for gpu in GPUS.values():
            assert gpu.flops("fp32") < gpu.flops("fp16") < gpu.flops("int8")
            assert gpu.flops("fp8") >= gpu.flops("fp16") and 1e10 < gpu.bandwidth < 1e13

    def test_each_names_the_document_of_nvidia_and_whether_it_was_compared_with_it(self) -> None:
        for name, gpu in GPUS.items():
            assert gpu.source.startswith("NVIDIA ") and "compared with" in gpu.source, name

    def test_unknown_ones_are_listed(self) -> None:
        with pytest.raises(UserError, match=r"'orin-nona'; the nearest .*orin-nano.*--gflops"):
            find_gpu("orin-nona")

    def test_a_device_of_ones_own(self) -> None:
        gpu = own_gpu(100, 20)
        assert (gpu.flops("int8"), gpu.bandwidth) == (1e11, 2e10)


class TestCommand:
    def test_a_table_and_the_share_of_a_measured_time(
        self, engines_onnx: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        options = ["--size", "64x48", "--gflops", "1", "--bandwidth", "1", "--ms", "1000"]
        assert run_app(app, ["roofline", str(engines_onnx), *options]) == 0
        out = capsys.readouterr().out
        assert "64x48" in out and "of the floor's speed" in out and "1 GFLOP/s and 1 GB/s" in out

    def test_json_for_every_size_and_gpu(
        self, engines_onnx: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["roofline", str(engines_onnx), "--size", "64x48", "--size", "100x50", "--json"]
        assert run_app(app, arguments) == 0
        values = json.loads(capsys.readouterr().out)
        assert [each["size"] for each in values["sizes"]] == [[48, 64], [56, 104]]  # padded by its rule
        assert len(values["sizes"][0]["floors"]) == len(GPUS)

    def test_the_engines_of_a_benchmark(
        self, engines_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bench = tmp_path / "bench.json"
        result = {"backend": "tensorrt", "model": "best.engine", "ms": {"p50": 2.5}}
        bench.write_text(json.dumps({"size": [48, 64], "results": [result]}))
        arguments = ["roofline", str(engines_onnx), "--bench", str(bench), "--gpu", "h100", "--json"]
        assert run_app(app, arguments) == 0
        values = json.loads(capsys.readouterr().out)
        (floor,) = values["sizes"][0]["floors"]
        assert values["shares"] == {"tensorrt best.engine": pytest.approx(floor["ms"] / 2.5, rel=0.02)}

    def test_an_engine_is_counted_by_the_model_that_it_was_built_from(
        self, engines_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "best.onnx"
        path.write_bytes(engines_onnx.read_bytes())
        engine = tmp_path / "best.engine"
        write_record(engine, record(onnx="best.onnx", onnx_sha256=sha256_of(path)))
        arguments = ["roofline", str(engine), "--size", "64x48", "--gpu", "t4"]
        assert run_app(app, arguments) == 0
        assert f"T4: figures of {GPUS['t4'].source}" in " ".join(capsys.readouterr().out.split())
        path.write_bytes(path.read_bytes() + b"\0")
        assert run_app(app, arguments) == 1
        path.unlink()
        assert run_app(app, arguments) == 1
        err = capsys.readouterr().err
        assert "is not the ONNX model that it was built from" in err and "is not beside it" in err

    @pytest.mark.parametrize(
        ("options", "status", "says"),
        [
            ([], 1, "name one with --size"),
            (["--size", "64"], 2, "not a size"),
            (["--size", "64x48", "--gpu", "voodoo2"], 2, "no figures for a GPU"),
            (["--size", "64x48", "--gflops", "1"], 2, "give --gflops and --bandwidth"),
            (["--size", "64x48", "--ms", "3"], 2, "--gpu NAME"),
            (["--size", "64x48", "--size", "32x32", "--gpu", "t4", "--ms", "3"], 2, "one --size"),
            (["--gpu", "t4", "--bench", "none.json"], 1, "cannot be read"),
        ],
    )
    def test_mistakes_get_one_line(
        self,
        engines_onnx: Path,
        capsys: pytest.CaptureFixture[str],
        options: list[str],
        status: int,
        says: str,
    ) -> None:
        assert run_app(app, ["roofline", str(engines_onnx), *options]) == status
        err = capsys.readouterr().err.strip()
        assert says in err and "\n" not in err

    def test_a_static_model_has_one_size(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = inverting_file(tmp_path / "m.onnx", height=48, width=64)
        assert run_app(app, ["roofline", str(path), "--size", "640x480"]) == 1
        assert "takes only 64x48: omit --size" in capsys.readouterr().err

    def test_a_damaged_benchmark(
        self, engines_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bench = tmp_path / "bench.json"
        for content, reason in (
            ("{", "it is not valid JSON: input data was truncated"),
            ("{}", "size is missing"),
            ('{"size": 1, "results": []}', "size: expected a list, got an integer"),
            ('{"size": [0, 64], "results": []}', "size[0]: expected an integer of at least 1"),
            (
                '{"size": [48, 64], "results": [{"model": 1}]}',
                "results[0].model: expected a string, got an integer",
            ),
            ('{"results": [' + "[" * 100_000, "results[0]: expected a JSON object, got a list"),
            ('{"machine": ' + "[" * 100_000, "it is not valid JSON: nested too deeply"),
        ):
            bench.write_text(content)
            assert run_app(app, ["roofline", str(engines_onnx), "--bench", str(bench), "--gpu", "t4"]) == 1
            assert capsys.readouterr().err == (
                f"error: {bench}: not what granet-export bench --json prints ({reason})\n"
            )
