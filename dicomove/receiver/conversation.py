"""One association with a peer that stores: C-STORE and C-ECHO (PS3.7 9.1), whatever the peer does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dicomove.dimse.association import Association
from dicomove.dimse.messages import (
    C_CANCEL_RQ,
    C_ECHO_RQ,
    C_STORE_RQ,
    RESPONSE,
    Command,
    Message,
    decode_command,
    has_data_set,
)
from dicomove.dimse.negotiation import Peer
from dicomove.dimse.pdu import ABORT, RELEASE_RQ
from dicomove.dimse.transport import Limit, Watch
from dicomove.errors import IdleTimeout, InvalidResponse
from dicomove.receiver.incoming import Incoming, Origin
from dicomove.receiver.storage import SUCCESS, Storage
from dicomove.receiver.stream import Piece, Stream

_UNRECOGNIZED_OPERATION: Final = 0x0211
_CANNOT_UNDERSTAND: Final = 0xC000
_LONGEST_COMMAND: Final = 1 << 16


class Conversation:
    """Answers the requests of one association, one after the other.

    Parameters
    ----------
    association
        The association.
    peer
        Who it is with.
    address
        From where.
    stream
        Reads it.
    storage
        Stores.
    busy, idle
        Called whenever some of a message has come, and when it is about to be answered, or needs no answer.
    """

    def __init__(
        self,
        association: Association,
        peer: Peer,
        address: str,
        stream: Stream,
        storage: Storage,
        busy: Callable[[], None],
        idle: Callable[[], None],
    ) -> None:
        self._association, self._peer, self._address = association, peer, address
        self._stream, self._storage, self._busy, self._idle = stream, storage, busy, idle
        self._command = bytearray()
        self._request: Message | None = None
        self._incoming: Incoming | None = None

    def run(self) -> None:
        """Converse until the peer releases or aborts.

        Raises
        ------
        AssociationError
            The peer does something else.
        """
        try:
            for piece in self._stream.pieces(self._flush):
                self._take(piece)
        finally:
            if self._incoming:
                self._storage.abandon(self._incoming)
        kind, _ = self._stream.ended_by
        if kind == RELEASE_RQ:
            self._association.confirm_release(self._watch())
        elif kind != ABORT:
            message = f"a PDU of type {kind} where none belongs"
            raise InvalidResponse(message)

    def _flush(self) -> None:
        """Write what has come, before the buffer takes what comes next."""
        if self._incoming:
            self._incoming.flush()

    def _take(self, piece: Piece) -> None:
        if piece.context_id not in self._association.contexts or piece.is_command == (self._request is not None):
            message = "the fragments of a message came in a wrong order"
            raise InvalidResponse(message)
        self._busy()
        if piece.is_command:
            self._take_command(piece)
            return
        if self._incoming:
            self._incoming.feed(piece.data)
        if piece.is_last:
            self._end()

    def _take_command(self, piece: Piece) -> None:
        self._command += piece.data
        if len(self._command) > _LONGEST_COMMAND:
            message = "a command set that does not end"
            raise InvalidResponse(message)
        if not piece.is_last:
            return
        request = Message(piece.context_id, decode_command(self._command))
        self._command = bytearray()
        self._request = request
        if not has_data_set(request.command):
            self._end()
        elif request.number("CommandField") == C_STORE_RQ:
            self._incoming = self._storage.begin(self._origin(request))

    def _end(self) -> None:
        """Answer the request, which has come to its end."""
        request, incoming = self._request, self._incoming
        if request is None:
            raise AssertionError
        self._request = self._incoming = None
        field = request.number("CommandField") or 0
        if incoming:
            self._finish(request, incoming)
        elif field != C_CANCEL_RQ and not field & RESPONSE:
            self._answer(request, _status(field))
        else:
            self._idle()

    def _finish(self, request: Message, incoming: Incoming) -> None:
        finished = self._storage.finish(incoming)
        try:
            self._answer(request, finished.status)
        finally:
            # The peer prepares the next one meanwhile.
            self._storage.note(finished)
            self._idle()

    def _answer(self, request: Message, status: int) -> None:
        self._idle()  # before it knows: who has its answer may rely on being one that was served
        uid = request.text("AffectedSOPInstanceUID")
        command: Command = {
            "AffectedSOPClassUID": request.text("AffectedSOPClassUID") or "",
            "CommandField": (request.number("CommandField") or 0) | RESPONSE,
            "MessageIDBeingRespondedTo": request.number("MessageID") or 0,
            "Status": status,
            **({"AffectedSOPInstanceUID": uid} if uid else {}),
        }
        self._association.send(Message(request.context_id, command), self._watch())

    def _origin(self, request: Message) -> Origin:
        context = self._association.contexts[request.context_id]
        return Origin(
            sop_class_uid=request.text("AffectedSOPClassUID") or context.abstract_syntax,
            sop_instance_uid=request.text("AffectedSOPInstanceUID") or "",
            transfer_syntax_uid=context.transfer_syntax,
            calling_ae_title=self._peer.calling_ae_title,
            address=self._address,
            move_originator_ae_title=request.text("MoveOriginatorApplicationEntityTitle"),
            move_originator_message_id=request.number("MoveOriginatorMessageID"),
        )

    def _watch(self) -> Watch:
        return Watch(Limit(self._stream.pdu_s, IdleTimeout, "sending an answer"))


def _status(field: int) -> int:
    """Return the Status of the answer to a request without a data set."""
    if field == C_STORE_RQ:
        return _CANNOT_UNDERSTAND
    return SUCCESS if field == C_ECHO_RQ else _UNRECOGNIZED_OPERATION
