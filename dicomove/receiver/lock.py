"""One receiver at a time has a folder: a lock that the system releases when its process ends, however it ends."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from dicomove.errors import ReceiverError
from dicomove.receiver.shelf import SERVICE_FOLDER

_PATIENCE_S = 3.0


class FolderLock:
    """Holds a folder for a ``with``.

    Raises
    ------
    ReceiverError
        Another receiver has it.

    Attributes
    ----------
    was_left
        Whether the one before ended without saying so: it was killed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FileLock(folder / SERVICE_FOLDER / "lock")
        self.was_left = False
        self._owner = folder / SERVICE_FOLDER / "owner"

    def __enter__(self) -> Self:
        try:
            self._lock.acquire(timeout=_PATIENCE_S)
        except Timeout:
            message = f"another receiver has the folder {self._folder} (its process is {self._named()}): close that one"
            raise ReceiverError(message) from None
        self.was_left = self._owner.exists()
        self._owner.write_text(str(os.getpid()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._owner.unlink(missing_ok=True)
        self._lock.release()

    def _named(self) -> str:
        try:
            return self._owner.read_text()
        except OSError:
            return "unknown"
