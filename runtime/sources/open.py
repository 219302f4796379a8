"""Which source a text of the command line means."""

from pathlib import Path

from runtime.sources.base import Say, Source
from runtime.sources.picture_file import is_picture
from runtime.sources.pictures import PictureSource, has_wildcard
from runtime.sources.url import is_url
from runtime.sources.video import VideoSource


def open_source(text: str, say: Say) -> Source:
    """A picture, a directory of them, a pattern, a video file, a URL, or ``-`` for stdin.

    A directory and a path with wildcards that does not exist itself mean pictures; a file is a
    picture if its ending says so, and a video otherwise, as its content says.

    Raises:
        UserError: if there is nothing to read.
    """
    path = Path(text)
    if text != "-" and not (is_url(text) and not path.exists()):
        if path.is_dir() or (path.exists() and is_picture(path)):
            return PictureSource(text, say)
        if not path.exists() and has_wildcard(text):
            return PictureSource(text, say)
    return VideoSource(text, say)
