"""What making models needs beyond the base install."""

from importlib.util import find_spec

from granet.errors import UserError


def require_export_extra() -> None:
    """Raises one line where only the base install is, as on an edge box."""
    missing = [name for name in ("torch", "onnx", "onnxscript", "safetensors") if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{', '.join(missing)} not installed, and models are made with it: "
            'pip install "granet-deploy[cpu,export]"'
        )
