"""A file that a step of a build takes or makes: its bytes, what they say of themselves, and their hash.

A file is read once. What is parsed, and what is given to the next step, are the bytes that the hash is of: a
file that somebody replaces while it is at work cannot be recorded under the wrong hash.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from granet.app.schema import read_bytes
from runtime.artefacts.manifest import verify
from runtime.artefacts.metadata import ModelMetadata
from runtime.artefacts.onnx_file import metadata_in

M_co = TypeVar("M_co", covariant=True)


@dataclass(frozen=True)
class Artefact(Generic[M_co]):
    """A checkpoint, an ONNX model, a calibration table or an engine.

    Attributes:
        path: where it is, or will be.
        content: all of it.
        metadata: what it says of itself, parsed from ``content``.
    """

    path: Path
    content: bytes = field(repr=False)
    metadata: M_co

    @cached_property
    def sha256(self) -> str:
        """Of ``content``, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


Model = Artefact[ModelMetadata]
"""An ONNX file of ours."""


def read_model(path: Path) -> Model:
    """An ONNX file of ours, held against the manifest beside it if there is one.

    Raises:
        UserError: if it cannot be read, is not ours, or was changed after its manifest was written.
    """
    content = read_bytes(path)
    model = Artefact(path, content, metadata_in(content, path))
    verify(path, model.sha256)
    return model
