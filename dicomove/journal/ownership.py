"""One process at a time has a journal: a lock that the system releases when its process ends, however it ends."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from dicomove.errors import JournalError
from dicomove.receiver.shelf import SERVICE_FOLDER

_PATIENCE_S = 3.0


class Ownership:
    """Holds a journal.

    Parameters
    ----------
    path
        The journal.

    Raises
    ------
    JournalError
        Another process has it, or its folder cannot be used.
    """

    def __init__(self, path: Path) -> None:
        _check_folder(path)
        # Opened in one thread, and closed in that of a job.
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), thread_local=False)
        self._owner = path.with_name(f"{path.name}.owner")
        try:
            self._lock.acquire(timeout=_PATIENCE_S)
        except Timeout:
            message = f"another process has the journal {path} ({self._named()}): wait for it, or use another journal"
            raise JournalError(message) from None
        except OSError as error:
            message = f"the journal {path} cannot be made: {error.strerror or error}"
            raise JournalError(message) from None
        with suppress(OSError):  # it only names us
            self._owner.write_text(f"process {os.getpid()} on {socket.gethostname()}")

    def release(self) -> None:
        """Let others have it."""
        with suppress(OSError):
            self._owner.unlink(missing_ok=True)
        self._lock.release()

    def _named(self) -> str:
        try:
            return self._owner.read_text()
        except OSError:
            return "nobody knows which"


def _check_folder(path: Path) -> None:
    if path.is_dir():
        message = f"the journal {path} is a folder: name a file in it"
        raise JournalError(message)
    if path.parent.name == SERVICE_FOLDER and path.parent.parent.is_dir():
        path.parent.mkdir(exist_ok=True)
    # A folder that is made by mistake is a journal that nobody finds, and a run that does not go on.
    if not path.parent.is_dir():
        message = f"the journal {path} has no folder to be in: make it first, or look at its name"
        raise JournalError(message)
