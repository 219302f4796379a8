"""Reads protobuf messages strictly: what is not understood completely is an error.

An edge device has onnxruntime or openvino but neither onnx nor protobuf, so this module parses the wire
format itself (https://protobuf.dev/programming-guides/encoding/). Parsers differ in what they make of
unusual encodings: one truncates a tag to 32 bits and another skips it, one merges a repeated field and
another takes the last. A file with two readings can pass a check and then be loaded as something else. So
only the one form that every writer uses is accepted, and only fields that the caller knows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["integer", "float", "double", "bytes"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIRE_TYPES: Mapping[str, int] = {"integer": _VARINT, "float": _FIXED32, "double": _FIXED64}
_LONGEST_VARINT = 10
_LARGEST_TAG = 2**32 - 1
_LARGEST_LENGTH = 2**31 - 1


class WireError(ValueError):
    """The bytes are not a message of the expected kind in the usual form."""


@dataclass(frozen=True)
class FieldType:
    """The type of a field.

    Attributes:
        kind: how its values are encoded; ``bytes`` for strings and messages too.
        message: name of its message type; empty for other values.
        repeated: whether it may occur more than once.
    """

    kind: Kind
    message: str = ""
    repeated: bool = False


class Field(NamedTuple):
    """A field of a message.

    Attributes:
        number: its number.
        type: its type.
        value: the value of a single integer; 0 for other types.
        start: position of the first byte of its value.
        stop: position after the last byte.
    """

    number: int
    type: FieldType
    value: int
    start: int
    stop: int


def fields(data: bytes, start: int, stop: int, known: Mapping[int, FieldType]) -> Iterator[Field]:
    """The fields of the message in ``data[start:stop]``.

    Args:
        data: the file.
        start: position of the first byte of the message.
        stop: position after its last byte.
        known: number -> type of every field that the message may have.

    Raises:
        WireError: if it is damaged, has an unknown field, a field of another type, a single field twice, or a
            number that is not encoded in the shortest form.
    """
    position, single = start, set[int]()
    while position < stop:
        at = position
        tag, position = _varint(data, position, stop)
        number, wire_type = tag >> 3, tag & 7
        kind = known.get(number) if tag <= _LARGEST_TAG else None
        if kind is None:
            raise WireError(f"unknown field {number} at byte {at}")
        packed = kind.repeated and kind.kind != "bytes" and wire_type == _BYTES
        if wire_type != _WIRE_TYPES.get(kind.kind, _BYTES) and not packed:
            raise WireError(f"wire type {wire_type} of field {number} at byte {at}")
        if not kind.repeated and number in single:
            raise WireError(f"a second field {number} at byte {at}")
        single.add(number)
        value, position, end = _payload(data, position, stop, wire_type)
        if end > stop:
            raise WireError(f"truncated in a field at byte {at}")
        yield Field(number, kind, value, position, end)
        position = end


def _payload(data: bytes, position: int, stop: int, wire_type: int) -> tuple[int, int, int]:
    """(integer, start of the value, its end)."""
    if wire_type == _VARINT:
        value, end = _varint(data, position, stop)
        return value, position, end
    if wire_type == _BYTES:
        length, position = _varint(data, position, stop)
        if length > _LARGEST_LENGTH:
            raise WireError(f"an impossible length at byte {position}")
        return 0, position, position + length
    return 0, position, position + (4 if wire_type == _FIXED32 else 8)


def _varint(data: bytes, position: int, stop: int) -> tuple[int, int]:
    """A base-128 varint in its shortest form, and the position after it."""
    value = 0
    for i in range(_LONGEST_VARINT):
        if position + i >= stop:
            raise WireError("truncated in a number")
        byte = data[position + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            if (byte == 0 and i) or value >= 2**64:
                raise WireError(f"an unusual number at byte {position}")
            return value, position + i + 1
    raise WireError(f"a number of more than {_LONGEST_VARINT} bytes at byte {position}")
