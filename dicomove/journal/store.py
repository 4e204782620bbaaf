"""`Journal`: the file, open for writing.

A rollback journal and full synchronisation: durable, and no shared memory, which network file systems lack
(docs/decisions/0006).
"""

from __future__ import annotations

import json
import os
import platform
import socket
import sqlite3
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from dicomove.errors import JournalError
from dicomove.journal import cells
from dicomove.journal.ownership import Ownership
from dicomove.journal.schema import (
    BUSY_S,
    INSTANCE,
    RESULT,
    SCHEMA,
    check,
    damaged,
    instance_values,
    result_values,
    row_of,
)
from dicomove.journal.values import Earlier, Key, Reading, RowFacts, RunFacts, Stored

_PACKAGES: Final = ("dicomove", "pynetdicom", "pydicom", "pandas")
_KEY: Final = "pacs, destination, level, query_model, identifier"
_FIND_KEY: Final = (
    "SELECT key FROM keys WHERE pacs = ? AND destination = ? AND level = ? AND query_model = ? AND identifier = ?"
)


def _insert(table: str, names: Sequence[str], how: str = "INSERT") -> str:
    places = ", ".join("?" * len(names))
    return f"{how} INTO {table} ({', '.join(names)}) VALUES ({places})"


_ADD_KEY: Final = _insert("keys", _KEY.split(", "), "INSERT OR IGNORE")
_ADD_ROW: Final = _insert("rows", ["run", "position", "key", "label", "cells", *RESULT])
_ADD_ATTEMPT: Final = _insert("attempts", ["run", "key", "at", "level", "identifier", "sent", "final", *RESULT])
_ADD_INSTANCE: Final = _insert("instances", ["key", "run", *INSTANCE], "INSERT OR REPLACE")


class Journal:
    """The journal of one or more runs: one process writes, anybody may read.

    Within a process, those who open the same file share it.
    """

    _open: ClassVar[dict[Path, Journal]] = {}
    _opening: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._users = 0
        self._lock = threading.RLock()
        self._ownership = Ownership(path)
        try:
            self._connection = _connect(path)
        except BaseException:
            self._ownership.release()
            raise

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Journal:
        """Return the journal of this name, made if there is none.

        Raises
        ------
        JournalError
            The file is of something else, of a newer version, or damaged, or another process has it.
        """
        where = Path(path).absolute()
        with cls._opening:
            journal = cls._open.get(where)
            if journal is None:
                journal = cls._open[where] = cls(where)
            journal._users += 1
            return journal

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; who shares it keeps it."""
        with self._opening:
            self._users -= 1
            if not self._users:
                self._open.pop(self.path, None)
                with self._lock:
                    self._connection.close()
                self._ownership.release()

    def begin(self, facts: RunFacts, rows: Sequence[RowFacts]) -> int:
        """Write down a run and its rows, durably; return its number.

        Raises
        ------
        JournalError
            It cannot be written. Nothing was.
        """
        with self._lock:
            run: int = self._write(lambda connection: self._begin(connection, facts, rows))
            return run

    def add(self, run: int, readings: Sequence[Reading]) -> None:
        """Write down attempts and what is on disk of their rows, all or none of them, durably.

        Raises
        ------
        JournalError
            It cannot be written. Nothing was; another try may do.
        """
        with self._lock:
            self._write(lambda connection: self._add(connection, run, readings))

    def end(self, run: int, *, interrupted: bool) -> None:
        """Write down that a run has ended.

        Raises
        ------
        JournalError
            It cannot be written.
        """
        values = (_now(), int(interrupted), run)
        statement = "UPDATE runs SET ended_at = ?, interrupted = ? WHERE run = ?"
        with self._lock:
            self._write(lambda connection: connection.execute(statement, values))

    def known(self, keys: Collection[Key]) -> set[Key]:
        """Return those of these keys that an earlier run had."""
        wanted = set(keys)
        with self._lock:
            return {key for _, key in self._keys() if key in wanted}

    def earlier(self, keys: Collection[Key]) -> dict[Key, Earlier]:
        """Return the latest reading of each of these keys that has one."""
        wanted = set(keys)
        query = (
            f"SELECT key, run, at, {', '.join(RESULT)} FROM attempts "  # noqa: S608 (names of our own)
            "WHERE attempt IN (SELECT max(attempt) FROM attempts GROUP BY key)"
        )
        with self._lock:
            named = dict(self._keys())
            found = self._connection.execute(query)
            return {
                named[key]: Earlier(row_of(values), run, datetime.fromisoformat(at))
                for key, run, at, *values in found
                if named[key] in wanted
            }

    def instances(self, keys: Collection[Key]) -> dict[Key, list[Stored]]:
        """Return what was on disk of each of these keys when it was last written down."""
        made: dict[Key, list[Stored]] = {key: [] for key in keys}
        with self._lock:
            named = dict(self._keys())
            for key, path, size, sha256 in self._connection.execute("SELECT key, path, bytes, sha256 FROM instances"):
                if named[key] in made:
                    made[named[key]].append(Stored(path, size, sha256))
        return made

    def _keys(self) -> Iterable[tuple[int, Key]]:
        query = f"SELECT key, {_KEY} FROM keys"  # noqa: S608 (names of our own)
        for number, pacs, destination, level, model, identifier in self._connection.execute(query):
            pairs = tuple((name, value) for name, value in json.loads(identifier))
            yield number, Key(pacs, destination, level, model, pairs)

    def _begin(self, connection: sqlite3.Connection, facts: RunFacts, rows: Sequence[RowFacts]) -> int:
        values = _run_values(facts)
        run = connection.execute(_insert("runs", list(values)), list(values.values())).lastrowid or 0
        connection.executemany(_ADD_KEY, (_key_values(row.key) for row in rows if row.key))
        numbers = {key: number for number, key in self._keys()}
        connection.executemany(
            _ADD_ROW,
            (
                (
                    run,
                    row.position,
                    numbers[row.key] if row.key else None,
                    cells.encode(row.label),
                    cells.encode_all(row.cells),
                    *result_values(row.row),
                )
                for row in rows
            ),
        )
        return run

    def _add(self, connection: sqlite3.Connection, run: int, readings: Sequence[Reading]) -> None:
        at = _now()
        for reading in readings:
            (key,) = connection.execute(_FIND_KEY, _key_values(reading.key)).fetchone()
            asked = json.dumps(reading.identifier)
            values = (run, key, at, reading.level, asked, int(reading.sent), int(reading.final))
            connection.execute(_ADD_ATTEMPT, (*values, *result_values(reading.row)))
            connection.executemany(_ADD_INSTANCE, ((key, run, *instance_values(one)) for one in reading.instances))

    def _write(self, work: Any) -> Any:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            message = f"the journal {self.path} cannot be written: {error}"
            raise JournalError(message) from None
        return result


def _connect(path: Path) -> sqlite3.Connection:
    is_new = not path.exists() or not path.stat().st_size
    try:
        if is_new:
            path.touch(mode=0o600)
        else:
            _check(path)
        connection = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = FULL")
        if is_new:
            connection.executescript(f"BEGIN; {SCHEMA} COMMIT;")
    except sqlite3.DatabaseError as error:
        raise damaged(path, error) from None
    except OSError as error:
        message = f"the journal {path} cannot be made: {error.strerror or error}"
        raise JournalError(message) from None
    return connection


def _check(path: Path) -> None:
    """Look at a file before anything is written to it."""
    connection = sqlite3.connect(path, timeout=BUSY_S)
    try:
        check(connection, path)
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise damaged(path, found)
    finally:
        connection.close()


def _run_values(facts: RunFacts) -> Mapping[str, object]:
    versions = {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}
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


def _key_values(key: Key) -> tuple[object, ...]:
    return key.pacs, key.destination, key.level, key.query_model, json.dumps(key.keys)


def _now() -> str:
    return datetime.now(UTC).isoformat()
