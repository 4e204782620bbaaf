"""Peers that may not store: C-ECHO is answered, and nothing else.

The administrator of a PACS tests a new entry with C-ECHO, at any time and from any machine. A port scan must cost
nothing: such peers have few connections, little time, and no place among the associations that store.
"""

from __future__ import annotations

import logging
import socket
import threading
from typing import Final

from dicomove.dimse.association import Association
from dicomove.dimse.connection import Connection, Deadline, Deadlines
from dicomove.dimse.messages import C_CANCEL_RQ, C_ECHO_RQ, RESPONSE, MessageAssembler, Sink, respond
from dicomove.dimse.negotiation import Proposal, read_proposal
from dicomove.dimse.sop_classes import VERIFICATION
from dicomove.dimse.state import Role
from dicomove.errors import AssociationError, AssociationTimeout, IdleTimeout
from dicomove.receiver.admission import NOT_ADMITTED, Admission
from dicomove.tls import Wrap

#: Connections at the same time, and the seconds for A-ASSOCIATE-RQ and for all of a visit.
_MOST_VISITORS: Final = 8
_HANDSHAKE_S: Final = 3.0
_VISIT_S: Final = 30.0
#: Room for the longest answer; C-ECHO needs little.
_MAX_PDU_LENGTH: Final = 1 << 14
_SUCCESS: Final = 0x0000
_NOT_AUTHORIZED: Final = 0x0124
_REJECTED_CALLED_AE_TITLE: Final = (1, 1, 7)

logger = logging.getLogger("dicomove.receiver")


class Visitors:
    """Serves the peers that `admission` does not admit, each in a thread of its own.

    Parameters
    ----------
    ae_title
        Ours: associations that call another one are rejected.
    admission
        Counts the peers that are turned away.
    wrap
        Makes a TLS socket of one, if the receiver speaks TLS.
    handshake_s
        Seconds until A-ASSOCIATE-RQ is there, at the most.
    """

    def __init__(self, ae_title: str, admission: Admission, wrap: Wrap | None, handshake_s: float) -> None:
        self._ae_title, self._admission, self._wrap = ae_title, admission, wrap
        self._handshake_s = min(handshake_s, _HANDSHAKE_S)
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()

    def take(self, client: socket.socket, address: str) -> None:
        """Serve a peer, or close its connection where there are many others."""
        connection = self._entered(client)
        if connection is None:
            self._refuse(address)
            client.close()
            return
        try:
            threading.Thread(target=self._serve, args=(connection, address), daemon=True).start()
        except RuntimeError:  # out of threads
            self._refuse(address)
            self._end(connection)

    def close(self) -> None:
        """End all connections."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.cut()

    @property
    def are_there(self) -> bool:
        """Whether a connection is open."""
        return bool(self._connections)

    def _entered(self, client: socket.socket) -> Connection | None:
        with self._lock:
            if len(self._connections) >= _MOST_VISITORS:
                return None
            try:
                connection = Connection(client)
            except OSError:  # it has left already
                return None
            self._connections.add(connection)
            return connection

    def _end(self, connection: Connection) -> None:
        connection.bound_close(self._handshake_s)
        connection.close()
        with self._lock:
            self._connections.discard(connection)

    def _serve(self, connection: Connection, address: str) -> None:
        association = Association(connection, Role.ACCEPTOR)
        try:
            if self._is_accepted(association, connection, address):
                _answer(association)
        except (AssociationError, OSError) as error:
            logger.info("a connection with %s, which may not store, ended: %s", address, error)
        except Exception:
            logger.exception("a defect in dicomove; the receiver goes on")
        finally:
            self._end(connection)

    def _is_accepted(self, association: Association, connection: Connection, address: str) -> bool:
        deadlines = Deadlines(Deadline(self._handshake_s, AssociationTimeout, "A-ASSOCIATE"))
        if self._wrap:
            self._secure(self._wrap, connection, deadlines, address)
        try:
            proposal = read_proposal(association, deadlines)
        except BaseException:
            self._refuse(address)
            raise
        calling, called = proposal.peer.calling_ae_title.strip(), proposal.peer.called_ae_title.strip()
        if not _proposes_verification(proposal) or not _proposes_only_verification(proposal):
            self._refuse(address, calling)
        if not _proposes_verification(proposal):
            return False
        if called != self._ae_title:
            reason = f"it called {called}, this receiver is {self._ae_title}"
            self._admission.refuse(address, "ae_title", reason, calling)
            proposal.reject(*_REJECTED_CALLED_AE_TITLE, deadlines)
            return False
        proposal.accept(_MAX_PDU_LENGTH, deadlines, only=VERIFICATION)
        logger.info("an association with %s was accepted for C-ECHO only", address)
        return True

    def _secure(self, wrap: Wrap, connection: Connection, deadlines: Deadlines, address: str) -> None:
        with self._admission.deciding():
            try:
                connection.secure(wrap, deadlines)
            except BaseException:
                self._refuse(address)
                raise

    def _refuse(self, address: str, ae_title: str = "") -> None:
        self._admission.refuse(address, "address", NOT_ADMITTED, ae_title)


def _proposes_verification(proposal: Proposal) -> bool:
    return any(context.abstract_syntax == VERIFICATION for context in proposal.request.contexts)


def _proposes_only_verification(proposal: Proposal) -> bool:
    return all(context.abstract_syntax == VERIFICATION for context in proposal.request.contexts)


def _answer(association: Association) -> None:
    """Answer C-ECHO until the peer leaves, or its time is over."""
    deadlines = Deadlines(Deadline(_VISIT_S, IdleTimeout, "an association for C-ECHO only"))
    assembler = MessageAssembler(association.contexts, _nowhere)
    while True:
        request = association.receive(deadlines, assembler)
        field = request.number("CommandField") or 0
        if field != C_CANCEL_RQ and not field & RESPONSE:
            association.send(respond(request, _SUCCESS if field == C_ECHO_RQ else _NOT_AUTHORIZED), deadlines)


def _nowhere(_: object) -> Sink:
    return lambda _: None
