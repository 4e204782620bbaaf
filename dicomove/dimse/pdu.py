"""Reads PDUs from a stream of bytes (PS3.8 9.3), writes P-DATA, and explains rejections and aborts, without I/O.

`PDataReader` owns a buffer. The caller receives bytes into `space()` and passes their number to `received`, and
`next_event` returns fragments and PDUs. A fragment is a view into the buffer with the bytes that have arrived, so
memory does not grow with the length that a peer sends or announces.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple, NoReturn

from dicomove.errors import AssociationAborted, AssociationRejected, InvalidResponse, TlsFailed

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)

PDU_HEADER: Final = struct.Struct(">BxI")
PDV_HEADER: Final = struct.Struct(">IBB")
#: The body of A-ASSOCIATE-RJ, A-RELEASE-RQ, A-RELEASE-RP and A-ABORT.
SHORT_PDU_BYTES: Final = 4
#: Some peers append bytes to such a body, which dicomove ignores.
_LONGEST_SHORT_PDU: Final = 64
#: A header of a presentation data value, and two bytes.
SHORTEST_PDU: Final = 8

#: The words of A-ASSOCIATE-RJ (PS3.8 Table 9-21).
_RESULTS: Final = {1: "Rejected Permanent", 2: "Rejected Transient"}
_SOURCES: Final = {1: "Service User", 2: "Service Provider (ACSE)", 3: "Service Provider (Presentation)"}
_REASONS: Final = {
    (1, 1): "No reason given",
    (1, 2): "Application context name not supported",
    (1, 3): "Calling AE title not recognised",
    (1, 7): "Called AE title not recognised",
    (2, 1): "No reason given",
    (2, 2): "Protocol version not supported",
    (3, 1): "Temporary congestion",
    (3, 2): "Local limit exceeded",
}
_PERMANENT, _SERVICE_USER = 1, 1
#: The peer does not know the application context name, or an AE title.
_UNKNOWN_NAME_REASONS: Final = (2, 3, 7)

_BUFFER_SIZE: Final = 1 << 18
#: The longest P-DATA-TF that dicomove accepts in any case, because some peers send more than was negotiated.
_LONGEST_P_DATA: Final = 1 << 24
#: The length of a PDU has 32 bits.
_LONGEST_OF_ALL: Final = (1 << 32) - 1
_LONGEST_ASSOCIATE: Final = 1 << 20
#: The bytes of a presentation data value before those of a fragment: the number of its context, and a control header.
_VALUE_HEAD: Final = 2
_COMMAND, _LAST = 1, 2
#: In place of a PDU's type and reserved byte, TLS has the type of the record (an alert, a handshake) and the version.
_TLS_RECORDS: Final = (0x15, 0x16)
_TLS_MAJOR_VERSION: Final = 3
_NO_VALUE: Final = -1
TLS_SPOKEN: Final = "the peer speaks TLS on this port, and tls= was not given here"


def pdu(kind: int, body: bytes = bytes(SHORT_PDU_BYTES)) -> bytes:
    """Return a PDU. The default body is four reserved bytes."""
    return PDU_HEADER.pack(kind, len(body)) + body


def reject_pdu(result: int, source: int, reason: int) -> bytes:
    """Return A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return pdu(ASSOCIATE_RJ, bytes([0, result, source, reason]))


def rejection(body: bytes) -> AssociationRejected:
    """Return the error for the body of an A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""
    if len(body) < SHORT_PDU_BYTES:
        message = "the PACS rejected the association, and gave no reason"
        return AssociationRejected(message)
    result, source, reason = body[1:SHORT_PDU_BYTES]
    words = (_RESULTS.get(result), _SOURCES.get(source), _REASONS.get((source, reason)))
    known = f"{words[0]}, {words[1]}: {words[2]}" if all(words) else None
    message = f"the PACS rejected the association ({known or f'result {result}, source {source}, reason {reason}'})"
    lasts = result == _PERMANENT and source == _SERVICE_USER and reason in _UNKNOWN_NAME_REASONS
    return AssociationRejected(message, permanent=lasts)


def refuse_pdu(kind: int, body: bytes) -> NoReturn:
    """Raise the error for a PDU that is not the expected one."""
    if kind == ABORT:
        source = "the PACS" if len(body) >= SHORT_PDU_BYTES and body[2] == 0 else "the PACS's network layer"
        message = f"{source} aborted the association"
        raise AssociationAborted(message)
    message = f"a PDU of type {kind} where none belongs"
    raise InvalidResponse(message)


class Fragment(NamedTuple):
    """Some bytes of a message (PS3.8 9.3.5, Annex E), valid until the reader's buffer is written to.

    Attributes
    ----------
    context_id
        The presentation context.
    is_command
        Whether the bytes belong to a command set.
    is_last
        Whether the command set, or the data set, ends with them.
    data
        The bytes.
    """

    context_id: int
    is_command: bool
    is_last: bool
    data: memoryview


class Pdu(NamedTuple):
    """A whole PDU that is not P-DATA-TF, or a P-DATA-TF without a presentation data value."""

    kind: int
    body: bytes


class PDataReader:
    """Makes fragments and PDUs from bytes, however the network splits them.

    Parameters
    ----------
    size
        The size of the buffer, in bytes.
    longest_associate
        The longest accepted A-ASSOCIATE PDU, in bytes.
    max_pdu_length
        The longest P-DATA-TF that was negotiated; 0 is no limit. Those up to 16 MiB are always accepted.
    buffer
        The buffer; by default, the reader allocates one.
    """

    def __init__(
        self,
        size: int = _BUFFER_SIZE,
        longest_associate: int = _LONGEST_ASSOCIATE,
        max_pdu_length: int = _LONGEST_P_DATA,
        buffer: bytearray | None = None,
    ) -> None:
        # Not from the heap: each association would leave half a KiB of it unusable until the process ends.
        self._buffer = memoryview(mmap.mmap(-1, size) if buffer is None else buffer)
        longest = max(_LONGEST_P_DATA, max_pdu_length or _LONGEST_OF_ALL)
        self._longest = {P_DATA: longest, ASSOCIATE_RQ: longest_associate, ASSOCIATE_AC: longest_associate}
        self._start = self._end = 0
        # The state of the current PDU and presentation data value.
        self._kind = self._left = self._context_id = self._control = 0
        self._value_left = _NO_VALUE
        self._body = bytearray()
        #: The number of PDUs that have begun.
        self.pdus = 0

    @property
    def is_between_pdus(self) -> bool:
        """Whether the received bytes are whole PDUs, and `next_event` has returned all of them."""
        return not self._kind and self._start == self._end

    def space(self) -> memoryview:
        """Return the free part of the buffer, for the next bytes. Earlier fragments are not valid any more."""
        rest = bytes(self._buffer[self._start : self._end])
        self._buffer[: len(rest)] = rest
        self._start, self._end = 0, len(rest)
        return self._buffer[self._end :]

    def received(self, count: int) -> None:
        """Accept this number of bytes, which the caller has written into the space."""
        self._end += count

    def next_event(self) -> Fragment | Pdu | None:
        """Return the next fragment or PDU; ``None`` if more bytes are needed.

        Raises
        ------
        TlsFailed
            The first bytes are TLS.
        InvalidResponse
            The bytes are not PDUs, or their lengths are impossible.
        """
        while True:
            if self._value_left != _NO_VALUE:
                return self._fragment()
            if self._kind and self._kind != P_DATA:
                return self._whole_pdu()
            header = self._header()
            if header is None:
                return None
            if self._kind:
                self._begin_value(header)
            else:
                self._begin_pdu(header)
                if self._kind == P_DATA and not self._left:
                    self._kind = 0
                    return Pdu(P_DATA, b"")

    def _header(self) -> memoryview | None:
        """Return the header of a PDU or of a presentation data value: both have six bytes."""
        if self._kind and self._left < PDV_HEADER.size:
            message = "a P-DATA-TF PDU that ends inside an item"
            raise InvalidResponse(message)
        end = self._start + PDU_HEADER.size
        if end > self._end:
            return None
        header = self._buffer[self._start : end]
        self._start = end
        return header

    def _begin_pdu(self, header: memoryview) -> None:
        self._kind, self._left = PDU_HEADER.unpack(header)
        self.pdus += 1
        longest = self._longest.get(self._kind, _LONGEST_SHORT_PDU)
        if self.pdus == 1 and is_tls_record(header):
            raise TlsFailed(TLS_SPOKEN, permanent=True)
        if not ASSOCIATE_RQ <= self._kind <= ABORT or self._left > longest:
            message = f"not DICOM: a PDU of type {self._kind} and {self._left} bytes"
            raise InvalidResponse(message)

    def _begin_value(self, header: memoryview) -> None:
        length, self._context_id, self._control = PDV_HEADER.unpack(header)
        self._left -= length + PDV_HEADER.size - _VALUE_HEAD
        self._value_left = length - _VALUE_HEAD
        if self._value_left < 0 or self._left < 0:
            message = "a presentation data value of an impossible length"
            raise InvalidResponse(message)

    def _fragment(self) -> Fragment | None:
        end = min(self._end, self._start + self._value_left)
        data = self._buffer[self._start : end]
        self._value_left -= len(data)
        if not data and self._value_left:
            return None
        self._start = end
        control, is_last = self._control, False
        if not self._value_left:
            is_last = bool(control & _LAST)
            self._value_left = _NO_VALUE
            self._kind = P_DATA if self._left else 0
        return Fragment(self._context_id, bool(control & _COMMAND), is_last, data)

    def _whole_pdu(self) -> Pdu | None:
        end = min(self._end, self._start + self._left)
        self._left -= end - self._start
        self._body += self._buffer[self._start : end]
        self._start = end
        if self._left:
            return None
        event = Pdu(self._kind, bytes(self._body))
        self._kind, self._body = 0, bytearray()
        return event


def is_tls_record(begin: bytes | memoryview) -> bool:
    """Whether the first bytes of a peer are those of a TLS record."""
    return len(begin) > 1 and begin[0] in _TLS_RECORDS and begin[1] == _TLS_MAJOR_VERSION


def read_events(data: bytes) -> Iterator[Fragment | Pdu]:
    """Yield the fragments and PDUs in these bytes."""
    reader = PDataReader(buffer=bytearray(data))  # without a system call for each PDU
    reader.received(len(data))
    while (event := reader.next_event()) is not None:
        yield event


def write_p_data(context_id: int, data: bytes, *, is_command: bool, longest: int) -> Iterator[bytes]:
    """Yield the parts of the P-DATA-TF PDUs of a command set or a data set.

    Parameters
    ----------
    context_id
        The presentation context.
    data
        The whole command set or data set. Empty data make one empty fragment.
    is_command
        Whether it is a command set.
    longest
        The greatest number of bytes in one PDU.
    """
    size = longest - PDV_HEADER.size
    for start in range(0, max(len(data), 1), size):
        part = data[start : start + size]
        control = (_COMMAND if is_command else 0) | (_LAST if start + size >= len(data) else 0)
        yield PDU_HEADER.pack(P_DATA, len(part) + PDV_HEADER.size)
        yield PDV_HEADER.pack(len(part) + _VALUE_HEAD, context_id, control)
        yield part
