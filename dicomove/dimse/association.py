"""An association, blocking, on either side (PS3.8): whole messages in and out, release and abort.

`pdu` reads PDUs from bytes, `messages` makes messages from them, and `state` has the legal transitions. This
module waits for them, with deadlines, because a peer may send anything, or nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomove.dimse.associate import (
    ACCEPTED,
    ContextResult,
    ProposedContext,
    number_contexts,
    read_answer,
    write_request,
)
from dicomove.dimse.connection import Connection
from dicomove.dimse.deadlines import Deadline, Deadlines
from dicomove.dimse.messages import Message, MessageAssembler, encode_command
from dicomove.dimse.pdu import (
    ABORT,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    Fragment,
    PDataReader,
    Pdu,
    pdu,
    refuse_pdu,
    rejection,
    write_p_data,
)
from dicomove.dimse.presentation_contexts import VERIFICATION
from dicomove.dimse.state import OVER, PDU_EVENTS, Event, Role, State, StateMachine, event_of
from dicomove.errors import ConnectionLost, IdleTimeout, InvalidResponse

# Implicit first: with Explicit VR, dcmqrscp loses a list of UIDs beyond 64 KiB.
TRANSFER_SYNTAXES: Final = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)

#: The longest A-ASSOCIATE-AC has an item for each of our contexts; the longest A-ASSOCIATE-RQ has 128 presentation
#: contexts with 75 transfer syntaxes each.
_LONGEST_ASSOCIATE: Final = {Role.REQUESTOR: 1 << 20, Role.ACCEPTOR: 1 << 18}
_LONGEST_SENT_PDU: Final = 1 << 18
_COURTESY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


class Association:
    """An association over an open connection.

    Parameters
    ----------
    connection
        The connection.
    role
        Our side of it.
    is_strict
        Whether to refuse to send messages that the state does not allow. The rehearsal PACS sends such messages on
        purpose.
    max_pdu_length
        The longest PDU that we receive, as we tell the peer; 0 is no limit.

    Attributes
    ----------
    contexts
        The accepted presentation contexts, by their number.
    scp_of, perhaps_scp_of
        The abstract syntaxes for which we may be the SCP, although we are the requestor; and those for which we asked,
        and the peer did not answer.
    """

    def __init__(self, connection: Connection, role: Role, *, is_strict: bool = True, max_pdu_length: int = 1) -> None:
        self._connection = connection
        self._machine = StateMachine(role)
        self._is_strict = is_strict
        self._reader = PDataReader(longest_associate=_LONGEST_ASSOCIATE[role], max_pdu_length=max_pdu_length)
        self._message_id: int | None = None
        self.scp_of: frozenset[str] = frozenset()
        self.perhaps_scp_of: frozenset[str] = frozenset()
        self.establish({}, 0)

    @classmethod
    def request(
        cls,
        connection: Connection,
        *,
        called_ae_title: str,
        calling_ae_title: str,
        max_pdu_length: int,
        proposed: Sequence[tuple[str, Sequence[str]]],
        deadlines: Deadlines,
        user: tuple[int, bytes, bytes] | None = None,
        scp_of: Sequence[str] = (),
    ) -> Self:
        """Negotiate an association over a connection (PS3.8 7.1).

        `proposed` has abstract and transfer syntaxes, `scp_of` the abstract syntaxes for which we want to be the SCP.

        Raises
        ------
        AssociationRejected, AssociationAborted, ConnectionLost, InvalidResponse
            The peer did not accept.
        """
        association = cls(connection, Role.REQUESTOR, max_pdu_length=max_pdu_length)
        contexts = number_contexts(proposed)
        request = write_request(called_ae_title, calling_ae_title, contexts, max_pdu_length, user, scp_of)
        association.send_pdu(ASSOCIATE_RQ, request, deadlines)
        answer = association.next_pdu(deadlines)
        if answer.kind == ASSOCIATE_RJ:
            raise rejection(answer.body)
        accepted = read_answer(answer.body)
        association.establish(accepted_contexts(contexts, accepted.results), accepted.max_pdu_length)
        association.scp_of = accepted.scp_of
        association.perhaps_scp_of = frozenset(scp_of) - accepted.scp_of - accepted.not_scp_of
        return association

    @property
    def state(self) -> State:
        """The state of the association."""
        return self._machine.state

    @property
    def progress(self) -> tuple[int, bool]:
        """The number of PDUs of the peer that have begun, and whether all of them are complete."""
        return self._reader.pdus, self._reader.is_between_pdus

    @property
    def announced(self) -> Message | None:
        """The message whose command set has come, and whose data set is not complete."""
        return self._assembler.announced

    @property
    def doubtful(self) -> Message | None:
        """The message whose data set may never come."""
        return self._assembler.doubtful

    def establish(self, contexts: Mapping[int, Context], peer_max_length: int) -> None:
        """Set the result of the negotiation; `peer_max_length` is the longest PDU of the peer, 0 is no limit."""
        self.contexts = contexts
        self._assembler = MessageAssembler(contexts)
        self._longest_sent = min(peer_max_length or _LONGEST_SENT_PDU, _LONGEST_SENT_PDU)

    def context_for(self, abstract_syntax: str, transfer_syntax: str | None = None) -> Context | None:
        """Return the accepted context of an abstract syntax, and a transfer syntax if one is named."""
        wanted = (abstract_syntax, transfer_syntax)
        for context in self.contexts.values():
            if wanted in ((context.abstract_syntax, None), (context.abstract_syntax, context.transfer_syntax)):
                return context
        return None

    def send(self, message: Message, deadlines: Deadlines) -> None:
        """Send one message; a small one fits into one TCP segment."""
        parts = [*self._write(message.context_id, encode_command(message), is_command=True)]
        if message.data is not None:
            parts += self._write(message.context_id, message.data, is_command=False)
        event = event_of(message)
        if event is Event.REQUEST:
            self._message_id = message.number("MessageID")
        self._send(event, b"".join(parts), deadlines)

    def receive(
        self,
        deadlines: Deadlines,
        assembler: MessageAssembler | None = None,
        before_reading: Callable[[], None] | None = None,
    ) -> Message:
        """Return the next message.

        Parameters
        ----------
        deadlines
            The deadlines of each wait.
        assembler
            Assembles the message; by default one that collects the data set.
        before_reading
            Called before each read: the parts of a data set so far become invalid then.

        Raises
        ------
        AssociationAborted, ConnectionLost
            The peer ended the association.
        InvalidResponse
            The bytes are not a message.
        """
        assembler = assembler or self._assembler
        message = assembler.resume()
        while message is None:
            try:
                message = assembler.take(self._next_fragment(deadlines, before_reading))
            except IdleTimeout:
                message = assembler.give_up()
                if message is None:
                    raise
        awaited = self._message_id if self._machine.role is Role.REQUESTOR else None
        self._machine.received(event_of(message, awaited))
        return message

    def next_pdu(self, deadlines: Deadlines) -> Pdu:
        """Return the next PDU of the negotiation; raise an error for A-ABORT."""
        event = self._next_event(deadlines)
        found = event if isinstance(event, Pdu) else Pdu(P_DATA, b"")
        if found.kind in (P_DATA, ABORT):
            refuse_pdu(found.kind, found.body)
        return found

    def send_pdu(self, kind: int, data: bytes, deadlines: Deadlines) -> None:
        """Send a PDU other than P-DATA-TF."""
        self._send(PDU_EVENTS[kind], data, deadlines)

    def is_quiet(self) -> bool:
        """Whether the association is open and all bytes of the peer have been read."""
        if self._assembler.is_midway or not self._reader.is_between_pdus:
            return False
        count = self._connection.receive_now(self._reader.space())
        self._reader.received(count or 0)
        return count is None

    def release(self, seconds: float | None) -> None:
        """Release the association (PS3.8 7.2), and close the connection in any case."""
        deadlines = Deadlines(Deadline(seconds, IdleTimeout, "A-RELEASE"))
        with contextlib.suppress(ConnectionLost, IdleTimeout, InvalidResponse):
            if self._machine.may_send(Event.RELEASE_RQ):
                self.send_pdu(RELEASE_RQ, pdu(RELEASE_RQ), deadlines)
            while self.state not in OVER:
                event = self._next_event(deadlines)
                if isinstance(event, Pdu) and event.kind == RELEASE_RQ:  # a collision: both sides release
                    self.send_pdu(RELEASE_RP, pdu(RELEASE_RP), deadlines)
        self._connection.close()

    def abort(self) -> None:
        """Send A-ABORT (PS3.8 7.3), unless the association has ended already, and close the connection."""
        if self._machine.may_send(Event.ABORT):
            with contextlib.suppress(ConnectionLost, IdleTimeout):
                self.send_pdu(ABORT, pdu(ABORT), Deadlines(Deadline(_COURTESY_S, IdleTimeout, "A-ABORT")))
        self._connection.close()

    def _write(self, context_id: int, data: bytes, *, is_command: bool) -> Iterator[bytes]:
        return write_p_data(context_id, data, is_command=is_command, longest=self._longest_sent)

    def _send(self, event: Event, data: bytes, deadlines: Deadlines) -> None:
        if self.state in OVER - {State.CROSSED}:
            message = "the association has ended"
            raise ConnectionLost(message)
        if self._is_strict and not self._machine.may_send(event):
            message = f"a defect in dicomove: {event.name} in the state {self.state.name}"
            raise RuntimeError(message)
        self._machine.sent(event)
        try:
            self._connection.send(data, deadlines)
        except ConnectionLost:
            self._machine.lost(within_pdu=not self._reader.is_between_pdus)
            raise

    def _next_fragment(self, deadlines: Deadlines, before_reading: Callable[[], None] | None) -> Fragment:
        while True:
            event = self._next_event(deadlines, before_reading)
            if isinstance(event, Fragment):
                return event
            if event.kind == RELEASE_RQ:
                with contextlib.suppress(ConnectionLost):
                    self.send_pdu(RELEASE_RP, pdu(RELEASE_RP), deadlines)
                message = "the peer released the association"
                raise ConnectionLost(message)
            if event.kind != P_DATA:
                refuse_pdu(event.kind, event.body)

    def _next_event(self, deadlines: Deadlines, before_reading: Callable[[], None] | None = None) -> Fragment | Pdu:
        while (event := self._reader.next_event()) is None:
            if before_reading:
                before_reading()
            try:
                self._reader.received(self._connection.receive(self._reader.space(), deadlines))
            except ConnectionLost:
                self._machine.lost(within_pdu=not self._reader.is_between_pdus)
                raise
        happened = Event.DATA if isinstance(event, Fragment) else PDU_EVENTS[event.kind]
        if not self._machine.may_receive(happened):
            refuse_pdu(P_DATA if isinstance(event, Fragment) else event.kind, b"")
        self._machine.received(happened)
        return event


def accepted_contexts(proposed: Sequence[ProposedContext], results: Sequence[ContextResult]) -> dict[int, Context]:
    """Return the accepted contexts by their number, if their transfer syntax was proposed.

    Of several results for one context, the first accepting one counts. An accepting result without a transfer syntax
    means the first proposed one. For C-ECHO, which has no data set, any transfer syntax is right.
    """
    contexts: dict[int, Context] = {}
    by_number = {context.context_id: context for context in proposed}
    for result in results:
        context = by_number.get(result.context_id)
        if context is None or result.result != ACCEPTED:
            continue
        syntax = result.transfer_syntax or context.transfer_syntaxes[0]
        if syntax in context.transfer_syntaxes or context.abstract_syntax == VERIFICATION:
            contexts.setdefault(result.context_id, Context(result.context_id, context.abstract_syntax, syntax))
    return contexts
