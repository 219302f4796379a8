"""Responses of the web page: an HTML file, a picture stream, single pictures, and figures as JSON."""

import json
from collections.abc import Callable, Generator
from http import HTTPStatus
from importlib.resources import files
from urllib.parse import parse_qs

from runtime.sinks.page.pictures import VIEWS, PagePictures, PageView
from runtime.telemetry.http_server import Request, Response, refusal
from runtime.telemetry.rates import Figures

_AGAIN = 0.5
"""Seconds after which a stalled picture is sent again, to update its banner and to keep the page from
reporting a lost connection."""

_BOUNDARY = "granet-picture"


class PageAnswers:
    """Handles the HTTP requests of the page's viewers.

    Attributes:
        pictures: the pictures to serve; ``None`` until the sink starts.

    Args:
        figures: returns the current figures.
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
    """Multipart parts with each newest picture, until the viewer disconnects."""
    seen = -1
    while True:
        seen = pictures.wait_newer(seen, _AGAIN)
        data = pictures.jpeg(view)
        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        yield head.encode() + data + b"\r\n"
