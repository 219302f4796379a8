"""A frame of a recording beside the same frame of its result, for the report."""

from pathlib import Path

import av
import cv2
import numpy as np

from granet.errors import UserError
from runtime.archive.video_file import open_video, read_video
from runtime.media.frame import Pixels
from runtime.sources.url import Address
from runtime.sources.video.span import Span

WIDTH = 320
"""Pixels of one thumbnail."""

_QUALITY = 80


def before_and_after(source: Address, result: Path, seconds: float) -> bytes:
    """The first frames from a time on, side by side; the very first ones if there is none so late.

    Args:
        source: the recording.
        result: its result.
        seconds: time of the frame.

    Returns:
        A JPEG; empty if a frame cannot be decoded, for which a report has no use.
    """
    try:
        pair = [_frame_at(video, seconds) for video in (source, result)]
    except (UserError, av.FFmpegError):
        return b""
    height = round(WIDTH * pair[0].shape[0] / pair[0].shape[1])
    scaled = [cv2.resize(each, (WIDTH, max(1, height)), interpolation=cv2.INTER_AREA) for each in pair]
    done, coded = cv2.imencode(".jpg", np.hstack(scaled), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return coded.tobytes() if done else b""


def _frame_at(video: Path | Address, seconds: float) -> Pixels:
    with open_video(video) as container:
        stream = container.streams.video[0]
        base, start = stream.time_base, stream.start_time or 0
    at = start + round(seconds / base) if base else None
    try:
        return _first_frame(video, Span(at))
    except UserError:  # the last frame begins before that time, as in a recording of one frame
        return _first_frame(video, Span())


def _first_frame(video: Path | Address, span: Span) -> Pixels:
    with read_video(video, lambda note: None, span) as source:
        for frame in source.frames("bgr"):
            return frame.pixels
    raise UserError(f"{video}: has no frame there")
