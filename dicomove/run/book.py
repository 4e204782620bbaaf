"""The rows of a run, as their results come in, and what is shown of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace

from dicomove.cohort import Identifier, Requested
from dicomove.events import Arriving, Event, RowFinished, RowStarted, RowWillRetry
from dicomove.outcome import UNLIKE
from dicomove.receiver import OtherPatient
from dicomove.results import (
    Row,
    after,
    lost,
    not_durable,
    not_sent,
    row_of,
    without_answer,
    without_receiver,
    without_worker,
)
from dicomove.run.reconciliation import Reconciled, discrepancies, look_again, of_other_patients
from dicomove.run.tasks import Finished, Moving, Order, Task


class Book:
    """The rows of a run.

    Parameters
    ----------
    labels
        Of the rows.
    identifiers
        Of the rows; an error where a row cannot be a C-MOVE; or what `find` said of a row that it could not match.

    Attributes
    ----------
    rows
        The results, by position.
    show
        Gets the events.
    """

    def __init__(self, labels: Sequence[Hashable], identifiers: Sequence[Requested]) -> None:
        self._labels = labels
        self.show: Callable[[Event], object] = lambda _: None
        self.rows = [not_sent(requested) for requested in identifiers]
        self._in_flight: dict[Task, tuple[int, int]] = {}
        self._so_far: dict[Identifier, Row] = {}
        self._doubtful: dict[Identifier, tuple[Task, Reconciled]] = {}
        self._others: dict[Identifier, tuple[Task, tuple[OtherPatient, ...]]] = {}
        self._unverified: dict[Identifier, int] = {}

    @property
    def unverified(self) -> int:
        """How many rows may read otherwise once the PACS says what to expect."""
        return sum(self._unverified.values())

    def settle(self, task: Task, row: Row) -> None:
        """Give the rows of a task their result, without showing it."""
        for position in task.positions:
            self.rows[position] = row

    def show_settled(self, positions: Iterable[int]) -> None:
        """Show the results of these rows."""
        for position in positions:
            row = self.rows[position]
            event = RowFinished(
                row=self._labels[position],
                position=position,
                outcome=row.outcome,
                error=row.error,
                instances=row.instances,
                duration_s=row.duration_s,
                bytes=row.bytes,
                resumed=row.resumed,
            )
            self.show(event)

    def begin(self, task: Task) -> None:
        """Take a task into flight."""
        self._in_flight[task] = (0, 0)

    def show_begun(self, task: Task) -> None:
        """Show that a task has begun."""
        for position in task.positions:
            self.show(RowStarted(row=self._labels[position], position=position))

    def moving(self, report: Moving) -> None:
        """Show a pending response."""
        position = report.task.positions[0]
        self.show(replace(report.event, row=self._labels[position], position=position))

    def arriving(self, order: Order) -> None:
        """Show what has come to the receivers for the rows in flight."""
        for task, seen in list(self._in_flight.items()):
            if task.receiver is None:
                continue
            position = task.positions[0]
            now = order.row(task, task.receiver).progress()
            if now > seen:
                self._in_flight[task] = now
                label = self._labels[position]
                self.show(Arriving(row=label, position=position, instances=now[0], bytes=now[1]))

    def landed(self, finished: Finished) -> Row:
        """Take a task out of flight, and return its row as it reads after this attempt."""
        self._in_flight.pop(finished.task, None)
        so_far = self._so_far.get(finished.task.identifier)
        row = _verified(so_far, _row_of(finished)) if finished.task.unverified else after(so_far, _row_of(finished))
        self._so_far[finished.task.identifier] = row
        self.settle(finished.task, row)
        self._name_others(finished.task, finished.others)
        reconciled = finished.reconciled
        self._count(finished.task, reconciled)
        if reconciled and reconciled.settled and (reconciled.result.evidence.missing or reconciled.unexpected):
            self._doubtful[finished.task.identifier] = finished.task, reconciled
        elif reconciled:
            self._doubtful.pop(finished.task.identifier, None)
        return row

    def will_retry(self, task: Task, row: Row, wait_s: float) -> None:
        """Show that a task will be tried again."""
        for position in task.positions:
            event = RowWillRetry(
                row=self._labels[position],
                position=position,
                outcome=row.outcome,
                error=row.error,
                attempt=task.attempt,
                wait_s=wait_s,
            )
            self.show(event)

    def ended(self, task: Task) -> None:
        """Forget how a task came to its result."""
        self._so_far.pop(task.identifier, None)

    def give_up(self) -> list[Task]:
        """Give the rows in flight, of which nobody waits for the end, their result, and return them."""
        left = list(self._in_flight)
        for task in left:
            self.settle(task, after(self._so_far.get(task.identifier), without_answer()))
        self._in_flight.clear()
        return left

    def look_again(self, order: Order) -> Iterator[tuple[Task, Row]]:
        """Read the rows again with what came after their end; yield those that read differently."""
        for task, reconciled in list(self._doubtful.values()):
            if not reconciled.result.evidence.missing:
                continue
            row_at_receiver = order.row(task, task.receiver or 0)
            again = look_again(reconciled, row_at_receiver.held(), row_at_receiver.other_patients())
            if again is not reconciled:
                self._name_others(task, again.others)
                self._doubtful[task.identifier] = task, again
                self._count(task, again)
                before = self.rows[task.positions[0]]
                size = again.settled.bytes if again.settled else None
                row = replace(row_of(again.result, size), attempts=before.attempts, started_at=before.started_at)
                self.settle(task, row)
                yield task, row

    def _count(self, task: Task, reconciled: Reconciled | None) -> None:
        self._unverified[task.identifier] = len(task.positions) if reconciled and reconciled.is_unverified else 0

    def not_durable(self, problem: str) -> None:
        """Say of every row that has something on disk that it may not last."""
        for position, row in enumerate(self.rows):
            if row.received and not row.resumed:
                self.rows[position] = not_durable(row, problem)

    def discrepancies(self, receiver: int) -> list[dict[str, Hashable]]:
        """Return what did not add up at one receiver: one dict for each row and instance."""
        return [
            {"row": self._labels[position], **found}
            for task, reconciled in self._doubtful.values()
            if task.receiver == receiver
            for found in discrepancies(reconciled, task.identifier)
            for position in task.positions
        ] + [
            {"row": self._labels[position], **found}
            for task, others in self._others.values()
            if task.receiver == receiver
            for found in of_other_patients(others)
            for position in task.positions
        ]

    @property
    def other_patients(self) -> int:
        """How many rows brought images with another PatientID than they name: not in another spelling."""
        found = ((task, {one.difference for one in others}) for task, others in self._others.values())
        return sum(len(task.positions) for task, differences in found if differences & UNLIKE)

    def _name_others(self, task: Task, others: tuple[OtherPatient, ...]) -> None:
        """Keep what has another PatientID than the row; an attempt that brought nothing takes back nothing."""
        if others:
            self._others[task.identifier] = task, others


def _verified(before: Row | None, row: Row) -> Row:
    """Return a row after C-FIND was asked again: no C-MOVE was sent."""
    if before is None:
        return row
    return replace(row, attempts=before.attempts, started_at=before.started_at, duration_s=before.duration_s)


def _row_of(finished: Finished) -> Row:
    if finished.row:
        return finished.row
    if finished.problem:
        if finished.error == "receiver_failed":
            return without_receiver(finished.problem)
        gone = lost if finished.sent else without_worker
        return gone(finished.problem, finished.error)
    reconciled = finished.reconciled
    size = reconciled.settled.bytes if reconciled and reconciled.settled else None
    row = row_of(reconciled.result if reconciled else None, size)
    sent = sum(attempted.result.evidence.sent for attempted in finished.attempts)
    return replace(row, attempts=sent) if finished.attempts else row
