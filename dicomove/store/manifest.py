"""The record of a folder as a DataFrame, and as a list of hashes for `sha256sum -c` (BagIt, RFC 8493); `verify`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any, Final

import pandas as pd

from dicomove import columns
from dicomove.errors import ReceiverError
from dicomove.files import file_sha256, files_in, replacing, shown, user_path
from dicomove.store import cells
from dicomove.store.instances import MANIFEST_COLUMNS, is_indexed, read_instances
from dicomove.store.schema import FIRST_ROW, JOURNAL, journal_at

_NUMBERS: Final = ("run", "bytes", "move_originator_message_id", "times_received")
_FOLDER: Final = "folder"
_LIST_SUFFIX: Final = ".txt"
_LATEST: Final = "(i.key, i.attempt) IN (SELECT key, max(attempt) FROM instances GROUP BY key)"
#: The name of the list of hashes in the folder of the files.
CHECKSUMS_FILE: Final = "manifest-sha256.txt"

_LINE: Final = re.compile(r"\\?([0-9a-fA-F]{64})[ ][ *](.+)")
_BACK: Final = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


def read_manifest(path: str | os.PathLike[str], *, run: int | None = None) -> pd.DataFrame:
    """Return the files of a folder, or the files on disk according to a journal.

    Parameters
    ----------
    path
        The folder of a `Receiver`: the files in its record, from all runs, as `Receiver.manifest` returns them. Or a
        journal: the files of its rows at their last record.
    run
        Only the files that this run was the first to record, even if they are gone now. The answer comes from the
        journal; the journal of a folder is in that folder.

    Returns
    -------
    pandas.DataFrame
        One row per instance, with the columns of `Receiver.manifest`. A journal adds ``run``, the first run that
        recorded the file, and ``row``, the label of the first row of that run that asked for it.

    Raises
    ------
    ReceiverError
        The folder has no record of a receiver, or the record cannot be read.
    JournalError
        There is no journal, or it cannot be read.
    """
    where = user_path(path)
    return _manifest_of(where) if run is None and where.is_dir() else _journal_manifest(where, run)


def _manifest_of(folder: Path) -> pd.DataFrame:
    """Return the record of a folder, one row per file."""
    records = read_instances(folder)
    table = _table({name: [getattr(record, name) for record in records] for name in (*MANIFEST_COLUMNS, "remark")})
    table.attrs[_FOLDER] = str(folder.absolute())
    return table


def _journal_manifest(path: Path, run: int | None) -> pd.DataFrame:
    with JOURNAL.open_to_read(journal_at(path)) as connection:
        query = f"""
            SELECT {", ".join(f"i.{name}" for name in MANIFEST_COLUMNS)}, NULL, i.run, r.label, max(i.attempt)
            FROM instances i LEFT JOIN {FIRST_ROW} r ON r.run = i.run AND r.key = i.key
            WHERE {_LATEST if run is None else "i.run = ?"} GROUP BY i.path ORDER BY i.path"""  # noqa: S608 (our names)
        found = connection.execute(query, () if run is None else (run,)).fetchall()
    names = (*MANIFEST_COLUMNS, "remark", "run", "row")
    return _table({name: [row[number] for row in found] for number, name in enumerate(names)})


def _table(values: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    def column(name: str, found: Sequence[Any]) -> pd.Series:
        if name in _NUMBERS:
            return columns.counts(found)
        if name == "received_at":
            return columns.times([datetime.fromisoformat(value) if value else None for value in found])
        return cells.labels(found) if name == "row" else columns.text(found)

    return pd.DataFrame({name: column(name, found) for name, found in values.items()})


def write_checksums(
    folder_or_manifest: str | os.PathLike[str] | pd.DataFrame, path: str | os.PathLike[str] | None = None
) -> Path:
    """Write the hashes of a folder's files as ``manifest-sha256.txt``, which ``sha256sum -c`` checks.

    Each line is ``<hash>  <path>``, as in BagIt. The hashes come from the folder's record: the receiver took them when
    the images arrived, and this function reads no file again. Files in quarantine are left out.

    Parameters
    ----------
    folder_or_manifest
        The folder of a `Receiver`, or its manifest.
    path
        The file; by default ``manifest-sha256.txt`` in the folder, where ``sha256sum -c manifest-sha256.txt`` finds the
        images.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ReceiverError
        The folder has no record, or it cannot be read.
    ValueError
        A manifest without its columns; or one without a folder, and no path.
    """
    table = (
        folder_or_manifest if isinstance(folder_or_manifest, pd.DataFrame) else _manifest_of(Path(folder_or_manifest))
    )
    if not {"path", "sha256"} <= set(table.columns) or (path is None and _FOLDER not in table.attrs):
        message = "give a manifest with the columns path and sha256, and the path of the file to write"
        raise ValueError(message)
    accepted = table[table["quarantine"].isna()] if "quarantine" in table.columns else table
    where = user_path(path) if path is not None else Path(str(table.attrs[_FOLDER]), CHECKSUMS_FILE)
    rows = zip(map(str, accepted["path"]), map(str, accepted["sha256"]), strict=True)
    write_hashes(where, rows)
    return where


def verify(
    folder_or_manifest: str | os.PathLike[str] | pd.DataFrame, *, folder: str | os.PathLike[str] | None = None
) -> pd.DataFrame:
    """Read every file again and compare it with the record: size and SHA-256.

    Parameters
    ----------
    folder_or_manifest
        The folder of a `Receiver`, or a manifest, also one from a file. For a folder without a record, `verify` reads
        its ``manifest-sha256.txt``, if there is one: it has hashes, but no sizes. To compare with that file although
        there is a record, give its path.
    folder
        The folder, for a manifest from a file; by default, that of ``manifest-sha256.txt``.

    Returns
    -------
    pandas.DataFrame
        The manifest and the column ``verified``: ``"ok"``, ``"missing"``, ``"size_differs"``, ``"hash_differs"``,
        ``"unreadable"`` (a bad sector, or no right to read); and for a folder, files that are not in the record, with
        ``"unrecorded"``.

    Raises
    ------
    ReceiverError
        There is no such folder, it has neither a record nor files, or its record cannot be read.
    ValueError
        A manifest without a folder, or without its columns.
    """
    if isinstance(folder_or_manifest, pd.DataFrame):
        table = folder_or_manifest.copy()
        root = folder if folder is not None else table.attrs.get(_FOLDER)
        if root is None or not {"path", "bytes", "sha256"} <= set(table.columns):
            message = "give a manifest with the columns path, bytes and sha256, and the folder=... of its files"
            raise ValueError(message)
    elif (given := user_path(folder_or_manifest)).suffix == _LIST_SUFFIX and not given.is_dir():
        root = user_path(folder) if folder is not None else given.absolute().parent
        table = _with_unrecorded(_listed(given), root)
    elif not given.is_dir():
        message = f"there is no folder {given}: give the folder of a receiver"
        raise ReceiverError(message)
    else:
        root = given
        recorded = _manifest_of(root) if is_indexed(root) else _listed(root / CHECKSUMS_FILE, may_lack=True)
        table = _with_unrecorded(recorded, root)
        if table.empty and not is_indexed(root):
            message = f"the folder {given} has neither files nor the record of a receiver: is it the right one?"
            raise ReceiverError(message)
    verdicts = _verdicts(table, Path(root).absolute())
    return table.assign(path=columns.text(map(shown, table["path"]), index=table.index), verified=verdicts)


def _listed(path: Path, *, may_lack: bool = False) -> pd.DataFrame:
    """Return the entries of ``manifest-sha256.txt``; with `may_lack`, no rows if there is no such file."""
    if not may_lack and not path.is_file():
        message = f"there is no file {path}: dicomove.export(folder, 'manifest-sha256.txt') writes one"
        raise ReceiverError(message)
    found = read_hashes(path) if path.is_file() else []
    values: dict[str, list[Any]] = {name: [None] * len(found) for name in MANIFEST_COLUMNS}
    table = _table(values | {"sha256": [sha256 for _, sha256 in found]})
    # Names may be bytes that are not text.
    return table.assign(path=pd.Series([name for name, _ in found], dtype=object))


def _verdicts(table: pd.DataFrame, root: Path) -> pd.Series:
    def verdict(row: tuple[object, object, object]) -> str:
        path, size, sha256 = row
        return _verdict(root / str(path), size, sha256)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(verdict, table[["path", "bytes", "sha256"]].itertuples(index=False, name=None)))
    return columns.text(found, index=table.index)


def _verdict(path: Path, size: Any, sha256: object) -> str:
    if not isinstance(sha256, str):
        return "unrecorded"
    try:
        if not path.is_file():  # reading a pipe would never end
            return "missing"
        if not pd.isna(size) and path.stat().st_size != int(str(size)):
            return "size_differs"
        return "ok" if file_sha256(path) == sha256 else "hash_differs"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "unreadable"


def _with_unrecorded(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    recorded = set(table["path"])
    # The file of hashes cannot list itself.
    found = sorted(name for name in files_in(root) if name not in recorded and name != CHECKSUMS_FILE)
    more = pd.DataFrame({"path": pd.Series(found, dtype=object)})
    attributes = table.attrs
    table = pd.concat([table, more], ignore_index=True) if found else table
    table.attrs = attributes
    return table


def write_hashes(path: Path, hashes: Iterable[tuple[str, str]]) -> None:
    """Write hashes, each with the path of its file.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n", errors="surrogateescape") as file:
        file.writelines(f"{_line(name, sha256)}\n" for name, sha256 in hashes)


def read_hashes(path: Path) -> list[tuple[str, str]]:
    """Return the path and the hash of each file.

    Raises
    ------
    ReceiverError
        A line has another form.
    """
    lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").split("\n")
    return [_read(line.removesuffix("\r"), number, path) for number, line in enumerate(lines, start=1) if line.strip()]


def _line(name: str, sha256: str) -> str:
    """Return a line as `sha256sum` writes it: it begins with a backslash if the name has one, or a line break."""
    safe = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if safe == name else chr(92)}{sha256}  {safe}"


def _read(line: str, number: int, path: Path) -> tuple[str, str]:
    found = _LINE.fullmatch(line)
    if found is None:
        message = f"line {number} of {path} is not a SHA-256 and a path: write the file again"
        raise ReceiverError(message)
    sha256, name = found.groups()
    if line.startswith("\\"):
        name = re.sub(r"\\[\\nr]", lambda escaped: _BACK[escaped.group()], name)
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        message = f"line {number} of {path} names a file outside of the folder: write the file again"
        raise ReceiverError(message)
    return name.removeprefix("./"), sha256.lower()
