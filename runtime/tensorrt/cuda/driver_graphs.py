"""CUDA graphs and leaving a primary context, which pycuda (2026.1) lacks, through the driver API.

The driver API is available wherever there is a driver. Streams and contexts of pycuda are handles of the
driver, so these calls can use them directly.
"""

import ctypes
import sys
from collections.abc import Callable
from typing import Any

from granet.app.outside_text import decoded
from runtime.tensorrt.cuda.base import failed

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

_THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate during a capture."""


class DriverGraphs:
    """Captures, launches and destroys graphs in the current context, and leaves a context."""

    def __init__(self, driver: Any = None) -> None:
        """Loads the driver; a test can pass its own ``driver`` instead.

        Raises:
            CudaError: if no driver is installed.
        """
        try:
            self._driver = ctypes.CDLL(LIBRARY) if driver is None else driver
        except OSError as error:
            raise failed(LIBRARY, str(error)) from error

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """Captures ``work`` on ``stream`` as an executable graph; see :meth:`Cuda.capture`."""
        self._call("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), _THREAD_LOCAL)
        captured = ctypes.c_void_p()
        try:
            work()
        except BaseException:
            # Discard the partial capture; an error of its own would hide the first one.
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
        """Launches a graph, in stream order."""
        self._call("cuGraphLaunch", ctypes.c_void_p(graph), ctypes.c_void_p(stream))

    def release(self, graph: int) -> None:
        """Destroys an executable graph."""
        self._call("cuGraphExecDestroy", ctypes.c_void_p(graph))

    def leave(self, context: int) -> None:
        """Pops ``context`` if it is current in this thread.

        pycuda's ``detach`` pushes a primary context, releases it and leaves it pushed: the next CUDA call
        of this thread would use a context that may already be destroyed.
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
        return f"CUDA error {code}: {decoded(text.value) if text.value else 'unknown'}"
