"""An engine is executable code: TensorRT gets it only if it matches its record and this machine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from granet.errors import UserError
from runtime.engines.device import Device
from runtime.tensorrt.engine import TensorRtEngine
from runtime.tensorrt.record import EngineRecord, record_path
from runtime.tensorrt.trust import check_gpu, check_software, read_trusted, this_platform
from tests.runtime.tensorrt.engine_files import PLAN, engine_file, record
from tests.runtime.tensorrt.fake_cuda import FakeCuda
from tests.runtime.tensorrt.fake_tensorrt import FakeTensorRt


class Untouched(FakeTensorRt):
    """A TensorRT that must not be called."""

    def open(self, path: Path, **cuda: Any) -> None:
        with TensorRtEngine(
            path, Device.parse("cuda"), cuda=self.open_cuda(**cuda), flavours=lambda name: self.flavour
        ):
            pass


def refused(path: Path, made: EngineRecord, flavour: str = "tensorrt", **cuda: Any) -> str:
    """The user's message; TensorRT must not have been called, and CUDA must be released."""
    fake = Untouched(made, flavour)  # type: ignore[arg-type]
    with pytest.raises(UserError) as caught:
        fake.open(path, **cuda)
    assert fake.given is None and fake.events == []
    assert fake.cuda is None or fake.cuda.closed
    assert "\n" not in str(caught.value) and "granet-export trt" in str(caught.value)
    return str(caught.value)


def truncated(plan: bytes) -> bytes:
    return plan[: len(plan) // 2]


def tampered(plan: bytes) -> bytes:
    return plan[:100] + bytes([plan[100] ^ 1]) + plan[101:]


def longer(plan: bytes) -> bytes:
    return plan + b"\0"


@pytest.mark.parametrize("change", [truncated, tampered, longer, lambda plan: b""])
def test_a_changed_engine(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = engine_file(tmp_path, record(), change(PLAN))
    assert "does not match its record best.engine.json" in refused(path, record())


def test_a_foreign_engine(tmp_path: Path) -> None:
    path = engine_file(tmp_path, record())
    record_path(path).unlink()
    assert "best.engine.json is missing" in refused(path, record())


def test_a_record_without_its_engine(tmp_path: Path) -> None:
    path = engine_file(tmp_path, record())
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        read_trusted(path)


def test_the_bytes_that_were_checked_are_the_ones_that_are_loaded(tmp_path: Path) -> None:
    """The file is not read again, because it could have been replaced meanwhile."""
    trusted = read_trusted(engine_file(tmp_path, record()))
    trusted.path.write_bytes(b"something else")
    assert trusted.plan == PLAN


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": "10.3.0.26"}, "built with TensorRT 10.3.0.26, but TensorRT 10.16.1.11 is installed"),
        ({"version": "11.4.0.1"}, "built with TensorRT 11.4.0.1"),
        ({"platform": "Linux-s390x"}, f"built for Linux-s390x, but this is {this_platform()}"),
        ({"platform": "Plan9-x86_64"}, "built for Plan9-x86_64"),
    ],
)
def test_another_version_or_system(tmp_path: Path, changes: dict[str, str], says: str) -> None:
    made = record(**changes)
    told = refused(engine_file(tmp_path, made), made)
    assert says in told and "granet-export trt best.onnx -o best.engine --overwrite" in told


def test_all_differences_are_reported_at_once(tmp_path: Path) -> None:
    made = record(version="10.3.0.26", platform="Linux-s390x")
    told = refused(engine_file(tmp_path, made), made)
    assert "10.3.0.26" in told and "Linux-s390x" in told


def test_another_flavour(tmp_path: Path) -> None:
    made = record("tensorrt-rtx")
    told = refused(engine_file(tmp_path, made), made, "tensorrt")
    assert "built with TensorRT-RTX 1.7.1.116, but TensorRT 10.16.1.11 is installed" in told


def test_rtx_engines_run_on_other_systems_but_not_on_other_processors(tmp_path: Path) -> None:
    _, machine = this_platform().split("-", 1)
    trusted = read_trusted(engine_file(tmp_path, record("tensorrt-rtx", platform=f"Windows-{machine}")))
    check_software(trusted, FakeTensorRt(trusted.record, "tensorrt-rtx").flavour)
    trusted = replace(trusted, record=replace(trusted.record, platform="Windows-riscv64"))
    with pytest.raises(UserError, match="riscv64"):
        check_software(trusted, FakeTensorRt(trusted.record, "tensorrt-rtx").flavour)


class TestGpu:
    def test_another_compute_capability(self, tmp_path: Path) -> None:
        made = record(compute_capabilities=("8.7",), gpu="Orin")
        told = refused(engine_file(tmp_path, made), made, capability="8.6")
        assert "compute capability 8.7 (Orin), but cuda:0 (Fake GPU) has 8.6" in told

    def test_one_of_several(self, tmp_path: Path) -> None:
        made = record("tensorrt-rtx", compute_capabilities=("8.6", "8.9"))
        trusted = read_trusted(engine_file(tmp_path, made))
        check_gpu(trusted, FakeCuda(capability="8.9").gpu)
        with pytest.raises(UserError, match=r"8\.6 and 8\.9"):
            check_gpu(trusted, FakeCuda(capability="9.0").gpu)

    def test_rtx_checks_the_gpu_of_a_portable_engine(self, tmp_path: Path) -> None:
        trusted = read_trusted(engine_file(tmp_path, record("tensorrt-rtx", compute_capabilities=())))
        check_gpu(trusted, FakeCuda(capability="9.0").gpu)
