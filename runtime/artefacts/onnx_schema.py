"""The messages of an ONNX file: every field of onnx.proto, by number.

A test compares it with the onnx package. A field that a later ONNX adds has to be added here before files
with it are read.
"""

from collections.abc import Mapping
from typing import cast

from runtime.artefacts.protobuf import FieldType, Kind

# "*" marks a repeated field. A type that is none of the four kinds is the name of a message.
_FIELDS = {
    "model": "1 integer, 2 bytes, 3 bytes, 4 bytes, 5 integer, 6 bytes, 7 graph, 8 opset*, 14 entry*, "
    "20 training*, 25 function*, 26 configuration*",
    "opset": "1 bytes, 2 integer",
    "entry": "1 bytes, 2 bytes",
    "configuration": "1 bytes, 2 integer, 3 bytes*",
    "training": "1 graph, 2 graph, 3 entry*, 4 entry*",
    "function": "1 bytes, 4 bytes*, 5 bytes*, 6 bytes*, 7 node*, 8 bytes, 9 opset*, 10 bytes, "
    "11 attribute*, 12 value*, 13 bytes, 14 entry*",
    "graph": "1 node*, 2 bytes, 5 tensor*, 10 bytes, 11 value*, 12 value*, 13 value*, 14 annotation*, "
    "15 sparse*, 16 entry*",
    "node": "1 bytes*, 2 bytes*, 3 bytes, 4 bytes, 5 attribute*, 6 bytes, 7 bytes, 8 bytes, 9 entry*, "
    "10 placement*",
    "attribute": "1 bytes, 2 float, 3 integer, 4 bytes, 5 tensor, 6 graph, 7 float*, 8 integer*, 9 bytes*, "
    "10 tensor*, 11 graph*, 13 bytes, 14 type, 15 type*, 20 integer, 21 bytes, 22 sparse, 23 sparse*",
    "tensor": "1 integer*, 2 integer, 3 segment, 4 float*, 5 integer*, 6 bytes*, 7 integer*, 8 bytes, "
    "9 bytes, 10 double*, 11 integer*, 12 bytes, 13 entry*, 14 integer, 16 entry*",
    "segment": "1 integer, 2 integer",
    "sparse": "1 tensor, 2 tensor, 3 integer*",
    "value": "1 bytes, 2 type, 3 bytes, 4 entry*",
    "annotation": "1 bytes, 2 entry*",
    "type": "1 tensor_type, 4 sequence_type, 5 map_type, 6 bytes, 7 opaque_type, 8 tensor_type, "
    "9 sequence_type",
    "tensor_type": "1 integer, 2 shape",
    "sequence_type": "1 type",
    "map_type": "1 integer, 2 type",
    "opaque_type": "1 bytes, 2 bytes",
    "shape": "1 dimension*",
    "dimension": "1 integer, 2 bytes, 3 bytes",
    "placement": "1 bytes, 2 sharding*, 3 integer",
    "sharding": "1 bytes, 2 integer*, 3 group*, 4 sharded*",
    "group": "1 integer, 2 integer*",
    "sharded": "1 integer, 2 simple*",
    "simple": "1 integer, 2 bytes, 3 integer",
}


def _types(text: str) -> dict[int, FieldType]:
    found = {}
    for entry in text.split(", "):
        number, name = entry.rstrip("*").split()
        message = name if name in _FIELDS else ""
        kind = "bytes" if message else name
        found[int(number)] = FieldType(cast("Kind", kind), message, entry.endswith("*"))
    return found


MESSAGES: Mapping[str, Mapping[int, FieldType]] = {name: _types(text) for name, text in _FIELDS.items()}
"""Message -> number -> type of the field."""

MODEL_GRAPH, MODEL_METADATA, MODEL_FUNCTION = 7, 14, 25
ENTRY_KEY, ENTRY_VALUE = 1, 2
GRAPH_NODE, GRAPH_TENSOR, GRAPH_INPUT, GRAPH_SPARSE = 1, 5, 11, 15
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR, NODE_ATTRIBUTE, NODE_DOMAIN, NODE_OVERLOAD = 1, 2, 4, 5, 7, 8
FUNCTION_NAME, FUNCTION_INPUT, FUNCTION_NODE, FUNCTION_DOMAIN, FUNCTION_OVERLOAD = 1, 4, 7, 10, 13
VALUE_NAME, TENSOR_NAME, SPARSE_VALUES = 1, 8, 1
TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION = 13, 14
