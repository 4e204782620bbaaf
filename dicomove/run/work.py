"""A run over a table: prepared, with everything checked and nothing sent, then done."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from dicomove import columns
from dicomove.cohort import Identifier, Level, Requested, keyword_columns
from dicomove.errors import InterruptedWarning, JournalError, JournalWarning, ReceiverWarning, VerificationWarning
from dicomove.notebook import Display
from dicomove.results import result_table
from dicomove.run.book import Book
from dicomove.run.executors import Executors
from dicomove.run.inventory import COUNT_KEYS
from dicomove.run.ledger import Ledger
from dicomove.run.loop import Run
from dicomove.run.options import Options
from dicomove.run.patients import beside, patients_of
from dicomove.run.resuming import completed, key_of
from dicomove.run.schedule import Schedule
from dicomove.run.tasks import Order, Pool, Task, Tell
from dicomove.run.threads import Threads
from dicomove.store import JOURNAL_FILE, Journal, RowRecord, RunRecord, cohort_sha256


class Work:
    """A run over a table.

    Parameters
    ----------
    table
        The caller's.
    identifiers
        Of its rows.
    order, options
        What holds for all rows.

    Raises
    ------
    JournalError
        The journal cannot be used.

    Attributes
    ----------
    schedule
        Its tasks, in their order.
    interrupted
        Whether it was stopped before its end.
    problem
        What prevented that the journal was written to its end.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        identifiers: Sequence[Requested],
        order: Order,
        options: Options,
    ) -> None:
        self._table, self._order, self._options = table, order, options
        self._book = Book(list(table.index), identifiers)
        tasks = _tasks(table, identifiers)
        manners = options.manners()
        self._journal = _journal(order, options)
        self._keys = {task.identifier: key_of(order, task.identifier) for task in tasks}
        self._key_at = {position: self._keys[task.identifier] for task in tasks for position in task.positions}
        self.interrupted = False
        self.problem: str | None = None
        try:
            self._tasks = tasks if self._journal is None else self._left(self._journal, tasks)
        except BaseException:
            if self._journal:
                self._journal.close()
            raise
        left = {position for task in self._tasks for position in task.positions}
        self._settled = [position for position in range(len(identifiers)) if position not in left]
        self.schedule = Schedule(self._tasks, manners)

    @property
    def other_patients(self) -> int:
        """How many rows brought images with another PatientID than they name."""
        return self._book.other_patients

    @property
    def results(self) -> pd.DataFrame:
        """The result table as it stands."""
        return result_table(self._table, list(self._book.rows))

    @property
    def unverified(self) -> int:
        """How many rows may read otherwise once the PACS says what to expect."""
        return self._book.unverified

    def do(self, show: Display, stops: Callable[[], int]) -> None:
        """Do it, and show what happens; each stop that is wished for is less patient.

        Raises
        ------
        JournalError
            The journal cannot be written. Nothing was sent.
        """
        if self._journal is None:
            self._do(show, stops, None)
            return
        with self._journal as journal:
            number = self._begin(journal)
            if number is None:
                self._do(show, stops, None)
                return
            self._do(show, stops, partial(Ledger, journal, number, self._order))
            try:
                journal.end(number, interrupted=self.interrupted)
            except JournalError as error:  # the table is there all the same
                self.problem = self.problem or str(error)

    def _begin(self, journal: Journal) -> int | None:
        """Write down what will be done; nobody asked for a journal that is kept by itself, and nobody stops without."""
        try:
            return journal.begin(self._facts(), self._row_facts())
        except JournalError as error:
            if self._options.journal is not None:
                raise
            self.problem = str(error)
            return None

    def _do(self, show: Display, stops: Callable[[], int], make_ledger: Callable[..., Ledger] | None) -> None:
        self._book.show = show
        run = Run(self._order, self.schedule, self._book, self._pool, make_ledger, show, stops)
        run.go(len(self._table), len(self._tasks), self._settled)
        self.interrupted, self.problem = run.interrupted, run.problem or self.problem

    def _pool(self, tell: Tell) -> Pool:
        if self._options.executor is None:
            return Threads(self._order, tell)
        return Executors(self._order, tell, self._options.executor)

    def _left(self, journal: Journal, tasks: Sequence[Task]) -> list[Task]:
        """Return what an earlier run has not completed, and give the other rows their result."""
        keys = list(self._keys.values())
        done, begun = completed(journal, keys, self._order), journal.known(keys)
        left = []
        for task in tasks:
            key = self._keys[task.identifier]
            if key in done:
                self._book.settle(task, done[key])
            else:
                left.append(replace(task, look_first=key in begun))
        return left

    def _facts(self) -> RunRecord:
        order, table = self._order, self._table
        return RunRecord(
            pacs=order.pacs.address,
            destination="\\".join(sorted(order.destinations)),
            calling_ae_title=order.pacs.calling_ae_title,
            options=self._options.written(),
            cohort_sha256=cohort_sha256(table),
            columns=list(table.columns),
            dtypes=[str(dtype) for dtype in table.dtypes],
            index_names=list(table.index.names),
            index_dtypes=[str(table.index.get_level_values(n).dtype) for n in range(table.index.nlevels)],
            folder=str(order.receivers[0].folder) if order.receivers else None,
        )

    def _row_facts(self) -> list[RowRecord]:
        cells = list(zip(*(self._table.iloc[:, n].tolist() for n in range(self._table.shape[1])), strict=True))
        settled = set(self._settled)
        return [
            RowRecord(
                position=position,
                label=label,
                key=self._key_at.get(position),
                cells=cells[position] if cells else (),
                row=self._book.rows[position] if position in settled else None,
            )
            for position, label in enumerate(self._table.index)
        ]


def warn_of(work: Work, stacklevel: int) -> None:
    """Warn of what the table does not say by itself."""
    if work.interrupted or work.schedule.exhausted:
        outcomes = work.results["outcome"]
        why = "interrupted" if work.interrupted else "stopped after too many failures"
        message = f"{why}: {(outcomes == 'not_attempted').sum()} of {len(outcomes)} rows were not attempted"
        warnings.warn(message, InterruptedWarning, stacklevel=stacklevel + 1)
    if work.other_patients:
        message = (
            f"{work.other_patients} rows brought images with another PatientID than they name: "
            "see advice, and discrepancies() of the receiver"
        )
        warnings.warn(message, ReceiverWarning, stacklevel=stacklevel + 1)
    if work.unverified:
        message = (
            f"how many instances there should be is not known for {work.unverified} of {len(work.results)} rows, since "
            "C-FIND did not say it: their advice tells why. With retry, the PACS is asked again"
        )
        warnings.warn(message, VerificationWarning, stacklevel=stacklevel + 1)
    if work.problem:
        message = f"{work.problem}: what is not in the journal is moved again by the next run"
        warnings.warn(message, JournalWarning, stacklevel=stacklevel + 1)


def _journal(order: Order, options: Options) -> Journal | None:
    path = options.journal
    if path is None:
        folder = order.receivers[0].folder if order.receivers else None
        # Into a folder that cannot be written nothing comes, either: each row says so.
        path = folder / JOURNAL_FILE if folder and os.access((folder / JOURNAL_FILE).parent, os.W_OK) else False
    return Journal.open(path) if path else None


def _tasks(table: pd.DataFrame, identifiers: Sequence[Requested]) -> list[Task]:
    positions: dict[Identifier, list[int]] = {}
    for position, identifier in enumerate(identifiers):
        if isinstance(identifier, Identifier):
            positions.setdefault(identifier, []).append(position)
    where = keyword_columns(table.columns, COUNT_KEYS.values()) if positions else {}
    known = {name: table.iloc[:, column].tolist() for name, column in where.items()}
    patients = patients_of(table)
    return [
        Task(
            identifier,
            tuple(rows),
            _expected(identifier.level, known, rows),
            patients=beside(identifier, [patients[row] for row in rows]),
        )
        for identifier, rows in positions.items()
    ]


def _expected(level: Level, known: Mapping[str, list[object]], rows: Sequence[int]) -> int | None:
    """Return how many instances the table says that there are, in the first of these rows that says it."""
    cells = known.get(COUNT_KEYS.get(level, ""))
    numbers = [columns.whole_number(cells[row]) for row in rows] if cells else []
    return next((number for number in numbers if number is not None), None)
