"""A PACS: C-ECHO, C-FIND, C-MOVE and C-GET over an `Archive` (PS3.4 C.4), correct or with faults.

It sends the responses to a request, and counts its C-STOREs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

from pydicom import Dataset
from pydicom.multival import MultiValue

from dicomove.dimse import messages
from dicomove.dimse.association import Association
from dicomove.dimse.connection import Deadline, Deadlines
from dicomove.dimse.data_sets import decode, encode, encode_identifier
from dicomove.dimse.messages import Message
from dicomove.dimse.opening import Peer
from dicomove.dimse.pdu import P_DATA, write_p_data
from dicomove.dimse.presentation_contexts import FIND, GET, MOVE
from dicomove.errors import AssociationError, IdleTimeout
from dicomove.outcome import category
from dicomove.testing.archive import Archive, IdentifierMismatch, Instance, tolerant
from dicomove.testing.associations import Originator, Store, store, storing
from dicomove.testing.faults.base import Refuse, Request, Response
from dicomove.testing.faults.injector import Chain, Injector
from dicomove.tls import TLS

_SILENCE_S: Final = 60.0
_SHORT_PDU: Final = 4096
_COUNTS: Final = ("remaining", "completed", "failed", "warning")
_LONGEST_COUNT: Final = 0xFFFF

SUCCESS, PENDING, CANCELLED, SOME_FAILED, OUT_OF_RESOURCES = 0x0000, 0xFF00, 0xFE00, 0xB000, 0xA702
_DESTINATION_UNKNOWN, _MISMATCH, NOT_SUPPORTED = 0xA801, 0xA900, 0x0122

_MODELS: Final = {uid: model for services in (FIND, MOVE, GET) for model, uid in services.items()}
_COMMANDS: Final = {
    messages.C_ECHO_RQ: "C-ECHO",
    messages.C_FIND_RQ: "C-FIND",
    messages.C_MOVE_RQ: "C-MOVE",
    messages.C_GET_RQ: "C-GET",
}


class QueryRetrieveScp:
    """Answers C-ECHO, C-FIND, C-MOVE and C-GET.

    Parameters
    ----------
    ae_title
        Its AE title.
    archive
        Its instances.
    destinations
        The AE titles of the destinations, with host and port.
    injector
        The faults; without it, the PACS follows the standard.
    record
        The function that gets each request.
    tls
        The TLS settings for connections to destinations, by their AE titles.
    """

    def __init__(
        self,
        ae_title: str,
        archive: Archive,
        destinations: Mapping[str, tuple[str, int]],
        injector: Injector | None = None,
        record: Callable[[Request], None] = lambda _: None,
        tls: Mapping[str, TLS] | None = None,
    ) -> None:
        self._tls = tls or {}
        self.ae_title, self.archive, self.destinations = ae_title, archive, destinations
        self._injector = injector or Injector()
        self._record = record
        self._requests: WeakKeyDictionary[Association, int] = WeakKeyDictionary()

    def handle(self, association: Association, peer: Peer, message: Message) -> None:
        """Answer one request."""
        field = message.number("CommandField") or 0
        if field == messages.C_CANCEL_RQ:
            return  # the C-CANCEL came after the final response
        identifier = decode_identifier(association, message)
        request = self._request(association, message, identifier)
        chain = self._injector.concerning(request)
        self._record(request)
        responder = Responder(association, message, chain)
        try:
            chain.begin()
            match _COMMANDS.get(field):
                case "C-ECHO":
                    responder.respond(Response(status=SUCCESS))
                case "C-FIND":
                    self._find(responder, chain, identifier)
                case "C-MOVE":
                    by = (peer.calling_ae_title, message.number("MessageID") or 0)
                    self._move(responder, chain, identifier, message.text("MoveDestination") or "", by)
                case "C-GET":
                    self._get(responder, chain, identifier, association)
                case _:
                    responder.respond(Response(status=NOT_SUPPORTED))
        except Refuse as refusal:
            responder.respond(Response(status=refusal.status, comment=refusal.comment))
        except IdentifierMismatch as mismatch:
            responder.respond(Response(status=_MISMATCH, comment=str(mismatch)))

    def _request(self, association: Association, message: Message, identifier: Dataset) -> Request:
        command = _COMMANDS.get(message.number("CommandField") or 0, "")
        earlier = self._requests.get(association, 0)
        self._requests[association] = earlier + 1
        with tolerant():
            keys = {element.keyword: _text(element.value) for element in identifier if element.value not in (None, "")}
        return Request(
            command=command,
            level=keys.pop("QueryRetrieveLevel", ""),
            query_model=_MODELS.get(association.contexts[message.context_id].abstract_syntax, ""),
            keys=keys,
            attempt=self._injector.attempt(command, keys),
            archive=self.archive,
            keywords=tuple(element.keyword for element in identifier if element.keyword),
            earlier=earlier,
        )

    def _find(self, responder: Responder, chain: Chain, identifier: Dataset) -> None:
        *found, last = [*chain.matches(identifier, chain.request.query_model), None]
        if chain.match_on_success and found:
            last = found.pop()
        for match in found:
            responder.respond(Response(status=PENDING, match=match))
            if responder.cancelled() and chain.honours_cancel():
                responder.respond(Response(status=CANCELLED))
                return
        responder.respond(Response(status=SUCCESS, match=last))

    def _move(self, responder: Responder, chain: Chain, identifier: Dataset, title: str, by: Originator) -> None:
        selected = self.archive.select(identifier, chain.request.query_model)
        if title not in self.destinations:
            responder.respond(Response(status=_DESTINATION_UNKNOWN, comment=f"unknown: {title}"))
            return
        operations = SubOperations(responder, chain, chain.selection(selected))
        if chain.final_first:
            operations.pretend()
            operations.finish()
        try:
            self._store(operations, chain, title, by)
        except AssociationError:  # the destination cannot be reached
            operations.fail_the_rest()
        if not chain.final_first:
            operations.finish()

    def _store(self, operations: SubOperations, chain: Chain, title: str, by: Originator) -> None:
        def store_alone(instance: Instance) -> int:
            with self._storing(title, [instance], by) as send:
                return send(instance)

        run = operations.run_unseen if chain.final_first else operations.run
        if chain.association_per_instance or not operations.sent:
            run(store_alone)
            return
        with self._storing(title, operations.sent, by) as send:
            run(send)

    def _storing(self, title: str, instances: Sequence[Instance], by: Originator) -> AbstractContextManager[Store]:
        address, tls, change = self.destinations[title], self._tls.get(title), partial(self._injector.associate, None)
        return storing(address, title, self.ae_title, instances, by, tls, change)

    def _get(self, responder: Responder, chain: Chain, identifier: Dataset, association: Association) -> None:
        instances = chain.selection(self.archive.select(identifier, chain.request.query_model))
        operations = SubOperations(responder, chain, instances)
        operations.run(lambda instance: store(association, instance, on_cancel=responder.note_cancel))
        operations.finish()


def _text(value: object) -> str:
    return "\\".join(map(str, value)) if isinstance(value, list | tuple | MultiValue) else str(value)


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


def decode_identifier(association: Association, request: Message) -> Dataset:
    """Decode the identifier of a request."""
    return decode(request.data or b"", association.contexts[request.context_id].transfer_syntax)


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
