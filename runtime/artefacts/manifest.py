"""The manifest beside an artefact: its metadata, its hash and its measured parity.

``model.onnx`` has ``model.onnx.json``. The manifest ties the figures to one file: a file that was changed
later is refused.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from granet.app.input_file import MODEL_BYTES, read_bounded
from granet.app.schema import JsonFile, Sha256, to_json
from granet.errors import UserError
from runtime.artefacts.metadata import ModelMetadata

FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """The content of a manifest.

    Attributes:
        file: name of the artefact when it was made, without its directory.
        sha256: SHA-256 of the artefact, hexadecimal.
        metadata: the metadata inside the artefact.
        parity: measured parity, as the JSON of ``granet-export parity``; ``None`` if not measured.
        created: time of creation, ISO 8601 in UTC.
    """

    file: str
    sha256: Sha256
    metadata: ModelMetadata
    parity: dict[str, Any] | None
    created: str


_FILE = JsonFile(Manifest, "manifest", "export the model again", FORMAT)


def manifest_path(artefact: Path) -> Path:
    """``model.onnx`` -> ``model.onnx.json``, in the same directory."""
    return artefact.with_name(artefact.name + ".json")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        UserError: if it cannot be read, or is larger than :data:`granet.app.input_file.MODEL_BYTES`.
    """
    return hashlib.sha256(read_bounded(path, MODEL_BYTES)).hexdigest()


def manifest_content(
    artefact: Path, sha256: str, metadata: ModelMetadata, parity: Mapping[str, Any] | None = None
) -> bytes:
    """The content of the manifest of ``artefact``.

    Args:
        artefact: path of the artefact, which need not exist yet; it is not read.
        sha256: SHA-256 of the artefact, see :func:`sha256_of`.
        metadata: the metadata inside the artefact.
        parity: measured parity; must be valid JSON, so the caller replaces infinities.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = Manifest(artefact.name, sha256, metadata, None if parity is None else dict(parity), created)
    return (to_json(_FILE.values(manifest), indent=2) + "\n").encode()


def with_name(report: Mapping[str, Any], part: Path, output: Path) -> dict[str, Any]:
    """A parity report that names the file, not the temporary name under which it was measured.

    Args:
        report: the parity report as JSON values.
        part: the temporary path of the artefact.
        output: its final path.
    """
    return {
        key: value.replace(part.name, output.name) if isinstance(value, str) else value
        for key, value in report.items()
    }


def read_manifest(path: Path) -> Manifest:
    """Reads a manifest of :func:`manifest_content`.

    Raises:
        UserError: if it cannot be read, is damaged, or has an unknown format.
    """
    return _FILE.read(path)


def verify(artefact: Path, sha256: str | None = None) -> Manifest | None:
    """Checks an artefact against the manifest beside it.

    Args:
        artefact: the file.
        sha256: SHA-256 of its content if that was read already; else the file is read.

    Returns:
        The manifest; ``None`` if there is none. (An ONNX file is data and loads without one. For an
        engine, which is executable code, the caller must refuse ``None``.)

    Raises:
        UserError: if the artefact does not match its manifest, or one of them cannot be read.
    """
    path = manifest_path(artefact)
    if not path.exists():
        return None
    manifest = read_manifest(path)
    if (sha256 or sha256_of(artefact)) != manifest.sha256:
        raise UserError(
            f"{artefact}: was changed after its manifest {path.name} was written: export it again, "
            "or remove the manifest if you made the change"
        )
    return manifest
