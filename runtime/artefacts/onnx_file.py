"""Reads the metadata of an ONNX file without the onnx package, and checks what libraries would load.

An edge device has onnxruntime or openvino but not onnx. The file is untrusted: it may have nothing that this
module does not understand (:mod:`runtime.artefacts.protobuf`), no weights in other files, and no graph that
keeps a library busy without end (:mod:`runtime.artefacts.onnx_graph`). A library must get the bytes that were
checked, not the name of the file.
"""

from pathlib import Path

from granet.app.input_file import MODEL_BYTES, read_bounded
from granet.errors import UserError
from runtime.artefacts.metadata import KEY, ModelMetadata
from runtime.artefacts.onnx_graph import GraphError, check_graph
from runtime.artefacts.onnx_schema import (
    ENTRY_KEY,
    ENTRY_VALUE,
    MESSAGES,
    MODEL_GRAPH,
    MODEL_METADATA,
    TENSOR_DATA_LOCATION,
    TENSOR_EXTERNAL_DATA,
)
from runtime.artefacts.protobuf import Field, WireError, fields

MOST_FIELDS = 1_000_000
"""Maximum number of fields of a file; the packaged models have 20,000."""

_DEEPEST = 100
"""Maximum depth of messages, as in protobuf itself."""


def read_metadata(path: Path) -> ModelMetadata:
    """Reads the metadata of an exported model.

    Raises:
        UserError: if the file cannot be read, is not an ONNX file or is damaged, was not made by
            granet-export, or stores its weights in another file.
    """
    return metadata_in(read_bounded(path, MODEL_BYTES), path)


def metadata_in(data: bytes, path: Path) -> ModelMetadata:
    """Same as :func:`read_metadata`, for the content of a file; ``path`` names it in errors."""
    entries = check_onnx(data, path)
    if KEY not in entries:
        raise UserError(
            f"{path}: this ONNX file was not made by granet-export: export your checkpoint with it"
        )
    return ModelMetadata.from_json(entries[KEY], str(path))


def check_onnx(data: bytes, path: Path) -> dict[str, str]:
    """Checks a whole file.

    Args:
        data: the file, which a library may load afterwards.
        path: names it in errors.

    Returns:
        Its metadata properties.

    Raises:
        UserError: if it is not an ONNX file, has anything that this module does not understand, stores its
            weights in another file, or has a graph that could keep a library busy without end.
    """
    try:
        entries, is_external = _walk(data)
        if is_external:
            raise UserError(
                f"{path}: stores its weights in a separate file, which is not supported: export the "
                "checkpoint with granet-export, which stores them inside"
            )
        check_graph(data)
    except GraphError as error:
        raise UserError(f"{path}: cannot be run ({error}): export it again") from error
    except ValueError as error:  # WireError, and a text that is not UTF-8
        raise UserError(f"{path}: not an ONNX file, or damaged ({error}): export it again") from error
    return entries


def _walk(data: bytes) -> tuple[dict[str, str], bool]:
    """(metadata properties, whether any tensor lies outside of the file); reads every message.

    Uses a stack, not recursion, because the file determines the depth.
    """
    entries: dict[str, str] = {}
    has_graph = is_external = False
    pending, count = [("model", 0, len(data), 0)], 0
    while pending:
        message, start, stop, depth = pending.pop()
        if depth > _DEEPEST:
            raise WireError(f"messages nested more than {_DEEPEST} levels deep")
        for field in fields(data, start, stop, MESSAGES[message]):
            count += 1
            if count > MOST_FIELDS:
                raise WireError(f"more than {MOST_FIELDS:,} fields")
            if message == "model" and field.number == MODEL_METADATA:
                key, value = _entry(data, field)
                if key in entries:
                    raise WireError(f"the property {key[:40]!r} twice")
                entries[key] = value
            has_graph = has_graph or (message == "model" and field.number == MODEL_GRAPH)
            is_external = is_external or (message == "tensor" and _is_external(field))
            if field.type.message:
                pending.append((field.type.message, field.start, field.stop, depth + 1))
    if not has_graph:
        raise WireError("it has no graph")
    return entries, is_external


def _entry(data: bytes, entry: Field) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto."""
    texts = {ENTRY_KEY: "", ENTRY_VALUE: ""}
    for field in fields(data, entry.start, entry.stop, MESSAGES["entry"]):
        texts[field.number] = data[field.start : field.stop].decode()  # UnicodeDecodeError: a ValueError
    return texts[ENTRY_KEY], texts[ENTRY_VALUE]


def _is_external(field: Field) -> bool:
    if field.number == TENSOR_DATA_LOCATION:
        return field.value != 0  # TensorProto.DataLocation: DEFAULT = 0, EXTERNAL = 1
    return field.number == TENSOR_EXTERNAL_DATA
