"""Worker processes on this machine."""

import multiprocessing
import os
import threading
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from granet.app.signals import ignore_interrupts
from runtime.archive.tasks import Outcome, Task, Work, Worker
from runtime.archive.watch import PATIENCE, Watch
from runtime.media.closing import Closing


class Pool(Closing):
    """Runs tasks somewhere. Never more than :attr:`size` at a time, so that memory stays bounded.

    Attributes:
        size: tasks that may run at once.
    """

    size: int

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Starts a task; call it only while :meth:`free` is positive."""

    @abstractmethod
    def free(self) -> int:
        """Tasks that may be submitted now."""

    @abstractmethod
    def wait(self, seconds: float) -> Sequence[tuple[Task, Outcome]]:
        """Waits until tasks end, at most ``seconds``; a worker that died or is stuck has an outcome too."""


def _serve(connection: Connection, work: Work) -> None:
    ignore_interrupts()
    threading.Thread(target=_end_with_driver, daemon=True).start()
    worker = Worker(work)
    while True:
        connection.send(worker.do(connection.recv()))


def _end_with_driver() -> None:
    """Ends this process when the driver is killed; otherwise it would work on beside a new run."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)


@dataclass
class _Process:
    process: BaseProcess
    connection: Connection
    task: Task | None = None
    watch: Watch | None = None


class LocalPool(Pool):
    """Processes of this machine, each with a model of its own.

    A process that dies is replaced. One that is stuck is left alone: if it comes back, its late result is
    discarded, and the process ends.

    Args:
        work: the common settings of all tasks.
        workers: processes.
        patience: seconds without a sign of life after which a task counts as stuck.
    """

    def __init__(self, work: Work, workers: int, patience: float = PATIENCE) -> None:
        self.size = workers
        self._work, self._patience = work, patience
        self._processes: list[_Process] = []
        self._stuck: list[_Process] = []

    def free(self) -> int:
        """See :meth:`Pool.free`."""
        return self.size - sum(each.task is not None for each in self._processes)

    def submit(self, task: Task) -> None:
        """See :meth:`Pool.submit`."""
        idle = next((each for each in self._processes if each.task is None), None)
        if idle is None:
            idle = self._start()
        idle.task, idle.watch = task, Watch(task, self._work, self._patience)
        with suppress(OSError):  # it may just have died, which wait() reports
            idle.connection.send(task.for_worker())

    def wait(self, seconds: float) -> Sequence[tuple[Task, Outcome]]:
        """See :meth:`Pool.wait`."""
        self._end_late_ones()
        busy = [each for each in self._processes if each.task is not None]
        ready = wait(
            [*(each.connection for each in busy), *(each.process.sentinel for each in busy)], seconds
        )
        ended = [self._ended(each) for each in busy if {each.connection, each.process.sentinel} & set(ready)]
        late = [self._given_up(each) for each in busy if each.task and each.watch and each.watch.is_stuck()]
        return [*ended, *late]

    def close(self) -> None:
        """Ends all processes at once; attempts in progress leave only unpublished files."""
        _end(*self._processes, *self._stuck)
        self._processes, self._stuck = [], []

    def _end_late_ones(self) -> None:
        """Ends the processes that were stuck and have a result now; each would keep its model in memory."""
        late = [each for each in self._stuck if each.connection.poll()]
        self._stuck = [each for each in self._stuck if each not in late]
        _end(*late)

    def _start(self) -> _Process:
        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_serve, args=(theirs, self._work), daemon=True)
        process.start()
        theirs.close()
        started = _Process(process, ours)
        self._processes.append(started)
        return started

    def _ended(self, each: _Process) -> tuple[Task, Outcome]:
        task = each.task
        assert task is not None
        try:
            outcome = each.connection.recv()
        except (EOFError, OSError):
            each.process.join(5)
            self._processes.remove(each)
            reason = f"its worker died (exit status {each.process.exitcode})"
            return task, Outcome(task.key, "lost", reason)
        each.task = None
        return task, outcome

    def _given_up(self, each: _Process) -> tuple[Task, Outcome]:
        task = each.task
        assert task is not None
        self._processes.remove(each)
        self._stuck.append(each)
        return task, Outcome(task.key, "lost", f"its worker sent nothing for {self._patience:g} s")


def _end(*processes: _Process) -> None:
    for each in processes:
        each.process.kill()
    for each in processes:
        each.process.join(5)
        each.connection.close()
