"""A web page: the picture as it comes, input and result against each other, and live figures."""

import threading

from granet.app.console import Say
from runtime.media.frame import Colour, Frame
from runtime.sinks.base import Sink
from runtime.sinks.page.pictures import PagePictures
from runtime.sinks.page.server import PageServer
from runtime.telemetry.health import Health
from runtime.telemetry.listen import is_loopback, url_of
from runtime.telemetry.rates import LiveFigures


class PageSink(Sink):
    """Serves the newest frame over plain HTTP to any number of viewers; none of them holds up the run.

    It serves from the start: the page and the figures say what is waited for while there is no picture.

    Args:
        listen: (host, port).
        health: of the stream.
        say: is told if other machines can look, since everyone who reaches the page may.

    Raises:
        UserError: if nothing can listen there.
    """

    shows = True
    wants_before = True

    def __init__(self, listen: tuple[str, int], health: Health, say: Say) -> None:
        self._health = health
        self._pictures: PagePictures | None = None
        self._server = PageServer(listen, LiveFigures(health).now)
        self.name = url_of(listen[0], self._server.server_address[1])
        if not is_loopback(listen[0]):
            say(f"{self.name}: everyone who reaches this machine can look; there is no password")
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="page", daemon=True).start()

    def start(self, colour: Colour) -> None:
        """Begins to show pictures."""
        super().start(colour)
        self._pictures = self._server.pictures = PagePictures(colour, self._health.banner)

    def write(self, frame: Frame, before: Frame | None = None) -> None:
        """Shows a frame; costs nothing if nobody looks."""
        assert self._pictures is not None
        self._pictures.offer(frame, before)

    def finish(self) -> None:
        """Stops serving."""
        self.abort()

    def abort(self) -> None:
        """Stops serving."""
        if not self._server.ending:
            self._server.shutdown()
            self._server.close()
