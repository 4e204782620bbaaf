"""One connection of a raw peer, as client or as server, for a limited time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from dicomove.dimse.connection import reset
from dicomove.dimse.fragments import ABORT, ASSOCIATE_RQ, P_DATA, PDU_HEADER, RELEASE_RQ, Fragment, pdu, read_events
from dicomove.dimse.messages import Message, MessageAssembler
from dicomove.dimse.pdu import read_request
from dicomove.testing.raw import pdus

#: The most bytes to keep of each direction: an endless stream must not fill the memory.
_KEPT: Final = 1 << 20


class RawConnection:
    """A connection, with the bytes that it has received and sent.

    Parameters
    ----------
    sock
        A connected socket.
    seconds
        The time limit of the connection: after it, a wait raises `TimeoutError`.
    closing
        An event that ends every pause.
    called_ae_title
        The called AE title of an A-ASSOCIATE-RQ.

    Attributes
    ----------
    received, sent
        The first MiB of each direction.
    bytes_sent
        The number of all bytes sent.
    left
        Whether this side ended the connection.
    associate
        The body of the A-ASSOCIATE-RQ that came.
    request
        The last request that came.
    """

    def __init__(
        self,
        sock: socket.socket,
        seconds: float,
        closing: threading.Event | None = None,
        called_ae_title: str = "",
    ) -> None:
        self._socket = sock
        self._end = time.monotonic() + seconds
        self._closing = closing or threading.Event()
        self.called_ae_title = called_ae_title
        self.received, self.sent = bytearray(), bytearray()
        self.bytes_sent = 0
        self.left = False
        self.associate = b""
        self.request: Message | None = None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """Send everything."""
        view = memoryview(data)
        while view:
            self._socket.settimeout(self._remaining())
            count = self._socket.send(view)
            self.bytes_sent += count
            self.sent += view[: min(count, _KEPT - len(self.sent))]
            view = view[count:]

    def read_some(self, size: int = 65536) -> bytes:
        """Return the next bytes; none if the other side has closed."""
        self._socket.settimeout(self._remaining())
        data = self._socket.recv(size)
        self.received += data[: _KEPT - len(self.received)]
        return data

    def read(self, size: int) -> bytes:
        """Return `size` bytes; raise `EOFError` if the other side has closed."""
        data = b""
        while len(data) < size:
            more = self.read_some(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def read_pdu(self) -> tuple[int, bytes]:
        """Return the type and the body of the next PDU."""
        kind, length = PDU_HEADER.unpack(self.read(PDU_HEADER.size))
        body = self.read(length)
        if kind == ASSOCIATE_RQ:
            self.associate = body
        return kind, body

    def read_request(self) -> None:
        """Read a whole request; raise `EOFError` if the other side aborts, or releases, which gets its answer."""
        assembler = MessageAssembler(range(256))
        self.request = None
        while self.request is None:
            kind, body = self.read_pdu()
            if kind in (RELEASE_RQ, ABORT):
                self.send(pdus.RELEASE_ANSWER if kind == RELEASE_RQ else b"")
                raise EOFError
            for event in read_events(pdu(P_DATA, body)) if kind == P_DATA else ():
                if isinstance(event, Fragment):
                    self.request = assembler.take(event) or self.request

    @property
    def abstract_syntax(self) -> str:
        """The abstract syntax of the last request's presentation context."""
        return _abstract_syntaxes(self.associate).get(self.request.context_id, "") if self.request else ""

    def pause(self, seconds: float) -> None:
        """Send and read nothing for some seconds."""
        if self._closing.wait(min(seconds, self._remaining())):
            raise EOFError

    def finish_sending(self) -> None:
        """Send FIN, and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def leave(self, *, with_reset: bool = False) -> None:
        """Close the connection, with a FIN or a RST."""
        self.left = True
        if with_reset:
            reset(self._socket)
        self._socket.close()
        raise EOFError

    def _remaining(self) -> float:
        seconds = self._end - time.monotonic()
        if seconds <= 0 or self._closing.is_set():
            raise TimeoutError
        return seconds


@lru_cache(maxsize=64)
def _abstract_syntaxes(associate: bytes) -> Mapping[int, str]:
    """Return the abstract syntaxes of an A-ASSOCIATE-RQ, read once for all responses."""
    return {one.context_id: one.abstract_syntax for one in read_request(associate).contexts}


Step = Callable[[RawConnection], None]
