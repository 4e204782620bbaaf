"""What dicomove need not ask or read again: the answers of `find`, and the headers of a folder's files.

A thread writes all answers since its last transaction in one durable transaction. So `find` never waits for the disk,
and the disk does not get one transaction for each answer. The file of the headers has values that the images of a
series share only once; you can remove it at any time.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from dicomove.errors import JournalError, ReceiverError
from dicomove.files import SERVICE_FOLDER, user_path
from dicomove.store.schema import insert_into
from dicomove.store.sqlite import Database, transaction

#: The longest time from an answer to its transaction, without the time of the disk.
_BATCH_S: Final = 0.3

_FOUND: Final = Database(
    name="find journal",
    # "dcmf".
    application_id=0x64636D66,
    version=1,
    # `question` is a hash, `at` the time in seconds since 1970, `answer` JSON.
    schema="CREATE TABLE answers (question BLOB PRIMARY KEY, at REAL, answer TEXT) WITHOUT ROWID;",
    error=JournalError,
    busy_s=30.0,
    # It contains patients' data.
    mode=0o600,
    checks_pages=True,
    instead="give another name, or move that file away",
    afterwards="the next run asks the PACS again",
)

_HEADERS_FILE: Final = f"{SERVICE_FOLDER}/headers.sqlite"
_HEADERS_SCHEMA: Final = """
CREATE TABLE key_sets (number INTEGER PRIMARY KEY, keys UNIQUE);
CREATE TABLE shared (number INTEGER PRIMARY KEY, key_set, cells, UNIQUE (key_set, cells));
CREATE TABLE files (
    path TEXT PRIMARY KEY, size, mtime_ns, error, uid, instance_number, shared, planes
) WITHOUT ROWID;
"""
#: The last entry of the key sets of this version. Earlier versions did not read the positions of some frames.
_THIS_VERSION: Final = "#2"
_HEADERS: Final = Database(
    name="table of headers",
    # "dcmh".
    application_id=0x64636D68,
    version=1,
    schema=_HEADERS_SCHEMA,
    error=ReceiverError,
    busy_s=10.0,
    # The same permissions as the images.
    mode=0o666,
    checks_pages=False,
    instead="remove that file",
    afterwards="dicomove reads the headers again",
)


class FindJournal:
    """A file of answers, which one process at a time owns.

    Parameters
    ----------
    path
        The file; it is created if there is none.

    Raises
    ------
    JournalError
        The file has other content, is damaged, or another process has it.

    Attributes
    ----------
    problem
        The error after which the journal keeps no more answers; ``None`` as long as the file can be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = user_path(path).resolve()
        self.problem: str | None = None
        self._connection, self._owner = _FOUND.open_to_own(self.path)
        self._lock = threading.Lock()
        self._new: list[tuple[bytes, float, str]] = []
        self._has_new, self._is_closed = threading.Event(), threading.Event()
        self._writer = threading.Thread(target=self._write_all, name="dicomove-find-journal", daemon=False)
        self._writer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def answers(self, questions: Iterable[bytes], since: float | None) -> dict[bytes, str]:
        """Return the answers to these questions that came after a time, in seconds since 1970.

        Raises
        ------
        JournalError
            The file cannot be read.
        """
        statement = "SELECT at, answer FROM answers WHERE question = ?"
        found: dict[bytes, str] = {}
        try:
            for question in questions:
                row = self._connection.execute(statement, (question,)).fetchone()
                if row and (since is None or row[0] > since):
                    found[question] = row[1]
        except sqlite3.Error as error:
            raise _FOUND.unusable(self.path, error, "read") from None
        return found

    def add(self, question: bytes, answer: str) -> None:
        """Keep an answer; it is durable within half a second, and once the journal is closed."""
        with self._lock:
            self._new.append((question, time.time(), answer))
        self._has_new.set()

    def close(self) -> None:
        """Write what is not written yet, and release the file."""
        if self._is_closed.is_set():
            return
        self._is_closed.set()
        self._has_new.set()
        self._writer.join()
        self._connection.close()
        self._owner.release()

    def _write_all(self) -> None:
        while not self._is_closed.is_set() and threading.main_thread().is_alive():
            if self._has_new.wait(1):
                self._has_new.clear()
                self._write()
                self._is_closed.wait(_BATCH_S)
        self._write()

    def _write(self) -> None:
        with self._lock:
            new, self._new = self._new, []
        if not new or self.problem:
            return
        try:
            with transaction(self._connection):
                self._connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", new)
        except sqlite3.Error as error:
            self.problem = str(_FOUND.unusable(self.path, error, "written"))


@dataclass(frozen=True, slots=True)
class StoredHeader:
    """The values that dicomove has read from one file.

    Attributes
    ----------
    path
        The path, relative to the folder.
    size, mtime_ns
        Its size and time of change when it was read.
    error
        The reason why the file could not be read; ``None`` if it was read.
    values
        The values of the requested keys.
    planes
        The positions and orientations of its images, as numbers of 8 bytes.
    """

    path: str
    size: int
    mtime_ns: int
    error: str | None
    uid: str | None
    number: int | None
    values: Sequence[str | None]
    planes: bytes


class HeaderStore:
    """The headers of one folder.

    Parameters
    ----------
    folder
        The folder.

    Raises
    ------
    ReceiverError
        The file is damaged, has other content, or cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / _HEADERS_FILE
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            message = f"the folder {path.parent} cannot be created: {error.strerror or error}"
            raise ReceiverError(message) from None
        self._path = path
        self._connection = _HEADERS.open_to_write(path)
        self._shared: dict[tuple[int, str], int] = {}

    def all_keys(self, keys: Iterable[str]) -> list[str]:
        """Return these keys, followed by the other keys that were read before."""
        known = (key for _, known in self._key_sets() for key in known if key != _THIS_VERSION)
        return list(dict.fromkeys([*keys, *known]))

    def read(self, keys: Sequence[str]) -> dict[str, StoredHeader]:
        """Return the headers that have all of these keys, by path, without those that an earlier version read."""
        places = {number: _places(keys, known) for number, known in self._key_sets()}
        cells_of = self._connection.execute("SELECT number, key_set, cells FROM shared")
        shared = {number: _chosen(cells, places[key_set]) for number, key_set, cells in cells_of}
        rows = self._connection.execute("SELECT * FROM files")
        found = {}
        for path, size, mtime_ns, error, uid, instance_number, number, planes in rows:
            values = shared[number]
            if values is not None:
                found[path] = StoredHeader(path, size, mtime_ns, error, uid, instance_number, values, planes)
        return found

    def add(self, headers: Iterable[StoredHeader], keys: Sequence[str]) -> None:
        """Write headers with the values of these keys, all or none of them.

        Raises
        ------
        ReceiverError
            The file cannot be written.
        """
        try:
            with transaction(self._connection):
                key_set = self._number("key_sets", ("keys",), (json.dumps([*keys, _THIS_VERSION]),))
                rows = [
                    (
                        *(one.path, one.size, one.mtime_ns, one.error, one.uid, one.number),
                        self._shared_number(key_set, json.dumps(list(one.values or [None] * len(keys)))),
                        one.planes,
                    )
                    for one in headers
                ]
                self._connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            # Values that were not written have no number.
            self._shared.clear()
            raise _HEADERS.unusable(self._path, error, "written") from None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _key_sets(self) -> list[tuple[int, list[str]]]:
        found = self._connection.execute("SELECT number, keys FROM key_sets ORDER BY number DESC").fetchall()
        return [(number, json.loads(keys)) for number, keys in found]

    def _shared_number(self, key_set: int, cells: str) -> int:
        known = self._shared.get((key_set, cells))
        if known is None:
            known = self._shared[key_set, cells] = self._number("shared", ("key_set", "cells"), (key_set, cells))
        return known

    def _number(self, table: str, names: Sequence[str], values: Sequence[object]) -> int:
        where = " AND ".join(f"{name} = ?" for name in names)
        query = f"SELECT number FROM {table} WHERE {where}"  # noqa: S608 (names of our own)
        found = self._connection.execute(query, values).fetchone()
        if found is None:
            with closing(self._connection.execute(insert_into(table, names), values)) as cursor:
                return int(cursor.lastrowid or 0)
        return int(found[0])


def _places(keys: Sequence[str], known: Sequence[str]) -> list[int] | None:
    places = {key: place for place, key in enumerate(known)}
    if _THIS_VERSION not in places:
        return None
    return [places[key] for key in keys] if all(key in places for key in keys) else None


def _chosen(cells: str, places: Sequence[int] | None) -> list[str | None] | None:
    if places is None:
        return None
    found = json.loads(cells)
    return [found[place] for place in places]
