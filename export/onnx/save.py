"""An ONNX file of ours: it gets its name when it is proved, and its manifest with it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from granet.errors import UserError
from runtime.artefacts.artefact import Artefact, Model
from runtime.artefacts.manifest import write_manifest
from runtime.artefacts.metadata import KEY, ModelMetadata
from runtime.sinks.part_file import PartFile


@dataclass(frozen=True)
class UnprovedModel:
    """A model under another name, for an engine to be opened on.

    Attributes:
        part: where it is for the time being.
        model: what it is to become.
    """

    part: PartFile
    model: Model

    @property
    def path(self) -> Path:
        """Of the file, which ends in .onnx."""
        return self.part.path

    def publish(self, report: Mapping[str, Any]) -> Model:
        """Gives the file its name, and a manifest with ``report``.

        Raises:
            UserError: if that fails; neither is left then.
        """
        output = self.model.path
        self.part.commit()
        try:
            write_manifest(output, self.model.sha256, self.model.metadata, report)
        except UserError:
            output.unlink()  # a model without its manifest would be half of one
            raise
        return self.model


@contextmanager
def save_model(proto: onnx.ModelProto, metadata: ModelMetadata, output: Path) -> Iterator[UnprovedModel]:
    """Writes ``proto``, which then says ``metadata`` of itself; equal models give equal bytes.

    Yields:
        The model beside ``output``, to be proved and published. It is gone at the end if it was not.

    Raises:
        UserError: if it cannot be written.
    """
    model = Artefact(output, serialised(proto, metadata), metadata)
    part = PartFile(output)
    try:
        try:
            part.path.write_bytes(model.content)
        except OSError as error:
            raise UserError(f"{output}: cannot be written: {error.strerror or error}") from error
        yield UnprovedModel(part, model)
    finally:
        part.discard()


def serialised(proto: onnx.ModelProto, metadata: ModelMetadata) -> bytes:
    """The bytes of a model that says ``metadata`` of itself; ``proto`` is changed."""
    _strip(proto)
    proto.producer_name, proto.producer_version = "granet-export", metadata.versions["granet-deploy"]
    proto.metadata_props.add(key=KEY, value=metadata.to_json())
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


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
