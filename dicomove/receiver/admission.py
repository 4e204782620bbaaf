"""Decides which peers may connect to the receiver; the others get C-ECHO only.

PACS with rows in flight, and addresses in `allow=`, may connect and store. All other peers get C-ECHO only: with it,
the administrator of a PACS tests a new entry, at any time and from any machine. A port scan must not slow down the
receiver, so these peers get few connections and little time, and do not count among the associations that store.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from dicomove.dimse.association import Association
from dicomove.dimse.connection import Connection
from dicomove.dimse.deadlines import Deadline, Deadlines
from dicomove.dimse.messages import C_CANCEL_RQ, C_ECHO_RQ, RESPONSE, MessageAssembler, Sink, respond
from dicomove.dimse.opening import Proposal, read_proposal
from dicomove.dimse.presentation_contexts import VERIFICATION
from dicomove.dimse.state import Role
from dicomove.errors import AssociationError, AssociationTimeout, IdleTimeout
from dicomove.logs import log_exception
from dicomove.outcome.evidence import Refusal, RefusalKind
from dicomove.receiver.api import RowId
from dicomove.tls import Wrap

#: The most different refusals that are kept until they are reported, and the longest reason.
_MOST_KINDS: Final = 200
_LONGEST_REASON: Final = 300
_MANY: Final = "it was refused for many reasons"
_OTHERS: Final = "other addresses"
#: The reason of a refusal because of the address.
NOT_ADMITTED: Final = "its address is not that of a PACS with rows in flight, and allow= does not name it"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(value: str) -> Network:
    """Return the network of an entry of ``allow=``: an address, or a network (``"10.1.0.0/16"``).

    An IPv4 address over IPv6 (``"::ffff:10.0.0.7"``) is the IPv4 address, as for the peers.

    Raises
    ------
    ValueError
        It is neither.
    """
    try:
        found = ipaddress.ip_network(value, strict=False)
    except ValueError:
        message = f"allow: {value!r} is neither an IP address nor a network such as '10.1.0.0/16'"
        raise ValueError(message) from None
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    return ipaddress.ip_network((mapped, found.prefixlen - 96)) if mapped and found.prefixlen >= 96 else found


def count_refusal(refused: Counter[Refusal], refusal: Refusal, count: int = 1, most: int = _MOST_KINDS) -> None:
    """Count a refused peer. Peers with ever new reasons, or from ever new addresses, must not fill the memory.

    Parameters
    ----------
    refused
        The refusals so far.
    refusal, count
        The refusal, and the number of connections.
    most
        The most different refusals. Beyond it, only addresses are told apart, as many again.

    Examples
    --------
    >>> refused = Counter()
    >>> for number in range(6):
    ...     count_refusal(refused, Refusal(f"10.0.0.{number}", "A", "address", "not admitted"), most=2)
    >>> [(one.address, one.ae_title, count) for one, count in refused.items()][1:]
    [('10.0.0.1', 'A', 1), ('10.0.0.2', '', 1), ('10.0.0.3', '', 1), ('other addresses', '', 2)]
    """
    if refusal not in refused and len(refused) >= most:
        refusal = refusal._replace(ae_title="", reason=_MANY)
    if refusal not in refused and len(refused) >= 2 * most:
        refusal = refusal._replace(address=_OTHERS)
    refused[refusal] += count


class Admission:
    """Decides which addresses may connect, and counts the refused peers.

    Parameters
    ----------
    allow
        Networks from which every peer may connect.
    anybody
        Whether every peer may connect.
    """

    def __init__(self, allow: Iterable[Network], *, anybody: bool = False) -> None:
        self._allow, self._anybody = tuple(allow), anybody
        self._lock = threading.Lock()
        self._in_flight: dict[RowId, set[Address]] = {}
        self._until: dict[Address, float] = {}
        self._refused: Counter[Refusal] = Counter()
        self._undecided: set[object] = set()
        self._decided = threading.Condition()

    def open(self, row: RowId, addresses: Iterable[str]) -> None:
        """Admit the addresses of a PACS, because one of its rows is in flight."""
        with self._lock:
            self._in_flight[row] = set(map(plain_address, addresses))

    def close(self, row: RowId, linger: float) -> None:
        """Admit the addresses of a row for some more seconds."""
        with self._lock:
            for address in self._in_flight.pop(row, ()):
                self._until[address] = time.monotonic() + linger

    def end(self, run: int) -> None:
        """Close the rows of a run that are still open."""
        with self._lock:
            for row in [row for row in self._in_flight if row.run == run]:
                del self._in_flight[row]

    def admits(self, peer: str, own: str) -> bool:
        """Whether a peer at this address may connect to this address of ours."""
        address = plain_address(peer)
        with self._lock:
            is_allowed = self._anybody or any(address in allowed for allowed in self._allow)
            return is_allowed or self._expects(address, plain_address(own))

    def refuse(self, address: str, kind: RefusalKind, reason: str, ae_title: str = "") -> None:
        """Count a refused peer. Call this before the refusal is sent, so that the verdict on its row includes it."""
        refusal = Refusal(str(plain_address(address)), ae_title, kind, reason[:_LONGEST_REASON])
        with self._lock:
            count_refusal(self._refused, refusal)

    def reject_other_title(self, ae_title: str, proposal: Proposal, address: str, deadlines: Deadlines) -> bool:
        """Reject a peer that calls another AE title than ours, and count it; return whether it does."""
        called = proposal.peer.called_ae_title.strip()
        if called == ae_title:
            return False
        logger.info("an association with %s was rejected: it called %r", address, called)
        reason = f"it called {called or 'no AE title'}, this receiver is {ae_title}"
        self.refuse(address, "ae_title", reason, proposal.peer.calling_ae_title.strip())
        proposal.reject(*_REJECTED_CALLED_AE_TITLE, deadlines)
        return True

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Let verdicts wait during a handshake: a TLS alert reaches the peer before its refusal can be counted."""
        one = object()
        with self._decided:
            self._undecided.add(one)
        try:
            yield
        finally:
            with self._decided:
                self._undecided.discard(one)
                self._decided.notify_all()

    @property
    def is_decided(self) -> bool:
        """Whether no such handshake is in progress."""
        return not self._undecided

    def wait_until_decided(self, seconds: float) -> None:
        """Wait for the handshakes in progress, with a time limit, because a peer may never end its handshake."""
        with self._decided:
            begun = frozenset(self._undecided)
            self._decided.wait_for(lambda: begun.isdisjoint(self._undecided), seconds)

    def refused(self) -> list[tuple[Refusal, int]]:
        """Return the peers that were refused since the last call, with the number of their connections."""
        with self._lock:
            counts, self._refused = list(self._refused.items()), Counter()
        return counts

    def _expects(self, address: Address, own: Address) -> bool:
        if self._is_awaited(address):
            return True
        # A PACS on this machine may come from any of the machine's own addresses.
        is_local = address.is_loopback or address == own
        return is_local and any(awaited.is_loopback and self._is_awaited(awaited) for awaited in self._known())

    def _known(self) -> set[Address]:
        return {*self._until}.union(*self._in_flight.values())

    def _is_awaited(self, address: Address) -> bool:
        is_in_flight = any(address in addresses for addresses in self._in_flight.values())
        return is_in_flight or time.monotonic() < self._until.get(address, 0)


@lru_cache(128)  # of one PACS for each row
def plain_address(address: str) -> Address:
    """Return an address without its zone, and an IPv4 address over IPv6 in its IPv4 form."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


#: The most simultaneous connections, and the seconds for A-ASSOCIATE-RQ and for the whole connection.
_MOST_VISITORS: Final = 8
_HANDSHAKE_S: Final = 3.0
_VISIT_S: Final = 30.0
#: The buffer for the longest answer; C-ECHO needs little.
_MAX_PDU_LENGTH: Final = 1 << 14
_SUCCESS: Final = 0x0000
_NOT_AUTHORIZED: Final = 0x0124
_REJECTED_CALLED_AE_TITLE: Final = (1, 1, 7)

logger = logging.getLogger("dicomove.receiver")


class EchoOnlyServer:
    """Serves C-ECHO to the peers that may not store, each in a thread of its own.

    Parameters
    ----------
    ae_title
        Our AE title: associations that call another one are rejected.
    admission
        Counts the refused peers.
    wrap
        Wraps a socket in TLS, if the receiver uses TLS.
    handshake_s
        The most seconds until A-ASSOCIATE-RQ.
    """

    def __init__(self, ae_title: str, admission: Admission, wrap: Wrap | None, handshake_s: float) -> None:
        self._ae_title, self._admission, self._wrap = ae_title, admission, wrap
        self._handshake_s = min(handshake_s, _HANDSHAKE_S)
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()

    def take(self, client: socket.socket, address: str) -> None:
        """Serve a peer, or close its connection if there are too many."""
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
        """Whether there are open connections."""
        return bool(self._connections)

    def _entered(self, client: socket.socket) -> Connection | None:
        with self._lock:
            if len(self._connections) >= _MOST_VISITORS:
                return None
            try:
                connection = Connection(client)
            except OSError:  # the peer has left already
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
        except Exception as error:  # noqa: BLE001 (it is logged)
            log_exception(logger, "a defect in dicomove; the receiver goes on", error)
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
        proposed = {context.abstract_syntax for context in proposal.request.contexts}
        if proposed != {VERIFICATION}:
            self._refuse(address, proposal.peer.calling_ae_title.strip())
        if VERIFICATION not in proposed:
            return False
        if self._admission.reject_other_title(self._ae_title, proposal, address, deadlines):
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


def _answer(association: Association) -> None:
    """Answer C-ECHO until the peer leaves or its time is over."""
    deadlines = Deadlines(Deadline(_VISIT_S, IdleTimeout, "an association for C-ECHO only"))
    assembler = MessageAssembler(association.contexts, _nowhere)
    while True:
        request = association.receive(deadlines, assembler)
        field = request.number("CommandField") or 0
        if field != C_CANCEL_RQ and not field & RESPONSE:
            association.send(respond(request, _SUCCESS if field == C_ECHO_RQ else _NOT_AUTHORIZED), deadlines)


def _nowhere(_: object) -> Sink:
    return lambda _: None
