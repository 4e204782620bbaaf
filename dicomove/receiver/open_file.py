"""The file of an instance while it is open: written, read at the same time, renamed, and brought onto the disk.

The same on every system: Windows has no ``os.writev`` and no ``os.pread``, and renames and removes no open file.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FLAGS: Final = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

_writev: Final[Callable[[int, Sequence[bytes | memoryview]], int] | None] = getattr(os, "writev", None)
_pread: Final[Callable[[int, int, int], bytes] | None] = getattr(os, "pread", None)


class OpenFile:
    """A new file. One thread writes it; another one may read what was written.

    Parameters
    ----------
    path
        Its name.

    Raises
    ------
    OSError
        It cannot be created, or exists.

    Attributes
    ----------
    path
        Its name now.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._is_closed = False
        self._descriptor: int | None = os.open(path, os.O_CREAT | os.O_EXCL | _FLAGS, 0o666)

    def write(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Write some of it at the end, and return how many bytes were written.

        Raises
        ------
        OSError
            The disk refuses it, or the file is closed.
        """
        if _writev:
            return _writev(self._opened(), pieces)
        with self._lock:
            os.lseek(self._opened(), 0, os.SEEK_END)
            return os.write(self._opened(), pieces[0])

    def read(self, size: int, offset: int) -> bytes:
        """Return a part of what was written.

        Raises
        ------
        OSError
            It cannot be read, or is closed.
        """
        with self._lock:
            descriptor = self._opened()
            if _pread:
                return _pread(descriptor, size, offset)
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, size)

    def synchronise(self) -> None:
        """Bring it onto the disk.

        Raises
        ------
        OSError
            The disk refuses it, or the file is closed.
        """
        with self._lock:
            descriptor = self._opened()
        os.fsync(descriptor)

    @contextmanager
    def released(self) -> Iterator[None]:
        """Close it for a moment, so that it can be renamed or removed. It opens again under the name it has then."""
        with self._lock:
            self._close()
            yield

    def close(self) -> None:
        """Close it for good."""
        with self._lock:
            self._is_closed = True
            self._close()

    def _opened(self) -> int:
        if self._is_closed:
            message = "the file is closed"
            raise OSError(message)
        if self._descriptor is None:
            self._descriptor = os.open(self.path, _FLAGS)
        return self._descriptor

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
