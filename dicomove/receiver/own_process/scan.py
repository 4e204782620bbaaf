"""PS3.5: scans the bytes of a data set as they come from the network, and keeps only a few values.

The scan is tolerant, because the bytes are stored unchanged: a problem is reported at the end, and is never an
exception. The depth of nested sequences is one number: odd inside of a sequence, even inside of an item.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

from dicomove.dimse.charset import decode, encodings
from dicomove.receiver.own_process.transfer_syntax_check import HEAD_BYTES, Content, PixelData

Buffer = bytes | memoryview
# Tag, VR (empty if there is none), offset and length of the value. For a header that is cut, the offset is past the
# data.
_Reader = Callable[[Buffer, int], tuple[int, bytes, int, int]]

_IMPLICIT_LE: Final = "1.2.840.10008.1.2"
_EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
_EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"
# The second and third: JPIP Referenced Deflate, and JPIP HTJ2K Referenced Deflate.
_DEFLATED: Final = {"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"}

_CHARACTER_SET: Final = 0x00080005
_PIXEL_DATA: Final = 0x7FE00010
#: Patient, study, series and instance.
_IDENTIFYING: Final = frozenset({0x00100020, 0x0020000D, 0x0020000E, 0x00080018})
#: Pixel Data, and what may stand in its place: Float and Double Float Pixel Data, and Pixel Data Provider URL.
_PIXELS: Final[dict[int, PixelData]] = {
    _PIXEL_DATA: "native",
    **dict.fromkeys((0x7FE00008, 0x7FE00009, 0x00287FE0), "other"),
}
_DELIMITER_GROUP: Final = 0xFFFE
_ITEM, _ITEM_END, _SEQUENCE_END = _DELIMITERS = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF

_SHORT: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_IMPLICIT_HEADER: Final = struct.Struct("<HHI").unpack_from
_HEADER, _LONG_HEADER = 8, 12
_KEPT: Final = 1024
_ENOUGH: Final = _LONG_HEADER + _KEPT
_SLICE: Final = 1 << 15
#: How much of a deflated data set is inflated to see that it is whole: so much, and so many times its size.
_INFLATED, _TIMES = 1 << 26, 20


def text(values: Mapping[int, bytes], tag: int) -> str:
    r"""Return a value as text, without its padding; empty if there is none.

    The values may include the Specific Character Set (0008,0005). Bytes that contradict it are decoded by what they
    are.

    Examples
    --------
    >>> text({0x00080005: b"ISO_IR 192", 0x00100020: b"\xc5\x81-1 "}, 0x00100020)
    'Ł-1'
    """
    return decode(values.get(tag, b""), encodings(values.get(_CHARACTER_SET, b""))).strip(" \0")


class DataSetScanner:
    """Scans one data set, and keeps a few of its values.

    Parameters
    ----------
    transfer_syntax
        Its UID. An unknown one counts as Explicit VR Little Endian, like every encapsulated one (PS3.5 A.4).
    wanted
        The tags of the values to keep, outside of sequences.

    Attributes
    ----------
    values
        Tag -> the first 1024 bytes of its value, unchanged. Of two elements with one tag, the first counts; if they
        differ in patient or UID, that is a problem, because many readers take the last one (PS3.5 7.1 forbids both).
    """

    def __init__(self, transfer_syntax: str, wanted: Collection[int]) -> None:
        inner = DataSetScanner(_EXPLICIT_LE, wanted) if transfer_syntax in _DEFLATED else None
        self._deflated = _Deflated(inner) if inner else None
        self.values: dict[int, bytes] = inner.values if inner else {}
        self._wanted = frozenset(wanted)
        self._last = max(self._wanted, default=_UNDEFINED)
        self._order = ">" if transfer_syntax == _EXPLICIT_BE else "<"
        self._read = self._usual = _implicit_le if transfer_syntax == _IMPLICIT_LE else _explicit(self._order)
        self._carry = self._head = self._fragment = b""
        self._skip = self._tag = self._depth = self._unknown_depth = self._items = 0
        self._pixel_data: PixelData = "none"
        self._contradicted = 0

    @property
    def done(self) -> bool:
        """Whether all wanted elements have come or been passed; elements are in the order of their tags."""
        if self._deflated is not None:
            return self._deflated.inner.done
        return self._tag > self._last or 0 < len(self.values) == len(self._wanted)

    def feed(self, data: Buffer) -> None:
        """Scan the next bytes; they may end at any place."""
        size = len(data)
        if len(self._head) < HEAD_BYTES:
            self._head += bytes(data[: HEAD_BYTES - len(self._head)])
        if size <= self._skip:
            self._skip -= size
        elif self._deflated is not None:
            self._deflated.feed(data)
        else:
            self._advance(data)

    def problem(self) -> str | None:
        """Return the problem of the data set, in words, if it ends here; ``None`` if it is complete."""
        if self._deflated is not None:
            return self._deflated.problem()
        return self._cut()

    def content(self) -> Content:
        """Return the parts of the data set that show its form."""
        if self._deflated is not None:
            return self._deflated.content()
        return Content(self._head, self._pixel_data, self._fragment)

    def _cut(self) -> str | None:
        if self._contradicted:
            return f"({self._contradicted >> 16:04X},{self._contradicted & 0xFFFF:04X}) is there twice, with two values"
        cut = self._carry
        # Zeros are padding. In big endian, a single zero may be the first half of a group.
        is_padding = not any(cut) and (self._order == "<" or len(cut) % 2 == 0)
        if is_padding and not (self._skip or self._depth):
            return self._lack()
        group, element = divmod(self._tag, 1 << 16)
        if len(cut) >= 2 and not self._skip and not self._depth and self._group(cut) < group:
            return f"{len(cut)} bytes follow the last element, ({group:04X},{element:04X})"
        if not self._depth and len(cut) >= 4:
            group, element = struct.unpack_from(f"{self._order}HH", cut)
        after = "" if self._skip or self._depth or len(cut) >= 4 else "the element after "
        return f"the data set ends inside of {after}({group:04X},{element:04X})"

    def _lack(self) -> str | None:
        if not self._tag:
            return "the data set is empty"
        # The first item is the offset table (PS3.5 A.4).
        has_no_fragment = self._pixel_data == "encapsulated" and self._items < 2
        return "the compressed pixel data have no fragment" if has_no_fragment else None

    def _group(self, header: bytes) -> int:
        return int.from_bytes(header[:2], "big" if self._order == ">" else "little")

    def _advance(self, data: Buffer) -> None:
        at = self._skip
        if self._carry:
            joined = self._carry + bytes(data[:_ENOUGH])
            reached = self._scan(joined, 0)
            if reached == 0:
                self._carry = joined
                return
            at = reached - len(self._carry)
        at = self._scan(data, at)
        self._skip = max(0, at - len(data))
        self._carry = bytes(data[at:])

    def _scan(self, data: Buffer, at: int) -> int:
        """Return the offset of the first element that is cut; past the end of the data if a value has to be skipped."""
        size, wanted = len(data), self._wanted
        while at + _HEADER <= size:
            tag, vr, start, length = self._read(data, at)
            if start > size:
                break
            if length == _UNDEFINED or tag in _DELIMITERS:
                if self._is_first_fragment(tag, length):
                    stop = start + min(length, _KEPT)
                    if stop > size:
                        break
                    self._fragment = bytes(data[start:stop])
                at = start + self._nest(tag, vr, length)
                continue
            if not self._depth:
                if tag in wanted:
                    stop = start + min(length, _KEPT)
                    if stop > size:
                        break
                    self._keep(tag, bytes(data[start:stop]))
                # Zeros after the last element read as empty elements with the tag 0.
                self._tag = tag or self._tag
                if length and tag in _PIXELS:
                    self._pixel_data = _PIXELS[tag]
            at = start + length
        return at

    def _keep(self, tag: int, value: bytes) -> None:
        first = self.values.setdefault(tag, value)
        if tag in _IDENTIFYING and first.strip(b" \0") != value.strip(b" \0"):
            self._contradicted = tag

    def _is_first_fragment(self, tag: int, length: int) -> bool:
        """Whether an item is the first one after the offset table, which begins compressed pixel data (PS3.5 A.4)."""
        is_fragment = tag == _ITEM and self._depth == 1 and self._pixel_data == "encapsulated"
        return is_fragment and self._items == 1 and length != _UNDEFINED

    def _nest(self, tag: int, vr: bytes, length: int) -> int:
        """Enter or leave a sequence or an item; return the number of bytes to skip."""
        in_item = self._depth % 2 == 0
        if tag == _ITEM:
            self._items += 1
            if length != _UNDEFINED:
                return length
            self._depth += not in_item
        elif tag == _ITEM_END:
            # Some writers end items of defined length, too.
            self._depth -= in_item and self._depth > 0
        elif tag == _SEQUENCE_END:
            self._depth = max(0, self._depth - (2 if in_item else 1))
        else:
            if not self._depth:
                self._tag = tag
                if tag == _PIXEL_DATA:
                    self._pixel_data, self._items = "encapsulated", 0
            self._depth += 1 if in_item else 2
            if vr == b"UN" and not self._unknown_depth:
                # PS3.5 6.2.2, note 4: whatever the transfer syntax.
                self._unknown_depth, self._read = self._depth, _implicit_le
        if self._depth < self._unknown_depth:
            self._unknown_depth, self._read = 0, self._usual
        return 0


class _Deflated:
    """Inflates a data set in small parts, so that a zip bomb needs no memory, and not to the end of a bomb."""

    def __init__(self, inner: DataSetScanner) -> None:
        self.inner = inner
        self._stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        self._fed = self._inflated = 0
        self._stopped = self._broken = False

    def feed(self, data: Buffer) -> None:
        self._fed += len(data)
        for start in range(0, len(data), _SLICE):
            try:
                self._inflate(data[start : start + _SLICE])
            except zlib.error:
                self._broken = True

    def problem(self) -> str | None:
        if self._broken:
            return "the data set cannot be inflated"
        if self._fed and not self._stream.eof and not self._stopped:
            return "the deflated data set ends too early"
        if self.inner.done and not self.inner.values:
            return "the data set has none of the elements that it must have"
        return None if self._stopped else self.inner.problem()

    def content(self) -> Content:
        found = self.inner.content()
        # What was not inflated may have pixel data.
        return replace(found, pixel_data="other") if self._stopped and found.pixel_data == "none" else found

    def _inflate(self, data: Buffer) -> None:
        piece = b""
        # After a full part there may be more output, even if all input is used up.
        while (data or len(piece) == _SLICE) and not (self._stopped or self._broken or self._stream.eof):
            piece = self._stream.decompress(data, _SLICE)
            self.inner.feed(piece)
            self._inflated += len(piece)
            self._stopped = self.inner.done and self._inflated > _INFLATED + _TIMES * self._fed
            data = self._stream.unconsumed_tail


def _explicit(order: str) -> _Reader:
    header, number = struct.Struct(f"{order}HH2sH").unpack_from, struct.Struct(f"{order}I").unpack_from

    def read(data: Buffer, at: int) -> tuple[int, bytes, int, int]:
        group, element, vr, length = header(data, at)
        tag = group << 16 | element
        if vr in _SHORT and group != _DELIMITER_GROUP:
            return tag, vr, at + _HEADER, length
        if group == _DELIMITER_GROUP or not (vr.isalpha() and vr.isupper()):
            return tag, b"", at + _HEADER, number(data, at + 4)[0]
        # PS3.5 6.2 prescribes the long form for every future VR, but private VRs of manufacturers may not follow it.
        if vr not in _LONG and length:
            return tag, vr, at + _HEADER, length
        start = at + _LONG_HEADER
        return tag, vr, start, number(data, at + 8)[0] if start <= len(data) else 0

    return read


def _implicit_le(data: Buffer, at: int) -> tuple[int, bytes, int, int]:
    group, element, length = _IMPLICIT_HEADER(data, at)
    return group << 16 | element, b"", at + _HEADER, length
