"""One instance while it comes: its request, its temporary file, and its UIDs."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.datadict import keyword_for_tag

from dicomove.dimse.data_sets import file_head
from dicomove.receiver.own_process.open_file import FollowingDigest, OpenFile
from dicomove.receiver.own_process.scan import DataSetScanner, text
from dicomove.receiver.own_process.transfer_syntax_check import contradiction, without_pixel_data
from dicomove.receiver.placing import CompleteFile

_FOLLOWED_AFTER: Final = 1 << 23
_CHECKED_AFTER: Final = 1 << 22
#: The most parts that one system call writes.
_MOST_PENDING: Final = 256
#: The File Meta group waits for the UIDs in so many bytes of the data set; the UIDs are among its first elements.
_UIDS_WITHIN: Final = 1 << 16
_LONGEST_UID: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CStoreRequest:
    """A C-STORE-RQ (PS3.7 9.1.1.1), with the address and the AE title it came from."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str
    address: str
    move_originator_ae_title: str | None
    move_originator_message_id: int | None


class IncomingInstance:
    """Takes the data set of one C-STORE as it comes.

    After a failure of the disk, the rest of the data set is still read, so that the association goes on.

    Parameters
    ----------
    request
        The request.
    path
        Its temporary name.
    wanted
        The tags whose values decide where it goes.
    follow
        Hashes a large instance while it comes.
    check_free
        Raises `OSError` if the disk has too little space: a data set may have no end.

    Attributes
    ----------
    last
        When its latest bytes came, or its request, in seconds of the monotonic clock.
    is_whole
        Whether all of it has come.
    """

    def __init__(
        self,
        request: CStoreRequest,
        path: Path,
        wanted: Collection[int],
        follow: Callable[[FollowingDigest, int], object],
        check_free: Callable[[], object],
    ) -> None:
        self.request = request
        self.failure: OSError | None = None
        self.file: OpenFile | None = None
        self.digest: FollowingDigest | None = None
        self.size = 0
        self.last, self.is_whole = time.monotonic(), False
        self._path, self._follow, self._check_free = path, follow, check_free
        self._pending: list[bytes | memoryview] = []
        self._followed = self._checked = 0
        self._has_meta = False
        self._scanner = DataSetScanner(request.transfer_syntax_uid, wanted)

    def open(self) -> None:
        """Begin the file."""
        try:
            self._check_free()
            self.file = OpenFile(self._path)
        except OSError as error:
            self.fail(error)
            return
        self.digest = FollowingDigest(self.file)

    def feed(self, data: memoryview) -> None:
        """Take the next bytes of the data set. They must stay in the buffer until `flush`."""
        self.last = time.monotonic()
        self._scanner.feed(data)
        self._pend(data)
        if len(self._pending) == _MOST_PENDING:
            self.flush()

    def flush(self) -> None:
        """Write the bytes so far, once the File Meta group before them is known."""
        if not self._has_meta and self.file and not self._put_meta_first():
            self._pending = [b"".join(self._pending)]  # the buffer gets new bytes
            return
        pending, self._pending = self._pending, []
        if self.file:
            try:
                self._write(self.file, pending)
            except OSError as error:
                self.fail(error)
        if self.digest and self.size - self._followed > _FOLLOWED_AFTER:
            self._followed = self.size
            self._follow(self.digest, self.size)

    def values(self) -> dict[str, str]:
        """Return the known values, by keyword."""
        raw: Mapping[int, bytes] = self._scanner.values
        return {keyword_for_tag(tag): text(raw, tag) for tag in tuple(raw)}

    def problem(self) -> str | None:
        """Return the problem of the complete data set, if it has one."""
        return self._scanner.problem()

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the data set has come."""
        return not self._scanner.content().head

    def contradiction(self) -> str | None:
        """Return how the data set contradicts its transfer syntax, if it clearly does."""
        return contradiction(self.request.transfer_syntax_uid, self._scanner.content())

    def without_pixel_data(self, sop_class: str) -> str | None:
        """Return a remark if it is an image of this SOP class without pixel data."""
        return without_pixel_data(sop_class, self._scanner.content())

    def written(self) -> CompleteFile:
        """Return the complete file."""
        return CompleteFile(self._path, self.size)

    def fail(self, error: OSError) -> None:
        """Note that it cannot be stored, and remove the file."""
        self.failure = self.failure or error
        self.discard()

    def discard(self) -> None:
        """Remove the file."""
        self.close()
        self._pending = []
        with suppress(OSError):
            self._path.unlink()

    def close(self) -> None:
        """Close the file, unless it was handed over."""
        if self.file:
            self.file.close()
            self.file = None

    def hand_over(self) -> OpenFile | None:
        """Hand the file over to the caller."""
        file, self.file = self.file, None
        return file

    def _put_meta_first(self) -> bool:
        """Put the File Meta group before the data set; return whether its UIDs are known.

        It has the SOP Class of the data set. That of the C-STORE may be another one, or none.
        """
        found, request = self.values(), self.request
        sop_class, uid = found.get("SOPClassUID", ""), found.get("SOPInstanceUID", "")
        if not ((sop_class and uid) or self.is_whole or self.size >= _UIDS_WITHIN):
            return False
        if not 0 < len(sop_class) <= _LONGEST_UID:
            sop_class = request.sop_class_uid
        meta = file_head(sop_class, request.sop_instance_uid or uid[:_LONGEST_UID], request.transfer_syntax_uid)
        self._pending.insert(0, meta)
        self.size += len(meta)
        self._has_meta = True
        return True

    def _pend(self, data: bytes | memoryview) -> None:
        if self.file:
            self._pending.append(data)
            self.size += len(data)

    def _write(self, file: OpenFile, pending: list[bytes | memoryview]) -> None:
        if self.size - self._checked > _CHECKED_AFTER:
            self._checked = self.size
            self._check_free()
        left = sum(map(len, pending))
        while pending:
            written = file.write(pending)
            left -= written
            if not left:
                return
            # A disk that is almost full writes only a part; the next call then fails.
            while written >= len(pending[0]):
                written -= len(pending.pop(0))
            pending[0] = memoryview(pending[0])[written:]
