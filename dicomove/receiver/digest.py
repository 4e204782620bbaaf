"""The SHA-256 of a file that is being written, by a thread that follows the one that writes.

Hashing takes longer than writing: beside the thread that reads the network it costs that thread nothing. The bytes come
from the system's cache, so that what is hashed is what was written.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

_BLOCK: Final = 1 << 18


class FollowingDigest:
    """The digest of a file so far.

    Parameters
    ----------
    descriptor
        The file, open for reading too.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._digest = hashlib.sha256()
        self._done = 0

    def follow(self, size: int) -> None:
        """Read on, up to this size.

        Raises
        ------
        OSError
            The file cannot be read, or is shorter.
        """
        while self._done < size:
            block = os.pread(self._descriptor, min(_BLOCK, size - self._done), self._done)
            if not block:
                message = "the file is shorter than what was written"
                raise OSError(message)
            self._digest.update(block)
            self._done += len(block)

    def hexdigest(self) -> str:
        """Return the digest of what was read."""
        return self._digest.hexdigest()
