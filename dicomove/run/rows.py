"""The results of the rows of a run, and the events that displays get. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from dicomove.cohort import Identifier, Requested
from dicomove.events import Arriving, Event, RowFinished, RowStarted, RowWillRetry, SubOperationEvent
from dicomove.outcome import NOT_COMPARED, UNLIKE, surplus
from dicomove.receiver import LostFile, OtherPatient
from dicomove.results import Row, after, not_durable, not_sent, without_answer, without_lost_files
from dicomove.run.attempt.ends import AttemptEnd, Moved, OnDisk, row_after
from dicomove.run.attempt.reconciliation import discrepancies, look_again, missing_file, of_other_patients, uncounted
from dicomove.run.requests import Task

#: The level and the unique keys of rows.
Keys = tuple[str, tuple[tuple[str, str], ...]]


class RowResults:
    """The results of the rows of a run.

    Parameters
    ----------
    labels
        The labels of the rows.
    identifiers
        The identifiers of the rows; an error for a row that cannot be a C-MOVE; or the reason of `find` for a row
        without a match.
    asks_archive
        Whether the destination is an archive that is asked for its instances. Rows without its answer are noted.

    Attributes
    ----------
    rows
        The results, by position.
    """

    def __init__(self, labels: Sequence[Hashable], identifiers: Sequence[Requested], *, asks_archive: bool) -> None:
        self._labels, self._identifiers, self._asks_archive = labels, identifiers, asks_archive
        self.rows = [not_sent(requested) for requested in identifiers]
        # All of these are by the first position of a task, which is the same for all of its attempts.
        self._in_flight: dict[int, tuple[Task, tuple[int, int]]] = {}
        self._so_far: dict[int, Row] = {}
        self._waiting: dict[int, Task] = {}
        self._given_up: set[int] = set()
        self._doubtful: dict[int, tuple[Task, Moved]] = {}
        self._uncounted: dict[int, Task] = {}
        self._others: dict[int, tuple[Task, tuple[OtherPatient, ...]]] = {}
        self._unverified: dict[int, int] = {}
        self._other_persons: dict[int, int] = {}
        self._surplus: dict[int, int] = {}
        #: By receiver: the position of the row, and the discrepancy, for each file that the disk lost.
        self._lost: dict[int | None, list[tuple[int, dict[str, str]]]] = {}
        #: The results of complete rows, by keys that other rows have, too.
        self._brought: dict[Keys, Row] = {}
        #: Why files on disk may not survive a crash.
        self._problem: str | None = None
        #: The outcome that was shown last of each row.
        self._shown: list[str | None] = [None] * len(labels)

    @property
    def in_flight(self) -> list[Task]:
        """The tasks that have begun and not ended."""
        return [task for task, _ in self._in_flight.values()]

    @property
    def waiting(self) -> list[Task]:
        """The tasks that wait for another attempt."""
        return list(self._waiting.values())

    @property
    def unverified(self) -> int:
        """The number of rows whose result could change if the PACS gave the expected number."""
        return sum(self._unverified.values())

    @property
    def other_patients(self) -> int:
        """The number of rows that brought images with another PatientID; another spelling does not count."""
        found = ((task, {one.difference for one in others}) for task, others in self._others.values())
        return sum(len(task.positions) for task, differences in found if differences & UNLIKE)

    @property
    def with_surplus(self) -> int:
        """The number of rows for which the PACS moved more instances than there should be."""
        return sum(self._surplus.values())

    @property
    def other_persons(self) -> int:
        """The number of rows that name another person than the PACS, in any spelling."""
        return sum(self._other_persons.values())

    @property
    def doubtful(self) -> list[Task]:
        """The tasks with missing instances at their end; these may have come since."""
        return [task for task, moved in self._doubtful.values() if moved.result.evidence.missing]

    def of(self, task: Task) -> Row:
        """Return the result of a task's rows."""
        return self.rows[task.first]

    def set_row(self, task: Task, row: Row) -> None:
        """Give the rows of a task their result."""
        for position in task.positions:
            self.rows[position] = row

    def with_brought(self, task: Task) -> Task:
        """Return a task that begins with the result of other rows with the same keys, if these are complete."""
        row = self._brought.get(task.level_and_keys)
        if row is None:
            return task
        return replace(task, brought=row, look_first=task.look_first or task.receiver is not None)

    def begin(self, task: Task) -> list[Event]:
        """Note that a task begins; return the events."""
        self._waiting.pop(task.first, None)
        self._in_flight[task.first] = task, (0, 0)
        return [RowStarted(row=self._labels[position], position=position) for position in task.positions]

    def moving(self, task: Task, event: SubOperationEvent) -> Event:
        """Return the event of a pending response."""
        position = task.first
        return replace(event, row=self._labels[position], position=position)

    def arrived(self, task: Task, instances: int, size: int) -> list[Event]:
        """Note how much has come for a task in flight; return the events."""
        _, seen = self._in_flight.get(task.first, (task, None))
        if seen is None or (instances, size) <= seen:
            return []
        self._in_flight[task.first] = task, (instances, size)
        position = task.first
        return [Arriving(row=self._labels[position], position=position, instances=instances, bytes=size)]

    def end_attempt(self, task: Task, end: AttemptEnd, alone: Row) -> Row:
        """Note the end of an attempt; return the row after all attempts. `alone` is the row after this one alone."""
        self._in_flight.pop(task.first, None)
        so_far = self._so_far.get(task.first)
        row = _verified(so_far, alone) if task.unverified and isinstance(end, Moved) else after(so_far, alone)
        self._so_far[task.first] = row
        self.set_row(task, row)
        # Without a receiver, the others get the whole row, and advice on the patient is about these alone.
        is_theirs = task.receiver is not None or not (task.other_person or task.identifier.is_disputed)
        if task.has_siblings and row.outcome == "complete" and is_theirs:
            self._brought.setdefault(task.level_and_keys, row)
        if isinstance(end, Moved | OnDisk):
            self._name_others(task, end.others)
        moved = end if isinstance(end, Moved) else None
        self._count(task, end)
        self._note_uncounted(task, end)
        if moved and surplus(moved.result.evidence):
            self._surplus[task.first] = len(task.positions)
        if _names_other_person(end):
            self._other_persons[task.first] = len(task.positions)
        if moved and moved.received and (moved.result.evidence.missing or moved.unexpected):
            self._doubtful[task.first] = task, moved
        elif isinstance(end, Moved | OnDisk):
            self._doubtful.pop(task.first, None)
        return row

    def will_retry(self, task: Task, row: Row, wait_s: float) -> list[Event]:
        """Note that a task will be tried again; return the events."""
        self._waiting[task.first] = task
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
        """Give a task its durable result, and forget its attempts; return the events."""
        if not self.is_given_up(task):  # its last attempt may end later
            self._so_far.pop(task.first, None)
        self.set_row(task, row)
        first, *others = self.finished(task.positions)
        return [first, *(replace(event, shares=task.first) for event in others)]

    def finished(self, positions: Iterable[int]) -> list[RowFinished]:
        """Return the events of rows that have their result."""
        events = [
            _finished(self._labels[position], position, self.rows[position], self._shown[position])
            for position in positions
        ]
        for event in events:
            self._shown[event.position] = event.outcome
        return events

    def give_up(self, sent: Mapping[int, int]) -> list[Task]:
        """Give up the tasks in flight, because the run waits no longer; return those with a result.

        Tasks are in doubt if their request may have been sent. The others keep the result of their earlier attempts.

        Parameters
        ----------
        sent
            As in `WaitedEnough`.
        """
        left = [task for task in self.in_flight if task.first in sent or task.first in self._so_far]
        for task in left:
            if task.first in sent:
                self.set_row(task, after(self._so_far.get(task.first), without_answer(sent[task.first])))
        self._given_up = {task.first for task in left}
        self._in_flight.clear()
        return left

    def is_given_up(self, task: Task) -> bool:
        """Whether the run has given up a task, and has recorded its result."""
        return task.first in self._given_up

    def not_durable(self, problem: str, *, but_finished: bool = False) -> None:
        """Mark every row with files on disk as not durable, also rows that change later.

        With `but_finished`, rows that have their durable result keep it.
        """
        self._problem = problem
        for position, row in enumerate(self.rows):
            is_durable = row.resumed or (but_finished and self._shown[position] is not None)
            if row.received and not is_durable:
                self.rows[position] = not_durable(row, problem)

    def with_lost(self, lost: Sequence[LostFile], receiver: int) -> list[tuple[int, dict[str, str], str]]:
        """Return position and unique keys of each row with one of these files, and the reason of the loss.

        The files become discrepancies at this receiver.
        """
        sent = [
            (position, dict(identifier.keys))
            for position, identifier in enumerate(self._identifiers if lost else ())
            if isinstance(identifier, Identifier) and not self.rows[position].resumed
        ]
        found = [(position, keys, [one for one in lost if one.is_of(keys)]) for position, keys in sent]
        self._lost[receiver] = [(position, missing_file(one.keys)) for position, _, of_row in found for one in of_row]
        return [
            (position, keys, of_row[0].problem)
            for position, keys, of_row in found
            if of_row and self.rows[position].received
        ]

    def lose(self, position: int, problem: str, held: Mapping[str, int]) -> None:
        """Correct a row some of whose files the disk lost; `held` are those that it still has."""
        self.rows[position] = without_lost_files(self.rows[position], problem, held)

    def held_at_end(self, task: Task, held: Mapping[str, int], others: Sequence[OtherPatient]) -> Row | None:
        """Judge a row again with the instances that came after its end; return its result if that has changed."""
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
        self.set_row(task, row)
        return row

    def discrepancies(self, receiver: int | None) -> list[dict[str, Hashable]]:
        """Return the discrepancies at a receiver or at another destination: one dict for each row and instance."""
        doubtful = [(task, discrepancies(moved, task.identifier)) for task, moved in self._doubtful.values()]
        others = [(task, of_other_patients(others)) for task, others in self._others.values()]
        named = [
            (position, one)
            for task, found in (*doubtful, *others)
            if task.receiver == receiver
            for one in found
            for position in task.positions
        ]
        missing = {(position, one["SOPInstanceUID"]) for position, one in named if one["kind"] == "missing"}
        lost = self._lost.get(receiver, ())
        named += [(position, one) for position, one in lost if (position, one["SOPInstanceUID"]) not in missing]
        return [{"row": self._labels[position], **one} for position, one in named]

    def discrepancies_at_archive(self) -> list[dict[str, Hashable]]:
        """Return the discrepancies at an archive, and the rows that the archive did not answer about."""
        found = [{**one, "counted_by": "destination"} for one in self.discrepancies(None)]
        tasks = self._uncounted.values()
        unknown = [
            {"row": self._labels[position], **uncounted(task.identifier)}
            for task in tasks
            for position in task.positions
        ]
        return [*found, *unknown]

    def _note_uncounted(self, task: Task, end: AttemptEnd) -> None:
        if self._asks_archive and isinstance(end, Moved) and end.received is None:
            self._uncounted[task.first] = task
        elif isinstance(end, Moved | OnDisk):
            self._uncounted.pop(task.first, None)

    def _count(self, task: Task, end: AttemptEnd) -> None:
        is_unverified = isinstance(end, Moved) and end.is_unverified
        if is_unverified or (isinstance(end, OnDisk) and task.receiver is not None and end.row.expected is None):
            self._unverified[task.first] = len(task.positions)
        else:
            self._unverified.pop(task.first, None)

    def _name_others(self, task: Task, others: tuple[OtherPatient, ...]) -> None:
        """Keep the instances with another PatientID; an attempt without such instances changes nothing."""
        if others:
            self._others[task.first] = task, others


def _names_other_person(end: AttemptEnd) -> bool:
    evidence = end.result.evidence if isinstance(end, Moved) else end
    # An ID in another spelling is usual.
    return getattr(evidence, "other_person", None) not in (None, "PatientID", NOT_COMPARED)


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
    """Return a row after another C-FIND or late arrivals; its attempts and times stay, because no C-MOVE was sent."""
    if before is None:
        return row
    return row._replace(attempts=before.attempts, started_at=before.started_at, duration_s=before.duration_s)
