"""A listener that accepts associations, with the faults of this stage (PS3.8 7.1)."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, Self

from dicomove.dimse.association import Association
from dicomove.dimse.connection import Connection, Deadline, Deadlines, reset
from dicomove.dimse.fragments import ASSOCIATE_AC, ASSOCIATE_RQ, RELEASE_RQ, pdu
from dicomove.dimse.messages import Message
from dicomove.dimse.opening import Peer, read_proposal
from dicomove.dimse.pdu import AssociateRequest
from dicomove.dimse.state import Role
from dicomove.errors import AssociationError, AssociationTimeout, IdleTimeout
from dicomove.testing.faults.base import Abort, Close, Die, Reject, Release, SendBytes, Vanish
from dicomove.tls import Wrap

_HANDSHAKE_S: Final = 30.0
_IDLE_S: Final = 600.0
_RELEASE_S: Final = 2.0
_BACKLOG: Final = 128

#: Returns the bytes to send in place of an A-ASSOCIATE-AC to a request, or in place of an A-ASSOCIATE-RQ.
Associate = Callable[[AssociateRequest | None, bytes], bytes]

logger = logging.getLogger("dicomove.testing")


class Service(Protocol):
    """Answers the messages of the associations of a listener."""

    def handle(self, association: Association, peer: Peer, message: Message) -> None:
        """Answer one request."""


class Listener:
    """Accepts associations on 127.0.0.1, each in a separate thread.

    Parameters
    ----------
    service
        Answers the requests.
    port
        The port; 0 lets the system choose one.
    gate
        The listener calls it with the number of open associations before it accepts one more. It may raise the orders
        of `Fault.on_association`.
    associate
        Returns the bytes to send in place of an A-ASSOCIATE-AC.
    max_pdu_length
        The longest PDU that the listener receives; 0 is no limit.
    wrap
        Turns a socket into a TLS socket, if the listener speaks TLS.
    """

    def __init__(
        self,
        service: Service,
        port: int = 0,
        *,
        gate: Callable[[int], None] = lambda _: None,
        associate: Associate = lambda _, sent: sent,
        max_pdu_length: int = 0,
        wrap: Wrap | None = None,
    ) -> None:
        self._wrap, self._associate = wrap, associate
        self._service, self._gate, self._max_pdu_length = service, gate, max_pdu_length
        self._socket = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
        self.port: int = self._socket.getsockname()[1]
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()
        self._associations = 0

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._stop()

    def _start(self) -> None:
        thread = threading.Thread(target=self._listen, name="dicomove-listener", daemon=True)
        thread.start()
        self._thread = thread  # only now: `_stop` waits for a thread that has begun

    def _stop(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._clients.add(client)
        try:
            self._run(self._connection(client))
        except Close as order:
            if order.reset:
                reset(client)
        except Vanish:
            self._closed.wait()
        except Die as order:
            self._die(order)
        except (AssociationError, OSError) as error:
            logger.info("association ended: %s", error)
        finally:
            with self._lock:
                self._clients.discard(client)
            client.close()

    def _connection(self, client: socket.socket) -> ChangingConnection:
        connection = ChangingConnection(client)
        if self._wrap:
            connection.secure(self._wrap, Deadlines(Deadline(_HANDSHAKE_S, AssociationTimeout, "the TLS handshake")))
        return connection

    def _run(self, connection: ChangingConnection) -> None:
        association, peer = accept(connection, self._enter, self._max_pdu_length, self._associate)
        try:
            while True:
                idle = Deadline(_IDLE_S, IdleTimeout, "waiting for a request")
                self._service.handle(association, peer, association.receive(Deadlines(idle)))
        except Abort:
            association.abort()
        except Release:
            ending = Deadlines(Deadline(_RELEASE_S, IdleTimeout, "A-RELEASE"))
            association.send_pdu(RELEASE_RQ, pdu(RELEASE_RQ), ending)
            association.release(_RELEASE_S)
        finally:
            with self._lock:
                self._associations -= 1

    def _enter(self) -> None:
        with self._lock:
            self._gate(self._associations)
            self._associations += 1

    def _die(self, order: Die) -> None:
        """End the listener and all connections at once, and listen again at the same port later."""
        self._stop()
        with self._lock:
            for client in self._clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
        if order.back_after_s is None:
            return
        self._socket = _bound(self.port)
        if not self._closed.wait(order.back_after_s):
            self._socket.listen(_BACKLOG)
            self._start()


def _bound(port: int) -> socket.socket:
    """Return a socket that refuses connections until it listens, and keeps its port from other programs."""
    bound = socket.socket()
    # The connections that have just ended also use this port.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


class ChangingConnection(Connection):
    """A connection that changes the A-ASSOCIATE-AC and A-ASSOCIATE-RQ that it sends.

    Attributes
    ----------
    change
        Returns the bytes to send in place of them.
    """

    change: Callable[[bytes], bytes] | None = None

    def send(self, data: bytes, deadlines: Deadlines) -> None:
        """Send everything."""
        is_negotiation = data[0] in (ASSOCIATE_RQ, ASSOCIATE_AC)
        super().send(self.change(data) if self.change and is_negotiation else data, deadlines)


def accept(
    connection: ChangingConnection, enter: Callable[[], None], max_pdu_length: int, associate: Associate
) -> tuple[Association, Peer]:
    """Read A-ASSOCIATE-RQ and accept every abstract syntax of it, unless `enter` raises."""
    deadlines = Deadlines(Deadline(_HANDSHAKE_S, AssociationTimeout, "A-ASSOCIATE"))
    association = Association(connection, Role.ACCEPTOR, is_strict=False)
    proposal = read_proposal(association, deadlines)
    try:
        enter()
    except Reject as order:
        proposal.reject(order.result, order.source, order.reason, deadlines)
        raise Close from order
    except Abort as order:
        association.abort()
        raise Close from order
    except SendBytes as order:
        connection.send(order.data, deadlines)
        raise Close from order
    connection.change = partial(associate, proposal.request)
    proposal.accept(max_pdu_length, deadlines)
    return association, proposal.peer
