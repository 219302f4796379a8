"""The one thread that uses the GPU: it takes work from other threads and keeps several frames in flight."""

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
    """The session that the thread drives; see :class:`runtime.tensorrt.session.Session`."""

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether :meth:`start` can take a batch of ``shape`` now."""

    def start(self, batch: NDArray[Any]) -> S:
        """Enqueues a batch without waiting."""

    def finish(self, ticket: S) -> NDArray[Any]:
        """Waits for a batch and returns its result."""

    def close(self) -> None:
        """Releases everything."""


class GpuThread(Generic[S]):
    """Opens a session in its own thread, feeds it, and closes it there.

    Args:
        open_session: called in that thread.

    Raises:
        BaseException: any error of ``open_session``.
    """

    def __init__(self, open_session: Callable[[], Asynchronous[S]]) -> None:
        self._requests: queue.SimpleQueue[tuple[NDArray[Any], Future[NDArray[Any]]] | None] = (
            queue.SimpleQueue()
        )
        self._lock = threading.Lock()
        self._closed = False
        opened: Future[None] = Future()
        self._end: Future[None] = Future()
        # Daemon: a program that forgets to close the engine must still be able to exit.
        self._thread = threading.Thread(
            target=self._run, args=(open_session, opened), name="gpu", daemon=True
        )
        self._thread.start()
        opened.result()

    def submit(self, batch: NDArray[Any]) -> "Future[NDArray[Any]]":
        """Queues a batch, which must not change until its result is available.

        Raises:
            UserError: if the thread is already closed.
        """
        future: Future[NDArray[Any]] = Future()
        with self._lock:
            if self._closed:
                raise UserError("the engine was closed")
            self._requests.put((batch, future))
        return future

    def close(self) -> None:
        """Finishes the queued batches, closes the session and ends the thread; may be called twice.

        Raises:
            BaseException: any error of closing the session, on the first call.
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
        """Starts batches as they arrive, and waits for the oldest one when the queue is empty."""
        in_flight: deque[tuple[S, Future[NDArray[Any]]]] = deque()
        while True:
            try:
                request = self._requests.get(block=not in_flight)
            except queue.Empty:
                self._finish(session, in_flight)
                continue
            if request is None:
                break
            batch, future = request
            while in_flight and not session.takes(batch.shape):
                self._finish(session, in_flight)
            try:
                in_flight.append((session.start(batch), future))
            except BaseException as error:  # noqa: BLE001 - raised through the future
                future.set_exception(error)
                self._fail(in_flight, error)
        while in_flight:
            self._finish(session, in_flight)

    def _finish(self, session: Asynchronous[S], in_flight: "deque[tuple[S, Future[NDArray[Any]]]]") -> None:
        ticket, future = in_flight.popleft()
        try:
            future.set_result(session.finish(ticket))
        except BaseException as error:  # noqa: BLE001 - raised through the future
            future.set_exception(error)
            self._fail(in_flight, error)

    @staticmethod
    def _fail(in_flight: "deque[tuple[S, Future[NDArray[Any]]]]", error: BaseException) -> None:
        """Fails all batches in flight: after an error the session has discarded them."""
        while in_flight:
            in_flight.popleft()[1].set_exception(error)
