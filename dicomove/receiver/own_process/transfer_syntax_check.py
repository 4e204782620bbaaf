"""Detects data sets that contradict their transfer syntax (PS3.5 A), and images without pixel data. Pure.

A reader decodes by the transfer syntax, so it cannot read bytes that contradict it, even if they are complete. Only a
clear contradiction counts; uncertain cases, and unknown transfer syntaxes, are accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from pydicom import config
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

PixelData = Literal["none", "native", "encapsulated", "other"]

#: The number of bytes from the beginning of a data set that are checked.
HEAD_BYTES: Final = 132

_VRS: Final = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
#: The group of the first element of nearly every data set, by the order of its bytes.
_ORDERS: Final = {b"\x08\0": "Little", b"\0\x08": "Big"}
#: Transfer syntaxes of PS3.5: apart from Implicit VR Little Endian, they are explicit.
_STANDARD: Final = "1.2.840.10008.1.2"
_META_INFORMATION: Final = (b"\x02\0", b"\0\x02")
#: Transfer syntaxes that are not compressed: their pixel data are native (PS3.5 A.1 to A.3, A.5).
_NATIVE: Final = frozenset(
    {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
)
_FOUR: Final = "1.2.840.10008.1.2.4."
#: The coding of a fragment of pixel data, by the transfer syntax (PS3.5 A.4); for the last two, it is not fixed.
_CODINGS: Final = {
    **{f"{_FOUR}{number}": "JPEG" for number in range(50, 71)},
    **{f"{_FOUR}{number}": "JPEG-LS" for number in (80, 81)},
    **{f"{_FOUR}{number}": "JPEG 2000" for number in (90, 91, 92, 93, 201, 202, 203)},
    **{f"{_FOUR}{number}": "JPEG XL" for number in (110, 111, 112)},
    "1.2.840.10008.1.2.5": "RLE",
    **{f"{_FOUR}{number}": "" for number in range(100, 109)},
    "1.2.840.10008.1.2.1.98": "",
}
_SIGNATURES: Final = {
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
}
_START_OF_IMAGE: Final = b"\xff\xd8"
_START_OF_SCAN: Final = 0xDA
_FRAME_OF_JPEG_LS: Final = 0xF7
_OR: Final = " or "
_NOT_FRAMES: Final = (0xC4, 0xC8, 0xCC)
_MOST_RLE_SEGMENTS: Final = 15
_RLE_HEADER: Final = 64


@dataclass(frozen=True, slots=True)
class Content:
    """The parts of a data set that show its form.

    Attributes
    ----------
    head
        Its first bytes.
    pixel_data
        The form of Pixel Data (7FE0,0010) at the top level; ``"other"`` for what may stand in its place.
    fragment
        The first bytes of the first fragment, if the form is encapsulated.
    """

    head: bytes
    pixel_data: PixelData = "none"
    fragment: bytes = b""


def contradiction(transfer_syntax: str, content: Content) -> str | None:
    r"""Return how a data set contradicts its transfer syntax, in words; ``None`` without a clear contradiction.

    Examples
    --------
    >>> contradiction("1.2.840.10008.1.2.1", Content(b"\x08\0\x16\0\x1a\0\0\0"))
    'the data set is Implicit VR Little Endian, and was negotiated as 1.2.840.10008.1.2.1'
    """
    return _meta_information(content) or _encoding(transfer_syntax, content) or _pixels(transfer_syntax, content)


def without_pixel_data(sop_class: str, content: Content) -> str | None:
    """Return a remark on an image without pixel data, which may be cut off between two elements; ``None`` otherwise.

    Examples
    --------
    >>> without_pixel_data("1.2.840.10008.5.1.4.1.1.2", Content(b""))
    'the data set is of CT Image Storage, and has no pixel data'
    """
    if content.pixel_data != "none":
        return None
    name = UID(sop_class, config.IGNORE).name
    return f"the data set is of {name}, and has no pixel data" if "Image Storage" in name else None


def _meta_information(content: Content) -> str | None:
    if content.head[:2] in _META_INFORMATION or content.head[128:132] == b"DICM":
        return "the data set begins with the meta information of a file (group 0002)"
    return None


def _encoding(transfer_syntax: str, content: Content) -> str | None:
    order, is_explicit = _ORDERS.get(content.head[:2]), content.head[4:6] in _VRS
    is_unknown = not transfer_syntax.startswith(_STANDARD)  # one of a manufacturer may be implicit
    if is_unknown or order is None or len(content.head) < 8 or (order == "Big" and not is_explicit):
        return None
    expected = (
        "Big" if transfer_syntax == ExplicitVRBigEndian else "Little",
        transfer_syntax != ImplicitVRLittleEndian,
    )
    if (order, is_explicit) == expected:
        return None
    found = f"{'Explicit' if is_explicit else 'Implicit'} VR {order} Endian"
    return f"the data set is {found}, and was negotiated as {transfer_syntax}"


def _pixels(transfer_syntax: str, content: Content) -> str | None:
    if content.pixel_data == "encapsulated" and transfer_syntax in _NATIVE:
        return f"the pixel data are compressed, and the transfer syntax {transfer_syntax} is not"
    if content.pixel_data == "native" and transfer_syntax in _CODINGS:
        return f"the pixel data are not compressed, and the transfer syntax {transfer_syntax} is"
    labelled, found = _CODINGS.get(transfer_syntax), _coding(content.fragment)
    if labelled and found and labelled not in found.split(_OR) and content.pixel_data == "encapsulated":
        return f"the pixel data are {found}, and the transfer syntax {transfer_syntax} is {labelled}"
    return None


def _coding(fragment: bytes) -> str | None:
    """Return how a fragment is compressed; ``None`` if its first bytes do not show it."""
    if fragment.startswith(_START_OF_IMAGE):
        return _jpeg(fragment) or f"JPEG{_OR}JPEG-LS"
    for signature, coding in _SIGNATURES.items():
        if fragment.startswith(signature):
            return coding
    return "RLE" if _is_rle(fragment) else None


def _jpeg(fragment: bytes) -> str | None:
    """Return JPEG or JPEG-LS, by the marker of the frame (ITU-T T.81 B.1.1, T.87 C.1.1)."""
    at = len(_START_OF_IMAGE)
    while at + 4 <= len(fragment) and fragment[at] == 0xFF:
        marker = fragment[at + 1]
        if marker == _FRAME_OF_JPEG_LS:
            return "JPEG-LS"
        if 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES:
            return "JPEG"
        if marker == _START_OF_SCAN:
            return None
        at += 1 if marker == 0xFF else 2 + int.from_bytes(fragment[at + 2 : at + 4], "big")
    return None


def _is_rle(fragment: bytes) -> bool:
    """Return whether a fragment begins with the header of RLE: number and offsets of the segments (PS3.5 G.5)."""
    if len(fragment) < _RLE_HEADER:
        return False
    count, *offsets = (int.from_bytes(fragment[at : at + 4], "little") for at in range(0, _RLE_HEADER, 4))
    used = offsets[:count]
    is_ascending = all(before < after for before, after in pairwise(used))
    return 1 <= count <= _MOST_RLE_SEGMENTS and used[0] == _RLE_HEADER and is_ascending and not any(offsets[count:])
