"""The straight path for P-DATA (PS3.8 9.3.5): from the socket to whoever takes the bytes, through one buffer.

Nothing is gathered: a fragment is handed on in the pieces in which it arrives, as views into the buffer, so that memory
does not grow with what a peer sends, or says that it will send.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from dicomove.dimse.pdu import P_DATA, PDU_HEADER, PDV_HEADER
from dicomove.dimse.transport import Connection, Limit, Watch
from dicomove.errors import IdleTimeout, InvalidResponse

_BUFFER_SIZE: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a message, valid until the stream reads on.

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


class Stream:
    """Reads the PDUs of an established association.

    Parameters
    ----------
    connection
        Where from.
    longest_pdu
        Bytes of a P-DATA-TF PDU, at the most.
    idle_s
        Seconds that the peer may be silent between two PDUs.
    pdu_s
        Seconds that one PDU may take: a peer that drips is no peer.
    """

    def __init__(self, connection: Connection, longest_pdu: int, idle_s: float, pdu_s: float) -> None:
        self._connection, self._longest_pdu = connection, longest_pdu
        self._idle_s, self.pdu_s = idle_s, pdu_s
        # Not from the heap, of which each association would leave half a KiB unusable, for as long as we run.
        self._buffer = memoryview(mmap.mmap(-1, _BUFFER_SIZE))
        self._start = self._end = 0
        self._watch = Watch()

    def pieces(self, before_reading: Callable[[], None]) -> Iterator[Piece]:
        """Yield the pieces of messages, until a PDU comes that is no P-DATA-TF: `ended_by` has its type and body.

        Parameters
        ----------
        before_reading
            Called before the buffer is written to, after which no piece so far is valid.
        """
        self._before_reading = before_reading
        while True:
            self._watch = Watch(Limit(self._idle_s, IdleTimeout, "waiting for a request"))
            self._need(1)
            self._watch = Watch(Limit(self.pdu_s, IdleTimeout, "the rest of a PDU"))
            kind, length = PDU_HEADER.unpack(self._take(PDU_HEADER.size))
            if kind != P_DATA:
                self.ended_by = kind, bytes(self._take(length)) if length == 4 else b""
                return
            if length > self._longest_pdu:
                message = f"a P-DATA-TF PDU of {length} bytes"
                raise InvalidResponse(message)
            yield from self._values(length)

    def _values(self, left: int) -> Iterator[Piece]:
        """Yield the pieces of the presentation data values of one PDU."""
        while left:
            if left < PDV_HEADER.size:
                message = "a P-DATA-TF PDU that ends inside an item"
                raise InvalidResponse(message)
            length, context_id, control = PDV_HEADER.unpack(self._take(PDV_HEADER.size))
            left -= 4 + length
            size = length - 2
            if size < 0 or left < 0:
                message = "a presentation data value of an impossible length"
                raise InvalidResponse(message)
            while True:
                data = self._some(size)
                size -= len(data)
                yield Piece(context_id, bool(control & 1), bool(control & 2) and not size, data)
                if not size:
                    break

    def _some(self, most: int) -> memoryview:
        """Return at least one byte and at the most so many, unless none are wanted."""
        if self._start == self._end and most:
            self._read()
        end = min(self._end, self._start + most)
        found = self._buffer[self._start : end]
        self._start = end
        return found

    def _take(self, size: int) -> memoryview:
        """Return exactly so many bytes, as many as a header has."""
        self._need(size)
        self._start += size
        return self._buffer[self._start - size : self._start]

    def _need(self, size: int) -> None:
        while self._end - self._start < size:
            self._read()

    def _read(self) -> None:
        """Read on, behind what is left of what was read."""
        self._before_reading()
        rest = bytes(self._buffer[self._start : self._end])
        self._buffer[: len(rest)] = rest
        self._start = 0
        self._end = len(rest) + self._connection.receive_some(self._buffer[len(rest) :], self._watch)
