"""A file that a step of a build reads or writes: its bytes, their metadata, and their hash.

A file is read once. The hash, the parser and the next step all get the same bytes, so a file that somebody
replaces meanwhile cannot be recorded under the wrong hash.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from granet.app.input_file import MODEL_BYTES, read_bounded
from runtime.artefacts.manifest import verify
from runtime.artefacts.metadata import ModelMetadata
from runtime.artefacts.onnx_file import metadata_in

M_co = TypeVar("M_co", covariant=True)


@dataclass(frozen=True)
class Artefact(Generic[M_co]):
    """A checkpoint, an ONNX model, a calibration table or an engine.

    Attributes:
        path: path of the file, which need not exist yet.
        content: all bytes of the file.
        metadata: metadata parsed from ``content``.
    """

    path: Path
    content: bytes = field(repr=False)
    metadata: M_co

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of ``content``, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


Model = Artefact[ModelMetadata]
"""An ONNX file of ours."""


def read_model(path: Path) -> Model:
    """Reads an ONNX file of ours and compares it with the manifest beside it, if there is one.

    Raises:
        UserError: if it cannot be read, is not ours, or was changed after its manifest was written.
    """
    content = read_bounded(path, MODEL_BYTES)
    model = Artefact(path, content, metadata_in(content, path))
    verify(path, model.sha256)
    return model
