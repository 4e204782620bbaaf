"""The index of a folder: one SQLite file with one row for each file, written when the file is durable."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final, NamedTuple

from dicomove.errors import ReceiverError
from dicomove.files import SERVICE_FOLDER
from dicomove.outcome import stripped
from dicomove.store.sqlite import Database, connect, transaction

_FILE: Final = f"{SERVICE_FOLDER}/record.sqlite"

#: The unique keys, from the patient down, and the columns that hold them.
KEYS: Final = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRecord:
    """One file of the folder: the columns of the index.

    Attributes
    ----------
    path
        The path, relative to the folder.
    quarantine
        The reason why the file is in quarantine; ``None`` if it is not.
    times_received
        The number of times that these bytes arrived.
    remark
        What a user should know of a file that the receiver accepted: it contradicts its transfer syntax, or is an
        image without pixel data.
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
    remark: str | None = None

    def is_of(self, keys: Mapping[str, str]) -> bool:
        """Whether it belongs to these keys, and is not in quarantine."""
        if self.quarantine is not None:
            return False
        for name, value in keys.items():  # noqa: SIM110 (a generator takes longer, and each file is compared with all rows)
            if getattr(self, name) != stripped(value):
                return False
        return True


#: The columns of a manifest. The patient's identifier is in the index, and in the files.
MANIFEST_COLUMNS: Final = tuple(
    field.name for field in fields(InstanceRecord) if field.name not in ("PatientID", "remark")
)
_COLUMNS: Final = [field.name for field in fields(InstanceRecord) if field.name != "remark"]
#: Remarks have a table of their own, created with the first remark, so that earlier versions still read the index.
_REMARKS: Final = "CREATE TABLE IF NOT EXISTS remarks (path TEXT PRIMARY KEY, remark TEXT) WITHOUT ROWID"
_SCHEMA: Final = f"""
CREATE TABLE instances (
    {", ".join("path TEXT PRIMARY KEY" if name == "path" else name for name in _COLUMNS)}
) WITHOUT ROWID;
CREATE INDEX by_study ON instances (StudyInstanceUID, SeriesInstanceUID);
CREATE INDEX by_instance ON instances (SOPInstanceUID);
CREATE INDEX by_patient ON instances (PatientID);
"""
_DATABASE: Final = Database(
    name="record",
    # "dcmv".
    application_id=0x64636D76,
    version=1,
    schema=_SCHEMA,
    error=ReceiverError,
    busy_s=10.0,
    # The same permissions as the images.
    mode=0o666,
    checks_pages=False,
    instead="move that file away",
    afterwards="dicomove receives the files of the folder again",
)
_PLACES: Final = ", ".join("?" * len(_COLUMNS))
# The same bytes again increase the count. Other bytes under the same name ("replace") replace the entry.
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


class InstanceReader:
    """The index of one folder, for reading while a receiver writes.

    Raises
    ------
    ReceiverError
        The file has other content or a newer version, is damaged, or cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._connection = self._open(folder / _FILE)

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        # A reader with write access rolls back the unfinished transaction of a killed receiver.
        return connect(path, "rw", _DATABASE.busy_s)

    def of(self, keys: Mapping[str, str]) -> list[InstanceRecord]:
        """Return the instances of these keys, without those in quarantine."""
        where = " AND ".join(f"{name} = ?" for name in keys if name in KEYS)
        chosen = f"FROM instances WHERE quarantine IS NULL AND {where}"
        values = [stripped(keys[name]) for name in keys]
        with self._lock:
            records = [_record(row) for row in self._connection.execute(f"SELECT * {chosen}", values)]
            if not records or not _has_remarks(self._connection):
                return records
            query = f"SELECT path, remark FROM remarks WHERE path IN (SELECT path {chosen})"  # noqa: S608 (keywords of our own)
            remarks = dict(self._connection.execute(query, values).fetchall())
        return [replace(record, remark=remarks.get(record.path)) for record in records]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


class InstanceIndex(InstanceReader):
    """The same index, open to write; it is created if there is none."""

    _open = staticmethod(_DATABASE.open_to_write)

    def add(self, records: Iterable[InstanceRecord]) -> None:
        """Write records, all or none of them, durably.

        Raises
        ------
        sqlite3.Error
            For example, the disk is full. Nothing was written.
        """
        found = list(records)
        remarks = [(record.path, record.remark) for record in found if record.remark is not None]
        with self._lock, transaction(self._connection):
            self._connection.executemany(_INSERT, [[getattr(record, name) for name in _COLUMNS] for record in found])
            if _has_remarks(self._connection):  # of a file that was replaced
                self._connection.executemany("DELETE FROM remarks WHERE path = ?", [(record.path,) for record in found])
            if remarks:
                self._connection.execute(_REMARKS)
                self._connection.executemany("INSERT OR REPLACE INTO remarks VALUES (?, ?)", remarks)

    def sha256(self, path: str) -> str | None:
        """Return the hash of a file, ``None`` if it is not in the index."""
        with self._lock:
            found = self._connection.execute("SELECT sha256 FROM instances WHERE path = ?", (path,)).fetchone()
        return str(found[0]) if found else None

    def arrivals(self) -> dict[str, str]:
        """Return the time of arrival of each file, by path."""
        with self._lock:
            return dict(self._connection.execute("SELECT path, received_at FROM instances"))


def read_instances(folder: Path) -> list[InstanceRecord]:
    """Return all records of a folder's index, by path, also while a receiver writes.

    Raises
    ------
    ReceiverError
        There is no index, or it cannot be read.
    """
    with _DATABASE.open_to_read(folder / _FILE) as connection:
        remarks = _remarks(connection)
        records = map(_record, connection.execute("SELECT * FROM instances ORDER BY path"))
        return [replace(record, remark=remarks.get(record.path)) for record in records]


def read_sizes(folder: Path) -> list[tuple[str, int]]:
    """Return the SOP class and size of the instances of a folder, at most 20,000; an empty list without an index."""
    if not is_indexed(folder):
        return []
    with _DATABASE.open_to_read(folder / _FILE) as connection:
        query = "SELECT SOPClassUID, bytes FROM instances WHERE quarantine IS NULL LIMIT 20000"
        return [(str(sop_class), int(size)) for sop_class, size in connection.execute(query)]


class StudySize(NamedTuple):
    """The size of the part of a study that a folder has."""

    series: int
    instances: int
    bytes: int


def read_studies(folder: Path) -> dict[str, StudySize]:
    """Return the size of each study in a folder, by Study Instance UID, without files in quarantine.

    Raises
    ------
    ReceiverError
        The index cannot be read.
    """
    if not is_indexed(folder):
        return {}
    query = """SELECT StudyInstanceUID, count(DISTINCT SeriesInstanceUID), count(*), sum(bytes)
        FROM instances WHERE quarantine IS NULL GROUP BY StudyInstanceUID"""
    with _DATABASE.open_to_read(folder / _FILE) as connection:
        return {str(uid): StudySize(*map(int, numbers)) for uid, *numbers in connection.execute(query)}


def is_indexed(folder: Path) -> bool:
    """Tell whether a receiver has used a folder."""
    return (folder / _FILE).exists()


def _has_remarks(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'remarks'").fetchone() is not None


def _remarks(connection: sqlite3.Connection) -> dict[str, str]:
    if not _has_remarks(connection):
        return {}
    return dict(connection.execute("SELECT path, remark FROM remarks"))


def _record(row: tuple[object, ...]) -> InstanceRecord:
    # The columns have SQLite's own types.
    return InstanceRecord(**dict(zip(_COLUMNS, row, strict=True)))  # type: ignore[arg-type]
