"""Sends the responses to one request; performs the C-STOREs of a C-MOVE or C-GET, and counts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from dicomove.dimse import messages
from dicomove.dimse.association import Association
from dicomove.dimse.data_sets import encode, encode_identifier
from dicomove.dimse.deadlines import Deadline, Deadlines
from dicomove.dimse.messages import Message
from dicomove.dimse.pdu import P_DATA, write_p_data
from dicomove.errors import IdleTimeout
from dicomove.outcome import category
from dicomove.testing.archive import Instance
from dicomove.testing.faults.base import Response
from dicomove.testing.faults.injector import Chain

_SILENCE_S: Final = 60.0
_SHORT_PDU: Final = 4096
_COUNTS: Final = ("remaining", "completed", "failed", "warning")
_LONGEST_COUNT: Final = 0xFFFF
SUCCESS, PENDING, CANCELLED, SOME_FAILED, OUT_OF_RESOURCES = 0x0000, 0xFF00, 0xFE00, 0xB000, 0xA702


class Responder:
    """Sends the responses to one request.

    Parameters
    ----------
    association
        The association of the request.
    request
        The request.
    chain
        The faults that affect it.
    """

    def __init__(self, association: Association, request: Message, chain: Chain) -> None:
        self._association, self._request, self._chain = association, request, chain
        self._context = association.contexts[request.context_id]
        self._sent = 0
        self._noted = False

    def respond(self, response: Response) -> None:
        """Send one response, or the responses that the faults put in its place."""
        self._sent += 1
        for changed in self._chain.responses(replace(response, number=self._sent)):
            self._send(changed)
            if response.final and not changed.final and self.cancelled():
                return  # C-CANCEL ends endless pending responses

    def cancelled(self) -> bool:
        """Whether C-CANCEL has come for this request since the last call."""
        noted, self._noted = self._noted, False
        if noted:
            return True
        if self._association.is_quiet():
            return False
        message = self._association.receive(_deadlines())
        return message.number("CommandField") == messages.C_CANCEL_RQ

    def note_cancel(self) -> None:
        """Remember a C-CANCEL that came before the response to a C-STORE."""
        self._noted = True

    def _send(self, response: Response) -> None:
        counts = {name: getattr(response, name) for name in _COUNTS}
        message = messages.respond(
            self._request,
            response.status,
            data=self._data(response),
            comment=response.comment or "",
            # A negative count stands for an element without a value.
            counts={name: "" if count is not None and count < 0 else count for name, count in counts.items()},
        )
        message_id = (message.number("MessageIDBeingRespondedTo") or 0) + response.message_id_shift & 0xFFFF or 0xFFFF
        shifted = replace(message, command={**message.command, "MessageIDBeingRespondedTo": message_id})
        if response.without_data:
            announced = replace(shifted, data=b"")
            parts = write_p_data(
                shifted.context_id, messages.encode_command(announced), is_command=True, longest=_SHORT_PDU
            )
            self._association.send_pdu(P_DATA, b"".join(parts), _deadlines())
        else:
            self._association.send(shifted, _deadlines())

    def _data(self, response: Response) -> bytes | None:
        syntax = self._context.transfer_syntax
        if response.data is not None:
            return response.data
        if response.match is not None:
            return encode(response.match, syntax)
        if response.failed_uids is not None:
            return encode_identifier({"FailedSOPInstanceUIDList": response.failed_uids}, syntax)
        return None


def _deadlines() -> Deadlines:
    return Deadlines(Deadline(_SILENCE_S, IdleTimeout, "waiting for the client"))


class SubOperations:
    """Stores instances one after the other, and sends the responses.

    Parameters
    ----------
    responder
        Sends the responses.
    chain
        The faults that affect this request.
    instances
        The instances to store.
    """

    def __init__(self, responder: Responder, chain: Chain, instances: Sequence[Instance]) -> None:
        self._responder, self._chain = responder, chain
        self._plan = [(instance, chain.sent_for(instance)) for instance in instances]
        self._remaining = len(instances)
        self._completed = self._failed = self._warning = 0
        self._failed_uids: list[str] = []
        self._cancelled = False

    @property
    def sent(self) -> list[Instance]:
        """The instances to send, after the faults."""
        return [one for _, sent in self._plan for one in sent]

    def run(self, store: Callable[[Instance], int]) -> None:
        """Store all instances, with a pending response after each but the last."""
        for instance, sent in self._plan:
            statuses = [store(one) for one in sent]
            self._count(instance, self._chain.counted(instance, max(statuses, default=SUCCESS)))
            if not self._remaining:
                return
            self._responder.respond(self._response(PENDING, remaining=self._remaining))
            if self._responder.cancelled() and self._chain.honours_cancel():
                self._cancelled = True
                return

    def run_unseen(self, store: Callable[[Instance], int]) -> None:
        """Store all instances after the final response, without further responses."""
        for one in self.sent:
            store(one)

    def pretend(self) -> None:
        """Count all instances as stored."""
        self._completed, self._remaining = self._remaining, 0

    def fail_the_rest(self) -> None:
        """Count the remaining instances as failed, because the destination cannot be reached."""
        for instance, _ in self._plan[len(self._plan) - self._remaining :]:
            self._count(instance, OUT_OF_RESOURCES)

    def finish(self) -> None:
        """Send the final response."""
        response = self._response(self._status(), remaining=self._remaining if self._cancelled else None)
        self._responder.respond(replace(response, failed_uids=tuple(self._failed_uids) or None))

    def _count(self, instance: Instance, status: int) -> None:
        kind = category(status)
        self._remaining -= 1
        self._completed += kind == "success"
        self._warning += kind == "warning"
        if kind not in ("success", "warning"):
            self._failed += 1
            self._failed_uids.append(instance.sop_instance_uid)

    def _status(self) -> int:
        if self._cancelled:
            return CANCELLED
        if self._failed and not self._completed and not self._warning:
            return OUT_OF_RESOURCES
        return SOME_FAILED if self._failed or self._warning else SUCCESS

    def _response(self, status: int, remaining: int | None) -> Response:
        # Counts have 16 bits, and start again at zero, as in real PACS.
        return Response(
            status=status,
            completed=self._completed & _LONGEST_COUNT,
            failed=self._failed & _LONGEST_COUNT,
            warning=self._warning & _LONGEST_COUNT,
            remaining=None if remaining is None else remaining & _LONGEST_COUNT,
        )
