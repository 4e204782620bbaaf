"""Data sets as bytes: what is compared is the SHA-256 of everything that follows the file meta information."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

from pydicom import dcmread

_CHUNK = 1 << 20
_HEAD = 128 + 4 + 12


class Readable(Protocol):
    """A file, or an HTTP response."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Digest:
    """One data set."""

    sop_instance_uid: str
    transfer_syntax: str
    size: int
    sha256: str


def digest(file: Readable) -> Digest:
    """Read a DICOM file to its end, in little memory."""
    head = _exactly(file, _HEAD)
    (length,) = struct.unpack("<I", head[-4:])
    meta = dcmread(BytesIO(head + _exactly(file, length))).file_meta
    hashed, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK):
        hashed.update(chunk)
        size += len(chunk)
    return Digest(meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID, size, hashed.hexdigest())


def digests(folder: Path) -> Iterator[Digest]:
    """Take the digests of all DICOM files below a folder."""
    for path in folder.rglob("*"):
        if path.is_file() and _is_dicom(path):
            with path.open("rb") as file:
                yield digest(file)


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _exactly(file: Readable, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = file.read(size - len(data))
        if not chunk:
            message = "the file ends within its meta information"
            raise EOFError(message)
        data += chunk
    return data
