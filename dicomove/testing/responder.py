"""The responses to one request, as the faults change them."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Final

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import decode, encode

from dicomove.dimse.association import Association
from dicomove.dimse.connection import Deadline, Deadlines
from dicomove.dimse.fragments import write_p_data
from dicomove.dimse.messages import C_CANCEL_RQ, Message, encode_command, encode_identifier, respond
from dicomove.dimse.pdu import P_DATA
from dicomove.errors import IdleTimeout
from dicomove.testing.faults.base import Chain, Response

_SILENCE_S: Final = 60.0
_SHORT_PDU: Final = 4096
_COUNTS: Final = ("remaining", "completed", "failed", "warning")


class Responder:
    """Sends the responses to one request.

    Parameters
    ----------
    association
        Where the request came from.
    request
        The request.
    chain
        The faults that it meets.
    """

    def __init__(self, association: Association, request: Message, chain: Chain) -> None:
        self._association, self._request, self._chain = association, request, chain
        self._context = association.contexts[request.context_id]
        self._sent = 0
        self._noted = False

    def respond(self, response: Response) -> None:
        """Send one response, or what the faults make of it."""
        self._sent += 1
        for changed in self._chain.responses(replace(response, number=self._sent)):
            self._send(changed)
            if response.final and not changed.final and self.cancelled():
                return  # pending responses for ever end with C-CANCEL

    def cancelled(self) -> bool:
        """Whether C-CANCEL has come for this request since this was asked last."""
        noted, self._noted = self._noted, False
        if noted:
            return True
        if self._association.is_quiet():
            return False
        message = self._association.receive(_deadlines())
        return message.number("CommandField") == C_CANCEL_RQ

    def note_cancel(self) -> None:
        """Take note of a C-CANCEL that came where a response to C-STORE was awaited."""
        self._noted = True

    def _send(self, response: Response) -> None:
        counts = {name: getattr(response, name) for name in _COUNTS}
        message = respond(
            self._request,
            response.status,
            data=self._data(response),
            comment=response.comment or "",
            # A negative count stands for one without a value.
            counts={name: "" if count is not None and count < 0 else count for name, count in counts.items()},
        )
        message_id = (message.number("MessageIDBeingRespondedTo") or 0) + response.message_id_shift & 0xFFFF
        shifted = replace(message, command={**message.command, "MessageIDBeingRespondedTo": message_id})
        if response.without_data:
            announced = replace(shifted, data=b"")
            parts = write_p_data(shifted.context_id, encode_command(announced), is_command=True, longest=_SHORT_PDU)
            self._association.send_pdu(P_DATA, b"".join(parts), _deadlines())
        else:
            self._association.send(shifted, _deadlines())

    def _data(self, response: Response) -> bytes | None:
        syntax = UID(self._context.transfer_syntax)
        if response.data is not None:
            return response.data
        if response.match is not None:
            return encode(response.match, syntax.is_implicit_VR, syntax.is_little_endian)
        if response.failed_uids is not None:
            return encode_identifier({"FailedSOPInstanceUIDList": response.failed_uids}, syntax)
        return None


def decode_identifier(association: Association, request: Message) -> Dataset:
    """Decode the identifier of a request."""
    syntax = UID(association.contexts[request.context_id].transfer_syntax)
    return decode(BytesIO(request.data or b""), syntax.is_implicit_VR, syntax.is_little_endian)


def _deadlines() -> Deadlines:
    return Deadlines(Deadline(_SILENCE_S, IdleTimeout, "waiting for the client"))
