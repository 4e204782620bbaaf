"""The record as a DataFrame, and `verify`, which compares it with the files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Final

import pandas as pd

from dicomove import columns
from dicomove.files import file_sha256
from dicomove.receiver.record import Entry, read_entries
from dicomove.receiver.shelf import SERVICE_FOLDER

#: The columns of a manifest. The patient's identifier is in the record, and in the files.
MANIFEST_COLUMNS: Final = tuple(field.name for field in fields(Entry) if field.name != "PatientID")
_NUMBERS: Final = ("bytes", "move_originator_message_id", "times_received")
_FOLDER: Final = "folder"


def manifest_of(folder: Path) -> pd.DataFrame:
    """Return the record of a folder, one row per file; none where there is no record."""
    entries = read_entries(folder)
    made: dict[str, pd.Series] = {}
    for name in MANIFEST_COLUMNS:
        values = [getattr(entry, name) for entry in entries]
        if name in _NUMBERS:
            made[name] = columns.counts(values)
        elif name == "received_at":
            made[name] = columns.times([datetime.fromisoformat(value) for value in values])
        else:
            made[name] = columns.text(values)
    table = pd.DataFrame(made)
    table.attrs[_FOLDER] = str(folder)
    return table


def verify(
    folder_or_manifest: str | os.PathLike[str] | pd.DataFrame, *, folder: str | os.PathLike[str] | None = None
) -> pd.DataFrame:
    """Read every file again and compare it with the record: size and SHA-256.

    Parameters
    ----------
    folder_or_manifest
        The folder of a `Receiver`, or a manifest: also one that was kept as a file.
    folder
        The folder, for a manifest that was kept as a file.

    Returns
    -------
    pandas.DataFrame
        The manifest and the column ``verified``: ``"ok"``, ``"missing"``, ``"size_differs"``, ``"hash_differs"``; and
        for a folder, files that are not in the record, with ``"unrecorded"``.

    Raises
    ------
    ReceiverError
        The record cannot be read.
    ValueError
        A manifest without a folder, or without its columns.
    """
    if isinstance(folder_or_manifest, pd.DataFrame):
        table = folder_or_manifest.copy()
        root = folder if folder is not None else table.attrs.get(_FOLDER)
        if root is None or not {"path", "bytes", "sha256"} <= set(table.columns):
            message = "a manifest has the columns path, bytes and sha256; say in which folder=... its files are"
            raise ValueError(message)
    else:
        root = folder_or_manifest
        table = manifest_of(Path(root).absolute())
        table = _with_unrecorded(table, Path(root).absolute())
    return table.assign(verified=_verdicts(table, Path(root).absolute()))


def _verdicts(table: pd.DataFrame, root: Path) -> pd.Series:
    def verdict(row: tuple[object, object, object]) -> str:
        path, size, sha256 = row
        return _verdict(root / str(path), size, sha256)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(verdict, table[["path", "bytes", "sha256"]].itertuples(index=False, name=None)))
    return columns.text(found, index=table.index)


def _verdict(path: Path, size: object, sha256: object) -> str:
    if not isinstance(sha256, str):
        return "unrecorded"
    try:
        if path.stat().st_size != int(str(size)):
            return "size_differs"
        return "ok" if file_sha256(path) == sha256 else "hash_differs"
    except OSError:
        return "missing"


def _with_unrecorded(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    recorded = set(table["path"])
    found = sorted(path for path in _files(root) if path not in recorded)
    more = pd.DataFrame({"path": columns.text(found)})
    attributes = table.attrs
    table = pd.concat([table, more], ignore_index=True) if found else table
    table.attrs = attributes
    return table


def _files(root: Path) -> Iterable[str]:
    for parent, folders, names in os.walk(root):
        if Path(parent) == root and SERVICE_FOLDER in folders:
            folders.remove(SERVICE_FOLDER)
        yield from (Path(parent, name).relative_to(root).as_posix() for name in names)
