"""The File Meta Information before a data set (PS3.10 7.1), as bytes. Pure."""

from __future__ import annotations

import struct
from typing import Final

from dicomove.dimse.pdu import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PREAMBLE: Final = bytes(128) + b"DICM"
_VERSION: Final = struct.pack("<HH2sHI2s", 0x0002, 0x0001, b"OB", 0, 2, b"\0\1")


def file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return the preamble and the File Meta group.

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


def _element(number: int, vr: bytes, value: str, padding: bytes) -> bytes:
    content = value.encode("ascii", "replace")
    content += padding * (len(content) % 2)
    return struct.pack("<HH2sH", 0x0002, number, vr, len(content)) + content
