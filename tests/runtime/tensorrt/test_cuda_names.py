"""The real packages have what is called of them: the fakes of the other tests have every name there is.

``cuda-bindings`` is installed where the tests run, and is called without a driver. pycuda is built on the
machine it is used on: ``tests/cuda_api/pycuda.json`` has the names of a build of 2026.1 against CUDA 13.0,
and the least and most arguments that each function takes, read from its docstring; null for what is none.
"""

import ast
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.tensorrt.cuda import open as cuda_open
from runtime.tensorrt.cuda.base import Cuda, CudaError

FOLDER = Path(cuda_open.__file__).parent
PYCUDA = json.loads((Path(__file__).parents[2] / "cuda_api" / "pycuda.json").read_text())["names"]

VARIABLES = {
    "drv": "",
    "device": "Device",
    "_context": "Context",
    "stream": "Stream",
    "event": "Event",
    "memory": "DeviceAllocation",
    "base": "PagelockedHostAllocation",
    "event_flags": "event_flags",
}
"""Meaning of a name in ``pycuda.py``; ``_held(stream)`` is the same."""


def owner(node: ast.expr) -> str | None:
    """The class in :data:`PYCUDA` of an expression."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("_held", "cast"):
        return None if ast.unparse(node.args[0]) == "_Held" else owner(node.args[-1])
    if isinstance(node, ast.Attribute):
        chain = node.attr if node.attr in VARIABLES else "drv." + node.attr
        return {"drv.Device": "Device"}.get(chain, VARIABLES.get(chain))
    return VARIABLES.get(node.id) if isinstance(node, ast.Name) else None


def uses(source: str) -> Iterator[tuple[str, str, int | None]]:
    """(class, member, arguments of a call) of each use of pycuda; ``None`` if it is not called."""
    called = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called[id(node.func)] = len(node.args) + len(node.keywords)
        if isinstance(node, ast.Attribute) and (kind := owner(node.value)) is not None:
            yield kind, node.attr, called.get(id(node))


def wrong(source: str) -> list[tuple[str, str, int | None]]:
    found = []
    for kind, member, given in uses(source):
        arity = PYCUDA[kind].get(member, "absent")
        if member in PYCUDA and kind == "":  # a class: its arguments are those of its __init__
            arity = PYCUDA[member].get("__init__")
        takes = arity is None or (arity != "absent" and (given is None or arity[0] <= given <= arity[1]))
        if not takes:
            found.append((kind, member, given))
    return found


def test_pycuda_has_what_is_used_of_it_with_as_many_arguments() -> None:
    source = (FOLDER / "pycuda.py").read_text()
    used = {(kind, member) for kind, member, _ in uses(source)}
    assert {
        ("", "memcpy_dtod_async"),
        ("Device", "retain_primary_context"),
        ("Context", "detach"),
        ("Stream", "wait_for_event"),
        ("Event", "record"),
        ("DeviceAllocation", "free"),
        ("PagelockedHostAllocation", "free"),
        ("event_flags", "BLOCKING_SYNC"),
    } <= used
    assert wrong(source) == []


@pytest.mark.parametrize(
    "line",
    [
        "drv.memcpy_htod_async(a, b, s, 1)",
        "drv.mem_alloc()",
        "drv.Stream(1, 2)",
        "_held(stream).wait_for_event()",
        "_held(event).wait()",
        "drv.stream_flags",
    ],
)
def test_a_missing_name_of_pycuda_would_be_noticed(line: str) -> None:
    assert len(wrong(line)) == 1


class Without:
    """Every call of :class:`CudaBindings` into the real package, without a driver."""

    def __init__(self) -> None:
        rt = pytest.importorskip("cuda.bindings.runtime", reason="no cuda-bindings here")
        error, count = rt.cudaGetDeviceCount()
        if error == rt.cudaError_t.cudaSuccess and count:
            pytest.skip("has a GPU: tests/gpu makes these calls there")
        from runtime.tensorrt.cuda.cuda_bindings import CudaBindings

        self.rt = rt
        self.cuda: Cuda = object.__new__(CudaBindings)  # its constructor asks for a GPU
        self.array = np.zeros(12, np.uint8)
        self.stream: Any = rt.cudaStream_t(0x51)
        self.event: Any = rt.cudaEvent_t(0xE1)
        self.graph: Any = rt.cudaGraphExec_t(0x62)
        self.memory: Any = 0xD1


CALLS: dict[str, Callable[[Without], object]] = {
    "stream": lambda w: w.cuda.stream(),
    "release_stream": lambda w: w.cuda.release_stream(w.stream),
    "synchronise": lambda w: w.cuda.synchronise(w.stream),
    "event": lambda w: w.cuda.event(),
    "release_event": lambda w: w.cuda.release_event(w.event),
    "record": lambda w: w.cuda.record(w.event, w.stream),
    "wait": lambda w: w.cuda.wait(w.stream, w.event),
    "wait_for": lambda w: w.cuda.wait_for(w.event),
    "memory": lambda w: w.cuda.memory(12),
    "release_memory": lambda w: w.cuda.release_memory(w.memory),
    "pinned": lambda w: w.cuda.pinned((2, 2, 3), np.uint8),
    "release_pinned": lambda w: w.cuda.release_pinned(w.array),
    "copy_in": lambda w: w.cuda.copy_in(w.memory, w.array, w.stream),
    "copy_out": lambda w: w.cuda.copy_out(w.array, w.memory, w.stream),
    "copy_across": lambda w: w.cuda.copy_across(w.memory, w.memory, 12, w.stream),
    "capture": lambda w: w.cuda.capture(w.stream, lambda: None),
    "launch": lambda w: w.cuda.launch(w.graph, w.stream),
    "release_graph": lambda w: w.cuda.release_graph(w.graph),
    "free_memory": lambda w: w.cuda.free_memory(),
}


@pytest.mark.parametrize("name", CALLS)
def test_cuda_bindings_takes_every_call(name: str) -> None:
    """A wrong name raises AttributeError, wrong arguments TypeError; here CUDA itself must refuse."""
    with pytest.raises(CudaError, match=r"CUDA: cuda\w+: CUDA error \d+: "):
        CALLS[name](Without())


def test_every_method_of_the_contract_is_among_them() -> None:
    pure = {name for name in Cuda.__abstractmethods__ if name not in ("handle", "address", "close")}
    assert set(CALLS) == pure


def test_handles_and_constants_have_the_expected_types() -> None:
    without = Without()
    rt = without.rt
    assert without.cuda.handle(without.stream) == 0x51 and without.cuda.address(without.memory) == 0xD1
    assert isinstance(rt.cudaEventDisableTiming | rt.cudaEventBlockingSync, int)
    assert all(hasattr(rt.cudaDeviceProp(), name) for name in ("name", "major", "minor"))
    assert isinstance(rt.cudaDeviceProp().name, bytes)


def test_arguments_of_a_captured_graph() -> None:
    """The calls after a successful capture, which are not reached without a driver."""
    rt = Without().rt
    graph = rt.cudaGraph_t(0x61)
    assert rt.cudaGraphInstantiate(graph, 0)[0] != rt.cudaError_t.cudaSuccess
    assert len(rt.cudaStreamEndCapture(rt.cudaStream_t(0x51))) == 2
    assert rt.cudaGraphDestroy(graph)[0] != rt.cudaError_t.cudaSuccess
