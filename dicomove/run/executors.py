"""Workers of any `concurrent.futures.Executor`, and the channel to them.

A task is handed to the executor as a picklable call. Its worker connects back to the run, over one authenticated
connection, by which it tells of each C-MOVE before it is sent and of pending responses, asks what has come to the
receiver, and learns that it is to stop. The associations are the workers'; the journal, the limits, the receivers and
the clock are the run's.
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
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener, answer_challenge, deliver_challenge
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from dicomove.errors import ReceiverError
from dicomove.events import SubOperationEvent
from dicomove.receiver import RowAtReceiver, Settled
from dicomove.run.attempt import Lost
from dicomove.run.channel import Channel
from dicomove.run.messages import AttemptEnded, Moving, Report
from dicomove.run.options import Distributed
from dicomove.run.requests import RunSettings, Task
from dicomove.run.threads import LocalChannel
from dicomove.run.worker import MoveWorker

_KEY_BYTES: Final = 32
_GONE: Final = object()
_LOST: Final = "the executor lost the worker that moved it"
_LOST_BEFORE: Final = "the executor lost the worker before anything was sent"
_NO_CHANNEL: Final = "the worker could not reach the run, and sent nothing"
_NO_TASKS: Final = "the executor takes no more tasks"
#: For which a stop waits for what is being written to a worker.
_STOPPING_S: Final = 0.5
#: For which a worker waits for its own thread.
_LEAVING_S: Final = 5.0

logger = logging.getLogger("dicomove")

_Told = TypeVar("_Told")
_Told_co = TypeVar("_Told_co", covariant=True)


class Executors:
    """Hands tasks to an executor.

    Parameters
    ----------
    settings
        What holds for all rows.
    report
        Gets the reports.
    executor
        The executor; it stays open, since it is the caller's.
    """

    def __init__(
        self, settings: RunSettings, report: Callable[[Report], None], executor: Executor | Distributed
    ) -> None:
        self._settings, self._report = settings, report
        self._where = executor if isinstance(executor, Distributed) else Distributed(executor)
        self._local = LocalChannel(settings, report)
        self._authkey = os.urandom(_KEY_BYTES)
        self._listener = Listener((self._where.host, 0), backlog=64)
        self._address: tuple[str, int] = self._listener.address
        self._lock = threading.Lock()
        self._given: dict[str, Task] = {}
        #: The tasks of which a C-MOVE may have been sent, by their names.
        self._sending: set[str] = set()
        self._channels: set[Channel] = set()
        self._closed = False
        threading.Thread(target=self._accept_all, name="dicomove-channel", daemon=True).start()

    def submit(self, task: Task) -> None:
        """Let a worker move a task."""
        name = os.urandom(8).hex()
        self._given[name] = task
        call = _Call(self._address, self._authkey, name, self._settings.remote(), task)
        try:
            future: Future[AttemptEnded] = self._where.executor.submit(call)
        except RuntimeError as error:  # it was shut down
            self._report(_not_sent(task, f"{_NO_TASKS}: {error}"))
            return
        future.add_done_callback(lambda done: self._ended(name, done))

    def stop(self) -> None:
        """Cancel what is in flight."""
        self._local.stop.set()
        with self._lock:
            channels = list(self._channels)
        for channel in channels:
            channel.send(("stop",), _STOPPING_S)

    def close(self, wanted: Callable[[], bool]) -> None:  # noqa: ARG002 (there is nothing to wait for)
        """Close the port: nothing connects to it from now on."""
        self._closed = True
        # A connection wakes the thread that waits for one; if another one has done so, this one is never answered.
        with contextlib.suppress(OSError):
            socket.create_connection(self._address, 1).close()
        self._listener.close()

    def _ended(self, name: str, done: Future[AttemptEnded]) -> None:
        task = self._given.pop(name)
        try:
            self._report(replace(done.result(), task=task))
        except (Exception, CancelledError) as error:  # noqa: BLE001 (an executor may raise what it likes)
            logger.warning("a worker was lost: %s", type(error).__name__)
            kind = type(error).__name__
            if name in self._sending:
                self._report(AttemptEnded(task, Lost(f"{_LOST} ({kind})", "executor_failed")))
            else:
                self._report(_not_sent(task, f"{_LOST_BEFORE} ({kind})"))
        finally:
            self._sending.discard(name)

    def _accept_all(self) -> None:
        while not self._closed:
            try:
                connection = self._listener.accept()
            except OSError:
                continue
            # A connection that says nothing keeps a thread of its own waiting, and no worker.
            threading.Thread(target=self._admit, args=(connection,), name="dicomove-channel", daemon=True).start()

    def _admit(self, connection: Connection[Any, Any]) -> None:
        try:
            deliver_challenge(connection, self._authkey)
            answer_challenge(connection, self._authkey)
        except Exception as error:  # noqa: BLE001 (whoever connects may send what they like)
            logger.info("a connection to the run was refused: %s", type(error).__name__)
            connection.close()
            return
        channel = Channel(connection)
        try:
            self._serve(channel)
        finally:
            channel.close()

    def _serve(self, channel: Channel) -> None:
        messages = channel.messages()
        name = str(next(messages, ""))
        task = self._given.get(name)
        if task is None:
            return
        with self._lock:
            self._channels.add(channel)
        if self._local.stop.is_set():
            channel.send(("stop",))
        try:
            with self._local.row(task) as at_receiver:
                self._answer_all(channel, messages, name, task, at_receiver)
        except ReceiverError as error:  # it is away, and nothing was sent
            channel.send(("row", error))
        finally:
            with self._lock:
                self._channels.discard(channel)

    def _answer_all(
        self, channel: Channel, messages: Iterator[Any], name: str, task: Task, at_receiver: RowAtReceiver | None
    ) -> None:
        channel.send(("row", at_receiver is not None))
        for message in messages:
            match message:
                case "moving", event:
                    self._report(Moving(task, event))
                case ("sending",):
                    self._sending.add(name)  # before the worker goes on
                    channel.send(("answer", None))
                case "ask", question:
                    channel.send(("answer", _answer(question, at_receiver)))


def _not_sent(task: Task, problem: str) -> AttemptEnded:
    return AttemptEnded(task, Lost(problem, "executor_failed", sent=False))


def _answer(question: _Question[Any], at_receiver: RowAtReceiver | None) -> object:
    try:
        return at_receiver and question(at_receiver)
    except Exception as error:  # noqa: BLE001 (it is raised again where it was asked)
        return error


@dataclass(frozen=True, slots=True)
class _Call:
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
            return _not_sent(self.task, f"{_NO_CHANNEL} ({type(error).__name__})")
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

    def __init__(self, call: _Call) -> None:
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
    def row(self, task: Task) -> Iterator[RowAtReceiver | None]:  # noqa: ARG002 (the run knows whose channel it is)
        """Open a row at its receiver, if there is one: the run has done so."""
        yield _RemoteRow(self) if self._answered() else None

    def ask(self, question: _Question[_Told]) -> _Told:
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


class _Question(Protocol[_Told_co]):
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
