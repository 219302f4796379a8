"""Tasks on a Ray cluster: actors that each hold a model, one task in flight for each of them."""

import os
import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from granet import __version__
from granet.app.extras import missing_packages
from granet.errors import UserError
from runtime.archive.pool import Pool
from runtime.archive.tasks import Outcome, Task, Work, Worker
from runtime.archive.watch import PATIENCE, Watch

try:
    import ray
except ImportError:
    raise missing_packages("--ray", "ray") from None

LOCAL = "local"
"""Address that starts Ray on this machine."""

_NOT_STARTED = "creation task"
"""Words of Ray for an error in the constructor of an actor, which would happen again."""

_REACHABLE = 5.0
"""Seconds in which the head of a cluster must accept a connection."""


class RayWorker:
    """An actor: a :class:`runtime.archive.tasks.Worker` in a process of the cluster.

    Args:
        work: the common settings of all tasks.
        version: version of the driver's package.
    """

    def __init__(self, work: Work, version: str) -> None:
        if version != __version__:
            raise RuntimeError(
                f"node {socket.gethostname()} has version {__version__}, this machine {version}"
            )
        self._worker = Worker(work)
        if not work.model.exists():
            raise RuntimeError(f"node {socket.gethostname()} does not see {work.model}")
        if not self._worker.sees_job():
            raise RuntimeError(f"node {socket.gethostname()} does not see {work.destination}")
        try:
            work.encoding.require_here()
        except UserError as error:
            raise RuntimeError(f"node {socket.gethostname()}: {error}") from None

    def do(self, task: Task) -> Outcome:
        """Does a task."""
        return self._worker.do(task)


class RayPool(Pool):
    """Actors on a cluster. Ray places them; a GPU is requested for each if the model runs on CUDA.

    Args:
        work: the common settings of all tasks; its paths must exist on every node.
        address: address of the cluster, or :data:`LOCAL`.
        workers: actors; each gets a task at a time, so the number of tasks in flight is bounded.
        patience: seconds without a sign of life after which a task counts as stuck.

    Raises:
        UserError: if the cluster cannot be reached, or no node can run an actor.
    """

    def __init__(self, work: Work, address: str, workers: int, patience: float = PATIENCE) -> None:
        self.size = workers
        self._work, self._patience, self._address = work, patience, address
        self._connect(address)
        gpu = 1 if work.device.startswith("cuda") else 0
        self._actor = ray.remote(num_cpus=1, num_gpus=gpu, max_restarts=0)(RayWorker)
        self._idle: list[Any] = []
        self._flying: dict[Any, tuple[Task, Any, Watch]] = {}

    def free(self) -> int:
        """See :meth:`Pool.free`."""
        return self.size - len(self._flying)

    def submit(self, task: Task) -> None:
        """See :meth:`Pool.submit`."""
        actor = self._idle.pop() if self._idle else self._actor.remote(self._work, __version__)
        self._flying[actor.do.remote(task.for_worker())] = (
            task,
            actor,
            Watch(task, self._work, self._patience),
        )

    def wait(self, seconds: float) -> Sequence[tuple[Task, Outcome]]:
        """See :meth:`Pool.wait`.

        Raises:
            UserError: if a node has another version, or does not see the model or the destination.
        """
        ready, _ = ray.wait(list(self._flying), num_returns=1, timeout=seconds)
        late = [each for each, (_, _, watch) in self._flying.items() if watch.is_stuck()]
        return [*(self._ended(each) for each in ready), *(self._given_up(e) for e in late if e not in ready)]

    def close(self) -> None:
        """Ends the actors and leaves the cluster."""
        for actor in (*self._idle, *(actor for _, actor, _ in self._flying.values())):
            ray.kill(actor)
        self._idle, self._flying = [], {}
        ray.shutdown()

    def _ended(self, reference: Any) -> tuple[Task, Outcome]:
        task, actor, _ = self._flying.pop(reference)
        try:
            outcome: Outcome = ray.get(reference)
        except ray.exceptions.RayActorError as error:
            if _NOT_STARTED in str(error):
                raise UserError(
                    f"--ray {self._address}: a worker cannot start: {_reason(error)}; all nodes need "
                    "the same version and the same paths"
                ) from error
            return task, Outcome(task.key, "lost", f"its worker died: {_reason(error)}")
        except ray.exceptions.RayError as error:
            ray.kill(actor)
            return task, Outcome(task.key, "lost", f"Ray failed: {_reason(error)}")
        self._idle.append(actor)
        return task, outcome

    def _given_up(self, reference: Any) -> tuple[Task, Outcome]:
        task, _, _ = self._flying.pop(reference)
        return task, Outcome(task.key, "lost", f"its worker sent nothing for {self._patience:g} s")

    def _connect(self, address: str) -> None:
        quiet = {"log_to_driver": False, "include_dashboard": False, "logging_level": "ERROR"}
        try:
            if address == LOCAL:
                ray.init(num_cpus=max(self.size, os.cpu_count() or 1), **quiet)
            else:
                _check_reachable(address)
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
            raise UserError(f"--ray {address}: no cluster answers there: {_reason(error)}") from error


def _check_reachable(address: str) -> None:
    """Connects once: Ray itself would try for minutes.

    Raises:
        OSError: if nothing listens there.
    """
    place = urlsplit(address if "://" in address else f"ray://{address}")
    if place.hostname is not None and place.port is not None:
        socket.create_connection((place.hostname, place.port), timeout=_REACHABLE).close()


def _reason(error: Exception) -> str:
    """The last line of an error of Ray, which holds the traceback of the other process."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
