"""A check of an ONNX file reads what a library loads; what it does not understand is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, onnx_ml_pb2

from calibration.ranges.float32_model import load_onnx
from granet.errors import UserError
from runtime.artefacts.artefact import Model, read_model
from runtime.artefacts.onnx_file import check_onnx, read_metadata
from runtime.artefacts.onnx_schema import MESSAGES
from runtime.engines import onnx_model
from runtime.open import open_engine
from tests.runtime.handmade import inverting_file, inverting_model, save

LENGTH_DELIMITED = 2
PLACE = b"\x0a\x08location\x12\x0bweights.bin"


def varint(value: int, padding: int = 0) -> bytes:
    """A varint, with ``padding`` bytes more than it needs."""
    parts = []
    while value >= 0x80 or padding:
        padding -= value < 0x80
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, payload: bytes, wire_type: int = LENGTH_DELIMITED, padding: int = 0) -> bytes:
    head = varint(number << 3 | wire_type, padding)
    return head + (varint(len(payload)) if wire_type == LENGTH_DELIMITED else b"") + payload


def with_tensor(extra: bytes) -> bytes:
    """A model with a constant to whose encoding ``extra`` is appended."""
    tensor = TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT).SerializeToString()
    return field(7, field(5, tensor + extra)) + field(14, field(1, b"a") + field(2, b"b"))


def refusal(data: bytes) -> str:
    with pytest.raises(UserError) as caught:
        check_onnx(data, Path("m.onnx"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_schema_is_that_of_the_onnx_package() -> None:
    """Compares numbers, wire types, messages and labels with the descriptors of the package."""
    kinds = {1: "double", 2: "float", 3: "integer", 4: "integer", 5: "integer", 14: "integer"}
    pending, seen = [("model", onnx_ml_pb2.ModelProto.DESCRIPTOR)], set[str]()
    while pending:
        name, message = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        ours = MESSAGES[name]
        assert ours.keys() == {each.number for each in message.fields}, name
        for each in message.fields:
            assert ours[each.number].kind == kinds.get(each.type, "bytes"), (name, each.name)
            assert ours[each.number].repeated == each.is_repeated, (name, each.name)
            assert bool(ours[each.number].message) == (each.message_type is not None), (name, each.name)
            if each.message_type is not None:
                pending.append((ours[each.number].message, each.message_type))
    assert seen == set(MESSAGES)


@pytest.mark.parametrize(
    "extra",
    [
        field(13, PLACE),
        field(13 | 1 << 29, PLACE),  # libraries keep 32 bits of a tag
        field(13 | 1 << 32, PLACE),
        field(13, PLACE, padding=2),
        field(14, b"\x01", wire_type=0),
        field(14, b"\x81\x00", wire_type=0),
        field(14, varint(1 | 1 << 32), wire_type=0),  # truncated to 1
        field(14, b"\x01\x00\x00\x00", wire_type=5),
        field(14, b"\x01"),
        field(13, b"", wire_type=3) + PLACE + field(13, b"", wire_type=4),
        field(17, b"a field of a later version"),
        field(9, b"raw") + field(9, b"other raw"),
        varint(13 << 3 | 2) + varint(2**32 + len(PLACE)) + PLACE,
    ],
    ids=[
        "plain", "bit 32 of the tag", "bit 35 of the tag", "long tag", "location", "long location",
        "location beyond 32 bits", "location as a fixed number", "location as bytes", "group",
        "unknown field", "a single field twice", "length beyond 32 bits",
    ],
)  # fmt: skip
def test_no_encoding_hides_weights_in_another_file(extra: bytes) -> None:
    check_onnx(with_tensor(b""), Path("m.onnx"))
    refusal(with_tensor(extra))


def test_a_tag_that_protobuf_truncates_is_refused() -> None:
    """The library reads external data here; a parser with large numbers saw an unknown field."""
    hidden = with_tensor(field(13 | 1 << 29, PLACE))
    try:
        tensor = onnx.load_from_string(hidden).graph.initializer[0]
    except Exception:  # noqa: BLE001 - other versions of protobuf refuse it too
        tensor = None
    if tensor is not None:
        assert tensor.external_data[0].value == "weights.bin"
    assert "unknown field" in refusal(hidden)


@pytest.mark.parametrize("place", ["training", "attribute of a function", "sparse", "list", "second graph"])
def test_weights_in_another_file_are_found_everywhere(place: str) -> None:
    tensor = TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT, data_location=1)
    model, sparse = inverting_model(), onnx.SparseTensorProto(values=tensor, dims=[4])
    if place == "training":
        model.training_info.add().algorithm.initializer.append(tensor)
    elif place == "attribute of a function":
        function = model.functions.add(name="f", domain="d")
        function.attribute_proto.append(onnx.AttributeProto(name="a", type=4, t=tensor))
    elif place == "sparse":
        model.graph.sparse_initializer.append(sparse)
    elif place == "list":
        model.graph.node[1].attribute.append(onnx.AttributeProto(name="a", type=12, sparse_tensors=[sparse]))
    data = model.SerializeToString()
    if place == "second graph":
        data += field(7, field(5, tensor.SerializeToString()))
        assert "a second field 7" in refusal(data)
    else:
        assert "weights in a separate file" in refusal(data)


def graph_of(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    model = inverting_model()
    model.graph.node.extend(nodes)
    return model


def two_that_wait() -> onnx.ModelProto:
    return graph_of(helper.make_node("Add", ["top", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"]))


def one_that_waits_for_itself() -> onnx.ModelProto:
    return graph_of(helper.make_node("Relu", ["a"], ["a"]))


def cycle_in_a_branch() -> onnx.ModelProto:
    nodes = [helper.make_node("Relu", ["b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    branch = helper.make_graph(nodes, "branch", [], [helper.make_empty_tensor_value_info("a")])
    return graph_of(helper.make_node("If", ["top"], ["y"], then_branch=branch, else_branch=branch))


def made_twice() -> onnx.ModelProto:
    return graph_of(helper.make_node("Relu", ["top"], ["a"]), helper.make_node("Neg", ["top"], ["a"]))


def calling(*chain: list[str]) -> onnx.ModelProto:
    """Functions f0, f1, ... that call those in the lists."""
    model = graph_of(helper.make_node("f0", ["top"], ["y"], domain="d"))
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("d", 1)]
    for number, called in enumerate(chain):
        nodes = [
            helper.make_node(name, ["x"], [f"y{i}"], domain="d" if name.startswith("f") else "")
            for i, name in enumerate(called)
        ]
        model.functions.append(helper.make_function("d", f"f{number}", ["x"], ["y0"], nodes, imports))
    return model


def in_the_other_spelling() -> onnx.ModelProto:
    """ONNX Runtime takes the domains "ai.onnx" and "" for one: this function calls itself."""
    model = graph_of(helper.make_node("f", ["top"], ["y"]))
    imports = [helper.make_opsetid("", 18)]
    nodes = [helper.make_node("f", ["x"], ["y"])]
    model.functions.append(helper.make_function("ai.onnx", "f", ["x"], ["y"], nodes, imports))
    return model


def function_twice() -> onnx.ModelProto:
    model = calling(["Identity"])
    model.functions.append(model.functions[0])
    return model


def repeating() -> onnx.ModelProto:
    values = [helper.make_empty_tensor_value_info(name) for name in ("i", "c")]
    body = helper.make_graph([helper.make_node("Identity", ["c"], ["d"])], "body", values, values[1:])
    return graph_of(helper.make_node("Loop", ["", "top"], ["y"], body=body))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (two_that_wait, "a node reads 'b' before any node has made it"),
        (one_that_waits_for_itself, "a node reads 'a' before any node has made it"),
        (cycle_in_a_branch, "a node reads 'b' before any node has made it"),
        (made_twice, "'a' is made twice"),
        (lambda: calling(["f1"], ["f0"]), "a function calls itself"),
        (in_the_other_spelling, "a function calls itself"),
        (function_twice, "the function 'f0' is there twice"),
        (lambda: calling(*([f"f{i + 1}"] * 2 for i in range(60)), ["Relu"]), "more than 1,000,000 nodes"),
        (
            lambda: calling(*([f"f{i + 1}"] for i in range(500)), ["Relu"]),
            "functions call each other more than 100 levels deep",
        ),
        (repeating, "the operator Loop can repeat without end"),
    ],
    ids=[
        "cycle",
        "itself",
        "branch",
        "twice",
        "recursion",
        "spelling",
        "function twice",
        "doubling",
        "deep calls",
        "Loop",
    ],
)
def test_a_graph_that_would_keep_a_library_busy_is_refused(
    tmp_path: Path, make: Callable[[], onnx.ModelProto], reason: str
) -> None:
    path = save(make(), tmp_path / "m.onnx")
    for read in (read_metadata, open_engine, load_onnx):
        with pytest.raises(UserError, match=rf"m\.onnx: cannot be run \({reason}"):
            read(path)


def test_functions_and_branches_in_order_are_read() -> None:
    branch = helper.make_graph(
        [helper.make_node("Relu", ["top"], ["a"])], "branch", [], [helper.make_empty_tensor_value_info("a")]
    )
    model = calling(["f1", "f1"], ["Relu"])
    model.graph.node.append(helper.make_node("If", ["y"], ["z"], then_branch=branch, else_branch=branch))
    assert "granet" in check_onnx(model.SerializeToString(), Path("m.onnx"))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_file_that_is_replaced_after_the_check_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    pytest.importorskip(backend)
    path = inverting_file(tmp_path / "m.onnx")

    def read_and_replace(checked: Path) -> Model:
        model = read_model(checked)
        checked.write_bytes(b"another file")
        return model

    monkeypatch.setattr(onnx_model, "read_model", read_and_replace)
    frames = np.random.default_rng(0).integers(0, 256, (1, 16, 24, 3), np.uint8)
    with open_engine(path, "cpu", backend) as engine:
        assert np.array_equal(engine.run(frames), 255 - frames)
    assert path.read_bytes() == b"another file"


def test_a_model_that_is_too_large_or_not_a_file_is_not_read(tmp_path: Path) -> None:
    with (large := tmp_path / "large.onnx").open("wb") as file:
        file.truncate(2**30 + 1)
    os.mkfifo(pipe := tmp_path / "pipe.onnx")
    for path, reason in ((large, "is too large"), (pipe, "not a file")):
        for read in (read_metadata, read_model, open_engine, load_onnx):
            with pytest.raises(UserError, match=reason):
                read(path)


def test_many_small_fields_are_not_walked_without_end() -> None:
    assert "more than 1,000,000 fields" in refusal(field(8, b"") * 1_000_100)
