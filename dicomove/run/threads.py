"""Workers in threads of this process, each with an association of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum
from typing import Final

from dicomove.events import SubOperationEvent
from dicomove.receiver import LocalRow, RowAtReceiver
from dicomove.run.attempt import Moved
from dicomove.run.messages import AttemptEnded, Moving, Report
from dicomove.run.requests import RunSettings, Task
from dicomove.run.worker import MoveWorker

#: How long an idle worker keeps its association, in seconds.
_REST_S: Final = 10.0
#: How long a run waits at its end, in seconds: a PACS may be slow to answer A-RELEASE-RQ.
_FAREWELL_S: Final = 6.0
_LOOK_UP_S: Final = 0.1


class LocalChannel:
    """The channel of a worker in this process.

    Parameters
    ----------
    settings
        The settings of the run.
    report
        Gets the reports.
    """

    def __init__(self, settings: RunSettings, report: Callable[[Report], None]) -> None:
        self.stop = threading.Event()
        self._settings, self._report = settings, report
        self._lock = threading.Lock()
        #: The rows whose series are moved side by side. They stay open from the first part to the verdict.
        self._open: dict[int, LocalRow] = {}

    def sending(self, task: Task) -> None:
        """Do nothing: a thread of this process cannot be lost, so the run always learns how its attempt ended."""

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
        if inbox is None:
            inbox = queue.SimpleQueue()
            name = f"dicomove-{len(self._all) + 1}"
            thread = threading.Thread(target=self._work, args=(inbox,), name=name, daemon=True)
            self._all.append((thread, inbox))
            thread.start()
        inbox.put(task)

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
