"""The threads of a run: each moves rows over its own association, and tells the caller's thread what happens."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from dicomove.cohort import Identifier
from dicomove.dimse import MoveScu
from dicomove.dimse.scu import CANCEL_GRACE_S
from dicomove.errors import ReceiverError
from dicomove.events import SubOperationEvent
from dicomove.inventory import Inventory, Verify
from dicomove.pacs import Pacs
from dicomove.receiver import Receiver, Reception
from dicomove.reconciliation import Reconciled, reconcile

#: How long the caller's thread waits for an event before it looks up, so that an interrupt is noticed on every system.
_LOOK_UP_S: Final = 0.2
#: After a stop: the grace that a PACS has for C-CANCEL, and the time that our own farewell takes.
_LONGEST_STOP_S: Final = CANCEL_GRACE_S + 7

logger = logging.getLogger("dicomove")


@dataclass(frozen=True, slots=True)
class Task:
    """One C-MOVE, for every row that asks for it.

    Attributes
    ----------
    identifier
        What is moved.
    positions
        The rows that ask for it, from 0.
    expected
        The number of instances, where the table knows it.
    """

    identifier: Identifier
    positions: tuple[int, ...]
    expected: int | None


@dataclass(frozen=True, slots=True)
class Order:
    """What holds for all rows of a run: the arguments of `move`, and where the destination is a receiver, its run."""

    pacs: Pacs
    destination: str
    receiver: Receiver | None = None
    run: str = ""
    delay: float = 0
    total_timeout: float | None = None
    verify: Verify = "auto"


@dataclass(frozen=True, slots=True)
class Started:
    """A task is about to be sent."""

    task: Task


@dataclass(frozen=True, slots=True)
class Moving:
    """A task had a pending response."""

    task: Task
    event: SubOperationEvent


@dataclass(frozen=True, slots=True)
class Finished:
    """A task has its result; ``None`` where a defect prevented one, or the end of the receiver: `problem` says it."""

    task: Task
    reconciled: Reconciled | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Ended:
    """A thread has no more to do."""


Report = Started | Moving | Finished


class Workers:
    """So many threads that share the tasks of a run.

    They are daemons, and each of their waits has a limit: none outlives the interpreter.

    Parameters
    ----------
    order
        What holds for all rows.
    tasks
        The C-MOVEs, in their order.
    concurrency
        Threads, and so associations, at the most.
    """

    def __init__(self, order: Order, tasks: Sequence[Task], concurrency: int) -> None:
        self._order = order
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._reports: queue.SimpleQueue[Report | _Ended] = queue.SimpleQueue()
        self._stop = threading.Event()
        for task in tasks:
            self._tasks.put(task)
        self._threads = [
            threading.Thread(target=self._work, name=f"dicomove-{number}", daemon=True)
            for number in range(min(concurrency, len(tasks)))
        ]
        self._working = 0

    @property
    def working(self) -> bool:
        """Whether there is still something to be done."""
        return self._working > 0

    def reports(self, wanted: Callable[[], bool]) -> Iterator[Report]:
        """Start, and yield what happens until all is done, or it is not wanted any more."""
        for thread in self._threads:
            self._working += 1
            thread.start()
        yield from self._reports_while(wanted)

    def stop(self, wanted: Callable[[], bool]) -> Iterator[Report]:
        """Cancel the moves in flight, begin no more, and yield what still happens, for a few seconds at the most."""
        self._stop.set()
        end = time.monotonic() + _LONGEST_STOP_S
        yield from self._reports_while(lambda: wanted() and time.monotonic() < end)
        # What has been reported by now needs no waiting: a task that was begun is never taken for one that was not.
        while not self._reports.empty():
            yield from self._read(self._reports.get())

    def _reports_while(self, wanted: Callable[[], bool]) -> Iterator[Report]:
        while self._working and wanted():
            try:
                report = self._reports.get(timeout=_LOOK_UP_S)
            except queue.Empty:
                continue
            yield from self._read(report)

    def _read(self, report: Report | _Ended) -> Iterator[Report]:
        if isinstance(report, _Ended):
            self._working -= 1
        else:
            yield report

    def _work(self) -> None:
        try:
            self._move_all()
        finally:
            self._reports.put(_Ended())

    def _move_all(self) -> None:
        with MoveScu(self._order.pacs) as scu:
            inventory = Inventory(scu.find_scu(), self._order.verify, self._stop)
            pause = 0.0
            while task := self._next():
                if self._stop.wait(pause):
                    return
                self._reports.put(Started(task))
                self._reports.put(self._move(task, scu, inventory))
                pause = self._order.delay

    def _next(self) -> Task | None:
        try:
            return self._tasks.get_nowait()
        except queue.Empty:
            return None

    def _move(self, task: Task, scu: MoveScu, inventory: Inventory) -> Finished:
        try:
            with self._reception(task) as reception:
                result = scu.move_study(
                    task.identifier,
                    self._order.destination,
                    on_sub_operation=lambda event: self._reports.put(Moving(task, event)),
                    total_timeout=self._order.total_timeout,
                    stop=self._stop,
                    sign_of_life=reception.heard_at if reception else None,
                )
                if result.outcome == "not_attempted":
                    return Finished(task, Reconciled(result))
                return Finished(task, reconcile(result, task.identifier, task.expected, inventory, reception))
        except ReceiverError as error:
            return Finished(task, None, str(error))
        except Exception:
            # One row's defect is one row's: the others are moved all the same.
            logger.exception("a defect in dicomove; the run goes on")
            return Finished(task, None)

    @contextmanager
    def _reception(self, task: Task) -> Iterator[Reception | None]:
        receiver = self._order.receiver
        if receiver is None:
            yield None
            return
        row = f"{self._order.run}{task.positions[0]}"
        try:
            yield receiver.expect(row, dict(task.identifier.keys), self._order.pacs.host)
        finally:
            receiver.done(row)
