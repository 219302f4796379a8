"""Which package is used for CUDA: pycuda, where it was built, or cuda-bindings."""

import warnings
from collections.abc import Callable
from importlib.util import find_spec

from granet.errors import UserError
from runtime.tensorrt.cuda.base import Cuda, no_gpu

PACKAGES = ("pycuda", "cuda-bindings")

_INSTALL = 'pip install "granet-deploy[tensorrt]" (or build pycuda, which needs the CUDA toolkit)'


def open_cuda(index: int = 0, package: str = "auto") -> Cuda:
    """CUDA on one GPU, for the calling thread.

    Args:
        index: of the GPU, from 0.
        package: one of :data:`PACKAGES`, or ``auto``: pycuda if it is installed and can be imported,
            else cuda-bindings. :attr:`Cuda.package` says which.

    Raises:
        UserError: if neither is installed, or there is no driver or no such GPU.
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
    if reasons:  # pycuda links the driver: where there is none, it cannot be imported
        raise no_gpu("; ".join(reasons))
    raise UserError(f"running a TensorRT engine needs {' or '.join(wanted)}: {_INSTALL}")


def _implementation(name: str) -> Callable[[int], Cuda] | None:
    """The class, imported; ``None`` if its package is not installed."""
    if name == "pycuda":
        if find_spec("pycuda") is None:
            return None
        with warnings.catch_warnings():
            # Where it cannot be imported it warns of one possible cause and raises with the real one.
            warnings.simplefilter("ignore")
            from runtime.tensorrt.cuda.pycuda import PyCuda

        return PyCuda
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        return None
    from runtime.tensorrt.cuda.cuda_bindings import CudaBindings

    return CudaBindings
