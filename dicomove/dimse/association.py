"""PS3.8 in one thread: negotiation, PDUs, release and abort.

The codecs of the association PDUs are pynetdicom's. P-DATA is read and written here, since every wait has a limit and
a peer may send anything.
"""

from __future__ import annotations

import contextlib
import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)

from dicomove.dimse.messages import Message, decode_command, encode_command, has_data_set
from dicomove.dimse.transport import Connection, Limit, Watch
from dicomove.errors import AssociationAborted, AssociationRejected, ConnectionLost, IdleTimeout, InvalidResponse

IMPLEMENTATION_CLASS_UID: Final = "2.25.170310236812409476309457911094093518265"
IMPLEMENTATION_VERSION_NAME: Final = "DICOMOVE"
APPLICATION_CONTEXT_NAME: Final = "1.2.840.10008.3.1.1.1"

# Implicit first: with Explicit VR, dcmqrscp loses a list of UIDs beyond 64 KiB.
TRANSFER_SYNTAXES: Final = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)

PDU_HEADER: Final = struct.Struct(">BxI")
PDV_HEADER: Final = struct.Struct(">IBB")
_SHORT_PDU_BYTES: Final = 4
#: Of an A-ASSOCIATE-RJ (PS3.8 9.3.4): result, source, and the reasons that name what is not known.
_PERMANENT: Final = 1
_SERVICE_USER: Final = 1
_NOT_KNOWN: Final = (2, 3, 7)
_LONGEST_ASSOCIATE_PDU: Final = 1 << 20
#: Some peers send more than was negotiated; this much is forgiven, and is the most where no limit was negotiated.
_LONGEST_P_DATA: Final = 1 << 24
#: A header of a presentation data value, and two bytes.
SHORTEST_PDU: Final = 8
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
        request = associate_primitive(called_ae_title, calling_ae_title, max_pdu_length)
        definitions = [build_context(abstract, list(transfer)) for abstract, transfer in proposed]
        for number, definition in enumerate(definitions):
            definition.context_id = 2 * number + 1
        request.presentation_context_definition_list = definitions
        connection.send(A_ASSOCIATE_RQ(request).encode(), watch)
        numbered = {2 * number + 1: pair for number, pair in enumerate(proposed)}
        return cls(connection, *_read_answer(connection, numbered, watch))

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
            self._connection.send(_short_pdu(RELEASE_RQ), watch)
            while True:
                kind, _ = read_pdu(self._connection, watch)
                if kind == RELEASE_RQ:  # a collision: both sides release
                    self._connection.send(_short_pdu(RELEASE_RP), watch)
                if kind in (RELEASE_RP, ABORT):
                    break
        self._connection.close()

    def confirm_release(self, watch: Watch) -> None:
        """Answer the peer's A-RELEASE-RQ."""
        with contextlib.suppress(ConnectionLost):
            self._connection.send(_short_pdu(RELEASE_RP), watch)

    def abort(self) -> None:
        """Send A-ABORT (PS3.8 7.3) unless the peer has ended the association already, and close."""
        if not self._is_over:
            with contextlib.suppress(ConnectionLost, IdleTimeout):
                self._connection.send(_short_pdu(ABORT), Watch(Limit(_COURTESY_S, IdleTimeout, "A-ABORT")))
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


def associate_primitive(called_ae_title: str, calling_ae_title: str, max_pdu_length: int) -> A_ASSOCIATE:
    """Return an A-ASSOCIATE primitive without presentation contexts."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = APPLICATION_CONTEXT_NAME
    primitive.called_ae_title = called_ae_title
    primitive.calling_ae_title = calling_ae_title
    length = MaximumLengthNotification()
    length.maximum_length_received = max_pdu_length
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive.user_information = [length, implementation, version]
    return primitive


def read_pdu(connection: Connection, watch: Watch) -> tuple[int, bytes]:
    """Return the type and the body of the next PDU; a header that cannot be right is `InvalidResponse`."""
    kind, length = PDU_HEADER.unpack(connection.receive(PDU_HEADER.size, watch))
    longest = {
        P_DATA: _LONGEST_P_DATA,
        ASSOCIATE_RQ: _LONGEST_ASSOCIATE_PDU,
        ASSOCIATE_AC: _LONGEST_ASSOCIATE_PDU,
    }.get(kind, _SHORT_PDU_BYTES)
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


def refuse_pdu(kind: int, body: bytes) -> None:
    """Raise what a PDU means that is not the one we wait for."""
    if kind == ABORT:
        source = "the PACS" if len(body) == 4 and body[2] == 0 else "the PACS's network layer"
        message = f"{source} aborted the association"
        raise AssociationAborted(message)
    message = f"a PDU of type {kind} where none belongs"
    raise InvalidResponse(message)


def _read_answer(
    connection: Connection, proposed: Mapping[int, tuple[str, Sequence[str]]], watch: Watch
) -> tuple[dict[int, Context], int]:
    kind, body = read_pdu(connection, watch)
    pdu = PDU_HEADER.pack(kind, len(body)) + body
    if kind == ASSOCIATE_RJ:
        raise AssociationRejected(_rejection(pdu), for_good=_is_for_good(pdu))
    if kind != ASSOCIATE_AC:
        refuse_pdu(kind, body)
    answer = A_ASSOCIATE_AC()
    try:
        answer.decode(pdu)
        results = [(item.context_id, item.result, str(item.transfer_syntax)) for item in answer.presentation_context]
        user_information = answer.user_information
        peer_max_length = (user_information.maximum_length if user_information else 0) or 0
    except Exception as error:  # the codec raises whatever the peer's bytes make it raise
        message = "an A-ASSOCIATE-AC that cannot be decoded"
        raise InvalidResponse(message) from error
    if not results or 0 < peer_max_length < SHORTEST_PDU:
        message = "an A-ASSOCIATE-AC without presentation contexts, or for PDUs that hold nothing"
        raise InvalidResponse(message)
    return {context.context_id: context for context in _accepted(results, proposed)}, peer_max_length


def _accepted(
    results: Sequence[tuple[int | None, int | None, str]], proposed: Mapping[int, tuple[str, Sequence[str]]]
) -> Iterator[Context]:
    """Yield the contexts that were accepted as they had been proposed."""
    for number, result, transfer_syntax in results:
        abstract_syntax, transfer_syntaxes = proposed.get(number or 0, ("", ()))
        if number is not None and result == 0 and transfer_syntax in transfer_syntaxes:
            yield Context(number, abstract_syntax, transfer_syntax)


def _rejection(pdu: bytes) -> str:
    if len(pdu) < PDU_HEADER.size + _SHORT_PDU_BYTES:
        return "the PACS rejected the association, and gave no reason"
    rejection = A_ASSOCIATE_RJ()
    rejection.decode(pdu)
    try:
        reason = f"{rejection.result_str}, {rejection.source_str}: {rejection.reason_str}"
    except (KeyError, ValueError, TypeError):
        reason = f"result {pdu[7]}, source {pdu[8]}, reason {pdu[9]}"
    return f"the PACS rejected the association ({reason})"


def _is_for_good(pdu: bytes) -> bool:
    """Whether the reason is one that stays: an AE title or an application context that the PACS does not know."""
    result, source, reason = (*pdu[7:10], 0, 0, 0)[:3]
    return result == _PERMANENT and source == _SERVICE_USER and reason in _NOT_KNOWN


def _short_pdu(kind: int) -> bytes:
    return PDU_HEADER.pack(kind, _SHORT_PDU_BYTES) + bytes(_SHORT_PDU_BYTES)
