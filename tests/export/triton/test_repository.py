"""``granet-export triton``: the configuration as Triton's own protobuf reads it, versions, and refusals."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export.cli import app
from granet.app.console import run_app
from runtime.artefacts.manifest import sha256_of, verify
from runtime.artefacts.served import ServedModel
from runtime.tensorrt.optimisation_profile import Profile
from tests.runtime.handmade import METADATA, inverting_file, write_manifest
from tests.runtime.tensorrt.engine_files import PLAN, engine_file, record


def exported(*arguments: str | Path) -> int:
    return run_app(app, ["triton", *map(str, arguments)])


def config(repository: Path, name: str = "granet") -> Any:
    text = (repository / name / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = inverting_file(tmp_path / "best.onnx")
    write_manifest(path, sha256_of(path), METADATA)
    return path


def tree(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_a_model_of_any_size(model: Path, repository: Path) -> None:
    more = ("--max-batch", "4", "--instances", "2", "--queue-delay-us", "700")
    assert exported(model, "-o", repository, *more) == 0
    read = config(repository)
    assert (read.name, read.backend, read.max_batch_size) == ("granet", "onnxruntime", 4)
    assert read.default_model_filename == "model.onnx"
    for tensor in (*read.input, *read.output):
        assert (tensor.data_type, list(tensor.dims)) == (model_config_pb2.TYPE_UINT8, [-1, -1, 3])
    assert [tensor.name for tensor in (*read.input, *read.output)] == ["rainy", "derained"]
    assert read.instance_group[0].count == 2
    assert read.dynamic_batching.max_queue_delay_microseconds == 700
    policy = read.dynamic_batching.default_queue_policy
    assert policy.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT
    assert policy.default_timeout_microseconds > 0 and policy.max_queue_size > 0
    assert policy.allow_timeout_override
    assert read.version_policy.latest.num_versions == 1
    assert list(read.model_warmup[0].inputs["rainy"].dims) == [480, 640, 3]
    served = ServedModel.from_json(read.parameters["granet"].string_value, "test")
    assert served == ServedModel.of(METADATA)
    written = repository / "granet" / "1" / "model.onnx"
    assert written.read_bytes() == model.read_bytes()
    assert verify(written) is not None


@pytest.mark.parametrize("via", ["onnxruntime", "openvino"])
def test_a_static_model_gets_no_batches(tmp_path: Path, repository: Path, via: str) -> None:
    model = inverting_file(tmp_path / "static.onnx", height=48, width=64, batch=1)
    assert exported(model, "-o", repository, "--via", via) == 0
    read = config(repository)
    assert (read.backend, read.max_batch_size, list(read.input[0].dims)) == (via, 0, [1, 48, 64, 3])
    assert list(read.model_warmup[0].inputs["rainy"].dims) == [1, 48, 64, 3]


def test_a_batch_of_one_frame_is_not_waited_for(
    model: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exported(model, "-o", repository, "--max-batch", "1", "--queue-delay-us", "700") == 2
    assert "--queue-delay-us with --max-batch 1: " in capsys.readouterr().err
    assert not repository.exists()


def test_an_engine_runs_in_tensorrt(tmp_path: Path, repository: Path) -> None:
    profile = Profile((1, 48, 64), (2, 48, 64), (4, 48, 64))
    engine = engine_file(tmp_path, record(meta={"batch": None}, profiles=(profile,)))
    assert exported(engine, "-o", repository) == 0
    read = config(repository)
    assert (read.backend, read.max_batch_size) == ("tensorrt", 4)  # the profile takes no more
    assert list(read.input[0].dims) == [48, 64, 3]
    assert (repository / "granet" / "1" / "model.plan").read_bytes() == PLAN


@pytest.mark.parametrize("suffix", [".onnx", ".pt", ".engine"])
def test_every_model_runs_in_python(
    suffix: str, model: Path, engines_checkpoint: Path, tmp_path: Path, repository: Path
) -> None:
    paths = {
        ".onnx": model,
        ".pt": engines_checkpoint,
        ".engine": engine_file(tmp_path, record("tensorrt-rtx")),
    }
    assert exported(paths[suffix], "-o", repository, "--via", "python") == 0
    read = config(repository)
    file = read.parameters["granet_model"].string_value
    assert (read.backend, read.max_batch_size, file) == ("python", 8, f"model{suffix}")
    assert (repository / "granet" / "1" / file).read_bytes() == paths[suffix].read_bytes()
    assert "runtime.triton_model" in (repository / "granet" / "1" / "model.py").read_text()


def test_an_engine_gives_no_mask(tmp_path: Path, repository: Path) -> None:
    """A client asked for the mask that the server promised, and every request failed."""
    outputs = {"outputs": ["derained", "coarse", "mask"]}
    engine = engine_file(tmp_path, record("tensorrt-rtx", meta=outputs))
    assert exported(engine, "-o", repository, "--via", "python") == 0
    assert [tensor.name for tensor in config(repository).output] == ["derained"]


def test_a_second_export_is_a_new_version(tmp_path: Path, model: Path, repository: Path) -> None:
    assert exported(model, "-o", repository) == 0
    before = tree(repository)
    newer = inverting_file(tmp_path / "newer.onnx", checkpoint="newer.pt")
    assert exported(newer, "-o", repository) == 0
    after = tree(repository)
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {"granet/2/model.onnx"}
    assert not [path for path in repository.rglob(".*")]


@pytest.mark.parametrize(
    ("changes", "arguments"), [({"colour": "rgb"}, ()), ({"multiple": 16}, ()), ({}, ("--instances", "3"))]
)
def test_a_version_with_another_configuration_is_refused(
    changes: dict[str, Any],
    arguments: tuple[str, ...],
    tmp_path: Path,
    model: Path,
    repository: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exported(model, "-o", repository) == 0
    before = tree(repository)
    assert exported(inverting_file(tmp_path / "other.onnx", **changes), "-o", repository, *arguments) == 1
    assert "--name" in capsys.readouterr().err
    assert tree(repository) == before
    assert exported(model, "-o", repository, "--name", "second", *arguments) == 0


def test_a_full_disk_leaves_nothing(
    model: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("export.triton.repository.write_atomically", full)
    assert exported(model, "-o", repository) == 1
    assert "No space left" in capsys.readouterr().err
    assert not repository.exists()


def test_refusals_are_one_line(tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dynamic = inverting_file(tmp_path / "dynamic.onnx")
    tensor = inverting_file(tmp_path / "tensor.onnx", layout="tensor")
    static = inverting_file(tmp_path / "static.onnx", height=48, width=64, batch=1)
    rtx = engine_file(tmp_path, record("tensorrt-rtx"))
    cases: list[tuple[list[str | Path], str, int]] = [
        ([dynamic, "--via", "openvino"], "any size", 1),
        ([dynamic, "--via", "tensorrt"], "onnxruntime or openvino or python", 2),
        ([tensor], "--layout frames", 1),
        ([rtx], "TensorRT-RTX", 1),
        ([rtx, "--via", "onnxruntime"], "tensorrt or python", 2),
        ([static, "--max-batch", "4"], "--dynamic", 2),
        ([dynamic, "--name", "../up"], "--name", 2),
        ([tmp_path / "none.onnx"], "none.onnx", 1),
        (["grpc://gpu/granet"], "give the file", 1),
    ]
    for arguments, reason, status in cases:
        assert exported(*arguments, "-o", repository) == status, arguments
        error = capsys.readouterr().err
        assert reason in error and error.count("\n") == 1, error
    assert not repository.exists()
