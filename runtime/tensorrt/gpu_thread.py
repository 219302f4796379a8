"""The one thread that talks to the GPU: others hand it work and wait; it keeps several frames in flight."""

import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from granet.errors import UserError

S = TypeVar("S")


class Asynchronous(Protocol[S]):
    """What the thread works with; see :class:`runtime.tensorrt.session.Session`."""

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether :meth:`start` takes a batch of ``shape`` now."""

    def start(self, batch: NDArray[Any]) -> S:
        """Puts a batch on its way."""

    def finish(self, ticket: S) -> NDArray[Any]:
        """Waits for it."""

    def close(self) -> None:
        """Releases everything."""


class GpuThread(Generic[S]):
    """Opens a session in a thread of its own, feeds it, and closes it there.

    Args:
        open_session: called in the thread.

    Raises:
        BaseException: whatever ``open_session`` raises.
    """

    def __init__(self, open_session: Callable[[], Asynchronous[S]]) -> None:
        self._requests: queue.SimpleQueue[tuple[NDArray[Any], Future[NDArray[Any]]] | None] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._closed = False
        opened: Future[None] = Future()
        self._end: Future[None] = Future()
        # A daemon: a program that forgets to close must still be able to end.
        self._thread = threading.Thread(
            target=self._run, args=(open_session, opened), name="gpu", daemon=True
        )
        self._thread.start()
        opened.result()

    def submit(self, batch: NDArray[Any]) -> "Future[NDArray[Any]]":
        """Hands over a batch, which must not change until the result is there.

        Raises:
            UserError: after :meth:`close`.
        """
        future: Future[NDArray[Any]] = Future()
        with self._lock:
            if self._closed:
                raise UserError("the engine was closed")
            self._requests.put((batch, future))
        return future

    def close(self) -> None:
        """Finishes what was handed over, closes the session and ends the thread; may be called twice.

        Raises:
            BaseException: whatever closing the session raises, the first time.
        """
        with self._lock:
            first, self._closed = not self._closed, True
            if first:
                self._requests.put(None)
        self._thread.join()
        if first:
            self._end.result()

    def _run(self, open_session: Callable[[], Asynchronous[S]], opened: "Future[None]") -> None:
        try:
            session = open_session()
        except BaseException as error:  # noqa: BLE001 - raised by the constructor
            self._closed = True
            opened.set_exception(error)
            return
        opened.set_result(None)
        try:
            self._serve(session)
            session.close()
        except BaseException as error:  # noqa: BLE001 - raised by close()
            self._end.set_exception(error)
        else:
            self._end.set_result(None)

    def _serve(self, session: Asynchronous[S]) -> None:
        """Starts what it can, and waits for the oldest when there is nothing to start."""
        flying: deque[tuple[S, Future[NDArray[Any]]]] = deque()
        while True:
            try:
                request = self._requests.get(block=not flying)
            except queue.Empty:
                self._finish(session, flying)
                continue
            if request is None:
                break
            batch, future = request
            while flying and not session.takes(batch.shape):
                self._finish(session, flying)
            try:
                flying.append((session.start(batch), future))
            except BaseException as error:  # noqa: BLE001 - raised by the future's owner
                future.set_exception(error)
                self._fail(flying, error)
        while flying:
            self._finish(session, flying)

    def _finish(self, session: Asynchronous[S], flying: "deque[tuple[S, Future[NDArray[Any]]]]") -> None:
        ticket, future = flying.popleft()
        try:
            future.set_result(session.finish(ticket))
        except BaseException as error:  # noqa: BLE001 - raised by the future's owner
            future.set_exception(error)
            self._fail(flying, error)

    @staticmethod
    def _fail(flying: "deque[tuple[S, Future[NDArray[Any]]]]", error: BaseException) -> None:
        """An error ends all that is in flight: the session has let go of it."""
        while flying:
            flying.popleft()[1].set_exception(error)
