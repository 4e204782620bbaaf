"""One process at a time has a journal, or a folder: a lock that the system releases when its process ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from dicomove.errors import DicomoveError

_PATIENCE_S: Final = 3.0


class OwnerLock:
    """Has something until it is released, or until the process ends, however that ends.

    Parameters
    ----------
    lock, owner
        The file that the system locks, and the one that names the process that has it.
    taken
        Makes an error of the name of the process that has it.

    Raises
    ------
    DicomoveError
        Another process has it.
    OSError
        The file cannot be made.

    Attributes
    ----------
    was_left
        Whether the one before ended without releasing it: it was killed.
    """

    def __init__(self, lock: Path, owner: Path, taken: Callable[[str], DicomoveError]) -> None:
        # Opened in one thread, and closed in that of a job.
        self._lock = FileLock(lock, thread_local=False)
        self._owner = owner
        try:
            self._lock.acquire(timeout=_PATIENCE_S)
        except Timeout:
            raise taken(self._named()) from None
        self.was_left = owner.exists()

    def sign(self, name: str) -> None:
        """Write down which process has it.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        self._owner.write_text(name)

    def release(self) -> None:
        """Let others have it."""
        with suppress(OSError):
            self._owner.unlink(missing_ok=True)
        self._lock.release()

    def _named(self) -> str:
        try:
            return self._owner.read_text()
        except OSError:
            return "it is not known which"
