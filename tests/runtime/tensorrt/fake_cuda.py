"""A CUDA without a GPU: work on a stream runs as late as allowed, and is checked.

Work runs only when a thread waits for it, or a stream waits for another, or ``random`` says so. So a
result that is read before its event, an input that is overwritten before it was copied, or a missing wait
between two streams gives wrong pixels. Memory is freed once, never used after, and all of it at the end.
"""

import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from runtime.tensorrt.cuda.base import Cuda, CudaError, Gpu

POISON = 0xDD


@dataclass(eq=False)
class FakeStream:
    handle: int
    work: deque[Callable[[], None]] = field(default_factory=deque)
    capturing: list[Callable[[], None]] | None = None


@dataclass(eq=False)
class FakeEvent:
    recorded: int = 0
    happened: int = 0
    stream: FakeStream | None = None


@dataclass(eq=False)
class FakeMemory:
    address: int
    data: NDArray[np.uint8]


@dataclass(eq=False)
class FakeGraph:
    work: list[Callable[[], None]]


class FakeCuda(Cuda):
    """See the module.

    Args:
        fail_at: number of the call, from 0, that fails; and with ``sticky`` all that follow do.
        seed: of the order in which work happens; ``None`` is as late as possible.
    """

    def __init__(
        self,
        index: int = 0,
        *,
        capability: str = "8.6",
        fail_at: int | None = None,
        sticky: bool = False,
        seed: int | None = None,
    ) -> None:
        self.gpu = Gpu(index, "Fake GPU", capability, "13.0")
        self.package = "fake 1.0"
        self.calls: list[str] = []
        self.alive: dict[int, Any] = {}  # id -> thing, so that ids stay unique while it lives
        self.closed = False
        self.gate: threading.Event | None = None
        """Copies to the device wait for it, if set, so that a test can queue frames meanwhile."""
        self._fail_at, self._sticky = fail_at, sticky
        self._random = None if seed is None else random.Random(seed)
        self._thread = threading.get_ident()
        self._next = 0x1000

    # Attributes that the fake TensorRT needs.

    def at(self, address: int) -> FakeMemory:
        found = [x for x in self.alive.values() if isinstance(x, FakeMemory) and x.address == address]
        assert found, f"memory at {address:#x} is not there"
        return found[0]

    def enqueue(self, handle: int, work: Callable[[], None]) -> None:
        (stream,) = [x for x in self.alive.values() if isinstance(x, FakeStream) and x.handle == handle]
        self._put(stream, work)

    def check_no_leaks(self) -> None:
        assert self.closed and not self.alive, list(self.alive.values())

    # The contract.

    def stream(self) -> Any:
        self._called("stream")
        return self._born(FakeStream(self._number()))

    def release_stream(self, stream: Any) -> None:
        self._called("release_stream")
        assert not stream.work or self._sticky, "a stream went with work on it"
        self._dead(stream)

    def handle(self, stream: Any) -> int:
        self._check(stream)
        return int(stream.handle)

    def synchronise(self, stream: Any) -> None:
        self._called("synchronise")
        self._check(stream)
        while stream.work:
            self._step(stream)

    def event(self) -> Any:
        self._called("event")
        return self._born(FakeEvent())

    def release_event(self, event: Any) -> None:
        self._called("release_event")
        self._dead(event)

    def record(self, event: Any, stream: Any) -> None:
        self._called("record")
        self._check(event, stream)
        event.recorded, event.stream = event.recorded + 1, stream
        number = event.recorded

        def happen() -> None:
            event.happened = number

        self._put(stream, happen)

    def wait(self, stream: Any, event: Any) -> None:
        self._called("wait")
        self._check(event, stream)
        number = event.recorded
        self._put(stream, lambda: self._until(event, number))

    def wait_for(self, event: Any) -> None:
        self._called("wait_for")
        self._check(event)
        assert event.recorded, "an event that was never recorded"
        self._until(event, event.recorded)

    def memory(self, size: int) -> Any:
        self._called("memory")
        assert size > 0
        return self._born(FakeMemory(self._number(), np.full(size, POISON, np.uint8)))

    def release_memory(self, memory: Any) -> None:
        self._called("release_memory")
        memory.data[:] = POISON
        self._dead(memory)

    def address(self, memory: Any) -> int:
        self._check(memory)
        return int(memory.address)

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        self._called("pinned")
        array = np.empty(shape, dtype)
        array.view(np.uint8)[...] = POISON
        self._born(array)
        return array

    def release_pinned(self, array: NDArray[Any]) -> None:
        self._called("release_pinned")
        array.view(np.uint8)[...] = POISON
        self._dead(array)

    def copy_in(self, memory: Any, array: NDArray[Any], stream: Any) -> None:
        self._called("copy_in")
        assert self.gate is None or self.gate.wait(10)
        self._check(memory, array, stream)
        assert array.nbytes == memory.data.nbytes
        self._put(stream, lambda: self._copy(memory.data, array, memory, array))

    def copy_out(self, array: NDArray[Any], memory: Any, stream: Any) -> None:
        self._called("copy_out")
        self._check(memory, array, stream)
        assert array.nbytes == memory.data.nbytes
        self._put(stream, lambda: self._copy(array, memory.data, memory, array))

    def copy_across(self, target: Any, source: Any, size: int, stream: Any) -> None:
        self._called("copy_across")
        self._check(target, source, stream)
        assert size == source.data.nbytes == target.data.nbytes
        self._put(stream, lambda: self._copy(target.data, source.data, target, source))

    def capture(self, stream: Any, work: Callable[[], None]) -> Any:
        self._called("capture")
        self._check(stream)
        stream.capturing = []
        try:
            work()
            return self._born(FakeGraph(stream.capturing))
        finally:
            stream.capturing = None

    def launch(self, graph: Any, stream: Any) -> None:
        self._called("launch")
        self._check(graph, stream)

        def run() -> None:
            self._check(graph)
            for work in graph.work:
                work()

        self._put(stream, run)

    def release_graph(self, graph: Any) -> None:
        self._called("release_graph")
        self._dead(graph)

    def free_memory(self) -> int:
        return 1 << 30

    def close(self) -> None:
        self._called("close", fails=False)
        assert not self.closed, "closed twice"
        self.closed = True

    # How it works.

    def _called(self, name: str, *, fails: bool = True) -> None:
        assert threading.get_ident() == self._thread, f"{name} from another thread"
        assert not self.closed, f"{name} after close"
        number = len(self.calls)
        self.calls.append(name)
        if not fails or self._fail_at is None:
            return
        # As in CUDA, a release takes effect even if it reports an error.
        if name.startswith("release_"):
            return
        if number == self._fail_at or (self._sticky and number > self._fail_at):
            raise CudaError(f"CUDA: {name}: CUDA error 700: an illegal memory access was encountered")

    def _number(self) -> int:
        self._next += 0x100
        return self._next

    def _born(self, thing: Any) -> Any:
        self.alive[id(thing)] = thing
        return thing

    def _dead(self, thing: Any) -> None:
        self._check(thing)
        del self.alive[id(thing)]

    def _check(self, *things: Any) -> None:
        for thing in things:
            assert id(thing) in self.alive, f"{thing!r} was released"

    def _put(self, stream: FakeStream, work: Callable[[], None]) -> None:
        if stream.capturing is not None:
            stream.capturing.append(work)
            return
        stream.work.append(work)
        if self._random is not None:
            streams = [x for x in self.alive.values() if isinstance(x, FakeStream) and x.work]
            for _ in range(self._random.randrange(3)):
                chosen = self._random.choice(streams)
                if chosen.work:
                    self._step(chosen)

    def _step(self, stream: FakeStream) -> None:
        stream.work.popleft()()

    def _until(self, event: FakeEvent, number: int) -> None:
        self._check(event)
        while event.happened < number:
            assert event.stream is not None and event.stream.work, "an event that never happens"
            self._step(event.stream)

    def _copy(self, target: NDArray[Any], source: NDArray[Any], *used: Any) -> None:
        self._check(*used)
        target.reshape(-1).view(np.uint8)[:] = source.reshape(-1).view(np.uint8)
