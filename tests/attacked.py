"""A receiver that peers attack, what its process takes, and raw sockets to it."""

from __future__ import annotations

import hashlib
import itertools
import logging
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

import dicomove as dm
from dicomove.dimse.messages import C_ECHO_RQ, C_STORE_RQ
from dicomove.receiver import Limits, Receiver
from dicomove.testing import Synthetic
from dicomove.testing.archive import Instance
from dicomove.testing.associations import storing
from dicomove.testing.raw import pdus
from tests.servers import wait_until

HOST: Final = "127.0.0.1"
#: As `dicomove.testing.raw` calls an SCP.
AE_TITLE: Final = "ANY-SCP"
MIB: Final = 1 << 20
LIMITS: Final = Limits(handshake=1, idle=1, pdu=1, associations=32)
#: How much longer than its limit an end may take on a busy machine. A connection that is not cut never ends.
MARGIN_S: Final = 30.0
SECONDS: Final = 60.0
CT_REQUEST: Final = pdus.associate_request(AE_TITLE, {CTImageStorage: [ImplicitVRLittleEndian]})


def message(command: Mapping[str, int | str], data: bytes | None = None, fragment: int = 16378) -> bytes:
    """Return the PDUs of a message over context 1."""
    full = {"AffectedSOPClassUID": CTImageStorage, "MessageID": 1, **command}
    return b"".join(map(pdus.p_data, pdus.message_pdvs(1, full, data, fragment)))


def data_pdu(data: bytes, *, last: bool) -> bytes:
    return pdus.p_data(pdus.pdv(1, data, command=False, last=last))


def store_request(uid: str, data: bytes = b"") -> bytes:
    """Return a C-STORE-RQ; empty data is announced, and does not come."""
    return message({"CommandField": C_STORE_RQ, "Priority": 0, "AffectedSOPInstanceUID": uid}, data)


ECHO: Final = message({"CommandField": C_ECHO_RQ})


@dataclass(frozen=True)
class Vitals:
    """What a process takes."""

    threads: int
    descriptors: int
    resident: int


def memory(pid: int, name: str) -> int:
    """Return a size from the status of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith(f"{name}:"))


def vitals(pid: int) -> Vitals:
    process = Path(f"/proc/{pid}")
    threads, descriptors = (sum(1 for _ in (process / name).iterdir()) for name in ("task", "fd"))
    return Vitals(threads, descriptors, memory(pid, "VmRSS"))


class Defects(logging.Handler):
    """Remembers what a receiver logs that is no peer's fault."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "a defect in dicomove" in text or record.exc_info:
            self.found.append(text)


@contextmanager
def no_defects() -> Iterator[Defects]:
    """Fail if the receiver logs a defect of its own."""
    handler, logger = Defects(), logging.getLogger("dicomove.receiver")
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
    assert not handler.found, handler.found[0]


_seeds = itertools.count(1000)


def new_images(count: int = 1, size: int = 512) -> list[Instance]:
    """Return images that are not stored yet."""
    return list(Synthetic(studies=1, instances=count, size=size, seed=next(_seeds)).instances_of_all())


@dataclass
class Scp:
    """A receiver, and what it takes when it has nothing to do."""

    receiver: Receiver
    defects: Defects
    folder: Path = field(init=False)
    pid: int = field(init=False)
    rest: Vitals = field(init=False)
    #: The SHA-256 of every data set that it has stored.
    stored: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.folder, self.pid = self.receiver.folder, self.receiver.pid
        for _ in range(3):
            self.serves()
        self.receiver.flush()
        wait_until(lambda: self.vitals() == self.vitals())
        self.rest = self.vitals()

    @property
    def address(self) -> tuple[str, int]:
        return HOST, self.receiver.port

    def vitals(self) -> Vitals:
        return vitals(self.pid)

    def store(self, count: int = 1) -> None:
        """Store images properly over one association, and see that they are there, bit for bit."""
        images = new_images(count)
        with storing(self.address, AE_TITLE, "GOOD", images, ("GOOD", 1)) as send:
            for image in images:
                assert send(image) == 0x0000
        for image in images:
            data = image.read()
            assert self.path_of(image).read_bytes().endswith(data)
            self.stored.add(hashlib.sha256(data).hexdigest())

    def path_of(self, image: Instance) -> Path:
        return self.folder / image.study_instance_uid / image.series_instance_uid / f"{image.sop_instance_uid}.dcm"

    def serves(self) -> None:
        """See that a peer that behaves is served at once."""
        started = time.monotonic()
        self.store()
        assert dm.echo(dm.Pacs(f"{AE_TITLE}@{HOST}:{self.receiver.port}")).status == "0x0000"
        assert time.monotonic() - started < MARGIN_S

    def parts(self) -> list[Path]:
        return list((self.folder / ".dicomove" / "incoming").iterdir())

    def recovers(self, grown: int = 24 * MIB) -> None:
        """See that everything is as before: nothing is left of whoever was there."""
        self.serves()
        self.receiver.flush()

        def is_at_rest() -> bool:
            now = self.vitals()
            return now.threads <= self.rest.threads and now.descriptors <= self.rest.descriptors and not self.parts()

        wait_until(is_at_rest, MARGIN_S)
        assert self.vitals().resident < self.rest.resident + grown
        assert self.receiver.pid == self.pid
        assert not self.defects.found, self.defects.found[0]


@contextmanager
def running(folder: Path, limits: Limits = LIMITS, *, min_free: int = 0) -> Iterator[Scp]:
    """A receiver for everybody."""
    with (
        no_defects() as defects,
        Receiver(
            folder, ae_title=AE_TITLE, port=0, host=HOST, accept="any", limits=limits, min_free=min_free
        ) as receiver,
    ):
        yield Scp(receiver, defects)


def connect(address: tuple[str, int]) -> socket.socket:
    sock = socket.create_connection(address, timeout=SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def associated(stack: ExitStack, address: tuple[str, int]) -> socket.socket:
    """A socket over which an association has been accepted."""
    sock = stack.enter_context(connect(address))
    sock.sendall(CT_REQUEST)
    assert sock.recv(65536)[:1] == b"\x02"
    return sock


def read_to_end(sock: socket.socket) -> bytes:
    """Return what the other side says until it leaves."""
    said = b""
    with suppress(ConnectionError):
        while data := sock.recv(65536):
            said += data
    return said
