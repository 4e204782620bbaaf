"""Reads one file: the values of its attributes, and the planes of its images. Also runs in processes of its own.

Headers are not trustworthy. Every problem of a header becomes an error word, and pydicom's warnings are not shown,
because they may contain values.
"""

from __future__ import annotations

import json
import logging
import struct
import sys
import warnings
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader, BytesIO, FileIO
from typing import Final

from pydicom import dcmread
from pydicom.datadict import keyword_dict
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import MediaStorageDirectoryStorage

from dicomove.headers.attributes import joined, tags_of, text_of, values_at, wanted_tags
from dicomove.headers.planes import TAGS, planes_of

NOT_DICOM, UNREADABLE, MISSING = "not_dicom", "unreadable", "missing"

# Exceptions of pydicom for headers that are broken.
_BROKEN: Final = (
    *(ArithmeticError, AssertionError, AttributeError, BytesLengthException, EOFError, InvalidDicomError, LookupError),
    *(MemoryError, NotImplementedError, RecursionError, TypeError, ValueError, struct.error, zlib.error),
)
_HEAD: Final = 32 * 1024
# An element without tag and value, and the number of them after which a file counts as ended.
_ZEROS: Final = bytes(8)
_MOST_ZEROS: Final = 1024
# The beginning of files without a preamble: group 0002 or 0008, little endian.
_BARE: Final = (b"\x02\x00", b"\x08\x00")

_SOP, _NUMBER = keyword_dict["SOPInstanceUID"], keyword_dict["InstanceNumber"]
_MEDIA_CLASS: Final = keyword_dict["MediaStorageSOPClassUID"]


@dataclass(frozen=True, slots=True)
class Header:
    """The header of one file.

    Attributes
    ----------
    error
        The error word; ``None`` if the file could be read.
    uid
        The SOPInstanceUID.
    number
        The InstanceNumber; ``None`` if it is not a number.
    values
        The values of the keys, in their order; ``None`` for an absent one.
    planes
        `PLANE` numbers of 8 bytes for each frame; NaN for an absent one.
    """

    error: str | None
    uid: str | None = None
    number: int | None = None
    values: tuple[str | None, ...] = ()
    planes: bytes = b""


class _UntilZeros(BufferedReader):
    """A file that ends where only zeros follow, as after a power cut. pydicom reads zeros as elements, for hours."""

    zeros = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.zeros = self.zeros + 1 if found == _ZEROS else 0
        return found if self.zeros < _MOST_ZEROS else b""


class Reader:
    """Reads files.

    Parameters
    ----------
    keys
        The keys, as `tags_of` takes them.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._paths = [tags_of(key) for key in keys]
        self._tags = wanted_tags([*self._paths, *((tag,) for tag in (_SOP, _NUMBER, *TAGS))])

    def read(self, path: str) -> Header:
        """Return the header of a file; one that cannot be read has an error."""
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (pathlib's objects cost more)
                head = file.read(_HEAD)
                has_preamble = head[128:132] == b"DICM"
                if not has_preamble and head[:2] not in _BARE:
                    return Header(NOT_DICOM)
                return self._header(self._data_set(head, file, force=not has_preamble))
        except FileNotFoundError:
            return Header(MISSING)
        except (OSError, *_BROKEN):
            return Header(UNREADABLE)

    def _data_set(self, head: bytes, file: FileIO, *, force: bool) -> Dataset:
        """Return the wanted attributes. The beginning of the file is tried first: it suffices for most headers."""
        source = BytesIO(head)
        with suppress(OSError, *_BROKEN):  # pydicom's error for an end of the bytes is an OSError
            found = dcmread(source, stop_before_pixels=True, force=force, specific_tags=self._tags)
            # If the beginning does not suffice, pydicom reads to the end.
            if source.tell() < len(head) or len(head) < _HEAD:
                return found
        file.seek(0)
        with _UntilZeros(file) as whole:
            return dcmread(whole, stop_before_pixels=True, force=force, specific_tags=self._tags)

    def _header(self, found: Dataset) -> Header:
        uid = text_of(found, _SOP)
        if not uid:
            is_directory = text_of(getattr(found, "file_meta", found), _MEDIA_CLASS) == MediaStorageDirectoryStorage
            return Header(NOT_DICOM if is_directory else UNREADABLE)
        values = tuple(joined(values_at(found, path)) for path in self._paths)
        number = text_of(found, _NUMBER)
        whole = int(number) if number and number.lstrip("+-").isdecimal() and len(number) < 13 else None
        return Header(None, uid, whole, values, planes_of(found).tobytes())


def read_all(reader: Reader, paths: Sequence[str]) -> list[Header]:
    """Return the headers of files, without pydicom's warnings and messages."""
    before = logging.getLogger("pydicom").level
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [reader.read(path) for path in paths]
    finally:
        logging.getLogger("pydicom").setLevel(before)


def main() -> None:
    """Read the keys, then lists of paths, one JSON text a line; answer each with the headers."""
    reader = Reader(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        found = read_all(reader, json.loads(line))
        headers = [[one.error, one.uid, one.number, one.values, one.planes.hex()] for one in found]
        sys.stdout.write(json.dumps(headers) + "\n")
        sys.stdout.flush()


def header_of(fields: Sequence[object]) -> Header:
    """Return a header from the answer of another process."""
    error, uid, number, values, planes = fields
    return Header(error, uid, number, tuple(values), bytes.fromhex(planes))  # type: ignore[arg-type]  # from `main`
