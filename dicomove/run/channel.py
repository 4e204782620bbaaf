"""The connection between a run and its workers: a `LocalChannel` in this process, elsewhere a `Channel` at each end.

An executor gets a `Call`: the task, and the address of the run. The worker asks the run what the receiver has.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from operator import methodcaller
from typing import Any, Final, Self, TypeVar

from dicomove.errors import ReceiverError
from dicomove.events import SubOperationEvent
from dicomove.receiver import LocalRow, ReceivedRow, RowAtReceiver
from dicomove.run.attempt.ends import Lost
from dicomove.run.attempt.worker import MoveWorker
from dicomove.run.messages import AttemptEnded, Moving, Report
from dicomove.run.requests import Task
from dicomove.run.settings import RunSettings

_NO_CHANNEL: Final = "the worker could not reach the run, and sent nothing"
_GONE: Final = object()
#: How long a worker waits for its own thread, in seconds.
_LEAVING_S: Final = 5.0
_Answer = TypeVar("_Answer")
#: A question of a worker about its row. It is pickled, and the run answers it.
Question = Callable[[RowAtReceiver], _Answer]


class LocalChannel:
    """The channel of a worker in this process.

    Parameters
    ----------
    settings
        The settings of the run.
    report
        Gets the reports.

    Attributes
    ----------
    stop
        As in `RunChannel`.
    sent
        The number of requests that may have been sent for each task in flight, by the position of its first row.
    """

    def __init__(self, settings: RunSettings, report: Callable[[Report], None]) -> None:
        self.stop = threading.Event()
        self._settings, self._report = settings, report
        self._lock = threading.Lock()
        #: The rows whose series are moved side by side. They stay open from the first part to the verdict.
        self._open: dict[int, LocalRow] = {}
        self.sent: dict[int, int] = {}

    def sending(self, task: Task) -> None:
        """Note that a request of a task is about to be sent."""
        with self._lock:
            self.sent[task.first] = self.sent.get(task.first, 0) + 1

    def ended(self, task: Task) -> None:
        """Note the end of an attempt; all parts of a row are one attempt."""
        if not task.part:
            self.sent.pop(task.first, None)

    def moving(self, task: Task, event: SubOperationEvent) -> None:
        """Report a pending response."""
        self._report(Moving(task, event))

    def row(self, task: Task) -> AbstractContextManager[RowAtReceiver | None]:
        """Open a row at its receiver, if there is one. A row that is moved in parts stays open until its verdict."""
        if task.receiver is None:
            return nullcontext()
        if task.part:
            return nullcontext(self._shared(task, task.part.split))
        return self._closing(task, task.parts.split) if task.parts else self._settings.row(task)

    def _shared(self, task: Task, split: int) -> LocalRow:
        with self._lock:
            if split not in self._open:
                self._open[split] = self._settings.row(task).__enter__()
            return self._open[split]

    @contextmanager
    def _closing(self, task: Task, split: int) -> Iterator[LocalRow]:
        row = self._shared(task, split)
        try:
            yield row
        finally:
            with self._lock:
                del self._open[split]
            row.__exit__(None, None, None)


class Channel:
    """Sends and receives whole messages.

    Only the thread that reads closes the socket; other threads hang up. The reason: if one thread closes a socket while
    another one reads it, the read may never end. The system gives the number of the closed socket to the next one at
    once, and the reader then takes bytes of that one.

    Parameters
    ----------
    connection
        The connection. Nothing else may read, write or close it from now on.
    """

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        # Without the lock, the bytes of two messages would mix.
        self._writing = threading.Lock()
        self._ending = threading.Lock()
        self._closed = False

    def send(self, message: object, seconds: float = -1) -> None:
        """Send a message. If the other end is gone, nothing happens here: the thread that reads notices it.

        Parameters
        ----------
        message
            Anything that can be pickled.
        seconds
            How long to wait for the messages of other threads; a negative number is no limit.
        """
        if self._writing.acquire(timeout=seconds):
            try:
                if not self._closed:
                    with contextlib.suppress(OSError):
                        self._connection.send(message)
            finally:
                self._writing.release()

    def messages(self) -> Iterator[Any]:
        """Yield the messages that come, until the other end is gone or this one has hung up."""
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                return
            yield message

    def hang_up(self) -> None:
        """End the connection in both directions, which wakes the thread that reads. The socket stays open."""
        with self._ending:
            if not self._closed:
                shared = socket.socket(fileno=self._connection.fileno())
                try:
                    with contextlib.suppress(OSError):
                        shared.shutdown(socket.SHUT_RDWR)
                finally:
                    shared.detach()

    def close(self) -> None:
        """Close the socket. Only the thread that reads may call this."""
        self.hang_up()  # we must not wait for a thread that writes
        with self._writing, self._ending:
            self._closed = True
            self._connection.close()


def never_ran(task: Task, problem: str) -> AttemptEnded:
    """Return the end of an attempt that sent nothing."""
    return AttemptEnded(task, Lost(problem, "executor_failed", sent=0))


@dataclass(frozen=True, slots=True)
class Call:
    """A task for a worker elsewhere."""

    address: Any
    authkey: bytes
    name: str
    settings: RunSettings
    task: Task

    def __call__(self) -> AttemptEnded:
        """Move the task; the executor calls this on the other machine."""
        try:
            channel = RemoteChannel(self)
        except (OSError, EOFError, AuthenticationError) as error:
            return never_ran(self.task, f"{_NO_CHANNEL} ({type(error).__name__})")
        with channel, MoveWorker(self.settings, channel) as worker:
            return worker.move(self.task)

    def __repr__(self) -> str:
        return f"dicomove: {self.task.identifier!r}"


class RemoteChannel:
    """The channel of a worker elsewhere.

    Parameters
    ----------
    call
        The task, and where the run is.
    """

    def __init__(self, call: Call) -> None:
        self.stop = threading.Event()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._channel = Channel(Client(call.address, authkey=call.authkey))
        self._channel.send(call.name)
        self._thread = threading.Thread(target=self._listen, name="dicomove-channel", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.hang_up()
        self._thread.join(_LEAVING_S)

    def sending(self, task: Task) -> None:  # noqa: ARG002 (the run knows whose channel it is)
        """Report that a C-MOVE is about to be sent, and wait until the run knows it.

        Raises
        ------
        ReceiverError
            The run is gone.
        """
        self._channel.send(("sending",))
        self._answer()

    def moving(self, task: Task, event: SubOperationEvent) -> None:  # noqa: ARG002 (the run knows whose channel it is)
        """Report a pending response."""
        self._channel.send(("moving", event))

    @contextmanager
    def row(self, task: Task) -> Iterator[RowAtReceiver | None]:
        """Let the run open a row at its receiver, if there is one."""
        self._channel.send(("row", task.is_patient_unknown))
        yield _RemoteRow(self) if self._answered() else None

    def ask(self, question: Question[_Answer]) -> _Answer:
        """Ask the run for something about the row.

        Raises
        ------
        ReceiverError
            The receiver or the run is gone for good.
        """
        self._channel.send(("ask", question))
        answer: _Answer = self._answered()
        return answer

    def _answered(self) -> Any:
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
        for message in self._channel.messages():
            match message:
                case ("stop",):
                    self.stop.set()
                case _, answer:
                    self._answers.put(answer)
        self._channel.close()
        self.stop.set()  # its result is not wanted any more
        self._answers.put(_GONE)


class _RemoteRow:
    """A row at its receiver, as a worker elsewhere sees it."""

    def __init__(self, channel: RemoteChannel) -> None:
        self._channel = channel

    def last_activity(self) -> float:
        """Return when an instance came last, in seconds of the monotonic clock of this machine."""
        return time.monotonic() - self._channel.ask(_silence)

    def open_again(self) -> None:
        """Let the PACS connect again."""
        self._channel.ask(methodcaller("open_again"))

    def held(self, *, read: bool = False) -> Mapping[str, int]:
        """Return what is on disk of it; `read` compares the bytes with the index, too."""
        return self._channel.ask(methodcaller("held", read=read))

    def await_arrivals(self, enough: int | None, quiet: float | None = None) -> ReceivedRow:
        """Wait until so many came, or for a quiet period, and return what there is."""
        received: ReceivedRow = self._channel.ask(methodcaller("await_arrivals", enough, quiet))
        return received


def _silence(row: RowAtReceiver) -> float:
    """Return the seconds since the last arrival. A time would be useless: two machines do not share a clock."""
    return time.monotonic() - row.last_activity()
