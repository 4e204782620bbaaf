"""The other side of an association: a listener, and the answer to A-ASSOCIATE-RQ (PS3.8 7.1)."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.presentation import PresentationContext

from dicomove.dimse.association import (
    ASSOCIATE_RQ,
    TRANSFER_SYNTAXES,
    Association,
    Context,
    associate_primitive,
    read_pdu,
    refuse_pdu,
)
from dicomove.dimse.link import SERVICES
from dicomove.dimse.messages import Message
from dicomove.dimse.transport import Connection, Limit, Watch
from dicomove.errors import AssociationError, AssociationTimeout, IdleTimeout, InvalidResponse

_ACCEPTED, _NO_TRANSFER_SYNTAX = 0, 4
_HANDSHAKE_S: Final = 30.0
_IDLE_S: Final = 600.0

logger = logging.getLogger("dicomove.testing")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asked for the association."""

    calling_ae_title: str
    called_ae_title: str


class Service(Protocol):
    """What a listener does with the messages of an association."""

    def handle(self, association: Association, peer: Peer, request: Message) -> None:
        """Answer one request."""


class Listener:
    """Accepts associations on 127.0.0.1, each in a thread of its own.

    Parameters
    ----------
    service
        Answers the requests.
    port
        0 lets the system pick one.
    """

    def __init__(self, service: Service, port: int = 0) -> None:
        self._service = service
        self._socket = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, name="dicomove-listener", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        connection = Connection(client)
        try:
            association, peer = accept(connection)
            while True:
                idle = Limit(_IDLE_S, IdleTimeout, "waiting for a request")
                self._service.handle(association, peer, association.receive(Watch(idle)))
        except AssociationError as error:
            logger.info("association ended: %s", error)
        finally:
            connection.close()


def accept(connection: Connection) -> tuple[Association, Peer]:
    """Read A-ASSOCIATE-RQ and accept every abstract syntax of it."""
    watch = Watch(Limit(_HANDSHAKE_S, AssociationTimeout, "A-ASSOCIATE"))
    kind, body = read_pdu(connection, watch)
    if kind != ASSOCIATE_RQ:
        refuse_pdu(kind, body)
    request = A_ASSOCIATE_RQ()
    try:
        request.decode(struct.pack(">BxI", kind, len(body)) + body)
        primitive = request.to_primitive()
    except Exception as error:  # the codec raises whatever the peer's bytes make it raise
        message = "an A-ASSOCIATE-RQ that cannot be decoded"
        raise InvalidResponse(message) from error
    peer = Peer(primitive.calling_ae_title or "", primitive.called_ae_title or "")
    results = [_result(proposed) for proposed in primitive.presentation_context_definition_list]
    answer = associate_primitive(peer.called_ae_title, peer.calling_ae_title, 0)
    answer.result, answer.presentation_context_definition_results_list = 0, results
    connection.send(A_ASSOCIATE_AC(answer).encode(), watch)
    return Association(connection, _contexts(results), primitive.maximum_length_received or 0), peer


def _contexts(results: Iterable[PresentationContext]) -> dict[int, Context]:
    return {
        number: Context(number, str(result.abstract_syntax), str(result.transfer_syntax[0]))
        for result in results
        if result.result == _ACCEPTED and (number := result.context_id) is not None
    }


def _result(proposed: PresentationContext) -> PresentationContext:
    """Accept a context: a service in a syntax that we can decode, anything else is storage in whatever syntax comes."""
    usable: list[str | bytes | UID] = [
        syntax
        for syntax in proposed.transfer_syntax
        if proposed.abstract_syntax not in SERVICES or syntax in TRANSFER_SYNTAXES
    ]
    result = PresentationContext()
    result.context_id = proposed.context_id
    result.abstract_syntax = proposed.abstract_syntax
    result.transfer_syntax = usable[:1] or [*proposed.transfer_syntax[:1]]
    result.result = _ACCEPTED if usable else _NO_TRANSFER_SYNTAX
    return result
