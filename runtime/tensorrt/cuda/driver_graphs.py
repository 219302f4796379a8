"""What pycuda (2026.1) lacks, through the driver itself: CUDA graphs, and leaving a primary context.

A few calls of the driver API, which is there wherever there is a driver. A stream and a context of
pycuda are the driver's own, so that they are used as they are.
"""

import ctypes
import sys
from collections.abc import Callable
from typing import Any

from runtime.tensorrt.cuda.base import failed

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

_THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate meanwhile."""


class DriverGraphs:
    """Captures, launches and destroys graphs on the current context, and leaves it."""

    def __init__(self, driver: Any = None) -> None:
        """Finds the driver; ``driver`` is what is called instead of it.

        Raises:
            CudaError: if there is none.
        """
        try:
            self._driver = ctypes.CDLL(LIBRARY) if driver is None else driver
        except OSError as error:
            raise failed(LIBRARY, str(error)) from error

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """What ``work`` puts on ``stream``, as an executable graph; see :meth:`Cuda.capture`."""
        self._call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), _THREAD_LOCAL)
        captured = ctypes.c_void_p()
        try:
            work()
        except BaseException:
            # Its own error, if any, would hide the first.
            self._driver.cuStreamEndCapture(ctypes.c_void_p(stream), ctypes.byref(captured))
            if captured.value:
                self._driver.cuGraphDestroy(captured)
            raise
        self._call("cuStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(captured))
        executable = ctypes.c_void_p()
        try:
            flags = ctypes.c_ulonglong(0)
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(executable), captured, flags)
        finally:
            self._call("cuGraphDestroy", captured)
        return executable.value or 0

    def launch(self, graph: int, stream: int) -> None:
        """Does what was captured, in the order of ``stream``."""
        self._call("cuGraphLaunch", ctypes.c_void_p(graph), ctypes.c_void_p(stream))

    def release(self, graph: int) -> None:
        """Destroys an executable graph."""
        self._call("cuGraphExecDestroy", ctypes.c_void_p(graph))

    def leave(self, context: int) -> None:
        """Pops ``context`` if it is the one of this thread.

        ``detach`` of pycuda pushes a primary context, releases it and leaves it pushed: whatever uses CUDA
        in this thread next would work on a context that may be gone.
        """
        current = ctypes.c_void_p()
        self._call("cuCtxGetCurrent", ctypes.byref(current))
        if current.value == context:
            self._call("cuCtxPopCurrent_v2", ctypes.byref(current))

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._driver, name)(*arguments)
        if code:
            raise failed(name, self._text(code))

    def _text(self, code: int) -> str:
        text = ctypes.c_char_p()
        self._driver.cuGetErrorString(code, ctypes.byref(text))
        return f"CUDA error {code}: {text.value.decode() if text.value else 'unknown'}"
