"""C-STORE on both sides: the sub-operations of a C-MOVE or C-GET, and a Storage SCP to move to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydicom.uid import UID

from dicomove.dimse.association import Association
from dicomove.dimse.connection import Deadline, Deadlines
from dicomove.dimse.data_sets import file_head
from dicomove.dimse.messages import C_CANCEL_RQ, C_STORE_RQ, MEDIUM, Message, respond
from dicomove.dimse.opening import Peer
from dicomove.errors import AssociationTimeout, IdleTimeout, InvalidResponse
from dicomove.files import replacing
from dicomove.testing.acceptor import ChangingConnection
from dicomove.testing.archive import Instance
from dicomove.tls import TLS, client_side

#: The AE title and the Message ID of the C-MOVE that a C-STORE belongs to (PS3.7 9.1.1.1).
Originator = tuple[str, int]
Store = Callable[[Instance], int]

SUCCESS: Final = 0x0000
NO_CONTEXT: Final = 0x0122
_SILENCE_S: Final = 60.0
_MOST_CONTEXTS: Final = 128


class StorageScp:
    """Writes each instance that it receives into a folder, as a DICOM file (PS3.10 7).

    Parameters
    ----------
    folder
        The folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def handle(self, association: Association, peer: Peer, request: Message) -> None:  # noqa: ARG002 (the protocol)
        """Answer C-STORE and C-ECHO."""
        if request.number("CommandField") == C_STORE_RQ:
            self._write(association, request, request.text("AffectedSOPInstanceUID") or "")
        association.send(respond(request, SUCCESS), _deadlines())

    def _write(self, association: Association, request: Message, uid: str) -> None:
        if not UID(uid).is_valid:
            message = "an instance without a valid UID"
            raise InvalidResponse(message)
        syntax = association.contexts[request.context_id].transfer_syntax
        head = file_head(request.text("AffectedSOPClassUID") or "", uid, syntax)
        with replacing(self._folder / f"{uid}.dcm") as part:
            part.write_bytes(head + (request.data or b""))


@contextmanager
def storing(
    address: tuple[str, int],
    called_ae_title: str,
    calling_ae_title: str,
    instances: Sequence[Instance],
    originator: Originator,
    tls: TLS | None = None,
    change: Callable[[bytes], bytes] | None = None,
) -> Iterator[Store]:
    """Open an association for these instances, and yield the function that stores one and returns the Status.

    `change` returns the bytes to send in place of an A-ASSOCIATE-RQ.
    """
    pairs = dict.fromkeys((instance.sop_class_uid, instance.transfer_syntax) for instance in instances)
    connection = ChangingConnection.open(*address, _SILENCE_S)
    connection.change = change
    try:
        if tls:
            handshake = Deadline(_SILENCE_S, AssociationTimeout, "the TLS handshake")
            connection.secure(client_side(tls, address[0]), Deadlines(handshake))
        association = Association.request(
            connection,
            called_ae_title=called_ae_title,
            calling_ae_title=calling_ae_title,
            max_pdu_length=16384,
            proposed=[(abstract, [transfer]) for abstract, transfer in list(pairs)[:_MOST_CONTEXTS]],
            deadlines=Deadlines(Deadline(_SILENCE_S, AssociationTimeout, "A-ASSOCIATE")),
        )
        yield lambda instance: store(association, instance, originator)
        association.release(_SILENCE_S)
    finally:
        connection.close()


def store(
    association: Association,
    instance: Instance,
    originator: Originator | None = None,
    on_cancel: Callable[[], object] = lambda: None,
) -> int:
    """Send one C-STORE over an association, and return the Status of the response.

    If a C-CANCEL of its C-GET comes before the response, `store` calls `on_cancel`.
    """
    context = association.context_for(instance.sop_class_uid, instance.transfer_syntax)
    if context is None:
        return NO_CONTEXT
    command: dict[str, int | str] = {
        "AffectedSOPClassUID": instance.sop_class_uid,
        "CommandField": C_STORE_RQ,
        "MessageID": 1,
        "Priority": MEDIUM,
        "AffectedSOPInstanceUID": instance.sop_instance_uid,
    }
    if originator:
        command["MoveOriginatorApplicationEntityTitle"], command["MoveOriginatorMessageID"] = originator
    association.send(Message(context.context_id, command, instance.read()), _deadlines())
    while (response := association.receive(_deadlines())).number("CommandField") == C_CANCEL_RQ:
        on_cancel()
    return response.number("Status") or SUCCESS


def _deadlines() -> Deadlines:
    return Deadlines(Deadline(_SILENCE_S, IdleTimeout, "C-STORE"))
