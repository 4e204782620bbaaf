"""A PACS: C-ECHO, C-FIND and C-MOVE over an `Archive` (PS3.4 C.4), and a Storage SCP as somewhere to move to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import create_file_meta, decode, encode, encode_file_meta

from dicomove.dimse import messages
from dicomove.dimse.association import Association
from dicomove.dimse.link import FIND, MOVE
from dicomove.dimse.messages import (
    C_CANCEL_RQ,
    C_STORE_RQ,
    MEDIUM,
    RESPONSE,
    Command,
    Message,
    encode_identifier,
)
from dicomove.dimse.transport import Connection, Limit, Watch, connect_limit
from dicomove.errors import AssociationError, AssociationTimeout, IdleTimeout, InvalidResponse
from dicomove.outcome import category
from dicomove.testing.acceptor import Peer
from dicomove.testing.archive import Archive, IdentifierMismatch, Instance

SUCCESS, PENDING, CANCELLED, SOME_FAILED = 0x0000, 0xFF00, 0xFE00, 0xB000
OUT_OF_RESOURCES, DESTINATION_UNKNOWN, MISMATCH, NOT_SUPPORTED = 0xA702, 0xA801, 0xA900, 0x0122

_MODELS: Final = {uid: model for services in (FIND, MOVE) for model, uid in services.items()}
_SILENCE_S: Final = 60.0
_MOST_CONTEXTS: Final = 128
_LONGEST_COUNT: Final = 0xFFFF


class QueryRetrieveScp:
    """Answers C-ECHO, C-FIND and C-MOVE by the book.

    Parameters
    ----------
    ae_title
        Its own.
    archive
        What it holds.
    destinations
        The AE titles that it moves to, with host and port.
    """

    def __init__(self, ae_title: str, archive: Archive, destinations: Mapping[str, tuple[str, int]]) -> None:
        self.ae_title, self.archive, self.destinations = ae_title, archive, destinations

    def handle(self, association: Association, peer: Peer, request: Message) -> None:
        """Answer one request."""
        exchange = Responder(association, request)
        match request.number("CommandField"):
            case messages.C_ECHO_RQ:
                exchange.respond(SUCCESS)
            case messages.C_FIND_RQ:
                self._find(exchange)
            case messages.C_MOVE_RQ:
                self._move(exchange, peer)
            case messages.C_CANCEL_RQ:
                pass  # it came after the end
            case _:
                exchange.respond(NOT_SUPPORTED)

    def _find(self, exchange: Responder) -> None:
        try:
            for answer in self.archive.find(exchange.identifier(), exchange.query_model):
                exchange.respond(PENDING, data=exchange.encode(answer))
                if exchange.cancelled():
                    exchange.respond(CANCELLED)
                    return
        except IdentifierMismatch as mismatch:
            exchange.respond(MISMATCH, {"ErrorComment": str(mismatch)[:64]})
            return
        exchange.respond(SUCCESS)

    def _move(self, exchange: Responder, peer: Peer) -> None:
        destination = exchange.request.text("MoveDestination") or ""
        try:
            instances = self.archive.select(exchange.identifier(), exchange.query_model)
        except IdentifierMismatch as mismatch:
            exchange.respond(MISMATCH, {"ErrorComment": str(mismatch)[:64]})
            return
        if destination not in self.destinations:
            exchange.respond(DESTINATION_UNKNOWN, {"ErrorComment": f"unknown: {destination}"[:64]})
            return
        operations = SubOperations(exchange, len(instances))
        originator = (peer.calling_ae_title, exchange.request.number("MessageID") or 0)
        try:
            with store_to(self.destinations[destination], destination, self.ae_title, instances) as store:
                operations.run(instances, lambda instance: store(instance, originator))
        except AssociationError:
            operations.fail_the_rest(instances)
        operations.finish()


class SubOperations:
    """The C-STOREs of one C-MOVE, and their counts.

    Parameters
    ----------
    exchange
        Is told.
    total
        How many there will be.
    """

    def __init__(self, exchange: Responder, total: int) -> None:
        self._exchange = exchange
        self.remaining, self.completed, self.failed, self.warning = total, 0, 0, 0
        self.failed_uids: list[str] = []
        self.cancelled = False

    def run(self, instances: Iterable[Instance], store: Callable[[Instance], int]) -> None:
        """Store one after the other, with a pending response after each but the last."""
        for instance in instances:
            self.count(instance, store(instance))
            if not self.remaining:
                return
            self._exchange.respond(PENDING, self._counts() | _count("Remaining", self.remaining))
            if self._exchange.cancelled():
                self.cancelled = True
                return

    def count(self, instance: Instance, status: int) -> None:
        """Count the response to one C-STORE."""
        kind = category(status)
        self.remaining -= 1
        self.completed += kind == "success"
        self.warning += kind == "warning"
        if kind not in ("success", "warning"):
            self.failed += 1
            self.failed_uids.append(instance.sop_instance_uid)

    def fail_the_rest(self, instances: Sequence[Instance]) -> None:
        """Count what was not stored as failed."""
        for instance in instances[len(instances) - self.remaining :]:
            self.count(instance, OUT_OF_RESOURCES)

    def finish(self) -> None:
        """Send the final response."""
        more = _count("Remaining", self.remaining) if self.cancelled else {}
        keys = {"FailedSOPInstanceUIDList": self.failed_uids}
        data = self._exchange.encode_keys(keys) if self.failed_uids else None
        self._exchange.respond(self._status(), self._counts() | more, data)

    def _status(self) -> int:
        if self.cancelled:
            return CANCELLED
        if self.failed and not self.completed and not self.warning:
            return OUT_OF_RESOURCES
        return SOME_FAILED if self.failed or self.warning else SUCCESS

    def _counts(self) -> dict[str, int]:
        return {
            **_count("Completed", self.completed),
            **_count("Failed", self.failed),
            **_count("Warning", self.warning),
        }


class Responder:
    """The responses to one request."""

    def __init__(self, association: Association, request: Message) -> None:
        self.request = request
        self._association = association
        self._context = association.contexts[request.context_id]

    @property
    def query_model(self) -> str:
        """The model that the presentation context stands for."""
        return _MODELS[self._context.abstract_syntax]

    def respond(self, status: int, elements: Command | None = None, data: bytes | None = None) -> None:
        """Send one response."""
        command: Command = {
            "AffectedSOPClassUID": self._context.abstract_syntax,
            "CommandField": (self.request.number("CommandField") or 0) | RESPONSE,
            "MessageIDBeingRespondedTo": self.request.number("MessageID") or 0,
            "Status": status,
            **(elements or {}),
        }
        self._association.send(Message(self._context.context_id, command, data), _watch("sending"))

    def identifier(self) -> Dataset:
        """Decode the identifier of the request."""
        syntax = UID(self._context.transfer_syntax)
        return decode(BytesIO(self.request.data or b""), syntax.is_implicit_VR, syntax.is_little_endian)

    def encode(self, data_set: Dataset) -> bytes:
        """Encode an identifier as it was negotiated."""
        syntax = UID(self._context.transfer_syntax)
        return encode(data_set, syntax.is_implicit_VR, syntax.is_little_endian) or b""

    def encode_keys(self, keys: Mapping[str, Sequence[str]]) -> bytes:
        """Encode an identifier that holds these."""
        return encode_identifier(keys, self._context.transfer_syntax)

    def cancelled(self) -> bool:
        """Whether C-CANCEL has come for this request."""
        if self._association.is_quiet():
            return False
        message = self._association.receive(_watch("C-CANCEL"))
        return message.number("CommandField") == C_CANCEL_RQ


class StorageScp:
    """Writes each instance it is sent into a folder, as a DICOM file (PS3.10 7).

    Parameters
    ----------
    folder
        Where to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def handle(self, association: Association, peer: Peer, request: Message) -> None:
        """Answer C-STORE and C-ECHO."""
        if request.number("CommandField") == C_STORE_RQ:
            self._write(association, peer, request)
        instance = request.text("AffectedSOPInstanceUID")
        Responder(association, request).respond(SUCCESS, {"AffectedSOPInstanceUID": instance} if instance else None)

    def _write(self, association: Association, peer: Peer, request: Message) -> None:
        uid = UID(request.text("AffectedSOPInstanceUID") or "")
        if not uid.is_valid:
            message = "an instance without a valid UID"
            raise InvalidResponse(message)
        meta = create_file_meta(
            sop_class_uid=UID(request.text("AffectedSOPClassUID") or ""),
            sop_instance_uid=uid,
            transfer_syntax=UID(association.contexts[request.context_id].transfer_syntax),
        )
        path = self._folder / f"{uid}.dcm"
        partial = path.with_suffix(f".{peer.calling_ae_title}.part")
        partial.write_bytes(bytes(128) + b"DICM" + encode_file_meta(meta) + (request.data or b""))
        partial.replace(path)


@contextmanager
def store_to(
    address: tuple[str, int], called_ae_title: str, calling_ae_title: str, instances: Sequence[Instance]
) -> Iterator[Callable[[Instance, tuple[str, int]], int]]:
    """Open an association for storing, and lend the function that stores one instance and returns the Status."""
    pairs = dict.fromkeys((instance.sop_class_uid, instance.transfer_syntax) for instance in instances)
    connection = Connection.open(*address, Watch(connect_limit(_SILENCE_S, called_ae_title)))
    try:
        association = Association.request(
            connection,
            called_ae_title=called_ae_title,
            calling_ae_title=calling_ae_title,
            max_pdu_length=16384,
            proposed=[(abstract, [transfer]) for abstract, transfer in list(pairs)[:_MOST_CONTEXTS]],
            watch=Watch(Limit(_SILENCE_S, AssociationTimeout, "A-ASSOCIATE")),
        )
        yield lambda instance, originator: _store(association, instance, originator)
        association.release(_SILENCE_S)
    finally:
        connection.close()


def _store(association: Association, instance: Instance, originator: tuple[str, int]) -> int:
    context = association.context_for(instance.sop_class_uid, instance.transfer_syntax)
    if context is None:
        return NOT_SUPPORTED
    command: Command = {
        "AffectedSOPClassUID": instance.sop_class_uid,
        "CommandField": C_STORE_RQ,
        "MessageID": 1,
        "Priority": MEDIUM,
        "AffectedSOPInstanceUID": instance.sop_instance_uid,
        "MoveOriginatorApplicationEntityTitle": originator[0],
        "MoveOriginatorMessageID": originator[1],
    }
    association.send(Message(context.context_id, command, instance.read()), _watch("C-STORE"))
    return association.receive(_watch("C-STORE")).number("Status") or 0


def _count(name: str, count: int) -> dict[str, int]:
    """Return a count as an element; one that does not fit into 16 bits cannot be sent."""
    return {f"NumberOf{name}Suboperations": count} if count <= _LONGEST_COUNT else {}


def _watch(doing: str) -> Watch:
    return Watch(Limit(_SILENCE_S, IdleTimeout, doing))
