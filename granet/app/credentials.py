"""Masks credentials in URLs before they are printed or written."""

import re

# Up to the last @, because a password may contain any character, quoted or not.
_USER = re.compile(r"(?<=://)(?:[^/?#\s]*[@:]\S*@|[^/?#\n]*@)")
# Many cameras take credentials in the query: ?user=admin&pwd=..., ?loginuse=...&loginpas=..., ?token=...
_SECRET = re.compile(
    r"([?&;][^=&;#\s]*(?:pas|pwd|psw|token|secret|key|auth|sig|credential|user|usr|login)"
    r"[^=&;#\s]*=)[^&;#\s]*",
    re.IGNORECASE,
)


def mask(text: str) -> str:
    """Replaces user and password of every URL in ``text``, also in its query, by ``***``.

    >>> mask("rtsp://me:secret@camera/1")
    'rtsp://***@camera/1'
    >>> mask("http://camera/video.cgi?user=me&pwd=secret&size=4")
    'http://camera/video.cgi?user=***&pwd=***&size=4'
    """
    return _SECRET.sub(r"\1***", _USER.sub("***@", text))
