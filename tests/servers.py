"""Orthanc and DCMTK's programs, started for a test on ports that the system picks, and stopped after it.

And a few peers that live in the test's own process: a relay that counts connections, a storage that can be held, and
sockets that misbehave.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from pydicom import FileDataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomove import Pacs
from dicomove.dimse.association import Association
from dicomove.dimse.data_sets import data_set_offset, decode, file_head
from dicomove.dimse.deadlines import Deadline, Deadlines
from dicomove.dimse.messages import RESPONSE, Message
from dicomove.dimse.opening import Peer
from dicomove.errors import IdleTimeout
from dicomove.testing.archive import Archive, Instance
from dicomove.testing.associations import Listener, Service
from dicomove.testing.server import QueryRetrieveScp

DESTINATION = "DESTINATION"
CT_ONLY = "CT_ONLY"
DOWN = "DOWN"
GATE = "GATE"
SINK = "SINK"
COMMANDS = {0x0020: "C-FIND", 0x0021: "C-MOVE", 0x0030: "C-ECHO", 0x0FFF: "C-CANCEL"}
UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)


def free_port() -> int:
    """A port for a program that cannot pick one itself.

    It is below those that the system gives to others, such as a connection of a test that runs at the same time.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


@contextmanager
def dead_port() -> Iterator[int]:
    """A port that refuses every connection, and that nobody else gets."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield int(sock.getsockname()[1])


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.02)


def answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def associations(pacs: Pacs) -> int:
    """The connections that this process has to a PACS."""
    connected = psutil.Process().net_connections("tcp4")
    return sum(one.raddr == (pacs.host, pacs.port) and one.status == psutil.CONN_ESTABLISHED for one in connected)


def program(name: str) -> str:
    """The path of a program; without it a test is skipped, but never in CI."""
    path = shutil.which(name)
    if path is None and not os.environ.get("CI"):
        pytest.skip(f"{name} is not installed")
    assert path, f"{name} is not installed"
    return path


@contextmanager
def running(command: list[str], port: int, cwd: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program, from when it answers at its port; its children end with it."""
    log = cwd / f"{Path(command[0]).name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    try:
        wait_until(lambda: answers(port) or process.poll() is not None)
        assert process.poll() is None, log.read_text(errors="replace")
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@dataclass(frozen=True)
class Held:
    """One instance, and whose it is."""

    path: Path
    patient: str
    study: str
    series: str
    instance: str
    sop_class: str
    transfer_syntax: str

    def data_set(self) -> bytes:
        """The data set as it stands in the file, bit for bit."""
        return self.path.read_bytes()[data_set_offset(self.path) :]


def held(folder: Path) -> list[Held]:
    """Every DICOM file below a folder."""
    tags = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"]
    files = [(path, dcmread(path, specific_tags=tags)) for path in sorted(folder.rglob("*")) if path.is_file()]
    return [_held(path, [str(header.get(tag, "")) for tag in tags], header) for path, header in files]


def _held(path: Path, values: list[str], header: FileDataset) -> Held:
    patient, study, series, instance, sop_class = values
    return Held(path, patient, study, series, instance, sop_class, str(header.file_meta.TransferSyntaxUID))


def write(instances: Iterable[Instance], folder: Path) -> Path:
    """Write instances of an archive as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for instance in instances:
        head = file_head(instance.sop_class_uid, instance.sop_instance_uid, instance.transfer_syntax)
        (folder / f"{instance.sop_instance_uid}.dcm").write_bytes(head + instance.read())
    return folder


@dataclass(frozen=True)
class Store:
    """A running storescp and its folder."""

    port: int
    folder: Path

    def received(self) -> int:
        return sum(1 for _ in self.folder.iterdir())

    def held(self) -> list[Held]:
        return held(self.folder)

    def clear(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()


@contextmanager
def storescp(folder: Path, ae_title: str = DESTINATION, accept: tuple[str, ...] = ("+xa",)) -> Iterator[Store]:
    """DCMTK's storescp, bit-preserving, accepting every transfer syntax, and without the wait for delayed ACKs."""
    port = free_port()
    images = folder / "received"
    images.mkdir(parents=True)
    command = [program("storescp"), "--fork", "+B", *accept, "-aet", ae_title, "-od", str(images), str(port)]
    with running(command, port, folder, TCP_NODELAY="1"):
        yield Store(port, images)


def ct_only(folder: Path) -> tuple[str, ...]:
    """The options of a storescp that accepts CT Image Storage and nothing else."""
    path = folder / "ct_only.cfg"
    path.write_text(
        "[[TransferSyntaxes]]\n[Plain]\nTransferSyntax1 = LittleEndianExplicit\n"
        f"[[PresentationContexts]]\n[CT]\nPresentationContext1 = {CTImageStorage}\\Plain\n"
        "[[Profiles]]\n[Only]\nPresentationContexts = CT\n"
    )
    return ("-xf", str(path), "Only")


@dataclass(frozen=True)
class Orthanc:
    dicom_port: int
    http_port: int

    def request(self, method: str, path: str, body: bytes | None = None) -> object:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=30)
        try:
            connection.request(method, path, body, {"Authorization": "Basic " + base64.b64encode(b"a:a").decode()})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status < 300, text
            return json.loads(text or b"null")
        finally:
            connection.close()


@contextmanager
def orthanc(folder: Path, images: Path, modalities: Mapping[str, int], **options: object) -> Iterator[Orthanc]:
    """Orthanc, holding every file below `images`, and knowing the modalities by AE title -> port."""
    server = Orthanc(free_port(), free_port())
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
        "HttpPort": server.http_port,
        "DicomPort": server.dicom_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        # As `Receiver.orthanc_modality` says: Orthanc 1.12 converts images otherwise.
        "DicomModalities": {
            aet: {"AET": aet, "Host": "127.0.0.1", "Port": port, "AllowTranscoding": False}
            for aet, port in modalities.items()
        },
        **options,
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration))
    command = [program("Orthanc"), str(path)]
    with running(command, server.http_port, folder, TCP_NODELAY="1"):
        wait_until(lambda: answers(server.dicom_port))
        for image in sorted(images.rglob("*.dcm")):
            server.request("POST", "/instances", image.read_bytes())
        yield server


@contextmanager
def dcmqrscp(
    folder: Path,
    images: Path,
    modalities: Mapping[str, int | tuple[str, int]],
    peers: str = "ANY",
    *,
    options: Sequence[str] = (),
    syntaxes: Collection[str] = UNCOMPRESSED,
) -> Iterator[int]:
    """DCMTK's dcmqrscp, holding the files below `images` of these transfer syntaxes; its port.

    By default they are uncompressed, which are those that it moves.
    """
    port = free_port()
    storage = folder / "database"
    storage.mkdir(parents=True)
    plain = [one for one in held(images) if one.transfer_syntax in syntaxes]
    for one in plain:
        shutil.copy(one.path, storage / f"{one.instance}.dcm")
    entries = [(aet, *(to if isinstance(to, tuple) else ("127.0.0.1", to))) for aet, to in modalities.items()]
    hosts = "\n".join(f"h{n} = ({aet}, {host}, {number})" for n, (aet, host, number) in enumerate(entries))
    path = folder / "dcmqrscp.cfg"
    path.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\n{hosts}\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nDCMQRSCP {storage} RW (200, 1024mb) {peers}\nAETable END\n"
    )
    index = [program("dcmqridx"), str(storage), *map(str, sorted(storage.glob("*.dcm")))]
    subprocess.run(index, check=True, capture_output=True)
    with running([program("dcmqrscp"), *options, "-c", str(path)], port, folder, TCP_NODELAY="1"):
        yield port


@contextmanager
def qrscp(folder: Path) -> Iterator[int]:
    """Pynetdicom's qrscp, empty, and without any destination; its port."""
    port = free_port()
    path = folder / "qrscp.ini"
    path.write_text(
        f"[DEFAULT]\nae_title: QRSCP\nport: {port}\nmax_pdu: 131072\nacse_timeout: 30\ndimse_timeout: 30\n"
        f"network_timeout: 30\nbind_address: 127.0.0.1\ninstance_location: {folder / 'instances'}\n"
        f"database_location: {folder / 'instances.sqlite'}\n"
    )
    with running([sys.executable, "-m", "pynetdicom", "qrscp", "-c", str(path)], port, folder):
        yield port


@dataclass(frozen=True)
class Server:
    """A running PACS, and what it holds."""

    name: str
    pacs: Pacs
    holds: tuple[Held, ...]

    def __str__(self) -> str:
        return self.name

    def instances(self, **of: str) -> set[str]:
        """The SOP Instance UIDs of a patient, a study or a series."""
        return {one.instance for one in self.holds if all(getattr(one, name) == uid for name, uid in of.items())}


class Sink:
    """A storage that keeps nothing but the UIDs."""

    def __init__(self) -> None:
        self.instances: list[str] = []

    def handle(self, association: Association, peer: Peer, message: Message) -> None:
        assert peer.called_ae_title == SINK
        self.instances.append(message.text("AffectedSOPInstanceUID") or "")
        respond(association, message, 0x0000)


class Recorder(QueryRetrieveScp):
    """A PACS by the book in the test's own process, that remembers what it was asked."""

    def __init__(self, archive: Archive, destinations: Mapping[str, tuple[str, int]]) -> None:
        super().__init__("TEST_PACS", archive, destinations)
        self.requests: list[tuple[str, dict[str, str]]] = []

    def handle(self, association: Association, peer: Peer, message: Message) -> None:
        with disable_value_validation():
            found = decode(message.data or b"", association.contexts[message.context_id].transfer_syntax)
            keys = {element.keyword: str(element.value or "") for element in found}
        self.requests.append((COMMANDS[message.number("CommandField") or 0], keys))
        super().handle(association, peer, message)

    def asked(self, command: str) -> list[dict[str, str]]:
        """The identifiers of all requests of a kind."""
        return [keys for name, keys in self.requests if name == command]


@dataclass(frozen=True)
class Here:
    """A PACS in the test's own process, and its only destination, SINK."""

    pacs: Pacs
    recorder: Recorder
    sink: Sink


@contextmanager
def here(archive: Archive, **options: object) -> Iterator[Here]:
    """Serve an archive, which may have its whims."""
    sink = Sink()
    with Listener(sink) as storage:
        recorder = Recorder(archive, {SINK: ("127.0.0.1", storage.port)})
        with served(recorder, **options) as pacs:
            yield Here(pacs, recorder, sink)


class Gate:
    """A storage that lets so many instances in, and holds the next until more may come."""

    def __init__(self) -> None:
        self._seats = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._pace_s = 0.0
        self.waiting = 0
        self.instances: list[str] = []

    def let(self, count: int = 1000, pace_s: float = 0) -> None:
        """Let so many in, no faster than that: slow enough for a C-CANCEL to come in time."""
        self._pace_s = pace_s
        self._seats.release(count)

    def let_slowly(self) -> None:
        self.let(pace_s=0.03)

    def close(self) -> None:
        """Free who still waits, and begin anew."""
        self.let()
        wait_until(lambda: self.waiting == 0)
        self._seats, self.instances = threading.Semaphore(0), []

    def handle(self, association: Association, peer: Peer, message: Message) -> None:
        assert peer.called_ae_title == GATE
        with self._lock:
            self.waiting += 1
        seated = self._seats.acquire(timeout=30)
        with self._lock:
            self.waiting -= 1
            self.instances.append(message.text("AffectedSOPInstanceUID") or "")
        assert seated
        time.sleep(self._pace_s)
        respond(association, message, 0x0000)


def respond(
    association: Association,
    request: Message,
    status: int,
    more: Mapping[str, int | str] | None = None,
    data: bytes | None = None,
) -> None:
    """Send one response to a request; `more` are elements of its command set."""
    command = {
        "AffectedSOPClassUID": request.text("AffectedSOPClassUID") or "",
        "CommandField": (request.number("CommandField") or 0) | RESPONSE,
        "MessageIDBeingRespondedTo": request.number("MessageID") or 0,
        "Status": status,
        **(more or {}),
    }
    deadlines = Deadlines(Deadline(30, IdleTimeout, "sending"))
    association.send(Message(request.context_id, command, data), deadlines)


def counts(remaining: int | None, completed: int, failed: int = 0, warning: int = 0) -> dict[str, int | str]:
    """The counts of sub-operations as elements of a command set."""
    named = {"Remaining": remaining, "Completed": completed, "Failed": failed, "Warning": warning}
    return {f"NumberOf{name}Suboperations": count for name, count in named.items() if count is not None}


@contextmanager
def served(service: Service, **options: object) -> Iterator[Pacs]:
    """A service of `dicomove.testing` in this process, as a PACS."""
    with Listener(service) as listener:
        yield Pacs(f"TEST_PACS@127.0.0.1:{listener.port}", **options)  # type: ignore[arg-type]


class Relay:
    """Forwards to a port, and knows who came."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self.port = 0
        self.connections = 0

    def cut(self) -> None:
        """Break every connection."""
        with self._lock:
            for sock in self._sockets:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def forward(self, client: socket.socket) -> None:
        with socket.create_connection(self._target) as upstream:
            with self._lock:
                self.connections += 1
                self._sockets |= {client, upstream}
            for sock in (client, upstream):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_pump, args=(upstream, client), daemon=True)
            back.start()
            _pump(client, upstream)
            back.join()
            with self._lock:
                self._sockets -= {client, upstream}


@contextmanager
def relay(target: int | tuple[str, int], at: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[Relay]:
    """A port that forwards to another."""
    made = Relay(target if isinstance(target, tuple) else ("127.0.0.1", target))
    with listening(made.forward, at) as made.port:
        try:
            yield made
        finally:
            made.cut()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for sock in (source, sink):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def listening(talk: Callable[[socket.socket], object], at: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[int]:
    """A port at which each connection is talked to by a function, in a thread; the socket is closed after it."""
    threads: list[threading.Thread] = []

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            talk(client)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                threads.append(threading.Thread(target=serve, args=(client,), daemon=True))
                threads[-1].start()

    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(at, backlog=64))
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *threads):
                thread.join(10)


@dataclass
class ConnectionCounter:
    """An address where connections are counted and closed."""

    pacs: Pacs
    connections: int = 0


@contextmanager
def counting() -> Iterator[ConnectionCounter]:
    """An address at which nothing is to be sent."""

    def count(_: socket.socket) -> None:
        made.connections += 1

    with listening(count) as port:
        made = ConnectionCounter(Pacs(f"127.0.0.1:{port}"))
        yield made


@contextmanager
def at_log(text: str, act: Callable[[], object]) -> Iterator[None]:
    """Act, once, when the log of the protocol says so."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if text in record.getMessage():
                logger.removeHandler(self)
                act()

    logger = logging.getLogger("dicomove.dimse")
    handler, level = Handler(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextmanager
def full_port() -> Iterator[int]:
    """A port that answers no SYN, since its queue is full: connecting takes for ever."""
    with socket.socket() as server, ExitStack() as waiting:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield int(server.getsockname()[1])
