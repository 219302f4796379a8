"""Any failure in CUDA or TensorRT gives one line, leaks nothing and frees nothing twice."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from granet.errors import UserError
from runtime.engines.device import Device
from runtime.tensorrt.cuda.base import CudaError
from runtime.tensorrt.engine import TensorRtEngine
from tests.patience import PATIENCE
from tests.runtime.tensorrt.engine_files import PLAN, engine_file, record
from tests.runtime.tensorrt.fake_tensorrt import FakeTensorRt
from tests.runtime.tensorrt.opened_engine import Opened, noise

SLOTS = 3
"""Frames in flight: one is uploaded, one computed and one downloaded."""

Open = Callable[..., Opened]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    return lambda **options: Opened(tmp_path, **options)


def calls_of_a_run(opened: Open) -> list[str]:
    session = opened()
    with session as engine:
        _ = [engine.run(noise(1)) for _ in range(3)]
    return session.cuda.calls


@pytest.mark.parametrize("sticky", [True, False])
def test_a_failure_of_any_cuda_call_is_reported(opened: Open, sticky: bool) -> None:
    calls = calls_of_a_run(opened)
    failed = 0
    for number, name in enumerate(calls):
        session = opened(fail_at=number, sticky=sticky)
        try:
            with session as engine:
                for _ in range(3):
                    np.testing.assert_array_equal(engine.run(noise(1)), 255 - noise(1))
        except CudaError as error:
            assert "CUDA error 700" in str(error) and "\n" not in str(error)
            failed += 1
        else:
            # It continues without a graph and says so; the next call reports a sticky error.
            assert name.startswith("release_") or name == "close" or (name == "capture" and not sticky)
        session.check()
    assert failed > 30


def test_after_a_transient_failure_the_next_frame_succeeds(opened: Open) -> None:
    calls = calls_of_a_run(opened)
    with opened(fail_at=calls.index("copy_out")) as engine:
        with pytest.raises(CudaError, match="copy_out"):
            engine.run(noise(1))
        np.testing.assert_array_equal(engine.run(noise(1)), 255 - noise(1))


def test_all_frames_in_flight_get_the_error(opened: Open) -> None:
    calls = calls_of_a_run(opened)
    session = opened(fail_at=calls.index("wait_for"), sticky=True)
    with session as engine:
        assert engine.concurrency == SLOTS
        for future in session.at_once(noise(1) for _ in range(SLOTS)):
            assert isinstance(future.exception(timeout=PATIENCE), CudaError)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("deserialise", "CUDA error 35"),
        ("context", "not enough GPU memory"),
        ("profiles", "it has 2 profiles, but its record 1"),
        ("shape", "does not match its metadata"),
    ],
)
def test_an_engine_that_cannot_be_loaded(opened: Open, broken: str, reason: str) -> None:
    session = opened(broken=broken)
    with pytest.raises(UserError, match=reason) as caught, session:
        pass
    assert "\n" not in str(caught.value) and ".cpp" not in str(caught.value)
    session.check()


def test_rtx_is_asked_before_a_plan_is_loaded(opened: Open) -> None:
    session = opened(made=record("tensorrt-rtx", compute_capabilities=()), broken="invalid", capability="9.0")
    with pytest.raises(UserError, match=r"Fake GPU \(9\.0\): its compute cap.*granet-export"), session:
        pass
    assert session.fake.given is None
    session.check()


def test_a_dla_engine_gets_its_core(opened: Open) -> None:
    session = opened(made=record(arguments=("--size", "64x48", "--dla", "1")))
    with session:
        assert session.fake.dla_core == 1
    with opened() as engine:
        assert "dla" not in engine.info.description


def test_a_network_that_does_not_start(opened: Open) -> None:
    with opened(broken="enqueue") as engine, pytest.raises(UserError, match="out of luck"):
        engine.run(noise(1))


@pytest.mark.parametrize("broken", ["capture", None])
def test_a_network_that_cannot_be_captured_runs_without_a_graph_and_says_so(
    opened: Open, broken: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether TensorRT or CUDA refuses; trtexec continues too."""
    calls = calls_of_a_run(opened)
    session = opened(broken=broken, fail_at=None if broken else calls.index("capture"))
    with session as engine:
        for index in range(6):
            np.testing.assert_array_equal(engine.run(noise(1, seed=index)), 255 - noise(1, seed=index))
        assert session.cuda.calls.count("capture") == 1 and "launch" not in session.cuda.calls
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: ") and "launching kernels one by one" in line
    assert ("not permitted when stream is capturing" if broken else "CUDA error 700") in line


def test_work_of_a_dla_core_is_not_captured(opened: Open) -> None:
    session = opened(made=record(arguments=("--dla", "0")))
    with session as engine:
        assert "without CUDA graphs" in engine.info.description
        _ = [engine.run(noise(1)) for _ in range(4)]
        assert "capture" not in session.cuda.calls


def test_a_closed_engine_says_so(opened: Open) -> None:
    with opened() as engine:
        engine.close()
        with pytest.raises(UserError, match="is closed"):
            engine.run(noise(1))


def test_closing_finishes_what_is_in_flight(opened: Open) -> None:
    session = opened()
    with session as engine:
        pending = session.at_once(noise(1, seed=index) for index in range(8))
        engine.close()
        for index, future in enumerate(pending):
            np.testing.assert_array_equal(future.result(timeout=PATIENCE), 255 - noise(1, seed=index))


@pytest.mark.parametrize("device", ["cpu", "gpu", "npu"])
def test_other_devices_are_refused(tmp_path: Path, device: str) -> None:
    with pytest.raises(UserError, match="runs only on NVIDIA GPUs"):
        TensorRtEngine(engine_file(tmp_path, record()), Device.parse(device))


def test_another_gpu_than_the_first(tmp_path: Path) -> None:
    made = record()
    fake = FakeTensorRt(made)
    path = engine_file(tmp_path, made)
    device = Device.parse("cuda:2")
    with TensorRtEngine(path, device, cuda=fake.open_cuda(), flavours=lambda name: fake.flavour) as engine:
        assert engine.info.device == "cuda:2"
        assert fake.cuda is not None and fake.cuda.gpu.index == 2
    assert fake.given == PLAN
