"""A real S3 server on loopback, in this process."""

import gc
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.archive.storage.schemes import filesystem

KEY, SECRET = "AKIAQUIETLYHIDDEN42", "hush/+verysecretvalue42"


class S3Server:
    """A server whose buckets stay while it is stopped.

    Attributes:
        url: its address.
    """

    def __init__(self) -> None:
        self._port = 0
        self.start()

    def start(self) -> None:
        """Starts it, always on the same port."""
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            def log_request(self, code: object = "-", size: object = "-") -> None:
                pass

        application = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", self._port, application, threaded=True, request_handler=Quiet)
        self._port = self._server.port
        self.url = f"http://127.0.0.1:{self._port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops it: connections are refused."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextmanager
    def only_known_keys(self) -> Iterator[None]:
        """Refuses all keys, as none is known, while the context is open."""
        self._allow("0")
        try:
            yield
        finally:
            self._allow("inf")

    def _allow(self, requests: str) -> None:
        request = urllib.request.Request(f"{self.url}/moto-api/reset-auth", requests.encode())
        request.add_header("Content-Type", "text/plain")
        urllib.request.urlopen(request).close()


@contextmanager
def s3_server(home: Path) -> Iterator[S3Server]:
    """A server, and the environment of a user of it."""
    with pytest.MonkeyPatch.context() as patch:
        server = S3Server()
        for name, value in {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(home / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "credentials"),
        }.items():
            patch.setenv(name, value)
        filesystem.cache_clear()
        yield server
        filesystem.cache_clear()
        gc.collect()  # closes the connections
        server.stop()


def put(bucket: str, key: str, content: bytes) -> str:
    """Puts an object, and returns its address."""
    filesystem("s3").pipe_file(f"{bucket}/{key}", content)
    return f"s3://{bucket}/{key}"


def objects(address: str) -> dict[str, bytes]:
    """All objects below an address, by their keys in it."""
    base = address.removeprefix("s3://")
    store = filesystem("s3")
    return {path.removeprefix(f"{base}/"): store.cat_file(path) for path in store.find(base)}
