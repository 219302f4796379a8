"""A real Triton server, from the wheel ``nvidia-pytriton``, in an environment of its own."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "nvidia-pytriton==0.7.0",
    "numpy<2",
    "opencv-python",
    "av",
    "typer",
    "rich",
    "msgspec",
    "onnxruntime",
)


def installed(directory: Path) -> str | None:
    """Makes the environment; returns why that is not possible."""
    tag = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = directory / "env" / "bin" / "python"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    commands = (
        [*uv, "venv", "--python", sys.executable, str(directory / "env")],
        [*uv, "pip", "install", "--python", str(python), *PACKAGES],
    )
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{type(error).__name__}"
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["it failed"])[-1][:200]
    source = _packages(directory) / "pytriton" / "tritonserver"
    stub = source / "python_backend_stubs" / tag / "triton_python_backend_stub"
    if not stub.exists():
        return f"the wheel has no Python {tag}"
    shutil.copytree(source / "backends", directory / "backends")
    shutil.copy(stub, directory / "backends" / "python")
    return None


def _packages(directory: Path) -> Path:
    return next((directory / "env" / "lib").glob("python*")) / "site-packages"


@contextmanager
def triton(
    directory: Path, repository: Path, port: int, log: Path, *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the server until the end; what it says is in ``log``."""
    packages = _packages(directory)
    libraries = [sysconfig.get_config_var("LIBDIR"), str(packages / "nvidia_pytriton.libs")]
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": ":".join(filter(None, libraries)),
        "PYTHONPATH": f"{ROOT}:{packages}",
        "PATH": f"{directory / 'env' / 'bin'}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    command = [
        str(packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"),
        *("--model-repository", str(repository), "--backend-directory", str(directory / "backends")),
        *("--allow-http=false", "--allow-metrics=false", "--exit-on-error=false"),
        *("--grpc-address", "127.0.0.1", "--grpc-port", str(port)),
        *options,
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield process
        finally:
            # The processes of the models outlive a server that is killed.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
