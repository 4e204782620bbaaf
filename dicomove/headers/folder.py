"""Reads the headers of a folder's files, and stores them beside the folder's record. Changed files are read again.

Processes read the headers, a few files at a time. If a file kills its process, another one starts. The module does not
use `multiprocessing`, which imports the caller's script once more: a script without a guard would move everything
again.
"""

from __future__ import annotations

import json
import os
import queue
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import IO, Final

from tqdm import tqdm

from dicomove.errors import DicomoveWarning, ReceiverError, warn
from dicomove.files import shown
from dicomove.headers.reading import MISSING, UNREADABLE, Header, Reader, header_of, read_all
from dicomove.headers.sources import Found
from dicomove.processes import own_program
from dicomove.store import HeaderStore, StoredHeader

#: Headers are stored after so many files, so that a stopped call has not read them in vain.
_WRITE_AFTER: Final = 2048


def headers_of(
    root: Path, files: Found, keys: Sequence[str], *, processes: int | None, progress: bool
) -> dict[str, StoredHeader]:
    """Return the headers of files. Only files that are new, have changed, or could not be read before, are read.

    Warns
    -----
    DicomoveWarning
        The headers cannot be stored.
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
        except (sqlite3.Error, LookupError, TypeError, ValueError):  # it is damaged
            known, wanted = {}, list(keys)
        # A new permission to read does not change the time of a file, so failures are always tried again.
        readable = {path: one for path, one in known.items() if one.error != UNREADABLE}
        fresh = {path: one for path, one in readable.items() if files.get(path) == (one.size, one.mtime_ns)}
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
    """Read files with all keys of this and earlier calls, and store the headers; return the values of `keys`."""
    made: dict[str, StoredHeader] = {}
    alike: dict[tuple[str | None, ...], tuple[str | None, ...]] = {}
    waiting: list[StoredHeader] = []
    base = f"{root}{os.sep}"
    # The keys of this call come first.
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
    """Return the headers with the values of the first keys only. Images with the same values share one object."""
    values = tuple(stored.values[:count]) if stored.values else (None,) * count
    return replace(stored, values=alike.setdefault(values, values))


def _keep(store: HeaderStore | None, headers: Sequence[StoredHeader], keys: Sequence[str]) -> HeaderStore | None:
    """Store headers; return ``None`` if that failed."""
    if store is None:
        return None
    try:
        store.add([one for one in headers if one.error != MISSING and _is_text(one.path)], keys)
    except ReceiverError as error:
        _cannot_keep(error)
        return None
    return store


def _cannot_keep(error: ReceiverError) -> None:
    message = f"the headers are read again next time, since they cannot be kept: {error}"
    warn(message, DicomoveWarning)


def _is_text(path: str) -> bool:
    """Whether a path is valid text: on some systems, names are bytes."""
    return path == shown(path)


_AT_ONCE: Final = 64
#: Fewer files than this are read faster than a process starts.
_FEW: Final = 300


def process_count(processes: int | None) -> int:
    """Return the number of processes: by default the number of processors, at most 8.

    Raises
    ------
    ValueError
        It is not a whole number from 1.
    """
    if processes is None:
        return min(8, os.cpu_count() or 1)
    if isinstance(processes, bool) or not isinstance(processes, Integral) or processes < 1:
        message = f"processes={processes!r}: give a whole number from 1, or None"
        raise ValueError(message)
    return int(processes)


def read_headers(
    paths: Sequence[str], keys: Sequence[str], processes: int | None
) -> Iterator[tuple[Sequence[str], Sequence[Header]]]:
    """Yield the headers of files in batches, in their order."""
    count = process_count(processes)
    parts = [paths[start : start + _AT_ONCE] for start in range(0, len(paths), _AT_ONCE)]
    if len(paths) < _FEW or count == 1:
        reader = Reader(keys)
        for part in parts:
            yield part, read_all(reader, part)
        return
    free: queue.SimpleQueue[_Process] = queue.SimpleQueue()
    readers = [_Process(keys) for _ in range(count)]
    for one in readers:
        free.put(one)

    def read(part: Sequence[str]) -> list[Header] | None:
        one = free.get()
        try:
            return one.read(part)
        except _NotStartedError:
            return None
        finally:
            free.put(one)

    pool, own = ThreadPoolExecutor(count), Reader(keys)
    try:
        for part, found in zip(parts, pool.map(read, parts), strict=True):
            yield part, read_all(own, part) if found is None else found
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for one in readers:
            one.close()
        pool.shutdown()


class _NotStartedError(Exception):
    """The system starts no more processes now."""


class _Process:
    """A process that reads headers. It starts when it is needed."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._process: subprocess.Popen[str] | None = None
        self._closed = False

    def read(self, paths: Sequence[str]) -> list[Header]:
        """Return the headers of files. A file that kills the process counts as unreadable.

        Raises
        ------
        _NotStartedError
            The process cannot start.
        """
        if self._closed:
            return []
        process = self._process = self._process or self._start()
        try:
            return [header_of(values) for values in json.loads(_ask(process, json.dumps(paths)))]
        except (OSError, ValueError):
            self._end()
        if len(paths) == 1:
            return [Header(UNREADABLE)]
        half = len(paths) // 2
        return self.read(paths[:half]) + self.read(paths[half:])

    def _start(self) -> subprocess.Popen[str]:
        try:
            process = subprocess.Popen(  # noqa: S603 (our own module)
                own_program("dicomove.headers.reading"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # discarded, because a traceback may contain values of headers
                text=True,
                encoding="ascii",
                start_new_session=True,  # the stop button interrupts the caller only, which then ends this process
            )
        except OSError as error:
            raise _NotStartedError from error
        if process.stdin is not None:
            process.stdin.write(json.dumps(list(self._keys)) + "\n")
        return process

    def close(self) -> None:
        """Kill the process."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    _close(pipe)


def _ask(process: subprocess.Popen[str], line: str) -> str:
    if process.stdin is None or process.stdout is None:
        return ""
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return process.stdout.readline()


def _close(pipe: IO[str]) -> None:
    # Unsent data are not needed.
    with suppress(OSError):
        pipe.close()
