"""Our runtime inside a real Triton server: pixels, batches, refusals, drops, and a server that is killed."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpc_client
from tritonclient.utils import InferenceServerException

from export.cli import app
from granet.app.console import run_app
from runtime import Engine, open_engine
from runtime.engines.base import EngineAwayError
from runtime.live.patience import PatientEngine
from tests.patience import PATIENCE
from tests.runtime.handmade import inverting_file
from tests.runtime.triton_server import installed, triton


class Running:
    """The server, which can be killed and started again."""

    def __init__(self, directory: Path, repository: Path, log: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._arguments = (directory, repository, self.port, log, *options)
        self._held = ExitStack()
        self.log = log
        self.start()

    def start(self) -> None:
        self._held.enter_context(triton(*self._arguments))

    def kill(self) -> None:
        self._held.close()


@pytest.fixture(scope="module")
def server(engines_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("triton")
    reason = installed(directory)
    if reason is not None:
        pytest.skip(f"nvidia-pytriton cannot be installed: {reason}")
    repository = directory / "repository"
    assert run_app(app, ["triton", str(engines_onnx), "--via", "python", "-o", str(repository)]) == 0
    others = {"any": inverting_file(directory / "any.onnx")}
    others["fixed"] = inverting_file(directory / "fixed.onnx", height=48, width=64, batch=1)
    for name, path in others.items():
        assert run_app(app, ["triton", str(path), "-o", str(repository), "--name", name]) == 0
    running = Running(directory, repository, directory / "log")
    try:
        yield running
    finally:
        running.kill()


@pytest.fixture
def engine(server: Running) -> Iterator[Engine]:
    with open_engine(f"grpc://127.0.0.1:{server.port}/granet") as opened:
        yield opened


def noise(n: int = 1, height: int = 37, width: int = 53, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)


def test_pixels_are_those_of_the_local_engine(engine: Engine, engines_onnx: Path) -> None:
    with open_engine(engines_onnx, "cpu", "onnxruntime") as local:
        for frames in (noise(), noise(2, 48, 64), noise(1, 40, 530)):
            expected = local.run(frames)
            assert np.mean(expected != frames) > 0.1
            np.testing.assert_array_equal(engine.run(frames), expected)


def test_frames_of_several_cameras_form_batches(engine: Engine, server: Running) -> None:
    frames = [noise(1, 240, 320, seed=seed) for seed in range(24)]
    with ThreadPoolExecutor(engine.concurrency) as pool:
        results = list(pool.map(engine.run, frames))
    for frame, result in zip(frames[:3], results, strict=False):
        np.testing.assert_array_equal(result, engine.run(frame))
    client = grpc_client.InferenceServerClient(f"127.0.0.1:{server.port}")
    (statistics,) = client.get_inference_statistics("granet").model_stats
    client.close()
    assert max(each.batch_size for each in statistics.batch_stats) > 1


@pytest.mark.parametrize("shape", [(1, 48, 64, 4), (9, 48, 64, 3), (48, 64, 3)])
def test_a_wrong_shape_is_refused(server: Running, engine: Engine, shape: tuple[int, ...]) -> None:
    client = grpc_client.InferenceServerClient(f"127.0.0.1:{server.port}")
    source = grpc_client.InferInput("rainy", list(shape), "UINT8")
    source.set_data_from_numpy(np.zeros(shape, np.uint8))
    with pytest.raises(InferenceServerException, match=r"shape|batch"):
        client.infer("granet", [source])
    client.close()
    engine.run(noise())


def test_late_frames_are_dropped(engine: Engine, server: Running) -> None:
    """Frames that may wait for 1 ms, behind one that is computed."""
    from runtime.engines.remote.address import ServerAddress
    from runtime.engines.remote.client import FrameDroppedError, failure_of

    address = ServerAddress(f"127.0.0.1:{server.port}", "granet")
    client = grpc_client.InferenceServerClient(f"127.0.0.1:{server.port}")
    reasons: list[type[Exception]] = []

    def short(seed: int) -> None:
        source = grpc_client.InferInput("rainy", [1, 480, 640, 3], "UINT8")
        source.set_data_from_numpy(noise(1, 480, 640, seed=seed))
        try:
            client.infer("granet", [source], timeout=1000)
        except InferenceServerException as error:
            reasons.append(type(failure_of(error, address, 1)))

    threads = [threading.Thread(target=short, args=(seed,)) for seed in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    assert reasons and set(reasons) == {FrameDroppedError}
    engine.run(noise())


def test_configurations_of_other_back_ends_are_accepted_up_to_the_missing_back_end(
    engine: Engine, server: Running
) -> None:
    log = server.log.read_text(errors="replace")
    for name in ("any", "fixed"):
        lines = [line for line in log.splitlines() if f"failed to load '{name}' version 1" in line]
        assert lines and "unable to find backend library for backend 'onnxruntime'" in lines[0], lines


def test_parity_and_bench_take_an_address(
    server: Running, engines_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"grpc://127.0.0.1:{server.port}/granet"
    checked = ["parity", "--ckpt", str(engines_checkpoint), address, "--size", "64x48", "--json"]
    run_app(app, checked)  # untrained weights are outside the budget; what is compared counts
    found = json.loads(capsys.readouterr().out)
    assert address in found["model"]
    assert (
        run_app(app, ["bench", address, "--size", "64x48", "--frames", "2", "--warm-up", "1", "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)


def test_shared_memory_gives_the_same_pixels_also_after_a_restart(server: Running, engine: Engine) -> None:
    before = set(Path("/dev/shm").glob("granet-*"))
    with open_engine(f"grpc://127.0.0.1:{server.port}/granet?shared-memory") as shared:
        for frames in (noise(), noise(2, 48, 64), noise(1, 40, 530), noise()):
            np.testing.assert_array_equal(shared.run(frames), engine.run(frames))
        assert set(Path("/dev/shm").glob("granet-*")) > before
        with ThreadPoolExecutor(shared.concurrency) as pool:
            results = list(pool.map(shared.run, [noise(seed=seed) for seed in range(16)]))
        for seed, result in enumerate(results):
            np.testing.assert_array_equal(result, engine.run(noise(seed=seed)))
        server.kill()
        server.start()
        patient = PatientEngine(shared, lambda text: None, patience=PATIENCE)
        np.testing.assert_array_equal(patient.run(noise()), results[0])
    assert set(Path("/dev/shm").glob("granet-*")) == before


def test_an_encrypted_connection_is_checked_against_the_users_certificate(server: Running) -> None:
    """A process of its own: gRPC reads the certificates once."""
    folder = server.log.parent
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    tls = ["--grpc-use-ssl=1", f"--grpc-server-cert={certificate}", f"--grpc-server-key={key}"]
    secured = Running(folder, folder / "repository", folder / "log-tls", *tls)
    try:
        code = (
            "import numpy as np;"
            "from runtime.engines.remote.address import ServerAddress;"
            "from runtime.engines.remote.engine import RemoteEngine;"
            f"RemoteEngine(ServerAddress.parse('grpcs://127.0.0.1:{secured.port}/granet'), patience=PATIENCE)"
            ".run(np.zeros((1, 48, 64, 3), np.uint8))"
        )
        trusted = {**os.environ, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(certificate)}
        command = [sys.executable, "-c", code.replace("PATIENCE", "60")]
        assert subprocess.run(command, env=trusted, capture_output=True, text=True).returncode == 0
        refused = [sys.executable, "-c", code.replace("PATIENCE", "1")]
        assert "CERTIFICATE_VERIFY_FAILED" in subprocess.run(refused, capture_output=True, text=True).stderr
    finally:
        secured.kill()


def test_a_server_that_is_killed_and_returns(server: Running, engine: Engine) -> None:
    expected = engine.run(noise())
    server.kill()
    with pytest.raises(EngineAwayError):
        engine.run(noise())
    server.start()
    patient = PatientEngine(engine, lambda text: None, patience=PATIENCE)
    np.testing.assert_array_equal(patient.run(noise()), expected)
