"""Every name that the code uses of ``tensorrt`` exists in TensorRT 10, 11 and TensorRT-RTX.

Two of the three cannot be installed where the tests run. ``tests/trt_api`` has the public names of
each, read from the real bindings (10.16.1.11, 11.4.0.106 and RTX 1.7.1.116).
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NAMES = {path.stem: json.loads(path.read_text())["names"] for path in (ROOT / "tests/trt_api").glob("*.json")}
FLAVOUR = "runtime/tensorrt/flavour.py"
KERNELS = "runtime/tensorrt/rtx_kernels.py"  # what RTX compiles and keeps; the others do not

# Types of the variables in the files that use TensorRT: (file, last part of the variable) or the part alone.
CLASSES = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "config": "IBuilderConfig",
    "parser": "OnnxParser",
    "first": "ParserError",
    "shapes": "IOptimizationProfile",
    "timings": "ITimingCache",
    "inspector": "EngineInspector",
    "_runtime": "Runtime",
    "runtime": "Runtime",
    "_engine": "ICudaEngine",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "runtime_config": "IRuntimeConfig",
    "strategies": "CudaGraphStrategy",
}
ELSEWHERE = {("export/tensorrt/build.py", "shapes"), ("export/tensorrt/build.py", "first")}
"""Variables whose names mean this in these files only."""

# Names that only one of them has: allowed in the one file that tells the flavours apart.
RTX_ONLY = {
    ("ComputeCapability", ""),
    ("CudaGraphStrategy", ""),
    ("CudaGraphStrategy", "DISABLED"),
    ("CudaGraphStrategy", "WHOLE_GRAPH_CAPTURE"),
    ("EngineValidity", ""),
    ("EngineValidity", "INVALID"),
    ("IBuilderConfig", "num_compute_capabilities"),
    ("IBuilderConfig", "set_compute_capability"),
    ("IRuntimeCache", "deserialize"),
    ("IRuntimeCache", "serialize"),
    ("IRuntimeConfig", "create_runtime_cache"),
    ("IRuntimeConfig", "cuda_graph_strategy"),
    ("IRuntimeConfig", "set_runtime_cache"),
    ("Runtime", "get_engine_validity"),
}


def parts(node: ast.expr) -> list[str]:
    """``a.b.c`` -> ["a", "b", "c"]; parts on the left that are not names are left out."""
    if isinstance(node, ast.Attribute):
        return [*parts(node.value), node.attr]
    return [node.id] if isinstance(node, ast.Name) else []


def names_used(source: str, file: str) -> Iterator[tuple[str, str]]:
    """(class, member) or (name of the module, "") of each use of TensorRT in a file."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute):
            continue
        chain = parts(node)
        start = next((i + 1 for i, part in enumerate(chain[:-1]) if part in ("trt", "module")), None)
        if start is not None:
            yield chain[start], chain[start + 1] if len(chain) > start + 1 else ""
        elif len(chain) >= 2 and (owner := class_of(chain[-2], file)):
            yield owner, chain[-1]


def class_of(variable: str, file: str) -> str | None:
    if variable in ("shapes", "first") and (file, variable) not in ELSEWHERE:
        return None
    if file == KERNELS:
        return "IRuntimeCache" if variable in ("cache", "_cache") else None
    return CLASSES.get(variable)


def files_that_use_tensorrt() -> list[str]:
    folders = [ROOT / "runtime", ROOT / "export", ROOT / "calibration"]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    uses = [path for path in files if ".module" in (text := path.read_text()) and "tensorrt.flavour" in text]
    return [FLAVOUR, KERNELS, *sorted(path.relative_to(ROOT).as_posix() for path in uses)]


@pytest.mark.parametrize("file", files_that_use_tensorrt())
def test_every_name_is_in_each_flavour(file: str) -> None:
    used = set(names_used((ROOT / file).read_text(), file)) - {("__version__", "")}
    assert used
    if file in (FLAVOUR, KERNELS):
        assert not {use for use in used & RTX_ONLY if not has("tensorrt-rtx", *use)}
        used -= RTX_ONLY
    missing = {flavour: {use for use in used if not has(flavour, *use)} for flavour in NAMES}
    assert missing == {"tensorrt-10": set(), "tensorrt-11": set(), "tensorrt-rtx": set()}


def has(flavour: str, name: str, member: str) -> bool:
    names = NAMES[flavour]
    return name in names and (not member or member in names[name])


def test_those_that_build_and_run_are_among_the_files_and_their_names_are_seen() -> None:
    used = set()
    for file in (
        "export/tensorrt/build.py",
        "export/tensorrt/interruptible.py",
        "runtime/tensorrt/session.py",
    ):
        assert file in files_that_use_tensorrt()
        used |= set(names_used((ROOT / file).read_text(), file))
    assert {
        ("IExecutionContext", "execute_async_v3"),
        ("IExecutionContext", "set_tensor_address"),
        ("BuilderFlag", "TF32"),
        ("Builder", "build_serialized_network"),
        ("IBuilderConfig", "builder_optimization_level"),
        ("ParserError", "node_name"),
        ("IOptimizationProfile", "set_shape"),
    } <= used


@pytest.mark.parametrize(
    "line",
    [
        "config.set_flag(trt.BuilderFlag.FP16)",
        "config.int8_calibrator = c",
        "builder.platform_has_fast_int8",
        "x = flavour.module.NetworkDefinitionCreationFlag.EXPLICIT_BATCH",
        "x = self._flavour.module.IInt8EntropyCalibrator2",
        "self._engine.device_memory_size",
    ],
)
def test_what_tensorrt_11_dropped_would_be_noticed(line: str) -> None:
    used = set(names_used(line, "export/tensorrt/build.py"))
    assert any(not has("tensorrt-11", *use) for use in used)
    assert all(has("tensorrt-10", *use) for use in used)


def test_the_list_of_rtx_is_that_of_the_bindings_that_are_installed() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel for this platform")
    for name in ("BuilderFlag", "IBuilderConfig", "OnnxParser", "ICudaEngine"):
        absent = [member for member in NAMES["tensorrt-rtx"][name] if not hasattr(getattr(trt, name), member)]
        assert absent == []
