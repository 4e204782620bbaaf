"""A file that one thread writes while another one reads and hashes it.

It works on every system: Windows lacks ``os.writev`` and ``os.pread``, and cannot rename or remove an open file.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FLAGS: Final = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

_writev: Final[Callable[[int, Sequence[bytes | memoryview]], int] | None] = getattr(os, "writev", None)
_pread: Final[Callable[[int, int, int], bytes] | None] = getattr(os, "pread", None)
#: The bytes of one read.
_BLOCK: Final = 1 << 18


class OpenFile:
    """A new file. One thread writes it; another one may read the written part.

    Raises
    ------
    OSError
        It cannot be created, or exists.

    Attributes
    ----------
    path
        Its present name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._is_closed = False
        self._descriptor: int | None = os.open(path, os.O_CREAT | os.O_EXCL | _FLAGS, 0o666)

    def write(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Append bytes, and return how many were written.

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
        """Return a part of the written bytes.

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
        """Synchronise the file.

        Raises
        ------
        OSError
            The disk refuses it, or the file is closed.
        """
        with self._lock:
            descriptor = self._opened()
        os.fsync(descriptor)

    def is_at(self, path: Path) -> bool:
        """Return whether a name is still of this file, and was not given to another one."""
        with self._lock:
            try:
                return os.path.samestat(os.fstat(self._opened()), path.stat())
            except OSError:
                return False

    @contextmanager
    def released(self) -> Iterator[None]:
        """Close the file for a moment, so that it can be renamed or removed. It opens again under its new name."""
        with self._lock:
            self._close()
            yield

    def close(self) -> None:
        """Close the file for good."""
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


class FollowingDigest:
    """The digest of a file so far."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._done = 0

    def follow(self, size: int) -> None:
        """Hash the file further, up to this size.

        Raises
        ------
        OSError
            The file cannot be read, or is shorter.
        """
        while self._done < size:
            block = self._file.read(min(_BLOCK, size - self._done), self._done)
            if not block:
                message = "the file is shorter than what was written"
                raise OSError(message)
            self._digest.update(block)
            self._done += len(block)

    def hexdigest(self) -> str:
        """Return the digest so far."""
        return self._digest.hexdigest()
