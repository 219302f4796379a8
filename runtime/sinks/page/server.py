"""Responses of the web page: an HTML file, a picture stream, single pictures, and figures as JSON."""

from collections.abc import Callable, Generator
from http import HTTPStatus
from importlib.resources import files
from pathlib import PurePath
from urllib.parse import parse_qs

from granet.app.schema import to_json
from runtime.sinks.page.pictures import VIEWS, PagePictures, PageView
from runtime.sources.url import is_url
from runtime.telemetry.http_server import Request, Response, refusal
from runtime.telemetry.rates import Figures

AGAIN = 0.5
"""Seconds after which a stalled picture is sent again, to update its banner and to keep the page from
reporting a lost connection."""

_FILES = {"/": ("page.html", "text/html; charset=utf-8"), "/favicon.svg": ("favicon.svg", "image/svg+xml")}
"""Path -> file of this package, and its type."""

_BOUNDARY = "granet-picture"


class PageAnswers:
    """Handles the HTTP requests of the page's viewers.

    Args:
        figures: returns the current figures.
        pictures: the pictures to serve.
    """

    def __init__(self, figures: Callable[[], Figures], pictures: PagePictures) -> None:
        self._figures, self._pictures = figures, pictures

    def __call__(self, request: Request) -> Response:
        """The page, the figures or a picture."""
        if request.path in _FILES:
            name, kind = _FILES[request.path]
            return Response(kind, files("runtime.sinks.page").joinpath(name).read_bytes())
        if request.path == "/state.json":
            figures = self._figures()
            return Response("application/json", to_json(figures.to_dict() | _titled(figures.name)).encode())
        if request.path in ("/stream.mjpg", "/picture.jpg"):
            return self._picture(request.path, parse_qs(request.query).get("view", ["result"])[-1])
        return refusal(HTTPStatus.NOT_FOUND)

    def _picture(self, path: str, asked: str) -> Response:
        views: dict[str, PageView] = {view: view for view in VIEWS}
        if asked not in views:
            return refusal(HTTPStatus.NOT_FOUND)
        if path == "/picture.jpg":
            return Response("image/jpeg", self._pictures.jpeg(views[asked]))
        return Response(
            f"multipart/x-mixed-replace; boundary={_BOUNDARY}", _parts(self._pictures, views[asked])
        )


def _titled(name: str) -> dict[str, object]:
    """The name for viewers: a file without its directory, which stays private."""
    return {"name": name if is_url(name) else PurePath(name).name or name}


def _parts(pictures: PagePictures, view: PageView) -> Generator[bytes, None, None]:
    """Multipart parts with each newest picture, until the viewer disconnects."""
    seen = -1
    while True:
        seen = pictures.wait_newer(seen, AGAIN)
        data = pictures.jpeg(view)
        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
        yield head.encode() + data + b"\r\n"
