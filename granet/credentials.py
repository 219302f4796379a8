"""Keeps passwords in addresses off the screen and out of files."""

import re


def mask(text: str) -> str:
    """``text`` with the user and password of every URL in it replaced by ``***``.

    >>> mask("rtsp://me:secret@camera/1")
    'rtsp://***@camera/1'
    """
    return re.sub(r"(?<=://)[^/?#\s]*@", "***@", text)
