"""An edge box has no torch: the numpy half of the package must work without it."""

import subprocess
import sys

import pytest

import granet

NUMPY_ONLY = ["config", "errors", "synthetic.rain", "synthetic.street", "size_rule"]


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_numpy_half_works_without_torch() -> None:
    without = "import sys; sys.modules.update(torch=None, safetensors=None, cv2=None, onnx=None)"
    modules = ", ".join(f"granet.{name}" for name in NUMPY_ONLY)
    result = python(f"{without}; import granet, {modules}; print(granet.GraNetConfig.lite().channels)")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "32"


def test_importing_the_package_loads_no_torch_until_it_is_used() -> None:
    result = python(
        "import sys, granet; before = 'torch' in sys.modules;"
        "granet.GraNet; print(before, 'torch' in sys.modules)"
    )
    assert result.stdout.split() == ["False", "True"], result.stderr


def test_every_public_name_is_there() -> None:
    assert set(granet.__all__) == {"GraNet", "GraNetConfig", "load_checkpoint", "save_checkpoint"}
    assert all(callable(getattr(granet, name)) for name in granet.__all__)


def test_a_name_that_is_not_there_is_an_ordinary_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        granet.no_such_name  # noqa: B018
