"""Damage of a video file: data that could not be read or decoded."""

from collections import Counter

from granet.app.console import Say
from granet.errors import UserError

_FIELDS = 1.5
"""Packets per frame above which the two fields of interlaced frames are packets of their own."""


class Damage:
    """Counts the damage of a file and reports it in one line, or refuses the first of it.

    Args:
        name: display name of the file.
        say: called with the line.
        strict: raise an error on the first damage.

    A decoder that misses a reference may drop the pictures that need it without an error. So the packets
    are compared with the frames, except for interlaced video whose fields are packets of their own.

    Attributes:
        frames: number of frames decoded so far.
    """

    def __init__(self, name: str, say: Say, *, strict: bool) -> None:
        self.frames = 0
        self._name, self._say, self._strict = name, say, strict
        self._marked = self._failed = self._concealed = 0
        self._rest = ""
        self._told = False
        self._pending: Counter[int] = Counter()
        """Timestamps of the packets whose frame has not come yet."""
        self._interlaced = False
        self._sent = 0
        """Number of packets with a timestamp."""
        self._last = 0
        """Greatest timestamp of a frame."""

    def sent(self, pts: int | None) -> None:
        """Notes the timestamp of a packet that is passed to the decoder."""
        if pts is not None:
            self._sent += 1
            self._pending[pts] += 1

    def decoded(self, pts: int | None, *, interlaced: bool) -> None:
        """Counts a decoded frame."""
        self.frames += 1
        self._interlaced = self._interlaced or interlaced
        if pts is not None:
            self._last = max(self._last, pts)
            self._pending[pts] -= 1
            if self._pending[pts] <= 0:
                del self._pending[pts]

    def marked(self) -> None:
        """Counts a packet that the demuxer marks as incomplete. The decoder may still get all of it.

        Raises:
            UserError: in strict mode, as all methods do.
        """
        self._marked += 1
        self._refuse()

    def failed(self, reason: str) -> None:
        """Counts a packet that cannot be read or decoded."""
        self._failed += 1
        self._refuse(f" ({reason})")

    def concealed(self, frames: int) -> None:
        """Counts frames in which the decoder concealed errors."""
        self._concealed += frames
        if frames:
            self._refuse()

    def marked_sound(self) -> None:
        """Refuses a packet of sound that the demuxer marks as incomplete, but only in strict mode."""
        self._refuse(": its sound is incomplete")

    def missing(self, rest: str) -> None:
        """Notes what is missing at the end."""
        self._rest = rest
        self._refuse(f": {rest}")

    def error(self, detail: str = "") -> UserError:
        """The error for damage that ends the run."""
        where = f"after frame {self.frames}" if self.frames else "before its first frame"
        return UserError(f"{self._name}: is damaged or truncated {where}{detail}")

    def tell(self, *, at_end: bool) -> None:
        """Reports the damage, if there is any; the first call only.

        Args:
            at_end: whether the decoder has returned all frames.

        Raises:
            UserError: in strict mode, if frames were lost without an error.
        """
        lost = max(self._failed, self._lost()) if at_end else self._failed
        if lost:
            self._refuse()
        parts = [
            _count(self._marked, "packet", "incomplete"),
            _count(lost, "packet", "not decodable"),
            _count(self._concealed, "frame", "decoded with concealed errors"),
            self._rest,
        ]
        found = ", ".join(part for part in parts if part)
        if found and not self._told:
            self._told = True
            self._say(f"{self._name}: is damaged: {found}; {self.frames} frames were decoded")

    def _lost(self) -> int:
        """Number of packets that gave no frame, once the decoder has returned all frames."""
        if self._interlaced and self._sent > _FIELDS * self.frames:
            return 0
        if self._marked or self._failed or self._concealed:
            return self._pending.total()
        # Packets before the first key frame are normal. With threads, a decoder that fails while it is
        # flushed reports no error and loses the last frames.
        return sum(count for pts, count in self._pending.items() if pts > self._last)

    def _refuse(self, detail: str = "") -> None:
        if self._strict:
            raise self.error(detail)


def _count(number: int, noun: str, state: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'} {state}" if number else ""
