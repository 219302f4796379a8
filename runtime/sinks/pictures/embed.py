"""Put an ICC profile, EXIF and colour tags into an encoded picture file.

OpenCV can do this only from 4.12 on, refuses long profiles for JPEG and damaged ones for PNG, and knows no
metadata of TIFF.
"""

import struct
import zlib
from collections.abc import Iterator

from granet.data.image_chunks import ICC_OF_JPEG, JPEG, jpeg_segments, tiff_directories, webp_chunks
from runtime.media.picture_metadata import PictureMetadata

WITH_ICC = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".tif", ".tiff")
WITH_EXIF = (".jpg", ".jpeg", ".jpe", ".png", ".webp")
WITH_COLOUR_CHUNKS = (".png",)
WITH_TEXT = (".png",)
WITH_RESOLUTION = (".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".bmp")
"""Suffixes of files that can hold the metadata; :func:`embed` ignores it for others."""

_LONGEST_SEGMENT = 65533
_EXIF_OF_JPEG = b"Exif\0\0"
_AFTER_IHDR = 33
_FLAGS = {b"ICCP": 0x20, b"EXIF": 0x08}
_ALPHA_FLAG = 0x10
_SHORT, _RATIONAL, _UNDEFINED = 3, 5, 7
_RESOLUTION, _RESOLUTION_UNIT = (282, 283), 296
_INCH = 0.0254
"""Metres."""

_BMP_PLACE = 38
_EXTRA_SAMPLES, _ICC_OF_TIFF = 338, 34675
_UNASSOCIATED_ALPHA = 2


def embed(
    data: bytes, suffix: str, metadata: PictureMetadata, size: tuple[int, int], *, alpha: bool
) -> bytes:
    """Adds ``metadata`` to a picture that OpenCV has encoded.

    Args:
        data: the encoded picture, without metadata of its own.
        suffix: file extension such as ``.png``.
        metadata: the metadata to add.
        size: (height, width) in pixels.
        alpha: whether the picture has a fourth channel, which is its transparency.
    """
    suffix = suffix.lower()
    if suffix == ".png":
        return data[:_AFTER_IHDR] + b"".join(_png_parts(metadata)) + data[_AFTER_IHDR:]
    if suffix in (".jpg", ".jpeg", ".jpe"):
        return _with_segments(_with_density(data, metadata), b"".join(_jpeg_parts(metadata)))
    if suffix == ".webp":
        return _webp(data, metadata, size, alpha=alpha)
    if suffix in (".tif", ".tiff"):
        return _tiff(data, metadata, alpha=alpha)
    if suffix == ".bmp" and metadata.per_metre:
        return data[:_BMP_PLACE] + struct.pack("<ii", *metadata.per_metre) + data[_BMP_PLACE + 8 :]
    return data


def fits_in_jpeg(exif: bytes) -> bool:
    """Whether a JPEG can hold the EXIF block, which must be in one segment."""
    return len(_EXIF_OF_JPEG) + len(exif) <= _LONGEST_SEGMENT


def _png_parts(metadata: PictureMetadata) -> Iterator[bytes]:
    chunks = list(metadata.colour_chunks)
    if metadata.icc:
        chunks = [chunk for chunk in chunks if chunk[0] != b"sRGB"]  # of the two a file may have one
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.exif:
        chunks.append((b"eXIf", metadata.exif))
    if metadata.per_metre:
        chunks.append((b"pHYs", struct.pack(">IIB", *metadata.per_metre, 1)))
    chunks += metadata.text
    for name, payload in chunks:
        checksum = zlib.crc32(name + payload)
        yield len(payload).to_bytes(4, "big") + name + payload + checksum.to_bytes(4, "big")


def _jpeg_parts(metadata: PictureMetadata) -> Iterator[bytes]:
    if metadata.exif and fits_in_jpeg(metadata.exif):
        yield _segment(0xE1, _EXIF_OF_JPEG + metadata.exif)
    room = _LONGEST_SEGMENT - len(ICC_OF_JPEG) - 2
    parts = [metadata.icc[at : at + room] for at in range(0, len(metadata.icc), room)]
    for number, part in enumerate(parts, 1):
        yield _segment(0xE2, ICC_OF_JPEG + bytes([number, len(parts)]) + part)


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload


def _with_segments(data: bytes, segments: bytes) -> bytes:
    """Inserts ``segments`` behind the JFIF segment, which has to be the first."""
    marker, start, size = next(jpeg_segments(data))
    at = start + size if marker == 0xE0 else len(JPEG)
    return data[:at] + segments + data[at:]


def _with_density(data: bytes, metadata: PictureMetadata) -> bytes:
    """The JPEG with its resolution in the JFIF segment, which has whole dots per inch or per centimetre."""
    marker, start, _ = next(jpeg_segments(data))
    if not metadata.per_metre or marker != 0xE0:
        return data
    inches = [min(65535, max(1, round(value * _INCH))) for value in metadata.per_metre]
    return data[: start + 7] + struct.pack(">BHH", 1, *inches) + data[start + 12 :]


def _webp(data: bytes, metadata: PictureMetadata, size: tuple[int, int], *, alpha: bool) -> bytes:
    """An extended WebP file (RFC 9649, section 2.7): header, profile, picture, EXIF."""
    before = [(b"ICCP", metadata.icc)] if metadata.icc else []
    after = [(b"EXIF", metadata.exif)] if metadata.exif else []
    if not before and not after:
        return data
    pictures = [(name, data[at : at + size]) for name, at, size in webp_chunks(data) if name != b"VP8X"]
    flags = sum(_FLAGS[name] for name, _ in before + after) | (_ALPHA_FLAG if alpha else 0)
    height, width = size
    header = struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"".join(
        name + struct.pack("<I", len(payload)) + payload + bytes(len(payload) % 2)
        for name, payload in [(b"VP8X", header), *before, *pictures, *after]
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _tiff(data: bytes, metadata: PictureMetadata, *, alpha: bool) -> bytes:
    """The TIFF file of OpenCV (little endian) with a longer directory at its end."""
    directory = next(tiff_directories(data))
    assert directory.order == "little"
    added = dict[int, tuple[int, int, bytes]]()
    if metadata.icc:
        added[_ICC_OF_TIFF] = (_UNDEFINED, len(metadata.icc), metadata.icc)
    if alpha and _EXTRA_SAMPLES not in directory.fields:
        added[_EXTRA_SAMPLES] = (_SHORT, 1, struct.pack("<H", _UNASSOCIATED_ALPHA))
    if metadata.per_metre:
        for tag, value in zip(_RESOLUTION, metadata.per_metre, strict=True):
            added[tag] = (_RATIONAL, 1, struct.pack("<II", value * 127, 5000))
        added[_RESOLUTION_UNIT] = (_SHORT, 1, struct.pack("<H", 2))
    if not added:
        return data
    data += bytes(len(data) % 2)
    (count,) = struct.unpack_from("<H", data, directory.at)
    old = (data[directory.at + 2 + 12 * i :][:12] for i in range(count))
    entries = {struct.unpack_from("<H", entry)[0]: entry for entry in old}
    for tag, (kind, values, payload) in added.items():
        place = payload.ljust(4, b"\0")
        if len(payload) > 4:
            place = struct.pack("<I", len(data))
            data += payload + bytes(len(payload) % 2)
        entries[tag] = struct.pack("<HHI", tag, kind, values) + place
    table = struct.pack("<H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + table
