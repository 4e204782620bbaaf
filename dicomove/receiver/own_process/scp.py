"""The Storage SCP: answers C-STORE and C-ECHO over one association (PS3.7 9.1), whatever the peer does."""

from __future__ import annotations

from collections.abc import Callable, Set as AbstractSet
from dataclasses import replace
from typing import Final

from dicomove.dimse.association import Association
from dicomove.dimse.deadlines import Check, DataSetDeadline, Deadline, Deadlines
from dicomove.dimse.messages import (
    C_CANCEL_RQ,
    C_STORE_RQ,
    LONGEST_DATA,
    NO_DATA_SET,
    RESPONSE,
    Message,
    MessageAssembler,
    Sink,
    respond,
    status_without_service,
)
from dicomove.dimse.opening import Peer
from dicomove.dimse.state import ENDED_BY_PDU, final_response
from dicomove.errors import AssociationAborted, ConnectionLost, IdleTimeout, InvalidResponse
from dicomove.receiver.own_process.incoming import CStoreRequest, IncomingInstance
from dicomove.receiver.own_process.storage import SUCCESS, Storage
from dicomove.receiver.settings import Limits

_CANNOT_UNDERSTAND: Final = 0xC000


class StorageScp:
    """Answers the requests of one association, one after the other.

    Parameters
    ----------
    association
        The association.
    peer
        Its AE titles.
    address
        The peer's address.
    limits
        The time limits between two PDUs, and for one PDU.
    storage
        Stores the instances.
    busy, idle
        Called when a part of a message has come, and when the message is about to be answered, or needs no answer.

    Attributes
    ----------
    stored
        The SOP Instance UIDs of stored instances, if `serve` ends with a response.
    successes, arrivals
        The number of C-STOREs that were answered with Success in that case, and with any Status.
    known
        SOP Instance UIDs that have come before; such instances are not stored again.
    repeated
        The number of such instances.
    """

    def __init__(
        self,
        association: Association,
        peer: Peer,
        address: str,
        limits: Limits,
        storage: Storage,
        busy: Callable[[], None],
        idle: Callable[[], None],
    ) -> None:
        self._association, self._peer, self._address = association, peer, address
        self._limits, self._storage, self._busy, self._idle = limits, storage, busy, idle
        self._incoming: IncomingInstance | None = None
        self._gathers = False
        self._gathered = bytearray()
        self.stored: set[str] = set()
        self.successes = self.arrivals = 0
        self.known: AbstractSet[str] = frozenset()
        self.repeated = 0

    def run(self) -> None:
        """Answer until the peer releases or aborts the association.

        Raises
        ------
        AssociationError
            The peer ends the association in another way, or breaks the protocol.
        """
        try:
            self.serve(PduDeadlines(self._association, lambda: self._limits.idle, self._limits.pdu))
        except (ConnectionLost, AssociationAborted):
            if self._association.state not in ENDED_BY_PDU:
                raise

    def serve(
        self,
        deadlines: PduDeadlines,
        is_last: Callable[[Message], bool] | None = None,
        message_id: int | None = None,
    ) -> None:
        """Answer requests until the association ends, or until the last response to our own request.

        Parameters
        ----------
        deadlines
            The deadlines of each wait.
        is_last
            Tells whether a response is the last one. Without it, responses are skipped.
        message_id
            The Message ID of our own request. Its final response counts, also if its announced data set never comes.

        Raises
        ------
        AssociationError
            The association ended.
        """
        association = self._association
        self._gathers = is_last is not None
        assembler = MessageAssembler(association.contexts, self._begin)

        def final() -> Message | None:
            return None if message_id is None else final_response(assembler.announced, message_id)

        deadlines.also(DataSetDeadline(lambda: final() or assembler.doubtful, self._limits.idle))
        try:
            while True:
                try:
                    message = association.receive(deadlines, assembler, lambda: self._before_reading(assembler))
                except (AssociationAborted, ConnectionLost, IdleTimeout, InvalidResponse):
                    if is_last is None or (announced := final()) is None:
                        raise
                    is_last(announced)
                    return
                if is_last is None or not (message.number("CommandField") or 0) & RESPONSE:
                    self._answer(message)
                elif is_last(self._with_data(message)):
                    return
        finally:
            if self._incoming:
                self._storage.abandon(self._incoming)

    def _with_data(self, response: Message) -> Message:
        data, self._gathered = bytes(self._gathered), bytearray()
        return replace(response, data=data)

    def _gather(self, data: memoryview) -> None:
        self._gathered += data
        if len(self._gathered) > LONGEST_DATA:
            message = "a response that does not end"
            raise InvalidResponse(message)

    def _before_reading(self, assembler: MessageAssembler) -> None:
        """Write the data so far, before the buffer gets new bytes."""
        if assembler.is_midway:
            self._busy()
        if self._incoming:
            self._incoming.flush()

    def _begin(self, request: Message) -> Sink:
        """Take the data set of a request: into a file, or discard it."""
        self._busy()
        field = request.number("CommandField") or 0
        if field != C_STORE_RQ:
            return self._gather if self._gathers and field & RESPONSE else _discard
        if request.text("AffectedSOPInstanceUID") in self.known:
            return _discard
        self._incoming = self._storage.begin(self._c_store_request(request))
        return self._incoming.feed

    def _answer(self, request: Message) -> None:
        incoming = self._incoming
        if incoming and incoming.is_empty and request.number("CommandDataSetType") in (None, NO_DATA_SET):
            self._storage.abandon(incoming)
            incoming = None
        field = request.number("CommandField") or 0
        if incoming:
            self._finish(request, incoming)
        elif field != C_CANCEL_RQ and not field & RESPONSE:
            is_known = field == C_STORE_RQ and request.text("AffectedSOPInstanceUID") in self.known
            self.repeated += is_known
            self.successes += is_known
            self.arrivals += is_known
            self._respond(request, SUCCESS if is_known else _status(field))
        else:
            self._idle()
        self._incoming = None  # not before: after an exception, `serve` abandons it

    def _finish(self, request: Message, incoming: IncomingInstance) -> None:
        finished = self._storage.finish(incoming)
        if self._gathers and finished.status == SUCCESS:
            self.stored.add(request.text("AffectedSOPInstanceUID") or "")
            self.successes += 1
        try:
            self._respond(request, finished.status)
        finally:
            # The peer prepares its next request meanwhile.
            self.arrivals += 1
            self._storage.note(finished)
            self._idle()

    def _respond(self, request: Message, status: int) -> None:
        self._idle()  # before the peer has the answer: it may take the answer as a sign that we are ready
        sending = Deadline(self._limits.pdu, IdleTimeout, "sending an answer")
        self._association.send(respond(request, status), Deadlines(sending))

    def _c_store_request(self, request: Message) -> CStoreRequest:
        context = self._association.contexts[request.context_id]
        return CStoreRequest(
            sop_class_uid=request.text("AffectedSOPClassUID") or context.abstract_syntax,
            sop_instance_uid=request.text("AffectedSOPInstanceUID") or "",
            transfer_syntax_uid=context.transfer_syntax,
            calling_ae_title=self._peer.calling_ae_title,
            address=self._address,
            move_originator_ae_title=request.text("MoveOriginatorApplicationEntityTitle"),
            move_originator_message_id=request.number("MoveOriginatorMessageID"),
        )


class PduDeadlines(Deadlines):
    """One deadline for the silence between two PDUs, and one for a whole PDU, because a peer may send it byte by byte.

    Parameters
    ----------
    association
        The association.
    between, within
        A function that returns the seconds between two PDUs, ``None`` for no limit; and the seconds for one PDU.
    check
        Called at every turn of a wait.
    """

    def __init__(
        self,
        association: Association,
        between: Callable[[], float | None],
        within: float,
        check: Check | None = None,
    ) -> None:
        self._association, self._seconds = association, between
        self._further: list[Deadline] = []
        self._between = Deadline(between(), IdleTimeout, "waiting for a message")
        self._within = Deadline(within, IdleTimeout, "the rest of a PDU")
        self._progress = association.progress
        super().__init__(check=check)

    def also(self, deadline: Deadline) -> None:
        """Add a further deadline."""
        self._further.append(deadline)

    def check(self) -> None:
        """Make the check, and raise when a deadline has come."""
        super().check()
        for deadline in self._further:
            deadline.check()
        progress = self._association.progress
        if progress != self._progress:
            self._progress = progress
            if progress[1]:
                self._between = Deadline(self._seconds(), IdleTimeout, "waiting for a message")
            else:
                self._within.restart()
        (self._between if progress[1] else self._within).check()


def _discard(_: memoryview) -> None:
    pass


def _status(field: int) -> int:
    """Return the Status of the answer to a request without a data set."""
    return _CANNOT_UNDERSTAND if field == C_STORE_RQ else status_without_service(field)
