"""Keeps passwords in addresses off the screen and out of files."""

import re

# Up to the last @ where there may be a password, which may have any character in it, quoted or not.
_USER = re.compile(r"(?<=://)(?:[^/?#\s]*[@:]\S*@|[^/?#\n]*@)")
# Many cameras take them in the query: ?user=admin&pwd=..., ?loginuse=...&loginpas=..., ?token=...
_SECRET = re.compile(
    r"([?&;][^=&;#\s]*(?:pas|pwd|psw|token|secret|key|auth|sig|credential|user|usr|login)"
    r"[^=&;#\s]*=)[^&;#\s]*",
    re.IGNORECASE,
)


def mask(text: str) -> str:
    """``text`` with user and password of every URL in it replaced by ``***``, also those in its query.

    >>> mask("rtsp://me:secret@camera/1")
    'rtsp://***@camera/1'
    >>> mask("http://camera/video.cgi?user=me&pwd=secret&size=4")
    'http://camera/video.cgi?user=***&pwd=***&size=4'
    """
    return _SECRET.sub(r"\1***", _USER.sub("***@", text))
