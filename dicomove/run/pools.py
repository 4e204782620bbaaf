"""The workers of a run: threads of this process, or any `concurrent.futures.Executor`.

An executor gets each task as a picklable call. Its worker connects back to the run over an authenticated connection.
There it reports each C-MOVE before it sends it, reports pending responses, asks for the arrivals at the receiver, and
gets the order to stop. Workers open the associations; the run has the journal, the limits, the receivers and the clock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import replace
from enum import Enum
from multiprocessing.connection import Connection, Listener, answer_challenge, deliver_challenge
from typing import Any, Final

from dicomove.errors import ReceiverError
from dicomove.interpreter import changed
from dicomove.receiver import RowAtReceiver
from dicomove.run.attempt.ends import Lost, Moved
from dicomove.run.attempt.worker import MoveWorker
from dicomove.run.channel import Call, Channel, LocalChannel, Question, never_ran
from dicomove.run.messages import AttemptEnded, Moving, Report
from dicomove.run.options import Distributed
from dicomove.run.requests import Task
from dicomove.run.settings import RunSettings

#: How long an idle worker keeps its association, in seconds.
_REST_S: Final = 10.0
#: How long a run waits at its end, in seconds: a PACS may be slow to answer A-RELEASE-RQ.
_FAREWELL_S: Final = 6.0
_LOOK_UP_S: Final = 0.1
_KEY_BYTES: Final = 32
_LOST: Final = "the executor lost the worker that moved it"
_LOST_BEFORE: Final = "the executor lost the worker before anything was sent"
_NO_TASKS: Final = "the executor takes no more tasks"
#: How long a stop waits while another thread writes to a worker, in seconds.
_STOPPING_S: Final = 0.5
logger = logging.getLogger("dicomove")


class _Order(Enum):
    """Orders to a thread besides its tasks."""

    RELEASE = "release"
    END = "end"


_Inbox = queue.SimpleQueue[Task | _Order]


class Threads:
    """Threads that are made when they are needed. They are daemons, and each of their waits has a limit.

    The thread that worked last works next, because its association is open. A thread that could not reach the PACS
    works last: the PACS may have too many associations.

    An idle association slows the others down: Orthanc has four threads for all associations, and each of them waits up
    to a second for the next request on an idle one.

    Parameters
    ----------
    settings
        The settings of the run.
    report
        Gets the reports.
    """

    def __init__(self, settings: RunSettings, report: Callable[[Report], None]) -> None:
        self._settings, self._report = settings, report
        self._channel = LocalChannel(settings, report)
        self._lock = threading.Lock()
        #: The threads without a task: those with an open association, and those without one.
        self._open: deque[_Inbox] = deque()
        self._released: deque[_Inbox] = deque()
        self._all: list[tuple[threading.Thread, _Inbox]] = []

    def submit(self, task: Task) -> None:
        """Let a thread move a task."""
        with self._lock:
            waiting = self._open or self._released
            inbox = waiting.pop() if waiting else None
        (inbox or self._new()).put(task)

    def _new(self) -> _Inbox:
        """Return the inbox of a new thread, or of one that is at work, if the system allows no more threads."""
        inbox: _Inbox = queue.SimpleQueue()
        name = f"dicomove-{len(self._all) + 1}"
        thread = threading.Thread(target=self._work, args=(inbox,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._all:
                raise
            return min((inbox for _, inbox in self._all), key=queue.SimpleQueue.qsize)
        self._all.append((thread, inbox))
        return inbox

    def keep(self, number: int) -> None:
        """Release the associations above this number that are not in use."""
        with self._lock:
            while self._open and len(self._all) - len(self._released) > number:
                inbox = self._open.popleft()
                self._released.append(inbox)
                inbox.put(_Order.RELEASE)

    def stop(self) -> None:
        """Cancel what is in flight."""
        self._channel.stop.set()

    def sent(self) -> Mapping[int, int]:
        """Return the requests that may have been sent for each task in flight, by the position of its first row."""
        return self._channel.sent.copy()

    def close(self, wanted: Callable[[], bool]) -> None:
        """End the threads, and wait while they release their associations, as long as `wanted` returns true."""
        for _, inbox in self._all:
            inbox.put(_Order.END)
        end = time.monotonic() + _FAREWELL_S
        for thread, _ in self._all:
            while thread.is_alive() and wanted() and time.monotonic() < end:
                thread.join(_LOOK_UP_S)

    def _work(self, inbox: _Inbox) -> None:
        with MoveWorker(self._settings, self._channel) as worker:
            while isinstance(task := self._next(inbox, worker), Task):
                ended = worker.move(task)
                self._channel.ended(task)
                with self._lock:
                    if _reached(ended):
                        self._open.append(inbox)
                    else:
                        self._released.appendleft(inbox)
                self._report(ended)

    def _next(self, inbox: _Inbox, worker: MoveWorker) -> Task | _Order:
        try:
            message = inbox.get(timeout=_REST_S)
        except queue.Empty:
            message = _Order.RELEASE
            with self._lock:
                if inbox in self._open:  # else it got a message in this moment
                    self._open.remove(inbox)
                    self._released.append(inbox)
        while message is _Order.RELEASE:
            worker.rest()
            message = inbox.get()
        return message


def _reached(ended: AttemptEnded) -> bool:
    return not isinstance(ended.end, Moved) or ended.end.result.outcome != "unreachable"


class Executors:
    """Hands tasks to an executor.

    Parameters
    ----------
    settings
        The settings of the run.
    report
        Gets the reports.
    executor
        The executor. The caller made it, so it stays open.
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
        #: How many C-MOVEs may have been sent for each task, by name.
        self._sending: Counter[str] = Counter()
        #: The channel of the latest worker of each task, by name.
        self._channels: dict[str, Channel] = {}
        self._closed = False
        threading.Thread(target=self._accept_all, name="dicomove-channel", daemon=True).start()

    def submit(self, task: Task) -> None:
        """Let a worker move a task."""
        name = os.urandom(8).hex()
        self._given[name] = task
        call = Call(self._address, self._authkey, name, self._settings.remote(), task)
        try:
            future: Future[AttemptEnded] = self._where.executor.submit(call)
        except Exception as error:  # noqa: BLE001 (it was shut down, or raises what it likes)
            del self._given[name]
            self._report(never_ran(task, f"{_NO_TASKS}: {error}"))
            return
        future.add_done_callback(lambda done: self._ended(name, done))

    def keep(self, number: int) -> None:
        """Do nothing: each task opens and releases an association of its own."""

    def stop(self) -> None:
        """Cancel what is in flight."""
        self._local.stop.set()
        with self._lock:
            channels = list(self._channels.values())
        for channel in channels:
            channel.send(("stop",), _STOPPING_S)

    def sent(self) -> Mapping[int, int]:
        """Return the requests that may have been sent for each task in flight, by the position of its first row."""
        return self._local.sent.copy()

    def close(self, wanted: Callable[[], bool]) -> None:  # noqa: ARG002 (there is nothing to wait for)
        """Close the port, so that no worker can connect any more."""
        self._closed = True
        # This connection wakes the thread that accepts connections. If another one woke it first, this one is never
        # accepted.
        with contextlib.suppress(OSError):
            socket.create_connection(self._address, 1).close()
        self._listener.close()

    def _ended(self, name: str, done: Future[AttemptEnded]) -> None:
        with self._lock:
            task, sent, channel = self._given.pop(name), self._sending.pop(name, 0), self._channels.pop(name, None)
        try:
            ended = done.result()
            asked = changed(
                task, is_patient_unknown=ended.task.is_patient_unknown, other_person=ended.task.other_person
            )
            self._report(replace(ended, task=asked))
        except BaseException as error:  # noqa: BLE001 (an executor may raise what it likes, and so may its worker)
            if channel:  # the worker may be alive: it must send no more, and gets a stop
                channel.hang_up()
            kind = type(error).__name__
            logger.warning("a worker was lost: %s", kind)
            if sent:
                self._report(AttemptEnded(task, Lost(f"{_LOST} ({kind})", "executor_failed", sent)))
            else:
                self._report(never_ran(task, f"{_LOST_BEFORE} ({kind})"))
        finally:
            self._local.ended(task)

    def _accept_all(self) -> None:
        while not self._closed:
            try:
                connection = self._listener.accept()
            except OSError:
                continue
            # A thread for each connection: a silent connection then blocks no worker.
            threading.Thread(target=self._admit, args=(connection,), name="dicomove-channel", daemon=True).start()

    def _admit(self, connection: Connection[Any, Any]) -> None:
        try:
            deliver_challenge(connection, self._authkey)
            answer_challenge(connection, self._authkey)
        except Exception as error:  # noqa: BLE001 (a stranger may connect and send any bytes)
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
        with self._lock:
            task = self._given.get(name)
            if task is None:
                return
            self._channels[name] = channel
        if self._local.stop.is_set():
            channel.send(("stop",))
        try:
            match next(messages, None):
                case "row", is_patient_unknown:
                    with self._local.row(replace(task, is_patient_unknown=is_patient_unknown)) as at_receiver:
                        self._answer_all(channel, messages, name, task, at_receiver)
        except ReceiverError as error:  # it is away, and nothing was sent
            channel.send(("row", error))
        finally:
            with self._lock:
                if self._channels.get(name) is channel:
                    del self._channels[name]

    def _answer_all(
        self, channel: Channel, messages: Iterator[Any], name: str, task: Task, at_receiver: RowAtReceiver | None
    ) -> None:
        channel.send(("row", at_receiver is not None))
        for message in messages:
            match message:
                case "moving", event:
                    self._report(Moving(task, event))
                case ("sending",):
                    with self._lock:
                        if name not in self._given:  # it was reported lost
                            return
                        self._sending[name] += 1  # before the worker goes on
                    self._local.sending(task)
                    channel.send(("answer", None))
                case "ask", question:
                    channel.send(("answer", _answer(question, at_receiver)))


def _answer(question: Question[Any], at_receiver: RowAtReceiver | None) -> object:
    try:
        return at_receiver and question(at_receiver)
    except Exception as error:  # noqa: BLE001 (it is raised again where it was asked)
        return error
