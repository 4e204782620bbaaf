"""The SHA-256 hash of an instance, calculated while the instance comes."""

from __future__ import annotations

import hashlib
from typing import Final

from dicomove.receiver.open_file import OpenFile

#: The bytes of one read.
_BLOCK: Final = 1 << 18


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
