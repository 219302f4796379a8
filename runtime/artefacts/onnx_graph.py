"""Checks that the graph of an ONNX file can be loaded and run in bounded time.

A graph whose nodes wait for each other, functions that call each other without end, and functions that each
call the next one twice keep a library busy for ever, or take all memory. The operators Loop and Scan repeat
as often as a number in the file says. granet-export writes none of these.
"""

from collections.abc import Iterator, Mapping

from runtime.artefacts.onnx_schema import (
    FUNCTION_DOMAIN,
    FUNCTION_INPUT,
    FUNCTION_NAME,
    FUNCTION_NODE,
    FUNCTION_OVERLOAD,
    GRAPH_INPUT,
    GRAPH_NODE,
    GRAPH_SPARSE,
    GRAPH_TENSOR,
    MESSAGES,
    MODEL_FUNCTION,
    MODEL_GRAPH,
    NODE_ATTRIBUTE,
    NODE_DOMAIN,
    NODE_INPUT,
    NODE_OPERATOR,
    NODE_OUTPUT,
    NODE_OVERLOAD,
    SPARSE_VALUES,
    TENSOR_NAME,
    VALUE_NAME,
)
from runtime.artefacts.protobuf import Field, fields

MOST_NODES = 1_000_000
"""Maximum number of nodes after the functions are inlined; the largest network of this project has 2,000."""

_DEEPEST_CALLS = 100
_REPEATING = {b"Loop", b"Scan"}

Part = tuple[int, int]
"""Where a message starts and stops in the file."""

FunctionName = tuple[bytes, bytes, bytes]
"""Domain, name and overload."""


class GraphError(ValueError):
    """The graph could keep a library busy without end; the message is one line."""


def check_graph(data: bytes) -> None:
    """Checks the graph and the functions of a file whose messages were checked already.

    Raises:
        GraphError: if it is not in order, repeats, or grows too large.
    """
    functions: dict[FunctionName, Part] = {}
    for field in fields(data, 0, len(data), MESSAGES["model"]):
        if field.number == MODEL_FUNCTION:
            texts = _texts(data, field, "function")
            name = _name(texts[FUNCTION_DOMAIN], texts[FUNCTION_NAME], texts[FUNCTION_OVERLOAD])
            if name in functions:
                raise GraphError(f"the function {_shown(name[1])} is there twice")
            functions[name] = (field.start, field.stop)
    for part in functions.values():
        _check_order(data, part, "function", [])
    for field in fields(data, 0, len(data), MESSAGES["model"]):
        if field.number == MODEL_GRAPH:
            part = (field.start, field.stop)
            _check_order(data, part, "graph", [])
            _count(data, part, "graph", functions, {}, [])


def _check_order(data: bytes, part: Part, message: str, outer: list[set[bytes]]) -> None:
    """Each node may only read what an earlier one made, or what is given to the graph or its outer graphs."""
    known = set(_given(data, part, message))
    scopes = [*outer, known]
    for node in _nodes(data, part, message):
        made, inner = [], []
        for field in fields(data, node.start, node.stop, MESSAGES["node"]):
            text = data[field.start : field.stop]
            if field.number == NODE_INPUT and text and not any(text in scope for scope in scopes):
                raise GraphError(f"a node reads {_shown(text)} before any node has made it")
            if field.number == NODE_OUTPUT and text:
                made.append(text)
            if field.number == NODE_OPERATOR and text in _REPEATING:
                raise GraphError(f"the operator {text.decode()} can repeat without end")
            if field.number == NODE_ATTRIBUTE:
                inner += _graphs_of(data, field)
        for graph in inner:
            _check_order(data, graph, "graph", scopes)
        for name in made:
            if name in known:
                raise GraphError(f"{_shown(name)} is made twice")
            known.add(name)


def _given(data: bytes, part: Part, message: str) -> Iterator[bytes]:
    """Names that exist before the first node: inputs and constants."""
    for field in fields(data, *part, MESSAGES[message]):
        if message == "function":
            if field.number == FUNCTION_INPUT:
                yield data[field.start : field.stop]
        elif field.number == GRAPH_INPUT:
            yield _texts(data, field, "value")[VALUE_NAME]
        elif field.number == GRAPH_TENSOR:
            yield _texts(data, field, "tensor")[TENSOR_NAME]
        elif field.number == GRAPH_SPARSE:
            for inner in fields(data, field.start, field.stop, MESSAGES["sparse"]):
                if inner.number == SPARSE_VALUES:
                    yield _texts(data, inner, "tensor")[TENSOR_NAME]


def _count(
    data: bytes,
    part: Part,
    message: str,
    functions: Mapping[FunctionName, Part],
    counted: dict[Part, int],
    calling: list[Part],
) -> int:
    """The number of nodes of a graph or a function after inlining.

    Args:
        data: the file.
        part: the graph or the function.
        message: the type of ``part``: ``graph`` or ``function``.
        functions: all functions of the file.
        counted: the results so far.
        calling: the functions that are being counted.

    Raises:
        GraphError: if a function calls itself, or the number is too large.
    """
    if part in counted:
        return counted[part]
    if part in calling:
        raise GraphError("a function calls itself")
    if len(calling) > _DEEPEST_CALLS:
        raise GraphError(f"functions call each other more than {_DEEPEST_CALLS} levels deep")
    total = 0
    for node in _nodes(data, part, message):
        total += 1
        texts = _texts(data, node, "node")
        called = functions.get(_name(texts[NODE_DOMAIN], texts[NODE_OPERATOR], texts[NODE_OVERLOAD]))
        if called is not None:
            total += _count(data, called, "function", functions, counted, [*calling, part])
        for field in fields(data, node.start, node.stop, MESSAGES["node"]):
            if field.number == NODE_ATTRIBUTE:
                for graph in _graphs_of(data, field):
                    total += _count(data, graph, "graph", functions, counted, [*calling, part])
        if total > MOST_NODES:
            raise GraphError(f"more than {MOST_NODES:,} nodes")
    counted[part] = total
    return total


def _name(domain: bytes, name: bytes, overload: bytes) -> FunctionName:
    """The name of a function; the domain of ONNX itself has two spellings."""
    return b"" if domain == b"ai.onnx" else domain, name, overload


def _nodes(data: bytes, part: Part, message: str) -> Iterator[Field]:
    number = FUNCTION_NODE if message == "function" else GRAPH_NODE
    return (field for field in fields(data, *part, MESSAGES[message]) if field.number == number)


def _graphs_of(data: bytes, attribute: Field) -> list[Part]:
    inner = fields(data, attribute.start, attribute.stop, MESSAGES["attribute"])
    return [(field.start, field.stop) for field in inner if field.type.message == "graph"]


class _Texts(dict[int, bytes]):
    """Field number -> text; empty if the message does not have the field."""

    def __missing__(self, number: int) -> bytes:
        return b""


def _texts(data: bytes, message: Field, kind: str) -> _Texts:
    inner = fields(data, message.start, message.stop, MESSAGES[kind])
    single = (field for field in inner if field.type.kind == "bytes" and not field.type.repeated)
    return _Texts({field.number: data[field.start : field.stop] for field in single})


def _shown(name: bytes) -> str:
    return repr(name[:60].decode(errors="replace"))
