"""`Journal`: records runs, and returns the results of earlier runs. It never changes an attempt."""

from __future__ import annotations

import json
import os
import platform
import socket
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import count, islice
from pathlib import Path
from typing import ClassVar, Final, Self, TypeVar

import pandas as pd

from dicomove.files import user_path
from dicomove.store import cells
from dicomove.store.instances import MANIFEST_COLUMNS
from dicomove.store.schema import (
    JOURNAL,
    RESULT,
    SENT_BY,
    AttemptRecord,
    Key,
    PreviousResult,
    RowRecord,
    RunRecord,
    Stored,
    insert_into,
    instance_values,
    placeholders,
    result_values,
    row_of,
)
from dicomove.store.sqlite import transaction

_T = TypeVar("_T")

_PACKAGES: Final = ("dicomove", "pynetdicom", "pydicom", "pandas")
_KEY: Final = "pacs, destination, level, query_model, identifier"
_FIND_KEYS: Final = (
    "SELECT key, identifier FROM keys WHERE pacs = ? AND destination = ? AND level = ? AND query_model = ?"
    " AND identifier IN "
)
#: The number of keys in one statement, and of rows in one batch. Every SQLite accepts 999 values in a statement.
_KEYS_AT_ONCE: Final = 900
_ROWS_AT_ONCE: Final = 10_000
_ADD_KEY: Final = insert_into("keys", ["key", *_KEY.split(", ")])
_ADD_ROW: Final = insert_into("rows", ["run", "position", "key", "label", "cells", *RESULT])
_ADD_ATTEMPT: Final = insert_into(
    "attempts", ["attempt", "run", "key", "at", "level", "identifier", "sent", "final", *RESULT]
)
_BY_ARRIVALS: Final = """run IN (SELECT run FROM runs WHERE options LIKE '%"verify": "arrivals"%')"""
_ADD_INSTANCE: Final = (
    insert_into("instances", ["key", *MANIFEST_COLUMNS, "run", "attempt"])
    + " ON CONFLICT (key, path, sha256) DO UPDATE"
    + " SET attempt = excluded.attempt, times_received = excluded.times_received"
)


class Journal:
    """The journal of one or more runs: one process writes, every process may read.

    Within a process, all users of the same file share one journal.
    """

    _open: ClassVar[dict[Path, Journal]] = {}
    # After a fork, a child must not even close an SQLite connection of its parent.
    _inherited: ClassVar[list[Journal]] = []
    _opening: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._users = 0
        self._lock = threading.RLock()
        self._connection, self._owner = JOURNAL.open_to_own(path)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Journal:
        """Return the journal of this name, and create it if there is none.

        Raises
        ------
        JournalError
            The file has other content or a newer version, is damaged, or another process has it.
        """
        # A file has one lock, even if it has several names.
        where = user_path(path).resolve()
        with cls._opening:
            journal = cls._open.get(where)
            if journal is None:
                journal = cls._open[where] = cls(where)
            journal._users += 1
            return journal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @classmethod
    def after_fork(cls) -> None:
        """Forget open journals in a forked process: they belong to its parent."""
        cls._inherited.extend(cls._open.values())
        cls._open, cls._opening = {}, threading.Lock()

    def close(self) -> None:
        """Release the journal; other users in this process keep it."""
        with self._opening:
            if not self._users:
                return
            self._users -= 1
            if not self._users:
                self._open.pop(self.path, None)
                with self._lock:
                    self._connection.close()
                self._owner.release()

    def begin(self, facts: RunRecord, rows: Iterable[RowRecord]) -> int:
        """Record a run and its rows durably; return its number.

        Raises
        ------
        JournalError
            The journal cannot be written. Nothing was written.
        """
        with self._lock:
            return self._write(lambda: self._begin(facts, rows))

    def add(self, run: int, attempts: Sequence[AttemptRecord]) -> None:
        """Record attempts and the files of their rows durably, all or none of them.

        Raises
        ------
        JournalError
            The journal cannot be written. Nothing was written; another try may succeed.
        """
        with self._lock:
            self._write(lambda: self._add(run, attempts))

    def end(self, run: int, *, interrupted: bool) -> None:
        """Record the end of a run.

        Raises
        ------
        JournalError
            The journal cannot be written.
        """
        values = (_now(), int(interrupted), run)
        statement = "UPDATE runs SET ended_at = ?, interrupted = ? WHERE run = ?"
        with self._lock:
            self._write(lambda: self._connection.execute(statement, values))

    def known(self, keys: Collection[Key]) -> set[Key]:
        """Return the keys among these that an earlier run had."""
        with self._lock:
            return set(self._numbered(keys))

    def earlier(self, keys: Collection[Key]) -> dict[Key, PreviousResult]:
        """Return the latest result of each of these keys, if it has one."""
        query = (
            f"SELECT key, run, at, {_BY_ARRIVALS}, {', '.join(RESULT)} FROM attempts "  # noqa: S608 (names of our own)
            "WHERE attempt IN (SELECT max(attempt) FROM attempts GROUP BY key)"
        )
        with self._lock:
            named = self._named(keys)
            return {
                named[key]: PreviousResult(row_of(values), run, datetime.fromisoformat(at), bool(by_arrivals))
                for key, run, at, by_arrivals, *values in self._read(query)
                if key in named
            }

    def tables(self, keys: Collection[Key]) -> Iterator[tuple[pd.DataFrame, list[Key]]]:
        """Yield the rows of these keys, and the key of each row, from the runs that have their latest results."""
        with self._lock:
            named, latest = self._named(keys), self._latest_runs()
            runs = sorted({latest[number] for number in named if number in latest})
            for run in runs:
                ((labels,),) = self._read("SELECT columns FROM runs WHERE run = ?", (run,))
                rows = self._read("SELECT key, cells FROM rows WHERE run = ? ORDER BY position", (run,))
                found = [(named[key], text) for key, text in rows if key in named and latest.get(key) == run]
                table = pd.DataFrame([cells.decode(text) for _, text in found], dtype=object)
                table.columns = cells.columns(cells.decode(labels))
                yield table, [key for key, _ in found]

    def instances(self, keys: Collection[Key]) -> dict[Key, list[Stored]]:
        """Return the files of each of these keys, from its last record."""
        made: dict[Key, list[Stored]] = {key: [] for key in keys}
        query = (
            "SELECT key, path, bytes, sha256 FROM instances "
            "JOIN (SELECT key, max(attempt) AS attempt FROM instances GROUP BY key) USING (key, attempt)"
        )
        with self._lock:
            named = self._named(keys)
            for key, path, size, sha256 in self._read(query):
                if key in named:
                    made[named[key]].append(Stored(path, size, sha256))
        return made

    def of_cohort(self, keys: Collection[Key], sha256: str) -> set[Key]:
        """Return the keys among these that have their latest result from a run over this cohort."""
        with self._lock:
            latest = self._latest_runs()
            runs = {run for (run,) in self._read("SELECT run FROM runs WHERE cohort_sha256 = ?", (sha256,))}
            return {key for number, key in self._named(keys).items() if latest.get(number) in runs}

    def _latest_runs(self) -> dict[int, int]:
        query = "SELECT key, run FROM attempts WHERE attempt IN (SELECT max(attempt) FROM attempts GROUP BY key)"
        return dict(self._read(query))

    def _named(self, keys: Iterable[Key]) -> dict[int, Key]:
        """Return these keys by their numbers, without keys that the journal does not have."""
        return {number: key for key, number in self._numbered(keys).items()}

    def _numbered(self, keys: Iterable[Key]) -> dict[Key, int]:
        """Return the numbers of these keys, without keys that the journal does not have."""
        if not self._read("SELECT 1 FROM keys LIMIT 1").fetchone():  # a new journal
            return {}
        alike: dict[tuple[object, ...], dict[str, Key]] = {}
        for key in keys:
            *above, identifier = _key_values(key)
            alike.setdefault(tuple(above), {})[str(identifier)] = key
        return {
            named[identifier]: number
            for above, named in alike.items()
            for part in _batched(named, _KEYS_AT_ONCE)
            for number, identifier in self._read(_FIND_KEYS + placeholders(part), (*above, *part))
        }

    def _number(self, keys: Iterable[Key]) -> dict[Key, int]:
        """Return the numbers of these keys; keys that the journal does not have get new numbers."""
        wanted = dict.fromkeys(keys)
        found = self._numbered(wanted)
        if len(found) == len(wanted):
            return found
        added = dict(zip((key for key in wanted if key not in found), count(self._next("key", "keys")), strict=False))
        self._connection.executemany(_ADD_KEY, ((number, *_key_values(key)) for key, number in added.items()))
        return found | added

    def _next(self, number: str, table: str) -> int:
        """Return the next number of a table, which stays free, because only this process writes."""
        query = f"SELECT coalesce(max({number}), 0) + 1 FROM {table}"  # noqa: S608 (names of our own)
        return int(self._connection.execute(query).fetchone()[0])

    def _begin(self, facts: RunRecord, rows: Iterable[RowRecord]) -> int:
        values = _run_values(facts)
        run = self._connection.execute(insert_into("runs", list(values)), list(values.values())).lastrowid or 0
        for part in _batched(rows, _ROWS_AT_ONCE):
            numbers = self._number(row.key for row in part if row.key)
            self._connection.executemany(
                _ADD_ROW,
                (
                    (
                        *(run, row.position, numbers[row.key] if row.key else None),
                        *(cells.encode(row.label), cells.encode_all(row.cells)),
                        *result_values(row.row),
                    )
                    for row in part
                ),
            )
        return run

    def _add(self, run: int, attempts: Sequence[AttemptRecord]) -> None:
        at, keys = _now(), self._number(one.key for one in attempts)
        numbered = list(enumerate(attempts, self._next("attempt", "attempts")))
        self._connection.executemany(
            _ADD_ATTEMPT,
            (
                (
                    *(attempt, run, keys[one.key], at, one.level, cells.encode_pairs(one.identifier)),
                    *((SENT_BY[one.method] if one.sent else 0), int(one.final), *result_values(one.row)),
                )
                for attempt, one in numbered
            ),
        )
        self._connection.executemany(
            _ADD_INSTANCE,
            (
                (keys[one.key], *instance_values(found), run, attempt)
                for attempt, one in numbered
                for found in one.instances
            ),
        )

    def _read(self, query: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(query, values)
        except sqlite3.Error as error:
            raise JOURNAL.unusable(self.path, error, "read") from None

    def _write(self, work: Callable[[], _T]) -> _T:
        """Run a function that writes in one durable transaction, or not at all."""
        try:
            with transaction(self._connection):
                return work()
        except sqlite3.Error as error:
            raise JOURNAL.unusable(self.path, error, "written") from None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Journal.after_fork)


def _run_values(facts: RunRecord) -> Mapping[str, object]:
    versions = {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}
    return {
        "started_at": _now(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "versions": json.dumps(versions),
        "pacs": facts.pacs,
        "destination": facts.destination,
        "calling_ae_title": facts.calling_ae_title,
        "options": json.dumps(dict(facts.options)),
        "cohort_sha256": facts.cohort_sha256,
        "columns": cells.encode_all(facts.columns),
        "dtypes": json.dumps(list(facts.dtypes)),
        "index_names": cells.encode_all(facts.index_names),
        "index_dtypes": json.dumps(list(facts.index_dtypes)),
        "folder": facts.folder,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a folder in PYTHONPATH has no metadata
        return "unknown"


def _key_values(key: Key) -> tuple[object, ...]:
    return key.pacs, key.destination, key.level, key.query_model, cells.encode_pairs(key.keys)


def _batched(values: Iterable[_T], size: int) -> Iterator[tuple[_T, ...]]:
    left = iter(values)
    while batch := tuple(islice(left, size)):
        yield batch


def _now() -> str:
    return datetime.now(UTC).isoformat()
