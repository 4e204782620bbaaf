"""The tasks of a run, and the journal's records of an attempt. Both can be pickled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from dicomove.cohort import Identifier
from dicomove.dimse import MoveResult
from dicomove.results import Row, row_of
from dicomove.run.attempt.ends import Depth, Moved, Part, Parts, number_sent
from dicomove.run.attempt.questions import ALL, Listed, Question
from dicomove.run.table.patients import Named
from dicomove.store import AttemptRecord, Key


@dataclass(frozen=True, slots=True)
class Task:
    """The request of one or more rows.

    Attributes
    ----------
    identifier
        The identifier to move.
    positions
        The positions of the rows that ask for it, from 0.
    key
        Its key in the journal.
    expected
        The number of instances, if the table has it.
    attempt
        The number of the attempt, from 1. An attempt that the receiver prevented does not count.
    refusals
        Attempts that do not count: the PACS rejected one association too many, or PACS or receiver were away.
    missing
        The instances to ask for, if an earlier attempt brought the others.
    look_first
        Whether an earlier attempt or run may have brought some instances.
    depth
        The finest request that this PACS accepts, as far as is known.
    allowed
        The C-FINDs that may be sent. A PACS that did not answer several of them gets none for a while.
    unverified
        The result of an earlier attempt without an answer to C-FIND: only C-FIND is tried again.
    receiver
        The number of the receiver that gets the instances.
    patients
        The PatientIDs of the rows, if the identifier has none. They are never sent: arriving instances are compared
        with them.
    named
        Further keys of the rows: accession number, PatientName, PatientBirthDate. They are never sent either.
    cells
        The columns that the paths of the receivers name, with the row's values.
    method
        C-MOVE or C-GET.
    sop_classes
        The SOP classes of the study, if the table has them. They are proposed for C-GET; otherwise a C-FIND asks for
        them.
    is_slow
        Whether the PACS has to fetch the images from a slow medium, so that the first response may take longer.
    earlier
        The result of an earlier run and its time, if the destination has to confirm that the instances are still there,
        or the PACS has to confirm the patient.
    asks_patient
        Whether to ask the PACS first for the patient, because `patients` and `named` come from a table of the user's
        own, or may have changed since `find`.
    has_siblings
        Whether other rows with the same keys are compared with the PACS by themselves.
    brought
        The result of such rows, which are complete: nothing is sent if the PACS does not contradict these.
    is_placed
        Whether a plan has found the series or instance below the UIDs above it.
    is_patient_unknown
        Whether the PACS was asked for the patient and did not give it. Instances whose PatientID has nothing in common
        with `patients` then do not count for the row.
    other_person
        The key of the patient (PatientName, say) for which the PACS has another value than the rows; `NOT_COMPARED` if
        C-FIND had no answer.
    may_split
        Whether the series of a large study may be moved side by side: a C-FIND asks for them first.
    part
        The part of the row to ask for, if its series are moved side by side.
    parts
        The results of all parts: this task only reconciles and judges them.
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
    has_siblings: bool = False
    brought: Row | None = field(default=None, compare=False, repr=False)
    is_placed: bool = False
    is_patient_unknown: bool = False
    other_person: str | None = None
    may_split: bool = False
    part: Part | None = None
    parts: Parts | None = field(default=None, compare=False)

    @property
    def first(self) -> int:
        """The position of its first row, which identifies the task in the run."""
        return self.positions[0]

    @property
    def level_and_keys(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What is sent of its identifier."""
        return self.identifier.level, self.identifier.keys


def records(
    task: Task, row: Row, moves: Sequence[MoveResult] = (), *, sent: int = 0, is_final: bool = True
) -> tuple[AttemptRecord, ...]:
    """Return the journal's records of an attempt: one for each C-MOVE, the last one with the row's result.

    C-MOVEs without a result are in doubt, and their identifier is that of the task.

    Parameters
    ----------
    task
        The task.
    row
        Its result after the attempt.
    moves
        The C-MOVEs of the attempt whose results are known.
    sent
        The number of C-MOVEs that may have been sent, if it is larger.
    is_final
        Whether no other attempt follows.
    """
    in_doubt = max(0, sent - number_sent(moves))
    known = moves if in_doubt else moves[:-1]
    last = None if in_doubt or not moves else moves[-1]
    doubtful = Row(outcome="interrupted", error=row.error, attempts=1)
    return (
        *(_record(task, row_of(move), move, is_final=False) for move in known),
        *(_record(task, doubtful, None, was_sent=True, is_final=False) for _ in range(in_doubt - 1)),
        _record(task, row, last, was_sent=in_doubt > 0, is_final=is_final),
    )


def _record(task: Task, row: Row, move: MoveResult | None, *, was_sent: bool = False, is_final: bool) -> AttemptRecord:
    identifier = move.identifier if move else task.identifier
    return AttemptRecord(
        key=task.key,
        row=row,
        identifier=identifier.keys,
        level=identifier.level,
        sent=move.evidence.sent if move else was_sent,
        method=task.method,
        final=is_final,
    )
