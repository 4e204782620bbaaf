"""Movers in threads of this process, each with an association of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from dicomove.events import SubOperationEvent
from dicomove.receiver import RowAtReceiver
from dicomove.run.mover import Mover
from dicomove.run.tasks import Finished, Moving, Order, Task, Tell

#: After which a mover that has nothing to do releases its association.
_REST_S: Final = 10.0
#: For which a run waits at its end: a PACS may be slow to answer A-RELEASE-RQ.
_FAREWELL_S: Final = 6.0
_LOOK_UP_S: Final = 0.1


class DirectLine:
    """The line of a mover in this process.

    Parameters
    ----------
    order
        What holds for all rows.
    tell
        Gets the reports.
    """

    def __init__(self, order: Order, tell: Tell) -> None:
        self.stop = threading.Event()
        self._order, self._tell = order, tell

    def sending(self, task: Task) -> None:
        """Tell that a C-MOVE is about to be sent: a thread of this process is not lost, and its end is always told."""

    def moving(self, task: Task, event: SubOperationEvent) -> None:
        """Tell of a pending response."""
        self._tell(Moving(task, event))

    def row(self, task: Task) -> AbstractContextManager[RowAtReceiver | None]:
        """Open a row at its receiver, if there is one."""
        return nullcontext() if task.receiver is None else self._order.row(task, task.receiver)


class Threads:
    """So many threads, made as they are needed. They are daemons, and each of their waits has a limit.

    Who worked last works next, since its association is open; one whose PACS could not be reached works last, since
    that may have refused it as one too many.

    Parameters
    ----------
    order
        What holds for all rows.
    tell
        Gets the reports.
    """

    def __init__(self, order: Order, tell: Tell) -> None:
        self._order, self._tell = order, tell
        self._line = DirectLine(order, tell)
        self._lock = threading.Lock()
        self._idle: deque[queue.SimpleQueue[Task | None]] = deque()
        self._all: list[tuple[threading.Thread, queue.SimpleQueue[Task | None]]] = []

    def give(self, task: Task) -> None:
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
        self._line.stop.set()

    def close(self, wanted: Callable[[], bool]) -> None:
        """Let the threads end, and wait for their farewells as long as that is wanted."""
        for _, inbox in self._all:
            inbox.put(None)
        end = time.monotonic() + _FAREWELL_S
        for thread, _ in self._all:
            while thread.is_alive() and wanted() and time.monotonic() < end:
                thread.join(_LOOK_UP_S)

    def _work(self, inbox: queue.SimpleQueue[Task | None]) -> None:
        with Mover(self._order, self._line) as mover:
            while task := self._next(inbox, mover):
                finished = mover.move(task)
                with self._lock:
                    if _reached(finished):
                        self._idle.append(inbox)
                    else:
                        self._idle.appendleft(inbox)
                self._tell(finished)

    def _next(self, inbox: queue.SimpleQueue[Task | None], mover: Mover) -> Task | None:
        try:
            return inbox.get(timeout=_REST_S)
        except queue.Empty:
            mover.rest()
            return inbox.get()


def _reached(finished: Finished) -> bool:
    return finished.reconciled is None or finished.reconciled.result.outcome != "unreachable"
