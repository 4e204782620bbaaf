"""One connection of a raw peer, on whichever side, as long as its time lasts."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dicomove.dimse.association import split_p_data
from dicomove.dimse.messages import decode_command, has_data_set
from dicomove.dimse.pdu import ABORT, ASSOCIATE_RQ, P_DATA, RELEASE_RQ, read_request
from dicomove.testing.raw import pdus

#: What is kept of each direction, in bytes: a stream without end must not fill the memory.
_KEPT: Final = 1 << 20
#: SO_LINGER with no time: the connection ends with a RST.
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Request:
    """The request that a response names."""

    context_id: int
    abstract_syntax: str
    command_field: int
    message_id: int


class Talk:
    """A connection, and what was said over it.

    Parameters
    ----------
    sock
        Connected.
    seconds
        How long it lasts: then whatever waits raises `TimeoutError`.
    closing
        Ends a pause once it is set.
    called_ae_title
        For an A-ASSOCIATE-RQ.

    Attributes
    ----------
    received, sent
        The first MiB of what came and went.
    bytes_sent
        How much went.
    left
        Whether this side ended the connection.
    associate
        The body of the A-ASSOCIATE-RQ that came.
    request
        The request that came last.
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
        self.request: Request | None = None
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
        """Return what comes next; nothing where the other side has closed."""
        self._socket.settimeout(self._remaining())
        data = self._socket.recv(size)
        self.received += data[: _KEPT - len(self.received)]
        return data

    def read(self, size: int) -> bytes:
        """Return so many bytes; `EOFError` where the other side has closed."""
        data = b""
        while len(data) < size:
            more = self.read_some(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def read_pdu(self) -> tuple[int, bytes]:
        """Return the type and the body of the next PDU."""
        kind, length = struct.unpack(">BxI", self.read(6))
        body = self.read(length)
        if kind == ASSOCIATE_RQ:
            self.associate = body
        return kind, body

    def read_request(self) -> None:
        """Read a whole request; where the other side would rather leave, let it, and raise `EOFError`."""
        command: dict[str, int | str] = {}
        encoded = b""
        while True:
            kind, body = self.read_pdu()
            if kind in (RELEASE_RQ, ABORT):
                self.send(pdus.RELEASE_ANSWER if kind == RELEASE_RQ else b"")
                raise EOFError
            for context_id, is_command, is_last, fragment in split_p_data(body) if kind == P_DATA else ():
                encoded += fragment if is_command else b""
                if is_last and is_command:
                    command = decode_command(encoded)
                if is_last and (not is_command or not has_data_set(command)):
                    self.request = self._request(context_id, command)
                    return

    def pause(self, seconds: float) -> None:
        """Say nothing for so long."""
        if self._closing.wait(min(seconds, self._remaining())):
            raise EOFError

    def finish_sending(self) -> None:
        """Send FIN, and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def leave(self, *, reset: bool = False) -> None:
        """Close the connection, with a FIN or a RST."""
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.left = True
        self._socket.close()
        raise EOFError

    def _remaining(self) -> float:
        seconds = self._end - time.monotonic()
        if seconds <= 0 or self._closing.is_set():
            raise TimeoutError
        return seconds

    def _request(self, context_id: int, command: dict[str, int | str]) -> Request:
        abstract = {one.context_id: one.abstract_syntax for one in read_request(self.associate).contexts}
        field, message_id = (int(command.get(name, 0)) for name in ("CommandField", "MessageID"))
        return Request(context_id, abstract.get(context_id, ""), field, message_id)


Step = Callable[[Talk], None]
