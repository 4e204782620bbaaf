"""The owner of a file or a folder: one process at a time, which a file beside it names.

The system releases the lock when the process ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from dicomove.errors import DicomoveError, ReceiverError
from dicomove.files import SERVICE_FOLDER
from dicomove.processes import Process, patience_s

_PATIENCE_S: Final = 3.0
_LOOK_AGAIN_S: Final = 0.05


class OwnerLock:
    """A lock that this process holds until it releases it, or until the process ends, even by a crash.

    Parameters
    ----------
    lock, owner
        The file that the system locks, and the file that names the owner.
    taken
        Makes an error from the name of the owner.
    patience
        Returns the seconds to wait for the process with this name.

    Raises
    ------
    DicomoveError
        Another process holds the lock.
    OSError
        The file cannot be created.

    Attributes
    ----------
    owner_was_killed
        Whether the previous owner was killed, and so ended without releasing the lock.
    """

    def __init__(
        self,
        lock: Path,
        owner: Path,
        taken: Callable[[str], DicomoveError],
        patience: Callable[[str], float] = lambda _: _PATIENCE_S,
    ) -> None:
        # One thread opens it, and the thread of a job may close it.
        self._lock = FileLock(lock, thread_local=False)
        self._owner = owner
        start = time.monotonic()
        while not self._acquired():
            name = self._named()
            if time.monotonic() - start >= patience(name):
                raise taken(name)
            time.sleep(_LOOK_AGAIN_S)
        self.owner_was_killed = owner.exists()

    def sign(self, name: str) -> None:
        """Write the name of the owner.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        self._owner.write_text(name)

    def release(self) -> None:
        """Release the lock for other processes."""
        with suppress(OSError):
            self._owner.unlink(missing_ok=True)
        self.unlock()

    def unlock(self) -> None:
        """Release the lock, but keep the file that names the owner."""
        self._lock.release()

    def _acquired(self) -> bool:
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        return True

    def _named(self) -> str:
        try:
            return self._owner.read_text()
        except OSError:
            return "its name is unknown"


@dataclass
class Ownership:
    """The ownership of a folder.

    Attributes
    ----------
    needs_recovery
        Whether the previous receiver was killed, so that the index may lack files. As long as this is so, or if the
        block fails, the owner file stays, and the next receiver finds it.
    """

    needs_recovery: bool


@contextmanager
def owned(folder: Path, parent: Process) -> Iterator[Ownership]:
    """Own a folder during a ``with`` block.

    The owner file names the receiver's process and the process that started it. If another receiver is about to end,
    because the process that started it has ended, this waits for it.

    Parameters
    ----------
    folder
        The folder.
    parent
        The process that started this one.

    Raises
    ------
    ReceiverError
        Another receiver has the folder.
    OSError
        The folder cannot be written to.
    """
    lock = _lock(folder, parent)
    ownership = Ownership(lock.owner_was_killed)
    try:
        lock.sign(f"{Process.of(os.getpid()).text} {parent.text}")
        yield ownership
    except BaseException:
        lock.unlock()
        raise
    if ownership.needs_recovery:
        lock.unlock()
    else:
        lock.release()


def check_folder(folder: Path, own: Process) -> None:
    """Raise an error if another receiver has a folder. A receiver that is about to end gets time to do so.

    Parameters
    ----------
    folder
        The folder.
    own
        The process that is about to start a receiver.

    Raises
    ------
    ReceiverError
        Another receiver has the folder.
    """
    if (folder / SERVICE_FOLDER / "lock").exists():
        with suppress(OSError):  # the receiver says what is wrong with the folder
            _lock(folder, own).unlock()


def _lock(folder: Path, parent: Process) -> OwnerLock:
    service = folder / SERVICE_FOLDER

    def taken(owner: str) -> ReceiverError:
        return ReceiverError(f"another receiver has the folder {folder} ({_described(owner)}): close that one")

    def patience(owner: str) -> float:
        return patience_s(_processes(owner)[1], parent)

    return OwnerLock(service / "lock", service / "owner", taken, patience)


def _processes(owner: str) -> tuple[Process | None, Process | None]:
    """Return the processes that an owner file names: the receiver's, and the one that started it."""
    receiver, _, parent = owner.partition(" ")
    return Process.read(receiver), Process.read(parent)


def _described(owner: str) -> str:
    receiver, parent = _processes(owner)
    if receiver is None:
        return "it is not known which process"
    return f"process {receiver.pid}, started by process {parent.pid}" if parent else f"process {receiver.pid}"
