"""Side data that the decoder attaches to a frame: HDR metadata, and data that no output keeps."""

import struct
from collections.abc import Mapping
from typing import cast

import av
from av.buffer import Buffer

from granet.app.console import Say
from runtime.media.hdr_metadata import HdrMetadata

_CHROMATICITY, _LUMINANCE = 50_000, 10_000
"""Units per 1 and per cd/m² in the SEI messages of H.264 and H.265."""

_NOT_KEPT = {
    "A53_CC": "closed captions",
    "S12M_TIMECODE": "the timecode",
    "GOP_TIMECODE": "the timecode",
    "STEREO3D": "the arrangement of stereoscopic views",
    "SPHERICAL": "the projection of 360-degree video",
    "ICC_PROFILE": "the colour profile",
    "DYNAMIC_HDR_PLUS": "dynamic HDR metadata",
    "DYNAMIC_HDR_VIVID": "dynamic HDR metadata",
    "DOVI_METADATA": "dynamic HDR metadata",
    "DOVI_RPU_BUFFER": "dynamic HDR metadata",
    "AMBIENT_VIEWING_ENVIRONMENT": "the viewing environment",
}
"""PyAV's name of the kind -> what it is to the user."""


def side_data_of(frame: av.VideoFrame) -> dict[str, bytes]:
    """The side data of a frame by PyAV's name of its kind; none if PyAV does not know one of the kinds."""
    try:
        # PyAV annotates the container as a dictionary with one key, but it holds every kind of side data.
        side_data = cast("Mapping[str, Buffer]", frame.side_data)
    except ValueError:
        return {}
    found = {}
    for name in ("DISPLAYMATRIX", "MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", *_NOT_KEPT):
        try:
            found[name] = bytes(side_data[name])
        except KeyError:
            continue
    return found


def say_what_is_not_kept(frame: av.VideoFrame, say: Say) -> None:
    """Names the side data that no output keeps, in one line."""
    lost = dict.fromkeys(_NOT_KEPT[name] for name in side_data_of(frame) if name in _NOT_KEPT)
    if lost:
        say(f"not kept: {', '.join(lost)}")


def hdr_metadata(frame: av.VideoFrame) -> HdrMetadata:
    """The static HDR metadata of a frame."""
    found = side_data_of(frame)
    chromaticities, luminance = _mastering(found.get("MASTERING_DISPLAY_METADATA", b""))
    light = found.get("CONTENT_LIGHT_LEVEL", b"")
    return HdrMetadata(chromaticities, luminance, struct.unpack("=2I", light[:8]) if len(light) >= 8 else ())


def _mastering(data: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """FFmpeg's AVMasteringDisplayMetadata -> (G, B, R and white; highest and lowest luminance)."""
    if len(data) < 88:
        return (), ()
    # Eight rationals for x and y of red, green, blue and white, two for the luminance, two flags.
    values = struct.unpack("=22i", data[:88])
    pairs = list(zip(values[:20:2], values[1:20:2], strict=True))
    if any(bottom == 0 for _, bottom in pairs):
        return (), ()
    points = [round(_CHROMATICITY * top / bottom) for top, bottom in pairs[:8]]
    low, high = (round(_LUMINANCE * top / bottom) for top, bottom in pairs[8:])
    red, green, blue, white = (points[i : i + 2] for i in range(0, 8, 2))
    has_points, has_luminance = values[20:]
    return (*green, *blue, *red, *white) if has_points else (), (high, low) if has_luminance else ()
