"""Chooses the package for CUDA: pycuda if it is installed, else cuda-bindings."""

import warnings
from collections.abc import Callable
from importlib.util import find_spec

from granet.app.extras import missing_packages
from runtime.tensorrt.cuda.base import Cuda, no_gpu

PACKAGES = ("pycuda", "cuda-bindings")


def open_cuda(index: int = 0, package: str = "auto") -> Cuda:
    """Opens CUDA on one GPU, for the calling thread.

    Args:
        index: index of the GPU, from 0.
        package: one of :data:`PACKAGES`, or ``auto``: pycuda if it can be imported, else cuda-bindings.
            :attr:`Cuda.package` names the choice.

    Raises:
        UserError: if neither package is installed, or there is no driver or no such GPU.
    """
    wanted = PACKAGES if package == "auto" else (package,)
    reasons = []
    for name in wanted:
        try:
            implementation = _implementation(name)
        except ImportError as error:
            reasons.append(f"{name}: {' '.join(str(error).split())}")
            continue
        if implementation is not None:
            return implementation(index)
    if reasons:  # pycuda links the driver, so without one it cannot be imported
        raise no_gpu("; ".join(reasons))
    raise missing_packages("running a TensorRT engine", wanted[-1])


def _implementation(name: str) -> Callable[[int], Cuda] | None:
    """Imports the class; ``None`` if its package is not installed."""
    if name == "pycuda":
        if find_spec("pycuda") is None:
            return None
        with warnings.catch_warnings():
            # A failed import warns about one possible cause and raises with the real one.
            warnings.simplefilter("ignore")
            from runtime.tensorrt.cuda.pycuda import PyCuda

        return PyCuda
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        return None
    from runtime.tensorrt.cuda.cuda_bindings import CudaBindings

    return CudaBindings
