"""Opens or accepts an association: connection, TLS and negotiation in one step, with explanations of failures.

If a port expects TLS, the answer to an A-ASSOCIATE-RQ depends on the program. Java (dcm4chee) sends a TLS alert, which
`pdu` recognises. Orthanc and DCMTK close or reset the connection, as PACS also do for unknown AE titles. The
answer to a ClientHello distinguishes the two, also if the PACS would refuse our certificate.

On the acceptor's side (PS3.8 7.1), every abstract syntax is accepted: a service in a transfer syntax that we can
decode; anything else, including private SOP classes, as storage in the first transfer syntax.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from pydicom.uid import ImplicitVRLittleEndian

from dicomove.dimse.associate import (
    ACCEPTED,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    read_request,
    write_answer,
)
from dicomove.dimse.association import TRANSFER_SYNTAXES, Association, Context
from dicomove.dimse.connection import Connection
from dicomove.dimse.deadlines import Check, Deadline, Deadlines
from dicomove.dimse.pdu import ASSOCIATE_AC, ASSOCIATE_RJ, TLS_SPOKEN, is_tls_record, reject_pdu
from dicomove.dimse.presentation_contexts import GET, LOOSE_UID, SERVICES
from dicomove.errors import AssociationError, AssociationRejected, AssociationTimeout, ConnectionLost, TlsFailed
from dicomove.pacs import Pacs
from dicomove.tls import Wrap

Proposed = Sequence[tuple[str, Sequence[str]]]
Identity = tuple[int, bytes, bytes]

_LONGEST_S: Final = 3.0
#: How long the answer about TLS of a port is kept, in seconds: it does not change fast.
_ASKED_AGAIN_AFTER_S: Final = 60.0
_RECORD_HEADER_BYTES: Final = 5
_HANDSHAKE: Final = "the TLS handshake (does this port speak TLS?)"


def open_association(
    pacs: Pacs,
    proposed: Proposed,
    wrap: Wrap | None,
    user: Identity | None,
    check: Check | None = None,
    scp_of: Sequence[str] = (),
) -> Association:
    """Return a new association.

    Parameters
    ----------
    pacs
        The PACS.
    proposed
        Abstract syntaxes, each with its transfer syntaxes.
    wrap
        Wraps a socket in TLS, if the PACS uses TLS.
    user
        Type, primary and secondary field of the user identity.
    check
        Called at every turn of a wait.
    scp_of
        The abstract syntaxes for which we want to be the SCP.

    Raises
    ------
    AssociationError
        There is no association.
    """
    connection = Connection.open(pacs.host, pacs.port, pacs.connect_timeout, check)
    deadlines = Deadlines(Deadline(pacs.association_timeout, AssociationTimeout, "A-ASSOCIATE"), check=check)
    try:
        if wrap:
            handshake = Deadline(pacs.association_timeout, AssociationTimeout, _HANDSHAKE)
            connection.secure(wrap, Deadlines(handshake, check=check))
        try:
            return Association.request(
                connection,
                called_ae_title=pacs.called_ae_title,
                calling_ae_title=pacs.calling_ae_title,
                max_pdu_length=pacs.max_pdu_length,
                proposed=proposed,
                deadlines=deadlines,
                user=user,
                scp_of=scp_of,
            )
        except TlsFailed:
            raise
        except (AssociationRejected, ConnectionLost) as failure:
            raise _explained(failure, pacs, user, check) from failure
    except BaseException:
        connection.close()
        raise


def _explained(
    failure: AssociationRejected | ConnectionLost, pacs: Pacs, user: Identity | None, check: Check | None
) -> AssociationError:
    """Return the failure of an A-ASSOCIATE-RQ, with what may explain it."""
    if isinstance(failure, AssociationRejected):
        message = f"{failure}: we called {pacs.called_ae_title!r} as {pacs.calling_ae_title!r}"
        if user:
            message += ", and named a user, whom it may have refused"
        return AssociationRejected(message, permanent=failure.permanent)
    if pacs.tls is None and _wants_tls(pacs, check):
        return TlsFailed(TLS_SPOKEN, permanent=True)
    return ConnectionLost(f"{failure} instead of an answer to A-ASSOCIATE-RQ" if pacs.tls is None else str(failure))


def speaks_tls(pacs: Pacs, check: Check | None = None) -> bool:
    """Return whether the port of a PACS answers a ClientHello with TLS.

    Parameters
    ----------
    pacs
        The PACS.
    check
        Called at every turn of a wait.
    """
    try:
        return is_tls_record(_answer_to_client_hello(pacs, check))
    except AssociationError:
        if check:
            check()  # for example a cancel, which is not an answer
        return False


#: When each port was last asked for TLS in vain, on the monotonic clock. One for the process, because its rows use the
#: same PACS, each over a connection of its own.
_WITHOUT_TLS: Final[dict[tuple[str, int], float]] = {}


def _wants_tls(pacs: Pacs, check: Check | None) -> bool:
    """Return whether a port that ended a plain connection uses TLS. Ask each port at most once a minute."""
    port = (pacs.host, pacs.port)
    asked = _WITHOUT_TLS.get(port)
    if asked is not None and time.monotonic() < asked + _ASKED_AGAIN_AFTER_S:
        return False
    if speaks_tls(pacs, check):
        return True
    _WITHOUT_TLS[port] = time.monotonic()
    return False


def _answer_to_client_hello(pacs: Pacs, check: Check | None) -> bytes:
    """Return the first bytes of the answer."""
    seconds = min(pacs.association_timeout or _LONGEST_S, _LONGEST_S)
    deadlines = Deadlines(Deadline(seconds, AssociationTimeout, "the TLS handshake"), check=check)
    connection = Connection.open(pacs.host, pacs.port, seconds, check)
    answer = bytearray()
    try:
        connection.send(_client_hello(), deadlines)
        space = memoryview(bytearray(_RECORD_HEADER_BYTES))
        while len(answer) < _RECORD_HEADER_BYTES:
            count = connection.receive(space, deadlines)
            answer += space[:count]
    finally:
        connection.close()
    return bytes(answer)


def _client_hello() -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


#: PS3.8 Table 9-18.
_USER_REJECTION: Final = 1
_SERVICES: Final = frozenset((*SERVICES, *GET.values()))


@dataclass(frozen=True, slots=True)
class Peer:
    """The two AE titles of an association."""

    calling_ae_title: str
    called_ae_title: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """An A-ASSOCIATE-RQ before its answer."""

    association: Association
    request: AssociateRequest

    @property
    def peer(self) -> Peer:
        """The AE titles, as text."""
        return Peer(self.request.calling_ae_title, self.request.called_ae_title)

    def accept(self, max_pdu_length: int, deadlines: Deadlines, *, only: str | None = None) -> None:
        """Answer A-ASSOCIATE-AC.

        Parameters
        ----------
        max_pdu_length
            The longest PDU that we receive; 0 is no limit.
        deadlines
            The deadlines of the answer.
        only
            The only abstract syntax that is accepted; ``None`` accepts all.
        """
        answer, contexts = _accepted(self.request, max_pdu_length, only)
        self.association.send_pdu(ASSOCIATE_AC, answer, deadlines)
        self.association.establish(contexts, self.request.max_pdu_length)

    def reject(self, result: int, source: int, reason: int, deadlines: Deadlines) -> None:
        """Answer A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
        self.association.send_pdu(ASSOCIATE_RJ, reject_pdu(result, source, reason), deadlines)


def read_proposal(association: Association, deadlines: Deadlines) -> Proposal:
    """Read A-ASSOCIATE-RQ.

    Raises
    ------
    InvalidResponse
        The peer sent other bytes, or a request that cannot be answered.
    """
    return Proposal(association, read_request(association.next_pdu(deadlines).body))


@lru_cache(4)  # a PACS mostly proposes the same each time
def _accepted(request: AssociateRequest, max_pdu_length: int, only: str | None) -> tuple[bytes, Mapping[int, Context]]:
    """Return A-ASSOCIATE-AC, and the contexts that it accepts."""
    results = [_result(proposed, only) for proposed in request.contexts]
    contexts = {
        result.context_id: Context(result.context_id, proposed.abstract_syntax, result.transfer_syntax)
        for result, proposed in zip(results, request.contexts, strict=True)
        if result.result == ACCEPTED
    }
    return write_answer(request, results, max_pdu_length), MappingProxyType(contexts)


def _result(proposed: ProposedContext, only: str | None = None) -> ContextResult:
    if only is not None and proposed.abstract_syntax != only:
        return ContextResult(proposed.context_id, _USER_REJECTION, ImplicitVRLittleEndian)
    # A peer may omit the transfer syntaxes. Then the context is not accepted, but the answer has to contain a syntax.
    for syntax in proposed.transfer_syntaxes if proposed.abstract_syntax else ():
        if syntax in TRANSFER_SYNTAXES if proposed.abstract_syntax in _SERVICES else LOOSE_UID.fullmatch(syntax):
            return ContextResult(proposed.context_id, ACCEPTED, syntax)
    return ContextResult(proposed.context_id, TRANSFER_SYNTAXES_NOT_SUPPORTED, ImplicitVRLittleEndian)
