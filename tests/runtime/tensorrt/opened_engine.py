"""A TensorRT engine on fakes that checks order of calls, lifetimes and leaks when it is closed."""

import gc
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from runtime.engines.device import Device
from runtime.media.frame import Pixels
from runtime.tensorrt.engine import TensorRtEngine
from runtime.tensorrt.gpu_thread import GpuThread
from runtime.tensorrt.optimisation_profile import Profile
from tests.patience import PATIENCE
from tests.runtime.tensorrt.engine_files import engine_file, record
from tests.runtime.tensorrt.fake_cuda import FakeCuda
from tests.runtime.tensorrt.fake_tensorrt import FakeTensorRt

DYNAMIC = {"height": None, "width": None, "batch": None}
WIDE = Profile((1, 16, 16), (1, 48, 64), (4, 96, 128))
FLAVOURS = ("tensorrt", "tensorrt-rtx")


def noise(n: int, height: int = 48, width: int = 64, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)


class Opened:
    """An engine on fakes; closing it checks for leaks."""

    def __init__(
        self, directory: Path, *, graphs: bool = True, broken: str | None = None, **cuda: Any
    ) -> None:
        made = cuda.pop("made", None) or record()
        self.fake = FakeTensorRt(made, made.flavour)  # type: ignore[arg-type]
        self.fake.broken = broken
        self._path = engine_file(directory, made)
        self._options = {"graphs": graphs, "cuda": self.fake.open_cuda(**cuda), "flavours": self._flavour}
        self.engine: TensorRtEngine | None = None

    def _flavour(self, name: str) -> Any:
        assert name == self.fake.name
        return self.fake.flavour

    def __enter__(self) -> TensorRtEngine:
        self.engine = TensorRtEngine(self._path, Device.parse("auto"), **self._options)  # type: ignore[arg-type]
        return self.engine

    def __exit__(self, *error: object) -> None:
        assert self.engine is not None
        self.engine.close()
        self.engine.close()  # may be called twice
        self.check()

    @property
    def cuda(self) -> FakeCuda:
        assert self.fake.cuda is not None
        return self.fake.cuda

    def at_once(self, frames: Iterable[Pixels]) -> list[Future[NDArray[Any]]]:
        """Runs each frame in its own thread; the first is copied once all are submitted."""
        assert self.engine is not None
        given, submit = list(frames), GpuThread.submit
        handed_over = threading.Semaphore(0)

        def counting(thread: GpuThread[Any], batch: NDArray[Any]) -> Future[NDArray[Any]]:
            future = submit(thread, batch)
            handed_over.release()
            return future

        self.cuda.gate = threading.Event()
        pool = ThreadPoolExecutor(len(given))
        with patch.object(GpuThread, "submit", counting):
            pending = [pool.submit(self.engine.run, frame) for frame in given]
            for _ in given:
                assert handed_over.acquire(timeout=PATIENCE)
        self.cuda.gate.set()
        pool.shutdown(wait=False)
        return pending

    def check(self) -> None:
        if self.fake.cuda is not None:
            self.fake.cuda.check_no_leaks()
        if not self._dropped_in_order():
            gc.collect()  # a traceback may have kept references
            assert self._dropped_in_order(), self.fake.events

    def _dropped_in_order(self) -> bool:
        """The context is freed before its engine, and the engine before its runtime."""
        events = [event for event in self.fake.events if event.endswith(("made", "dropped"))]
        made = [event.removesuffix(" made") for event in events if event.endswith("made")]
        return events[len(made) :] == [f"{name} dropped" for name in reversed(made)]
