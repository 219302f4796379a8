"""The inputs of a Python program as frames: arrays, paths, and iterables of both."""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import TypeAlias

import numpy as np

from granet.errors import UserError
from runtime.media.frame import Colour, Frame, Pixels, repainted
from runtime.sources.base import DecodedFrame, StreamInfo
from runtime.sources.live.supervised import LiveOptions
from runtime.sources.open import may_be_waited_for, open_source

Item: TypeAlias = Pixels | str | os.PathLike[str]
"""A picture as uint8 H x W x 3, or the path of a picture, a directory or a video."""

Read: TypeAlias = tuple[Frame, StreamInfo]
"""A frame, and information about the input that it is from."""

_WHAT = "give a uint8 H x W x 3 array, a path, or a list or an iterator of those"


def read_all(source: Item | Iterable[Item], colour: Colour, *, may_be_live: bool) -> Iterator[Read]:
    """Reads one input after the other, each when it is needed.

    Args:
        source: one input, or an iterable of inputs.
        colour: channel order of arrays and frames.
        may_be_live: whether an input may be a live stream, which never ends.

    Yields:
        Frames whose index is their position among all, with information about their input.

    Raises:
        UserError: if an input cannot be read or is not a picture.
    """
    numbers = count()
    items: Iterable[Item]
    if isinstance(source, np.ndarray | str | os.PathLike):
        items = (source,)
    elif isinstance(source, Iterable) and not isinstance(source, bytes | Mapping):
        items = source
    else:
        raise UserError(_not_an_input(source))
    for item in items:
        frames = _read(item, colour, may_be_live=may_be_live)
        for (frame, info), number in zip(frames, numbers, strict=False):
            yield replace(frame, index=number), info


def warn(message: str) -> None:
    """Tells a Python program about an unexpected property of an input."""
    warnings.warn(message, stacklevel=2)


def _read(item: Item, colour: Colour, *, may_be_live: bool) -> Iterator[Read]:
    if isinstance(item, np.ndarray):
        yield Frame(_checked(item), 0), StreamInfo("array", "pictures")
        return
    if not isinstance(item, str | os.PathLike):
        raise UserError(_not_an_input(item))
    text = os.fspath(item)
    if not text:
        raise UserError(f"the path is empty: {_WHAT}")
    if not may_be_live and may_be_waited_for(text, LiveOptions()):
        raise UserError(_endless(text))
    with open_source(text, warn, LiveOptions(announce=warn)) as source:
        if source.info.live and not may_be_live:
            raise UserError(_endless(source.info.name))
        for frame in source.frames(colour):
            source.sound()  # otherwise it is kept for an output
            # The decoder's frame is for comparisons in a video.
            kept = repainted(frame, frame.pixels) if isinstance(frame, DecodedFrame) else frame
            yield kept, source.info
        source.require_whole()


def _checked(pixels: Pixels) -> Pixels:
    if pixels.size and pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3:
        return pixels
    raise UserError(
        f"an array of {pixels.dtype} with shape {pixels.shape} is not one picture: {_remedy(pixels)}"
    )


def _remedy(array: Pixels) -> str:
    """How to make a picture of an array that is none, as an expression where there is one."""
    if array.ndim == 4:
        return "give list(array) for several pictures"
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1):
        return "give numpy.dstack([array] * 3) for a grey one"
    if array.ndim == 3 and array.shape[2] == 4:
        return "give array[..., :3] without its transparency"
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        return "give array.transpose(1, 2, 0)"
    if array.ndim == 3 and array.dtype.kind == "f":
        return "give numpy.uint8(numpy.clip(array * 255, 0, 255).round()) for values in 0 to 1"
    if array.dtype == np.uint16 and array.ndim == 3:
        return "give numpy.uint8(array // 257) for 16 bits"
    return "give uint8 H x W x 3, in 0 to 255"


def _not_an_input(item: object) -> str:
    if hasattr(item, "__array_interface__"):
        return f"{type(item).__name__} is not an array: give numpy.asarray(...); Pillow's are in colour='rgb'"
    if hasattr(item, "__array__"):
        return f"{type(item).__name__} is not an array: give numpy.asarray(...)"
    return f"{type(item).__name__} is not an input: {_WHAT}"


def _endless(name: str) -> str:
    return f"{name}: is live and may never end: use predict(..., stream=True)"
