"""The acceptor's side of A-ASSOCIATE (PS3.8 7.1): what is accepted, and the bytes that say so.

Every abstract syntax is accepted: a service in a transfer syntax that we can decode, and anything else, private SOP
classes too, as storage in whatever transfer syntax comes first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext

from dicomove.dimse.association import (
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    SHORTEST_PDU,
    TRANSFER_SYNTAXES,
    Association,
    Context,
    associate_primitive,
    read_pdu,
    refuse_pdu,
)
from dicomove.dimse.services import GET, SERVICES
from dicomove.dimse.transport import Connection, Watch
from dicomove.errors import InvalidResponse

_MOST_REMEMBERED: Final = 1 << 16
_ACCEPTED, _NO_TRANSFER_SYNTAX = 0, 4
#: 128 presentation contexts of 75 transfer syntaxes each; more keeps the codec busy for seconds.
_LONGEST_REQUEST: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asked for the association."""

    calling_ae_title: str
    called_ae_title: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """An A-ASSOCIATE-RQ that was read, and not yet answered."""

    connection: Connection
    pdu: bytes
    peer: Peer

    def accept(self, max_pdu_length: int, watch: Watch) -> Association:
        """Answer A-ASSOCIATE-AC; `max_pdu_length` is the longest PDU that we receive, 0 is no limit."""
        acceptance = _remembered_acceptance if len(self.pdu) < _MOST_REMEMBERED else _acceptance
        answer, contexts, peer_max_length = acceptance(self.pdu, max_pdu_length)
        self.connection.send(answer, watch)
        return Association(self.connection, contexts, peer_max_length)

    def reject(self, result: int, source: int, reason: int, watch: Watch) -> None:
        """Answer A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
        self.connection.send(struct.pack(">BxIxBBB", ASSOCIATE_RJ, 4, result, source, reason), watch)


def read_proposal(connection: Connection, watch: Watch) -> Proposal:
    """Read A-ASSOCIATE-RQ.

    Raises
    ------
    InvalidResponse
        What came is none, or one that cannot be answered.
    """
    kind, body = read_pdu(connection, watch)
    if kind != ASSOCIATE_RQ:
        refuse_pdu(kind, body)
    if len(body) > _LONGEST_REQUEST:
        message = f"an A-ASSOCIATE-RQ of {len(body)} bytes"
        raise InvalidResponse(message)
    pdu = struct.pack(">BxI", kind, len(body)) + body
    request = (_remembered if len(pdu) < _MOST_REMEMBERED else _decoded)(pdu)
    if 0 < (request.maximum_length_received or 0) < SHORTEST_PDU:
        message = "an A-ASSOCIATE-RQ for PDUs that hold nothing"
        raise InvalidResponse(message)
    return Proposal(connection, pdu, Peer(request.calling_ae_title or "", request.called_ae_title or ""))


def _decoded(pdu: bytes) -> A_ASSOCIATE:
    codec = A_ASSOCIATE_RQ()
    try:
        codec.decode(pdu)
        return codec.to_primitive()
    except Exception as error:  # the codec raises whatever the peer's bytes make it raise
        message = "an A-ASSOCIATE-RQ that cannot be decoded"
        raise InvalidResponse(message) from error


def _acceptance(pdu: bytes, max_pdu_length: int) -> tuple[bytes, dict[int, Context], int]:
    """Return the answer to a request, the contexts that it accepts, and the longest PDU that the peer receives."""
    request = _decoded(pdu)
    results = [_result(proposed) for proposed in request.presentation_context_definition_list]
    answer = associate_primitive(request.called_ae_title or "", request.calling_ae_title or "", max_pdu_length)
    answer.result, answer.presentation_context_definition_results_list = 0, results
    answer.user_information = [*answer.user_information, *_granted(request)]
    return A_ASSOCIATE_AC(answer).encode(), _contexts(results), request.maximum_length_received or 0


# A PACS that opens an association for each study says the same each time, and the codec takes milliseconds.
_remembered = lru_cache(maxsize=32)(_decoded)
_remembered_acceptance = lru_cache(maxsize=32)(_acceptance)


def _granted(
    request: A_ASSOCIATE,
) -> Iterator[SCP_SCU_RoleSelectionNegotiation | AsynchronousOperationsWindowNegotiation]:
    """Yield what is granted as it is proposed.

    Roles: for C-GET the client is the SCP of storage (PS3.7 D.3.3.4). The window of asynchronous operations: requests
    are answered one after the other, so that any number may be on their way (PS3.7 D.3.3.3).
    """
    for item in request.user_information:
        if isinstance(item, AsynchronousOperationsWindowNegotiation) or (
            isinstance(item, SCP_SCU_RoleSelectionNegotiation) and (item.scu_role or item.scp_role)
        ):
            yield item


def _contexts(results: Iterable[PresentationContext]) -> dict[int, Context]:
    return {
        number: Context(number, str(result.abstract_syntax), str(result.transfer_syntax[0]))
        for result in results
        if result.result == _ACCEPTED and (number := result.context_id) is not None
    }


def _result(proposed: PresentationContext) -> PresentationContext:
    service = proposed.abstract_syntax in SERVICES or proposed.abstract_syntax in GET.values()
    # A peer may leave out what it proposes: then nothing is accepted, and the answer names something all the same.
    usable: list[str | bytes | UID] = [
        syntax
        for syntax in proposed.transfer_syntax
        if proposed.abstract_syntax and (not service or syntax in TRANSFER_SYNTAXES)
    ]
    result = PresentationContext()
    result.context_id = proposed.context_id
    result.abstract_syntax = proposed.abstract_syntax or ""
    result.transfer_syntax = usable[:1] or [*proposed.transfer_syntax[:1]] or [ImplicitVRLittleEndian]
    result.result = _ACCEPTED if usable else _NO_TRANSFER_SYNTAX
    return result
