"""An ONNX file of ours: what it says of itself, and a name for it until it is proved."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from granet.errors import UserError
from runtime.artefacts.manifest import manifest_path
from runtime.artefacts.metadata import KEY, ModelMetadata


def save_model(model: onnx.ModelProto, metadata: ModelMetadata, path: Path) -> None:
    """Writes ``model``, which then says ``metadata`` of itself, to ``path``; equal models give equal bytes.

    Raises:
        UserError: if it cannot be written.
    """
    _strip(model)
    model.producer_name, model.producer_version = "granet-export", metadata.versions["granet-deploy"]
    model.metadata_props.add(key=KEY, value=metadata.to_json())
    try:
        path.write_bytes(model.SerializeToString(deterministic=True))
    except OSError as error:
        raise UserError(f"cannot write {path.parent}: {error.strerror}") from error


def _strip(model: onnx.ModelProto) -> None:
    """Removes the exporter's notes: stack traces with the paths of the machine that exported."""
    graph = model.graph
    for item in (
        model,
        graph,
        *graph.node,
        *graph.value_info,
        *graph.initializer,
        *graph.input,
        *graph.output,
    ):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")


@contextmanager
def partial_path(output: Path) -> Iterator[Path]:
    """A name beside ``output`` for the file while it is unproved; gone at the end, whatever happens."""
    partial = output.with_name(f".{output.stem}.{os.getpid()}.part.onnx")
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)
        manifest_path(partial).unlink(missing_ok=True)
