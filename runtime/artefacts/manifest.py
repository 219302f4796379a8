"""The manifest beside an artefact: what it is, its hash, and the parity that was measured.

``model.onnx`` has ``model.onnx.json``. The manifest ties the figures to one very file: if the file
was changed after, it is refused.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from granet.app.files import write_atomically
from granet.errors import UserError
from runtime.artefacts.metadata import ModelMetadata

FORMAT = 1
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """What a manifest says.

    Attributes:
        file: name of the artefact when it was made, without its directory.
        sha256: of the artefact, hexadecimal.
        metadata: the record that the artefact carries.
        parity: the measured figures, as the JSON of ``granet-export parity``; ``None`` if none were.
        created: when, ISO 8601 in UTC.
    """

    file: str
    sha256: str
    metadata: ModelMetadata
    parity: dict[str, Any] | None
    created: str


def manifest_path(artefact: Path) -> Path:
    """``model.onnx`` -> ``model.onnx.json``, in the same directory."""
    return artefact.with_name(artefact.name + ".json")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        UserError: if it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()


def write_manifest(
    artefact: Path, sha256: str, metadata: ModelMetadata, parity: Mapping[str, Any] | None = None
) -> Path:
    """Writes the manifest of ``artefact``, whole or not at all.

    Args:
        artefact: where the artefact is or will be; it is not read.
        sha256: of the artefact, see :func:`sha256_of`.
        metadata: the record that the artefact carries.
        parity: the measured figures; must go into JSON, so infinities are the caller's to replace.

    Returns:
        The path of the manifest.

    Raises:
        UserError: if it cannot be written (no such directory, disk full, ...).
    """
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record = {
        "format": FORMAT,
        "file": artefact.name,
        "sha256": sha256,
        "metadata": asdict(metadata),
        "parity": None if parity is None else dict(parity),
        "created": created,
    }
    path = manifest_path(artefact)
    write_text(path, json.dumps(record, indent=2, allow_nan=False) + "\n")
    return path


def read_manifest(path: Path) -> Manifest:
    """Reads what :func:`write_manifest` wrote.

    Raises:
        UserError: if it cannot be read, is damaged, or is of a format that this version does not know.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "it is not JSON") from error
    if not isinstance(record, dict):
        raise _damaged(path, "it is not a JSON object")
    if record.get("format") != FORMAT:
        raise UserError(
            f"{path}: a manifest of format {record.get('format')!r}, this version reads {FORMAT}: "
            "export the model again with this version"
        )
    for name in ("file", "sha256", "created"):
        if not isinstance(record.get(name), str):
            raise _damaged(path, f"{name} is missing")
    parity = record.get("parity")
    if parity is not None and not isinstance(parity, dict):
        raise _damaged(path, "parity is not an object")
    metadata = ModelMetadata.from_json(json.dumps(record.get("metadata")), str(path))
    return Manifest(record["file"], record["sha256"], metadata, parity, record["created"])


def verify(artefact: Path) -> Manifest | None:
    """Checks an artefact against the manifest beside it.

    Returns:
        The manifest; ``None`` if there is none. (An ONNX file is data and loads without one. For an
        engine, which is executable code, the caller must refuse ``None``.)

    Raises:
        UserError: if the artefact is not the one that the manifest was written for, or either
            cannot be read.
    """
    path = manifest_path(artefact)
    if not path.exists():
        return None
    manifest = read_manifest(path)
    if sha256_of(artefact) != manifest.sha256:
        raise UserError(
            f"{artefact}: was changed after its manifest {path.name} was written: export it again, "
            "or remove the manifest if the change was yours"
        )
    return manifest


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path}: the manifest is damaged ({what}): export the model again")


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all.

    Raises:
        UserError: if it cannot be written.
    """
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
