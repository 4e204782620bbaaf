"""Encodes and decodes data sets (PS3.5), and encodes the head of a DICOM file (PS3.10 7.1).

Among the data sets are the identifiers of requests and of responses (PS3.4 C.4, PS3.7 9.1.3). dicomove imports
pynetdicom's coder at its first use: a receiver, which only moves bytes, starts sooner without it.
"""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Final, Literal

from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomove.dimse.associate import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomove.dimse.charset import decode as decode_text, encodings
from dicomove.dimse.messages import Message
from dicomove.errors import InvalidResponse

_PREAMBLE: Final = bytes(128) + b"DICM"
#: File Meta Information Version.
_META_VERSION: Final = struct.pack("<HH2sHI2s", 0x0002, 0x0001, b"OB", 0, 2, b"\0\1")


def encode(data_set: Dataset, transfer_syntax: str) -> bytes:
    """Return a data set in a transfer syntax, given by its UID.

    Raises
    ------
    ValueError
        The data set cannot be encoded.
    """
    from pynetdicom import dsutils

    syntax = UID(transfer_syntax)
    encoded = dsutils.encode(data_set, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    if encoded is None:
        message = "a data set that cannot be encoded"
        raise ValueError(message)
    return encoded


def decode(data: bytes, transfer_syntax: str) -> Dataset:
    """Return the data set in these bytes. pydicom decodes the value of an element at the first access to it."""
    from pynetdicom import dsutils

    syntax = UID(transfer_syntax)
    return dsutils.decode(BytesIO(data), syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Return the preamble and the File Meta Information (PS3.10 7.1).

    They do not depend on the sender or on the time, so that the same data set always makes the same file.
    """
    elements = _META_VERSION + b"".join(
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
    """Return the position of the data set in a DICOM file, after the File Meta Information."""
    from pynetdicom import dsutils

    return dsutils.split_dataset(path)[1]


def _element(number: int, vr: bytes, value: str, padding: bytes) -> bytes:
    content = value.encode("ascii", "replace")
    content += padding * (len(content) % 2)
    return struct.pack("<HH2sH", 0x0002, number, vr, len(content)) + content


#: The bytes of an element's tag and length, with its VR if that is explicit.
_HEADER_BYTES: Final = 8
#: The byte that gives values of these VRs an even length (PS3.5 6.2).
_PADDING: Final = {"UI": b"\0", **dict.fromkeys(("AE", "CS", "DA", "LO", "SH", "TM"), b" ")}
#: The VRs whose empty elements are a header of 8 bytes, and nothing else.
_PLAIN_IF_EMPTY: Final = {*_PADDING, "AS", "DS", "DT", "IS", "LT", "PN", "ST"}
#: Text with the same bytes in every character set, without blanks at its ends.
_PLAIN_TEXT: Final = re.compile(r"([!-\[\]-~]([ -\[\]-~]*[!-\[\]-~])?)?")
_LONGEST_EXPLICIT: Final = 0xFFFE
_ORDERS: Final[tuple[Literal["little", "big"], ...]] = ("little", "big")
_NO_TEXT: Final = {"SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN", "AT"}
_TEXT_VRS: Final = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}
_BINARY_VRS: Final = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}

logger = logging.getLogger("dicomove.dimse")


def encode_identifier(keys: Mapping[str, str | Sequence[str]], transfer_syntax: str) -> bytes:
    """Return an identifier, in the transfer syntax that was negotiated.

    Parameters
    ----------
    keys
        Keyword -> value; several values for a list of UIDs; empty for a requested attribute. For text beyond ASCII, the
        identifier gets the Specific Character Set that it needs, unless the keys name one.
    transfer_syntax
        Its UID.
    """
    plain = _plain(keys, transfer_syntax)
    return _encoded(keys, transfer_syntax) if plain is None else plain


def _plain(keys: Mapping[str, str | Sequence[str]], transfer_syntax: str) -> bytes | None:
    """Return an identifier, if it needs no character set and no rules of a VR (as most do); otherwise ``None``.

    This takes a twentieth of the time of a data set of pydicom, and a run encodes an identifier for each row.
    """
    if transfer_syntax not in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        return None
    elements: dict[int, bytes] = {}
    for keyword, value in keys.items():
        tag, vr = _tag_and_vr(keyword)
        content = _plain_content(vr, value)
        if content is None:
            return None
        length = struct.pack("<I", len(content))
        if transfer_syntax == ExplicitVRLittleEndian:
            length = vr.encode("ascii") + length[:2]
        elements[tag] = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + length + content
    return b"".join([elements[tag] for tag in sorted(elements)])


def _plain_content(vr: str, value: str | Sequence[str]) -> bytes | None:
    if isinstance(value, str):
        text, is_plain = value, _PLAIN_TEXT.fullmatch(value) is not None
    else:
        text, is_plain = "\\".join(value), all(_PLAIN_TEXT.fullmatch(one) for one in value)
        is_plain = is_plain and (len(value) == 1 or (vr == "UI" and "" not in value))
    if not is_plain or vr not in (_PADDING if text else _PLAIN_IF_EMPTY) or len(text) > _LONGEST_EXPLICIT:
        return None
    content = text.encode("ascii")
    return content + _PADDING[vr] if len(content) % 2 else content


@lru_cache(maxsize=256)
def _tag_and_vr(keyword: str) -> tuple[int, str]:
    tag = tag_for_keyword(keyword)
    return (0, "") if tag is None else (tag, dictionary_VR(tag))


def _encoded(keys: Mapping[str, str | Sequence[str]], transfer_syntax: str) -> bytes:
    """Return any identifier, as pydicom encodes it."""
    data_set = Dataset()
    charset = _charset("".join(chain.from_iterable(keys.values())))
    if charset and not keys.get("SpecificCharacterSet"):
        keys = {**keys, "SpecificCharacterSet": charset}
    for keyword, value in keys.items():
        tag = tag_for_keyword(keyword)
        if tag is None:
            message = f"{keyword!r} is not a DICOM keyword"
            raise ValueError(message)
        content = value if isinstance(value, str) else list(value)
        # Keys may be wildcards and ranges, which are not valid values.
        data_set.add(DataElement(tag, dictionary_VR(tag), content, validation_mode=config.IGNORE))
    return encode(data_set, transfer_syntax)


def raw_elements(data: bytes, transfer_syntax: str) -> dict[str, RawDataElement]:
    """Return the elements of an identifier by keyword, their values not yet decoded.

    Sequences and binary data are left out.

    Raises
    ------
    InvalidResponse
        The bytes are not a data set in this transfer syntax.
    """
    try:
        data_set = decode(data, _found_syntax(data, transfer_syntax))
        elements = dict(_raw(data_set))
    except Exception as error:  # damaged bytes make pydicom raise exceptions of many types
        message = "an identifier that cannot be decoded"
        raise InvalidResponse(message) from error
    if data and not data_set:
        message = "an identifier that ends inside its first element"
        raise InvalidResponse(message)
    return elements


def split_charset(data: bytes, transfer_syntax: str) -> tuple[bytes, bytes]:
    """Return the Specific Character Set near the beginning of an identifier, and the identifier without it.

    pydicom would warn about an unknown one in the middle of an exchange.
    """
    syntax = UID(_found_syntax(data, transfer_syntax))
    order = "<" if syntax.is_little_endian else ">"
    tag, length = (struct.Struct(f"{order}{form}") for form in ("HH", "I" if syntax.is_implicit_VR else "xxH"))
    start = 0
    # A group length, or another old element, may stand before it.
    while start + _HEADER_BYTES <= len(data) and tag.unpack_from(data, start) <= (0x0008, 0x0005):
        begin = start + _HEADER_BYTES
        end = begin + length.unpack_from(data, start + 4)[0]
        if tag.unpack_from(data, start) == (0x0008, 0x0005):
            return data[begin:end], data[:start] + data[end:]
        start = end
    return b"", data


def _found_syntax(data: bytes, transfer_syntax: str) -> str:
    """Return the transfer syntax of an identifier: the negotiated one, unless its first element shows another one.

    An element shows Explicit VR by the VR that belongs to its tag: as a length, these bytes would be too long. Other
    letters than those of this VR speak for no other transfer syntax: a long value has the VR UN (PS3.5 6.2.2).
    """
    if len(data) < _HEADER_BYTES:
        return transfer_syntax
    vr = data[4:6].decode("latin-1")
    little, big = (int.from_bytes(data[0:2], order) << 16 | int.from_bytes(data[2:4], order) for order in _ORDERS)
    is_implicit = int.from_bytes(data[4:8], "little") <= len(data) - _HEADER_BYTES
    if vr == _vr(little):
        return transfer_syntax if is_implicit else ExplicitVRLittleEndian
    if vr == _vr(big) and not is_implicit:
        return ExplicitVRBigEndian
    has_letters = vr.isalpha() and vr.isupper()
    return ImplicitVRLittleEndian if is_implicit and _vr(little) and not has_letters else transfer_syntax


def _vr(tag: int) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return ""


def uids(value: bytes | None) -> tuple[str, ...]:
    """Return the UIDs of a raw value of VR UI; blanks are left out."""
    parts = (value or b"").decode("ascii", "replace").split("\\")
    return tuple(uid for uid in (part.strip(" \0") for part in parts) if uid)


def _raw(data_set: Dataset) -> Iterator[tuple[str, RawDataElement]]:
    for tag in data_set.keys():  # noqa: SIM118 (iterating over the data set itself would decode it)
        element = data_set.get_item(tag, keep_deferred=True)  # otherwise, it would decode an element without a value
        keyword = keyword_for_tag(tag)
        if not keyword or not isinstance(element, RawDataElement) or (element.VR or dictionary_VR(tag)) in _NO_TEXT:
            continue
        if len(element.value or b"") < element.length:
            raise EOFError
        yield keyword, element


def _charset(text: str) -> str:
    """Return the smallest usual Specific Character Set; archives without Unicode understand Latin-1 more often."""
    if text.isascii():
        return ""
    try:
        text.encode("iso-8859-1")
    except UnicodeEncodeError:
        return "ISO_IR 192"
    return "ISO_IR 100"


def decode_match(data: bytes, transfer_syntax: str) -> dict[str, str]:
    """Return an answer of C-FIND as keyword -> text, decoded by its Specific Character Set."""
    charset, rest = split_charset(data, transfer_syntax)
    declared = encodings(charset)
    return {name: _element_text(element, declared) for name, element in raw_elements(rest, transfer_syntax).items()}


def _element_text(element: RawDataElement, declared: Sequence[str]) -> str:
    """Return the value of an element as text. Accept errors that are usual in the answers of a PACS."""
    value = element.value or b""
    vr = element.VR or dictionary_VR(element.tag)
    if vr in _BINARY_VRS:
        return "\\".join(map(str, _numbers(value, _BINARY_VRS[vr], "<" if element.is_little_endian else ">")))
    text = decode_text(value, declared) if vr in _TEXT_VRS else decode_text(value)
    return "\\".join(part.strip(" \0") for part in text.split("\\"))


def _numbers(value: bytes, form: str, order: str) -> tuple[float, ...]:
    count = len(value) // struct.calcsize(form)
    return struct.unpack_from(f"{order}{count}{form}", value)


def failed_uids(response: Message, transfer_syntax: str) -> tuple[str, ...]:
    """Return the Failed SOP Instance UID List (0008,0058) of a response."""
    if not response.data:
        return ()
    try:
        element = raw_elements(response.data, transfer_syntax).get("FailedSOPInstanceUIDList")
    except InvalidResponse:
        # The status and the counts are valid, even if the list beside them is not.
        logger.info("the identifier of the final response cannot be decoded")
        return ()
    return uids(element.value) if element else ()
