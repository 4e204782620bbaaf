"""`move`: the loop over the rows of a table, and nothing else."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from numbers import Integral, Real

import pandas as pd

from dicomove import columns
from dicomove.cohort import Identifier, Level, keyword_columns, move_identifiers
from dicomove.errors import IdentifierError, InterruptedWarning, ReceiverError
from dicomove.events import RowFinished, RowStarted, RunEnded, RunStarted
from dicomove.interrupts import Interrupts
from dicomove.inventory import COUNT_KEYS, Verify, check_verify
from dicomove.pacs import Pacs, ae_title
from dicomove.progress import Display, Progress, display
from dicomove.receiver import Receiver
from dicomove.reconciliation import Reconciled, discrepancies, look_again
from dicomove.results import (
    RESULT_COLUMNS,
    Row,
    invalid,
    not_attempted,
    not_durable,
    result_table,
    row_of,
    without_answer,
    without_receiver,
)
from dicomove.workers import Finished, Moving, Order, Report, Started, Task, Workers

__all__ = ["RESULT_COLUMNS", "move"]


def move(
    table: pd.DataFrame,
    pacs: Pacs,
    destination: str | Receiver,
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
        The Move Destination: an AE title that the PACS knows, or a `Receiver` on this machine, by whose AE title the
        PACS knows it. With a receiver, what is on disk decides.
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
    receiver = destination if isinstance(destination, Receiver) else None
    title = receiver.ae_title if receiver else ae_title(destination, "destination")
    order = Order(pacs, title, receiver, receiver.begin_run() if receiver else "", delay, total_timeout, verify)
    _check(order, concurrency)
    with Interrupts() as interrupts, display(progress) as show:
        run = _Run(table, identifiers, show, interrupts)
        run.go(Workers(order, run.tasks, concurrency))
        if receiver:
            run.look_again(receiver, order.run)
        if run.interrupted:
            left = sum(row.outcome == "not_attempted" for row in run.rows)
            message = f"interrupted: {left} of {len(run.rows)} rows were not attempted"
            warnings.warn(message, InterruptedWarning, stacklevel=2)
        return result_table(table, run.rows)


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
        self._reconciled: dict[Task, Reconciled] = {}
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
        for position in self._in_flight:
            self.rows[position] = without_answer()
        with suppress(KeyboardInterrupt):
            self._show_finished(sorted(self._in_flight))

    def look_again(self, receiver: Receiver, name: str) -> None:
        """Read the rows again with what came after their end, once all of it is durable."""
        problem = _flushed(receiver)
        for task, reconciled in self._reconciled.items():
            if reconciled.result.evidence.missing and not problem:
                held = dict(receiver.ask("held", keys=dict(task.identifier.keys)))
                self._reconciled[task] = look_again(reconciled, held)
            row = _finished(self._reconciled[task], None)
            if problem and row.received:
                row = not_durable(row, problem)
            for position in task.positions:
                self.rows[position] = row
        receiver.end_run(name, self._discrepancies())

    def _discrepancies(self) -> list[dict[str, Hashable]]:
        return [
            {"row": self._labels[position], **found}
            for task, reconciled in self._reconciled.items()
            for found in discrepancies(reconciled, task.identifier)
            for position in task.positions
        ]

    def _take(self, report: Report) -> None:
        match report:
            case Started(task):
                self._in_flight |= set(task.positions)
                for position in task.positions:
                    self._show(RowStarted(row=self._labels[position], position=position))
            case Moving(task, event):
                position = task.positions[0]
                self._show(replace(event, row=self._labels[position], position=position))
            case Finished(task, reconciled, problem):
                row = _finished(reconciled, problem)
                if reconciled and reconciled.settled:
                    self._reconciled[task] = reconciled
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
                instances=row.instances,
                duration_s=row.duration_s,
                bytes=row.bytes,
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
    return not_attempted() if isinstance(identifier, Identifier) else invalid(identifier)


def _finished(reconciled: Reconciled | None, problem: str | None) -> Row:
    if problem:
        return without_receiver(problem)
    size = reconciled.settled.bytes if reconciled and reconciled.settled else None
    return row_of(reconciled.result if reconciled else None, size)


def _flushed(receiver: Receiver) -> str | None:
    """Return what prevents that all is durable, if anything does."""
    try:
        receiver.flush()
    except ReceiverError as error:
        return str(error)
    return None
