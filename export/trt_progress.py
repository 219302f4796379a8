"""A build that can be watched and stopped: how far it is, and Ctrl-C."""

from collections.abc import Callable
from threading import Thread
from typing import Any

from runtime.tensorrt_flavour import Flavour

Progress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and the name of what is being done."""


def build_in_thread(builder: Any, network: Any, config: Any, monitor: Any) -> Any:
    """The plan or ``None``.

    The build is in a thread of its own because Python sees Ctrl-C in its main thread only, and only
    while that runs Python: this one waits, and asks the build to stop.
    """
    plans: list[Any] = []
    faults: list[Exception] = []

    def build() -> None:
        try:
            plans.append(builder.build_serialized_network(network, config))
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            faults.append(error)

    thread = Thread(target=build, name="tensorrt-build", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.1)
    except KeyboardInterrupt:
        monitor.stopped = True
        thread.join()
        raise
    for fault in (monitor.fault, *faults):
        if fault is not None:
            raise fault
    return plans[0]


def new_monitor(flavour: Flavour, progress: Progress) -> Any:
    """An ``IProgressMonitor`` that tells the share done and ends the build where it is asked to."""
    trt = flavour.module

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        """Phases nest: a step of one is a whole run of those within."""

        def __init__(self) -> None:
            super().__init__()
            self.steps: dict[str, int] = {}
            self.done: dict[str, int] = {}
            self.share = 0.0
            self.stopped = False
            self.fault: BaseException | None = None

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self.steps[phase], self.done[phase] = max(steps, 1), 0
            self.tell(phase)

        def phase_finish(self, phase: str) -> None:
            self.steps.pop(phase, None)
            self.done.pop(phase, None)

        def step_complete(self, phase: str, step: int) -> bool:
            self.done[phase] = step + 1
            self.tell(phase)
            return not self.stopped

        def tell(self, phase: str) -> None:
            share, weight = 0.0, 1.0
            for name in list(self.steps):
                share += weight * min(1.0, self.done[name] / self.steps[name])
                weight /= self.steps[name]
            self.share = min(1.0, max(self.share, share))  # a phase may end before its step is counted
            try:
                progress(self.share, phase)
            except BaseException as error:  # noqa: BLE001 - must not go through TensorRT's C++
                self.fault, self.stopped = error, True

    return Monitor()
