"""A run over a table: first it checks everything and sends nothing, then it moves."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import pandas as pd

from dicomove import columns
from dicomove.cohort import (
    Identifier,
    Requested,
    move_identifiers,
    on_coarser_rows,
    on_patients_of_any_site,
    on_patients_without_number,
    overlooked_series,
    uncompared_keys,
)
from dicomove.dimse import FindScu
from dicomove.errors import (
    CohortWarning,
    InterruptedWarning,
    JournalError,
    JournalWarning,
    ReceiverWarning,
    VerificationWarning,
    warn,
)
from dicomove.interpreter import in_bulk, short_switch_interval
from dicomove.notebook import Display
from dicomove.results import result_table
from dicomove.run.attempt.counting import Counting
from dicomove.run.journal import JournalWriter, not_completed, open_journal, run_record
from dicomove.run.messages import Report, Written
from dicomove.run.options import Options
from dicomove.run.pools import Executors, Threads
from dicomove.run.receivers import where_begun
from dicomove.run.requests import Task
from dicomove.run.rows import RowResults
from dicomove.run.run import Pool, Run
from dicomove.run.schedule import Schedule
from dicomove.run.settings import RunSettings, chosen_method
from dicomove.run.state import RunState
from dicomove.run.table.cells import path_cells
from dicomove.run.table.estimates import Sizes
from dicomove.run.table.shared_rows import by_patient
from dicomove.run.table.tasks import as_planned, in_order, tasks_of, within_limits
from dicomove.store import Journal, Key, RowRecord, read_sizes


def identifiers_of(table: pd.DataFrame, level: str | None, query_model: str) -> list[Requested]:
    """Return the identifier of each row, and warn if some rows ask for more than the others."""
    with in_bulk():
        identifiers = by_patient(table, move_identifiers(table, level, query_model))
    messages = [
        None if level else on_coarser_rows(table, identifiers) or overlooked_series(table.columns),
        on_patients_of_any_site(table, identifiers),
        on_patients_without_number(identifiers),
        uncompared_keys(table),
    ]
    for message in filter(None, messages):
        warn(message, CohortWarning)
    return identifiers


class PreparedRun:
    """A run over a table.

    Parameters
    ----------
    table
        The caller's table.
    identifiers
        The identifiers of its rows.
    settings, options
        The settings that hold for all rows.

    Raises
    ------
    JournalError
        The journal cannot be used.

    Attributes
    ----------
    paused
        Whether the caller has paused the run.
    interrupted
        Whether it was stopped before its end.
    problem
        Why the end of the run is not in the journal.
    """

    def __init__(
        self, table: pd.DataFrame, identifiers: Sequence[Requested], settings: RunSettings, options: Options
    ) -> None:
        self._table, self._settings, self._options = table, settings, options
        self._journal: Journal | None = None
        try:
            self._prepare(identifiers)
        except BaseException:  # also Ctrl-C: a table may be large
            self.close()
            raise

    def _prepare(self, identifiers: Sequence[Requested]) -> None:
        table, settings, options = self._table, self._settings, self._options
        results = RowResults(list(table.index), identifiers, asks_archive=settings.archive is not None)
        tasks = tasks_of(table, identifiers, settings, path_cells(table, identifiers, settings.receivers))
        #: The keys of all rows, until the journal has them.
        self._keys: list[Key | None] = [None] * len(identifiers)
        for task in tasks:
            for position in task.positions:
                self._keys[position] = task.key
        self.paused = self.interrupted = False
        self.problem: str | None = None
        self._journal = open_journal(settings, options)
        if self._journal:
            tasks = not_completed(self._journal, table, tasks, settings, results)
        tasks = as_planned(tasks, table, results)
        tasks = in_order(tasks, options.nearline, results)
        tasks = where_begun(_within_limits(tasks, table, settings, options, results), settings)
        left = {position for task in tasks for position in task.positions}
        self._done_before = [position for position in range(len(identifiers)) if position not in left]
        # Tasks are forgotten when their rows have results: there may be millions.
        self._requests = len(tasks)
        method = chosen_method(settings, options)
        self._state = RunState(results, Schedule(tasks, options), len(settings.receivers), method)
        self._identifiers = identifiers if options.method != "move" else ()

    @property
    @in_bulk()
    def results(self) -> pd.DataFrame:
        """The result table as it stands."""
        rows = list(self._state.results.rows)
        further: dict[str, list[str | None]] = {}
        if self._options.method != "move":
            further[columns.METHOD_COLUMN] = self._methods()
        if self._settings.archive:
            further[columns.COUNTED_BY_COLUMN] = [None if row.received is None else "destination" for row in rows]
        return result_table(self._table, rows, further)

    def _methods(self) -> list[str | None]:
        """Return how each row was retrieved."""
        methods = self._state.methods
        return [methods.get(one) if isinstance(one, Identifier) else None for one in self._identifiers]

    @short_switch_interval()
    def do(self, show: Display, stops: Callable[[], int]) -> None:
        """Do the run, and show its events; the second stop waits less than the first.

        Raises
        ------
        JournalError
            The journal cannot be written. Nothing was sent.
        """
        try:
            journal = self._journal
            number = self._begin(journal) if journal else None
            if journal is None or number is None:
                self._do(show, stops)
                return
            try:
                self._do(show, stops, (journal, number))
            finally:
                self._end(journal, number)
        finally:
            self.close()

    def warn_of_problems(self) -> None:
        """Warn of problems that the table alone does not show."""
        found = self._state.results
        if self.interrupted or self._state.schedule.exhausted:
            outcomes = self.results["outcome"]
            why = "interrupted" if self.interrupted else "stopped after too many failures"
            message = f"{why}: {(outcomes == 'not_attempted').sum()} of {len(outcomes)} rows were not attempted"
            warn(message, InterruptedWarning)
        if found.other_patients:
            message = (
                f"{found.other_patients} rows brought images with another PatientID than they name, or with several: "
                "see advice, and discrepancies() of the receiver"
            )
            warn(message, ReceiverWarning)
        if found.other_persons:
            message = (
                f"the PACS has the studies of {found.other_persons} rows under another PatientName or "
                "PatientBirthDate than they name: see advice"
            )
            warn(message, CohortWarning)
        if found.with_surplus:
            message = (
                f"the PACS moved more instances than there should be for {found.with_surplus} of {len(self._table)} "
                "rows, perhaps of other patients: see advice, and look into the destination"
            )
            warn(message, VerificationWarning)
        if found.unverified:
            numbers = f"expected number{' or the arrived number' if self._settings.archive else ''} of instances"
            message = (
                f"C-FIND did not give the {numbers} for {found.unverified} of {len(self._table)} rows: their advice "
                "tells why. With retry=, dicomove asks again"
            )
            warn(message, VerificationWarning)
        if self.problem:
            message = f"{self.problem}: what is not in the journal is moved again by the next run"
            warn(message, JournalWarning)

    def close(self) -> None:
        """Release the journal, also of a run that will not be done."""
        journal, self._journal = self._journal, None
        if journal:
            journal.close()

    @in_bulk()
    def _begin(self, journal: Journal) -> int | None:
        """Record the run in the journal. If the caller did not ask for a journal, its failure does not stop the run."""
        try:
            return journal.begin(run_record(self._table, self._settings, self._options), self._row_records())
        except JournalError as error:
            if self._options.journal is not None:
                raise
            self.problem = str(error)
            return None
        finally:
            self._keys.clear()

    def _end(self, journal: Journal, number: int) -> None:
        try:
            journal.end(number, interrupted=self.interrupted)
        except JournalError as error:  # the caller gets the table in any case
            self.problem = self.problem or str(error)

    def _do(self, show: Display, stops: Callable[[], int], recorded: tuple[Journal, int] | None = None) -> None:
        """Do the run; `recorded` has the journal, and the number of the run in it."""
        self.interrupted = True  # if it cannot begin: Python 3.12 starts no thread when the interpreter ends
        reports: queue.SimpleQueue[Report | Written] = queue.SimpleQueue()
        writer = JournalWriter(*recorded, self._settings, reports.put) if recorded else None
        try:
            pool = self._pool(reports.put)
        except BaseException:
            if writer:
                writer.close()
            raise
        run = Run(self._settings, self._state, reports, pool, writer, show, stops, lambda: self.paused)
        try:
            run.go(len(self._table), self._requests, self._done_before)
        finally:
            self.interrupted, self.problem = run.interrupted, run.problem or self.problem

    def _pool(self, report: Callable[[Report], None]) -> Pool:
        if self._options.executor is None:
            return Threads(self._settings, report)
        return Executors(self._settings, report, self._options.executor)

    def _row_records(self) -> Iterator[RowRecord]:
        done_before = set(self._done_before)
        for position, (label, cells) in enumerate(columns.rows_of(self._table)):
            yield RowRecord(
                position=position,
                label=label,
                key=self._keys[position],
                cells=cells,
                row=self._state.results.rows[position] if position in done_before else None,
            )


def _within_limits(
    tasks: list[Task], table: pd.DataFrame, settings: RunSettings, options: Options, results: RowResults
) -> list[Task]:
    """Return the tasks within the limits, with the PACS's numbers of instances; the others get their result."""
    if not options.has_limits:
        return tasks
    with FindScu(settings.pacs) as scu:
        counting = Counting(scu)
        if options.counts_instances:
            tasks = list(_counted(tasks, counting))
        patients = [task for task in tasks if task.identifier.level == "PATIENT" and options.max_studies is not None]
        studies = {task.first: counting.studies(task.identifier) for task in patients}
    sizes = sizes_of(settings) if options.max_bytes is not None else Sizes(())
    return within_limits(tasks, table, options, sizes, results, studies)


def _counted(tasks: Iterable[Task], counting: Counting) -> Iterator[Task]:
    """Yield the tasks, each with a number of instances: that of the table, or else that of the PACS."""
    for task in tasks:
        yield task if task.expected is not None else replace(task, expected=counting.expected(task.identifier).expected)


def sizes_of(settings: RunSettings) -> Sizes:
    """Return sizes of instances from the folders of the receivers."""
    return Sizes(pair for receiver in settings.receivers for pair in read_sizes(receiver.folder))
