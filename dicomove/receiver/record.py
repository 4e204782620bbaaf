"""The record of what is in the folder: one SQLite file, one row for each file, written when the file is durable."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final

from dicomove.errors import ReceiverError
from dicomove.outcome.patients import stripped
from dicomove.receiver.shelf import SERVICE_FOLDER

_FILE: Final = f"{SERVICE_FOLDER}/record.sqlite"
#: "dcmv", so that a file of something else is not taken for a record.
_APPLICATION: Final = 0x64636D76
_VERSION: Final = 1
_BUSY_S: Final = 10.0

#: The unique keys, from the patient down, and the columns that hold them.
KEYS: Final = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of the folder: the columns of the record.

    Attributes
    ----------
    path
        Relative to the folder.
    quarantine
        Why it is in quarantine; ``None`` where it is not.
    times_received
        How often these bytes came.
    """

    path: str
    bytes: int
    sha256: str
    SOPClassUID: str
    TransferSyntaxUID: str
    PatientID: str
    StudyInstanceUID: str
    SeriesInstanceUID: str
    SOPInstanceUID: str
    calling_ae_title: str
    address: str
    move_originator_ae_title: str | None
    move_originator_message_id: int | None
    received_at: str
    quarantine: str | None = None
    times_received: int = 1

    def is_of(self, keys: Mapping[str, str]) -> bool:
        """Whether it belongs to what these keys name, and is not in quarantine."""
        return self.quarantine is None and all(getattr(self, name) == stripped(keys[name]) for name in keys)


_COLUMNS: Final = [field.name for field in fields(Entry)]
_SCHEMA: Final = f"""
CREATE TABLE instances (
    {", ".join("path TEXT PRIMARY KEY" if name == "path" else name for name in _COLUMNS)}
) WITHOUT ROWID;
CREATE INDEX by_study ON instances (StudyInstanceUID, SeriesInstanceUID);
CREATE INDEX by_instance ON instances (SOPInstanceUID);
CREATE INDEX by_patient ON instances (PatientID);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""
_PLACES: Final = ", ".join("?" * len(_COLUMNS))
# The same bytes once more are counted; other bytes under the name ("replace") are a new entry.
_INSERT: Final = f"""
INSERT INTO instances VALUES ({_PLACES}) ON CONFLICT (path) DO UPDATE SET
    times_received = CASE WHEN sha256 = excluded.sha256 THEN times_received + 1 ELSE 1 END,
    {
    ", ".join(
        f"{name} = CASE WHEN sha256 = excluded.sha256 THEN {name} ELSE excluded.{name} END"
        for name in _COLUMNS
        if name not in ("path", "sha256", "times_received")
    )
},
    sha256 = excluded.sha256
"""  # noqa: S608 (names of our own columns)


class Record:
    """The record of one folder, open for writing.

    Rollback journal and full synchronisation: durable, and no shared memory, which network file systems lack.

    Raises
    ------
    ReceiverError
        The file is of something else, of a newer version, or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._connection = _open(folder / _FILE)

    def add(self, entries: Iterable[Entry]) -> None:
        """Write entries, all or none of them, durably.

        Raises
        ------
        sqlite3.Error
            The disk is full, say. Nothing was written.
        """
        with self._lock, self._connection:
            self._connection.executemany(_INSERT, [astuple(entry) for entry in entries])

    def of(self, keys: Mapping[str, str]) -> list[Entry]:
        """Return the entries of what these keys name, without those in quarantine."""
        with self._lock:
            return _entries_of(self._connection, keys)

    def sha256(self, path: str) -> str | None:
        """Return the hash of a file, ``None`` where it is not in the record."""
        with self._lock:
            found = self._connection.execute("SELECT sha256 FROM instances WHERE path = ?", (path,)).fetchone()
        return str(found[0]) if found else None

    def paths(self) -> set[str]:
        """Return the paths of all entries."""
        with self._lock:
            return {path for (path,) in self._connection.execute("SELECT path FROM instances")}

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def read_entries(folder: Path) -> list[Entry]:
    """Return all entries of a folder's record, by path, also while a receiver writes; none where there is no record.

    Raises
    ------
    ReceiverError
        The file is of something else, of a newer version, or damaged.
    """
    path = folder / _FILE
    if not path.exists():
        return []
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_S)) as connection:
            _check(connection, path)
            return [_entry(row) for row in connection.execute("SELECT * FROM instances ORDER BY path")]
    except sqlite3.DatabaseError as error:
        raise _damaged(path, error) from error


class RecordReader:
    """The record of one folder, for reading beside a receiver that writes.

    Parameters
    ----------
    folder
        The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / _FILE, timeout=_BUSY_S)

    def of(self, keys: Mapping[str, str]) -> list[Entry]:
        """Return the entries of what these keys name, without those in quarantine."""
        return _entries_of(self._connection, keys)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _entries_of(connection: sqlite3.Connection, keys: Mapping[str, str]) -> list[Entry]:
    where = " AND ".join(f"{name} = ?" for name in keys if name in KEYS)
    query = f"SELECT * FROM instances WHERE quarantine IS NULL AND {where}"  # noqa: S608 (keywords of our own)
    return [_entry(row) for row in connection.execute(query, [stripped(value) for value in keys.values()])]


def _open(path: Path) -> sqlite3.Connection:
    is_new = not path.exists() or not path.stat().st_size
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = FULL")
        if is_new:
            connection.executescript(_SCHEMA)
        _check(connection, path)
    except sqlite3.DatabaseError as error:
        raise _damaged(path, error) from error
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != _APPLICATION:
        message = f"{path} is no record of dicomove: was it put there by something else?"
        raise ReceiverError(message)
    if version != _VERSION:
        message = f"{path} is of version {version}, this dicomove reads version {_VERSION}: use the newer dicomove"
        raise ReceiverError(message)


def _damaged(path: Path, error: sqlite3.Error) -> ReceiverError:
    return ReceiverError(f"{path} cannot be read ({error}): move it away, and what is in the folder is received anew")


def _entry(row: tuple[object, ...]) -> Entry:
    return Entry(**dict(zip(_COLUMNS, row, strict=True)))  # type: ignore[arg-type]  # SQLite's own types are the columns'
