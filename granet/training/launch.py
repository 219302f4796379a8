"""``granet-train --processes N``: starts the command N times on this machine and waits for all.

``torchrun`` could start them too, but it reports a user's mistake with a page of text and Ctrl-C with a
traceback.
"""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from typing import IO

from granet.app.console import FAULT, Interrupted, Urgent, say
from granet.app.progress import without_log_progress
from granet.app.signals import on_interrupt, signal_of

FOLLOWED = 75
"""Exit status of a process that ends because another one has failed, and has nothing to report."""

_GRACE_SECONDS = 20.0
"""Time for the other processes to end after one has failed, before they are killed."""


def run_processes(count: int, command: Sequence[str], own_threads: bool) -> int:
    """Runs ``command`` ``count`` times, each with the environment variables that ``torchrun`` would set.

    Args:
        count: number of processes.
        command: the program and its arguments.
        own_threads: whether the command sets its number of threads; otherwise each process uses one.

    Returns:
        The exit status of the first process, or of the one that failed without it. The messages of the other
        processes are printed only if the first has not failed by itself.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, which is passed on to all processes.
    """
    port = _free_port()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as others:
        children: list[subprocess.Popen[bytes]] = []

        def stop() -> None:
            for child in children:
                child.terminate()

        with on_interrupt(stop) as interruption:
            for rank in range(count):
                environment = _environment(rank, count, port, own_threads)
                errors: IO[str] | None = others if rank else None
                children.append(subprocess.Popen(command, env=environment, stderr=errors))
            if interruption.happened:
                stop()  # the signal may have arrived before the last process started
            with without_log_progress():  # the first process prints its own
                failed = _wait(children)
        others.seek(0)
        statuses = [child.returncode for child in children]
        return _outcome(statuses, failed, others.read(), interruption.number)


def _environment(rank: int, count: int, port: int, own_threads: bool) -> dict[str, str]:
    process = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return os.environ | process | address | ({} if own_threads else {"OMP_NUM_THREADS": "1"})


def _wait(children: list[subprocess.Popen[bytes]]) -> int | None:
    """Waits until all have ended; returns the rank that failed first, or ``None``.

    After a failure the others are killed in time, because they may wait for the dead one forever.
    """
    failed: int | None = None
    failed_at = 0.0
    while None in (statuses := [child.poll() for child in children]):
        if failed is None and any(statuses):
            failed, failed_at = _first_failure(statuses), time.monotonic()
        if failed is not None and time.monotonic() - failed_at > _GRACE_SECONDS:
            for child in children:
                child.kill()
        time.sleep(0.05)
    return _first_failure(statuses) if failed is None else failed


def _first_failure(statuses: Sequence[int | None]) -> int | None:
    return next((rank for rank, status in enumerate(statuses) if status), None)


def _outcome(statuses: list[int], failed: int | None, others: str, signalled: int | None) -> int:
    interrupted_by = signal_of(statuses[0])
    if interrupted_by is not None:
        raise Interrupted(signalled or interrupted_by)
    if failed is None:
        return 0
    cause = _cause(statuses, failed)
    if statuses[cause] < 0:
        say(Urgent(f"error: process {cause + 1} of {len(statuses)} was killed by signal {-statuses[cause]}"))
    elif cause > 0:
        for line in others.splitlines():
            say(Urgent(line))
    return statuses[cause] if statuses[cause] > 0 else FAULT


def _cause(statuses: list[int], failed: int) -> int:
    """The rank whose failure is reported: the first process, if it has one of its own to report."""
    own = [0 if status == FOLLOWED else status for status in statuses]
    if own[0] > 0:
        return 0
    # One that followed may have been seen before the one that it followed.
    return failed if own[failed] else _first_failure(own) or 0


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
