"""The connection between a run and a worker elsewhere: a `Channel` at both ends, and what the worker does with it.

A call is what an executor gets: the task, and where the run is. Its worker asks the run what has come to the receiver.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from dicomove.errors import ReceiverError
from dicomove.events import SubOperationEvent
from dicomove.receiver import RowAtReceiver, Settled
from dicomove.run.attempt import Lost
from dicomove.run.messages import AttemptEnded
from dicomove.run.requests import RunSettings, Task
from dicomove.run.worker import MoveWorker

_NO_CHANNEL: Final = "the worker could not reach the run, and sent nothing"
_GONE: Final = object()
#: For which a worker waits for its own thread.
_LEAVING_S: Final = 5.0
_Told = TypeVar("_Told")
_Told_co = TypeVar("_Told_co", covariant=True)


class Channel:
    """Whole messages in and out.

    A socket that is closed while another thread reads it stays open until that read ends, which may be never; and its
    number is given to the next socket at once, so that the late reader takes bytes that were meant for that one. So
    only the thread that reads may close it, and others hang up.

    Parameters
    ----------
    connection
        The connection. Nothing else may read, write or close it from now on.
    """

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        # Two messages at once would be written into each other.
        self._writing = threading.Lock()
        self._ending = threading.Lock()
        self._closed = False

    def send(self, message: object, seconds: float = -1) -> None:
        """Send a message, unless the other end is gone: the thread that reads learns of that.

        Parameters
        ----------
        message
            Anything that can be pickled.
        seconds
            How long to wait for messages of other threads to be written; for ever, if it is negative.
        """
        if self._writing.acquire(timeout=seconds):
            try:
                if not self._closed:
                    with contextlib.suppress(OSError):
                        self._connection.send(message)
            finally:
                self._writing.release()

    def messages(self) -> Iterator[Any]:
        """Yield what comes, until the other end is gone or this one has hung up."""
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                return
            yield message

    def hang_up(self) -> None:
        """End the connection in both directions, which wakes the thread that reads; the socket itself stays."""
        with self._ending:
            if not self._closed:
                shared = socket.socket(fileno=self._connection.fileno())
                try:
                    with contextlib.suppress(OSError):
                        shared.shutdown(socket.SHUT_RDWR)
                finally:
                    shared.detach()

    def close(self) -> None:
        """Close it; for the thread that reads."""
        self.hang_up()  # a thread that writes would keep us waiting
        with self._writing, self._ending:
            self._closed = True
            self._connection.close()


def not_sent(task: Task, problem: str) -> AttemptEnded:
    """Return the end of an attempt of which nothing was sent."""
    return AttemptEnded(task, Lost(problem, "executor_failed", sent=False))


@dataclass(frozen=True, slots=True)
class Call:
    """A task on its way to a worker."""

    address: Any
    authkey: bytes
    name: str
    settings: RunSettings
    task: Task

    def __call__(self) -> AttemptEnded:
        """Move it there."""
        try:
            channel = RemoteChannel(self)
        except (OSError, EOFError, AuthenticationError) as error:
            return not_sent(self.task, f"{_NO_CHANNEL} ({type(error).__name__})")
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._channel.hang_up()
        self._thread.join(_LEAVING_S)

    def sending(self, task: Task) -> None:  # noqa: ARG002 (the run knows whose channel it is)
        """Tell that a C-MOVE is about to be sent, and go on when the run knows it.

        Raises
        ------
        ReceiverError
            The run is gone.
        """
        self._channel.send(("sending",))
        self._answer()

    def moving(self, task: Task, event: SubOperationEvent) -> None:  # noqa: ARG002 (the run knows whose channel it is)
        """Tell of a pending response."""
        self._channel.send(("moving", event))

    @contextmanager
    def row(self, task: Task) -> Iterator[RowAtReceiver | None]:
        """Have the run open a row at its receiver, if there is one."""
        self._channel.send(("row", task.is_untold))
        yield _RemoteRow(self) if self._answered() else None

    def ask(self, question: Question[_Told]) -> _Told:
        """Ask the run for something about the row.

        Raises
        ------
        ReceiverError
            The receiver is gone for good, or the run is.
        """
        self._channel.send(("ask", question))
        told: _Told = self._answered()
        return told

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
        return time.monotonic() - self._channel.ask(_Silence())

    def held(self, *, read: bool = False) -> Mapping[str, int]:
        """Return what is on disk of it; `read` compares the bytes with the index, too."""
        return self._channel.ask(_Held(read))

    def settle(self, enough: int | None, quiet: float | None = None) -> Settled:
        """Wait until so many came, or for a quiet period, and return what there is."""
        return self._channel.ask(_Settle(enough, quiet))


class Question(Protocol[_Told_co]):
    """What a worker asks about its row. It travels to the run, where the row is."""

    def __call__(self, row: RowAtReceiver) -> _Told_co:
        """Ask the row."""


@dataclass(frozen=True, slots=True)
class _Silence:
    """Since how many seconds nothing has come: two machines do not share a clock."""

    def __call__(self, row: RowAtReceiver) -> float:
        """Ask the row."""
        return time.monotonic() - row.last_activity()


@dataclass(frozen=True, slots=True)
class _Held:
    """What is on disk."""

    read: bool

    def __call__(self, row: RowAtReceiver) -> Mapping[str, int]:
        """Ask the row."""
        return row.held(read=self.read)


@dataclass(frozen=True, slots=True)
class _Settle:
    """What there is once nothing more comes."""

    enough: int | None
    quiet: float | None

    def __call__(self, row: RowAtReceiver) -> Settled:
        """Ask the row."""
        return row.settle(self.enough, self.quiet)
