"""Tells kinds of sources apart by their name, before they are opened."""

from pathlib import Path

from granet.data.image_files import is_picture
from runtime.sources.camera.gstreamer import is_pipeline
from runtime.sources.pictures.source import has_wildcard
from runtime.sources.url import is_live_scheme, is_url, local_path


def is_network(text: str) -> bool:
    """Whether ``text`` is an address over the network: neither a file nor a pipeline."""
    is_other = is_pipeline(text) or text.lower().startswith("file:") or Path(text).exists()
    return is_url(text) and not is_other


def can_be_live(text: str) -> bool:
    """Whether ``text`` may turn out to be a live source: an address over the network, or a pipeline."""
    return is_pipeline(text) or is_network(text)


def is_always_live(text: str) -> bool:
    """Whether ``text`` is a live source whatever the server sends: a pipeline, or an rtsp address."""
    return is_pipeline(text) or (is_network(text) and is_live_scheme(text))


def may_lose_parts(text: str) -> bool:
    """Whether damaged parts of ``text`` may be left out: of a video that ends, or of several pictures."""
    if is_network(text):
        return not is_always_live(text)
    return not can_be_live(text) and not is_one_picture(text)


def is_pictures(text: str) -> bool:
    """Whether ``text`` is one picture, a directory or a pattern; the file need not exist."""
    if is_network(text):
        return False
    path = local_path(text)
    return Path(path).is_dir() or is_picture(Path(path)) or has_wildcard(path)


def is_one_picture(text: str) -> bool:
    """Whether ``text`` is the path of one picture; the file need not exist."""
    path = local_path(text)
    return not is_network(text) and is_picture(Path(path)) and not has_wildcard(path)
