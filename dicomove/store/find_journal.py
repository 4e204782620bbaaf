"""The answers of `find`, which a later `find` need not ask for again.

A thread writes all answers since its last transaction in one durable transaction. So `find` never waits for the disk,
and the disk does not get one transaction for each answer.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterable
from typing import Final, Self

from dicomove.errors import JournalError
from dicomove.files import user_path
from dicomove.store.sqlite import Database, transaction

#: The longest time from an answer to its transaction, without the time of the disk.
_BATCH_S: Final = 0.3

_DATABASE: Final = Database(
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
        self._connection, self._owner = _DATABASE.open_to_own(self.path)
        self._lock = threading.Lock()
        self._new: list[tuple[bytes, float, str]] = []
        self._has_new, self._is_closed = threading.Event(), threading.Event()
        self._writer = threading.Thread(target=self._write_all, name="dicomove-find-journal", daemon=False)
        self._writer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
            raise _DATABASE.unusable(self.path, error, "read") from None
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
            self.problem = str(_DATABASE.unusable(self.path, error, "written"))
