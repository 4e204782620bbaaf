"""The journal of a run: which rows earlier runs completed; and the thread that makes rows durable, files first."""

from __future__ import annotations

import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import pandas as pd

from dicomove.cohort import Identifier, Level
from dicomove.errors import JournalError, ReceiverError
from dicomove.files import file_sha256
from dicomove.interpreter import changed, in_bulk
from dicomove.outcome import as_compared, was_compared
from dicomove.receiver import Durability, Receiver
from dicomove.results import Row, not_durable, resumed, without_lost_files
from dicomove.run.attempt.inventory import Verify
from dicomove.run.messages import Write, Written
from dicomove.run.options import Options
from dicomove.run.requests import Task
from dicomove.run.rows import RowResults
from dicomove.run.settings import RunSettings, destinations_as_text
from dicomove.run.table.cells import RowCells
from dicomove.run.table.patients import Named
from dicomove.store import JOURNAL_FILE, AttemptRecord, Journal, Key, PreviousResult, RunRecord, Stored, cohort_sha256

#: Rows that end within so many seconds are made durable together.
_TOGETHER_S: Final = 0.3
_TRY_AGAIN_S: Final = 1.0

logger = logging.getLogger("dicomove")


@in_bulk()
def completed(journal: Journal, keys: Collection[Key]) -> dict[Key, PreviousResult]:
    """Return the rows that an earlier run completed."""
    return {key: earlier for key, earlier in journal.earlier(keys).items() if earlier.row.outcome == "complete"}


def still_on_disk(journal: Journal, keys: Collection[Key], settings: RunSettings) -> dict[Key, PreviousResult]:
    """Return the rows that an earlier run completed, if what it stored is still on disk.

    Parameters
    ----------
    journal
        The journal.
    keys
        The keys of this run's tasks.
    settings
        With receivers, the files on disk are checked: their sizes, and with ``verify="hash"`` their bytes.
    """
    earlier = completed(journal, keys)
    if not settings.receivers:
        return earlier
    stored = journal.instances(list(earlier))
    folders = [receiver.folder for receiver in settings.receivers]
    there = _there(stored, folders, settings.verify)
    return {key: found for key, found in earlier.items() if key in there and len(stored[key]) == found.row.received}


def renamed(
    journal: Journal, table: pd.DataFrame, names: Mapping[Key, tuple[Identifier, Collection[str], Named]]
) -> set[Key]:
    """Return the keys whose rows name other patients or accession numbers now than in the run that completed them.

    The PACS was never asked whether the new ones belong to the study.

    Parameters
    ----------
    journal
        The journal.
    table
        The caller's table.
    names
        For each key its identifier, and the patients and further keys of its rows, as in `RowCells`.
    """
    others = {key for key, (_, patients, named) in names.items() if patients or named}
    if others:
        others -= journal.of_cohort(others, cohort_sha256(table))  # mostly no row has changed
    for before, keys in journal.tables(others) if others else ():
        cells, rows = RowCells(before), _positions(keys)
        for key, positions in rows.items():
            identifier, patients, named = names[key]
            then = set(cells.patients(identifier, positions)), set(cells.named(identifier, positions))
            if then == (set(patients), set(named)):
                others.discard(key)
    return others


def grown(journal: Journal, done: Mapping[Key, Row], numbers: Mapping[Key, tuple[Level, int | None]]) -> set[Key]:
    """Return the keys for which the table has more instances than the run that completed them, and than its table had.

    Parameters
    ----------
    journal
        The journal.
    done
        The rows that an earlier run completed.
    numbers
        For each of these keys its level, and the number of instances in the caller's table.
    """
    found = {key for key, (_, number) in numbers.items() if (number or 0) > _instances(done[key])}
    for before, keys in journal.tables(found) if found else ():
        cells = RowCells(before)
        for key, positions in _positions(keys).items():
            level, number = numbers[key]
            # The PACS counted wrong then, and does so now.
            if (cells.planned_or_expected(level, positions) or 0) >= (number or 0):
                found.discard(key)
    return found


def _instances(row: Row) -> int:
    return max(row.expected or 0, row.instances or 0)


def _positions(keys: Sequence[Key]) -> dict[Key, list[int]]:
    positions: dict[Key, list[int]] = {}
    for position, key in enumerate(keys):
        positions.setdefault(key, []).append(position)
    return positions


def _there(stored: Mapping[Key, Sequence[Stored]], folders: Sequence[Path], verify: Verify) -> set[Key]:
    def is_there(key: Key) -> bool:
        return all(any(_is(folder, file, verify) for folder in folders) for file in stored[key])

    keys = [key for key, files in stored.items() if files]
    with ThreadPoolExecutor() as pool:
        return {key for key, found in zip(keys, pool.map(is_there, keys), strict=True) if found}


def _is(folder: Path, file: Stored, verify: Verify) -> bool:
    path, size, sha256 = file
    try:
        if (folder / path).stat().st_size != size:
            return False
        return verify != "hash" or file_sha256(folder / path) == sha256
    except OSError:
        return False


def not_completed(
    journal: Journal, table: pd.DataFrame, tasks: Sequence[Task], settings: RunSettings, results: RowResults
) -> list[Task]:
    """Return the tasks that no earlier run completed; the other rows get their result."""
    keys = [task.key for task in tasks]
    if settings.archive:  # the archive is asked about each row when its turn comes
        earlier = completed(journal, keys)
        return [replace(task, earlier=_to_compare(earlier.get(task.key))) for task in tasks]
    there = still_on_disk(journal, keys, settings)
    with in_bulk():
        done = {key: resumed(one.row, one.at) for key, one in there.items()}
    asked_anew = [task for task in tasks if task.key in done and task.asks_patient]
    anew = renamed(journal, table, {task.key: (task.identifier, task.patients, task.named) for task in asked_anew})
    anew |= {task.key for task in asked_anew if not was_compared(done[task.key].advice)}
    more = grown(
        journal, done, {task.key: (task.identifier.level, task.expected) for task in tasks if task.key in done}
    )
    counts = bool(settings.receivers) and settings.verify != "arrivals"
    uncounted = {key for key, one in there.items() if counts and not one.is_counted}
    anew |= more | uncounted
    for task in tasks:
        if task.key in done and task.key not in anew:
            results.set_row(task, done[task.key])
    left = [task for task in tasks if task.key not in done or task.key in anew]
    begun = journal.known([task.key for task in left])
    compared = (uncounted if settings.receivers else anew) - more
    return [
        changed(
            task,
            # An earlier table may have named one patient only: then its key had no claims.
            look_first=task.look_first or task.key in begun or bool(task.identifier.claims),
            earlier=_to_compare(there[task.key]) if task.key in compared else None,
        )
        for task in left
    ]


def _to_compare(earlier: PreviousResult | None) -> tuple[Row, datetime] | None:
    """Return the result of an earlier run for a row that is compared with the PACS now."""
    return None if earlier is None else (earlier.row._replace(advice=as_compared(earlier.row.advice)), earlier.at)


class JournalWriter:
    """Writes attempts to the journal.

    Parameters
    ----------
    journal, run
        The journal, and the number of this run in it.
    settings
        The settings of the run.
    report
        Gets the `Written` events, in the thread of the writer.
    """

    def __init__(self, journal: Journal, run: int, settings: RunSettings, report: Callable[[Written], None]) -> None:
        self._journal, self._run, self._settings, self._report = journal, run, settings, report
        self._inbox: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._changed = threading.Condition()
        self._given = self._done = 0
        self.problem: str | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="dicomove-journal", daemon=True)
        self._thread.start()

    def put(self, write: Write) -> None:
        """Queue an attempt."""
        with self._changed:
            self._given += 1
        self._inbox.put(write)

    def flush(self, seconds: float) -> str | None:
        """Wait until everything is written; return the reason if that failed."""
        self._hurry.set()
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._done == self._given, seconds)
                return None if self._done == self._given else self.problem or f"it takes more than {seconds:g} s"
        finally:
            self._hurry.clear()

    def close(self) -> None:
        """End the thread. It writes no more."""
        self._closed.set()
        self._hurry.set()
        self._inbox.put(None)
        self._thread.join(_TRY_AGAIN_S * 2)

    def _work(self) -> None:
        while batch := self._batch():
            self._record(batch)

    def _batch(self) -> list[Write]:
        """Return the queued attempts; none at the end."""
        first = self._inbox.get()
        if first is None:
            return []
        if self._inbox.empty() or not self._hurry.is_set():
            self._hurry.wait(_TOGETHER_S)
        batch = [first]
        while not self._inbox.empty():
            write = self._inbox.get()
            if write is None:
                self._inbox.put(None)
                break
            batch.append(write)
        return batch

    def _record(self, batch: Sequence[Write]) -> None:
        while (durable := self._all_durable(batch)) is None or not self._write(durable):
            if self._closed.wait(_TRY_AGAIN_S):
                return
        for write, row in durable:
            self._report(Written(write, row))
        with self._changed:
            self._done += len(batch)
            self._changed.notify_all()

    def _all_durable(self, batch: Sequence[Write]) -> list[tuple[Write, Row]] | None:
        """Return the rows, corrected by what did not reach the disk; ``None`` if their files may still do so."""
        flushed = [_flushed(receiver) for receiver in self._settings.receivers]
        if any(one.is_late for one in flushed) and not self._hurry.is_set():
            return None
        return [(write, self._durable(write, flushed)) for write in batch]

    def _durable(self, write: Write, flushed: Sequence[Durability]) -> Row:
        """Return the row, corrected by what did not reach the disk."""
        row = write.last.row
        if not row.received:
            return row
        if problem := next((one.problem for one in flushed if one.problem), None):
            return not_durable(row, problem)
        lost = [one for receiver in flushed for one in receiver.lost]
        keys = dict(write.task.identifier.keys) if lost else {}
        problem = next((one.problem for one in lost if one.is_of(keys)), None)
        if problem is None:
            return row
        try:
            return without_lost_files(row, problem, self._settings.row(write.task).held())
        except ReceiverError:
            return not_durable(row, problem)

    def _write(self, durable: Iterable[tuple[Write, Row]]) -> bool:
        told = self.problem
        try:
            self._journal.add(self._run, [one for write, row in durable for one in self._records(write, row)])
        except (JournalError, ReceiverError) as error:
            self.problem = str(error)
        except sqlite3.Error as error:  # the index of a receiver, which another process writes
            self.problem = f"the index of the receiver cannot be read ({error})"
        else:
            self.problem = None
            return True
        if self.problem != told:  # it tries again every second, for a whole night
            logger.warning("%s", self.problem)
        return False

    def _records(self, write: Write, row: Row) -> Iterable[AttemptRecord]:
        """Return the records with the durable row and its instances."""
        is_here = write.task.receiver is not None and row.received
        instances = self._settings.row(write.task).records() if is_here else ()
        return *write.records[:-1], changed(write.last, row=row, instances=tuple(instances))


def _flushed(receiver: Receiver) -> Durability:
    try:
        return receiver.runs.durability()
    except ReceiverError as error:
        return Durability(str(error))


def open_journal(settings: RunSettings, options: Options) -> Journal | None:
    """Open the journal: by default, a receiver's folder has one. ``None`` without a journal."""
    path = options.journal
    if path is None:
        folder = settings.receivers[0].folder if settings.receivers else None
        # Without a journal where the folder cannot be written: no instance can be stored there, and each row reports
        # it.
        path = folder / JOURNAL_FILE if folder and os.access((folder / JOURNAL_FILE).parent, os.W_OK) else False
    return Journal.open(path) if path else None


def run_record(table: pd.DataFrame, settings: RunSettings, options: Options) -> RunRecord:
    """Return the entry of a run."""
    return RunRecord(
        pacs=settings.pacs.address,
        destination=destinations_as_text(settings.destinations),
        calling_ae_title=settings.pacs.calling_ae_title,
        options=options.written() | settings.written(),
        cohort_sha256=cohort_sha256(table),
        columns=list(table.columns),
        dtypes=[str(dtype) for dtype in table.dtypes],
        index_names=list(table.index.names),
        index_dtypes=[str(table.index.get_level_values(n).dtype) for n in range(table.index.nlevels)],
        folder=str(settings.receivers[0].folder) if settings.receivers else None,
    )
