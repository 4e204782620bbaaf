"""One process at a time has a journal, or a folder: a lock that the system releases when its process ends."""

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
    """Has something until it is released, or until the process ends, however that ends.

    Parameters
    ----------
    lock, owner
        The file that the system locks, and the one that names the process that has it.
    taken
        Makes an error of the name of the process that has it.
    patience
        Returns for how many seconds to wait for the process of this name.

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

    def __init__(
        self,
        lock: Path,
        owner: Path,
        taken: Callable[[str], DicomoveError],
        patience: Callable[[str], float] = lambda _: _PATIENCE_S,
    ) -> None:
        # Opened in one thread, and closed in that of a job.
        self._lock = FileLock(lock, thread_local=False)
        self._owner = owner
        start = time.monotonic()
        while not self._acquired():
            name = self._named()
            if time.monotonic() - start >= patience(name):
                raise taken(name)
            time.sleep(_LOOK_AGAIN_S)
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
        self.let_go()

    def let_go(self) -> None:
        """Release the lock alone: the file that names the owner stays as it was."""
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
            return "it is not known which"
