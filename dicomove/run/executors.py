"""Movers in the workers of any `concurrent.futures.Executor`, and the line to them.

A task is handed to the executor as a picklable call. Its worker connects back to the run, over one authenticated
connection, by which it tells of pending responses, asks what has come to the receiver, and learns that it is to stop.
The associations are the workers'; the journal, the limits, the receivers and the clock are the run's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Client, Connection, Listener, answer_challenge, deliver_challenge
from types import TracebackType
from typing import Any, Final, Self

from dicomove.errors import ReceiverError
from dicomove.events import SubOperationEvent
from dicomove.receiver import Settled
from dicomove.reconciliation import Rows
from dicomove.run.mover import Mover
from dicomove.run.tasks import Finished, Moving, Order, Task, Tell
from dicomove.run.threads import DirectLine

_KEY_BYTES: Final = 32
_GONE: Final = object()
_LOST: Final = "the executor lost the worker that moved it"

logger = logging.getLogger("dicomove")


@dataclass(frozen=True, slots=True)
class Distributed:
    """An executor whose workers are on other machines.

    Parameters
    ----------
    executor
        The executor: Dask's ``client.get_executor()``, say.
    host
        The address of this machine at which the workers reach it. They prove with a random key, which travels with the
        task, that they are ours.
    """

    executor: Executor
    host: str = "127.0.0.1"


class Executors:
    """Hands tasks to an executor.

    Parameters
    ----------
    order
        What holds for all rows.
    tell
        Gets the reports.
    executor
        The executor; it stays open, since it is the caller's.
    """

    def __init__(self, order: Order, tell: Tell, executor: Executor | Distributed) -> None:
        self._order, self._tell = order, tell
        self._where = executor if isinstance(executor, Distributed) else Distributed(executor)
        self._line = DirectLine(order, tell)
        self._authkey = os.urandom(_KEY_BYTES)
        self._listener = Listener((self._where.host, 0), backlog=64)
        self._address: tuple[str, int] = self._listener.address
        self._lock = threading.Lock()
        self._given: dict[str, Task] = {}
        self._connections: set[Connection[Any, Any]] = set()
        self._closed = False
        threading.Thread(target=self._accept_all, name="dicomove-line", daemon=True).start()

    def give(self, task: Task) -> None:
        """Let a worker move a task."""
        name = os.urandom(8).hex()
        self._given[name] = task
        call = _Call(self._address, self._authkey, name, self._order.remote(), task)
        try:
            future: Future[Finished] = self._where.executor.submit(call)
        except RuntimeError as error:  # it was shut down
            self._tell(Finished(task, problem=f"the executor takes no more tasks: {error}", error="executor_failed"))
            return
        future.add_done_callback(lambda done: self._ended(name, done))

    def stop(self) -> None:
        """Cancel what is in flight."""
        self._line.stop.set()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            _send(connection, ("stop",))

    def close(self, wanted: Callable[[], bool]) -> None:  # noqa: ARG002 (there is nothing to wait for)
        """Let go of the line; whoever asks for it from now on finds nobody."""
        self._closed = True
        # A connection wakes the thread that waits for one; if a stranger's has done so, nobody would answer it.
        with contextlib.suppress(OSError):
            socket.create_connection(self._address, 1).close()
        self._listener.close()

    def _ended(self, name: str, done: Future[Finished]) -> None:
        task = self._given.pop(name)
        try:
            self._tell(replace(done.result(), task=task))
        except (Exception, CancelledError) as error:  # noqa: BLE001 (an executor may raise what it likes)
            logger.warning("a worker was lost: %s", type(error).__name__)
            self._tell(Finished(task, problem=f"{_LOST} ({type(error).__name__})", error="executor_failed"))

    def _accept_all(self) -> None:
        while not self._closed:
            try:
                connection = self._listener.accept()
            except OSError:
                continue
            # Who says nothing keeps a thread of its own waiting, and no worker.
            threading.Thread(target=self._admit, args=(connection,), name="dicomove-line", daemon=True).start()

    def _admit(self, connection: Connection[Any, Any]) -> None:
        with connection:
            try:
                deliver_challenge(connection, self._authkey)
                answer_challenge(connection, self._authkey)
            except Exception as error:  # noqa: BLE001 (whoever connects may send what they like)
                logger.info("a connection to the run was refused: %s", type(error).__name__)
            else:
                self._serve(connection)

    def _serve(self, connection: Connection[Any, Any]) -> None:
        with contextlib.suppress(EOFError, OSError):
            task = self._given.get(connection.recv())
            if task is None:
                return
            with self._lock:
                self._connections.add(connection)
            if self._line.stop.is_set():
                _send(connection, ("stop",))
            try:
                with self._line.reception(task) as reception:
                    self._answer_all(connection, task, reception)
            finally:
                with self._lock:
                    self._connections.discard(connection)

    def _answer_all(self, connection: Connection[Any, Any], task: Task, reception: Rows | None) -> None:
        _send(connection, ("reception", reception is not None))
        while True:
            match connection.recv():
                case "moving", event:
                    self._tell(Moving(task, event))
                case "ask", question, arguments:
                    _send(connection, ("answer", _answer(reception, question, arguments)))


def _answer(reception: Rows | None, question: str, arguments: tuple[Any, ...]) -> object:
    if reception is None:
        return None
    if question == "silence":
        return time.monotonic() - reception.heard_at()
    try:
        return reception.held(read=arguments[0]) if question == "held" else reception.settle(*arguments)
    except Exception as error:  # noqa: BLE001 (it is raised again where it was asked)
        return error


def _send(connection: Connection[Any, Any], message: object) -> None:
    with contextlib.suppress(OSError):  # it is gone, and its future says so
        connection.send(message)


@dataclass(frozen=True, slots=True)
class _Call:
    """A task on its way to a worker."""

    address: Any
    authkey: bytes
    name: str
    order: Order
    task: Task

    def __call__(self) -> Finished:
        """Move it there."""
        with RemoteLine(self) as line, Mover(self.order, line) as mover:
            return mover.move(self.task)

    def __repr__(self) -> str:
        return f"dicomove: {self.task.identifier!r}"


class RemoteLine:
    """The line of a mover in a worker elsewhere.

    Parameters
    ----------
    call
        The task, and where the run is.
    """

    def __init__(self, call: _Call) -> None:
        self.stop = threading.Event()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._connection: Connection[Any, Any] = Client(call.address, authkey=call.authkey)
        self._connection.send(call.name)
        threading.Thread(target=self._listen, name="dicomove-line", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def moving(self, task: Task, event: SubOperationEvent) -> None:  # noqa: ARG002 (the run knows whose line it is)
        """Tell of a pending response."""
        _send(self._connection, ("moving", event))

    @contextmanager
    def reception(self, task: Task) -> Iterator[Rows | None]:  # noqa: ARG002 (the run knows whose line it is)
        """Open a row at its receiver, if there is one: the run has done so."""
        yield _RemoteRows(self) if self._answer() else None

    def ask(self, question: str, *arguments: object) -> Any:
        """Ask the run for something about the row.

        Raises
        ------
        ReceiverError
            The receiver is gone for good, or the run is.
        """
        _send(self._connection, ("ask", question, arguments))
        answer = self._answer()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _answer(self) -> Any:
        answer = self._answers.get()
        if answer is _GONE:
            message = "the run that asked for this row is gone"
            raise ReceiverError(message)
        return answer

    def _listen(self) -> None:
        with contextlib.suppress(EOFError, OSError, TypeError):  # the last is a connection that was closed meanwhile
            while True:
                match self._connection.recv():
                    case ("stop",):
                        self.stop.set()
                    case _, answer:
                        self._answers.put(answer)
        self.stop.set()  # nobody wants it any more
        self._answers.put(_GONE)


class _RemoteRows:
    """A row at its receiver, as a worker elsewhere sees it."""

    def __init__(self, line: RemoteLine) -> None:
        self._line = line

    def heard_at(self) -> float:
        """Return when something came last, in seconds of the monotonic clock of this machine."""
        return time.monotonic() - float(self._line.ask("silence"))

    def held(self, *, read: bool = False) -> Mapping[str, int]:
        """Return what is on disk of it; `read` compares the bytes with the record, too."""
        held: Mapping[str, int] = self._line.ask("held", read)
        return held

    def settle(self, enough: int | None, quiet: float | None = None) -> Settled:
        """Wait until so many came, or for a quiet period, and return what there is."""
        settled: Settled = self._line.ask("settle", enough, quiet)
        return settled
