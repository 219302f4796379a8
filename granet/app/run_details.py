"""The details that ``--verbose`` adds to every command: the versions that it ran with, and its time."""

import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from granet.app.console import detail

PACKAGES = (
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "av",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "torch",
    "onnx",
    "tensorrt",
    "tensorrt-rtx",
)
"""Packages whose versions matter to results and speed."""


@contextmanager
def run_details() -> Iterator[None]:
    """Prints a line before and a line after the run inside the context, if details are asked for."""
    began, busy = time.monotonic(), time.process_time()
    detail(_versions())
    try:
        yield
    finally:
        wall, cpu = time.monotonic() - began, time.process_time() - busy
        detail(f"took {wall:.1f} s, {cpu:.1f} s of CPU time in this process")


def _versions() -> str:
    # Looked up here: an import of the package would count as one of the network, which needs torch.
    own = {"granet-deploy": import_module("granet").__version__, "Python": platform.python_version()}
    parts = [f"{name} {number}" for name, number in (own | installed(PACKAGES)).items()]
    return f"{', '.join(parts)}; {platform.platform()}"


def installed(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those of ``packages`` that are installed."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
