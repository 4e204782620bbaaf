"""PDUs and P-DATA out of a stream of bytes (PS3.8 9.3), and P-DATA into bytes, without I/O.

`PDataReader` owns a buffer: bytes are received into `space()`, `received(count)` tells how many, and `next_event()`
returns what they make. Fragments are handed on in the parts in which they arrive, as views into the buffer, so that
memory does not grow with what a peer sends, or says that it will send.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Final, NamedTuple

from dicomove.dimse.pdu import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RQ,
    P_DATA,
    PDU_HEADER,
    PDV_HEADER,
    SHORT_PDU_BYTES,
)
from dicomove.errors import InvalidResponse, TlsFailed

_BUFFER_SIZE: Final = 1 << 18
#: Some peers send more than was negotiated; this much is forgiven, and is the most where no limit was negotiated.
_LONGEST_P_DATA: Final = 1 << 24
_LONGEST_ASSOCIATE: Final = 1 << 20
#: What a fragment has beside its bytes in a presentation data value: the number of its context, and a control header.
_VALUE_HEAD: Final = 2
_COMMAND, _LAST = 1, 2
#: Where a PDU has its type and a reserved byte, TLS has the type of the record (an alert, a handshake) and the version.
_TLS_RECORDS: Final = (0x15, 0x16)
_TLS_MAJOR_VERSION: Final = 3
_NO_VALUE: Final = -1
TLS_SPOKEN: Final = "the peer speaks TLS on this port, and tls= was not given here"


class Fragment(NamedTuple):
    """Some bytes of a message (PS3.8 9.3.5, Annex E), valid until the reader's buffer is written to.

    Attributes
    ----------
    context_id
        The presentation context.
    is_command
        Whether they are of a command set.
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
    """Makes fragments and PDUs of bytes, however they are cut.

    Parameters
    ----------
    size
        Of the buffer, in bytes.
    longest_associate
        Of A-ASSOCIATE PDUs, in bytes.
    buffer
        The buffer itself, for a reader that does not last.
    """

    def __init__(
        self,
        size: int = _BUFFER_SIZE,
        longest_associate: int = _LONGEST_ASSOCIATE,
        buffer: bytearray | None = None,
    ) -> None:
        # Not from the heap, of which each association would leave half a KiB unusable, for as long as we run.
        self._buffer = memoryview(mmap.mmap(-1, size) if buffer is None else buffer)
        self._longest = {P_DATA: _LONGEST_P_DATA, ASSOCIATE_RQ: longest_associate, ASSOCIATE_AC: longest_associate}
        self._start = self._end = 0
        # Of the PDU and the presentation data value that are being read.
        self._kind = self._left = self._context_id = self._control = 0
        self._value_left = _NO_VALUE
        self._body = bytearray()
        #: How many PDUs have begun.
        self.pdus = 0

    @property
    def is_between_pdus(self) -> bool:
        """Whether all that was received made whole PDUs, and `next_event` has returned them."""
        return not self._kind and self._start == self._end

    def space(self) -> memoryview:
        """Return where the next bytes belong. No fragment so far is valid once it is written to."""
        rest = bytes(self._buffer[self._start : self._end])
        self._buffer[: len(rest)] = rest
        self._start, self._end = 0, len(rest)
        return self._buffer[self._end :]

    def received(self, count: int) -> None:
        """Take so many bytes that were written into the space."""
        self._end += count

    def next_event(self) -> Fragment | Pdu | None:
        """Return what comes next; ``None`` when more bytes are needed.

        Raises
        ------
        TlsFailed
            The first bytes are TLS.
        InvalidResponse
            The bytes are not PDUs, or their lengths cannot be right.
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
        longest = self._longest.get(self._kind, SHORT_PDU_BYTES)
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
    """Yield what these bytes make."""
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
        All of it; without a byte, it is a fragment of no bytes.
    is_command
        Whether it is a command set.
    longest
        Bytes in one PDU, at the most.
    """
    size = longest - PDV_HEADER.size
    for start in range(0, max(len(data), 1), size):
        part = data[start : start + size]
        control = (_COMMAND if is_command else 0) | (_LAST if start + size >= len(data) else 0)
        yield PDU_HEADER.pack(P_DATA, len(part) + PDV_HEADER.size)
        yield PDV_HEADER.pack(len(part) + _VALUE_HEAD, context_id, control)
        yield part
