"""Finding the installed TensorRT, and the differences between the three."""

from pathlib import Path

import pytest

from granet.errors import UserError
from runtime.tensorrt.flavour import Flavour, find_flavour, parse_capability
from runtime.tensorrt.log import collected, plain

JETPACK6 = Flavour("tensorrt", "10.3.0.30", None)
ELEVEN = Flavour("tensorrt", "11.4.0.106", None)


@pytest.fixture
def rtx() -> Flavour:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this platform")
    return find_flavour("tensorrt-rtx")


def test_rtx_states_its_version_and_targets(rtx: Flavour) -> None:
    assert str(rtx) == f"TensorRT-RTX {rtx.module.__version__}"
    assert rtx.builds_without_gpu and not rtx.has_dla and not rtx.has_timing_cache
    assert {"7.5", "8.6", "8.9", "12.0"} <= set(rtx.capabilities)
    assert rtx.capabilities[0] == "7.5" and rtx.capabilities[-1].startswith("12.")
    assert rtx.newest_opset == 24


def test_tensorrt_builds_for_the_local_gpu() -> None:
    assert str(JETPACK6) == "TensorRT 10.3.0.30"
    assert not JETPACK6.builds_without_gpu and JETPACK6.has_dla and JETPACK6.has_timing_cache
    assert JETPACK6.capabilities == ()
    with pytest.raises(UserError, match="builds only for the GPU of this machine"):
        JETPACK6.check_capabilities(("8.6",))
    assert (JETPACK6.newest_opset, ELEVEN.newest_opset) == (20, 24)


@pytest.mark.parametrize("installed", [{"tensorrt"}, {"tensorrt", "tensorrt_rtx"}])
def test_a_broken_tensorrt_is_reported_without_a_fallback(
    installed: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyPI's stub without NVIDIA's index: the module exists, but its libraries do not."""
    (tmp_path / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.10: cannot open')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(
        "runtime.tensorrt.flavour.find_spec", lambda name: object() if name in installed else None
    )
    with pytest.raises(UserError, match=r"libnvinfer\.so\.10.*--flavour tensorrt-rtx"):
        find_flavour("auto")


def test_none_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.tensorrt.flavour.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install tensorrt-rtx"):
        find_flavour()
    with pytest.raises(UserError) as caught:
        find_flavour("tensorrt")
    assert str(caught.value) == (
        "building or running an engine needs tensorrt, which is not installed: "
        "pip install tensorrt (a Jetson has it with JetPack: use a venv made with --system-site-packages)"
    )
    with pytest.raises(UserError, match="unknown TensorRT flavour 'tensorflow'"):
        find_flavour("tensorflow")


def test_compute_capabilities_are_written_in_one_way() -> None:
    assert {parse_capability(text) for text in ("8.6", "86", "SM86", "sm_86")} == {"8.6"}
    assert parse_capability("SM120") == "12.0"
    for text in ("", "8", "ampere", "8.66", "-8.6"):
        with pytest.raises(UserError, match=r"write it like 8\.6"):
            parse_capability(text)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "IBuilder::buildSerializedNetwork: Error Code 1: Myelin ([pass.cpp:337: check_turing] Cannot "
            "compile operation 'node_MatMul_62' for Turing. In compileGraph at /_src/a/generator.cpp:2012)",
            "Myelin (Cannot compile operation 'node_MatMul_62' for Turing.)",
        ),
        ("words\n  on two lines", "words on two lines"),
        ("it failed [checkMacros.cpp::catchCudaError::250] Cuda Runtime", "it failed Cuda Runtime"),
        ("In x at y there is no file", "In x at y there is no file"),
    ],
)
def test_messages_are_plain(message: str, expected: str) -> None:
    assert plain(message) == expected


def test_long_messages_are_shortened() -> None:
    assert len(plain("word " * 500)) == 300  # a screenful is not a line


def test_errors_and_warnings_are_collected_separately(rtx: Flavour) -> None:
    severity = rtx.module.ILogger
    with collected(rtx) as (logger, outer):
        logger.log(severity.WARNING, "w")
        with collected(rtx) as (again, inner):
            again.log(severity.ERROR, "e")
            again.log(severity.INFO, "i")
        logger.log(severity.INTERNAL_ERROR, "f")
    assert again is logger  # TensorRT keeps the first logger
    assert (outer.warnings, outer.errors) == (["w"], ["f"])
    assert (inner.warnings, inner.errors) == ([], ["e"])
    assert inner.reason("none") == "e"
