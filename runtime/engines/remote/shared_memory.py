"""Frames in memory that this process and a server on the same machine share, instead of on a socket."""

import os
import threading
import uuid
from contextlib import suppress
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from runtime.media.frame import Pixels

_MOST_LATE = 8
"""Regions kept because a server that was late may still write into them."""

ASK = 2.0
"""Deadline of a question about memory, in seconds: a server may hang."""


class Region:
    """A piece of shared memory that the server knows: the frames, and behind them each output.

    Args:
        client: tritonclient's, of the server.
        size: bytes.

    Raises:
        InferenceServerException: if the server does not accept it.
    """

    def __init__(self, client: Any, size: int) -> None:
        self.name = f"granet-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self.size = size
        self._client = client
        self._memory = SharedMemory(self.name, create=True, size=size)
        try:
            client.register_system_shared_memory(self.name, f"/{self.name}", size, client_timeout=ASK)
        except BaseException:
            self._release()
            raise

    def write(self, frames: Pixels) -> None:
        """Copies the frames to the beginning."""
        np.ndarray(frames.shape, np.uint8, self._memory.buf)[...] = frames

    def read(self, place: int, shape: tuple[int, ...]) -> Pixels:
        """A copy of output number ``place``, uint8, which has the shape of the frames."""
        size = int(np.prod(shape))
        return np.ndarray(shape, np.uint8, self._memory.buf, (place + 1) * size).copy()

    def close(self) -> None:
        """Takes the memory back from the server, if it is there."""
        with suppress(Exception):  # the connection may be closed, or the server gone with all its regions
            self._client.unregister_system_shared_memory(self.name, client_timeout=ASK)
        self._release()

    def _release(self) -> None:
        self._memory.close()
        self._memory.unlink()


class Regions:
    """The regions of one engine; each call in flight has one of its own.

    Args:
        client: tritonclient's, of the server.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._free: list[Region] = []
        self._late: list[Region] = []
        self._closed = False

    def take(self, size: int) -> Region:
        """A region of at least ``size`` bytes.

        Raises:
            InferenceServerException: if the server does not accept a new one.
        """
        with self._lock:
            found = self._free.pop() if self._free else None
        if found is not None and found.size >= size:
            return found
        if found is not None:
            found.close()
        return Region(self._client, size)

    def give_back(self, region: Region) -> None:
        """Offers a region for the next call."""
        with self._lock:
            if not self._closed:
                self._free.append(region)
                return
        region.close()

    def retire(self, region: Region) -> None:
        """Keeps a region for a while into which the server may still write."""
        with self._lock:
            self._late.append(region)
            ended = self._late.pop(0) if self._closed or len(self._late) > _MOST_LATE else None
        if ended is not None:
            ended.close()

    def forget(self) -> None:
        """Closes the regions that a server which has started anew no longer knows."""
        with self._lock:
            ended, self._free = self._free, []
        for region in ended:
            region.close()

    def close(self) -> None:
        """Closes all regions; those of calls in flight when these end."""
        with self._lock:
            self._closed = True
            ended, self._free, self._late = [*self._free, *self._late], [], []
        for region in ended:
            region.close()
