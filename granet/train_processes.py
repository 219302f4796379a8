"""``granet-train --processes N``: the same command N times on this machine, as one program.

``torchrun`` could start them too, but it answers a user's mistake with a page of its own, and Ctrl-C with a
traceback.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO

from granet.console import INTERRUPTED, Interrupted, say
from granet.signals import on_interrupt

_GRACE_SECONDS = 20.0
"""What the others have for ending by themselves after one has failed."""


def run_processes(count: int, command: Sequence[str], own_threads: bool) -> int:
    """Runs ``command`` ``count`` times, with the environment that ``torchrun`` would give each.

    Args:
        count: processes.
        command: the program and its arguments.
        own_threads: the command sets its threads itself; else each process computes in one.

    Returns:
        The exit status of the first process, or of the one that failed alone. The first speaks for all;
        what the others have to say is shown only if they alone failed.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM, which all of them get.
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
                heard: IO[str] | None = others if rank else None
                children.append(subprocess.Popen(command, env=environment, stderr=heard))
            if interruption.happened:
                stop()  # it may have come before the last was started
            _wait(children)
        others.seek(0)
        return _outcome([child.returncode for child in children], others.read())


def _environment(rank: int, count: int, port: int, own_threads: bool) -> dict[str, str]:
    place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return os.environ | place | meeting | ({} if own_threads else {"OMP_NUM_THREADS": "1"})


def _wait(children: list[subprocess.Popen[bytes]]) -> None:
    """Until all have ended; after a failure the others, which may wait for the dead, are ended."""
    failed_at: float | None = None
    while any(child.poll() is None for child in children):
        if failed_at is None and any(child.returncode for child in children):
            failed_at = time.monotonic()
        if failed_at is not None and time.monotonic() - failed_at > _GRACE_SECONDS:
            for child in children:
                child.kill()
        time.sleep(0.05)


def _outcome(statuses: list[int], others: str) -> int:
    if statuses[0] == INTERRUPTED:
        raise Interrupted
    killed = [rank for rank, status in enumerate(statuses) if status < 0]
    if statuses[0] <= 0 and any(status > 0 for status in statuses):
        sys.stderr.write(others)
    if killed:
        rank = killed[0]
        say(f"error: process {rank + 1} of {len(statuses)} was ended by signal {-statuses[rank]}")
    return statuses[0] if statuses[0] > 0 else int(any(statuses))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
