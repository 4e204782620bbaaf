"""The port: who may connect, how many, and for how long."""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from dicomove.dimse.association import Association
from dicomove.dimse.negotiation import Proposal, read_proposal
from dicomove.dimse.transport import Connection, Limit, Watch
from dicomove.errors import AssociationError, AssociationTimeout, IdleTimeout
from dicomove.receiver.admission import Admission
from dicomove.receiver.conversation import Conversation
from dicomove.receiver.parting import bound_answers, is_deaf, limit_farewell, reset
from dicomove.receiver.settings import Limits
from dicomove.receiver.storage import Storage
from dicomove.receiver.stream import Stream

#: What we say that we receive (PS3.8 D.1); a little more is forgiven, no length that cannot be meant is.
MAX_PDU_LENGTH: Final = 1 << 17
_LONGEST_PDU: Final = 1 << 24
_REJECTED_CALLED_AE_TITLE: Final = (1, 1, 7)
_FAREWELL_S: Final = 2.0
#: One in the middle of a message that is silent for so long may have to leave.
_STALLED_S: Final = 1.0

logger = logging.getLogger("dicomove.receiver")


@dataclass(eq=False, slots=True)
class _Peer:
    """A connection: whether it was ever served, whether it is in the middle of a message, its last sign of life."""

    client: socket.socket
    was_served: bool = False
    is_busy: bool = False
    active_at: float = field(default_factory=time.monotonic)

    def be_busy(self) -> None:
        self.is_busy, self.active_at = True, time.monotonic()

    def be_idle(self) -> None:
        self.was_served, self.is_busy, self.active_at = True, False, time.monotonic()

    def cut(self) -> None:
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)


class Listener:
    """Accepts connections, each in a thread of its own.

    Parameters
    ----------
    host, port
        Where it listens; port 0 lets the system pick one.
    ae_title
        Ours: who calls another one is rejected.
    admission
        Who may connect.
    storage
        Stores.
    limits
        What a peer may take.

    Raises
    ------
    OSError
        The port is in use, or the address is not ours.
    """

    def __init__(
        self, host: str, port: int, ae_title: str, admission: Admission, storage: Storage, limits: Limits
    ) -> None:
        self._ae_title, self._admission, self._storage, self._limits = ae_title, admission, storage, limits
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=512)
        bound_answers(self._socket)
        self.port: int = self._socket.getsockname()[1]
        self._closed = False
        self._lock = threading.Lock()
        self._peers: set[_Peer] = set()
        self._thread = threading.Thread(target=self._listen, name="dicomove-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more, and end all connections."""
        self._closed = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            peers = list(self._peers)
        for peer in peers:
            peer.cut()
        end = time.monotonic() + _FAREWELL_S
        while self._peers and time.monotonic() < end:
            time.sleep(0.01)

    def _listen(self) -> None:
        while True:
            try:
                client, address = self._socket.accept()
                admitted = self._admission.admits(address[0], client.getsockname()[0])
            except OSError:
                if self._closed:
                    return
                time.sleep(0.05)  # out of file descriptors, say: it passes
                continue
            peer = _Peer(client)
            if not admitted:
                client.close()
                continue
            if not self._has_room_for(peer):
                logger.info("a connection from %s was closed: all that there may be are busy", address[0])
                client.close()
                continue
            try:
                threading.Thread(target=self._serve, args=(peer, address[0]), daemon=True).start()
            except RuntimeError:  # out of threads
                self._end(peer)

    def _has_room_for(self, peer: _Peer) -> bool:
        """Take a peer in, if need be in the place of the one that has been idle for the longest time.

        Those that never asked for anything go first: many of them are no PACS.
        """
        stalled = time.monotonic() - _STALLED_S
        with self._lock:
            if len(self._peers) >= self._limits.associations:
                idle = [other for other in self._peers if not other.is_busy or other.active_at < stalled]
                if not idle:
                    return False
                idlest = min(idle, key=lambda other: (other.was_served, other.is_busy, other.active_at))
                idlest.cut()
                self._peers.discard(idlest)
            self._peers.add(peer)
        return True

    def _serve(self, peer: _Peer, address: str) -> None:
        try:
            peer.client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._converse(Connection(peer.client), peer, address)
        except AssociationError as error:
            logger.info("an association with %s ended: %s", address, error)
        except OSError as error:
            logger.info("a connection with %s ended: %s", address, error.strerror)
        except Exception:
            # One peer's defect is one peer's.
            logger.exception("a defect in dicomove; the receiver goes on")
        finally:
            self._end(peer)

    def _end(self, peer: _Peer) -> None:
        limit_farewell(peer.client, self._limits.pdu)
        peer.client.close()
        with self._lock:
            self._peers.discard(peer)

    def _converse(self, connection: Connection, peer: _Peer, address: str) -> None:
        watch = Watch(Limit(self._limits.handshake, AssociationTimeout, "A-ASSOCIATE"))
        try:
            proposal = read_proposal(connection, watch)
            association = self._answer(proposal, watch)
            if association is None:
                return
            stream = Stream(connection, _LONGEST_PDU, self._limits.idle, self._limits.pdu)
            Conversation(association, proposal.peer, address, stream, self._storage, peer.be_busy, peer.be_idle).run()
        except AssociationError as error:
            self._abort(connection, peer, error)
            raise

    def _abort(self, connection: Connection, peer: _Peer, error: AssociationError) -> None:
        # Only after a timeout had the peer time to read: else what is on its way may still be wanted.
        if isinstance(error, IdleTimeout | AssociationTimeout) and is_deaf(peer.client):
            reset(peer.client)
            return
        limit_farewell(peer.client, self._limits.pdu)
        Association(connection, {}, 0).abort()

    def _answer(self, proposal: Proposal, watch: Watch) -> Association | None:
        if proposal.peer.called_ae_title.strip() != self._ae_title:
            logger.info("an association was rejected: it called %r", proposal.peer.called_ae_title)
            proposal.reject(*_REJECTED_CALLED_AE_TITLE, watch)
            return None
        return proposal.accept(MAX_PDU_LENGTH, watch)
