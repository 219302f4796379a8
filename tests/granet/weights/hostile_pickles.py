"""Checkpoints that ask for more than they are: small files, made by hand or with pickle."""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_HEAD = b"\x80\x02"
_FLOATS = b"ctorch\nFloatStorage\n"
_TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


class Call:
    """Unpickling it calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.arguments


def pickled(value: Any) -> bytes:
    return pickle.dumps(value, protocol=2)


def nested(opcode: bytes, depth: int) -> bytes:
    """An empty list in ``depth`` tuples (``\\x85``) or lists (``]`` first)."""
    return _HEAD + b"]" + opcode * depth + b"."


def nested_lists(depth: int) -> bytes:
    return _HEAD + b"]" * depth + b"a" * (depth - 1) + b"."


def grown_from_the_outside(depth: int) -> bytes:
    """Each list is put into the one before while it is empty, and filled afterwards."""
    return _HEAD + b"]q\x00" + b"]q\x01ah\x01" * depth + b"."


def key_of_tuples(depth: int) -> bytes:
    """A dictionary whose key takes ``depth`` calls to hash."""
    return _HEAD + b"})" + b"\x85" * depth + b"K\x01s."


def repeated(text: bytes, times: int) -> bytes:
    """One long text that is encoded again and again: four bytes for each copy."""
    start = b"X" + struct.pack("<I", len(text)) + text + b"X\x0e\x00\x00\x00unicode_escape\x86q\x00"
    return _HEAD + b"]q\x02c_codecs\nencode\nq\x01" + start + b"0" + b"h\x01h\x00Ra" * times + b"."


def storage(key: str, count: int, *, legacy: bool = False) -> bytes:
    """Opcodes of a tensor of ``count`` float32 numbers."""
    number = b"\x8a\x08" + struct.pack("<q", count)
    parts = [_text("storage"), _FLOATS, _text(key), _text("cpu"), number, *([b"N"] if legacy else [])]
    shape = b"(K\x01tq\x05(K\x01t\x89)"
    return _TENSOR + b"((" + b"".join(parts) + b"tQK\x00" + shape + b"tR"


def weights_of(tensor: bytes) -> bytes:
    return _HEAD + b"}" + _text("coarse.head.weight") + tensor + b"s."


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def archive(path: Path, content: bytes, records: dict[str, bytes] | None = None) -> Path:
    """A zip file as ``torch.save`` lays it out."""
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("best/data.pkl", content)
        target.writestr("best/version", "3\n")
        for name, data in (records or {}).items():
            target.writestr(f"best/{name}", data)
    return path


def legacy(path: Path, content: bytes, keys: list[str] | None = None, after: bytes = b"") -> Path:
    """A file as ``torch.save`` wrote it before PyTorch 1.6."""
    buffer = io.BytesIO()
    torch.save({}, buffer, _use_new_zipfile_serialization=False)
    buffer.seek(0)
    for _ in range(3):
        pickle.load(buffer)  # the magic number, the version and the machine
    head = buffer.getvalue()[: buffer.tell()]
    path.write_bytes(head + content + pickled(keys or []) + after)
    return path


def small_bombs(folder: Path) -> dict[Path, str]:
    """Files of at most a few megabytes that would take gigabytes or crash, and the reason for refusing."""
    damaged, hostile = "it is damaged, or a pickle that torch.save did not write", "nested more than"
    large = pickled(Call(bytearray, 5 * 10**9))
    deep = 2_000_000
    contents = {
        "bytearray": (large, "refused, because loading it would run builtins.bytearray"),
        "tensor": (pickled(Call(torch.Tensor, 10**10)), "would run torch.Tensor"),
        "storage": (pickled(Call(torch.FloatStorage, 10**10)), damaged),
        "quantised": (_HEAD + b"ctorch._utils\n_rebuild_qtensor\n)R.", "does not consist of plain weights"),
        "tuples": (nested(b"\x85", deep), hostile),
        "lists": (nested_lists(deep // 8), hostile),
        "outside": (grown_from_the_outside(deep // 6), damaged),
        "key": (key_of_tuples(deep), hostile),
        "encoded": (repeated(b"\xc3\xa4" * 500_000, 100_000), damaged),
        "number": (_HEAD + b"\x8b\xff\xff\xff\x7f.", damaged),
        "text": (_HEAD + b"X\xff\xff\xff\xff.", damaged),
        "marks": (_HEAD + b"(" * deep + b".", "far more values than a network"),
        "dictionaries": (_HEAD + b"}0" * deep + b".", damaged),
        "numbers": (_HEAD + b"(" + b"K\x01" * deep + b"t.", "far more values than a network"),
    }
    bombs = {}
    for name, (content, reason) in contents.items():
        bombs[archive(folder / f"{name}.pt", content)] = reason
        bombs[legacy(folder / f"{name}-legacy.pth", content)] = reason
    few = archive(folder / "few.pt", weights_of(storage("0", 2**40)), {"data/0": bytes(8)})
    many = legacy(folder / "many.pt", weights_of(storage("0", 2**40, legacy=True)), ["0"], bytes(16))
    header = folder / "header.safetensors"
    header.write_bytes(struct.pack("<Q", 5 << 20) + b"{" + b" " * (5 << 20))
    inside = folder / "inside.safetensors"
    brackets = b'{"__metadata__":' + b"[" * (1 << 20) + b"}"
    inside.write_bytes(struct.pack("<Q", len(brackets)) + brackets)
    return bombs | {
        few: "numbers of a tensor are missing",
        many: "its tensors claim to be larger than the file",
        header: "its header has 5,242,880 bytes",
        inside: "it is damaged",
    }
