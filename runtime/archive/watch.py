"""Notice tasks that are stuck, without a connection to their worker."""

import time

from runtime.archive.job_folder import JobFolder
from runtime.archive.storage.base import Entry, StorageAwayError
from runtime.archive.tasks import Task, Work

PATIENCE = 600.0
"""Seconds without a sign of life after which a task counts as stuck and is given to another worker."""

_JOINED_PER_SECOND = 1 << 20
"""Bytes of a recording that are joined in a second at least."""


class Watch:
    """Watches one task. A segment lives while the videos of its attempts grow, however slow the network is.

    Args:
        task: the task, which begins now.
        work: the common settings of all tasks.
        patience: seconds without growth after which it counts as stuck.
    """

    def __init__(self, task: Task, work: Work, patience: float) -> None:
        self._job, self._task, self.patience = JobFolder(work.destination, work.job), task, patience
        if task.segment is None:
            self.patience += task.file.bytes / _JOINED_PER_SECOND
        self._since = time.monotonic()
        self._seen: list[Entry] = []

    def is_stuck(self) -> bool:
        """Whether the task shows no sign of life; the storage is asked only when patience has run out."""
        now = time.monotonic()
        if now - self._since <= self.patience:
            return False
        try:
            seen = self._job.attempts_at(self._task.key)
        except StorageAwayError:  # a worker that waits for its storage is not stuck
            self._since = now
            return False
        if seen == self._seen:
            return True
        self._seen, self._since = seen, now
        return False
