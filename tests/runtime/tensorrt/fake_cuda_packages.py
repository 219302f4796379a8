# ruff: noqa: N815 - the names are those of CUDA
"""Fakes of the packages for CUDA: they record their calls."""

import ctypes
import types
from collections.abc import Callable
from typing import Any

import numpy as np

OUT_OF_MEMORY = 2


class Calls(list[tuple[Any, ...]]):
    """The calls with their arguments; ``fails`` is the name of the call that fails."""

    fails = ""
    devices = 1

    def __init__(self) -> None:
        super().__init__()
        self.current: list[int] = []
        """The contexts of the thread, the last one on top."""

    @property
    def names(self) -> list[str]:
        return [call[0] for call in self]


def fake_runtime(calls: Calls) -> Any:
    """``cuda.bindings.runtime``: every function returns an error code and its results."""
    buffers: list[Any] = []

    class Error(int):
        cudaSuccess = 0

    def function(name: str) -> Callable[..., tuple[Any, ...]]:
        def called(*arguments: Any) -> tuple[Any, ...]:
            calls.append((name, *arguments))
            failed = name == calls.fails
            return (Error(OUT_OF_MEMORY if failed else 0), *results(name, arguments))

        called.__name__ = name
        return called

    def results(name: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        if name == "cudaHostAlloc":
            buffers.append(ctypes.create_string_buffer(arguments[0]))
            return (ctypes.addressof(buffers[-1]),)
        known: dict[str, tuple[Any, ...]] = {
            "cudaGetDeviceCount": (calls.devices,),
            "cudaGetDeviceProperties": (types.SimpleNamespace(name=b"NVIDIA Fake", major=8, minor=7),),
            "cudaDriverGetVersion": (12060,),
            "cudaStreamCreateWithFlags": (0x51,),
            "cudaEventCreateWithFlags": (0xE1,),
            "cudaMalloc": (0xD1,),
            "cudaStreamEndCapture": (0x61,),
            "cudaGraphInstantiate": (0x62,),
            "cudaGetErrorString": (b"out of memory",),
            "cudaMemGetInfo": (1 << 20, 1 << 30),
        }
        return known.get(name, ())

    class Runtime:
        cudaError_t = Error
        cudaStreamNonBlocking, cudaHostAllocDefault = 1, 0
        cudaEventDisableTiming, cudaEventBlockingSync = 2, 1
        cudaMemcpyKind = types.SimpleNamespace(
            cudaMemcpyHostToDevice="in", cudaMemcpyDeviceToHost="out", cudaMemcpyDeviceToDevice="across"
        )
        cudaStreamCaptureMode = types.SimpleNamespace(cudaStreamCaptureModeThreadLocal="thread")

        def __getattr__(self, name: str) -> Any:
            return function(name)

    return Runtime()


def fake_pycuda(calls: Calls) -> types.ModuleType:  # noqa: C901 - many small things
    """``pycuda.driver``: objects with methods, and errors as exceptions."""

    class Error(Exception):
        pass

    def called(name: str, *arguments: Any) -> None:
        # A recorded stream or event would never be freed.
        things = (Stream, Event)
        calls.append((name, *(type(each) if isinstance(each, things) else each for each in arguments)))
        if name == calls.fails:
            raise Error(f"{name} failed: out of memory")

    class Stream:
        handle = 0x51

        def __init__(self, flags: int) -> None:
            called("Stream", flags)

        def __del__(self) -> None:
            calls.append(("Stream gone",))

        def synchronize(self) -> None:
            called("Stream.synchronize")

        def wait_for_event(self, event: Any) -> None:
            called("Stream.wait_for_event", event)

    class Event:
        def __init__(self, flags: int) -> None:
            called("Event", flags)

        def __del__(self) -> None:
            calls.append(("Event gone",))

        def record(self, stream: Any) -> None:
            called("Event.record", stream)

        def synchronize(self) -> None:
            called("Event.synchronize")

    class Allocation:
        def free(self) -> None:
            called("DeviceAllocation.free")

        def __int__(self) -> int:
            return 0xD1

    class Host(np.ndarray):
        def free(self) -> None:
            called("PagelockedHostAllocation.free")

    class Context:
        """Acts like pycuda's context: detaching pushes it, and without detaching it is not released."""

        handle = 0xC1
        retained = True

        def push(self) -> None:
            called("push")
            calls.current.append(self.handle)

        def pop(self) -> None:
            called("pop")
            calls.current.pop()

        def detach(self) -> None:
            called("detach")
            calls.current.append(self.handle)
            self.retained = False

        def __del__(self) -> None:
            if self.retained:
                calls.append(("PyCUDA WARNING: a clean-up operation failed",))

    class Device:
        def __init__(self, index: int) -> None:
            called("Device", index)

        @staticmethod
        def count() -> int:
            return calls.devices

        def name(self) -> str:
            return "NVIDIA Fake"

        def compute_capability(self) -> tuple[int, int]:
            return 8, 7

        def retain_primary_context(self) -> Context:
            called("retain_primary_context")
            return Context()

    def mem_alloc(size: int) -> Allocation:
        called("mem_alloc", size)
        return Allocation()

    def pagelocked_empty(shape: Any, dtype: Any) -> Any:
        called("pagelocked_empty", shape, dtype)
        return np.ndarray(shape, dtype, Host(int(np.prod(shape)) * np.dtype(dtype).itemsize, np.uint8))

    module = types.ModuleType("pycuda.driver")
    vars(module).update(
        Error=Error,
        Stream=Stream,
        Event=Event,
        Device=Device,
        init=lambda: called("init"),
        get_driver_version=lambda: 12060,
        event_flags=types.SimpleNamespace(DISABLE_TIMING=2, BLOCKING_SYNC=1),
        mem_alloc=mem_alloc,
        pagelocked_empty=pagelocked_empty,
        mem_get_info=lambda: (1 << 20, 1 << 30),
        **{
            name: lambda *arguments, name=name: called(name, *arguments)
            for name in ("memcpy_htod_async", "memcpy_dtoh_async", "memcpy_dtod_async")
        },
    )
    return module


class FakeDriver:
    """libcuda: functions that return an error code and write through pointers."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def __getattr__(self, name: str) -> Callable[..., int]:
        def called(*arguments: Any) -> int:
            values = [getattr(argument, "value", argument) for argument in arguments]
            self._calls.append((name, *values))
            if name == "cuCtxGetCurrent":
                arguments[0]._obj.value = self._calls.current[-1] if self._calls.current else None
            if name == "cuCtxPopCurrent_v2":
                arguments[0]._obj.value = self._calls.current.pop()
            if name == "cuGetErrorString":
                arguments[1]._obj.value = b"out of memory"
            if name == "cuStreamEndCapture":
                arguments[1]._obj.value = 0x61
            if name == "cuGraphInstantiateWithFlags":
                arguments[0]._obj.value = 0x62
            return OUT_OF_MEMORY if name == self._calls.fails else 0

        return called
