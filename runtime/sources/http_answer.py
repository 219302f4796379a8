"""Describes the answer of a web server that is not a video, for an error message."""

import base64
import http.client
import re
import ssl
from urllib.parse import SplitResult, unquote, urlsplit

from runtime.sources.http_limited import Limited, LimitedTls

SERVER = "the server sends"
"""Begins every description."""

_SAMPLE = 512
_BOUNDARY = re.compile(r'boundary="?(?:--)?([^";\s]+)', re.IGNORECASE)


def http_answer(url: str, seconds: float) -> str | None:
    """Describes the answer to a request for ``url``; ``None`` if there is nothing to say about it.

    Args:
        url: an ``http`` or ``https`` address from which FFmpeg could not read a video.
        seconds: limit of the request.
    """
    try:
        parts = urlsplit(url)
        connection = _connection(parts, seconds)
        try:
            connection.request(
                "GET",
                f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}",
                None,
                _login(parts.netloc),
            )
            response = connection.getresponse()
            if response.status != http.client.OK:
                return None
            return _described(response.headers.get("Content-Type", ""), response.read1(_SAMPLE))
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException):
        return None


def _connection(parts: SplitResult, seconds: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "http":
        return Limited(host, parts.port, timeout=seconds)
    # Like FFmpeg, which does not verify certificates by default: most cameras sign their own.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return LimitedTls(host, parts.port, timeout=seconds, context=context)


def _login(netloc: str) -> dict[str, str]:
    user = netloc.rpartition("@")[0]
    return {"Authorization": "Basic " + base64.b64encode(unquote(user).encode()).decode()} if user else {}


def _described(kind: str, body: bytes) -> str | None:
    name = kind.partition(";")[0].strip().lower()
    if name == "multipart/x-mixed-replace":
        boundary = _BOUNDARY.search(kind)
        if boundary is None:
            return f"{SERVER} Motion JPEG without naming its boundary, which cannot be read"
        if not body.lstrip().startswith(f"--{boundary[1]}".encode("latin-1", "replace")):
            return f"{SERVER} Motion JPEG without its first boundary, which cannot be read"
        return None
    if not body:
        return f"{SERVER} an empty answer"
    if name.startswith(("text/html", "text/plain", "application/json")):
        return f"{SERVER} {name}, not a video; check the path of the address"
    return None
