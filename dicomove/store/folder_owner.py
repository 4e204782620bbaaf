"""The owner of a folder: one receiver at a time, which a file in the folder names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dicomove.errors import ReceiverError
from dicomove.files import SERVICE_FOLDER
from dicomove.processes import Process, patience_s
from dicomove.store.owner_lock import OwnerLock


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
