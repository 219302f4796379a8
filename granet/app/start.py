"""Loads a command's modules so that too little memory or a wrong variable is one line and not a crash.

This module is loaded first, so it imports only the standard library.
"""

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from granet.app.out_of_memory import out_of_memory

try:
    import resource
except ImportError:  # Windows, which has no such limits
    resource = None  # type: ignore[assignment]

_FAILED = 1
_LACKING = "not enough memory to load the libraries: raise the limit on memory (ulimit -v)"


def start(name: str) -> None:
    """Runs ``main`` of a module.

    Args:
        name: of the module.

    Raises:
        SystemExit: with status 1, after one line on stderr, if the module cannot be imported.
    """
    if wrong := _wrong_variable():
        _fail(f"OpenCV does not take the value of the variable {wrong}: correct it, or unset it")
    with _dying_of_interrupts():
        is_limited = _memory_is_limited()
        if is_limited and not _can_be_loaded(name):
            _fail(_LACKING)
        module = load(name, lacking=_LACKING if is_limited else None)
    module.main()


@contextmanager
def _dying_of_interrupts() -> Iterator[None]:
    """Inside the context, Ctrl-C ends the process at once: nothing has begun, so there is nothing to say.

    Python would print the traceback of whatever is being imported. A signal that is ignored stays so.
    """
    usual = signal.getsignal(signal.SIGINT)
    if usual is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def load(name: str, *, lacking: str | None) -> ModuleType:
    """Imports a module.

    Args:
        name: of the module.
        lacking: why it cannot be imported; ``None`` if only the error says that.

    Raises:
        SystemExit: as for :func:`start`.
    """
    try:
        return import_module(name)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        _fail(lacking or out_of_memory(error) or f"a library cannot be loaded: {first}")


def _memory_is_limited() -> bool:
    return resource is not None and resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _wrong_variable() -> str | None:
    """The variable with whose value OpenCV aborts a process that imports it, which nothing catches."""
    names = [name for name in os.environ if name.startswith("OPENCV_")]
    if not names or not hasattr(os, "fork") or _can_be_loaded("cv2"):
        return None
    return next((name for name in names if _is_to_blame(name, names)), None)


def _is_to_blame(name: str, names: list[str]) -> bool:
    others = [other for other in names if other != name]
    return not _can_be_loaded("cv2", without=others) and _can_be_loaded("cv2", without=names)


def _can_be_loaded(name: str, without: Iterable[str] = ()) -> bool:
    """Tries it in a child process, because libraries may crash where memory ends or a variable is wrong.

    Args:
        name: of the module.
        without: variables of the environment that the child does not have.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in (1, 2):
                os.dup2(nowhere, descriptor)
            for variable in without:
                del os.environ[variable]
            import_module(name)
            os._exit(0)
        finally:
            os._exit(_FAILED)
    _, status = os.waitpid(child, 0)
    return status == 0


def _fail(reason: str) -> NoReturn:
    if sys.stderr is not None:
        sys.stderr.write(f"error: {reason}\n")
    raise SystemExit(_FAILED)
