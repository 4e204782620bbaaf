"""Makes what came durable: its hash, the files on the disk, then their rows in the index.

Two threads, so that the hash of one file is taken while others are brought onto the disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dicomove.files import synchronise_folder
from dicomove.receiver.digest import FollowingDigest
from dicomove.store.instances import InstanceIndex, InstanceRecord

#: Files that are placed and not yet durable; beyond it the senders wait. Each holds a file descriptor.
MOST_WAITING: Final = 400
#: As many at a time are made durable, or as have come within this time: a disk takes hundreds as quickly as one.
_BATCH: Final = 200
_BATCH_S: Final = 0.5
_LONGEST_PUT_S: Final = 30.0
_RETRY_S: Final = 0.5

logger = logging.getLogger("dicomove.receiver")


@dataclass(frozen=True, slots=True)
class Kept:
    """A placed file: its descriptor, which the keeper closes, and its entry; bytes that came again have none.

    Attributes
    ----------
    digest
        Of which the rest is still to take; ``None`` where the entry has it.
    """

    descriptor: int | None
    entry: InstanceRecord
    digest: FollowingDigest | None = None


class Keeper:
    """Takes over placed files, in any number of threads.

    Parameters
    ----------
    folder
        The folder.
    index
        Its index.
    """

    def __init__(self, folder: Path, index: InstanceIndex) -> None:
        self._folder, self._index = folder, index
        self._places = threading.Semaphore(MOST_WAITING)
        self._to_hash: queue.SimpleQueue[Kept | tuple[FollowingDigest, int] | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._waiting: dict[int, InstanceRecord] = {}
        self._hashed: list[Kept] = []
        self._given = self._durable = self._wanted = 0
        self._problem: str | None = None
        self._lost: str | None = None
        self._closing = False
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._hash_all, self._keep_all)]
        for thread in self._threads:
            thread.start()

    def follow(self, digest: FollowingDigest, size: int) -> None:
        """Let the digest of a file that is still coming follow, up to this size."""
        self._to_hash.put((digest, size))

    def give(self, kept: Kept) -> None:
        """Take over a placed file.

        Raises
        ------
        OSError
            The record could not be written for too long.
        """
        if not self._places.acquire(timeout=_LONGEST_PUT_S):
            _close(kept)
            message = f"the record cannot be written: {self._problem}"
            raise OSError(message)
        with self._changed:
            self._waiting[id(kept)] = kept.entry
            self._given += 1
        self._to_hash.put(kept)

    def of(self, keys: Mapping[str, str]) -> list[InstanceRecord]:
        """Return the entries of what these keys name and that are on disk as they were written."""
        with self._changed:
            waiting = [entry for entry in self._waiting.values() if entry.is_of(keys)]
        known = {entry.path: entry for entry in [*self._index.of(keys), *waiting]}
        return [entry for entry in known.values() if self._is_there(entry)]

    def recorded(self, path: str) -> str | None:
        """Return the hash of what was placed under a name, if that is written down."""
        return self._index.sha256(path)

    def flush(self, seconds: float) -> str | None:
        """Wait until all that was given is durable, and return what prevents it, if anything does."""
        with self._changed:
            target = self._wanted = self._given
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._durable >= target or self._problem, seconds)
            if self._durable >= target:
                return self._lost
            return self._problem or f"it takes more than {seconds:g} s"

    def close(self) -> None:
        """Finish, as far as the disk allows, and end."""
        self.flush(_LONGEST_PUT_S)
        self._to_hash.put(None)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_RETRY_S * 4)

    def _is_there(self, entry: InstanceRecord) -> bool:
        try:
            return (self._folder / entry.path).stat().st_size == entry.bytes
        except OSError:
            return False

    def _hash_all(self) -> None:
        while (given := self._to_hash.get()) is not None:
            digest, size = (given.digest, given.entry.bytes) if isinstance(given, Kept) else given
            # It fails where the association has ended and the file is gone; else the disk says so again below.
            with contextlib.suppress(OSError):
                if digest:
                    digest.follow(size)
            if isinstance(given, Kept):
                with self._changed:
                    self._hashed.append(given)
                    self._changed.notify_all()

    def _keep_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._hashed or self._closing)
                self._changed.wait_for(self._is_enough, _BATCH_S)
                batch, self._hashed = self._hashed, []
                if not batch and self._closing:
                    return
            self._keep(batch)

    def _is_enough(self) -> bool:
        return len(self._hashed) >= _BATCH or self._durable < self._wanted or self._closing

    def _keep(self, batch: Sequence[Kept]) -> None:
        entries = [entry for kept in batch if (entry := self._synchronised(kept))]
        for parent in {(self._folder / entry.path).parent for entry in entries}:
            synchronise_folder(parent)
        while not self._write(entries):
            time.sleep(_RETRY_S)
        with self._changed:
            for kept in batch:
                del self._waiting[id(kept)]
            self._durable += len(batch)
            self._problem = None
            self._changed.notify_all()
        if batch:
            self._places.release(len(batch))

    def _synchronised(self, kept: Kept) -> InstanceRecord | None:
        """Bring a file onto the disk; one of which this fails is not kept, since nobody knows what is in it."""
        if kept.descriptor is None:
            return kept.entry
        try:
            if kept.digest:
                kept.digest.follow(kept.entry.bytes)
            os.fsync(kept.descriptor)
        except OSError as error:
            self._lost = f"a file could not be made durable: {error.strerror or error}"
            logger.warning("%s", self._lost)
            with contextlib.suppress(OSError):
                (self._folder / kept.entry.path).unlink()
            return None
        finally:
            _close(kept)
        return replace(kept.entry, sha256=kept.digest.hexdigest()) if kept.digest else kept.entry

    def _write(self, entries: Sequence[InstanceRecord]) -> bool:
        try:
            self._index.add(entries)
        except sqlite3.Error as error:
            with self._changed:
                self._problem = f"the record cannot be written: {error}"
                self._changed.notify_all()
            logger.warning("%s", self._problem)
            return False
        return True


def _close(kept: Kept) -> None:
    if kept.descriptor is not None:
        os.close(kept.descriptor)
