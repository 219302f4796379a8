"""A web page with the live picture, comparisons of input and result, and live figures."""

from granet.app.console import Say
from runtime.media.frame import Colour, Frame
from runtime.sinks.base import Sink
from runtime.sinks.page.pictures import PagePictures
from runtime.sinks.page.server import PageAnswers
from runtime.telemetry.health import Health
from runtime.telemetry.http_server import HttpServer
from runtime.telemetry.rates import LiveFigures


class PageSink(Sink):
    """Serves the newest frame over plain HTTP to any number of viewers; no viewer can block the run.

    The server starts at once: before the first frame, the page says so and its figures show the state.

    Args:
        listen: (host, port).
        health: health of the stream.
        say: called with a warning if other machines can reach the page, which has no password.
        painted: whether the frames are results with the removed rain already painted over them.

    Raises:
        UserError: if the server cannot listen on that address.
    """

    shows = True
    wants_before = True

    def __init__(self, listen: tuple[str, int], health: Health, say: Say, *, painted: bool = False) -> None:
        self._pictures = PagePictures(health.banner, painted=painted)
        self._server = HttpServer(listen, PageAnswers(LiveFigures(health).now, self._pictures), "page")
        self.name = self._server.url
        if not self._server.loopback_only:
            say(f"{self.name}: everyone who can reach this machine can watch; there is no password")

    def start(self, colour: Colour) -> None:
        """Takes the channel order of the frames to come."""
        super().start(colour)
        self._pictures.colour = colour

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Shows a frame; costs nothing without a viewer."""
        self._pictures.offer(frame, before)

    def finish(self) -> None:
        """Stops serving."""
        self.abort()

    def abort(self) -> None:
        """Stops serving."""
        self._server.close()
