"""PS3.8 in one thread: negotiation, PDUs, release and abort.

The bytes of PDUs are `pdu`'s. Here they are waited for, with limits, since a peer may send anything, or nothing.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomove.dimse.messages import Message, decode_command, encode_command, has_data_set
from dicomove.dimse.pdu import (
    ABORT,
    ACCEPTED,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    P_DATA,
    PDU_HEADER,
    PDV_HEADER,
    RELEASE_RP,
    RELEASE_RQ,
    SHORT_PDU_BYTES,
    ContextResult,
    ProposedContext,
    pdu,
    read_answer,
    refuse_pdu,
    rejection,
    write_request,
)
from dicomove.dimse.transport import Connection, Limit, Watch
from dicomove.errors import ConnectionLost, IdleTimeout, InvalidResponse

# Implicit first: with Explicit VR, dcmqrscp loses a list of UIDs beyond 64 KiB.
TRANSFER_SYNTAXES: Final = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)

_LONGEST_ASSOCIATE_PDU: Final = 1 << 20
#: Some peers send more than was negotiated; this much is forgiven, and is the most where no limit was negotiated.
_LONGEST_P_DATA: Final = 1 << 24
_LONGEST_MESSAGE: Final = 1 << 26
_LONGEST_SENT_PDU: Final = 1 << 18
_COURTESY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


class Association:
    """An established association: whole messages in and out.

    Parameters
    ----------
    connection
        The transport.
    contexts
        The accepted presentation contexts, by their number.
    peer_max_length
        The longest PDU that the peer receives; 0 is no limit.
    """

    def __init__(self, connection: Connection, contexts: Mapping[int, Context], peer_max_length: int) -> None:
        self._connection = connection
        self.contexts = contexts
        self._unread: deque[tuple[int, bool, bool, bytes]] = deque()
        self._is_over = False
        #: How often something came that may have been (part of) a message.
        self.heard = 0
        self._fragment = min(peer_max_length or _LONGEST_SENT_PDU, _LONGEST_SENT_PDU) - 6

    @classmethod
    def request(
        cls,
        connection: Connection,
        *,
        called_ae_title: str,
        calling_ae_title: str,
        max_pdu_length: int,
        proposed: Sequence[tuple[str, Sequence[str]]],
        watch: Watch,
    ) -> Self:
        """Negotiate an association over a connection (PS3.8 7.1); `proposed` is abstract and transfer syntaxes.

        Raises
        ------
        AssociationRejected, AssociationAborted, ConnectionLost, InvalidResponse
            What the peer did instead of accepting.
        """
        contexts = [
            ProposedContext(2 * n + 1, abstract, tuple(transfer)) for n, (abstract, transfer) in enumerate(proposed)
        ]
        connection.send(write_request(called_ae_title, calling_ae_title, contexts, max_pdu_length), watch)
        kind, body = read_pdu(connection, watch)
        if kind == ASSOCIATE_RJ:
            raise rejection(body)
        if kind != ASSOCIATE_AC:
            refuse_pdu(kind, body)
        answer = read_answer(body)
        return cls(connection, accepted_contexts(contexts, answer.results), answer.max_pdu_length)

    def context_for(self, abstract_syntax: str, transfer_syntax: str | None = None) -> Context | None:
        """Return the accepted context of an abstract syntax, and a transfer syntax if one is named."""
        wanted = (abstract_syntax, transfer_syntax)
        for context in self.contexts.values():
            if wanted in ((context.abstract_syntax, None), (context.abstract_syntax, context.transfer_syntax)):
                return context
        return None

    def send(self, message: Message, watch: Watch) -> None:
        """Send one message; what is small leaves in one segment."""
        pdus = [*self._pdus(message.context_id, encode_command(message), is_command=True)]
        if message.data is not None:
            pdus += self._pdus(message.context_id, message.data, is_command=False)
        self._connection.send(b"".join(pdus), watch)

    def receive(self, watch: Watch) -> Message:
        """Return the next message.

        Raises
        ------
        AssociationAborted, ConnectionLost
            The peer ended the association, which is then closed.
        InvalidResponse
            What came is no message.
        """
        parts: dict[bool, bytearray] = {True: bytearray(), False: bytearray()}
        command = None
        for context_id, is_command, is_last, fragment in self._fragments(watch):
            if is_command == (command is not None) or context_id not in self.contexts:
                message = "the fragments of a message came in a wrong order"
                raise InvalidResponse(message)
            parts[is_command] += fragment
            if len(parts[is_command]) > _LONGEST_MESSAGE:
                message = "a message that does not end"
                raise InvalidResponse(message)
            if is_last and is_command:
                command = decode_command(parts[True])
            if is_last and command is not None and (not is_command or not has_data_set(command)):
                return Message(context_id, command, None if is_command else bytes(parts[False]))
        raise AssertionError  # _fragments does not end

    def is_quiet(self) -> bool:
        """Whether the association stands and nothing has come that nobody read."""
        return not self._unread and self._connection.is_quiet()

    def release(self, seconds: float | None) -> None:
        """Release in the orderly way (PS3.8 7.2); close in any case."""
        watch = Watch(Limit(seconds, IdleTimeout, "A-RELEASE"))
        with contextlib.suppress(ConnectionLost, IdleTimeout, InvalidResponse):
            self._connection.send(pdu(RELEASE_RQ), watch)
            while True:
                kind, _ = read_pdu(self._connection, watch)
                if kind == RELEASE_RQ:  # a collision: both sides release
                    self._connection.send(pdu(RELEASE_RP), watch)
                if kind in (RELEASE_RP, ABORT):
                    break
        self._connection.close()

    def confirm_release(self, watch: Watch) -> None:
        """Answer the peer's A-RELEASE-RQ."""
        with contextlib.suppress(ConnectionLost):
            self._connection.send(pdu(RELEASE_RP), watch)

    def abort(self) -> None:
        """Send A-ABORT (PS3.8 7.3) unless the peer has ended the association already, and close."""
        if not self._is_over:
            with contextlib.suppress(ConnectionLost, IdleTimeout):
                self._connection.send(pdu(ABORT), Watch(Limit(_COURTESY_S, IdleTimeout, "A-ABORT")))
        self._connection.close()

    def _pdus(self, context_id: int, data: bytes, *, is_command: bool) -> Iterator[bytes]:
        for start in range(0, max(len(data), 1), self._fragment):
            piece = data[start : start + self._fragment]
            control = int(is_command) | (2 if start + self._fragment >= len(data) else 0)
            yield PDU_HEADER.pack(P_DATA, len(piece) + 6)
            yield PDV_HEADER.pack(len(piece) + 2, context_id, control)
            yield piece

    def _fragments(self, watch: Watch) -> Iterator[tuple[int, bool, bool, bytes]]:
        while True:
            while self._unread:  # one PDU may hold fragments of two messages
                yield self._unread.popleft()
            kind, body = self._next_pdu(watch)
            self._is_over = kind in (RELEASE_RQ, ABORT)
            if kind == P_DATA:
                self._unread.extend(split_p_data(body))
            elif kind == RELEASE_RQ:
                self.confirm_release(watch)
                message = "the peer released the association"
                raise ConnectionLost(message)
            else:
                refuse_pdu(kind, body)

    def _next_pdu(self, watch: Watch) -> tuple[int, bytes]:
        """Return the next PDU; all that comes counts as heard, but for a whole A-RELEASE-RQ or A-ABORT."""
        before, ends = self._connection.bytes_received, False
        try:
            kind, body = read_pdu(self._connection, watch)
            ends = kind in (RELEASE_RQ, ABORT)
            return kind, body
        finally:
            self.heard += self._connection.bytes_received > before and not ends


def read_pdu(connection: Connection, watch: Watch) -> tuple[int, bytes]:
    """Return the type and the body of the next PDU; a header that cannot be right is `InvalidResponse`."""
    kind, length = PDU_HEADER.unpack(connection.receive(PDU_HEADER.size, watch))
    longest = {
        P_DATA: _LONGEST_P_DATA,
        ASSOCIATE_RQ: _LONGEST_ASSOCIATE_PDU,
        ASSOCIATE_AC: _LONGEST_ASSOCIATE_PDU,
    }.get(kind, SHORT_PDU_BYTES)
    if not ASSOCIATE_RQ <= kind <= ABORT or length > longest:
        message = f"no DICOM: a PDU of type {kind} and {length} bytes"
        raise InvalidResponse(message)
    return kind, bytes(connection.receive(length, watch))


def split_p_data(body: bytes) -> Iterator[tuple[int, bool, bool, bytes]]:
    """Yield (context, is command, is last, fragment) for each presentation data value of a P-DATA-TF (PS3.8 9.3.5)."""
    start = 0
    while start < len(body):
        if len(body) - start < PDV_HEADER.size:
            message = "a P-DATA-TF PDU that ends inside an item"
            raise InvalidResponse(message)
        length, context_id, control = PDV_HEADER.unpack_from(body, start)
        end = start + 4 + length
        if length < 2 or end > len(body):
            message = "a presentation data value of an impossible length"
            raise InvalidResponse(message)
        yield context_id, bool(control & 1), bool(control & 2), body[start + PDV_HEADER.size : end]
        start = end


def accepted_contexts(proposed: Sequence[ProposedContext], results: Sequence[ContextResult]) -> dict[int, Context]:
    """Return the contexts that were accepted as they had been proposed, by their number.

    Of several results for one context, the first that accepts counts. One that accepts and names no transfer syntax
    takes the one that was proposed first.
    """
    contexts: dict[int, Context] = {}
    by_number = {context.context_id: context for context in proposed}
    for result in results:
        context = by_number.get(result.context_id)
        if context is None or result.result != ACCEPTED:
            continue
        syntax = result.transfer_syntax or context.transfer_syntaxes[0]
        if syntax in context.transfer_syntaxes:
            contexts.setdefault(result.context_id, Context(result.context_id, context.abstract_syntax, syntax))
    return contexts
