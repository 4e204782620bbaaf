"""Data sets as bytes, both ways (PS3.5), and what a file begins with (PS3.10 7.1).

pynetdicom's coder is loaded when it is first used: a receiver, which only moves bytes, starts sooner without it.
"""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pydicom.uid import UID

from dicomove.dimse.pdu import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PREAMBLE: Final = bytes(128) + b"DICM"
#: File Meta Information Version.
_VERSION: Final = struct.pack("<HH2sHI2s", 0x0002, 0x0001, b"OB", 0, 2, b"\0\1")


def encode(data_set: Dataset, transfer_syntax: str) -> bytes:
    """Return a data set in a transfer syntax, given by its UID.

    Raises
    ------
    ValueError
        It cannot be encoded.
    """
    from pynetdicom import dsutils

    syntax = UID(transfer_syntax)
    encoded = dsutils.encode(data_set, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    if encoded is None:
        message = "a data set that cannot be encoded"
        raise ValueError(message)
    return encoded


def decode(data: bytes, transfer_syntax: str) -> Dataset:
    """Return the data set that these bytes are. pydicom reads the values of its elements when they are asked for."""
    from pynetdicom import dsutils

    syntax = UID(transfer_syntax)
    return dsutils.decode(BytesIO(data), syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return the preamble and the File Meta Information (PS3.10 7.1).

    Nothing in it depends on who sent the instance or when, so that the same data set always makes the same file.
    """
    elements = _VERSION + b"".join(
        [
            _element(0x0002, b"UI", sop_class_uid, b"\0"),
            _element(0x0003, b"UI", sop_instance_uid, b"\0"),
            _element(0x0010, b"UI", transfer_syntax_uid, b"\0"),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID, b"\0"),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME, b" "),
        ]
    )
    return _PREAMBLE + struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(elements)) + elements


def data_set_offset(path: Path) -> int:
    """Return where in a DICOM file the data set begins, behind the File Meta Information."""
    from pynetdicom import dsutils

    return dsutils.split_dataset(path)[1]


def _element(number: int, vr: bytes, value: str, padding: bytes) -> bytes:
    content = value.encode("ascii", "replace")
    content += padding * (len(content) % 2)
    return struct.pack("<HH2sH", 0x0002, number, vr, len(content)) + content
