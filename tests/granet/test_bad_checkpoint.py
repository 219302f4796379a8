"""Checkpoints that are broken, hostile or of something else: one line each, and no harm done."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from granet import GraNet, load_checkpoint, save_checkpoint
from tests.granet.checkpoints import CONFIG, SUFFIXES, python, record_of, refused, saved, with_record


@pytest.fixture
def model() -> GraNet:
    torch.manual_seed(11)
    return GraNet(CONFIG)


# --- files that are not what they say --------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_file_and_a_directory(suffix: str, tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / f"best{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    assert "it is a directory" in refused(tmp_path / f"folder{suffix}")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "best.pt").touch()
    monkeypatch.setattr("granet.app.input_file.os.open", denied)
    assert "cannot be read: Permission denied" in refused(tmp_path / "best.pt")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"P",
        b"these are my notes\non rain\n",
        b"PK\x03\x04" + bytes(200),
        b"\x80\x02 garbage",
        bytes(300),
    ],
    ids=["empty", "one byte", "text", "zip head", "pickle head", "zeros"],
)
def test_a_file_of_something_else(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"best{suffix}"
    path.write_bytes(content)
    assert "checkpoint" in refused(path) or "damaged" in refused(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_short(suffix: str, share: float, model: GraNet, tmp_path: Path) -> None:
    path = tmp_path / f"best{suffix}"
    save_checkpoint(path, model)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "damaged" in refused(path)


@pytest.mark.parametrize("header", [b"{" * 64, b'{"a":{"dtype":"F32","shape":[99],"data_offsets":[0,8]}}'])
def test_a_safetensors_file_whose_header_lies(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    assert "damaged" in refused(path)
    path.write_bytes(struct.pack("<Q", 2**62) + header)
    assert "damaged" in refused(path)


def test_a_zip_archive_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "best.pt", "w") as archive:
        archive.writestr("notes/rain.txt", "it rains")
    assert "not a PyTorch checkpoint" in refused(tmp_path / "best.pt")


def test_a_torchscript_program(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "best.pt", "w") as archive:
        for name in ("constants.pkl", "data.pkl", "version"):
            archive.writestr(f"best/{name}", "3")
    assert "TorchScript" in refused(tmp_path / "best.pt")


@pytest.mark.parametrize("content", [3, "weights", [torch.zeros(2)], {}, {"epoch": 3}, {"state_dict": {}}])
def test_a_pickle_without_weights(content: object, tmp_path: Path) -> None:
    assert "not a checkpoint of GraNet" in refused(saved(content, tmp_path / "best.pt"))


def test_a_checkpoint_of_another_network(tmp_path: Path) -> None:
    resnet = OrderedDict([("conv1.weight", torch.zeros(64, 3, 7, 7)), ("fc.bias", torch.zeros(1000))])
    assert "another network" in refused(saved({"state_dict": resnet}, tmp_path / "resnet.pt"))
    save_file(dict(resnet), tmp_path / "resnet.safetensors")
    assert "another network" in refused(tmp_path / "resnet.safetensors")


# --- hostile files ---------------------------------------------------------------------------------


class Payload:
    """Unpickling it runs a command."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch '{self.target}'",)


@pytest.mark.parametrize("form", ["zip", "legacy", "protocol 2", "protocol 4"])
@pytest.mark.parametrize("place", ["alone", "beside weights"])
def test_a_pickle_that_would_run_a_command_does_not(
    form: str, place: str, model: GraNet, tmp_path: Path
) -> None:
    trap, path = tmp_path / "sprung", tmp_path / "best.pt"
    content = Payload(trap) if place == "alone" else {"state_dict": model.state_dict(), "trap": Payload(trap)}
    if form.startswith("protocol"):
        path.write_bytes(pickle.dumps(content, protocol=int(form[-1])))
    else:
        saved(content, path, _use_new_zipfile_serialization=form == "zip")
    foreign = "it is a pickle of protocol 4"
    assert (foreign if form == "protocol 4" else "refused, because loading it would run") in refused(path)
    assert not trap.exists()
    pickle.loads(pickle.dumps(Payload(trap)))  # the trap is a real one
    assert trap.exists()


def test_a_whole_pickled_network_is_refused_by_the_name_of_its_class(model: GraNet, tmp_path: Path) -> None:
    assert "granet.model.GraNet" in refused(saved(model, tmp_path / "best.pt"))


def compressed(path: Path) -> Path:
    """The same archive, deflated, as torch never writes it."""
    with (
        zipfile.ZipFile(io.BytesIO(path.read_bytes())) as plain,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as deflated,
    ):
        for entry in plain.infolist():
            deflated.writestr(entry.filename, plain.read(entry))
    return path


def bombs(folder: Path) -> dict[Path, str]:
    """Small files that claim much, and what is to be said of them."""
    name = "coarse.head.weight"
    ring: dict[str, Any] = {}
    ring["model"] = ring["ema"] = ring["state_dict"] = ring
    widest = dict.fromkeys(["channels", "growth", "nonlocal_channels"], 1024)
    largest = record_of(**widest, dense_layers=64, fine_blocks=64)
    view = saved({name: torch.zeros(1).expand(10**6, 10**6)}, folder / "view.pt")
    return {
        view: "its tensors claim to be larger than the file",
        compressed(saved({name: torch.zeros(10**6)}, folder / "deflated.pt")): "it is a compressed archive",
        saved(ring, folder / "ring.pt"): "it holds no tensors",
        with_record(folder / "largest.pt", GraNet(CONFIG), largest): "do not fit its configuration",
    }


def test_bombs_take_neither_memory_nor_time(tmp_path: Path) -> None:
    """4 GiB of addresses, torch included, and half a minute of processor time do for all of them."""
    expected = bombs(tmp_path)
    said = python(
        "resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (30, 30))\n"
        "for path in sys.argv[1:]:\n"
        "    try: load_checkpoint(path)\n"
        "    except UserError as error: print(error)",
        *expected,
    )
    assert len(said) == len(expected)
    for line, (path, reason) in zip(said, expected.items(), strict=True):
        assert line.startswith(f"{path}: ") and reason in line


@pytest.mark.parametrize("kind", ["meta", "sparse", "integer", "complex"])
def test_tensors_that_are_no_weights(kind: str, model: GraNet, tmp_path: Path) -> None:
    state = model.state_dict()
    weight = state["coarse.head.weight"]
    state["coarse.head.weight"] = {
        "meta": weight.to("meta"),
        "sparse": weight.to_sparse(),
        "integer": weight.to(torch.int8),
        "complex": weight.to(torch.complex64),
    }[kind]
    assert "does not consist of plain" in refused(saved(state, tmp_path / "best.pt"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_weights_of_a_training_that_diverged(
    suffix: str, value: float, model: GraNet, tmp_path: Path
) -> None:
    nn.init.constant_(model.fine.head.bias, value)
    save_checkpoint(tmp_path / f"best{suffix}", model)
    assert "fine.head.bias holds NaN or infinite values" in refused(tmp_path / f"best{suffix}")


def test_names_in_a_file_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    names = ["\x1b[2Jcleared\nOK: loaded", "a" * 10_000]
    state = {name: torch.full((2,), float("nan")) for name in names}
    assert "damaged" not in refused(saved(state, tmp_path / "best.pt"))


# --- configurations that are not those of the weights ----------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "changes",
    [
        {"channels": 8},
        {"growth": 4},
        {"dense_layers": 3},
        {"nonlocal_channels": 4},
        {"fine_blocks": 4},
        {"fine_blocks": 2},
        {"region_aware": False},
        {"fine_stage": False},
        {"context": False},
    ],
    ids=str,
)
def test_a_configuration_of_another_network(
    suffix: str, changes: dict[str, Any], model: GraNet, tmp_path: Path
) -> None:
    path = with_record(tmp_path / f"best{suffix}", model, record_of(**changes))
    assert "do not fit its configuration" in refused(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": 10**9},
        {"dense_layers": 10**9},
        {"fine_blocks": 10**400},
        {"channels": -1},
        {"growth": "32"},
        {"key_stride": True},
        {"fine_stage": None},
        {"region_extent": 500},
        {"colour": "red\nblue"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_absurd_configuration_is_refused_by_name(
    changes: dict[str, Any], model: GraNet, tmp_path: Path
) -> None:
    name = next(iter(changes))
    message = refused(with_record(tmp_path / "best.pt", model, record_of(**changes)))
    assert name.replace("_", " ") in message.replace("_", " ")


RECORD = {"format": "granet-checkpoint/1", "config": {}, "facts": {}}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("", "it is not valid JSON: input data was truncated"),
        ("{", "it is not valid JSON: input data was truncated"),
        ("[]", "expected a JSON object, got a list"),
        ("3", "expected a JSON object, got an integer"),
        ("null", "expected a JSON object, got null"),
        ("{}", "format is missing"),
        ('{"format": 1}', "config is missing"),
        ('{"config": ' + "[" * 100_000, "config: expected a JSON object, got a list"),
        ('{"config": {"a": ' + "[" * 100_000, "it is not valid JSON: nested too deeply"),
        (json.dumps(RECORD | {"config": []}), "config: expected a JSON object, got a list"),
        (json.dumps(RECORD | {"facts": 3}), "facts: expected a JSON object, got an integer"),
        (json.dumps(RECORD | {"facts": {"psnr": float("nan")}}), "it is not valid JSON: invalid character"),
    ],
    ids=lambda text: text[:24],
)
def test_a_damaged_record(record: str, reason: str, model: GraNet, tmp_path: Path) -> None:
    message = refused(with_record(tmp_path / "best.safetensors", model, record))
    assert f"its configuration is damaged: {reason}" in message


def test_a_format_of_the_future(model: GraNet, tmp_path: Path) -> None:
    record = record_of().replace("granet-checkpoint/1", "granet-checkpoint/9")
    message = refused(with_record(tmp_path / "best.pt", model, record))
    assert "granet-checkpoint/9" in message and "granet-checkpoint/1" in message


def test_an_old_torch_is_not_trusted_with_a_pickle(
    model: GraNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for suffix in (".pt", ".safetensors"):
        save_checkpoint(tmp_path / f"best{suffix}", model)
    monkeypatch.setattr(torch, "__version__", "2.9.1+cu128")
    assert "torch>=2.10" in refused(tmp_path / "best.pt")
    assert load_checkpoint(tmp_path / "best.safetensors").config == CONFIG


def test_a_torchscript_program_that_is_compressed_is_called_one(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as target:
        for name in ("data.pkl", "constants.pkl", "code/__torch__/network.py"):
            target.writestr(f"network/{name}", b"\x80\2N.")
    assert "TorchScript" in refused(tmp_path / "a.pt")


def test_a_header_of_safetensors_that_names_a_tensor_twice_is_refused(tmp_path: Path) -> None:
    """One reader takes the first tensor and another the last."""
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, GraNet(CONFIG))
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + size].rstrip()
    tensors = json.loads(header)
    first = next(name for name in tensors if name != "__metadata__")
    doubled = header[:-1] + b"," + json.dumps({first: tensors[first]}).encode()[1:]
    path.write_bytes(len(doubled).to_bytes(8, "little") + doubled + data[8 + size :])
    assert f"'{first}' occurs twice" in refused(path)
