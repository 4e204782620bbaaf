"""A lock that one process holds, with a file that names it. The system releases it when the process ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from dicomove.errors import DicomoveError

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
