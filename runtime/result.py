"""The result of one picture, for Python programs and notebooks."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from granet.app.console import Say
from granet.data.image_files import PICTURE_SUFFIXES, is_picture
from granet.errors import UserError
from runtime.media.colour_tags import ColourTags
from runtime.media.frame import Colour, Frame, Pixels
from runtime.sinks.base import Sink
from runtime.sinks.pictures.encode import PictureEncoder
from runtime.sinks.pictures.single import PictureSink
from runtime.sources.base import StreamInfo
from runtime.views.rain_overlay import removed_rain


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A picture before and after the removal of rain.

    A notebook shows a result that is the last value of a cell.

    >>> import numpy, runtime
    >>> with runtime.Derainer("lite") as derainer:
    ...     [result] = derainer.predict(numpy.full((64, 96, 3), 128, numpy.uint8))
    >>> result.derained.shape, result.rain.dtype
    ((64, 96, 3), dtype('uint8'))
    >>> result
    <Result '000001.png', 96x64 bgr>

    Attributes:
        frame: the result with its index, name and timestamp.
        before: the input of the same size.
        colour: channel order of all pixels.
    """

    frame: Frame
    before: Frame
    colour: Colour
    _info: StreamInfo
    _say: Say

    def __repr__(self) -> str:
        height, width = self.derained.shape[:2]
        return f"<Result {self.name!r}, {width}x{height} {self.colour}>"

    @property
    def derained(self) -> Pixels:
        """The picture without rain: uint8 H x W x 3, in [0, 255], in :attr:`colour` order."""
        return self.frame.pixels

    @property
    def input(self) -> Pixels:
        """The picture with rain: uint8 H x W x 3, in [0, 255], in :attr:`colour` order."""
        return self.before.pixels

    @property
    def rain(self) -> Pixels:
        """The removed rain, max(0, input - derained): uint8 H x W x 3, grey levels, a new array."""
        return removed_rain(self.input, self.derained)

    @property
    def name(self) -> str:
        """File name of the picture, or its number in six digits with ``.png`` if it has no name."""
        return self.frame.name or f"{self.frame.index + 1:06d}.png"

    @property
    def seconds(self) -> float | None:
        """Presentation time of a video frame in seconds; ``None`` for pictures."""
        if self.frame.pts is None or self.frame.time_base is None:
            return None
        return float(self.frame.pts * self.frame.time_base)

    def save(self, path: str | Path, *, compare: bool = False, overwrite: bool = False) -> Path:
        """Writes the picture; its transparency, colour profile and EXIF data are kept where they can be.

        Args:
            path: a file, whose extension selects the format, or an existing directory, in which the file
                gets :attr:`name`.
            compare: write input and result side by side.
            overwrite: whether an existing file may be replaced. The input file never is.

        Returns:
            The written file.

        Raises:
            UserError: if the file exists and may not be replaced, is the input, or cannot be written.

        >>> import tempfile, numpy, runtime
        >>> with runtime.Derainer("lite") as derainer, tempfile.TemporaryDirectory() as folder:
        ...     [result] = derainer.predict(numpy.full((64, 96, 3), 128, numpy.uint8))
        ...     result.save(folder).name
        '000001.png'
        """
        path = Path(path)
        if path.is_dir():
            path = path / self.name
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not is_picture(path):
            endings = " ".join(sorted(PICTURE_SUFFIXES))
            raise UserError(f"{path}: is neither an existing directory nor the name of a picture ({endings})")
        if path.exists() and not overwrite:
            raise UserError(f"{path}: exists; replace it with save(..., overwrite=True)")
        self._write_to(PictureSink(path, self._info, self._say, overwrite=overwrite), compare=compare)
        return path

    def show(self, *, compare: bool = True) -> None:
        """Shows the result: in a notebook below the cell, elsewhere in a window until a key is pressed.

        Args:
            compare: show input and result side by side.

        Raises:
            UserError: if there is neither a notebook nor a screen.

        >>> import numpy, runtime
        >>> with runtime.Derainer("lite") as derainer:
        ...     [result] = derainer.predict(numpy.full((64, 96, 3), 128, numpy.uint8))
        >>> result.show()
        """
        if (display := _notebook_display()) is not None:
            display(_Png(self._png(compare=compare)))
            return
        from runtime.sinks.window import WindowSink

        sink = WindowSink(StreamInfo(self.name, "pictures"), instead="write the result with save()")
        self._write_to(sink, compare=compare)

    def _repr_png_(self) -> bytes:
        """Input and result side by side as PNG, for a notebook."""
        return self._png(compare=True)

    def _png(self, *, compare: bool) -> bytes:
        plain = Frame(self.derained, self.frame.index)
        encode = PictureEncoder(self.colour, self._say, ColourTags())
        return encode(".png", plain, self.before if compare else None)

    def _write_to(self, sink: Sink, *, compare: bool) -> None:
        try:
            sink.start(self.colour)
            sink.write(self.frame, self.before if compare else None)
            sink.finish()
        except BaseException:
            sink.abort()
            raise


class _Png(bytes):
    """A PNG file that a notebook shows."""

    def _repr_png_(self) -> bytes:
        return bytes(self)


def _notebook_display() -> Callable[[object], object] | None:
    """IPython's ``display`` if this code runs in a notebook; a terminal cannot show pictures."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if not hasattr(shell, "kernel"):
        return None
    display: Callable[[object], object] | None = getattr(sys.modules.get("IPython.display"), "display", None)
    return display
