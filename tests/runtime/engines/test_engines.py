"""One contract, every backend: a GraNet against PyTorch, and a graph made by hand against arithmetic."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from granet import GraNet, load_checkpoint
from granet.errors import UserError
from runtime import Engine, open_engine
from runtime.artefacts.manifest import sha256_of
from runtime.media.frame import Pixels
from tests.runtime.handmade import METADATA, inverting_file, inverting_model, save, write_manifest

BACKENDS = ("torch", "onnxruntime", "openvino")
ONNX_BACKENDS = ("onnxruntime", "openvino")


def rain(*shape: int, seed: int = 0) -> Pixels:
    """A smooth picture with streaks: noise would show seams and edges less well."""
    rng = np.random.default_rng(seed)
    n, height, width = shape
    y, x = np.mgrid[:height, :width]
    scene = 120 + 70 * np.sin(x / 17 + rng.random()) * np.cos(y / 11)
    frames = scene[None, :, :, None] + np.array([25, 0, -25]) + rng.normal(0, 4, (n, height, width, 3))
    streaks = rng.random((n, height // 8 + 1, width)) > 0.97
    return np.clip(frames + 60 * np.repeat(streaks, 8, axis=1)[:, :height, :, None], 0, 255).astype(np.uint8)


def in_pytorch(model: GraNet, frames: Pixels) -> Pixels:
    """The network on BGR frames, straight from its definition."""
    rainy = torch.from_numpy(np.ascontiguousarray(frames[..., ::-1])).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        clean = model(rainy.contiguous()).clamp(0, 1)
    levels = (clean * 255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).numpy()[..., ::-1])


def assert_close(actual: Pixels, expected: Pixels) -> None:
    """Guided unpooling is discontinuous, so no tight maximum: 60 dB, and 1 value in 10,000 off by two.

    One flipped maximum moves some 15 values (PyTorch in float64 flips as many against float32), which
    is more than that share of a frame as small as these; two flips are let pass.
    """
    difference = np.abs(actual.astype(int) - expected)
    psnr = 20 * np.log10(255) - 10 * np.log10(max(np.mean(difference**2.0), 1e-12))
    assert psnr >= 60
    assert np.count_nonzero(difference > 1) <= max(30, 1e-4 * difference.size)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def network(engines_checkpoint: Path) -> GraNet:
    return load_checkpoint(engines_checkpoint)


@pytest.fixture
def engine(backend: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
    path = request.getfixturevalue("engines_checkpoint" if backend == "torch" else "engines_onnx")
    with open_engine(path, device="cpu", backend=backend) as opened:
        yield opened


class TestGraNet:
    """Every backend, on the real network."""

    @pytest.mark.parametrize("size", [(48, 64), (37, 53), (16, 16), (17, 130)])
    @pytest.mark.parametrize("n", [1, 2])
    def test_agrees_with_pytorch(
        self, engine: Engine, network: GraNet, size: tuple[int, int], n: int
    ) -> None:
        frames = rain(n, *size)
        result = engine.run(frames)
        assert result.shape == frames.shape and result.dtype == np.uint8
        assert_close(result, in_pytorch(network, frames))

    def test_frames_whose_regions_multiply(self, engine: Engine, network: GraNet) -> None:
        """Beyond 512 pixels the region grid grows with the frame."""
        frames = rain(1, 40, 530)
        assert_close(engine.run(frames), in_pytorch(network, frames))

    def test_changes_the_frame(self, engine: Engine) -> None:
        """A network that returned its input could be mistaken for a weak one."""
        frames = rain(1, 48, 64)
        assert np.abs(engine.run(frames).astype(int) - frames).mean() > 2

    def test_the_caller_owns_the_result(self, engine: Engine) -> None:
        frames = rain(1, 48, 64)
        untouched = frames.copy()
        first = engine.run(frames)
        kept = first.copy()
        second = engine.run(rain(1, 48, 64, seed=1))
        np.testing.assert_array_equal(first, kept)
        second[...] = 0
        np.testing.assert_array_equal(engine.run(frames), kept)
        np.testing.assert_array_equal(frames, untouched)

    def test_takes_any_strides_and_read_only_frames(self, engine: Engine) -> None:
        frames = rain(2, 48, 64)
        expected = engine.run(frames)
        reversed_twice = np.ascontiguousarray(frames[..., ::-1])[..., ::-1]
        frames.flags.writeable = False
        np.testing.assert_array_equal(engine.run(frames), expected)
        np.testing.assert_array_equal(engine.run(reversed_twice), expected)

    def test_the_size_may_change_from_call_to_call(self, engine: Engine, network: GraNet) -> None:
        for size in ((48, 64), (64, 48), (48, 64)):
            frames = rain(1, *size)
            assert_close(engine.run(frames), in_pytorch(network, frames))

    def test_describes_itself(self, engine: Engine, backend: str) -> None:
        info = engine.info
        assert (info.backend, info.device, info.precision, info.colour) == (backend, "cpu", "fp32", "bgr")
        assert info.fit.height is None and info.fit.rule.padded_side(481) == 488
        version = __import__(backend).__version__.split("-")[0]
        for part in (backend, version, "cpu", info.model, "fp32"):
            assert part in info.description
        assert "\n" not in info.description

    @pytest.mark.parametrize(
        "frames",
        [
            np.zeros((1, 48, 64, 3), np.float32),
            np.zeros((48, 64, 3), np.uint8),
            np.zeros((1, 48, 64, 4), np.uint8),
            np.zeros((1, 48, 64, 1), np.uint8),
            np.zeros((0, 48, 64, 3), np.uint8),
            np.zeros((1, 15, 64, 3), np.uint8),
            np.zeros((1, 1, 1, 3), np.uint8),
        ],
    )
    def test_refuses_arrays_that_are_not_frames(self, engine: Engine, frames: np.ndarray) -> None:
        with pytest.raises(UserError) as caught:
            engine.run(frames)
        assert "\n" not in str(caught.value)

    def test_closes_twice(self, engine: Engine) -> None:
        engine.close()
        engine.close()
        with pytest.raises(UserError, match="closed: open it again"):
            engine.run(rain(1, 48, 64))


@pytest.fixture(params=ONNX_BACKENDS)
def onnx_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class TestInverter:
    """The backends that run ONNX files, on ``255 - x``: exact even with padding, tiles and batches."""

    @pytest.mark.parametrize("layout", ["frames", "tensor"])
    @pytest.mark.parametrize(
        "sizes",
        [
            {},
            {"height": 48, "width": 64},
            {"height": 64, "width": 32},  # tiles across
            {"height": 16, "width": 24, "batch": 1},
            {"height": 48, "width": 64, "batch": 4},
            {"batch": 2},
        ],
    )
    def test_is_exact(self, tmp_path: Path, onnx_backend: str, layout: str, sizes: dict[str, int]) -> None:
        path = inverting_file(tmp_path / "m.onnx", layout=layout, colour="rgb", **sizes)
        frames = rain(3, 50, 70)
        with open_engine(path, "cpu", onnx_backend) as engine:
            np.testing.assert_array_equal(engine.run(frames), 255 - frames)

    def test_the_host_converts_tensors_and_says_so(self, tmp_path: Path, onnx_backend: str) -> None:
        path = inverting_file(tmp_path / "m.onnx", layout="tensor", colour="rgb")
        with open_engine(path, "cpu", onnx_backend) as engine:
            assert engine.info.colour == "rgb"
            assert "on the host" in engine.info.description

    def test_tensors_beyond_0_and_1_are_clamped(self, tmp_path: Path, onnx_backend: str) -> None:
        """``top - x`` with a top of 1.5 and of 0.5."""
        for top, expected in ((1.5, 255), (0.25, 0)):
            model = inverting_model(layout="tensor", colour="rgb")
            model.graph.initializer[0].float_data[:] = [top]
            with open_engine(save(model, tmp_path / "m.onnx"), "cpu", onnx_backend) as engine:
                assert (engine.run(np.full((1, 16, 16, 3), 100, np.uint8)) == expected).all()

    def test_a_file_changed_after_its_manifest_is_refused(self, tmp_path: Path, onnx_backend: str) -> None:
        path = inverting_file(tmp_path / "m.onnx")
        write_manifest(path, sha256_of(path), METADATA)
        open_engine(path, "cpu", onnx_backend).close()
        inverting_file(path, weights={"psnr": 40.0})
        with pytest.raises(UserError, match="changed after its manifest"):
            open_engine(path, "cpu", onnx_backend)

    @pytest.mark.parametrize("wrong", [{"height": 32}, {"layout": "tensor"}, {"outputs": ["other"]}])
    def test_a_graph_that_its_metadata_does_not_describe(
        self, tmp_path: Path, onnx_backend: str, wrong: dict[str, object]
    ) -> None:
        model = inverting_model()
        del model.metadata_props[:]
        model.metadata_props.extend(inverting_model(**wrong).metadata_props)
        with pytest.raises(UserError, match="does not match its metadata"):
            open_engine(save(model, tmp_path / "m.onnx"), "cpu", onnx_backend)

    def test_a_graph_that_changes_the_size(self, tmp_path: Path, onnx_backend: str) -> None:
        model = inverting_model()
        model.graph.node[0].CopyFrom(
            onnx.helper.make_node("Concat", ["rainy", "rainy"], ["derained"], axis=1)
        )
        model.graph.output[1].type.tensor_type.shape.dim[1].dim_param = "twice"
        path = save(model, tmp_path / "m.onnx")
        with (
            open_engine(path, "cpu", onnx_backend) as engine,
            pytest.raises(UserError, match="export it again"),
        ):
            engine.run(rain(1, 16, 16))

    def test_a_graph_that_fails_gives_one_line(
        self, tmp_path: Path, onnx_backend: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """An operator that no backend has; the reader itself refuses only damaged files."""
        model = inverting_model()
        model.graph.node[0].op_type = "NoSuchOperator"
        with pytest.raises(UserError) as caught:
            open_engine(save(model, tmp_path / "m.onnx"), "cpu", onnx_backend)
        assert "\n" not in str(caught.value) and "m.onnx" in str(caught.value)
        assert capfd.readouterr().out == ""

    @pytest.mark.parametrize("colour", ["bgr", "rgb"])
    def test_frames_go_in_and_come_out_in_the_colour_order_of_the_file(
        self, tmp_path: Path, onnx_backend: str, colour: str
    ) -> None:
        """A graph with a different constant per channel, which exposes a wrong colour order."""
        model = inverting_model(colour=colour)
        top = onnx.helper.make_tensor("top", onnx.TensorProto.UINT8, [3], [255, 200, 150])
        model.graph.initializer[0].CopyFrom(top)
        frames = np.minimum(rain(1, 33, 47), 150)
        with open_engine(save(model, tmp_path / "m.onnx"), "cpu", onnx_backend) as engine:
            assert engine.info.colour == colour
            np.testing.assert_array_equal(engine.run(frames), np.array([255, 200, 150], np.uint8) - frames)


def test_a_checkpoint_runs_in_the_requested_colour_order(engines_checkpoint: Path, network: GraNet) -> None:
    frames = rain(1, 48, 64)
    with open_engine(engines_checkpoint, "cpu", colour="rgb") as engine:
        assert engine.info.colour == "rgb"
        assert_close(engine.run(frames[..., ::-1])[..., ::-1], in_pytorch(network, frames))


class TestDevices:
    """A missing device is an error that says what is missing; there is no fallback."""

    @pytest.mark.parametrize("kind", ["gpu", "npu"])
    def test_openvino_without_the_device_lists_those_it_has(self, tmp_path: Path, kind: str) -> None:
        openvino = pytest.importorskip("openvino")
        if any(name.startswith(kind.upper()) for name in openvino.Core().available_devices):
            pytest.skip(f"has a {kind}")
        with pytest.raises(UserError, match="only CPU") as caught:
            open_engine(inverting_file(tmp_path / "m.onnx"), kind)
        assert "\n" not in str(caught.value)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
    @pytest.mark.parametrize("device", ["cuda", "cuda:3"])
    def test_torch_without_cuda(self, engines_checkpoint: Path, device: str) -> None:
        with pytest.raises(UserError, match="finds no CUDA"):
            open_engine(engines_checkpoint, device)

    @pytest.mark.parametrize(
        ("backend", "device"),
        [
            ("torch", "gpu"),
            ("torch", "npu"),
            ("onnxruntime", "gpu"),
            ("onnxruntime", "npu"),
            ("openvino", "cuda"),
        ],
    )
    def test_devices_that_a_backend_does_not_support(
        self, tmp_path: Path, engines_checkpoint: Path, backend: str, device: str
    ) -> None:
        path = engines_checkpoint if backend == "torch" else inverting_file(tmp_path / "m.onnx")
        with pytest.raises(UserError, match=f"does not support device {device}"):
            open_engine(path, device, backend)


def test_openvino_compiles_once_for_the_sizes_of_several_cameras(
    engines_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each switch cost a second when three cameras of different sizes shared the engine."""
    from runtime.engines.openvino import OpenVinoEngine

    compiled: list[tuple[int, ...]] = []
    real = OpenVinoEngine._compiled
    monkeypatch.setattr(
        OpenVinoEngine, "_compiled", lambda engine, shape: compiled.append(shape) or real(engine, shape)
    )
    with open_engine(engines_onnx, "cpu", "openvino") as engine:
        for _ in range(3):
            for count, height, width in ((1, 48, 64), (2, 48, 64), (1, 64, 48), (1, 96, 64)):
                engine.run(np.zeros((count, height, width, 3), np.uint8))
        assert len(compiled) == len(set(compiled)) == 4
        monkeypatch.setattr("runtime.engines.openvino.PIXELS_KEPT", 0)
        for height, width in ((112, 64), (128, 64), (48, 64)):
            engine.run(np.zeros((1, height, width, 3), np.uint8))
        assert len(compiled) == 7  # large frames keep two
