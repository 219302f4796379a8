"""Batches of training pictures as tensors, prepared in threads where that helps."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

import torch
from torch import Tensor

from granet.training.samples import TrainingData

Batch = tuple[Tensor, Tensor]
"""Rainy and clean, uint8 N x H x W x 3, RGB, on the CPU."""

AHEAD = 2
"""Batches per worker that are ready or in preparation."""


def batches_from(
    data: TrainingData, first: int, size: int, stride: int, workers: int, device: torch.device
) -> Iterator[Batch]:
    """An endless sequence of batches.

    Args:
        data: samples by number.
        first: number of the first sample of the first batch.
        size: samples per batch.
        stride: samples from the start of one batch to the next: those of one step of all processes.
        workers: threads that prepare batches; the batches do not depend on their number, which may be 0.
            They are not processes: NumPy and OpenCV release the GIL, and a process that is forked while
            OpenCV's own threads run can hang.
        device: device of the training; for a GPU the memory is pinned.

    Raises:
        UserError: if a picture cannot be read.
    """

    def prepare(number: int) -> Batch:
        rainy, clean = (torch.from_numpy(pixels) for pixels in data.batch(number, size))
        return (rainy.pin_memory(), clean.pin_memory()) if device.type == "cuda" else (rainy, clean)

    numbers = count(first, stride)
    if workers == 0:
        yield from map(prepare, numbers)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
    pending: deque[Future[Batch]] = deque()
    try:
        while True:
            while len(pending) < AHEAD * workers:
                pending.append(pool.submit(prepare, next(numbers)))
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
