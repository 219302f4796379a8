"""Every Nth frame of a source."""

from collections.abc import Iterator
from dataclasses import replace

from runtime.media.frame import Colour, Frame
from runtime.sources.base import DecodedFrame, SoundPacket, Source
from runtime.sources.part.forwarding import ForwardingSource


class EveryNth(ForwardingSource):
    """Every ``step``th frame from the first one, with its timestamp, shown until the next one; all sound."""

    def __init__(self, source: Source, step: int) -> None:
        super().__init__(source)
        self._step = step
        info = source.info
        self.info = replace(
            info,
            frames=None if info.frames is None else -(-info.frames // step),
            rate=None if info.rate is None else info.rate / step,
            names=info.names[::step],
        )

    def frames(self, colour: Colour) -> Iterator[Frame]:
        """See :meth:`Source.frames`."""
        kept: Frame | None = None
        for index, frame in enumerate(self._source.frames(colour)):
            if index % self._step == 0:
                if kept is not None:
                    yield kept
                kept = replace(frame, index=index // self._step)
            elif isinstance(kept, DecodedFrame) and isinstance(frame, DecodedFrame) and kept.duration:
                kept = replace(kept, duration=kept.duration + frame.duration)
        if kept is not None:
            yield kept

    def sound(self) -> list[SoundPacket]:
        """See :meth:`Source.sound`."""
        return self._source.sound()
