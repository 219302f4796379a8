"""The contract of a sink: it receives frames in order, and either finishes or removes its output."""

from abc import ABC, abstractmethod

from runtime.media.frame import Colour, Frame
from runtime.sources.base import SoundPacket


class Sink(ABC):
    """Receives the frames of one run, all from one thread: the main thread if ``main_thread`` is set.

    The constructor checks the destination and writes nothing. The caller then calls :meth:`start`, any
    number of :meth:`write` and :meth:`write_sound`, and finally one of :meth:`finish`, :meth:`interrupt` and
    :meth:`abort`.

    Attributes:
        name: display name of the destination.
        wants_more: ``False`` once the user has closed the sink; the run then ends as at the end of input.
        wants_before: whether the sink also needs the input frames.
        shows: whether it is a live display, for which only the newest frame of a live source counts; a
            sink that records needs earlier frames as well.
        main_thread: whether it must run in the main thread.
    """

    name: str
    wants_more: bool = True
    wants_before: bool = False
    shows: bool = False
    main_thread: bool = False

    def start(self, colour: Colour) -> None:
        """Prepares for frames; call it once, before the first frame.

        Args:
            colour: channel order of the frames.
        """
        self._colour: Colour = colour

    @abstractmethod
    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Writes the next frame; blocks while the destination is slower than the frames arrive.

        Args:
            frame: the result.
            before: the input frame, of the same size, shown to the left of the result; ``None`` without
                a comparison.

        Raises:
            UserError: if the frame cannot be written; :meth:`abort` must follow.
        """

    def write_sound(self, packets: list[SoundPacket]) -> None:  # noqa: B027 - few sinks can keep sound
        """Writes encoded sound that belongs to the frames written recently or next."""

    def idle(self) -> None:  # noqa: B027 - only displays need it
        """Called several times per second while no frame arrives."""

    def release(self) -> None:  # noqa: B027 - only displays wait
        """Ends the waits of :meth:`write` for a time and of :meth:`finish` for the user.

        May be called from any thread and from a signal handler.
        """

    def finish(self) -> None:  # noqa: B027 - some sinks have nothing to finish
        """Completes the output and gives it its final name. Without frames there is no output.

        Raises:
            UserError: if that fails; :meth:`abort` must follow.
        """

    def interrupt(self) -> None:
        """Ends the output of a file that was not processed to its end: it must not pass for a complete one.

        The finished part stays as ``NAME.part.EXT``, and a note names it. By default the same as
        :meth:`finish`, for outputs that are not files, and for files that one frame completes.

        Raises:
            UserError: if that fails; :meth:`abort` must follow.
        """
        self.finish()

    def abort(self) -> None:  # noqa: B027 - some sinks have no output to remove
        """Removes the output. May follow a failed :meth:`finish`; raises nothing."""
