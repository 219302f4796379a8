"""Which part of a file is read, and how often."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from granet.app.console import UsageError
from granet.app.durations import parse_duration
from granet.errors import UserError
from runtime.sources.base import Source, StreamInfo
from runtime.sources.part.duration import DurationSource
from runtime.sources.part.every import EveryNth
from runtime.sources.part.loop import LoopedSource
from runtime.sources.part.suitable import LIVE, UNTIMED
from runtime.sources.pictures.source import PictureSource
from runtime.sources.video.start import StartBehindEndError


@dataclass(frozen=True)
class Part:
    """A part of a file.

    Attributes:
        start: seconds after its beginning at which reading begins, and which become time zero.
        duration: seconds from there, of all repetitions together; ``None`` for no limit.
        every: read each ``every``th frame.
        loop: begin again at the end, for ever.
        paced: give the frames of a loop in real time.
        start_text: the start as the user wrote it, for errors.
        dashes: stands before the name of an option in errors; empty for settings of a file.
    """

    start: Fraction = Fraction(0)
    duration: Fraction | None = None
    every: int = 1
    loop: bool = False
    paced: bool = False
    start_text: str = ""
    dashes: str = "--"

    @classmethod
    def parsed(
        cls,
        start: str | None,
        duration: str | None,
        *,
        every: int = 1,
        loop: bool = False,
        paced: bool,
        dashes: str = "--",
    ) -> "Part":
        """The part that options or settings describe.

        Args:
            start: a time like ``90s`` or ``1:30``; ``None`` for the beginning.
            duration: the same; ``None`` for no limit.
            every: as the attribute, and so are the others.
            loop: the same.
            paced: the same.
            dashes: the same.

        Raises:
            UsageError: if a time is malformed, or the duration is zero.
        """
        begin = Fraction(0) if start is None else _time(start, f"{dashes}start")
        length = None if duration is None else _time(duration, f"{dashes}duration")
        if length == 0:
            raise UsageError(f"{dashes}duration {duration}: give more than 0")
        return cls(begin, length, every, loop, paced, start or "", dashes)

    def of(self, open_file: Callable[[], Source]) -> Source:
        """This part of a source.

        Args:
            open_file: opens it at ``start``.

        Raises:
            UserError: if the source ends before ``start``.
            UsageError: if it is live, or pictures that have no times.
        """
        try:
            source = open_file()
        except StartBehindEndError as error:
            raise UserError(self._said(f"start {self.start_text}", error.name, error.why)) from error
        try:
            self._check(source.info)
            if self.loop:
                source = LoopedSource(source, open_file, paced=self.paced)
            if self.duration is not None:
                source = DurationSource(source, self.duration)
            if isinstance(source, PictureSource):
                source.keep_every(self.every)
                return source
            return source if self.every == 1 else EveryNth(source, self.every)
        except BaseException:
            source.close()
            raise

    def _check(self, info: StreamInfo) -> None:
        timed = {"start": self.start > 0, "duration": self.duration is not None, "loop": self.loop}
        asked = {**timed, "every": self.every > 1} if info.live else timed
        option = next((name for name, given in asked.items() if given), None)
        if option is not None and (info.live or info.kind == "pictures"):
            raise UsageError(self._said(option, info.name, LIVE if info.live else UNTIMED))

    def _said(self, option: str, name: str, why: str) -> str:
        return f"{self.dashes}{option} with {self.dashes}input {name}: {why}"


WHOLE = Part()


def _time(text: str, option: str) -> Fraction:
    """Seconds, to the microsecond, as FFmpeg counts."""
    return Fraction(parse_duration(text, option)).limit_denominator(1_000_000)
