"""What the page answers: one HTML file, the picture as a stream, single pictures, figures as JSON."""

import json
from collections.abc import Callable, Generator
from http import HTTPStatus
from importlib.resources import files
from urllib.parse import parse_qs

from runtime.sinks.page.pictures import VIEWS, PagePictures, PageView
from runtime.telemetry.http_server import Request, Response, refusal
from runtime.telemetry.rates import Figures

_AGAIN = 0.5
"""Seconds until a picture that stands still is sent again: its banner counts, and a page that hears
nothing says that it has no connection."""

_BOUNDARY = "granet-picture"


class PageAnswers:
    """Answers the requests of the page's viewers.

    Attributes:
        pictures: what they see; ``None`` until there is a first one.

    Args:
        figures: gives the figures of the moment.
    """

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures
        self.pictures: PagePictures | None = None

    def __call__(self, request: Request) -> Response:
        """The page, the figures or a picture."""
        if request.path == "/":
            page = files("runtime.sinks.page").joinpath("page.html").read_bytes()
            return Response("text/html; charset=utf-8", page)
        if request.path == "/state.json":
            return Response("application/json", json.dumps(self._figures().to_dict()).encode())
        if request.path in ("/stream.mjpg", "/picture.jpg"):
            return self._picture(request.path, parse_qs(request.query).get("view", ["result"])[-1])
        return refusal(HTTPStatus.NOT_FOUND)

    def _picture(self, path: str, asked: str) -> Response:
        views: dict[str, PageView] = {view: view for view in VIEWS}
        if asked not in views:
            return refusal(HTTPStatus.NOT_FOUND)
        if self.pictures is None:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE)
        if path == "/picture.jpg":
            return Response("image/jpeg", self.pictures.jpeg(views[asked]))
        return Response(
            f"multipart/x-mixed-replace; boundary={_BOUNDARY}", _parts(self.pictures, views[asked])
        )


def _parts(pictures: PagePictures, view: PageView) -> Generator[bytes, None, None]:
    """The newest picture whenever there is one, for as long as the viewer takes them."""
    seen = -1
    while True:
        seen = pictures.wait_newer(seen, _AGAIN)
        data = pictures.jpeg(view)
        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        yield head.encode() + data + b"\r\n"
