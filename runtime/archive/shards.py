"""The share of a job that belongs to a worker without a coordinator."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from granet.app.console import UsageError

_SCHEDULERS = (
    ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", ""),
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),
)
"""(index, number of workers, first index) in the environment: Kubernetes Indexed Jobs, Slurm arrays.

Kubernetes does not set the number; the manifest in ``deploy/`` does.
"""


@dataclass(frozen=True)
class Shard:
    """A share of the segments, chosen by the hash in their keys.

    Attributes:
        index: from 0.
        count: number of shares.
    """

    index: int
    count: int

    def has(self, key: str) -> bool:
        """Whether the share contains a segment or a recording; ``key`` is hexadecimal."""
        return int(key[:12], 16) % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_shard(text: str | None, environment: Mapping[str, str] = os.environ) -> Shard:
    """The share of ``--shard I/N``, or that of the scheduler that started this process.

    Args:
        text: value of the option; ``None`` if it was not given.
        environment: variables of the process.

    Raises:
        UsageError: if it is malformed, or there is neither an option nor a scheduler.
    """
    if text is not None:
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is None:
            raise UsageError(f"--shard {text}: give I/N, like 0/4")
        return _checked(int(match[1]), int(match[2]), f"--shard {text}")
    for index, count, first in _SCHEDULERS:
        if index in environment:
            return _from_scheduler(environment, index, count, first)
    raise UsageError("give --shard I/N, or start the command in a Kubernetes Indexed Job or a Slurm array")


def _from_scheduler(environment: Mapping[str, str], index: str, count: str, first: str) -> Shard:
    values = [environment.get(name, "") for name in (index, count)]
    start = environment.get(first, "0")
    if not all(value.isdecimal() for value in (*values, start)):
        raise UsageError(
            f"{index}={values[0]} and {count}={values[1]}: set both to numbers, or give --shard I/N"
        )
    given = f"{index}={values[0]} and {count}={values[1]}"
    if first:
        given += f", from {start}"
    return _checked(int(values[0]) - int(start), int(values[1]), given)


def _checked(index: int, count: int, given: str) -> Shard:
    if not 0 <= index < count:
        raise UsageError(
            f"{given}: the index must be below the number of shares, and begins at 0; number the workers "
            "without gaps, or give --shard I/N"
        )
    return Shard(index, count)
