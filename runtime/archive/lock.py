"""One job at a time in a destination."""

from collections.abc import Iterator
from contextlib import contextmanager

from granet.errors import UserError
from runtime.archive.job_folder import FOLDER, JobFolder


@contextmanager
def only_job(job: JobFolder) -> Iterator[None]:
    """Lets any number of runs of one job work on a destination, and refuses another job meanwhile.

    Raises:
        UserError: if another job is running there, or the destination cannot be written.
    """
    with job.storage.holding(FOLDER, job.job) as others:
        if others:
            raise UserError(
                f"{job.storage}: job {min(others)} with another model or other options is running here; wait "
                "for it, or choose another destination"
            )
        yield


def is_running(job: JobFolder) -> bool:
    """Whether a run or a worker of the job is active."""
    return job.storage.is_held(FOLDER, job.job)
