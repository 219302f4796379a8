"""Recordings and jobs for the tests of an archive."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from runtime.archive.inputs import Recording
from runtime.archive.job_folder import JobFolder
from runtime.archive.plan import PlannedFile, Settings
from runtime.archive.planning import plan_file
from tests.media import make_clip

SETTINGS = Settings("fake.onnx", "0" * 64, "1.0", 1.0)
GOP = {"crf": "1", "preset": "ultrafast", "g": "10", "bf": "2", "x264-params": "open-gop=1:scenecut=0"}
"""Key frames every 10 frames, in open groups of pictures: some frames need the group before theirs."""


def make_recording(path: Path, count: int = 70, **settings: Any) -> Path:
    """A recording of numbered frames with a key frame every 10 frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return make_clip(path, count, **{"options": GOP, "rate": Fraction(10), **settings})


def planned(path: Path, name: str | None = None, settings: Settings = SETTINGS) -> PlannedFile:
    """The plan of one recording."""
    file = plan_file(Recording(path, name or path.name), settings)
    assert not file.problem
    return file


class LocalJob(JobFolder):
    """A job in a directory.

    Attributes:
        destination: the directory.
        root: the folder of the job.
    """

    def __init__(self, destination: Path, job: str) -> None:
        super().__init__(destination, job)
        self.destination, self.root = destination, destination / self.folder


def made_job(destination: Path, settings: Settings = SETTINGS) -> LocalJob:
    """An empty job."""
    job = LocalJob(destination, settings.job)
    job.make()
    return job
