"""The metadata of a picture file: ICC profile, EXIF and tags of its colours."""

import zlib
from collections.abc import Iterator
from itertools import islice

from granet.app.console import Say
from granet.data.image_chunks import (
    ICC_OF_JPEG,
    JPEG,
    ORIENTATION,
    PNG,
    TiffDirectory,
    boxes,
    is_tiff,
    is_webp,
    jpeg_segments,
    png_chunks,
    tiff_directories,
    webp_chunks,
)
from granet.data.image_headers import exif_block, orientation
from granet.data.image_items import item_properties
from granet.data.upright import UPRIGHT
from runtime.media.picture_metadata import PictureMetadata, cicp_chunk
from runtime.sources.pictures.resolution import dots_per_metre

_ICC_OF_TIFF = 34675
_COLOUR_CHUNKS = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_SIDEWAYS = (5, 6, 7, 8)

_TAGS_OF_TIFF = (270, 271, 272, 306, 315, 33432, 34665, 34853)
"""Description, maker, model, date, artist, copyright, and the directories of EXIF and GPS."""

_LARGEST_PROFILE = 16 * 2**20
"""Bytes; real profiles have a few MiB at most. A PNG stores them compressed."""

_XMP_OF_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_OF_PNG = b"XML:com.adobe.xmp\0"
_XMP_OF_TIFF = 700


def read_metadata(data: bytes, say: Say) -> PictureMetadata:
    """Reads the metadata of a JPEG, PNG, WebP, TIFF, AVIF or JPEG 2000 file.

    Args:
        data: the whole file.
        say: called with a note about metadata that no output keeps.
    """
    if _has_xmp(data):
        say("XMP metadata of pictures is not kept")
    exif = exif_block(data) or b""
    if not exif and any(kind == b"Exif" for kind in _item_kinds(data)):
        say("EXIF metadata of AVIF pictures is not kept")
    if is_tiff(data) and any(tag in directory.fields for directory in _first(data) for tag in _TAGS_OF_TIFF):
        say("EXIF metadata of TIFF pictures is not kept")
    per_metre = dots_per_metre(data)
    if per_metre is not None and orientation(data) in _SIDEWAYS:
        per_metre = per_metre[::-1]
    return PictureMetadata(_icc(data), upright_exif(exif), _colour_chunks(data), _text(data), per_metre)


def upright_exif(block: bytes) -> bytes:
    """The EXIF ``block`` with the orientation of upright pixels; empty if it is damaged."""
    directory = next(tiff_directories(block), None)
    if directory is None:
        return b""
    field = directory.fields.get(ORIENTATION)
    if field is None:
        return block
    value = UPRIGHT.to_bytes(len(field.value), directory.order)
    return block[: field.at] + value + block[field.at + len(field.value) :]


def _first(data: bytes) -> Iterator[TiffDirectory]:
    return islice(tiff_directories(data), 1)


def _text(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    if not data.startswith(PNG):
        return ()
    chunks = [(name, data[at : at + size]) for name, at, size in png_chunks(data) if name in _TEXT_CHUNKS]
    return tuple(chunk for chunk in chunks if not chunk[1].startswith(_XMP_OF_PNG))


def _icc(data: bytes) -> bytes:
    if data.startswith(JPEG):
        segments = (data[at : at + size] for marker, at, size in jpeg_segments(data) if marker == 0xE2)
        # After the name come the number of the part, from 1, and how many there are.
        parts = sorted(part[len(ICC_OF_JPEG) :] for part in segments if part.startswith(ICC_OF_JPEG))
        return b"".join(part[2:] for part in parts)
    if data.startswith(PNG):
        found = (data[at : at + size] for name, at, size in png_chunks(data) if name == b"iCCP")
        return next((_inflated(payload.partition(b"\0")[2][1:]) for payload in found), b"")
    if is_webp(data):
        return next((data[at : at + size] for name, at, size in webp_chunks(data) if name == b"ICCP"), b"")
    if is_tiff(data):
        directory = next(tiff_directories(data), None)
        field = None if directory is None else directory.fields.get(_ICC_OF_TIFF)
        return b"" if field is None else field.value
    return next(_icc_in_boxes(data), b"")


def _icc_in_boxes(data: bytes) -> Iterator[bytes]:
    for kind, payload in item_properties(data):
        if kind == b"colr" and payload[:4] in (b"prof", b"rICC"):
            yield payload[4:]
    for outer, start, end in boxes(data):
        # JPEG 2000: method 2 is a restricted profile.
        for kind, first, last in boxes(data, start, end) if outer == b"jp2h" else ():
            if kind == b"colr" and data[first] == 2:
                yield data[first + 3 : last]


def _inflated(payload: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(payload, _LARGEST_PROFILE)
    except zlib.error:
        return b""


def _colour_chunks(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    if data.startswith(PNG):
        chunks = [(name, data[at : at + size]) for name, at, size in png_chunks(data)]
        return tuple(chunk for chunk in chunks if chunk[0] in _COLOUR_CHUNKS)
    for kind, payload in item_properties(data):
        if kind == b"colr" and payload[:4] == b"nclx":
            return cicp_chunk(int.from_bytes(payload[4:6], "big"), int.from_bytes(payload[6:8], "big"))
    return ()


def _has_xmp(data: bytes) -> bool:
    if data.startswith(JPEG):
        return any(data.startswith(_XMP_OF_JPEG, at) for _, at, _ in jpeg_segments(data))
    if data.startswith(PNG):
        return any(name == b"iTXt" and data.startswith(_XMP_OF_PNG, at) for name, at, _ in png_chunks(data))
    if is_webp(data):
        return any(name == b"XMP " for name, _, _ in webp_chunks(data))
    if is_tiff(data):
        return any(_XMP_OF_TIFF in directory.fields for directory in tiff_directories(data))
    return any(kind == b"mime" for kind in _item_kinds(data))


def _item_kinds(data: bytes) -> Iterator[bytes]:
    """The types of the items of an AVIF or HEIC file."""
    for kind, start, end in boxes(data) if data[4:8] == b"ftyp" else ():
        for inner, first, last in boxes(data, start + 4, end) if kind == b"meta" else ():
            if inner == b"iinf":
                table = first + (8 if data[first] else 6)
                # Version 2 of an entry has a short number, version 3 a long one; then protection and type.
                for _, at, _ in boxes(data, table, last):
                    yield data[at + (10 if data[at] == 3 else 8) :][:4]
