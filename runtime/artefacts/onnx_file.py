"""Reads the metadata of an ONNX file without the onnx package.

An edge device has onnxruntime or openvino but not onnx, so this module parses the protobuf wire format
itself (https://protobuf.dev/programming-guides/encoding/); field numbers are those of onnx.proto3.
The file is untrusted, so every length is checked before use.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from granet.errors import UserError
from runtime.artefacts.metadata import KEY, ModelMetadata

MODEL_GRAPH = 7
MODEL_METADATA = 14
ENTRY_KEY, ENTRY_VALUE = 1, 2
TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION = 13, 14

# The messages that may contain tensors: message -> {field number: message}.
_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


class _Field(NamedTuple):
    """One field of a message: number, wire type, varint (0 for other types) and position of the payload."""

    number: int
    wire_type: int
    value: int
    start: int
    stop: int


class _WireError(ValueError):
    """The bytes are not a valid protobuf message."""


def read_metadata(path: Path) -> ModelMetadata:
    """Reads the metadata of an exported model.

    Raises:
        UserError: if the file cannot be read, is not an ONNX file or is damaged, was not made by
            granet-export, or stores its weights in another file.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return metadata_in(data, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # mmap's for an empty file
        raise _not_onnx(path, error) from error


def metadata_in(data: bytes | mmap.mmap, path: Path) -> ModelMetadata:
    """As :func:`read_metadata`, of a file that was read; ``path`` names it in errors."""
    try:
        entries = _inspect(data, path)
    except ValueError as error:  # _WireError, and a text that is not UTF-8
        raise _not_onnx(path, error) from error
    if KEY not in entries:
        raise UserError(
            f"{path}: this ONNX file was not made by granet-export: export your checkpoint with it"
        )
    return ModelMetadata.from_json(entries[KEY], str(path))


def _not_onnx(path: Path, error: ValueError) -> UserError:
    return UserError(f"{path}: not an ONNX file, or damaged ({error}): export it again")


def _inspect(data: bytes | mmap.mmap, path: Path) -> dict[str, str]:
    """The metadata_props of a ModelProto whose weights are all inside."""
    entries: dict[str, str] = {}
    has_graph = False
    for field in _fields(data, 0, len(data)):
        if field.wire_type == _BYTES and field.number == MODEL_METADATA:
            key, value = _entry(data, field)
            entries[key] = value
        has_graph = has_graph or (field.wire_type == _BYTES and field.number == MODEL_GRAPH)
    if not has_graph:
        raise _WireError("it has no graph")
    if _has_external_data(data):
        raise UserError(
            f"{path}: stores its weights in a separate file, which is not supported: export the checkpoint "
            "with granet-export, which stores them inside"
        )
    return entries


def _entry(data: bytes | mmap.mmap, entry: _Field) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto."""
    texts = {ENTRY_KEY: "", ENTRY_VALUE: ""}
    for field in _fields(data, entry.start, entry.stop):
        if field.wire_type == _BYTES and field.number in texts:
            texts[field.number] = data[field.start : field.stop].decode()  # UnicodeDecodeError: a ValueError
    return texts[ENTRY_KEY], texts[ENTRY_VALUE]


def _has_external_data(data: bytes | mmap.mmap) -> bool:
    """Whether any tensor, in subgraphs, attributes and functions too, lies outside of the file.

    Uses a stack, not recursion, because the file determines the depth.
    """
    pending = [("model", 0, len(data))]
    while pending:
        message, start, stop = pending.pop()
        for field in _fields(data, start, stop):
            if message == "tensor" and _is_external(field):
                return True
            child = _CHILDREN[message].get(field.number)
            if child is not None and field.wire_type == _BYTES:
                pending.append((child, field.start, field.stop))
    return False


def _is_external(field: _Field) -> bool:
    if field.number == TENSOR_DATA_LOCATION:
        return field.value != 0  # TensorProto.DataLocation: DEFAULT = 0, EXTERNAL = 1
    return field.number == TENSOR_EXTERNAL_DATA


def _fields(data: bytes | mmap.mmap, position: int, stop: int) -> Iterator[_Field]:
    """The fields of the message in ``data[position:stop]``.

    Raises:
        _WireError: if the bytes are not a valid message.
    """
    while position < stop:
        tag, position = _varint(data, position, stop)
        number, wire_type = tag >> 3, tag & 7
        value, end = 0, position
        if wire_type == _VARINT:
            value, end = _varint(data, position, stop)
        elif wire_type == _BYTES:
            length, position = _varint(data, position, stop)
            end = position + length
        elif wire_type in (_FIXED32, _FIXED64):
            end = position + (4 if wire_type == _FIXED32 else 8)
        else:
            raise _WireError(f"wire type {wire_type} at byte {position}")
        if number == 0:
            raise _WireError(f"field 0 at byte {position}")
        if end > stop:
            raise _WireError(f"truncated in a field at byte {position}")
        yield _Field(number, wire_type, value, position, end)
        position = end


def _varint(data: bytes | mmap.mmap, position: int, stop: int) -> tuple[int, int]:
    """A base-128 varint and the position after it."""
    value = 0
    for i in range(_LONGEST_VARINT):
        if position + i >= stop:
            raise _WireError("truncated in a number")
        byte = data[position + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, position + i + 1
    raise _WireError(f"a number of more than {_LONGEST_VARINT} bytes at byte {position}")
