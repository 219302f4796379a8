"""Reads the content of a checkpoint file within limits and without executing anything.

The file is read once. Its bytes are checked first, and those same bytes are then loaded: a file that somebody
replaces in between changes nothing. The memory that a file may request is bounded by its size.
"""

import io
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import msgspec
import safetensors.torch
import torch

from granet.app.input_file import open_regular, other_kind
from granet.app.schema import decode_json
from granet.errors import UserError
from granet.weights.file_names import SAFETENSORS
from granet.weights.inert import items_of, stand_in
from granet.weights.pickle_check import check_pickle

MOST_BYTES = 4 << 30
"""Size of a file. The largest network that :class:`granet.GraNetConfig` allows takes less, in float32."""

MOST_HEADER = 4 << 20
"""Bytes of the header of a safetensors file, which lists about 100 bytes for each tensor."""

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_HEAD = 3
"""Pickles before the content in the format before PyTorch 1.6: magic number, version, machine."""


class _Header(msgspec.Struct):
    """The part of a safetensors header that is read besides the tensors."""

    metadata: dict[str, str] = msgspec.field(name="__metadata__", default_factory=dict)


def read_file(path: Path) -> bytes:
    """Reads a regular file of an acceptable size.

    Raises:
        UserError: if it is missing, not a regular file or too large.
        OSError: if it cannot be read.
    """
    if not path.exists():
        raise UserError("there is no such file")
    if (kind := other_kind(path)) is not None:
        raise UserError(f"it is {kind}, not a file")
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        if status.st_size > MOST_BYTES:
            raise UserError(f"it has {status.st_size:,} bytes, more than any checkpoint of GraNet")
        return file.read(status.st_size)


def parse_content(data: bytes, name: str) -> tuple[Mapping[Any, Any], str | None]:
    """The mapping in a checkpoint and the record of :func:`granet.save_checkpoint`, if there is one.

    Args:
        data: the whole file.
        name: its name; the content decides about the format, and the name only where that is damaged.

    Raises:
        UserError: if the file is damaged, hostile, or not a mapping.
    """
    named_so = name.lower().endswith(SAFETENSORS) and not data.startswith(_ZIP)
    if named_so or (data[8:9] == b"{" and not data.startswith(_ZIP)):
        return _parse_safetensors(data)
    return parse_torch(data)


def _parse_safetensors(data: bytes) -> tuple[dict[str, torch.Tensor], str | None]:
    length = int.from_bytes(data[:8], "little")
    try:
        if len(data) < 8 or not 2 <= length <= len(data) - 8:
            raise ValueError("its header is incomplete")
        if length > MOST_HEADER:
            raise ValueError(f"its header has {length:,} bytes")
        header = decode_json(data[8 : 8 + length], _Header)
        return safetensors.torch.load(data), header.metadata.get("granet")
    except Exception as error:
        raise UserError(f"it is damaged, or not a .safetensors file: {first_line(error)}") from error


def parse_torch(data: bytes) -> tuple[Mapping[Any, Any], str | None]:
    """The mapping that ``torch.save`` wrote, and our record in it.

    Raises:
        UserError: if the file is damaged, hostile, or not a mapping.
    """
    # Before 2.10 a crafted file could bypass weights_only (CVE-2025-32434 and its successors).
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 10):
        raise UserError(f"torch {torch.__version__} cannot load it safely: pip install 'torch>=2.10'")
    if data.startswith(_ZIP):
        content = _loaded(*_checked_archive(data))
    elif data.startswith(_PICKLE):
        content = _loaded(io.BytesIO(data), _check_legacy(data))
    else:
        raise UserError("it is neither a zip archive nor a pickle: this is not a PyTorch checkpoint")
    if not isinstance(content, Mapping):
        raise UserError(f"it holds a {type(content).__name__}: this is not a checkpoint of GraNet")
    content = dict(items_of(content))
    record = content.get("granet")
    return content, record if isinstance(record, str) else None


def _loaded(file: io.BytesIO, names: Iterable[str]) -> Any:
    """Loads what was checked. ``weights_only`` is a second lock: it knows no functions but these either."""
    stand_ins = ((stand_in(name), name) for name in names)
    allowed: list[Any] = [each for each in stand_ins if each[0] is not None]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(allowed):
            # They are about pickle protocols; errors repeat the relevant ones.
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a crafted file can make torch raise anything
        raise UserError(f"it is damaged, or not a PyTorch checkpoint ({first_line(error)})") from error


def _checked_archive(data: bytes) -> tuple[io.BytesIO, frozenset[str]]:
    """An archive with the checked records alone, uncompressed, and the names in its pickle.

    It is written anew, so that two readers of zip files cannot find two different pickles in one file.
    """
    records = _records(data)
    if "data.pkl" not in records:
        raise UserError("it is an archive of something else: this is not a PyTorch checkpoint")
    checked = check_pickle(records["data.pkl"])
    storages = checked.storages
    for key, storage in storages.items():
        if storage.bytes > len(records.get(f"data/{key}", b"")):
            raise UserError("it is damaged or truncated (numbers of a tensor are missing): copy it again")
    kept = {"data.pkl", "version", "byteorder", *(f"data/{key}" for key in storages)}
    target = io.BytesIO()
    with ZipFile(target, "w", ZIP_STORED) as archive:
        for name in records.keys() & kept:
            archive.writestr(f"archive/{name}", records[name])
    target.seek(0)
    return target, checked.names


def _records(data: bytes) -> dict[str, bytes]:
    """The entries of an archive by their names below its only folder."""
    try:
        with ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(entries, len(data))
            return {entry.filename.partition("/")[2]: archive.read(entry) for entry in entries}
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"it is damaged or truncated ({first_line(error)}): copy it again") from error


def _check_entries(entries: list[ZipInfo], size: int) -> None:
    """Refuses what ``torch.save`` never writes, such as archives that unpack to more than their size."""
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise UserError("it is a TorchScript program: save the state_dict of the network instead")
    if any(entry.compress_type != ZIP_STORED for entry in entries):
        raise UserError("it is a compressed archive: this is not a PyTorch checkpoint")
    if sum(entry.file_size for entry in entries) > size:
        raise UserError("its entries claim to be larger than the file: it is damaged or hostile")
    names = [entry.filename for entry in entries]
    folders = {name.partition("/")[0] for name in names}
    if len(set(names)) < len(names) or len(folders) > 1:
        raise UserError("it is an archive that torch.save did not write: this is not a PyTorch checkpoint")


def _check_legacy(data: bytes) -> frozenset[str]:
    """Checks the format before PyTorch 1.6: five pickles, then the numbers of the storages.

    Returns:
        The names in the pickles.
    """
    at, wanted, names = 0, 0, frozenset[str]()
    for index in range(_LEGACY_HEAD + 2):
        checked = check_pickle(data, at)
        if index == 0 and checked.value != _MAGIC:
            raise UserError("it is damaged, or a pickle that torch.save did not write")
        at, names = checked.end, names | checked.names
        wanted += sum(storage.bytes for storage in checked.storages.values())
    if wanted > len(data) - at:
        raise UserError("its tensors claim to be larger than the file: it is damaged or hostile")
    return names


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type if there is none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
