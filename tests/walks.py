"""``python -m tests.walks [--fake-camera] COMMAND [ARGUMENT...]``: lists the files that it walks through.

A file counts if one of its functions runs in the process of the command, in any thread; what only its
import runs does not count. COMMAND is one of the project's, like ``granet-export``; with ``--fake-camera``
every camera delivers grey frames. The list goes to stderr after the output of the command: files of the four
packages, and apart from them the number of those of the common ground (``granet/app``).
"""

import os
import sys
import threading
import time
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType, FrameType

import numpy as np

PACKAGES = ("granet", "runtime", "calibration", "export")
COMMON = "granet/app/"

_ROOT = Path(__file__).parents[1]
_OPTIMIZED = 1
"""The flag of a code object that belongs to a function; modules and class bodies lack it."""


class Walk:
    """Notes the files of which a function runs, from :meth:`start` to :meth:`stop`.

    Attributes:
        codes: the code of each function that has run.
    """

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()

    def start(self) -> None:
        """Begins in this thread, and in each thread that starts from now on."""
        threading.setprofile(self._note)
        sys.setprofile(self._note)

    def stop(self) -> None:
        """Ends in this thread, and in threads that start from now on."""
        sys.setprofile(None)
        threading.setprofile(None)

    def files(self) -> list[str]:
        """The project's files, relative to its root, in order of their names."""
        paths = {Path(code.co_filename) for code in self.codes if code.co_flags & _OPTIMIZED}
        inside = [path.relative_to(_ROOT) for path in paths if path.is_relative_to(_ROOT)]
        return sorted(path.as_posix() for path in inside if path.parts[0] in PACKAGES)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            self.codes.add(frame.f_code)


class GreyCamera:
    """A camera in place of OpenCV's."""

    def __init__(self, index: int, backend: int) -> None: ...

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def read(self) -> tuple[bool, np.ndarray]:
        time.sleep(0.04)
        return True, np.full((48, 64, 3), 128, np.uint8)

    def get(self, prop: int) -> float:
        return 25.0

    def release(self) -> None: ...


def fake_cameras() -> None:
    """Makes every camera a :class:`GreyCamera`."""
    from runtime.sources.camera import source

    source.cv2.VideoCapture = GreyCamera  # type: ignore[assignment, misc]
    source.problem_of = lambda path: None


def main() -> None:
    """Runs the command that the command line names, and ends as it ends."""
    if sys.argv[1] == "--fake-camera":
        del sys.argv[1]
        fake_cameras()
    name, walk = sys.argv[1], Walk()
    (command,) = entry_points(group="console_scripts", name=name)
    run = command.load()
    sys.argv = sys.argv[1:]
    os._exit = sys.exit  # type: ignore[assignment]  # granet-run ends at once
    walk.start()
    try:
        run()
    finally:
        walk.stop()
        files = walk.files()
        own = [file for file in files if not file.startswith(COMMON)]
        sys.stderr.write("\n".join(own))
        sys.stderr.write(f"\n{len(own)} files, and {len(files) - len(own)} of {COMMON}\n")


if __name__ == "__main__":
    main()
