"""Picture files whose end is odd although the picture is whole.

Cameras leave out the end marker of a JPEG, copies lose the last chunk of a PNG, writers to a pipe state no
size of a WebP, and the text of a PGM may end with its last digit. OpenCV refuses all of them.
"""

import re
import zlib

import numpy as np

from granet.data.image_chunks import END_OF_IMAGE, JPEG, PNG, is_webp

_TEXT = re.compile(rb"P[1-3]\s")
"""A PBM, PGM or PPM with numbers in text."""

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_MOST_AT_ONCE = 2**20

_CODES = [np.random.default_rng(seed).integers(0, 255, 1000, np.uint8).tobytes() for seed in range(4)]
_RESTARTS = b"".join(b"\xff" + bytes([0xD0 + place]) + _CODES[0] for place in range(8))
_ENDS = (b"", *_CODES, _RESTARTS)
"""Endings that fill the rest of a truncated JPEG differently: nothing, codes, codes after restarts."""


def with_end(data: bytes) -> bytes | None:
    """The file with the end that it should have, if the whole picture is there; else ``None``."""
    if data.startswith(JPEG):
        # The last byte may be half of the end marker.
        data = data.rstrip(b"\xff")
        return data + END_OF_IMAGE if _is_whole_jpeg(data) else None
    if data.startswith(PNG):
        return _ended_png(data)
    if _TEXT.match(data):
        return data + b"\n"  # OpenCV reads one byte behind the last number
    if is_webp(data):
        # The decoder checks the sizes of the chunks themselves.
        return data[:4] + ((len(data) - 8) & ~1).to_bytes(4, "little") + data[8:]
    return None


def _is_whole_jpeg(data: bytes) -> bool:
    """Whether what follows the data does not change the picture."""
    first, *others = (_jpeg_planes(data + end + END_OF_IMAGE) for end in _ENDS)
    return first is not None and all(
        other is not None and len(first) == len(other) and all(map(np.array_equal, first, other))
        for other in others
    )


def _jpeg_planes(data: bytes) -> "list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] | None":
    """The planes of a JPEG; ``None`` if it cannot be decoded. OpenCV would print to stderr."""
    import av

    decoder = av.CodecContext.create("mjpeg", "r")
    try:
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    except av.FFmpegError:
        return None
    planes = [plane for frame in frames if isinstance(frame, av.VideoFrame) for plane in frame.planes]
    return [
        np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in planes
    ]


def _ended_png(data: bytes) -> bytes | None:
    """The complete chunks of a PNG and an end, if they hold all of the compressed pixels."""
    at, pixels = len(PNG), zlib.decompressobj()
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        if end > len(data) or name == b"IEND":
            break
        if name == b"IDAT" and not _inflate(pixels, data[at + 8 : end - 4]):
            return None
        at = end
    return data[:at] + _PNG_END if pixels.eof else None


def _inflate(stream: "zlib._Decompress", data: bytes) -> bool:
    """Decompresses more of a stream, of which nothing is kept; whether it is valid."""
    try:
        while data and not stream.eof:
            stream.decompress(data, _MOST_AT_ONCE)
            data = stream.unconsumed_tail
    except zlib.error:
        return False
    return True
