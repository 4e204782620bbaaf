"""The headers of a folder's files, which dicomove need not read again.

The values that the images of a series share are in the file only once. You can remove the file at any time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomove.errors import ReceiverError
from dicomove.files import SERVICE_FOLDER
from dicomove.store.schema import insert_into
from dicomove.store.sqlite import Database, transaction

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
