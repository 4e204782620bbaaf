"""The associations of a PACS, with the faults of this stage (PS3.8 7.1), and C-STORE over them.

A listener accepts those of clients. For a C-MOVE, the PACS opens one to the destination; one destination is its own
Storage SCP.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, Protocol, Self

from pydicom.uid import UID

from dicomove.dimse.associate import AssociateRequest
from dicomove.dimse.association import Association
from dicomove.dimse.connection import Connection, reset
from dicomove.dimse.data_sets import file_head
from dicomove.dimse.deadlines import Deadline, Deadlines
from dicomove.dimse.messages import C_CANCEL_RQ, C_STORE_RQ, MEDIUM, Message, respond
from dicomove.dimse.opening import Peer, read_proposal
from dicomove.dimse.pdu import ASSOCIATE_AC, ASSOCIATE_RQ, RELEASE_RQ, pdu
from dicomove.dimse.state import Role
from dicomove.errors import AssociationError, AssociationTimeout, IdleTimeout, InvalidResponse
from dicomove.files import replacing
from dicomove.testing.archive import Instance
from dicomove.testing.faults.base import Abort, Close, Die, Reject, Release, SendBytes, Vanish
from dicomove.tls import TLS, Wrap, client_side

_HANDSHAKE_S: Final = 30.0
_IDLE_S: Final = 600.0
_RELEASE_S: Final = 2.0
_SILENCE_S: Final = 60.0
_BACKLOG: Final = 128
_MOST_CONTEXTS: Final = 128
SUCCESS: Final = 0x0000
_NO_CONTEXT: Final = 0x0122

#: Returns the bytes to send in place of an A-ASSOCIATE-AC to a request, or in place of an A-ASSOCIATE-RQ.
Associate = Callable[[AssociateRequest | None, bytes], bytes]
#: The AE title and the Message ID of the C-MOVE that a C-STORE belongs to (PS3.7 9.1.1.1).
Originator = tuple[str, int]
Store = Callable[[Instance], int]

logger = logging.getLogger("dicomove.testing")


class Service(Protocol):
    """Answers the messages of the associations of a listener."""

    def handle(self, association: Association, peer: Peer, message: Message) -> None:
        """Answer one request."""


class Listener:
    """Accepts associations on 127.0.0.1, each in a separate thread.

    Parameters
    ----------
    service
        Answers the requests.
    port
        The port; 0 lets the system choose one.
    gate
        The listener calls it with the number of open associations before it accepts one more. It may raise the orders
        of `Fault.on_association`.
    associate
        Returns the bytes to send in place of an A-ASSOCIATE-AC.
    max_pdu_length
        The longest PDU that the listener receives; 0 is no limit.
    wrap
        Turns a socket into a TLS socket, if the listener speaks TLS.
    """

    def __init__(
        self,
        service: Service,
        port: int = 0,
        *,
        gate: Callable[[int], None] = lambda _: None,
        associate: Associate = lambda _, sent: sent,
        max_pdu_length: int = 0,
        wrap: Wrap | None = None,
    ) -> None:
        self._wrap, self._associate = wrap, associate
        self._service, self._gate, self._max_pdu_length = service, gate, max_pdu_length
        self._socket = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
        self.port: int = self._socket.getsockname()[1]
        self._closed = threading.Event()
        self._lock, self._ending = threading.Lock(), threading.Lock()
        self._dead = False
        self._clients: set[socket.socket] = set()
        self._associations = 0

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        with self._ending:
            self._stop()

    def _start(self) -> None:
        thread = threading.Thread(target=self._listen, name="dicomove-listener", daemon=True)
        thread.start()
        self._thread = thread  # only now: `_stop` waits for a thread that has begun

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
            self._run(self._connection(client))
        except Close as order:
            if order.reset:
                reset(client)
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

    def _connection(self, client: socket.socket) -> ChangingConnection:
        connection = ChangingConnection(client)
        if self._wrap:
            connection.secure(self._wrap, Deadlines(Deadline(_HANDSHAKE_S, AssociationTimeout, "the TLS handshake")))
        return connection

    def _run(self, connection: ChangingConnection) -> None:
        association, peer = accept(connection, self._enter, self._max_pdu_length, self._associate)
        try:
            while True:
                idle = Deadline(_IDLE_S, IdleTimeout, "waiting for a request")
                self._service.handle(association, peer, association.receive(Deadlines(idle)))
        except Abort:
            association.abort()
        except Release:
            ending = Deadlines(Deadline(_RELEASE_S, IdleTimeout, "A-RELEASE"))
            association.send_pdu(RELEASE_RQ, pdu(RELEASE_RQ), ending)
            association.release(_RELEASE_S)
        finally:
            with self._lock:
                self._associations -= 1

    def _enter(self) -> None:
        with self._lock:
            self._gate(self._associations)
            self._associations += 1

    def _die(self, order: Die) -> None:
        """End the listener and all connections at once, and listen again at the same port later."""
        with self._ending:
            if self._dead or self._closed.is_set():
                return  # another association was first
            self._dead = True
            self._stop()
            with self._lock:
                for client in self._clients:
                    with contextlib.suppress(OSError):
                        client.shutdown(socket.SHUT_RDWR)
            if order.back_after_s is None:
                return
            self._socket = _bound(self.port)
        self._closed.wait(order.back_after_s)
        with self._ending:
            if not self._closed.is_set():
                self._socket.listen(_BACKLOG)
                self._dead = False
                self._start()


def _bound(port: int) -> socket.socket:
    """Return a socket that refuses connections until it listens, and keeps its port from other programs."""
    bound = socket.socket()
    # The connections that have just ended also use this port.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


class ChangingConnection(Connection):
    """A connection that changes the A-ASSOCIATE-AC and A-ASSOCIATE-RQ that it sends.

    Attributes
    ----------
    change
        Returns the bytes to send in place of them.
    """

    change: Callable[[bytes], bytes] | None = None

    def send(self, data: bytes, deadlines: Deadlines) -> None:
        """Send everything."""
        is_negotiation = data[0] in (ASSOCIATE_RQ, ASSOCIATE_AC)
        super().send(self.change(data) if self.change and is_negotiation else data, deadlines)


def accept(
    connection: ChangingConnection, enter: Callable[[], None], max_pdu_length: int, associate: Associate
) -> tuple[Association, Peer]:
    """Read A-ASSOCIATE-RQ and accept every abstract syntax of it, unless `enter` raises."""
    deadlines = Deadlines(Deadline(_HANDSHAKE_S, AssociationTimeout, "A-ASSOCIATE"))
    association = Association(connection, Role.ACCEPTOR, is_strict=False)
    proposal = read_proposal(association, deadlines)
    try:
        enter()
    except Reject as order:
        proposal.reject(order.result, order.source, order.reason, deadlines)
        raise Close from order
    except Abort as order:
        association.abort()
        raise Close from order
    except SendBytes as order:
        connection.send(order.data, deadlines)
        raise Close from order
    connection.change = partial(associate, proposal.request)
    proposal.accept(max_pdu_length, deadlines)
    return association, proposal.peer


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
        return _NO_CONTEXT
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


class FolderScp:
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


def _deadlines() -> Deadlines:
    return Deadlines(Deadline(_SILENCE_S, IdleTimeout, "C-STORE"))
