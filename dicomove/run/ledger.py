"""Makes rows durable: first their files, then their entries in the journal; in a thread of its own."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dicomove.errors import JournalError, ReceiverError
from dicomove.results import Row, not_durable, row_of
from dicomove.run.tasks import Attempted, Order, Task
from dicomove.store import AttemptRecord, InstanceRecord, Journal, Key

#: Rows that end within this time are made durable together.
_TOGETHER_S: Final = 0.3
_TRY_AGAIN_S: Final = 1.0

logger = logging.getLogger("dicomove")


@dataclass(frozen=True, slots=True)
class Pending:
    """An attempt that is to be written down.

    Attributes
    ----------
    task, key
        The task, and its key in the journal.
    row
        The row as it reads after the attempt.
    attempts
        The C-MOVEs of the attempt.
    is_final
        Whether no other attempt follows.
    """

    task: Task
    key: Key
    row: Row
    attempts: tuple[Attempted, ...] = ()
    is_final: bool = True


@dataclass(frozen=True, slots=True)
class Recorded:
    """An attempt that has been written down, with the row as it reads now."""

    pending: Pending
    row: Row


class Ledger:
    """Writes down attempts.

    Parameters
    ----------
    journal, run
        The journal, and the number of this run in it.
    order
        What holds for all rows.
    tell
        Gets what has been recorded, in this class's own thread.
    """

    def __init__(self, journal: Journal, run: int, order: Order, tell: Callable[[Recorded], None]) -> None:
        self._journal, self._run, self._order, self._tell = journal, run, order, tell
        self._inbox: queue.SimpleQueue[Pending | None] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._changed = threading.Condition()
        self._given = self._done = 0
        self.problem: str | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="dicomove-ledger", daemon=True)
        self._thread.start()

    def put(self, pending: Pending) -> None:
        """Write down an attempt, soon."""
        with self._changed:
            self._given += 1
        self._inbox.put(pending)

    def flush(self, seconds: float) -> str | None:
        """Wait until all is written down; return what prevents it, if anything does."""
        self._hurry.set()
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._done == self._given, seconds)
                return None if self._done == self._given else self.problem or f"it takes more than {seconds:g} s"
        finally:
            self._hurry.clear()

    def close(self) -> None:
        """End; what is not written down by now will not be."""
        self._closed.set()
        self._hurry.set()
        self._inbox.put(None)
        self._thread.join(_TRY_AGAIN_S * 2)

    def _work(self) -> None:
        while batch := self._batch():
            self._record(batch)

    def _batch(self) -> list[Pending]:
        """Return what has come; nothing at the end."""
        first = self._inbox.get()
        if first is None:
            return []
        if self._inbox.empty() or not self._hurry.is_set():
            self._hurry.wait(_TOGETHER_S)
        batch = [first]
        while not self._inbox.empty():
            pending = self._inbox.get()
            if pending is None:
                self._inbox.put(None)
                break
            batch.append(pending)
        return batch

    def _record(self, batch: Sequence[Pending]) -> None:
        problem = self._flush_receivers()
        recorded = [Recorded(pending, _durable(pending.row, problem)) for pending in batch]
        readings = [reading for entry in recorded for reading in self._readings(entry)]
        while not self._write(readings):
            if self._closed.wait(_TRY_AGAIN_S):
                return
        for entry in recorded:
            self._tell(entry)
        with self._changed:
            self._done += len(batch)
            self._changed.notify_all()

    def _flush_receivers(self) -> str | None:
        for receiver in self._order.receivers:
            try:
                receiver.flush()
            except ReceiverError as error:
                return str(error)
        return None

    def _readings(self, recorded: Recorded) -> Iterable[AttemptRecord]:
        pending = recorded.pending
        *earlier, last = pending.attempts or (None,)
        for attempted in earlier:
            if attempted:
                yield _reading(pending, row_of(attempted.result), attempted, ())
        number = pending.task.receiver
        instances: list[InstanceRecord] = []
        if number is not None and recorded.row.received:
            instances = self._order.row(pending.task, number).records()
        yield _reading(pending, recorded.row, last, instances, is_final=pending.is_final)

    def _write(self, readings: Sequence[AttemptRecord]) -> bool:
        try:
            self._journal.add(self._run, readings)
        except JournalError as error:
            self.problem = str(error)
            logger.warning("%s", error)
            return False
        self.problem = None
        return True


def _durable(row: Row, problem: str | None) -> Row:
    return not_durable(row, problem) if problem and row.received else row


def _reading(
    pending: Pending,
    row: Row,
    attempted: Attempted | None,
    instances: Sequence[InstanceRecord],
    *,
    is_final: bool = False,
) -> AttemptRecord:
    identifier = attempted.identifier if attempted else pending.task.identifier
    return AttemptRecord(
        key=pending.key,
        row=row,
        identifier=identifier.keys,
        level=identifier.level,
        sent=attempted is not None and attempted.result.evidence.sent,
        final=is_final,
        instances=tuple(instances),
    )
