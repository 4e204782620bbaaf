"""`move`: the loop over the rows of a table, and nothing else."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from numbers import Integral, Real
from typing import Any, Final

import pandas as pd

from dicomove import columns
from dicomove.cohort import Identifier, Level, keyword_columns, move_identifiers
from dicomove.dimse import MoveResult
from dicomove.errors import IdentifierError, InterruptedWarning
from dicomove.events import RowFinished, RowStarted, RunEnded, RunStarted
from dicomove.interrupts import Interrupts
from dicomove.inventory import COUNT_KEYS, Verify, check_verify
from dicomove.outcome import ADVICE, NOT_ATTEMPTED, Outcome, sentences
from dicomove.pacs import Pacs, ae_title
from dicomove.progress import Display, Progress, display
from dicomove.workers import Finished, Moving, Order, Report, Started, Task, Workers

_TEXT: Final = ("outcome", "status", "error", "advice", "error_comment")
_COUNTS: Final = ("total", "completed", "failed", "warning", "remaining", "expected", "received", "bytes", "missing")

#: The columns that `move` adds, in this order.
RESULT_COLUMNS: Final = (
    *_TEXT,
    *_COUNTS,
    "failed_sop_instance_uids",
    "attempts",
    "started_at",
    "finished_at",
    "duration_s",
)

_DEFECT: Final = "A defect in dicomove, in doubt whether anything was moved: please report it with the log."
_NO_ANSWER: Final = "The run was stopped before the PACS had answered: what was sent by then is in doubt."


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The result of one row: the columns of the result table."""

    outcome: Outcome
    status: str | None = None
    error: str | None = None
    advice: str | None = None
    error_comment: str | None = None
    total: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    remaining: int | None = None
    expected: int | None = None
    received: int | None = None
    bytes: int | None = None
    missing: int | None = None
    failed_sop_instance_uids: str | None = None
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_s: float | None = None


def move(
    table: pd.DataFrame,
    pacs: Pacs,
    destination: str,
    *,
    level: str | None = None,
    query_model: str = "StudyRoot",
    concurrency: int = 1,
    delay: float = 0,
    total_timeout: float | None = None,
    verify: Verify = "auto",
    progress: Progress = "auto",
) -> pd.DataFrame:
    """Move what each row of a table names, with one C-MOVE each (PS3.4 C.4.2), and say what happened to each row.

    Only the level and its unique keys are sent. Rows that name the same are moved once, and all get the result. An
    interrupt (Ctrl-C, the stop button) sends C-CANCEL and returns the table so far; a second one does not wait for the
    PACS.

    Parameters
    ----------
    table
        One row per C-MOVE, on any index: StudyInstanceUID, and by level SeriesInstanceUID, SOPInstanceUID, PatientID.
    pacs
        The PACS.
    destination
        The Move Destination: an AE title that the PACS knows.
    level
        ``"PATIENT"``, ``"STUDY"``, ``"SERIES"`` or ``"IMAGE"``; ``None`` reads the column ``QueryRetrieveLevel``, or
        else takes the deepest UID that the row fills. Whole patients are moved only where the level says so.
    query_model
        ``"StudyRoot"`` or ``"PatientRoot"``.
    concurrency
        Associations at the same time, at the most.
    delay
        Seconds that each association rests between two moves.
    total_timeout
        Seconds that one move may take; ``None`` is no limit.
    verify
        How to learn what is expected: ``"auto"`` takes the numbers of related instances from the table, or else from
        C-FIND, and lists the instances where they do not add up; ``"counts"`` does without the list, ``"instances"``
        always makes it, ``"arrivals"`` asks nothing.
    progress
        ``"auto"``, ``"tqdm"``, ``False``, or a function that gets the events.

    Returns
    -------
    pandas.DataFrame
        The rows and columns of `table`, on its index and in its order, and the columns `RESULT_COLUMNS`: docs/tables.md
        tells what each holds. Of the same names, older columns are replaced.

    Raises
    ------
    CohortError
        The table cannot be right. Nothing was sent.
    AddressError
        `destination` is no AE title.
    ValueError
        Another argument cannot be right.

    Warns
    -----
    InterruptedWarning
        It was interrupted: the table is partial.

    Examples
    --------
    >>> from dicomove.testing import demo_pacs
    >>> studies = pd.DataFrame({"StudyInstanceUID": ["1.2.3.4", ""]}, index=["a", "b"])
    >>> with demo_pacs() as pacs:
    ...     results = move(studies, pacs, pacs.destination, progress=False)
    >>> results["outcome"].to_dict()
    {'a': 'empty', 'b': 'invalid'}
    """
    identifiers = move_identifiers(table, level, query_model)
    order = Order(pacs, ae_title(destination, "destination"), delay, total_timeout, verify)
    _check(order, concurrency)
    with Interrupts() as interrupts, display(progress) as show:
        run = _Run(table, identifiers, show, interrupts)
        run.go(Workers(order, run.tasks, concurrency))
        if run.interrupted:
            left = sum(row.outcome == "not_attempted" for row in run.rows)
            message = f"interrupted: {left} of {len(run.rows)} rows were not attempted"
            warnings.warn(message, InterruptedWarning, stacklevel=2)
        return _table(table, run.rows)


class _Run:
    """The rows of a run, as their results come in."""

    def __init__(
        self,
        table: pd.DataFrame,
        identifiers: Sequence[Identifier | IdentifierError],
        show: Display,
        interrupts: Interrupts,
    ) -> None:
        self._labels = list(table.index)
        self._show, self._interrupts = show, interrupts
        self._in_flight: set[int] = set()
        self.interrupted = False
        self.rows = [_not_sent(identifier) for identifier in identifiers]
        self.tasks = _tasks(table, identifiers)

    def go(self, workers: Workers) -> None:
        """Do all tasks, or as many as there are before an interrupt."""
        try:
            self._show(RunStarted(verb="move", rows=len(self.rows), requests=len(self.tasks)))
            self._show_finished(position for position, row in enumerate(self.rows) if row.outcome == "invalid")
            for report in workers.reports(lambda: not self._interrupts.count):
                self._take(report)
            self.interrupted = workers.working
        except KeyboardInterrupt:  # of a display, or of somebody else's handler
            self.interrupted = True
        if self.interrupted:
            self._stop(workers)
        with suppress(KeyboardInterrupt):  # too late to stop anything
            self._show(RunEnded(verb="move", interrupted=self.interrupted))

    def _stop(self, workers: Workers) -> None:
        with suppress(KeyboardInterrupt):  # the second one: the PACS is not waited for
            for report in workers.stop(lambda: self._interrupts.count < 2):
                self._take(report)
        unknown = Row(outcome="interrupted", error="cancelled", advice=_NO_ANSWER, attempts=1)
        for position in self._in_flight:
            self.rows[position] = unknown
        with suppress(KeyboardInterrupt):
            self._show_finished(sorted(self._in_flight))

    def _take(self, report: Report) -> None:
        match report:
            case Started(task):
                self._in_flight |= set(task.positions)
                for position in task.positions:
                    self._show(RowStarted(row=self._labels[position], position=position))
            case Moving(task, event):
                position = task.positions[0]
                self._show(replace(event, row=self._labels[position], position=position))
            case Finished(task, result):
                row = _row(result)
                # First all that is known, since an interrupt may come with each event that is shown.
                for position in task.positions:
                    self.rows[position] = row
                self._in_flight -= set(task.positions)
                self._show_finished(task.positions)

    def _show_finished(self, positions: Iterable[int]) -> None:
        for position in positions:
            row = self.rows[position]
            event = RowFinished(
                row=self._labels[position],
                position=position,
                outcome=row.outcome,
                error=row.error,
                instances=None if row.completed is None else row.completed + (row.warning or 0),
                duration_s=row.duration_s,
            )
            self._show(event)


def _check(order: Order, concurrency: int) -> None:
    check_verify(order.verify)
    if not isinstance(concurrency, Integral) or not concurrency >= 1:
        message = f"concurrency={concurrency!r}: a whole number of associations, at least 1"
        raise ValueError(message)
    if not (isinstance(order.delay, Real) and order.delay >= 0 and math.isfinite(order.delay)):
        message = f"delay={order.delay!r}: a number of seconds, at least 0"
        raise ValueError(message)
    if order.total_timeout is not None and not (isinstance(order.total_timeout, Real) and order.total_timeout > 0):
        message = f"total_timeout={order.total_timeout!r}: a number of seconds above 0, or None for no limit"
        raise ValueError(message)


def _tasks(table: pd.DataFrame, identifiers: Sequence[Identifier | IdentifierError]) -> list[Task]:
    positions: dict[Identifier, list[int]] = {}
    for position, identifier in enumerate(identifiers):
        if isinstance(identifier, Identifier):
            positions.setdefault(identifier, []).append(position)
    where = keyword_columns(table.columns, COUNT_KEYS.values()) if positions else {}
    known = {name: table.iloc[:, column].tolist() for name, column in where.items()}
    return [
        Task(identifier, tuple(rows), _expected(identifier.level, known, rows))
        for identifier, rows in positions.items()
    ]


def _expected(level: Level, known: Mapping[str, list[object]], rows: Sequence[int]) -> int | None:
    """Return how many instances the table says that there are, in the first of these rows that says it."""
    cells = known.get(COUNT_KEYS.get(level, ""))
    numbers = [columns.whole_number(cells[row]) for row in rows] if cells else []
    return next((number for number in numbers if number is not None), None)


def _not_sent(identifier: Identifier | IdentifierError) -> Row:
    if isinstance(identifier, Identifier):
        return Row(outcome="not_attempted", advice=NOT_ATTEMPTED)
    return Row(outcome="invalid", error="invalid_row", advice=sentences(str(identifier), ADVICE["invalid_row"]))


def _row(result: MoveResult | None) -> Row:
    if result is None:
        return Row(outcome="interrupted", error="internal_error", advice=_DEFECT, attempts=1)
    if result.outcome == "not_attempted":
        return Row(outcome="not_attempted", advice=NOT_ATTEMPTED)
    return Row(
        **{name: getattr(result, name) for name in (*_TEXT, *_COUNTS[:5], "started_at", "finished_at", "duration_s")},
        expected=result.evidence.expected,
        failed_sop_instance_uids="\\".join(result.failed_sop_instance_uids) or None,
        attempts=int(result.evidence.sent),
    )


def _table(table: pd.DataFrame, rows: Sequence[Row]) -> pd.DataFrame:
    def values(name: str) -> list[Any]:
        return [getattr(row, name) for row in rows]

    made = {name: columns.text(values(name)) for name in (*_TEXT, "failed_sop_instance_uids")}
    made |= {name: columns.counts(values(name)) for name in (*_COUNTS, "attempts")}
    made |= {name: columns.times(values(name)) for name in ("started_at", "finished_at")}
    made["duration_s"] = columns.seconds(values("duration_s"))
    return columns.with_columns(table, {name: made[name] for name in RESULT_COLUMNS}, replaced=RESULT_COLUMNS)
