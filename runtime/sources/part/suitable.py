"""Which options of a part suit a source, judged by its name, before it is opened."""

from runtime.sources.kind import is_always_live, is_one_picture, is_pictures

LIVE = "the option is for files: a live source has no beginning and no end"
UNTIMED = "pictures have no times; the option is for videos"
_STDIN = "stdin is read once, from its beginning; write it to a file first"


def unsuitable(source: str | None) -> dict[str, str]:
    """The options of a part that a source cannot follow, each with the reason.

    Args:
        source: as for ``--input``; ``None`` for a camera.
    """
    if source is None or (source != "-" and is_always_live(source)):
        return dict.fromkeys(("start", "duration", "every", "loop"), LIVE)
    if source == "-":
        return dict.fromkeys(("start", "loop"), _STDIN)
    found = dict.fromkeys(("start", "duration", "loop"), UNTIMED) if is_pictures(source) else {}
    return {**found, "every": "this is one picture"} if is_one_picture(source) else found
