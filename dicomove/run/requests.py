"""What is asked for, and where it goes: the settings of a run, and its tasks. All of them can be pickled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Literal

from dicomove.cohort import Identifier
from dicomove.destination import Destination
from dicomove.dimse import MoveResult
from dicomove.pacs import Pacs
from dicomove.receiver import LocalRow, Receiver
from dicomove.results import Row, row_of
from dicomove.run.asking import ALL, Question
from dicomove.run.attempt import Depth, Moved, Part, Parts
from dicomove.run.inventory import Verify
from dicomove.run.patients import Named
from dicomove.run.questions import Listed
from dicomove.store import AttemptRecord, Key


@dataclass(frozen=True, slots=True)
class Task:
    """What one or more rows ask for.

    Attributes
    ----------
    identifier
        What is moved.
    positions
        The rows that ask for it, from 0.
    key
        By what the journal knows it.
    expected
        The number of instances, where the table knows it.
    attempt
        From 1: attempts that sent something, or that the PACS kept from it.
    refusals
        Attempts that do not count: an association too many, or a PACS or receiver that was away.
    missing
        What is asked for, where an earlier attempt brought the rest.
    look_first
        Whether an earlier attempt, or an earlier run, may have brought some of it.
    depth
        How far down this PACS can be asked, as far as is known.
    allowed
        What it may be asked with C-FIND: a PACS that has left several without an answer is spared for a while.
    unverified
        What an earlier attempt brought, where C-FIND was not answered: only C-FIND is tried again.
    receiver
        Which of the receivers gets it.
    patients
        The PatientIDs that the rows name beside the identifier: what comes is held against them. They are never sent.
    named
        What else the rows name of the study and its patient (their accession number, say). It is never sent either.
    cells
        What the rows have in the columns that the paths of the receivers name.
    method
        C-MOVE or C-GET.
    sop_classes
        Those of the study, where the table has them: they are proposed for C-GET, and need not be asked for.
    is_slow
        Whether the PACS has to fetch it from a slow medium first, so that it gets a longer limit.
    earlier
        What an earlier run completed, and when, where the destination is asked whether it is still there, or the PACS
        whose it is.
    asks_patient
        Whether the PACS is asked first whose it is: `patients` and `named` stand in a table that did not come
        from it.
    is_placed
        Whether a plan has found it below the UIDs above it in the row.
    is_untold
        Whether the PACS did not tell whose it is, though it was to be asked: what comes with another PatientID
        altogether than `patients` is not the row's.
    other_person
        The key of the patient (PatientName, say) of which the PACS has another value than the rows.
    may_split
        Whether the series of a large study may be moved side by side: then they are asked for with C-FIND first.
    part
        What of the row is asked for, where its series are moved side by side.
    parts
        What became of all of them: only the verdict is left.
    """

    identifier: Identifier
    positions: tuple[int, ...]
    key: Key
    expected: int | None = None
    attempt: int = 1
    refusals: int = 0
    missing: Listed | None = field(default=None, compare=False)
    look_first: bool = False
    depth: Depth = "instances"
    allowed: frozenset[Question] = ALL
    unverified: Moved | None = field(default=None, compare=False)
    receiver: int | None = None
    patients: tuple[str, ...] = field(default=(), repr=False)
    named: Named = field(default=(), repr=False)
    cells: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    method: Literal["move", "get"] = "move"
    sop_classes: tuple[str, ...] = ()
    is_slow: bool = False
    earlier: tuple[Row, datetime] | None = field(default=None, compare=False, repr=False)
    asks_patient: bool = False
    is_placed: bool = False
    is_untold: bool = False
    other_person: str | None = None
    may_split: bool = False
    part: Part | None = None
    parts: Parts | None = field(default=None, compare=False)

    @property
    def first(self) -> int:
        """The first row that asks for it: no other task has it."""
        return self.positions[0]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What holds for all rows of a run.

    Attributes
    ----------
    pacs
        The PACS.
    destinations
        AE titles: one, or that of each receiver.
    receivers
        Where the destinations are receivers.
    runs
        The number of this run at each receiver.
    total_timeout, verify
        As in `move`.
    archive
        The destination, where it is an archive that is asked what it has.
    """

    pacs: Pacs
    destinations: tuple[str, ...]
    receivers: tuple[Receiver, ...] = ()
    runs: tuple[int, ...] = ()
    total_timeout: float | None = None
    verify: Verify = "auto"
    archive: Destination | None = None

    def destination(self, task: Task) -> str:
        """Return the AE title that gets what a task moves."""
        return self.destinations[task.receiver or 0]

    def row(self, task: Task) -> LocalRow:
        """Return the row of a task at its receiver."""
        number = task.receiver or 0
        return self.receivers[number].row(
            self.runs[number],
            task.positions[0],
            dict(task.identifier.keys),
            self.pacs.host,
            task.patients,
            dict(task.cells),
            admits_others=not task.is_untold,
        )

    def key(self, identifier: Identifier) -> Key:
        """Return by what the journal knows an identifier: PACS, destination, level and unique keys."""
        return Key(
            pacs=self.pacs.address,
            destination=_together(self.destinations),
            level=identifier.level,
            query_model=identifier.query_model,
            keys=identifier.keys,
        )

    def remote(self) -> RunSettings:
        """Return what a worker elsewhere needs of them."""
        return replace(self, receivers=(), runs=())


@lru_cache(maxsize=16)
def _together(destinations: tuple[str, ...]) -> str:
    return "\\".join(sorted(destinations))


def records(
    task: Task, row: Row, moves: Sequence[MoveResult] = (), *, is_final: bool = True
) -> tuple[AttemptRecord, ...]:
    """Return what the journal keeps of an attempt: one record for each C-MOVE, the last one with the row's result.

    Parameters
    ----------
    task
        The task.
    row
        As it reads after the attempt.
    moves
        The C-MOVEs of the attempt.
    is_final
        Whether no other attempt follows.
    """
    before = [_record(task, row_of(move), move, is_final=False) for move in moves[:-1]]
    return *before, _record(task, row, moves[-1] if moves else None, is_final=is_final)


def _record(task: Task, row: Row, move: MoveResult | None, *, is_final: bool) -> AttemptRecord:
    identifier = move.identifier if move else task.identifier
    return AttemptRecord(
        key=task.key,
        row=row,
        identifier=identifier.keys,
        level=identifier.level,
        sent=move is not None and move.evidence.sent,
        final=is_final,
    )
