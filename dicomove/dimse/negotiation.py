"""The acceptor's side of A-ASSOCIATE (PS3.8 7.1).

Every abstract syntax is accepted: a service in a transfer syntax that we can decode, and anything else, private SOP
classes too, as storage in whatever transfer syntax comes first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pydicom.uid import ImplicitVRLittleEndian

from dicomove.dimse.association import TRANSFER_SYNTAXES, Association, Context
from dicomove.dimse.connection import Deadlines
from dicomove.dimse.pdu import (
    ACCEPTED,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    read_request,
    reject_pdu,
    write_answer,
)
from dicomove.dimse.sop_classes import GET, SERVICES

#: PS3.8 Table 9-18.
_USER_REJECTION: Final = 1
_SERVICES: Final = frozenset((*SERVICES, *GET.values()))
#: Of a file that says so, readers understand the transfer syntax, or say that they do not.
_UID: Final = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True)
class Peer:
    """The two AE titles of an association."""

    calling_ae_title: str
    called_ae_title: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """An A-ASSOCIATE-RQ that was read, and not yet answered."""

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
            Hold for the answer.
        only
            The only abstract syntax that is accepted; ``None`` accepts all.
        """
        results = [_result(proposed, only) for proposed in self.request.contexts]
        self.association.send_pdu(ASSOCIATE_AC, write_answer(self.request, results, max_pdu_length), deadlines)
        contexts = {
            result.context_id: Context(result.context_id, proposed.abstract_syntax, result.transfer_syntax)
            for result, proposed in zip(results, self.request.contexts, strict=True)
            if result.result == ACCEPTED
        }
        self.association.establish(contexts, self.request.max_pdu_length)

    def reject(self, result: int, source: int, reason: int, deadlines: Deadlines) -> None:
        """Answer A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
        self.association.send_pdu(ASSOCIATE_RJ, reject_pdu(result, source, reason), deadlines)


def read_proposal(association: Association, deadlines: Deadlines) -> Proposal:
    """Read A-ASSOCIATE-RQ.

    Raises
    ------
    InvalidResponse
        The peer sent something else, or a request that cannot be answered.
    """
    return Proposal(association, read_request(association.next_pdu(deadlines).body))


def _result(proposed: ProposedContext, only: str | None = None) -> ContextResult:
    if only is not None and proposed.abstract_syntax != only:
        return ContextResult(proposed.context_id, _USER_REJECTION, ImplicitVRLittleEndian)
    # A peer may leave out what it proposes: then nothing is accepted, and the answer names something all the same.
    for syntax in proposed.transfer_syntaxes if proposed.abstract_syntax else ():
        if syntax in TRANSFER_SYNTAXES if proposed.abstract_syntax in _SERVICES else _UID.fullmatch(syntax):
            return ContextResult(proposed.context_id, ACCEPTED, syntax)
    return ContextResult(proposed.context_id, TRANSFER_SYNTAXES_NOT_SUPPORTED, ImplicitVRLittleEndian)
