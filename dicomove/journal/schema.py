"""The tables of the journal; docs/journal.md explains them to the person who reads one years later."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from dicomove.errors import JournalError
from dicomove.receiver.record import Entry
from dicomove.results import Row

#: Where the folder of a receiver has it.
JOURNAL_FILE: Final = ".dicomove/journal.sqlite"
#: "dcmj", so that a file of something else is not taken for a journal.
APPLICATION: Final = 0x64636D6A
VERSION: Final = 1
BUSY_S: Final = 30.0

#: The columns of a result, and those of an instance; the patient's identifier is in the files.
RESULT: Final = [field.name for field in fields(Row)]
INSTANCE: Final = [field.name for field in fields(Entry) if field.name != "PatientID"]
_TIMES: Final = ("started_at", "finished_at")
_RESULT_AT: Final = {name: number for number, name in enumerate(RESULT)}

SCHEMA: Final = f"""
CREATE TABLE runs (
    run INTEGER PRIMARY KEY, started_at, ended_at, interrupted, host, pid, versions,
    pacs, destination, calling_ae_title, options, cohort_sha256,
    columns, dtypes, index_names, index_dtypes, folder
);
CREATE TABLE keys (
    key INTEGER PRIMARY KEY, pacs, destination, level, query_model, identifier,
    UNIQUE (pacs, destination, level, query_model, identifier)
);
CREATE TABLE rows (
    run, position, key, label, cells, {", ".join(RESULT)}, PRIMARY KEY (run, position)
) WITHOUT ROWID;
CREATE TABLE attempts (
    attempt INTEGER PRIMARY KEY, run, key, at, level, identifier, sent, final, {", ".join(RESULT)}
);
CREATE INDEX attempts_by_key ON attempts (key, attempt);
CREATE TABLE instances (
    key, run, {", ".join(INSTANCE)}, PRIMARY KEY (key, path)
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""


def result_values(row: Row | None) -> list[object]:
    """Return a result as SQLite keeps it; one that is not there yet as nulls."""
    if row is None:
        return [None] * len(RESULT)
    values = [getattr(row, name) for name in RESULT]
    return [value.isoformat() if isinstance(value, datetime) else value for value in values]


def row_of(values: Sequence[Any]) -> Row:
    """Return the result that was kept."""
    named = dict(zip(RESULT, values, strict=True))
    for name in _TIMES:
        named[name] = datetime.fromisoformat(named[name]) if named[name] else None
    return Row(**named)


def instance_values(entry: Entry) -> list[object]:
    """Return an instance as SQLite keeps it."""
    return [getattr(entry, name) for name in INSTANCE]


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise JournalError for a file that is no journal, or one of another version."""
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application != APPLICATION:
        message = f"{path} is no journal of dicomove: give another name, or move that file away"
        raise JournalError(message)
    if version != VERSION:
        message = f"{path} is of version {version}, this dicomove reads version {VERSION}: use the newer dicomove"
        raise JournalError(message)


def damaged(path: Path, error: object) -> JournalError:
    """Return the error for a file that cannot be read."""
    return JournalError(
        f"{path} is damaged ({error}), and is left as it is: move it away, and the next run begins a new one; "
        "sqlite3's command .recover reads what can be read"
    )
