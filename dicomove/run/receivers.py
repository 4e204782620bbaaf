"""Which receiver gets a row: the one whose folder has a part of it, or else the one with the fewest requests."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from dicomove.cohort import Identifier
from dicomove.errors import ReceiverError
from dicomove.interpreter import changed
from dicomove.receiver import AskedRow, Receiver, RowId
from dicomove.run.attempt.ends import AttemptEnd, NoReceiver, SeriesListed
from dicomove.run.requests import Task
from dicomove.run.settings import RunSettings
from dicomove.store import read_studies

#: How long a receiver that was away gets no rows if there is another one, in seconds.
_AWAY_S: Final = 10.0


class Receivers:
    """The receivers of a run, with the number of their requests in flight. Pure.

    Parameters
    ----------
    number
        The number of receivers; 0 for another destination.
    """

    def __init__(self, number: int) -> None:
        self._busy = [0] * number
        self._away_until = [float("-inf")] * number

    def begin(self, task: Task, now: float) -> Task:
        """Return a task that begins, with its receiver."""
        if not self._busy:
            return task
        number = self._chosen(task, now)
        self._busy[number] += 1
        if number == task.receiver:
            return task
        # The other folder has nothing of the row.
        return replace(task, receiver=number, missing=None)

    def _chosen(self, task: Task, now: float) -> int:
        before = task.receiver
        # While its series are moved, a row is open at its receiver. If only a C-FIND is left, no other can help.
        if before is not None and (task.part or task.parts or task.unverified):
            return before
        has_part = before if task.missing or task.look_first else None
        return min(
            range(len(self._busy)), key=lambda one: (self._away_until[one] > now, one != has_part, self._busy[one])
        )

    def ended(self, task: Task, end: AttemptEnd | SeriesListed, now: float) -> None:
        """Take note of the end of a request."""
        if task.receiver is None:
            return
        self._busy[task.receiver] -= 1
        is_away = isinstance(end, NoReceiver)
        self._away_until[task.receiver] = now + _AWAY_S if is_away else float("-inf")


def where_begun(tasks: list[Task], settings: RunSettings) -> list[Task]:
    """Return the tasks, those that an earlier run may have begun with the receiver that has most of their instances."""
    if len(settings.receivers) < 2 or not any(task.look_first for task in tasks):
        return tasks
    studies = [_studies(receiver) for receiver in settings.receivers]
    return [
        changed(task, receiver=_with_most(task.identifier, settings, studies)) if task.look_first else task
        for task in tasks
    ]


def _with_most(identifier: Identifier, settings: RunSettings, studies: Sequence[Collection[str]]) -> int | None:
    """Return the number of the receiver with most instances; ``None`` if none has any."""
    uid = dict(identifier.keys).get("StudyInstanceUID")
    found = [number for number, there in enumerate(studies) if uid is None or uid in there]
    if len(found) == 1:  # mostly
        return found[0]
    held = {number: _held(identifier, settings.receivers[number], settings.runs[number]) for number in found}
    most = max(held, key=held.__getitem__, default=None)
    return most if most is not None and held[most] else None


def _studies(receiver: Receiver) -> Collection[str]:
    try:
        return read_studies(receiver.folder)
    except ReceiverError:  # each row that the receiver gets reports it
        return ()


def _held(identifier: Identifier, receiver: Receiver, run: int) -> int:
    try:
        return len(receiver.runs.row(AskedRow(RowId(run, 0), dict(identifier.keys))).held())
    except ReceiverError:  # its turn shows whether it is back
        return 0
