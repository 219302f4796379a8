"""Optional packages: checks whether they are installed and names the command that installs them."""

from importlib.util import find_spec

from granet.errors import UserError

EXPORT = ("torch", "onnx", "onnxscript", "safetensors")
"""Packages that the export commands need beyond the base install."""

_MODULES = {"grpcio": "grpc"}
"""Package -> module, where a hyphen is not the only difference."""

_REMARKS = {
    "onnxruntime": " (for NVIDIA GPUs: onnxruntime-gpu)",
    "tensorrt": " (a Jetson has it with JetPack: use a venv made with --system-site-packages)",
    "cuda-bindings": " (or build pycuda, which needs the CUDA toolkit)",
}


def require(purpose: str, *packages: str) -> None:
    """Raises one line if a package is not installed.

    Args:
        purpose: the feature that needs them, as the subject of a sentence: "drawing a figure".
        packages: names on PyPI.

    Raises:
        UserError: names the missing packages and the command that installs them.
    """
    missing = [name for name in packages if find_spec(_MODULES.get(name, name.replace("-", "_"))) is None]
    if missing:
        raise missing_packages(purpose, *missing)


def missing_packages(purpose: str, *packages: str) -> UserError:
    """The error of :func:`require`, for packages whose import has already failed."""
    are = "is" if len(packages) == 1 else "are"
    return UserError(
        f"{purpose} needs {' and '.join(packages)}, which {are} not installed: {pip_install(*packages)}"
    )


def pip_install(*packages: str) -> str:
    """The command that installs packages, for messages.

    It names packages, not an extra of this project, which is not on PyPI.
    """
    return f"pip install {' '.join(packages)}" + "".join(_REMARKS.get(name, "") for name in packages)


def require_export_extra() -> None:
    """Raises one line if a package of the ``export`` extra is not installed."""
    require("making a model", *EXPORT)
