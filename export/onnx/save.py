"""Saves an ONNX model: the file gets its name and its manifest only after the caller has checked it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from granet.errors import UserError
from runtime.artefacts.artefact import Artefact, Model
from runtime.artefacts.manifest import manifest_content, manifest_path, with_name
from runtime.artefacts.metadata import KEY, ModelMetadata
from runtime.sinks.part_file import PartFile


@dataclass(frozen=True)
class UnprovedModel:
    """A model under a temporary name, to be opened and checked.

    Attributes:
        part: the temporary file.
        model: the model under its final name.
    """

    part: PartFile
    model: Model

    @property
    def path(self) -> Path:
        """Path of the temporary file; it ends in .onnx."""
        return self.part.path

    def publish(self, report: Mapping[str, Any]) -> Model:
        """Gives the file its name, and a manifest with ``report``.

        Raises:
            UserError: if that fails; the files of before are still there then.
        """
        output, report = self.model.path, with_name(report, self.path, self.model.path)
        content = manifest_content(output, self.model.sha256, self.model.metadata, report)
        manifest = PartFile(manifest_path(output))
        try:
            # What may fail is done under a temporary name: a model must not be left without its manifest.
            manifest.write(content)
            self.part.commit()
            manifest.commit()
        finally:
            manifest.discard()
        return self.model


@contextmanager
def save_model(
    proto: onnx.ModelProto, metadata: ModelMetadata, output: Path, *, overwrite: bool
) -> Iterator[UnprovedModel]:
    """Writes ``proto`` with ``metadata`` to a temporary file; equal models give equal bytes.

    Args:
        proto: the model; it is changed.
        metadata: metadata to embed.
        output: the file.
        overwrite: whether an existing file is replaced.

    Yields:
        The model in the directory of ``output``, to be checked and published; otherwise it is removed.

    Raises:
        UserError: if it cannot be written.
    """
    if manifest_path(output).is_dir():
        raise UserError(f"{manifest_path(output)}: is a directory, and the model's manifest needs its name")
    model = Artefact(output, serialised(proto, metadata), metadata)
    part = PartFile(output, overwrite=overwrite)
    try:
        part.write(model.content)
        yield UnprovedModel(part, model)
    finally:
        part.discard()


def serialised(proto: onnx.ModelProto, metadata: ModelMetadata) -> bytes:
    """Serialises a model with its ``metadata``, in place: ``proto`` is changed."""
    _strip(proto)
    proto.producer_name, proto.producer_version = "granet-export", metadata.versions["granet-deploy"]
    proto.metadata_props.add(key=KEY, value=metadata.to_json())
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _strip(model: onnx.ModelProto) -> None:
    """Removes the exporter's notes: stack traces that contain paths of this machine."""
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
