"""The tables of the journal, and the records that they hold. docs/journal.md explains the tables to users."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from dicomove.errors import JournalError
from dicomove.files import SERVICE_FOLDER, user_path
from dicomove.results import Row, is_resumed
from dicomove.store.instances import MANIFEST_COLUMNS, InstanceRecord
from dicomove.store.sqlite import Database
from dicomove.words import SKIPPED

#: The path of the journal in the folder of a receiver.
JOURNAL_FILE: Final = f"{SERVICE_FOLDER}/journal.sqlite"

#: What the journal keeps of the destination among the options. No report shows it: a path may be about a patient.
_OF_DESTINATION: Final = ("path", "receiver", "ask", "ask_calling_ae_title", "ask_quiet_period")
#: The column ``sent`` of an attempt that sent something. Earlier versions wrote 1 for a C-GET, too.
SENT_BY: Final = {"move": 1, "get": 2}
#: The columns of a result.
RESULT: Final = [name for name in Row._fields if name != "resumed"]
_TIMES: Final = ("started_at", "finished_at")
_TEXTS: Final = ("status", "error", "advice", "error_comment", "failed_sop_instance_uids")
_values: Final = attrgetter(*RESULT)
#: The positions of times, and of text that may come from a PACS or from the caller.
_CONVERTED: Final = [RESULT.index(name) for name in _TEXTS + _TIMES]
_NOTHING: Final = (None,) * len(RESULT)

_SCHEMA: Final = f"""
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
    key, {", ".join(MANIFEST_COLUMNS)}, run, attempt, PRIMARY KEY (key, path, sha256)
) WITHOUT ROWID;
"""
JOURNAL: Final = Database(
    name="journal",
    # "dcmj".
    application_id=0x64636D6A,
    version=1,
    schema=_SCHEMA,
    error=JournalError,
    busy_s=30.0,
    # It contains the caller's table.
    mode=0o600,
    checks_pages=True,
    instead="give another name, or move that file away",
    afterwards="the next run begins a new one",
)

#: The label of the first row of a run that asked for a key. SQLite takes it from the row that has the minimum.
FIRST_ROW: Final = "(SELECT run, key, label, min(position) FROM rows WHERE key IS NOT NULL GROUP BY run, key)"


def journal_at(path: str | os.PathLike[str]) -> Path:
    """Return the file of a journal; the path may be the folder of a receiver."""
    where = user_path(path)
    return where / JOURNAL_FILE if where.is_dir() else where


def result_values(row: Row | None) -> Sequence[object]:
    """Return the SQLite values of a result; nulls if there is none yet."""
    if row is None:
        return _NOTHING
    values = list(_values(row))
    for place in _CONVERTED:
        if values[place] is not None:
            values[place] = _stored_value(values[place])
    return values


def row_of(values: Sequence[Any]) -> Row:
    """Return the stored result."""
    named = dict(zip(RESULT, values, strict=True))
    if named["outcome"] == SKIPPED:
        named["outcome"] = "complete"
    for name in _TIMES:
        named[name] = datetime.fromisoformat(named[name]) if named[name] else None
    row = Row(**named)
    return row._replace(resumed=True) if is_resumed(row) else row


def row_at_begin_of(values: Sequence[Any]) -> Row:
    """Return the result that a row had when its run began: a complete one comes from an earlier run."""
    row = row_of(values)
    return row._replace(attempts=0, resumed=True) if row.outcome == "complete" else row


def instance_values(record: InstanceRecord) -> list[object]:
    """Return the SQLite values of an instance."""
    return [_stored_value(getattr(record, name)) for name in MANIFEST_COLUMNS]


def _stored_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    # Text from a PACS may contain characters that cannot be written.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value


class Stored(NamedTuple):
    """One file that existed when its row was recorded; its path is relative to the receiver's folder."""

    path: str
    bytes: int
    sha256: str


def shown_options(options: Mapping[str, object]) -> dict[str, object]:
    """Return the options of a run that a report shows."""
    return {name: value for name, value in options.items() if value is not None and name not in _OF_DESTINATION}


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """Identifies a row from run to run, independent of its number and its table.

    Attributes
    ----------
    pacs, destination
        ``"AET@host:port"`` and an AE title.
    level, query_model, keys
        The identifier.
    """

    pacs: str
    destination: str
    level: str
    query_model: str
    keys: tuple[tuple[str, str], ...]

    def __hash__(self) -> int:
        return hash(self.keys)  # the other fields are equal in all rows of a run, which asks ten times for each

    def __repr__(self) -> str:
        shown = (f"{name}={'<hidden>' if name == 'PatientID' else value}" for name, value in self.keys)
        return f"Key({', '.join([self.pacs, self.destination, self.level, self.query_model, *shown])})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run: the facts common to all of its rows.

    Attributes
    ----------
    pacs, destination, calling_ae_title, options
        The arguments of `move`.
    cohort_sha256
        The hash of the caller's table.
    columns, dtypes, index_names, index_dtypes
        The columns and the index levels of the caller's table, in order.
    folder
        The folder of the receiver, if there is one.
    """

    pacs: str
    destination: str
    calling_ae_title: str
    options: Mapping[str, object]
    cohort_sha256: str
    columns: Sequence[Hashable]
    dtypes: Sequence[str]
    index_names: Sequence[Hashable]
    index_dtypes: Sequence[str]
    folder: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRecord:
    """One row of the caller's table.

    Attributes
    ----------
    position, label, cells
        Its position, label and cells.
    key
        The key of the row; ``None`` if the row cannot be a C-MOVE.
    row
        A result that is known from the beginning: for a row that `find` could not match, that is invalid, or that an
        earlier run completed.
    """

    position: int
    label: Hashable
    cells: Sequence[object]
    key: Key | None = None
    row: Row | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt, and the result of its row after it.

    Attributes
    ----------
    key
        The key of the row.
    row
        The result of the row after the attempt.
    level, identifier
        The request: a retry asks only for missing instances.
    sent
        Whether a C-MOVE or C-GET was sent, or may have been.
    method
        Which of the two.
    final
        Whether it is the last attempt in this run.
    instances
        The files of the row on disk.
    """

    key: Key
    row: Row
    level: str
    identifier: tuple[tuple[str, str], ...]
    sent: bool = True
    method: Literal["move", "get"] = "move"
    final: bool = True
    instances: Sequence[InstanceRecord] = ()


@dataclass(frozen=True, slots=True)
class PreviousResult:
    """The latest result of a row, with its run, its time, and whether that run had ``verify="arrivals"``."""

    row: Row
    run: int
    at: datetime
    by_arrivals: bool = False

    @property
    def is_counted(self) -> bool:
        """Whether the number of its instances was known, or asked for."""
        return self.row.expected is not None or not self.by_arrivals


def placeholders(values: Sequence[object]) -> str:
    """Return ``(?, ?, ...)``, with one ``?`` for each value.

    Examples
    --------
    >>> placeholders("abc")
    '(?, ?, ?)'
    """
    return f"({', '.join('?' * len(values))})"


def insert_into(table: str, names: Sequence[str]) -> str:
    """Return the statement that inserts a row with these columns.

    Examples
    --------
    >>> insert_into("keys", ["key", "pacs"])
    'INSERT INTO keys (key, pacs) VALUES (?, ?)'
    """
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {placeholders(names)}"  # noqa: S608 (names of our own)
