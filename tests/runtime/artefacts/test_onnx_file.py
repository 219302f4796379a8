"""Reading metadata from any file gives the metadata or an error of one line."""

import random
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from granet.errors import UserError
from runtime.artefacts.onnx_file import read_metadata
from tests.runtime.handmade import METADATA, inverting_file, inverting_model, save


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    return inverting_file(tmp_path / "whole.onnx").read_bytes()


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_metadata(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


def test_reads_what_the_onnx_package_wrote(tmp_path: Path) -> None:
    path = inverting_file(tmp_path / "m.onnx", height=320, width=480, colour="rgb", weights={"psnr": 30.7})
    metadata = read_metadata(path)
    assert (metadata.height, metadata.width, metadata.colour) == (320, 480, "rgb")
    assert metadata.weights == {"psnr": 30.7}
    assert metadata.size_rule == METADATA.size_rule


def test_metadata_longer_than_one_length_byte_and_beyond_ascii(tmp_path: Path) -> None:
    facts = {"dataset": "雨" * 5000}
    assert read_metadata(inverting_file(tmp_path / "m.onnx", weights=facts)).weights == facts


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an ONNX file"),
        (b"hello, this is a text file\n", "not an ONNX file"),
        (b"\x80\x04\x95 a pickle", "not an ONNX file"),
        (b"PK\x03\x04 a zip", "not an ONNX file"),
        (b"\xff" * 64, "not an ONNX file"),
        (b"\x08\x09", "not an ONNX file"),  # ir_version alone: valid protobuf, no graph
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    assert reason in refusal(path)


def test_missing_file_and_directory(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.onnx")
    assert "directory" in refusal(tmp_path)


def test_an_onnx_file_of_another_exporter(tmp_path: Path) -> None:
    model = inverting_model()
    del model.metadata_props[:]
    assert "was not made by granet-export" in refusal(save(model, tmp_path / "m.onnx"))


def test_truncated_anywhere_is_refused_or_complete(tmp_path: Path, whole: bytes) -> None:
    """Any truncation gives one line; the metadata comes last, so any cut loses it."""
    path = tmp_path / "cut.onnx"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refusal(path)


def test_random_bytes_give_one_line(tmp_path: Path, whole: bytes) -> None:
    """Pure noise, and a good file with some bytes overwritten; seeds fixed."""
    rng = random.Random(20261122)
    path = tmp_path / "noise.onnx"
    for i in range(600):
        if i % 2:
            content = rng.randbytes(rng.randrange(1, 300))
        else:
            damaged = bytearray(whole)
            for _ in range(rng.randrange(1, 8)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            content = bytes(damaged)
        path.write_bytes(content)
        try:
            metadata = read_metadata(path)
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert metadata.size_rule.padded_side(100) >= 100  # an unlucky hit on a harmless byte


def external_tensor(by: str) -> onnx.TensorProto:
    tensor = TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT)
    if by == "location":
        tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    return tensor


@pytest.mark.parametrize("by", ["location", "entries"])
@pytest.mark.parametrize("place", ["initializer", "constant", "subgraph", "function"])
def test_weights_in_another_file_are_refused(tmp_path: Path, place: str, by: str) -> None:
    model, tensor = inverting_model(), external_tensor(by)
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    if place == "initializer":
        model.graph.initializer.append(tensor)
    elif place == "constant":
        model.graph.node.append(constant)
    elif place == "subgraph":
        branch = helper.make_graph([constant], "branch", [], [helper.make_empty_tensor_value_info("w")])
        model.graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch))
    else:
        imports = [helper.make_opsetid("", 18)]
        model.functions.append(helper.make_function("d", "f", [], ["w"], [constant], imports))
    assert "weights in a separate file" in refusal(save(model, tmp_path / "m.onnx"))


def test_nesting_without_end_is_walked_without_recursion(tmp_path: Path) -> None:
    """A file chooses its own depth; protobuf itself refuses more than 100 messages inside one another."""
    graph = b""
    for _ in range(20_000):
        attribute = _message(6, graph)  # AttributeProto.g
        node = _message(5, attribute)  # NodeProto.attribute
        graph = _message(1, node)  # GraphProto.node
        if len(graph) > 100_000:
            break
    path = tmp_path / "deep.onnx"
    path.write_bytes(_message(7, graph))
    assert "nested more than 100 levels deep" in refusal(path)


def _message(number: int, payload: bytes) -> bytes:
    length, size = len(payload), bytearray()
    while length >= 0x80:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return bytes([number << 3 | 2]) + bytes(size) + payload


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not json", "it is not valid JSON"),
        ("[]", "expected a JSON object, got a list"),
        ("{}", "not a metadata record"),
        ('{"format":1,"config":' + "[" * 100_000, "it is not valid JSON: nested too deeply"),
        ('{"format":2}', "a metadata record of format 2, this version reads 1: export it again"),
        ('{"format":1}', "config is missing"),
        (
            METADATA.to_json().replace('"multiple":8', '"multiple":"8"'),
            "multiple: expected an integer, got a string",
        ),
        (
            METADATA.to_json().replace('"multiple":8', '"multiple":0'),
            "multiple: expected an integer of at least 1",
        ),
        (
            METADATA.to_json().replace('"height":null', '"height":-5'),
            "height: expected an integer of at least 1",
        ),
        (
            METADATA.to_json().replace('"colour":"bgr"', '"colour":"grb"'),
            "colour: expected bgr or rgb, got 'grb'",
        ),
        (
            METADATA.to_json().replace('"outputs":["derained"]', '"outputs":[]'),
            "outputs: expected a list of length 1 or more",
        ),
        (
            METADATA.to_json().replace('"extent":512', '"extent":510'),
            "extent: expected a multiple of 8, got 510",
        ),
        (
            METADATA.to_json().replace('"fp32"', '"int4"'),
            "precision: expected fp16, fp32, fp8 or int8, got 'int4'",
        ),
    ],
)
def test_damaged_metadata_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    model = inverting_model()
    helper.set_model_props(model, {"granet": text})
    assert reason in refusal(save(model, tmp_path / "m.onnx"))
