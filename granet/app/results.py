"""Results on stdout. Unlike messages they must not be lost: an error ends the command with one line."""

import io
import select
import sys
from typing import Any

from rich.console import Console
from rich.segment import Segment

from granet.app.outside_text import printable_lines
from granet.errors import UserError


class StdoutFile(io.FileIO):
    """Stdout without a buffer; whatever cannot be written is an error of the user.

    After an error it swallows what the buffers above it still hold, because they write it again at the exit.

    Args:
        descriptor: stays open.

    Raises:
        UserError: from :meth:`write`, if stdout cannot be written (disk full, ...).
        BrokenPipeError: from :meth:`write`, if its reader has exited.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._failed = False

    def write(self, data: Any, /) -> int:
        """See the class; waits for a slow reader even if the descriptor does not block."""
        if self._failed:
            return len(data)
        try:
            while (written := super().write(data)) is None:
                waiting = select.poll()
                waiting.register(self.fileno(), select.POLLOUT)
                waiting.poll()
        except BrokenPipeError:
            self._failed = True
            raise
        except OSError as error:
            self._failed = True
            raise UserError(f"stdout: cannot be written: {error.strerror or error}") from error
        return written


class ClosedStdout(io.TextIOBase):
    """Stdout of a program that was started without one (``>&-``)."""

    def write(self, text: str, /) -> int:
        """Refuses a result.

        Raises:
            UserError: always.
        """
        raise UserError(
            "stdout: is closed, so the result cannot be printed: redirect it to a file or a program"
        )


def print_line(text: str) -> None:
    """Prints one line on stdout, indented as it is; control characters in ``text`` are written out."""
    sys.stdout.write(printable_lines(text).replace("\n", " ") + "\n")


class ResultConsole(Console):
    """Prints tables on stdout; escape sequences in names and metadata are written out.

    Args:
        width: width in characters if stdout is not a terminal, so that a table in a file is not truncated.
    """

    def __init__(self, width: int | None = None) -> None:
        super().__init__(highlight=False, markup=False, emoji=False)
        if width is not None and not self.is_terminal:
            self.width = width

    def render(self, renderable: Any, options: Any = None) -> Any:
        """See :meth:`rich.console.Console.render`."""
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else printable_lines(segment.text)
            yield Segment(text, segment.style, segment.control)
