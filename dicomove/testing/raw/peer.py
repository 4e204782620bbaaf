"""`ScriptedPeer`: a server that plays a script of bytes to each client."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence
from typing import Final, Self

from dicomove.testing.raw.connection import RawConnection, Step
from dicomove.testing.raw.steps import play

_STOP_S: Final = 10.0


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
            play(tuple(script), connection)


def _wake(sock: socket.socket) -> None:
    """End every wait at a socket."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
