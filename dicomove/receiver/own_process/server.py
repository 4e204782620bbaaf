"""The port: accepts connections, and limits their number and their time."""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from dicomove.dimse.association import Association
from dicomove.dimse.connection import Connection
from dicomove.dimse.deadlines import Deadline, Deadlines
from dicomove.dimse.opening import Peer, read_proposal
from dicomove.dimse.state import Role
from dicomove.errors import AssociationError, AssociationTimeout, IdleTimeout, InvalidResponse, TlsFailed
from dicomove.logs import log_exception
from dicomove.receiver.admission import Admission, EchoOnlyServer, plain_address
from dicomove.receiver.own_process.scp import StorageScp
from dicomove.receiver.own_process.storage import Storage
from dicomove.receiver.settings import Limits
from dicomove.tls import Wrap

#: The Maximum Length that we negotiate (PS3.8 D.1); slightly longer PDUs are accepted.
MAX_PDU_LENGTH: Final = 1 << 17
#: The system's send buffer for answers that a peer does not read; an answer has about a hundred bytes.
_SEND_BUFFER: Final = 1 << 16
_CLOSING_S: Final = 2.0
#: A connection that is silent for so many seconds in the middle of a message may be closed for another one.
_STALLED_S: Final = 1.0

_BUSY: Final = "all associations that there may be are busy"

logger = logging.getLogger("dicomove.receiver")


@dataclass(eq=False, slots=True)
class _Peer:
    """A connection: whether it has ever sent a request, whether it is in the middle of a message, its last activity."""

    connection: Connection
    ae_title: str = ""
    was_served: bool = False
    is_busy: bool = False
    last_activity: float = field(default_factory=time.monotonic)

    def be_busy(self) -> None:
        self.is_busy, self.last_activity = True, time.monotonic()

    def be_idle(self) -> None:
        self.was_served, self.is_busy, self.last_activity = True, False, time.monotonic()


class StorageServer:
    """Accepts connections, each in a thread of its own.

    Parameters
    ----------
    host, port
        The address and port at which it listens; port 0 lets the system choose one.
    ae_title
        Our AE title: associations that call another one are rejected.
    admission
        Decides which peers may connect.
    storage
        Stores the instances.
    limits
        The limits of time and of associations.
    wrap
        Wraps a socket in TLS, if the receiver uses TLS.

    Raises
    ------
    OSError
        The port is in use, or the address is not ours.
    """

    def __init__(
        self,
        host: str,
        port: int,
        ae_title: str,
        admission: Admission,
        storage: Storage,
        limits: Limits,
        wrap: Wrap | None = None,
    ) -> None:
        self._wrap = wrap
        self._ae_title, self._admission, self._storage, self._limits = ae_title, admission, storage, limits
        self._echo_only = EchoOnlyServer(ae_title, admission, wrap, limits.handshake)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # "::" stands for all addresses, including those of IPv4.
        is_dual = host == "::" and socket.has_dualstack_ipv6()
        self._socket = socket.create_server((host, port), family=family, backlog=512, dualstack_ipv6=is_dual)
        # Set this before a peer connects, because the sockets of connections inherit it.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.port: int = self._socket.getsockname()[1]
        self._closed = False
        self._lock = threading.Lock()
        self._peers: set[_Peer] = set()
        self._thread = threading.Thread(target=self._listen, name="dicomove-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and end all connections."""
        self._closed = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            peers = list(self._peers)
        for peer in peers:
            peer.connection.cut()
        self._echo_only.close()
        end = time.monotonic() + _CLOSING_S
        while (self._peers or self._echo_only.are_there) and time.monotonic() < end:
            time.sleep(0.01)

    def _listen(self) -> None:
        while True:
            try:
                client, peer_name = self._socket.accept()
                address = str(plain_address(peer_name[0]))
                admitted = self._admission.admits(address, client.getsockname()[0])
            except OSError:
                if self._closed:
                    return
                time.sleep(0.05)  # for example, no free file descriptors: this may pass
                continue
            if not admitted:
                self._echo_only.take(client, address)
                continue
            try:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                peer = _Peer(Connection(client))
            except OSError:  # it has left already
                client.close()
                continue
            if not self._has_room_for(peer):
                self._admission.refuse(address, "busy", _BUSY)
                logger.info("a connection from %s was closed: all associations that there may be are busy", address)
                client.close()
                continue
            try:
                threading.Thread(target=self._serve, args=(peer, address), daemon=True).start()
            except RuntimeError:  # out of threads
                self._admission.refuse(address, "busy", _BUSY)
                self._end(peer)

    def _has_room_for(self, peer: _Peer) -> bool:
        """Make room for a peer; if necessary, close the connection that has been idle for the longest time.

        Connections without any request are closed first, because many of them are not PACS.
        """
        stalled = time.monotonic() - _STALLED_S
        with self._lock:
            if len(self._peers) >= self._limits.associations:
                idle = [other for other in self._peers if not other.is_busy or other.last_activity < stalled]
                if not idle:
                    return False
                idlest = min(idle, key=lambda other: (other.was_served, other.is_busy, other.last_activity))
                idlest.connection.cut()
                self._peers.discard(idlest)
            self._peers.add(peer)
        return True

    def _serve(self, peer: _Peer, address: str) -> None:
        try:
            if self._wrap:
                self._secure(self._wrap, peer, address)
            self._run(Association(peer.connection, Role.ACCEPTOR), peer, address)
        except AssociationError as error:
            logger.info("an association with %s ended: %s", address, error)
        except OSError as error:
            logger.info("a connection with %s ended: %s", address, error.strerror)
        except Exception as error:  # noqa: BLE001 (it is logged)
            self._admission.refuse(address, "defect", f"dicomove has a defect ({type(error).__name__})", peer.ae_title)
            # A defect in one association must not end the others.
            log_exception(logger, "a defect in dicomove; the receiver goes on", error)
        finally:
            self._end(peer)

    def _secure(self, wrap: Wrap, peer: _Peer, address: str) -> None:
        handshake = Deadline(self._limits.handshake, AssociationTimeout, "the TLS handshake")
        with self._admission.deciding():
            try:
                peer.connection.secure(wrap, Deadlines(handshake))
            except TlsFailed as error:
                self._refuse_tls(error, peer, address)
                raise

    def _refuse_tls(self, error: TlsFailed, peer: _Peer, address: str) -> None:
        reason = f"this receiver speaks TLS: {error}" if self._wrap else str(error)
        self._admission.refuse(address, "tls", reason, peer.ae_title)

    def _end(self, peer: _Peer) -> None:
        peer.connection.bound_close(self._limits.pdu)
        peer.connection.close()
        with self._lock:
            self._peers.discard(peer)

    def _run(self, association: Association, peer: _Peer, address: str) -> None:
        try:
            titles = self._negotiate(association, address)
            if titles:
                peer.ae_title = titles.calling_ae_title
                StorageScp(association, titles, address, self._limits, self._storage, peer.be_busy, peer.be_idle).run()
        except AssociationError as error:
            if isinstance(error, TlsFailed):
                self._refuse_tls(error, peer, address)
            if isinstance(error, InvalidResponse):
                reason = f"what it sent cannot be read: {error}"
                self._admission.refuse(address, "request", reason, peer.ae_title)
            self._abort(association, peer.connection, error)
            raise

    def _negotiate(self, association: Association, address: str) -> Peer | None:
        deadlines = Deadlines(Deadline(self._limits.handshake, AssociationTimeout, "A-ASSOCIATE"))
        proposal = read_proposal(association, deadlines)
        if self._admission.reject_other_title(self._ae_title, proposal, address, deadlines):
            return None
        proposal.accept(MAX_PDU_LENGTH, deadlines)
        return proposal.peer

    def _abort(self, association: Association, connection: Connection, error: AssociationError) -> None:
        # Only after a timeout, the peer has had time to read; otherwise it may still need the bytes on their way.
        if isinstance(error, IdleTimeout | AssociationTimeout) and connection.has_unread_output():
            connection.reset()
            return
        connection.bound_close(self._limits.pdu)
        association.abort()
