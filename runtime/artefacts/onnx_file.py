"""Reads what granet-export wrote into an ONNX file, without the onnx package.

An edge device has onnxruntime or openvino but not onnx, so this walks the protobuf wire format
itself (https://protobuf.dev/programming-guides/encoding/); field numbers are those of onnx.proto3.
The file is whatever a user has, so every length is checked before it is followed.
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

# Where tensors may be: message -> {field number: message}.
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
    """One field of a message: its number, its varint (0 for others) and where its payload lies."""

    number: int
    wire_type: int
    value: int
    start: int
    stop: int


class _WireError(ValueError):
    """The bytes are no protobuf message."""


def read_metadata(path: Path) -> ModelMetadata:
    """What an exported model says about itself.

    Raises:
        UserError: if the file cannot be read, is no ONNX file or a damaged one, was not made by
            granet-export, or keeps its weights in another file.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            entries = _inspect(data, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # _WireError, and mmap's for an empty file
        raise UserError(f"{path}: not an ONNX file, or a damaged one ({error}): export it again") from error
    if KEY not in entries:
        raise UserError(
            f"{path}: an ONNX file, but not one that granet-export made: export your checkpoint with it"
        )
    return ModelMetadata.from_json(entries[KEY], str(path))


def _inspect(data: mmap.mmap, path: Path) -> dict[str, str]:
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
            f"{path}: its weights are in a separate file, which is not supported: export the checkpoint "
            "with granet-export, which keeps them inside"
        )
    return entries


def _entry(data: mmap.mmap, entry: _Field) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto."""
    texts = {ENTRY_KEY: "", ENTRY_VALUE: ""}
    for field in _fields(data, entry.start, entry.stop):
        if field.wire_type == _BYTES and field.number in texts:
            texts[field.number] = data[field.start : field.stop].decode()  # UnicodeDecodeError: a ValueError
    return texts[ENTRY_KEY], texts[ENTRY_VALUE]


def _has_external_data(data: mmap.mmap) -> bool:
    """Whether any tensor, in subgraphs, attributes and functions too, lies outside of the file.

    A stack, not recursion: depth is for the file to choose.
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


def _fields(data: mmap.mmap, position: int, stop: int) -> Iterator[_Field]:
    """The fields of the message in ``data[position:stop]``.

    Raises:
        _WireError: if it is none.
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
            raise _WireError(f"it ends within a field at byte {position}")
        yield _Field(number, wire_type, value, position, end)
        position = end


def _varint(data: mmap.mmap, position: int, stop: int) -> tuple[int, int]:
    """A base-128 varint and the position after it."""
    value = 0
    for i in range(_LONGEST_VARINT):
        if position + i >= stop:
            raise _WireError("it ends within a number")
        byte = data[position + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, position + i + 1
    raise _WireError(f"a number of more than {_LONGEST_VARINT} bytes at byte {position}")
