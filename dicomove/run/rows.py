"""The rows of a run: their results as these come in, and what is shown of them. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from dicomove.cohort import Requested
from dicomove.events import Arriving, Event, RowFinished, RowStarted, RowWillRetry, SubOperationEvent
from dicomove.outcome import UNLIKE
from dicomove.receiver import OtherPatient
from dicomove.results import Row, after, not_durable, not_sent, without_answer
from dicomove.run.attempt import AttemptEnd, Moved, OnDisk, row_after
from dicomove.run.reconciliation import discrepancies, look_again, of_other_patients, uncounted
from dicomove.run.requests import Task


class RowResults:
    """The results of the rows of a run.

    Parameters
    ----------
    labels
        Of the rows.
    identifiers
        Of the rows; an error where a row cannot be a C-MOVE; or what `find` said of a row that it could not match.
    asks_archive
        Whether another archive is asked what it has: where it does not say it, that is kept.

    Attributes
    ----------
    rows
        The results, by position.
    """

    def __init__(self, labels: Sequence[Hashable], identifiers: Sequence[Requested], *, asks_archive: bool) -> None:
        self._labels, self._asks_archive = labels, asks_archive
        self.rows = [not_sent(requested) for requested in identifiers]
        # By the first position of a task: another attempt at it has the same.
        self._in_flight: dict[int, tuple[Task, tuple[int, int]]] = {}
        self._so_far: dict[int, Row] = {}
        self._doubtful: dict[int, tuple[Task, Moved]] = {}
        self._uncounted: dict[int, Task] = {}
        self._others: dict[int, tuple[Task, tuple[OtherPatient, ...]]] = {}
        self._unverified: dict[int, int] = {}
        self._other_persons: dict[int, int] = {}
        #: Why what is on disk may not last.
        self._problem: str | None = None
        #: The outcome that was shown last of each row.
        self._shown: list[str | None] = [None] * len(labels)

    @property
    def in_flight(self) -> list[Task]:
        """The tasks that have begun and not ended."""
        return [task for task, _ in self._in_flight.values()]

    @property
    def unverified(self) -> int:
        """How many rows may read otherwise once the PACS says what to expect."""
        return sum(self._unverified.values())

    @property
    def other_patients(self) -> int:
        """How many rows brought images with another PatientID than they name: not in another spelling."""
        found = ((task, {one.difference for one in others}) for task, others in self._others.values())
        return sum(len(task.positions) for task, differences in found if differences & UNLIKE)

    @property
    def other_persons(self) -> int:
        """How many rows name another person than the PACS does, whatever the spelling."""
        return sum(self._other_persons.values())

    @property
    def doubtful(self) -> list[Task]:
        """The tasks of which something was missing at their end: it may have come since."""
        return [task for task, moved in self._doubtful.values() if moved.result.evidence.missing]

    def of(self, task: Task) -> Row:
        """Return the result of a task's rows."""
        return self.rows[task.first]

    def settle(self, task: Task, row: Row) -> None:
        """Give the rows of a task their result."""
        for position in task.positions:
            self.rows[position] = row

    def begin(self, task: Task) -> list[Event]:
        """Take a task into flight; return what is shown."""
        self._in_flight[task.first] = task, (0, 0)
        return [RowStarted(row=self._labels[position], position=position) for position in task.positions]

    def moving(self, task: Task, event: SubOperationEvent) -> Event:
        """Return what is shown of a pending response."""
        position = task.first
        return replace(event, row=self._labels[position], position=position)

    def arrived(self, task: Task, instances: int, size: int) -> list[Event]:
        """Take in how much has come for a task in flight; return what is shown."""
        _, seen = self._in_flight.get(task.first, (task, None))
        if seen is None or (instances, size) <= seen:
            return []
        self._in_flight[task.first] = task, (instances, size)
        position = task.first
        return [Arriving(row=self._labels[position], position=position, instances=instances, bytes=size)]

    def land(self, task: Task, end: AttemptEnd, alone: Row) -> Row:
        """Take a task out of flight; return its row after all attempts, where this one alone makes it `alone`."""
        self._in_flight.pop(task.first, None)
        so_far = self._so_far.get(task.first)
        row = _verified(so_far, alone) if task.unverified and isinstance(end, Moved) else after(so_far, alone)
        self._so_far[task.first] = row
        self.settle(task, row)
        if isinstance(end, Moved | OnDisk):
            self._name_others(task, end.others)
        moved = end if isinstance(end, Moved) else None
        self._count(task, moved)
        self._note_uncounted(task, end)
        if _names_other_person(end):
            self._other_persons[task.first] = len(task.positions)
        if moved and moved.settled and (moved.result.evidence.missing or moved.unexpected):
            self._doubtful[task.first] = task, moved
        elif isinstance(end, Moved | OnDisk):
            self._doubtful.pop(task.first, None)
        return row

    def will_retry(self, task: Task, row: Row, wait_s: float) -> list[Event]:
        """Return what is shown of a task that will be tried again."""
        return [
            RowWillRetry(
                row=self._labels[position],
                position=position,
                outcome=row.outcome,
                error=row.error,
                attempt=task.attempt,
                wait_s=wait_s,
            )
            for position in task.positions
        ]

    def finish(self, task: Task, row: Row) -> list[Event]:
        """Give a task its durable result, and forget how it came to it; return what is shown."""
        self._so_far.pop(task.first, None)
        self.settle(task, row)
        first, *others = self.finished(task.positions)
        return [first, *(replace(event, shares=task.first) for event in others)]

    def finished(self, positions: Iterable[int]) -> list[RowFinished]:
        """Return what is shown of rows that have their result."""
        events = [
            _finished(self._labels[position], position, self.rows[position], self._shown[position])
            for position in positions
        ]
        for event in events:
            self._shown[event.position] = event.outcome
        return events

    def give_up(self) -> list[Task]:
        """Give the tasks in flight their result, since the run waits no longer; return them."""
        left = self.in_flight
        for task in left:
            self.settle(task, after(self._so_far.get(task.first), without_answer()))
        self._in_flight.clear()
        return left

    def not_durable(self, problem: str) -> None:
        """Say of every row that has something on disk that it may not last, and of what comes to light after this."""
        self._problem = problem
        for position, row in enumerate(self.rows):
            if row.received and not row.resumed:
                self.rows[position] = not_durable(row, problem)

    def held_at_end(self, task: Task, held: Mapping[str, int], others: Sequence[OtherPatient]) -> Row | None:
        """Read a row again with what came after its end; return the result where that is another."""
        _, moved = self._doubtful[task.first]
        again = look_again(moved, held, others)
        if again is moved:
            return None
        self._name_others(task, again.others)
        self._doubtful[task.first] = task, again
        self._count(task, again)
        row = _verified(self.of(task), row_after(again))
        if self._problem:
            row = not_durable(row, self._problem)
        self.settle(task, row)
        return row

    def discrepancies(self, receiver: int | None) -> list[dict[str, Hashable]]:
        """Return what did not add up at a receiver, or at another destination: one dict for each row and instance."""
        doubtful = [(task, discrepancies(moved, task.identifier)) for task, moved in self._doubtful.values()]
        others = [(task, of_other_patients(others)) for task, others in self._others.values()]
        return [
            {"row": self._labels[position], **one}
            for task, found in (*doubtful, *others)
            if task.receiver == receiver
            for one in found
            for position in task.positions
        ]

    def discrepancies_at_archive(self) -> list[dict[str, Hashable]]:
        """Return what did not add up at an archive, and the rows of which it did not say what it has."""
        found = [{**one, "counted_by": "destination"} for one in self.discrepancies(None)]
        tasks = self._uncounted.values()
        unknown = [
            {"row": self._labels[position], **uncounted(task.identifier)}
            for task in tasks
            for position in task.positions
        ]
        return [*found, *unknown]

    def _note_uncounted(self, task: Task, end: AttemptEnd) -> None:
        if self._asks_archive and isinstance(end, Moved) and end.settled is None:
            self._uncounted[task.first] = task
        elif isinstance(end, Moved | OnDisk):
            self._uncounted.pop(task.first, None)

    def _count(self, task: Task, moved: Moved | None) -> None:
        if moved and moved.is_unverified:
            self._unverified[task.first] = len(task.positions)
        else:
            self._unverified.pop(task.first, None)

    def _name_others(self, task: Task, others: tuple[OtherPatient, ...]) -> None:
        """Keep what has another PatientID than the row; an attempt that brought nothing takes back nothing."""
        if others:
            self._others[task.first] = task, others


def _names_other_person(end: AttemptEnd) -> bool:
    evidence = end.result.evidence if isinstance(end, Moved) else end
    return bool(getattr(evidence, "other_person", None))


def _finished(label: Hashable, position: int, row: Row, before: str | None) -> RowFinished:
    return RowFinished(
        row=label,
        position=position,
        outcome=row.outcome,
        error=row.error,
        instances=row.instances,
        duration_s=row.duration_s,
        bytes=row.bytes,
        resumed=row.resumed,
        before=before,
    )


def _verified(before: Row | None, row: Row) -> Row:
    """Return a row that reads anew, by C-FIND or by what came late: no C-MOVE was sent."""
    if before is None:
        return row
    return row._replace(attempts=before.attempts, started_at=before.started_at, duration_s=before.duration_s)
