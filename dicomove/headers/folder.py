"""The files of a folder, and their headers: read once, kept beside the folder's record, and read again when changed."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from tqdm import tqdm

from dicomove.errors import DicomoveWarning, ReceiverError
from dicomove.files import SERVICE_FOLDER
from dicomove.headers.processes import read_headers
from dicomove.headers.reading import MISSING, Header
from dicomove.store import HeaderStore, StoredHeader, is_indexed

#: Written after so many files, so that a stopped call has not read in vain.
_WRITE_AFTER: Final = 2048
#: Files that dicomove or a medium's writer puts beside images.
NOT_IMAGES: Final = frozenset({"DICOMDIR", "manifest-sha256.txt", SERVICE_FOLDER})

Found = Mapping[str, tuple[int, int]]
"""Size and time of change of files, by their paths below a folder."""


def root_of(folder: Path) -> Path:
    """Return the folder that keeps the headers: that of a receiver, also for a folder inside it."""
    return next((parent for parent in (folder, *folder.parents) if is_indexed(parent)), folder)


def files_below(root: Path, folder: Path) -> Found:
    """Return the files of a folder, without dicomove's own."""
    return dict(sorted(_walk(str(folder), len(str(root)) + (not str(root).endswith(os.sep)))))


def _walk(folder: str, skip: int) -> Iterator[tuple[str, tuple[int, int]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != SERVICE_FOLDER:
                    yield from _walk(entry.path, skip)
            elif entry.name not in NOT_IMAGES and not entry.name.endswith(".part"):
                found = _state(entry)
                if found is not None:
                    yield entry.path[skip:].replace(os.sep, "/"), found


def _state(entry: os.DirEntry[str] | Path) -> tuple[int, int] | None:
    try:
        found = entry.stat()
    except OSError:
        return None
    # A pipe would never end; a link to a folder could lead in a circle.
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def listed(root: Path, paths: Sequence[str]) -> Found:
    """Return the files that a manifest lists; those that are gone have the size 0."""
    return {path: _state(root / path) or (0, 0) for path in paths}


def headers_of(
    root: Path, files: Found, keys: Sequence[str], *, processes: int | None, progress: bool
) -> dict[str, StoredHeader]:
    """Return the headers of files. Only what is new, or has changed, is read.

    Warns
    -----
    DicomoveWarning
        They cannot be kept.
    """
    try:
        store = HeaderStore(root)
    except ReceiverError as error:
        _cannot_keep(error)
        return _read(root, list(files), files, keys, keys, None, processes=processes, progress=progress)
    with closing(store):
        try:
            known = store.read(keys)
            wanted = store.all_keys(keys)
        except sqlite3.Error:
            known, wanted = {}, list(keys)
        fresh = {path: one for path, one in known.items() if files.get(path) == (one.size, one.mtime_ns)}
        new = [path for path in files if path not in fresh]
        if not new:
            return fresh
        return fresh | _read(root, new, files, wanted, keys, store, processes=processes, progress=progress)


def _read(
    root: Path,
    paths: Sequence[str],
    files: Found,
    wanted: Sequence[str],
    keys: Sequence[str],
    store: HeaderStore | None,
    *,
    processes: int | None,
    progress: bool,
) -> dict[str, StoredHeader]:
    """Read files, and keep what was read of all the keys that were ever wanted; return that of `keys`."""
    made: dict[str, StoredHeader] = {}
    alike: dict[tuple[str | None, ...], tuple[str | None, ...]] = {}
    waiting: list[StoredHeader] = []
    base = f"{root}{os.sep}"
    # The keys of this call come first in what is wanted.
    count = len(keys)
    with tqdm(total=len(paths), desc="headers", unit="file", file=sys.stderr, disable=not progress, delay=1) as bar:
        for part, found in read_headers([f"{base}{path}" for path in paths], wanted, processes):
            for full, header in zip(part, found, strict=True):
                path = full[len(base) :]
                stored = _stored(path, files[path], header)
                waiting.append(stored)
                made[path] = _cut(stored, count, alike)
            bar.update(len(part))
            if len(waiting) >= _WRITE_AFTER:
                store, waiting = _keep(store, waiting, wanted), []
    _keep(store, waiting, wanted)
    return made


def _stored(path: str, state: tuple[int, int], header: Header) -> StoredHeader:
    return StoredHeader(path, *state, header.error, header.uid, header.number, header.values, header.planes)


def _cut(stored: StoredHeader, count: int, alike: dict[tuple[str | None, ...], tuple[str | None, ...]]) -> StoredHeader:
    """Return what was read of the first keys. Images with the same values share them."""
    values = tuple(stored.values[:count]) if stored.values else (None,) * count
    return replace(stored, values=alike.setdefault(values, values))


def _keep(store: HeaderStore | None, headers: Sequence[StoredHeader], keys: Sequence[str]) -> HeaderStore | None:
    """Write headers; return ``None`` where that no longer works."""
    if store is None:
        return None
    try:
        store.add([one for one in headers if one.error != MISSING and is_text(one.path)], keys)
    except ReceiverError as error:
        _cannot_keep(error)
        return None
    return store


def _cannot_keep(error: ReceiverError) -> None:
    message = f"the headers are read again next time, since they cannot be kept: {error}"
    warnings.warn(message, DicomoveWarning, stacklevel=5)


def is_text(path: str) -> bool:
    """Whether a path can be written as text: on some systems, names are bytes."""
    return path == shown(path)


def shown(path: str) -> str:
    """Return a path as text, with ``?`` for what cannot be written."""
    return path.encode("utf-8", "replace").decode()
