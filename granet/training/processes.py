"""The processes of a training: one, or several that ``torchrun`` or ``--processes`` has started."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from granet.app.environment import whole_number
from granet.app.progress import progress_line
from granet.errors import UserError


class FailedElsewhere(Exception):  # noqa: N818 - the error itself is raised elsewhere
    """Another process has failed and reports the error."""


class Processes:
    """The processes of a training, seen from one of them.

    Attributes:
        rank: number of this process; 0 is the main process.
        count: number of processes.
        device: device of this process.
    """

    def __init__(self, rank: int, count: int, device: torch.device) -> None:
        self.rank = rank
        self.count = count
        self.device = device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints messages."""
        return self.rank == 0

    def total(self, values: Sequence[float]) -> list[float]:
        """The sums of the values over all processes, the same in each."""
        if self.count == 1:
            return list(values)
        # NCCL computes on the GPU only.
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(sums)
        return [float(value) for value in sums.tolist()]

    def on_main(self, action: Callable[[], None]) -> None:
        """Runs ``action`` in the main process; if it fails, all processes stop.

        Raises:
            UserError: the error of ``action``, in the main process.
            FailedElsewhere: in the other processes, if ``action`` failed.
        """
        failure: UserError | None = None
        if self.is_main:
            try:
                action()
            except UserError as error:
                failure = error
        (failed,) = self.total([float(failure is not None)])
        if failure is not None:
            raise failure
        if failed:
            raise FailedElsewhere("the main process has failed")

    def parallel(self, model: nn.Module) -> nn.Module:
        """Wraps ``model`` so that its backward pass averages gradients over the processes."""
        if self.count == 1:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=devices)

    def bar(self, title: str, total: float) -> AbstractContextManager[Callable[[float, str], None]]:
        """:func:`granet.app.progress.progress_line` in the main process; no output in the others."""
        return progress_line(title, total) if self.is_main else nullcontext(lambda done, last: None)


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Joins the other processes of this training, if there are any.

    Args:
        device: ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.

    Raises:
        UserError: if the device is not available; there is no fallback. Also if a variable of torchrun is not
            a number.
        FailedElsewhere: if the connection to another process is lost inside the context: it has ended.
    """
    rank, count = whole_number("RANK", 0), whole_number("WORLD_SIZE", 1)
    place = find_device(device, whole_number("LOCAL_RANK", 0))
    if count == 1:
        yield Processes(rank, count, place)
        return
    if place.type == "cuda":
        torch.cuda.set_device(place)
        dist.init_process_group("nccl", device_id=place)
    else:
        dist.init_process_group("gloo")
    try:
        yield Processes(rank, count, place)
    except RuntimeError as error:
        # Gloo has no class of its own for a lost connection.
        if isinstance(error, dist.DistError) or "/gloo/" in str(error):
            raise FailedElsewhere("another process has ended") from error
        raise
    finally:
        dist.destroy_process_group()


def find_device(name: str, local_rank: int = 0) -> torch.device:
    """The device of process ``local_rank`` of this machine; see :func:`joined`."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not gpus):
        return torch.device("cpu")
    if not gpus:
        raise UserError("--device cuda: PyTorch finds no GPU; give --device cpu to train without one")
    if local_rank >= gpus:
        raise UserError(
            f"no GPU for process {local_rank + 1} of this machine, which has {gpus}: start {gpus} processes"
        )
    return torch.device("cuda", local_rank)
