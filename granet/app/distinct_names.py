"""Names for files that are shown side by side."""

from collections.abc import Sequence
from pathlib import Path


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The name of each file, with as many of its folders as tell it from the others.

    >>> distinct_names([Path("runs/a/best.onnx"), Path("runs/b/best.onnx"), Path("lite.onnx")])
    ['a/best.onnx', 'b/best.onnx', 'lite.onnx']

    Args:
        paths: the files; equal paths get equal names.
    """
    return [_shortest(path, [other for other in paths if other != path]) for path in paths]


def _shortest(path: Path, others: Sequence[Path]) -> str:
    for count in range(1, len(path.parts)):
        tail = path.parts[-count:]
        if all(other.parts[-count:] != tail for other in others):
            return str(Path(*tail))
    return str(path)
