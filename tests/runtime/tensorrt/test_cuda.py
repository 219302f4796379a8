"""Both packages for CUDA make the same calls in the same order, against fakes of the packages.

Only the calls are tested here; tests/gpu runs them on a GPU.
"""

import gc
import sys
import types
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from granet.errors import UserError
from runtime.tensorrt.cuda import open as cuda_open
from runtime.tensorrt.cuda.base import Cuda, CudaError, dotted
from runtime.tensorrt.cuda.driver_graphs import DriverGraphs
from tests.runtime.tensorrt.fake_cuda_packages import Calls, FakeDriver, fake_pycuda, fake_runtime


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture(params=["pycuda", "cuda-bindings"])
def package(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, calls: Calls) -> str:
    """Installs the fake of one package."""
    if request.param == "cuda-bindings":
        module = pytest.importorskip("runtime.tensorrt.cuda.cuda_bindings", reason="no cuda-bindings here")
        monkeypatch.setattr(module, "rt", fake_runtime(calls))
        return str(request.param)
    driver = fake_pycuda(calls)
    parent = types.ModuleType("pycuda")
    parent.driver = driver  # type: ignore[attr-defined]
    for name, fake in (("pycuda", parent), ("pycuda.driver", driver)):
        monkeypatch.setitem(sys.modules, name, fake)
    monkeypatch.delitem(sys.modules, "runtime.tensorrt.cuda.pycuda", raising=False)
    import runtime.tensorrt.cuda.pycuda as module

    monkeypatch.setitem(sys.modules, "runtime.tensorrt.cuda.pycuda", module)
    monkeypatch.setattr(module, "DriverGraphs", lambda: DriverGraphs(FakeDriver(calls)))
    monkeypatch.setattr(module, "version", lambda name: "2026.1")
    monkeypatch.setattr(cuda_open, "find_spec", lambda name: True)
    return str(request.param)


@pytest.fixture
def cuda(package: str, calls: Calls) -> Iterator[Cuda]:
    opened = cuda_open.open_cuda(0, package)
    calls.clear()
    yield opened
    sys.modules.pop("runtime.tensorrt.cuda.pycuda", None)


def test_package_and_gpu_are_stated(package: str) -> None:
    opened = cuda_open.open_cuda(0, package)
    assert opened.package.startswith(f"{package} ")
    assert (opened.gpu.name, opened.gpu.capability, opened.gpu.driver) == ("NVIDIA Fake", "8.7", "12.6")


def test_pycuda_uses_the_primary_context_and_releases_it(package: str, calls: Calls) -> None:
    calls.current.append(0xA1)  # a foreign context, which must stay
    cuda_open.open_cuda(0, package).close()
    gc.collect()
    assert calls.current == [0xA1]
    if package == "pycuda":
        used = ["init", "Device", "retain_primary_context", "push", "pop", "detach"]
        assert calls.names == [*used, "cuCtxGetCurrent", "cuCtxPopCurrent_v2"]
    else:  # the runtime API has no other
        assert "cudaSetDevice" in calls.names


@pytest.mark.parametrize("count", [0, 1])
def test_a_missing_gpu(package: str, calls: Calls, count: int) -> None:
    calls.devices = count
    with pytest.raises(UserError, match="no usable NVIDIA GPU") as caught:
        cuda_open.open_cuda(1, package)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("driver", "says"),
    [(12060, r"pip install 'cuda-bindings==12\.\*', or update the driver"), (0, r"\(CUDA error 35: ")],
)
def test_a_driver_that_is_older_than_the_package(
    driver: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """cuda-bindings 13 needs a driver of CUDA 13; without any driver CUDA gives the same error."""
    bindings = pytest.importorskip("runtime.tensorrt.cuda.cuda_bindings", reason="no cuda-bindings here")
    monkeypatch.setattr(
        bindings.rt, "cudaGetDeviceCount", lambda: (bindings.rt.cudaError_t.cudaErrorInsufficientDriver, 0)
    )
    monkeypatch.setattr(
        bindings.rt, "cudaDriverGetVersion", lambda: (bindings.rt.cudaError_t.cudaSuccess, driver)
    )
    with pytest.raises(UserError, match=says):
        bindings.CudaBindings(0)


def test_a_frame_is_copied_in_and_out_in_order(cuda: Cuda, calls: Calls) -> None:
    stream, event = cuda.stream(), cuda.event()
    memory = cuda.memory(12)
    array = cuda.pinned((1, 2, 2, 3), np.uint8)
    assert array.shape == (1, 2, 2, 3) and array.dtype == np.uint8 and array.flags.c_contiguous
    array[...] = 7  # the memory is really there
    cuda.copy_in(memory, array, stream)
    cuda.copy_across(memory, memory, 12, stream)
    cuda.copy_out(array, memory, stream)
    cuda.record(event, stream)
    cuda.wait(stream, event)
    cuda.wait_for(event)
    cuda.synchronise(stream)
    cuda.release_pinned(array)
    cuda.release_memory(memory)
    assert cuda.handle(stream) == 0x51 and cuda.address(memory) == 0xD1
    cuda.release_event(event)  # still referenced, as by a traceback
    cuda.release_stream(stream)
    assert cuda.free_memory() == 1 << 20
    if cuda.package.startswith("pycuda"):
        expected = [
            "Stream", "Event", "mem_alloc", "pagelocked_empty", "memcpy_htod_async", "memcpy_dtod_async",
            "memcpy_dtoh_async", "Event.record", "Stream.wait_for_event", "Event.synchronize",
            "Stream.synchronize", "PagelockedHostAllocation.free", "DeviceAllocation.free", "Event gone",
            "Stream gone",
        ]  # fmt: skip
    else:
        expected = [
            "cudaStreamCreateWithFlags", "cudaEventCreateWithFlags", "cudaMalloc", "cudaHostAlloc",
            "cudaMemcpyAsync", "cudaMemcpyAsync", "cudaMemcpyAsync", "cudaEventRecord",
            "cudaStreamWaitEvent", "cudaEventSynchronize", "cudaStreamSynchronize", "cudaFreeHost",
            "cudaFree", "cudaEventDestroy", "cudaStreamDestroy", "cudaMemGetInfo",
        ]  # fmt: skip
        kinds = [call[4] for call in calls if call[0] == "cudaMemcpyAsync"]
        sizes = [call[3] for call in calls if call[0] == "cudaMemcpyAsync"]
        assert kinds == ["in", "across", "out"] and sizes == [12, 12, 12]
        (freed,) = [call[1] for call in calls if call[0] == "cudaFreeHost"]
        (copied,) = [call[2] for call in calls if call[0] == "cudaMemcpyAsync" and call[4] == "in"]
        assert freed == copied
    assert calls.names == expected
    assert calls[0][1] == 1, "a stream that waits for the default stream overlaps nothing"
    assert calls[1][1] == 3, "events: no timing, and a thread that waits sleeps"


def test_only_contiguous_arrays_are_copied(cuda: Cuda) -> None:
    stream, memory = cuda.stream(), cuda.memory(12)
    with pytest.raises(ValueError):
        cuda.copy_in(memory, np.zeros((4, 6), np.uint8)[:, ::2], stream)


class TestGraphs:
    def test_are_captured_launched_and_destroyed(self, cuda: Cuda, calls: Calls) -> None:
        stream = cuda.stream()
        calls.clear()
        graph = cuda.capture(stream, lambda: calls.append(("work",)))
        cuda.launch(graph, stream)
        cuda.release_graph(graph)
        parts = [
            "BeginCapture",
            "work",
            "EndCapture",
            "Instantiate",
            "GraphDestroy",
            "GraphLaunch",
            "ExecDestroy",
        ]
        assert len(calls) == len(parts)
        assert all(part in name for part, name in zip(parts, calls.names, strict=True))
        begin, launch = calls[0], calls[-2]
        assert begin[1] == 0x51 and begin[2] in (1, "thread")
        assert launch[1:] == (0x62, 0x51)

    def test_work_that_fails_leaves_no_capture_and_no_graph_behind(self, cuda: Cuda, calls: Calls) -> None:
        stream = cuda.stream()
        calls.clear()

        def fails() -> None:
            raise UserError("TensorRT: no")

        with pytest.raises(UserError, match="TensorRT: no"):
            cuda.capture(stream, fails)
        assert ["Begin" in calls.names[0], "End" in calls.names[1], "GraphDestroy" in calls.names[2]] == [
            True
        ] * 3

    def test_a_graph_that_cannot_be_made(self, cuda: Cuda, calls: Calls) -> None:
        stream = cuda.stream()
        pycuda = cuda.package.startswith("pycuda")
        calls.fails = "cuGraphInstantiateWithFlags" if pycuda else "cudaGraphInstantiate"
        with pytest.raises(CudaError, match="out of memory"):
            cuda.capture(stream, lambda: None)
        assert calls.names.count("cuGraphDestroy" if pycuda else "cudaGraphDestroy") == 1


@pytest.mark.parametrize(
    ("names", "work"),
    [
        (("mem_alloc", "cudaMalloc"), lambda cuda: cuda.memory(1 << 40)),
        (("pagelocked_empty", "cudaHostAlloc"), lambda cuda: cuda.pinned((4,), np.uint8)),
        (("Stream", "cudaStreamCreateWithFlags"), lambda cuda: cuda.stream()),
        (("Event.synchronize", "cudaEventSynchronize"), lambda cuda: cuda.wait_for(cuda.event())),
    ],
)
def test_a_failure_is_one_line_that_says_what_to_do(
    cuda: Cuda, calls: Calls, names: tuple[str, str], work: Callable[[Cuda], None]
) -> None:
    calls.fails = names[0] if cuda.package.startswith("pycuda") else names[1]
    with pytest.raises(CudaError, match=r"out of memory.*smaller --size") as caught:
        work(cuda)
    assert "\n" not in str(caught.value)


class TestChoice:
    @staticmethod
    def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        monkeypatch.setattr(
            cuda_open, "find_spec", lambda name: True if name.split(".")[0] in names else None
        )

    def test_neither(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.installed(monkeypatch)
        for package, wanted, remark in (
            ("auto", "cuda-bindings", " (or build pycuda, which needs the CUDA toolkit)"),
            ("pycuda", "pycuda", ""),
        ):
            with pytest.raises(UserError) as caught:
                cuda_open.open_cuda(package=package)
            assert str(caught.value) == (
                f"running a TensorRT engine needs {wanted}, which is not installed: "
                f"pip install {wanted}{remark}"
            )

    def test_pycuda_without_a_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It links libcuda, so that importing it fails."""
        self.installed(monkeypatch, "pycuda")

        def fails(name: str) -> None:
            raise ImportError("libcuda.so.1: cannot open shared object file")

        monkeypatch.setattr(cuda_open, "_implementation", fails)
        with pytest.raises(UserError, match=r"no usable NVIDIA GPU.*pycuda: libcuda\.so\.1"):
            cuda_open.open_cuda()

    def test_the_real_cuda_bindings_without_a_driver(self) -> None:
        runtime = pytest.importorskip("cuda.bindings.runtime", reason="no cuda-bindings here")
        error, count = runtime.cudaGetDeviceCount()
        if error == 0 and count:
            pytest.skip("has a GPU")
        with pytest.raises(UserError, match=r"no usable NVIDIA GPU.*NVIDIA's driver") as caught:
            cuda_open.open_cuda(0, "cuda-bindings")
        assert "\n" not in str(caught.value)

    def test_no_libcuda_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("runtime.tensorrt.cuda.driver_graphs.LIBRARY", "libcuda-that-is-not-there.so")
        with pytest.raises(CudaError, match="libcuda-that-is-not-there"):
            DriverGraphs()


def test_versions_are_written_as_nvidia_does() -> None:
    assert [dotted(number) for number in (12060, 13000, 13010, 11080)] == ["12.6", "13.0", "13.1", "11.8"]
