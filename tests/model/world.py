"""A PACS in this process, what it was asked and what it answered, and the places to which it sends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory, mkdtemp
from typing import Final, Self

from pydicom import Dataset

import dicomove as dm
from dicomove.dimse.association import Association
from dicomove.dimse.connection import Connection
from dicomove.dimse.data_sets import data_set_offset
from dicomove.dimse.deadlines import Deadlines
from dicomove.dimse.messages import C_CANCEL_RQ, C_FIND_RQ, C_GET_RQ, C_MOVE_RQ, Message, MessageAssembler
from dicomove.dimse.opening import Peer
from dicomove.dimse.pdu import P_DATA, Fragment, read_events
from dicomove.files import SERVICE_FOLDER
from dicomove.outcome import category
from dicomove.testing import Synthetic
from dicomove.testing.archive import Archive, Instance, tolerant
from dicomove.testing.associations import FolderScp, Listener, Service
from dicomove.testing.faults.base import Fault
from dicomove.testing.faults.injector import Injector
from dicomove.testing.server import QueryRetrieveScp, decode_identifier
from tests.model.table import Asked
from tests.model.words import ANNOUNCE_TOO_MUCH, FIELDS, KEYS, MODELS, RECEIVER, SILENT, STORE


@dataclass
class Heard:
    """One request as the PACS heard it, and what it answered."""

    command: int
    query_model: str
    identifier: Mapping[str, object]
    destination: str | None
    message_id: int
    connection: Connection
    responses: list[Message] = field(default_factory=list)
    cancelled: bool = False

    @property
    def asked(self) -> Asked:
        keys = tuple((name, str(self.identifier[name])) for name in KEYS if name in self.identifier)
        return Asked(str(self.identifier.get("QueryRetrieveLevel")), self.query_model, keys)

    @property
    def answers(self) -> list[Message]:
        """The responses that name this request."""
        return [one for one in self.responses if one.number("MessageIDBeingRespondedTo") == self.message_id]

    @property
    def final(self) -> Message | None:
        return next((one for one in self.answers if category(one.number("Status") or 0) != "pending"), None)


class _Overheard(Association):
    """An association on which all that is said about one request is written down."""

    def __init__(self, association: Association, heard: Heard) -> None:
        vars(self).update(vars(association))
        self._heard = heard

    def send(self, message: Message, deadlines: Deadlines) -> None:
        super().send(message, deadlines)
        self._heard.responses.append(message)

    def send_pdu(self, kind: int, data: bytes, deadlines: Deadlines) -> None:
        super().send_pdu(kind, data, deadlines)
        assembler = MessageAssembler(self.contexts)
        for event in read_events(data) if kind == P_DATA else ():
            if isinstance(event, Fragment):
                assembler.take(event)
        if assembler.announced:  # a response whose data set does not follow
            self._heard.responses.append(assembler.announced)

    def receive(
        self,
        deadlines: Deadlines,
        assembler: MessageAssembler | None = None,
        before_reading: Callable[[], None] | None = None,
    ) -> Message:
        message = super().receive(deadlines, assembler, before_reading)
        self._heard.cancelled |= message.number("CommandField") == C_CANCEL_RQ
        return message


#: A run that waits for its PACS asks nothing with its C-ECHO, and a C-CANCEL may come after the end.
_REQUESTS: Final = frozenset({C_FIND_RQ, C_MOVE_RQ, C_GET_RQ})


class _Overhearing:
    """A service whose requests are written down before it answers them."""

    def __init__(self, service: Service, heard: list[Heard]) -> None:
        self._service, self._heard = service, heard
        self._lock = threading.Lock()
        self.busy = 0

    def handle(self, association: Association, peer: Peer, message: Message) -> None:
        heard = _heard(association, message)
        if heard.command in _REQUESTS:
            self._heard.append(heard)
        with self._lock:
            self.busy += 1
        try:
            self._service.handle(_Overheard(association, heard), peer, message)
        finally:
            with self._lock:
                self.busy -= 1


def _heard(association: Association, message: Message) -> Heard:
    identifier: Dataset = decode_identifier(association, message)
    with tolerant():
        keys = {element.keyword: element.value for element in identifier}
    service = association.contexts[message.context_id].abstract_syntax.rpartition(".")[0]
    return Heard(
        command=message.number("CommandField") or 0,
        query_model=MODELS.get(service, service),
        identifier=keys,
        destination=message.text("MoveDestination"),
        message_id=message.number("MessageID") or 0,
        connection=association._connection,
    )


@lru_cache(maxsize=64)
def _archive(holds: Synthetic) -> Archive:
    return Archive(holds.instances_of_all())


#: After so long without an arrival nothing more is expected: a PACS in this process sends at once what it sends.
QUIET_S: Final = 0.3


@dataclass(frozen=True)
class Arrived:
    """A file that has arrived."""

    uid: str
    size: int
    data_set: bytes = field(repr=False)


class SharedReceiver:
    """A receiver for all worlds, since each has a process of its own, and what it had open when it was new."""

    def __init__(self) -> None:
        self.receiver = dm.Receiver(mkdtemp(), ae_title=RECEIVER, port=0, host="127.0.0.1", quiet_period=QUIET_S)
        self.pid = self.receiver.pid
        threads, files = self.opened()
        # SQLite keeps its journal open from the first entry on, and a process that is busy starts its last thread late:
        # what one run in a row leaves behind is seen all the same, a few runs later.
        self.open = threads + 2, files + 3

    def close(self) -> None:
        self.receiver.close()
        rmtree(self.receiver.folder)

    def opened(self) -> tuple[int, int]:
        """Count the threads and the file descriptors of its process, where the system tells."""
        process = Path("/proc", str(self.receiver.pid))
        return sum(1 for _ in process.glob("task/*")), sum(1 for _ in process.glob("fd/*"))

    def is_as_it_was(self) -> bool:
        return all(now <= then for now, then in zip(self.opened(), self.open, strict=True))

    def files(self) -> list[Path]:
        """Return what is outside of quarantine."""
        return [path for path in self.receiver.folder.rglob("*") if path.is_file() and SERVICE_FOLDER not in path.parts]

    def half_written(self) -> list[Path]:
        return list(self.receiver.folder.rglob("*.part"))

    def clear(self) -> None:
        """Remove what has landed, and what was put aside."""
        for path in [*self.files(), *self.receiver.folder.rglob("*.quarantined")]:
            path.unlink()


@lru_cache(maxsize=1)
def shared() -> SharedReceiver:
    return SharedReceiver()


def close_shared_receiver() -> None:
    """End the receiver of all worlds, if there is one."""
    if shared.cache_info().currsize:
        shared().close()
        shared.cache_clear()


class World:
    """A PACS and its Storage SCP, in threads of this process.

    Parameters
    ----------
    holds
        What is in its archive.
    """

    def __init__(self, holds: Synthetic | Archive) -> None:
        self.archive = holds if isinstance(holds, Archive) else _archive(holds)
        self.heard: list[Heard] = []
        self.associations = 0
        self.faults: tuple[Fault, ...] = ()
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        self._storage = self._stack.enter_context(Listener(FolderScp(self._folder)))
        self._pacs = ExitStack()
        self.meets(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pacs.close()
        self._stack.close()

    def meets(self, present: Sequence[Fault], seed: int = 0) -> None:
        """Start the PACS anew, with these faults and no others."""
        self._pacs.close()
        self.faults, self.since = tuple(present), len(self.heard)
        injector = Injector(self.faults, seed)
        destinations = {STORE: ("127.0.0.1", self._storage.port), **shared().receiver.as_destination()}
        self._service = _Overhearing(QueryRetrieveScp("PACS", self.archive, destinations, injector), self.heard)
        self._listener = self._pacs.enter_context(
            Listener(
                self._service,
                gate=self._gate(injector),
                associate=injector.associate,
                max_pdu_length=injector.max_pdu_length,
            )
        )

    def _gate(self, injector: Injector) -> Callable[[int], None]:
        def gate(open_associations: int) -> None:
            self.associations += 1
            injector.enter(open_associations)

        return gate

    def pacs(self) -> dm.Pacs:
        """Return its address, with no more patience than the faults need."""
        names = {fault.name for fault in self.faults}
        patience = 0.8 if names & SILENT else 2.0 if names & ANNOUNCE_TOO_MUCH else 10.0
        return dm.Pacs(
            f"PACS@127.0.0.1:{self._listener.port}",
            connect_timeout=2,
            association_timeout=patience,
            idle_timeout=patience,
            first_response_timeout=patience,
        )

    def instances(self, wanted: Asked) -> list[Instance]:
        """Return what the archive holds of what is asked."""
        named = {name: FIELDS[KEYS.index(name)] for name, _ in wanted.keys}
        return [
            one
            for one in self.archive.instances
            if all(getattr(one, named[name]) == value for name, value in wanted.keys)
        ]

    def arrived(self, into: str) -> list[Arrived]:
        """Return what is in the folder of its Storage SCP, or of the receiver."""
        files = list(self._folder.glob("*.dcm")) if into == STORE else shared().files()
        return [Arrived(path.stem, path.stat().st_size, _data_set(path)) for path in files]

    def forget_arrivals(self) -> None:
        """Empty both folders."""
        for path in self._folder.iterdir():
            path.unlink()
        shared().clear()

    def settle(self) -> None:
        """Wait until the PACS has nothing more to do: it may go on when the client has gone."""
        assert holds_soon(lambda: not self._service.busy, 10), "the PACS does not come to an end"

    def open_connections(self) -> int:
        """Count the connections that the client has not closed."""
        with self._listener._lock:
            return sum(_is_open(client) for client in self._listener._clients)


def _data_set(path: Path) -> bytes:
    return path.read_bytes()[data_set_offset(path) :]


def _is_open(client: socket.socket) -> bool:
    """Whether the other side has not closed a connection; what it sent before that is read away."""
    try:
        while client.recv(4096, socket.MSG_DONTWAIT):
            pass
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def holds_soon(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition, and return whether it came true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True
