"""Reads a file of the folder again, as it would come from the network: its keys, its hash, and whether it is whole.

The file may have any content: after a power cut it may be empty, cut, or full of zeros. Memory depends neither on its
size nor on what it claims.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pydicom.datadict import tag_for_keyword
from pydicom.uid import ExplicitVRLittleEndian

from dicomove.receiver.own_process.scan import DataSetScanner, text
from dicomove.receiver.own_process.transfer_syntax_check import contradiction, without_pixel_data
from dicomove.store.instances import KEYS

#: Preamble, prefix, and the element with the length of the File Meta Information.
_HEAD: Final = 128 + 4 + 12
_GROUP_LENGTH: Final = b"DICM" + struct.pack("<HH2sH", 0x0002, 0x0000, b"UL", 4)
#: That of the receiver has less than 300 bytes.
_LONGEST_META: Final = 1 << 16
_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX = _META_TAGS = 0x00020002, 0x00020003, 0x00020010
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The content of a DICOM file.

    Attributes
    ----------
    size, sha256
        Of all its bytes.
    sop_class_uid, transfer_syntax_uid
        From its File Meta Information.
    values
        Keyword -> value, empty if absent.
    problem
        Why it is not a whole instance; ``None`` if it is.
    remark
        The contradiction between the data set and its transfer syntax, if there is one.
    """

    size: int
    sha256: str
    sop_class_uid: str
    transfer_syntax_uid: str
    values: Mapping[str, str]
    problem: str | None
    remark: str | None


def is_regular(path: Path) -> bool:
    """Whether a path is a file, and not a folder, a link, or a pipe, which may block its reader for ever."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def is_whole(path: Path) -> bool:
    """Whether a file can be read, and is a whole DICOM instance."""
    try:
        found = read_stored(path)
    except OSError:
        return False
    return found is not None and found.problem is None


def read_stored(
    path: Path, keywords: Collection[str] = KEYS, alive: Callable[[], object] = lambda: None
) -> StoredFile | None:
    """Return the content of a file; ``None`` if it has no File Meta Information as the receiver writes it.

    Parameters
    ----------
    path
        The file.
    keywords
        The attributes whose values are wanted beside the unique keys.
    alive
        Called now and then, because a large file takes a while.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
        length = int.from_bytes(head[-4:], "little")
        if head[128:-4] != _GROUP_LENGTH or length > _LONGEST_META:
            return None
        meta = file.read(length)
        scanner = DataSetScanner(ExplicitVRLittleEndian, _META_TAGS)
        scanner.feed(meta)
        sop_class, sop_instance, transfer_syntax = (text(scanner.values, tag) for tag in _META_TAGS)
        if len(meta) < length or scanner.problem() or not transfer_syntax:
            return None
        digest = hashlib.sha256(head + meta)
        data_set = _scanned(file, transfer_syntax, keywords, digest.update, alive)
        size = file.tell()
    values = {name: text(data_set.values, tag_for_keyword(name) or 0) for name in {*KEYS, *keywords}}
    problem = data_set.problem() or _mismatch(values, sop_instance)
    values["SOPInstanceUID"] = values["SOPInstanceUID"] or sop_instance
    content = data_set.content()
    remark = contradiction(transfer_syntax, content) or without_pixel_data(sop_class, content)
    return StoredFile(size, digest.hexdigest(), sop_class, transfer_syntax, values, problem, remark)


def _scanned(
    file: BinaryIO,
    transfer_syntax: str,
    keywords: Collection[str],
    update: Callable[[bytes], object],
    alive: Callable[[], object],
) -> DataSetScanner:
    wanted = {"SpecificCharacterSet", *KEYS, *keywords}
    scanner = DataSetScanner(transfer_syntax, [tag_for_keyword(name) or 0 for name in wanted])
    while block := file.read(_BLOCK):
        update(block)
        scanner.feed(block)
        alive()
    return scanner


def _mismatch(values: Mapping[str, str], sop_instance_uid: str) -> str | None:
    if absent := [name for name in KEYS[1:] if not values[name]]:
        return f"no {', '.join(absent)}"
    return None if values["SOPInstanceUID"] == sop_instance_uid else "its two SOP Instance UIDs differ"
