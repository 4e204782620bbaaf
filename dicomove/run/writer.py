"""Makes rows durable in a thread of its own: first their files, then their entries in the journal."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from dicomove.errors import JournalError, ReceiverError
from dicomove.frozen import changed
from dicomove.results import Row, not_durable
from dicomove.run.messages import Write, Written
from dicomove.run.requests import RunSettings
from dicomove.store import AttemptRecord, Journal

#: Rows that end within so many seconds are made durable together.
_TOGETHER_S: Final = 0.3
_TRY_AGAIN_S: Final = 1.0

logger = logging.getLogger("dicomove")


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
        problem = self._flush_receivers()
        durable = [(write, _durable(write.last.row, problem)) for write in batch]
        while not self._write(durable):
            if self._closed.wait(_TRY_AGAIN_S):
                return
        for write, row in durable:
            self._report(Written(write, row))
        with self._changed:
            self._done += len(batch)
            self._changed.notify_all()

    def _flush_receivers(self) -> str | None:
        for receiver in self._settings.receivers:
            try:
                receiver.flush()
            except ReceiverError as error:
                return str(error)
        return None

    def _write(self, durable: Iterable[tuple[Write, Row]]) -> bool:
        try:
            self._journal.add(self._run, [one for write, row in durable for one in self._records(write, row)])
        except (JournalError, ReceiverError) as error:
            self.problem = str(error)
        except sqlite3.Error as error:  # the index of a receiver, which another process writes
            self.problem = f"the index of the receiver cannot be read ({error})"
        else:
            self.problem = None
            return True
        logger.warning("%s", self.problem)
        return False

    def _records(self, write: Write, row: Row) -> Iterable[AttemptRecord]:
        """Return the records with the durable row and its instances."""
        is_here = write.task.receiver is not None and row.received
        instances = self._settings.row(write.task).records() if is_here else ()
        return *write.records[:-1], changed(write.last, row=row, instances=tuple(instances))


def _durable(row: Row, problem: str | None) -> Row:
    return not_durable(row, problem) if problem and row.received else row
