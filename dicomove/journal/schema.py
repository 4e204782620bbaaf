"""The tables of the journal; docs/journal.md explains them to the person who reads one years later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Final

from dicomove.receiver.record import Entry
from dicomove.results import Row

#: Where the folder of a receiver has it.
JOURNAL_FILE: Final = ".dicomove/journal.sqlite"
#: "dcmj", so that a file of something else is not taken for a journal.
APPLICATION: Final = 0x64636D6A
VERSION: Final = 1

#: The columns of a result, and those of an instance; the patient's identifier is in the files.
RESULT: Final = [field.name for field in fields(Row) if field.name != "resumed"]
INSTANCE: Final = [field.name for field in fields(Entry) if field.name != "PatientID"]
#: What versions before 0.2 called the outcome of a row that an earlier run had completed.
_BEFORE: Final = "skipped"
_TIMES: Final = ("started_at", "finished_at")
_NOTHING: Final = (None,) * len(RESULT)

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
    key, {", ".join(INSTANCE)}, run, attempt, PRIMARY KEY (key, path, sha256)
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""


def result_values(row: Row | None) -> Sequence[object]:
    """Return a result as SQLite keeps it; one that is not there yet as nulls."""
    return _NOTHING if row is None else [_kept(getattr(row, name)) for name in RESULT]


def row_of(values: Sequence[Any]) -> Row:
    """Return the result that was kept."""
    named = dict(zip(RESULT, values, strict=True))
    if named["outcome"] == _BEFORE:
        named["outcome"] = "complete"
    for name in _TIMES:
        named[name] = datetime.fromisoformat(named[name]) if named[name] else None
    return Row(**named)


def settled_row_of(values: Sequence[Any]) -> Row:
    """Return the result that stood when its run began: one that was complete then is of an earlier run."""
    row = row_of(values)
    return replace(row, attempts=0, resumed=True) if row.outcome == "complete" else row


def instance_values(entry: Entry) -> list[object]:
    """Return an instance as SQLite keeps it."""
    return [_kept(getattr(entry, name)) for name in INSTANCE]


def _kept(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    # What a PACS says need not be text that can be written.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value
