"""A build that reports its progress and stops on Ctrl-C."""

from collections.abc import Callable
from threading import Event, Thread
from typing import Any, TypeVar

from granet.app.progress import Progress
from runtime.tensorrt.flavour import Flavour
from runtime.tensorrt.log import no_collection

T = TypeVar("T")


def interruptible(work: Callable[[], T], monitor: Any) -> T:
    """Runs ``work`` in a thread of its own and returns its result.

    Python handles Ctrl-C only in the main thread, and only while that thread runs Python code. So this
    thread waits and asks the build to stop. Within TensorRT, which calls back for every line of its log, a
    KeyboardInterrupt would be lost.

    Args:
        work: the build.
        monitor: the monitor of the build, made by :func:`new_monitor`.

    Raises:
        KeyboardInterrupt: after Ctrl-C, as soon as TensorRT stops.
        BaseException: any exception of ``work`` or the monitor.
    """
    results: list[T] = []
    faults: list[BaseException] = []
    ended = Event()

    def run() -> None:
        try:
            with no_collection():
                results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            faults.append(error)
        finally:
            ended.set()

    thread = Thread(target=run, name="tensorrt-build", daemon=True)
    try:
        thread.start()
        while not ended.wait(0.1):
            pass
    except KeyboardInterrupt:
        monitor.stopped = True
        if thread.ident is None:  # interrupted within start(): the thread may still begin
            ended.wait(0.5)
        if thread.ident is not None:
            thread.join()
        raise
    for fault in (monitor.fault, *faults):
        if fault is not None:
            raise fault
    return results[0]


def new_monitor(flavour: Flavour, progress: Progress) -> Any:
    """An ``IProgressMonitor`` that reports the share done and stops the build on request."""
    trt = flavour.module

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        """Phases nest: one step of a phase is a complete run of its inner phases."""

        def __init__(self) -> None:
            super().__init__()
            self.steps: dict[str, int] = {}
            self.done: dict[str, int] = {}
            self.share = 0.0
            self.stopped = False
            self.fault: BaseException | None = None

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self.steps[phase], self.done[phase] = max(steps, 1), 0
            self.report(phase)

        def phase_finish(self, phase: str) -> None:
            self.steps.pop(phase, None)
            self.done.pop(phase, None)

        def step_complete(self, phase: str, step: int) -> bool:
            self.done[phase] = step + 1
            self.report(phase)
            return not self.stopped

        def report(self, phase: str) -> None:
            share, weight = 0.0, 1.0
            for name in list(self.steps):
                share += weight * min(1.0, self.done[name] / self.steps[name])
                weight /= self.steps[name]
            self.share = min(1.0, max(self.share, share))  # a phase may end before its step is counted
            try:
                progress(self.share, 1.0, phase)
            except BaseException as error:  # noqa: BLE001 - must not go through TensorRT's C++
                self.fault, self.stopped = error, True

    return Monitor()
