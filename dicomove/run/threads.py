"""Workers in threads of this process, each with an association of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from dicomove.events import SubOperationEvent
from dicomove.receiver import LocalRow, RowAtReceiver
from dicomove.run.attempt import Moved
from dicomove.run.messages import AttemptEnded, Moving, Report
from dicomove.run.requests import RunSettings, Task
from dicomove.run.worker import MoveWorker

#: After which a worker that has nothing to do releases its association.
_REST_S: Final = 10.0
#: For which a run waits at its end: a PACS may be slow to answer A-RELEASE-RQ.
_FAREWELL_S: Final = 6.0
_LOOK_UP_S: Final = 0.1


class LocalChannel:
    """The channel of a worker in this process.

    Parameters
    ----------
    settings
        What holds for all rows.
    report
        Gets the reports.
    """

    def __init__(self, settings: RunSettings, report: Callable[[Report], None]) -> None:
        self.stop = threading.Event()
        self._settings, self._report = settings, report
        self._lock = threading.Lock()
        #: The rows whose series are moved side by side: one stays open while its parts come and go.
        self._open: dict[int, LocalRow] = {}

    def sending(self, task: Task) -> None:
        """Tell that a C-MOVE is about to be sent: a thread of this process is not lost, and its end is always told."""

    def moving(self, task: Task, event: SubOperationEvent) -> None:
        """Tell of a pending response."""
        self._report(Moving(task, event))

    def row(self, task: Task) -> AbstractContextManager[RowAtReceiver | None]:
        """Open a row at its receiver, if there is one; for the parts of a row it is open until the verdict."""
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


class Threads:
    """So many threads, made as they are needed. They are daemons, and each of their waits has a limit.

    The thread that worked last works next, since its association is open. A thread that could not reach the PACS works
    last, since the PACS may have refused it as one too many.

    Parameters
    ----------
    settings
        What holds for all rows.
    report
        Gets the reports.
    """

    def __init__(self, settings: RunSettings, report: Callable[[Report], None]) -> None:
        self._settings, self._report = settings, report
        self._channel = LocalChannel(settings, report)
        self._lock = threading.Lock()
        self._idle: deque[queue.SimpleQueue[Task | None]] = deque()
        self._all: list[tuple[threading.Thread, queue.SimpleQueue[Task | None]]] = []

    def submit(self, task: Task) -> None:
        """Let a thread move a task."""
        with self._lock:
            inbox = self._idle.pop() if self._idle else None
        if inbox is None:
            inbox = queue.SimpleQueue()
            name = f"dicomove-{len(self._all) + 1}"
            thread = threading.Thread(target=self._work, args=(inbox,), name=name, daemon=True)
            self._all.append((thread, inbox))
            thread.start()
        inbox.put(task)

    def stop(self) -> None:
        """Cancel what is in flight."""
        self._channel.stop.set()

    def close(self, wanted: Callable[[], bool]) -> None:
        """Let the threads end, and wait for their farewells as long as that is wanted."""
        for _, inbox in self._all:
            inbox.put(None)
        end = time.monotonic() + _FAREWELL_S
        for thread, _ in self._all:
            while thread.is_alive() and wanted() and time.monotonic() < end:
                thread.join(_LOOK_UP_S)

    def _work(self, inbox: queue.SimpleQueue[Task | None]) -> None:
        with MoveWorker(self._settings, self._channel) as worker:
            while task := self._next(inbox, worker):
                ended = worker.move(task)
                with self._lock:
                    if _reached(ended):
                        self._idle.append(inbox)
                    else:
                        self._idle.appendleft(inbox)
                self._report(ended)

    def _next(self, inbox: queue.SimpleQueue[Task | None], worker: MoveWorker) -> Task | None:
        try:
            return inbox.get(timeout=_REST_S)
        except queue.Empty:
            worker.rest()
            return inbox.get()


def _reached(ended: AttemptEnded) -> bool:
    return not isinstance(ended.end, Moved) or ended.end.result.outcome != "unreachable"
