"""The other side of an association: the answer to A-ASSOCIATE-RQ (PS3.8 7.1), and a listener."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from dicomove.dimse.association import (
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    SHORTEST_PDU,
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
from dicomove.testing.faults.base import Abort, Close, Die, Reject, Vanish

GET: Final = {"PatientRoot": "1.2.840.10008.5.1.4.1.2.1.3", "StudyRoot": "1.2.840.10008.5.1.4.1.2.2.3"}

_ACCEPTED, _NO_TRANSFER_SYNTAX = 0, 4
_HANDSHAKE_S: Final = 30.0
_IDLE_S: Final = 600.0
#: SO_LINGER with no time: the connection ends with a RST.
_RESET: Final = struct.pack("ii", 1, 0)

logger = logging.getLogger("dicomove.testing")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asked for the association."""

    calling_ae_title: str
    called_ae_title: str


class Service(Protocol):
    """What a listener does with the messages of an association."""

    def handle(self, association: Association, peer: Peer, message: Message) -> None:
        """Answer one request."""


class Listener:
    """Accepts associations on 127.0.0.1, each in a thread of its own.

    Parameters
    ----------
    service
        Answers the requests.
    port
        0 lets the system pick one.
    gate
        Is told how many associations there are when one more is asked for, and may raise what a fault may.
    max_pdu_length
        The longest PDU that it receives; 0 is no limit.
    """

    def __init__(
        self,
        service: Service,
        port: int = 0,
        *,
        gate: Callable[[int], None] = lambda _: None,
        max_pdu_length: int = 0,
    ) -> None:
        self._service, self._gate, self._max_pdu_length = service, gate, max_pdu_length
        self._socket = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()
        self._associations = 0

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        self._stop()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._listen, name="dicomove-listener", daemon=True)
        self._thread.start()

    def _stop(self) -> None:
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
        with self._lock:
            self._clients.add(client)
        try:
            self._converse(Connection(client))
        except Close as order:
            if order.reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except Vanish:
            self._closed.wait()
        except Die as order:
            self._die(order)
        except (AssociationError, OSError) as error:
            logger.info("association ended: %s", error)
        finally:
            with self._lock:
                self._clients.discard(client)
            client.close()

    def _converse(self, connection: Connection) -> None:
        association, peer = accept(connection, self._enter, self._max_pdu_length)
        try:
            while True:
                idle = Limit(_IDLE_S, IdleTimeout, "waiting for a request")
                self._service.handle(association, peer, association.receive(Watch(idle)))
        except Abort:
            association.abort()
        finally:
            with self._lock:
                self._associations -= 1

    def _enter(self) -> None:
        with self._lock:
            self._gate(self._associations)
            self._associations += 1

    def _die(self, order: Die) -> None:
        """End everything at once, and come back at the same port."""
        self._stop()
        with self._lock:
            for client in self._clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
        if order.back_after_s is not None and not self._closed.wait(order.back_after_s):
            self._socket = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self._start()


def accept(connection: Connection, enter: Callable[[], None], max_pdu_length: int) -> tuple[Association, Peer]:
    """Read A-ASSOCIATE-RQ and accept every abstract syntax of it, unless `enter` raises."""
    watch = Watch(Limit(_HANDSHAKE_S, AssociationTimeout, "A-ASSOCIATE"))
    request = _read_request(connection, watch)
    if 0 < (request.maximum_length_received or 0) < SHORTEST_PDU:
        message = "an A-ASSOCIATE-RQ for PDUs that hold nothing"
        raise InvalidResponse(message)
    peer = Peer(request.calling_ae_title or "", request.called_ae_title or "")
    results = [_result(proposed) for proposed in request.presentation_context_definition_list]
    answer = associate_primitive(peer.called_ae_title, peer.calling_ae_title, max_pdu_length)
    answer.result, answer.presentation_context_definition_results_list = 0, results
    answer.user_information = [*answer.user_information, *_roles(request)]
    try:
        enter()
    except Reject as order:
        pdu = struct.pack(">BxIxBBB", ASSOCIATE_RJ, 4, order.result, order.source, order.reason)
        connection.send(pdu, watch)
        raise Close from order
    except Abort as order:
        Association(connection, {}, 0).abort()
        raise Close from order
    connection.send(A_ASSOCIATE_AC(answer).encode(), watch)
    return Association(connection, _contexts(results), request.maximum_length_received or 0), peer


def _read_request(connection: Connection, watch: Watch) -> A_ASSOCIATE:
    kind, body = read_pdu(connection, watch)
    if kind != ASSOCIATE_RQ:
        refuse_pdu(kind, body)
    request = A_ASSOCIATE_RQ()
    try:
        request.decode(struct.pack(">BxI", kind, len(body)) + body)
        return request.to_primitive()
    except Exception as error:  # the codec raises whatever the peer's bytes make it raise
        message = "an A-ASSOCIATE-RQ that cannot be decoded"
        raise InvalidResponse(message) from error


def _roles(request: A_ASSOCIATE) -> Iterator[SCP_SCU_RoleSelectionNegotiation]:
    """Accept the roles that are proposed: for C-GET the client is the SCP of storage (PS3.7 D.3.3.4)."""
    for item in request.user_information:
        if isinstance(item, SCP_SCU_RoleSelectionNegotiation):
            yield item


def _contexts(results: Iterable[PresentationContext]) -> dict[int, Context]:
    return {
        number: Context(number, str(result.abstract_syntax), str(result.transfer_syntax[0]))
        for result in results
        if result.result == _ACCEPTED and (number := result.context_id) is not None
    }


def _result(proposed: PresentationContext) -> PresentationContext:
    """Accept a context: a service in a syntax that we can decode, anything else is storage in whatever syntax comes."""
    service = proposed.abstract_syntax in SERVICES or proposed.abstract_syntax in GET.values()
    usable: list[str | bytes | UID] = [
        syntax for syntax in proposed.transfer_syntax if not service or syntax in TRANSFER_SYNTAXES
    ]
    result = PresentationContext()
    result.context_id = proposed.context_id
    result.abstract_syntax = proposed.abstract_syntax
    result.transfer_syntax = usable[:1] or [*proposed.transfer_syntax[:1]]
    result.result = _ACCEPTED if usable else _NO_TRANSFER_SYNTAX
    return result
