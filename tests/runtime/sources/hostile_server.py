"""A server and helpers for the tests with hostile input."""

import resource
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from granet.errors import UserError
from runtime.sources.open import open_source
from tests.media import number_of


class Server:
    """Answers each path with the bytes, the text or the function in :attr:`answers`."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | str | Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                answer = outer.answers.get(self.path.split("?")[0])
                with suppress(OSError):
                    if answer is None:
                        self.send_error(404)
                    elif callable(answer):
                        answer(self)
                    else:
                        body = answer.encode() if isinstance(answer, str) else answer
                        self.send_response(200)
                        self.send_header("Content-Length", str(len(body)))
                        self.end_headers()
                        self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def endless(head: bytes, piece: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=cut")
        handler.end_headers()
        handler.wfile.write(head)
        while True:
            handler.wfile.write(piece)

    return answer


def numbers(text: str) -> list[int]:
    with open_source(text, print) as source:
        return [number_of(frame.pixels) for frame in source.frames("bgr")]


def grown(work: Callable[[], object]) -> float:
    """MiB by which the peak memory of this process grows during the block."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def refusal(text: str) -> str:
    with pytest.raises(UserError) as caught:
        numbers(text)
    assert "\n" not in str(caught.value) and str(caught.value).count("127.0.0.1") <= 1
    return str(caught.value)
