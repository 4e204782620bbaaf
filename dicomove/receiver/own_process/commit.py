"""Makes files durable: hashes them, synchronises files and folders, then writes their rows of the index.

One thread hashes a file while another one synchronises others. Hashing takes longer than writing: in a thread of its
own it does not delay the network. The bytes come from the system's cache, so the hash is that of the written bytes. A
third thread reads the entries of the index for the rows in flight.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dicomove.files import synchronise_folder
from dicomove.logs import SparingLog
from dicomove.outcome import stripped
from dicomove.receiver.api import Durability, LostFile
from dicomove.receiver.own_process.open_file import FollowingDigest, OpenFile
from dicomove.store.instances import KEYS, InstanceIndex, InstanceReader, InstanceRecord

#: The most files that are placed and not durable yet; beyond it the senders wait. Each needs a file descriptor.
_MOST_WAITING: Final = 400
#: The most files, and the longest time, for one synchronisation: a disk synchronises hundreds as quickly as one.
_BATCH: Final = 200
_BATCH_S: Final = 0.5
_LONGEST_PUT_S: Final = 30.0
_RETRY_S: Final = 0.5
#: How long a row waits for the thread that reads the index, in seconds; after it, the row reads the index itself.
_LONGEST_READ_S: Final = 30.0
_MOST_KNOWN: Final = 10_000
#: The most lost files that are named one by one; beyond it, all rows count as not durable.
_MOST_LOST: Final = 1000

logger = logging.getLogger("dicomove.receiver")


@dataclass(frozen=True, slots=True)
class PendingFile:
    """A file that has its final name and is not durable yet.

    Attributes
    ----------
    file
        The open file, which the committer closes; ``None`` if the same bytes came again.
    record
        Its record in the index.
    digest
        The hash so far; ``None`` if the record has the final hash.
    """

    file: OpenFile | None
    record: InstanceRecord
    digest: FollowingDigest | None = None


class _Watched:
    """The records of a row in flight: those from the index, and those that have come since.

    Parameters
    ----------
    keys
        The unique keys of the row.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self.keys = keys
        self.before: list[InstanceRecord] | None = None
        self.since: list[InstanceRecord] = []
        self.is_read = threading.Event()


class Committer:
    """Makes files durable that have their final names. Any thread may add files.

    Parameters
    ----------
    folder, index
        The folder, and its index.
    replaces
        Whether a file may replace another one before that one is durable.
    """

    def __init__(self, folder: Path, index: InstanceIndex, *, replaces: bool = False) -> None:
        self._folder, self._index, self._replaces = folder, index, replaces
        self._places = threading.Semaphore(_MOST_WAITING)
        self._to_hash: queue.SimpleQueue[PendingFile | tuple[FollowingDigest, int] | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        #: By StudyInstanceUID: each row that begins looks for its own.
        self._waiting: defaultdict[str, dict[int, InstanceRecord]] = defaultdict(dict)
        self._hashed: list[PendingFile] = []
        #: Folders whose names are on the disk already.
        self._known: set[Path] = set()
        self._put = self._durable = self._wanted = 0
        self._problem: str | None = None
        self._log = SparingLog(logger)
        #: The lost files, by their names, until the same name has a durable file, or no run needs to know of them.
        self._lost: dict[str, LostFile] = {}
        #: Why more files than these are lost.
        self._more_lost: str | None = None
        self._closing = False
        # A separate connection: the one that writes waits for the disk, and a verdict must not.
        self._reader = InstanceReader(folder)
        self._watched: dict[Hashable, _Watched] = {}
        self._to_read: queue.SimpleQueue[_Watched | None] = queue.SimpleQueue()
        work_of_threads = (self._hash_all, self._commit_all, self._read_all)
        self._threads = [threading.Thread(target=work, daemon=True) for work in work_of_threads]
        for thread in self._threads:
            thread.start()

    def follow(self, digest: FollowingDigest, size: int) -> None:
        """Hash a file that is still coming, up to this size."""
        self._to_hash.put((digest, size))

    def put(self, pending: PendingFile) -> None:
        """Add a placed file.

        Raises
        ------
        OSError
            The index could not be written for too long.
        """
        if not self._places.acquire(timeout=_LONGEST_PUT_S):
            if pending.file:
                pending.file.close()
            message = f"the record cannot be written: {self._problem}"
            raise OSError(message)
        with self._changed:
            self._waiting[pending.record.StudyInstanceUID][id(pending)] = pending.record
            self._put += 1
            for watched in self._watched.values():
                if pending.record.is_of(watched.keys):
                    watched.since.append(pending.record)
        self._to_hash.put(pending)

    def records(self, keys: Mapping[str, str]) -> list[InstanceRecord]:
        """Return the records with these keys whose files are on disk unchanged."""
        with self._changed:
            waiting = self._waiting_of(keys)
        known = {record.path: record for record in [*self._index.of(keys), *waiting]}
        return [record for record in known.values() if self._is_there(record)]

    def watch(self, row: Hashable, keys: Mapping[str, str]) -> None:
        """Note the arrivals of a row from now on; a thread reads its entries of the index meanwhile."""
        watched = _Watched(keys)
        with self._changed:
            watched.since += self._waiting_of(keys)
            self._watched[row] = watched
        self._to_read.put(watched)

    def has_read(self, row: Hashable) -> bool:
        """Return whether the entries of the index for a row in flight were read."""
        watched = self._watched.get(row)
        return watched is not None and watched.is_read.is_set()

    def watched(self, row: Hashable, keys: Mapping[str, str]) -> list[InstanceRecord]:
        """Return the same as `records` for a row at its end, without a wait for files of other rows."""
        with self._changed:
            watched = self._watched.pop(row, None)
        if watched is None or not watched.is_read.wait(_LONGEST_READ_S) or watched.before is None:
            return self.records(keys)
        known = {record.path: record for record in [*watched.before, *watched.since]}
        return [record for record in known.values() if self._is_there(record)]

    def forget(self, rows: Callable[[Hashable], bool]) -> None:
        """Stop watching these rows."""
        with self._changed:
            self._watched = {row: watched for row, watched in self._watched.items() if not rows(row)}

    def sha256(self, path: str) -> str | None:
        """Return the hash of the file with this name, if the index has it."""
        return self._index.sha256(path)

    def flush(self, seconds: float, *, forgets: bool = False) -> Durability:
        """Wait until all added files are durable.

        Parameters
        ----------
        seconds
            The longest wait.
        forgets
            Whether later calls do not report the losses again.
        """
        with self._changed:
            target = self._wanted = self._put
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._durable >= target or self._problem, seconds)
            late = self._problem or f"it takes more than {seconds:g} s" if self._durable < target else None
            durability = Durability(late or self._more_lost, tuple(self._lost.values()), is_late=late is not None)
            if forgets:
                self.forget_losses()
            return durability

    def forget_losses(self) -> None:
        """Report the losses so far no longer: no run goes on that has to know of them."""
        with self._changed:
            self._lost.clear()
            self._more_lost = None

    def close(self) -> Durability:
        """Finish as far as the disk allows, and end the threads; return what is not durable."""
        durability = self.flush(_LONGEST_PUT_S)
        self._to_hash.put(None)
        self._to_read.put(None)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_RETRY_S * 4)
        self._reader.close()
        return durability

    def _waiting_of(self, keys: Mapping[str, str]) -> list[InstanceRecord]:
        """Return what has its final name, and is not durable yet."""
        study = stripped(keys.get("StudyInstanceUID", ""))
        studies = [self._waiting.get(study, {})] if study else self._waiting.values()
        return [record for waiting in studies for record in waiting.values() if record.is_of(keys)]

    def _is_there(self, record: InstanceRecord) -> bool:
        try:  # without `Path`, which takes longer than the system
            return os.stat(f"{self._folder}/{record.path}").st_size == record.bytes  # noqa: PTH116
        except OSError:
            return False

    def _hash_all(self) -> None:
        while (given := self._to_hash.get()) is not None:
            digest, size = (given.digest, given.record.bytes) if isinstance(given, PendingFile) else given
            # This fails if the association has ended and the file is gone. A failure of the disk recurs below.
            with contextlib.suppress(OSError):
                if digest:
                    digest.follow(size)
            if isinstance(given, PendingFile):
                with self._changed:
                    self._hashed.append(given)
                    self._changed.notify_all()

    def _read_all(self) -> None:
        while watched := self._to_read.get():
            # If the index cannot be read now, the row reads it at its end, and reports the error.
            with contextlib.suppress(sqlite3.Error):
                watched.before = self._reader.of(watched.keys)
            watched.is_read.set()

    def _commit_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._hashed or self._closing)
                self._changed.wait_for(self._is_enough, _BATCH_S)
                batch, self._hashed = self._hashed, []
                if not batch and self._closing:
                    return
            self._commit(batch)

    def _is_enough(self) -> bool:
        return len(self._hashed) >= _BATCH or self._durable < self._wanted or self._closing

    def _commit(self, batch: Sequence[PendingFile]) -> None:
        records = [record for pending in batch if (record := self._synchronised(pending))]
        self._synchronise_folders({Path(record.path).parent for record in records})
        while not self._write(records):
            time.sleep(_RETRY_S)
        with self._changed:
            for pending in batch:
                study = pending.record.StudyInstanceUID
                del self._waiting[study][id(pending)]
                if not self._waiting[study]:
                    del self._waiting[study]
            for record in records if self._lost else ():  # they came again
                self._lost.pop(record.path, None)
            self._durable += len(batch)
            self._problem = None
            self._changed.notify_all()
        if batch:
            self._places.release(len(batch))

    def _synchronised(self, pending: PendingFile) -> InstanceRecord | None:
        """Synchronise a file; if that fails, remove it, because its content is unknown."""
        record, file = pending.record, pending.file
        if file is None:
            if self._is_there(record):
                return record
            self._lose(record, "the file with the same bytes is gone")
            return None
        try:
            if pending.digest:
                pending.digest.follow(record.bytes)
            file.synchronise()
            if self._replaces and not file.is_at(self._folder / record.path):
                return None  # another one has replaced it, whose record may already be there
        except OSError as error:
            if not file.is_at(self._folder / record.path):  # another one has replaced it, and follows
                return None
            file.close()  # Windows cannot remove an open file
            with contextlib.suppress(OSError):
                (self._folder / record.path).unlink()
            self._lose(record, error.strerror or str(error))
            return None
        finally:
            file.close()
        return replace(record, sha256=pending.digest.hexdigest()) if pending.digest else record

    def _lose(self, record: InstanceRecord, why: str) -> None:
        problem = f"a file could not be made durable: {why}"
        self._log.warning(problem)
        keys = {} if record.quarantine else {name: getattr(record, name) for name in KEYS}
        with self._changed:
            if len(self._lost) < _MOST_LOST:
                self._lost[record.path] = LostFile(keys, problem)
            else:
                self._more_lost = problem

    def _synchronise_folders(self, folders: set[Path]) -> None:
        """Synchronise these folders, and the folders above that may be new."""
        above = {parent for folder in folders - self._known for parent in folder.parents}
        for folder in folders | above:
            synchronise_folder(self._folder / folder)
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        self._known |= folders

    def _write(self, records: Sequence[InstanceRecord]) -> bool:
        try:
            self._index.add(records)
        except sqlite3.Error as error:
            with self._changed:
                self._problem = f"the record cannot be written: {error}"
                self._changed.notify_all()
            self._log.warning(self._problem)
            return False
        return True
