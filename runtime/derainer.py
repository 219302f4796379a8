"""Rain removal for Python programs and notebooks: one class around engines and sources."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal, overload

import cv2
import numpy as np

from granet.errors import UserError
from runtime.engines.base import EngineInfo
from runtime.inputs import Item, Read, read_all, warn
from runtime.live.frame_steps import FrameSteps
from runtime.media.closing import Closing
from runtime.media.frame import Colour, Frame, Pixels
from runtime.model_option import model_path
from runtime.models.packaged import default_model
from runtime.open import open_engine
from runtime.result import Result

_CLOSED = "this Derainer is closed: make a new one, or predict before close()"


class Derainer(Closing):
    """Removes rain from pictures and videos.

    >>> import numpy, runtime
    >>> with runtime.Derainer("lite") as derainer:
    ...     [result] = derainer.predict(numpy.full((64, 96, 3), 128, numpy.uint8))
    >>> result.derained.shape
    (64, 96, 3)

    Args:
        model: name of a packaged model (``lite``, ``base``), or the path of a checkpoint, an ONNX model or an
            engine. ``None`` chooses the packaged model that suits the device.
        device: as for :func:`runtime.open_engine`.
        backend: the same.
        colour: channel order of the arrays that go in and come out: ``bgr`` as in OpenCV, or ``rgb`` as in
            Pillow and matplotlib. Files are read and written correctly in both.

    Attributes:
        info: facts about the engine. ``info.colour`` is the model's own channel order.
        colour: as above.

    Raises:
        UserError: if there is no such model, backend or device.
    """

    info: EngineInfo

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        backend: str = "auto",
        colour: Colour = "bgr",
    ) -> None:
        if colour not in ("bgr", "rgb"):
            raise UserError(f"unknown colour order {colour!r}: choose bgr or rgb")
        self.colour: Colour = colour
        self._engine = open_engine(_path_of(model, device, backend), device, backend, colour=colour)
        self.info = self._engine.info
        self._places = threading.BoundedSemaphore(self._engine.concurrency)
        self._steps = FrameSteps(self._engine, None, None, lambda message: None)
        self._closed = False

    @overload
    def predict(self, source: Item | Iterable[Item], *, stream: Literal[False] = False) -> list[Result]: ...

    @overload
    def predict(self, source: Item | Iterable[Item], *, stream: Literal[True]) -> Iterator[Result]: ...

    def predict(
        self, source: Item | Iterable[Item], *, stream: bool = False
    ) -> list[Result] | Iterator[Result]:
        """Removes the rain from one or more pictures, or from each frame of a video.

        Args:
            source: a uint8 H x W x 3 array with sides of at least 16 pixels; the path of a picture, a
                directory of pictures, a pattern or a video; the address of a stream; or an iterable of
                those, such as a list of pictures or a generator of frames.
            stream: give an iterator that computes each result when it is asked for. Long videos need it,
                because a list keeps all frames in memory.

        Returns:
            The results in order: a list, also for one picture, or with ``stream`` an iterator.

        Raises:
            UserError: if this object is closed, an input cannot be read or is not a picture, or a live
                stream is to become a list. With ``stream``, inputs are read, and refused, one by one.

        >>> import numpy, runtime
        >>> frames = (numpy.full((64, 96, 3), level, numpy.uint8) for level in (90, 120))
        >>> with runtime.Derainer("lite") as derainer:
        ...     for result in derainer.predict(frames, stream=True):
        ...         print(result.name, result.derained.shape)
        000001.png (64, 96, 3)
        000002.png (64, 96, 3)
        """
        self._check_open()
        results = self._results(read_all(source, self.colour, may_be_live=stream))
        return results if stream else list(results)

    def close(self) -> None:
        """Releases the model. Results stay valid. May be called twice.

        >>> import runtime
        >>> derainer = runtime.Derainer("lite")
        >>> derainer.close()
        >>> derainer.predict("rainy.jpg")
        Traceback (most recent call last):
          ...
        granet.errors.UserError: this Derainer is closed: make a new one, or predict before close()
        """
        self._closed = True
        with ExitStack() as held:
            for _ in range(self._engine.concurrency):  # until no thread computes
                held.enter_context(self._places)
            self._engine.close()

    def _check_open(self) -> None:
        if self._closed:
            raise UserError(_CLOSED)

    def _results(self, read: Iterator[Read]) -> Iterator[Result]:
        for frame, info in read:
            yield Result(self._derained(frame), frame, self.colour, info, warn)

    def _derained(self, frame: Frame) -> Frame:
        """The result in the caller's colour order; up to ``concurrency`` threads compute at once."""
        with self._places:
            self._check_open()
            own = replace(frame, pixels=self._swapped(frame.pixels))
            after = self._steps.apply(own, skipped=False)
        return replace(after, pixels=self._swapped(after.pixels))

    def _swapped(self, pixels: Pixels) -> Pixels:
        """Swaps red and blue if the model has the other channel order than the caller."""
        if self.info.colour == self.colour:
            return pixels
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def _path_of(model: str | Path | None, device: str, backend: str) -> Path:
    if model is None:
        return default_model(device, backend).path
    return model_path(model, device, backend, "model") if isinstance(model, str) else model
