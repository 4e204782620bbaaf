"""`ScriptedPeer`: a server that plays a script to each client; and one connection of a raw peer, on either side."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, Self

from dicomove.dimse.associate import read_request
from dicomove.dimse.connection import reset
from dicomove.dimse.messages import Message, MessageAssembler
from dicomove.dimse.pdu import ABORT, ASSOCIATE_RQ, P_DATA, PDU_HEADER, RELEASE_RQ, Fragment, pdu, read_events
from dicomove.testing.raw import pdus

#: The most bytes to keep of each direction: an endless stream must not fill the memory.
_KEPT: Final = 1 << 20
_STOP_S: Final = 10.0


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

    def read_to_end(self) -> None:
        """Read until the other side closes."""
        while self.read_some():
            pass

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


class ScriptedPeer:
    """Plays a script to each client that connects, on a free port of 127.0.0.1.

    Each connection has a daemon thread, and ends with the ``with`` block.

    Parameters
    ----------
    *scripts
        One script or several, each a sequence of steps. Of several, the first connection gets the first script, the
        second connection the second, and all later ones the last.
    seconds
        The longest time of a connection.

    Examples
    --------
    >>> from dicomove import MoveScu, Pacs
    >>> from dicomove.testing.raw import Accept, ReadRequest, Reset, ScriptedPeer
    >>> with ScriptedPeer([Accept(), ReadRequest(), Reset()]) as peer, MoveScu(Pacs(peer.address)) as scu:
    ...     result = scu.move_study({"StudyInstanceUID": "1.2.3"}, "ANYWHERE")
    >>> result.outcome, result.error, peer.connections
    ('interrupted', 'connection_lost', 1)
    """

    def __init__(self, *scripts: Sequence[Step], seconds: float = 60.0) -> None:
        self._scripts, self._seconds = scripts, seconds
        self._closing = threading.Event()
        self._connections: list[RawConnection] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._server.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, name="raw-listener", daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        _wake(self._server)
        self._accepting.join(_STOP_S)
        self._server.close()
        for sock in self._sockets:
            _wake(sock)
        for thread in self._threads:
            thread.join(_STOP_S)

    @property
    def address(self) -> str:
        """The address, for `Pacs`."""
        return f"RAW@127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """The number of connections so far."""
        return len(self._connections)

    @property
    def received(self) -> list[bytes]:
        """The first MiB that came over each connection."""
        return [bytes(connection.received) for connection in self._connections]

    @property
    def sent(self) -> list[bytes]:
        """The first MiB that went over each connection."""
        return [bytes(connection.sent) for connection in self._connections]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            script = self._scripts[min(len(self._connections), len(self._scripts) - 1)]
            connection = RawConnection(client, self._seconds, self._closing)
            thread = threading.Thread(
                target=self._play, args=(client, connection, script), name="raw-peer", daemon=True
            )
            self._sockets.append(client)
            self._threads.append(thread)
            self._connections.append(connection)
            thread.start()

    def _play(self, client: socket.socket, connection: RawConnection, script: Sequence[Step]) -> None:
        # The client has left, or the time is over: either way the script ends here.
        with client, contextlib.suppress(OSError, EOFError):
            play(script, connection)


def play(steps: Sequence[Step], connection: RawConnection) -> None:
    """Do all steps, and then read until the other side leaves. An earlier end of the connection raises its error."""
    for step in steps:
        step(connection)
    connection.read_to_end()


def _wake(sock: socket.socket) -> None:
    """End every wait at a socket."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
