"""Built and run on a GPU: the pixels, the sizes, CUDA graphs, memory over 10,000 frames, and refusals."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.onnx.checkpoint_file import opened_checkpoint
from export.reports.parity import Comparison, check_parity
from granet.app.progress import no_progress
from granet.errors import UserError
from runtime import open_engine
from runtime.checks.parity import TRAINED, ParityReport
from runtime.checks.parity_cases import synthetic_rain
from runtime.engines.device import Device
from runtime.media.frame import Pixels
from runtime.rebuild import open_or_rebuild
from runtime.tensorrt.cuda.base import Gpu
from runtime.tensorrt.cuda.open import PACKAGES, open_cuda
from runtime.tensorrt.engine import TensorRtEngine
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.private_cache import cache_directory
from runtime.tensorrt.record import read_record, write_record
from tests.gpu.conftest import CHECKPOINT

pytestmark = pytest.mark.gpu

MIB = 1 << 20
CUDA = Device.parse("cuda")


def rain(height: int, width: int, count: int = 3) -> list[Pixels]:
    return [case.frames for case in synthetic_rain((height, width), count=count)]


def measured(engine: Path, images: Path | None, backend: str = "tensorrt") -> ParityReport:
    """The parity on the GPU, in the budget that a trained network is expected to keep."""
    on = Comparison(images, backend=backend, device="cuda")
    with opened_checkpoint(CHECKPOINT) as checkpoint:
        return check_parity(checkpoint, engine, on, TRAINED.__getitem__, no_progress)


def resident() -> int:
    """Bytes of host memory that this process has now."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("host memory is read from /proc")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("shapes", ["static", "dynamic"])
def test_an_engine_is_within_its_budget_of_pytorch_on_rain(
    engines: Path, rain: Path, precision: str, shapes: str
) -> None:
    """All pictures, in the budget of its precision; the dynamic one at each picture's own size."""
    path = engines / f"{precision}-{shapes}.engine"
    report = measured(path, rain)
    assert report.misses() == []


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_drawn_rain_and_the_hard_cases(engines: Path, precision: str) -> None:
    for shapes in ("static", "dynamic"):
        path = engines / f"{precision}-{shapes}.engine"
        report = measured(path, None)
        assert report.misses() == []


def test_sizes_change_from_frame_to_frame(engines: Path) -> None:
    """Each result is that of an engine that sees no other size, to the bit where kernels stay the same."""
    sizes = [(480, 640), (96, 128), (331, 517), (480, 640), (120, 160), (96, 128)]
    with open_engine(engines / "fp32-dynamic.engine") as engine:
        mixed = [engine.run(rain(*size, count=1)[0]) for size in sizes]
    for size, result in zip(sizes, mixed, strict=True):
        with open_engine(engines / "fp32-dynamic.engine") as engine:
            alone = engine.run(rain(*size, count=1)[0])
        assert np.mean(np.abs(alone.astype(int) - result) > 1) < 1e-3


def test_sizes_outside_the_profile_get_the_range(engines: Path) -> None:
    with open_engine(engines / "fp32-dynamic.engine") as engine:
        with pytest.raises(UserError, match="640x512"):
            engine.run(rain(1080, 1920, count=1)[0])
        assert engine.run(rain(96, 128, count=1)[0]).any()  # and goes on


def test_batches_beyond_the_profile(engines: Path) -> None:
    frames = np.concatenate(rain(96, 128, count=5))
    with open_engine(engines / "fp32-dynamic.engine") as engine:
        together = engine.run(frames)
        single = np.concatenate([engine.run(frame[None]) for frame in frames])
    assert np.mean(np.abs(together.astype(int) - single) > 1) < 1e-3


@pytest.mark.parametrize("name", ["fp32-static", "fp16-static", "fp16-dynamic"])
def test_cuda_graphs_change_no_pixel(engines: Path, flavour: Flavour, name: str) -> None:
    """But for TensorRT-RTX with sizes that change: its first frames run in kernels for any size."""
    frames = rain(320, 480)
    results = []
    for graphs in (True, False):
        with TensorRtEngine(engines / f"{name}.engine", CUDA, graphs=graphs) as engine:
            results.append([engine.run(frame) for frame in frames for _ in range(4)])
    if flavour.is_rtx and "dynamic" in name:
        different = np.abs(np.array(results[0], int) - np.array(results[1], int))
        assert np.mean(different > 1) < 1e-3
    else:
        np.testing.assert_array_equal(results[0], results[1])


def test_frames_of_several_threads_do_not_mix(engines: Path) -> None:
    frames = rain(320, 480) * 40
    with open_engine(engines / "fp16-static.engine") as engine:
        expected = {id(frame): engine.run(frame) for frame in frames[:3]}
        with ThreadPoolExecutor(engine.concurrency) as pool:
            for frame, result in zip(frames, pool.map(engine.run, frames), strict=True):
                np.testing.assert_array_equal(result, expected[id(frame)])


@pytest.mark.parametrize("package", PACKAGES)
def test_both_packages_give_the_same_pixels(engines: Path, package: str) -> None:
    def opened(index: int) -> Any:
        try:
            return open_cuda(index, package)
        except UserError as error:
            pytest.skip(str(error))

    (frame,) = rain(320, 480, count=1)
    path = engines / "fp16-static.engine"
    with TensorRtEngine(path, CUDA, cuda=opened) as engine, open_engine(path) as usual:
        assert package in engine.info.description
        for _ in range(5):
            np.testing.assert_array_equal(engine.run(frame), usual.run(frame))


@pytest.mark.parametrize("shapes", ["static", "dynamic"])
def test_ten_thousand_frames_take_no_more_memory_than_a_thousand(engines: Path, shapes: str) -> None:
    """Host and device; the dynamic engine changes its size every 50 frames."""
    sizes = [(320, 480)] if shapes == "static" else [(96, 128), (480, 640)]
    frames = [rain(*size, count=1)[0] for size in sizes]
    with (
        open_cuda(0) as cuda,
        open_engine(engines / f"fp16-{shapes}.engine") as engine,
        ThreadPoolExecutor(engine.concurrency) as pool,
    ):

        def run(count: int) -> tuple[int, int]:
            for start in range(0, count, 50):
                frame = frames[start // 50 % len(frames)]
                for _ in pool.map(engine.run, [frame] * 50):
                    pass
            return resident(), cuda.free_memory()

        host, free = run(1_000)
        later_host, later_free = run(10_000)
    assert later_host - host < 64 * MIB
    assert free - later_free < 64 * MIB


def test_closing_gives_the_device_memory_back(engines: Path) -> None:
    (frame,) = rain(320, 480, count=1)
    with open_cuda(0) as cuda:
        free = []
        for _ in range(6):
            with open_engine(engines / "fp16-static.engine") as engine:
                engine.run(frame)
            free.append(cuda.free_memory())
    assert free[0] - free[-1] < 16 * MIB


def test_an_engine_for_another_gpu_is_refused(engines: Path, tmp_path: Path, gpu: Gpu) -> None:
    path = tmp_path / "fp32-static.engine"
    path.write_bytes((engines / path.name).read_bytes())
    other = "8.7" if gpu.capability != "8.7" else "8.6"
    write_record(path, replace(read_record(engines / path.name), compute_capabilities=(other,)))
    with pytest.raises(UserError, match=f"built for compute capability {other}.*granet-export trt"):
        open_engine(path)


def test_an_engine_of_another_version_is_built_again_and_runs(engines: Path, tmp_path: Path) -> None:
    for name in ("fp32-static.onnx", "fp32-static.onnx.json", "fp32-static.engine"):
        shutil.copy(engines / name, tmp_path)
    path = tmp_path / "fp32-static.engine"
    write_record(path, replace(read_record(engines / path.name), version="1.0.0.0"))
    told: list[str] = []
    (frame,) = rain(320, 480, count=1)
    with open_or_rebuild(path, "cuda", "auto", told.append) as engine:
        result = engine.run(frame)
    assert len(told) == 1 and told[0].endswith("rebuilding it")
    with open_engine(engines / path.name) as engine:
        assert np.mean(np.abs(engine.run(frame).astype(int) - result) > 1) < 1e-3


def test_what_rtx_compiled_is_read_by_the_next_process(
    engines: Path, flavour: Flavour, capsys: pytest.CaptureFixture[str]
) -> None:
    if not flavour.is_rtx:
        pytest.skip("TensorRT compiles when it builds")
    frames, results = rain(320, 480, count=1), []
    for _ in range(2):
        with open_engine(engines / "fp16-static.engine") as engine:
            results.append(engine.run(frames[0]))
    assert list((cache_directory() / "rtx-kernels").glob("*.kernels"))
    assert "kernels" not in capsys.readouterr().err  # neither refused nor not written
    np.testing.assert_array_equal(results[0], results[1])


def test_a_missing_gpu(engines: Path) -> None:
    with pytest.raises(UserError, match="cuda:99 does not exist"):
        open_engine(engines / "fp32-static.engine", "cuda:99")


@pytest.mark.parametrize("backend", ["onnxruntime", "onnxruntime-tensorrt"])
def test_onnxruntime_is_a_second_way_to_the_gpu(models: Path, backend: str) -> None:
    path = models / "fp32-static.onnx"
    try:
        open_engine(path, "cuda", backend).close()
    except UserError as error:
        pytest.skip(str(error))
    report = measured(path, None, backend)
    if backend == "onnxruntime":
        assert report.misses() == []
    else:  # the provider may use TF32, which has float16's precision
        assert report.mean_db > 58 and report.worst.psnr_db > 50
