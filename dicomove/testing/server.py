"""A PACS: C-ECHO, C-FIND, C-MOVE and C-GET over an `Archive` (PS3.4 C.4), correct or with faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

from pydicom import Dataset
from pydicom.multival import MultiValue

from dicomove.dimse import messages
from dicomove.dimse.association import Association
from dicomove.dimse.data_sets import decode
from dicomove.dimse.messages import Message
from dicomove.dimse.opening import Peer
from dicomove.dimse.presentation_contexts import FIND, GET, MOVE
from dicomove.errors import AssociationError
from dicomove.testing.archive import Archive, IdentifierMismatch, Instance, tolerant
from dicomove.testing.associations import Originator, Store, store, storing
from dicomove.testing.faults.base import Refuse, Request, Response
from dicomove.testing.faults.injector import Chain, Injector
from dicomove.testing.responder import CANCELLED, PENDING, SUCCESS, Responder, SubOperations
from dicomove.tls import TLS

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


def decode_identifier(association: Association, request: Message) -> Dataset:
    """Decode the identifier of a request."""
    return decode(request.data or b"", association.contexts[request.context_id].transfer_syntax)
