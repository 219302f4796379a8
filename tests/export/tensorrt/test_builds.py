"""A real TensorRT parser and builder (TensorRT-RTX needs no GPU to build) on every variant we export."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from export.onnx.export import ExportOptions, build_model
from export.tensorrt.build import BuildOptions, BuiltEngine, build_engine, check_options, parse_layers
from export.tensorrt.preflight import SUPPORTED, check_model
from export.tensorrt.request import profile_of
from granet import GraNet, GraNetConfig
from granet.app.console import UsageError
from granet.errors import UserError
from granet.size_rule import SizeRule
from runtime.artefacts.artefact import Artefact, Model
from runtime.tensorrt.flavour import Flavour, find_flavour
from runtime.tensorrt.log import collected
from runtime.tensorrt.optimisation_profile import Profile
from tests.export.tensorrt.quantised import quantised
from tests.runtime.handmade import METADATA

trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this platform")

SMALL = GraNetConfig(channels=8, growth=4, dense_layers=2, nonlocal_channels=4, fine_blocks=2, key_stride=2)
FIXED = Profile.fixed(1, 32, 48)
RANGE = Profile((1, 16, 16), (1, 32, 48), (2, 64, 96))


@pytest.fixture(scope="module")
def rtx() -> Flavour:
    return find_flavour("tensorrt-rtx")


@pytest.fixture(scope="module")
def models() -> dict[tuple[str, bool], onnx.ModelProto]:
    """(precision, dynamic) -> a small network, frames in and out."""
    torch.manual_seed(0)
    network = GraNet(SMALL).eval()
    made: dict[tuple[str, bool], onnx.ModelProto] = {}
    for precision in ("fp32", "fp16"):
        for size in ((32, 48), None):
            options = ExportOptions(size=size, precision=precision)  # type: ignore[arg-type]
            made[precision, size is None] = build_model(network, options)
    for precision in ("int8", "fp8"):
        for dynamic in (False, True):
            made[precision, dynamic] = quantised(made["fp16", dynamic], precision)
    return made


def build(
    flavour: Flavour,
    model: onnx.ModelProto,
    profile: Profile,
    options: BuildOptions | None = None,
    layout: Any = "frames",
    **more: Any,
) -> BuiltEngine:
    file = small_file(model.SerializeToString(), layout)
    return build_engine(flavour, file, profile, options or BuildOptions(), **more)


def small_file(content: bytes, layout: Any = "frames") -> Model:
    return Artefact(Path("small.onnx"), content, replace(METADATA, layout=layout))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "fp8"])
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_each_precision_builds(
    rtx: Flavour, models: dict[tuple[str, bool], onnx.ModelProto], precision: str, dynamic: bool
) -> None:
    model = models[precision, dynamic]
    assert check_model(model) == []
    built = build(rtx, model, RANGE if dynamic else FIXED)
    assert len(built.plan) > 100_000
    assert built.warnings == ()
    assert built.timings is None


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(("preset", "dynamic"), [("lite", False), ("lite", True), ("base", False)])
def test_the_presets_on_folded_frames_build(rtx: Flavour, preset: str, dynamic: bool, precision: Any) -> None:
    """With all kinds of layers and in full width, and two instead of four of each."""
    network = GraNet(replace(GraNetConfig.preset(preset), dense_layers=2, fine_blocks=2)).eval()
    model = build_model(network, ExportOptions(size=None if dynamic else (32, 48), precision=precision))
    assert check_model(model) == []
    assert build(rtx, model, RANGE if dynamic else FIXED).warnings == ()


def test_tensors_and_stages_build(rtx: Flavour) -> None:
    options = ExportOptions(size=(32, 48), layout="tensor", stages=True)
    assert build(rtx, build_model(GraNet(SMALL).eval(), options), FIXED, layout="tensor").plan


@pytest.mark.parametrize("opset", [18, 24])
def test_the_ends_of_the_opset_range_build(rtx: Flavour, opset: int) -> None:
    model = build_model(GraNet(SMALL).eval(), ExportOptions(size=(32, 48), opset=opset))
    assert check_model(model, rtx.newest_opset) == []
    assert build(rtx, model, FIXED).plan


def test_the_papers_network_builds_with_its_attention_cut_in_chunks(rtx: Flavour) -> None:
    network = GraNet(replace(GraNetConfig.paper(), dense_layers=2, fine_blocks=2)).eval()
    model = build_model(network, ExportOptions(size=(320, 480), precision="fp16"))
    assert sum(node.op_type == "Softmax" for node in model.graph.node) > 3
    assert build(rtx, model, Profile.fixed(1, 320, 480)).plan


def test_one_size_makes_a_static_engine_of_a_dynamic_model(
    rtx: Flavour, models: dict[tuple[str, bool], onnx.ModelProto]
) -> None:
    """Without a profile TensorRT refuses a dynamic input: that this builds shows that none is left."""
    assert build(rtx, models["fp32", True], FIXED).plan


def test_each_compute_capability_is_for_itself(
    rtx: Flavour, models: dict[tuple[str, bool], onnx.ModelProto]
) -> None:
    plans = {
        names: build(rtx, models["fp16", False], FIXED, BuildOptions(capabilities=names)).plan
        for names in ((), ("8.6",), ("8.6", "12.0"))
    }
    assert len(set(plans.values())) == len(plans)


def test_turing_has_no_single_precision_and_the_user_hears_which_node(
    rtx: Flavour, models: dict[tuple[str, bool], onnx.ModelProto]
) -> None:
    with pytest.raises(UserError, match=r"cannot build it: .*'node_MatMul\w*'.*FP32 GEMM is not supported"):
        build(rtx, models["fp32", False], FIXED, BuildOptions(capabilities=("7.5",)))


def test_too_little_workspace_is_reported_in_tensorrts_words(
    rtx: Flavour, models: dict[tuple[str, bool], onnx.ModelProto]
) -> None:
    with pytest.raises(UserError, match=r"small\.onnx: TensorRT-RTX .* cannot build it: .*workspace"):
        build(rtx, models["fp16", False], FIXED, BuildOptions(workspace_gib=1e-6))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (BuildOptions(capabilities=("9.0",)), "does not support compute capability 9.0: choose from 7.5"),
        (BuildOptions(dla=0), "--dla 0 with --flavour tensorrt-rtx"),
        (BuildOptions(optimisation_level=5), "--optimisation-level 5 with --flavour tensorrt-rtx"),
        (BuildOptions(timing_cache=Path("timings.cache")), "--timing-cache with --flavour tensorrt-rtx"),
    ],
)
def test_an_option_that_the_flavour_lacks_is_refused(rtx: Flavour, options: BuildOptions, says: str) -> None:
    with pytest.raises(UserError, match=says):
        check_options(rtx, options)


def test_a_level_that_there_is_not_is_refused() -> None:
    with pytest.raises(UserError, match="it is 0 to 5"):
        check_options(Flavour("tensorrt", "10.16.1.11", None), BuildOptions(optimisation_level=6))


class Watched:
    """Something of TensorRT's that is used through this, so that a test sees how."""

    def __init__(self, inner: Any, **instead: Any) -> None:
        self._inner = inner
        vars(self).update(instead)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_no_engine_is_built_with_tf32(
    models: dict[tuple[str, bool], onnx.ModelProto], precision: str
) -> None:
    """TensorRT's default is on, and keeps 10 of float32's 23 bits."""
    seen: list[Any] = []
    config = trt.Builder(trt.Logger()).create_builder_config()
    assert config.get_flag(trt.BuilderFlag.TF32)  # or nothing is shown below

    def builder(logger: Any) -> Watched:
        inner = trt.Builder(logger)

        def build_serialized_network(network: Any, config: Any) -> Any:
            seen.append(config.get_flag(trt.BuilderFlag.TF32))
            return inner.build_serialized_network(network, config)

        return Watched(inner, build_serialized_network=build_serialized_network)

    flavour = Flavour("tensorrt-rtx", trt.__version__, Watched(trt, Builder=builder))
    assert build(flavour, models[precision, False], FIXED).plan
    assert seen == [False]


def test_tensorrt_builds_for_no_other_gpu() -> None:
    with pytest.raises(UsageError, match=r"--compute-capability 8\.6 with --flavour tensorrt: "):
        check_options(Flavour("tensorrt", "10.16.1.11", None), BuildOptions(capabilities=("8.6",)))


def test_a_parser_error_names_the_node(rtx: Flavour) -> None:
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("rainy", [1, 2, 4, 4]), ("out", [1, 2, 8, 8]))
    ]
    nodes = [
        helper.make_node("Relu", ["rainy"], ["r"], "the_relu"),
        helper.make_node("BitShift", ["r", "r"], ["out"], "the_shift", direction="LEFT"),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", values[:1], values[1:]), opset_imports=[helper.make_opsetid("", 20)]
    )
    with pytest.raises(UserError, match=r"cannot parse node the_shift \(BitShift\): "):
        build(rtx, model, FIXED, layout="tensor")


def test_bytes_that_are_no_model_are_a_users_error(rtx: Flavour) -> None:
    with pytest.raises(UserError, match=r"small\.onnx: .* cannot parse the file"):
        build_engine(rtx, small_file(b"not a model"), FIXED, BuildOptions())


def test_progress_goes_up_to_the_end(rtx: Flavour, models: dict[tuple[str, bool], onnx.ModelProto]) -> None:
    told: list[float] = []
    build(rtx, models["fp32", False], FIXED, progress=lambda share, *_: told.append(share))
    assert told == sorted(told)
    assert told[0] == 0 and 0.8 < told[-1] <= 1 and len(told) > 10


def test_an_interruption_ends_the_build(
    rtx: Flavour, models: dict[tuple[str, bool], onnx.ModelProto]
) -> None:
    told: list[float] = []

    def interrupt(share: float, total: float | None, doing: str) -> None:
        told.append(share)
        if share > 0.2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(rtx, models["fp32", True], RANGE, progress=interrupt)
    assert max(told) < 0.8


def test_timings_are_read_and_given_back(
    models: dict[tuple[str, bool], onnx.ModelProto], tmp_path: Path
) -> None:
    """RTX's bindings have the calls of TensorRT's timing cache, which do nothing there but fail alike."""
    as_tensorrt = Flavour("tensorrt", "10.16.1.11", trt)
    path = tmp_path / "timings.cache"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        first = build(as_tensorrt, models["fp32", False], FIXED, BuildOptions(timing_cache=path))
        assert first.timings
        path.write_bytes(first.timings)
        assert build(as_tensorrt, models["fp32", False], FIXED, BuildOptions(timing_cache=path)).timings


def test_a_dla_core_that_is_not_there_is_refused(
    models: dict[tuple[str, bool], onnx.ModelProto],
) -> None:
    as_tensorrt = Flavour("tensorrt", "10.16.1.11", trt)
    with pytest.raises(UserError, match="--dla 0: this machine has no DLA"):
        build(as_tensorrt, models["fp16", False], FIXED, BuildOptions(dla=0))


def test_a_dla_build_counts_the_layers_that_stay(
    models: dict[tuple[str, bool], onnx.ModelProto], monkeypatch: pytest.MonkeyPatch
) -> None:
    """RTX's bindings take the calls for DLA and put no layer there."""
    monkeypatch.setattr(trt.Builder, "num_DLA_cores", 1)
    as_tensorrt = Flavour("tensorrt", "10.16.1.11", trt)
    built = build(as_tensorrt, models["fp16", False], FIXED, BuildOptions(dla=0))
    assert built.dla_layers is not None
    on_dla, layers = built.dla_layers
    assert on_dla == 0 and layers > 50


@pytest.mark.parametrize(
    ("sizes", "batch", "expected"),
    [
        ([(480, 640)], 1, Profile.fixed(1, 480, 640)),
        ([(480, 640)], 4, Profile((1, 480, 640), (4, 480, 640), (4, 480, 640))),
        ([(475, 633), (480, 640)], 1, Profile.fixed(1, 480, 640)),  # one size, once padded
        ([(1080, 1920), (480, 640)], 1, Profile((1, 480, 640), (1, 1080, 1920), (1, 1080, 1920))),
        ([(240, 320), (1080, 1920), (480, 640)], 2, Profile((1, 240, 320), (2, 480, 640), (2, 1080, 1920))),
        ([(640, 480), (480, 640)], 1, Profile((1, 480, 480), (1, 640, 480), (1, 640, 640))),
    ],
)
def test_profiles_of_named_sizes(sizes: list[tuple[int, int]], batch: int, expected: Profile) -> None:
    assert profile_of(sizes, batch, SizeRule()) == expected


def test_the_parser_takes_every_operator_of_our_list(rtx: Flavour) -> None:
    with collected(rtx) as (logger, _):
        network = trt.Builder(logger).create_network(rtx.network_flags)
        parser = trt.OnnxParser(network, logger)
        assert [name for name in sorted(SUPPORTED) if not parser.supports_operator(name)] == []
        assert not parser.supports_operator("MaxUnpool")


def test_the_check_would_notice_pytorchs_own_translation() -> None:
    """The exporter's default for max_unpool2d is not what we build: our own is needed."""

    class PoolUnpool(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            pooled, indices = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
            return torch.nn.functional.max_unpool2d(pooled, indices, [2, 2])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(PoolUnpool(), (torch.zeros(1, 2, 8, 8),), dynamo=True, verbose=False)
    assert program is not None
    found = {finding.what for finding in check_model(program.model_proto)}
    assert found == {"TensorRT's MaxPool has no output Indices"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"Layers": [{"Name": "conv1", "Outputs": [{"Name": "a", "Format/Datatype": "Half"}]}, '
            '{"Name": "cast", "Outputs": [{"Format/Datatype": "Float"}, {"Format/Datatype": "Int8"}]}]}',
            {"conv1": "Half", "cast": "Float, Int8"},
        ),
        ('{"Layers": ["conv1", "cast"]}', None),  # names only
        ("", None),
        ("[]", None),
    ],
)
def test_the_inspectors_layers_are_parsed(text: str, expected: dict[str, str] | None) -> None:
    assert parse_layers(text) == expected
