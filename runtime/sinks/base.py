"""What a sink is: it takes frames in order, and finishes or leaves nothing."""

from abc import ABC, abstractmethod

from runtime.media.frame import Colour, Frame
from runtime.sources.base import SoundPacket


class Sink(ABC):
    """Takes the frames of one run, all from one thread: the main one, if it says that it needs that.

    Constructing one checks the destination and writes nothing. Then come :meth:`start`, any number of
    :meth:`write` and :meth:`write_sound`, and one of :meth:`finish` and :meth:`abort`.

    Attributes:
        name: where the frames go, for people.
        wants_more: ``False`` once the user has closed it; the run then ends as if the input had.
        wants_before: whether it shows the frames as they were read, too.
        shows: it is looked at while the run lasts, so that of a live source only the newest frame
            counts; what records takes those before it as well.
        main_thread: it can live in the main thread only.
    """

    name: str
    wants_more: bool = True
    wants_before: bool = False
    shows: bool = False
    main_thread: bool = False

    def start(self, colour: Colour) -> None:
        """Called once, before the first frame.

        Args:
            colour: channel order of the frames to come.
        """
        self._colour: Colour = colour

    @abstractmethod
    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Takes the next frame; blocks while the destination is slower than the frames.

        Args:
            frame: the result.
            before: the frame it was made from, of the same size, to be shown on the left of it;
                ``None`` if no comparison is asked for.

        Raises:
            UserError: if it cannot be written; :meth:`abort` must follow.
        """

    def write_sound(self, packets: list[SoundPacket]) -> None:  # noqa: B027 - few sinks can keep sound
        """Takes coded sound that belongs with the frames written so far or soon after."""

    def idle(self) -> None:  # noqa: B027 - only a window has something to do
        """Called several times a second while there is no frame."""

    def release(self) -> None:  # noqa: B027 - only a window waits for a person
        """Lets :meth:`finish` wait for nobody; may be called from a signal handler."""

    def finish(self) -> None:  # noqa: B027 - not all have something to finish
        """Completes what was written and gives it its name. Nothing written leaves nothing.

        Raises:
            UserError: if that fails; :meth:`abort` must follow.
        """

    def abort(self) -> None:  # noqa: B027 - not all leave something
        """Removes all that was written. May follow a failed :meth:`finish`; raises nothing."""
