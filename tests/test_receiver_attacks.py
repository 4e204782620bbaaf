"""Peers that misbehave: each loses its own connection, within its time, and nobody else notices.

``DICOMOVE_BIG_INSTANCE_MIB=2048`` is how big the instance is that must not show in the receiver's memory.
"""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import pandas as pd
import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage
from pynetdicom.pdu import A_ASSOCIATE_AC

import dicomove as dm
from dicomove.dimse.association import Association
from dicomove.dimse.connection import Connection
from dicomove.dimse.data_sets import data_set_offset
from dicomove.dimse.deadlines import Deadline, Deadlines
from dicomove.dimse.messages import C_CANCEL_RQ, C_ECHO_RQ, C_FIND_RQ, C_STORE_RQ, RESPONSE, Command, Message
from dicomove.dimse.pdu import P_DATA
from dicomove.errors import IdleTimeout
from dicomove.receiver import Limits, Receiver
from dicomove.testing.archive import Instance
from dicomove.testing.associations import storing
from dicomove.testing.raw import Associate, Drip, FinishSending, Send, Step, StopReading, pdus
from tests import receiving
from tests.attacked import (
    AE_TITLE,
    CT_REQUEST,
    ECHO,
    HOST,
    LIMITS,
    MARGIN_S,
    MIB,
    SECONDS,
    Scp,
    associated,
    connect,
    data_pdu,
    memory,
    message,
    new_images,
    no_defects,
    read_to_end,
    running,
    store_request,
    vitals,
)
from tests.attacks import ATTACKS, Attack, attack
from tests.servers import wait_until

pytestmark = [
    pytest.mark.xdist_group("quiet"),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a process takes is told by /proc"),
]

#: Peers that go by themselves.
LEAVES: Final = {"port-scan", "resets", "resets-in-the-middle"}

ASSOCIATE: Final = Associate(CTImageStorage, ImplicitVRLittleEndian)


#: What `ATTACKS` has not, since it is about what a receiver does with it.
MORE: Final = {
    "drip-of-a-header": Attack(
        "The header of a PDU, a byte at a time.", ((ASSOCIATE, Drip(pdus.header(P_DATA, 9), interval_s=0.4)),)
    ),
    "drip-of-a-data-set": Attack(
        "A data set, a byte at a time.",
        ((ASSOCIATE, Send(store_request("1.2.3")), Drip(data_pdu(bytes(4000), last=True), interval_s=0.02)),),
    ),
    "drip-of-a-short-pdu": Attack(
        "A release, a byte at a time.", ((ASSOCIATE, Drip(pdus.RELEASE_REQUEST, interval_s=0.3)),)
    ),
    "long-uids": Attack(
        "UIDs of 60000 characters.",
        (
            (ASSOCIATE, Send(store_request("1" * 60000, b"12")), FinishSending()),
            (
                ASSOCIATE,
                Send(message({"CommandField": C_STORE_RQ, "AffectedSOPClassUID": "2" * 60000}, b"12")),
                FinishSending(),
            ),
        ),
    ),
    "odd-text": Attack(
        "UIDs that are no text.",
        tuple(
            (ASSOCIATE, Send(store_request("1.2.3", b"12").replace(b"1.2.3\0", odd)), FinishSending())
            for odd in (b"\xff" * 6, b"\0" * 6, b"../../", b"/tmp/\xe9", b"a\nb\rc\t", b"\xed\xa0\x80\xed\xb0\x80")
        ),
    ),
}


def looks_again(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Let whoever is deaf see what became of its connection, once it must have lost it: it would never know."""
    return tuple(StopReading(LIMITS.idle + LIMITS.pdu + 1) if isinstance(step, StopReading) else step for step in steps)


_ATTACKS: Final = {
    name: Attack(one.about, tuple(looks_again(steps) for steps in one.sessions)) for name, one in ATTACKS.items()
}
EVERY: Final = {**_ATTACKS, **MORE}


@pytest.fixture(scope="module")
def scp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scp]:
    with running(tmp_path_factory.mktemp("attacked")) as made:
        yield made
        assert set(dm.verify(made.folder)["verified"]) == {"ok"}


def deadlines() -> Deadlines:
    return Deadlines(Deadline(SECONDS, IdleTimeout, "a test"))


@contextmanager
def association(address: tuple[str, int]) -> Iterator[Association]:
    connection = Connection.open(*address, SECONDS)
    try:
        yield Association.request(
            connection,
            called_ae_title=AE_TITLE,
            calling_ae_title="GOOD",
            max_pdu_length=16384,
            proposed=[(CTImageStorage, [ImplicitVRLittleEndian])],
            deadlines=deadlines(),
        )
    finally:
        connection.close()


# ------------------------------------------------------------------------------------------------- one attack each


@pytest.mark.parametrize("name", EVERY)
def test_an_attack_does_not_affect_other_peers(name: str, scp: Scp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ATTACKS, name, EVERY[name])
    with ThreadPoolExecutor(1) as pool:
        attacking = pool.submit(attack, name, *scp.address, AE_TITLE, seconds=SECONDS)
        scp.store(3)
        result = attacking.result()
    assert result.ended == ("left" if name in LEAVES else "closed")
    assert result.seconds < LIMITS.idle + LIMITS.pdu + MARGIN_S
    scp.recovers()


def test_all_attacks_at_once(scp: Scp, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, one in _ATTACKS.items():
        monkeypatch.setitem(ATTACKS, name, one)
    with ThreadPoolExecutor(len(_ATTACKS)) as pool:
        attacking = [pool.submit(attack, name, *scp.address, AE_TITLE, seconds=SECONDS) for name in _ATTACKS]
        scp.store()
        assert "timeout" not in {each.result().ended for each in attacking}
    scp.recovers()


def test_silence_at_every_stage(scp: Scp) -> None:
    """Whatever a peer has said, then it is silent: in the midst of a header, a command, a data set, or between."""
    image = new_images()[0]
    session = CT_REQUEST + store_request(image.sop_instance_uid, bytes(64)) + store_request("1.2", b"") + bytes(3)
    starts = [0, 1, 6, 7, 74, len(CT_REQUEST) - 1]
    stages = [*starts, *range(len(CT_REQUEST), len(session), 40), len(session)]
    started = time.monotonic()
    with ExitStack() as stack:
        peers = [stack.enter_context(connect(scp.address)) for _ in stages]
        for peer, stage in zip(peers, stages, strict=True):
            peer.sendall(session[:stage])
        scp.store(3)
        for peer in peers:
            read_to_end(peer)
        assert time.monotonic() - started < LIMITS.idle + LIMITS.pdu + MARGIN_S
    assert len(peers) < LIMITS.associations  # none had to leave for another
    scp.recovers()


@pytest.mark.parametrize("end", ["abort", "release", "FIN", "RST", "silence", "second request", "command"])
def test_nothing_is_left_of_half_a_data_set(end: str, scp: Scp) -> None:
    image = new_images(size=200_000)[0]
    half = image.read()[:100_000]
    with ExitStack() as stack:
        sock = associated(stack, scp.address)
        sock.sendall(store_request(image.sop_instance_uid) + data_pdu(half, last=False))
        wait_until(lambda: len(scp.parts()) == 1)
        if end == "RST":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if end in ("RST", "FIN"):
            sock.close()
        said = {
            "abort": pdus.abort(0),
            "release": pdus.RELEASE_REQUEST,
            "second request": CT_REQUEST,
            "command": store_request("1.2.3", b"12"),
        }
        if end in said:
            sock.sendall(said[end])
        wait_until(lambda: not scp.parts())
    assert not list(scp.folder.rglob(f"*{image.sop_instance_uid}*"))
    scp.recovers()


# ------------------------------------------------------------------------------------------------- answers unread

_ESTABLISHED, _TIME_WAIT, _LISTEN = 1, 6, 10


def hard_of_hearing(stack: ExitStack, address: tuple[str, int]) -> socket.socket:
    """A socket in which next to nothing has room that nobody has read, over which an association was accepted."""
    sock = stack.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(SECONDS)
    sock.connect(address)
    sock.sendall(CT_REQUEST)
    assert sock.recv(65536)[:1] == b"\x02"
    return sock


def closing(port: int) -> int:
    """How many connections at a port the system still has to end, although nobody has them any more."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    states = [int(row[3], 16) for row in rows if int(row[1].rpartition(":")[2], 16) == port]
    return sum(1 for state in states if state not in (_ESTABLISHED, _TIME_WAIT, _LISTEN))


@pytest.mark.parametrize("requests", [500, 16384])
def test_a_peer_that_does_not_read_is_reset(requests: int, scp: Scp) -> None:
    """Also if the system would take all answers: then it is the next request that does not come."""
    with ExitStack() as stack:
        sock = hard_of_hearing(stack, scp.address)
        started = time.monotonic()
        with suppress(ConnectionError):
            sock.sendall(ECHO * requests)
        lost = select.poll()
        lost.register(sock, 0)  # a RST is told unasked; what could be read is not
        assert lost.poll((LIMITS.idle + LIMITS.pdu + MARGIN_S) * 1000)
        assert time.monotonic() - started < LIMITS.idle + LIMITS.pdu + MARGIN_S
        assert closing(scp.receiver.port) == 0
        scp.recovers()


def test_unread_bytes_are_discarded_with_the_connection(scp: Scp) -> None:
    """A peer that ends the association by a mistake of its own, and leaves answers unread."""
    with ExitStack() as stack:
        for _ in range(8):
            hard_of_hearing(stack, scp.address).sendall(ECHO * 500 + CT_REQUEST)
        wait_until(lambda: scp.vitals().threads <= scp.rest.threads, MARGIN_S)
        wait_until(lambda: closing(scp.receiver.port) == 0, LIMITS.pdu + MARGIN_S)
        scp.recovers()


def test_a_peer_that_reads_late_gets_every_answer(scp: Scp) -> None:
    """Also one that has said that it will send nothing more."""
    with ExitStack() as stack:
        sock = hard_of_hearing(stack, scp.address)
        sock.sendall(ECHO * 500)
        sock.shutdown(socket.SHUT_WR)
        wait_until(lambda: closing(scp.receiver.port) == 1, MARGIN_S)  # it has nobody any more
        said = read_to_end(sock)
        assert said.count(struct.pack("<HHIH", 0, 0x0900, 2, 0x0000)) == 500
    scp.recovers()


# ------------------------------------------------------------------------------------------------- many at a time


def test_port_scan(scp: Scp) -> None:
    with ThreadPoolExecutor(1) as pool:
        storing_meanwhile = pool.submit(scp.store, 20)
        for _ in range(1000):
            connect(scp.address).close()
        storing_meanwhile.result()
    scp.recovers()


def test_the_number_of_associations_does_not_show_in_memory(tmp_path: Path) -> None:
    with running(tmp_path) as scp:
        for _ in range(1000):
            with connect(scp.address) as sock:
                sock.sendall(CT_REQUEST + ECHO + pdus.RELEASE_REQUEST)
                assert read_to_end(sock).endswith(pdus.RELEASE_ANSWER)
        scp.recovers(10 * MIB)


def test_port_scan_while_no_row_is_in_flight(tmp_path: Path) -> None:
    with no_defects(), Receiver(tmp_path, ae_title=AE_TITLE, port=0, host=HOST, limits=LIMITS) as receiver:
        receiver.flush()  # who answers has started all of its threads
        before = vitals(receiver.pid)
        for number in range(1000):
            with connect((HOST, receiver.port)) as sock, suppress(ConnectionError):
                if number % 10 == 0:
                    sock.sendall(CT_REQUEST)
                    assert read_to_end(sock) == b""
        wait_until(lambda: receiving.refused(receiver) == {HOST: 1000})
        wait_until(lambda: vitals(receiver.pid).threads <= before.threads, MARGIN_S)
        wait_until(lambda: vitals(receiver.pid).descriptors <= before.descriptors, MARGIN_S)
        assert receiver.unrequested == 0


def test_hundreds_of_half_headers_do_not_end_an_association_that_is_used(scp: Scp) -> None:
    images = new_images(6)
    with ExitStack() as stack:
        send = stack.enter_context(storing(scp.address, AE_TITLE, "GOOD", images, ("GOOD", 1)))
        for image in images:
            assert send(image) == 0x0000
            for _ in range(2 * LIMITS.associations):
                stack.enter_context(connect(scp.address)).sendall(b"\x01\0\0")
        scp.store()  # and another one comes in
        assert len(images) * 2 * LIMITS.associations > 300
    scp.recovers()


def test_stalled_data_sets_do_not_keep_other_peers_out(tmp_path: Path) -> None:
    """Also where the limits are long: who takes the last place in the midst of a message has to go on with it."""
    with running(tmp_path, Limits(handshake=60, idle=60, pdu=60, associations=8)) as scp, ExitStack() as stack:
        for _ in range(8):
            associated(stack, scp.address).sendall(store_request("1.2.3") + data_pdu(bytes(64), last=False))
        wait_until(lambda: len(scp.parts()) == 8)

        def is_served() -> bool:
            with suppress(dm.errors.AssociationError):
                scp.store()
                return True
            return False

        wait_until(is_served, 10)
        stack.close()
        scp.recovers()


# ------------------------------------------------------------------------------------------------- what is answered


def test_a_context_that_proposes_nothing_is_refused_and_the_others_serve(scp: Scp) -> None:
    request = pdus.associate_request(AE_TITLE, {"1.2.3.4": [], MRImageStorage: [ExplicitVRLittleEndian], "": ["1.2"]})
    with connect(scp.address) as sock:
        sock.sendall(request)
        answer = A_ASSOCIATE_AC()
        answer.decode(sock.recv(65536))
    assert [(item.context_id, item.result) for item in answer.presentation_context] == [(1, 4), (3, 0), (5, 4)]
    scp.recovers()


def test_128_contexts(scp: Scp) -> None:
    contexts = {f"1.2.840.{number}": [f"1.3.{number}.{syntax}" for syntax in range(60)] for number in range(128)}
    with connect(scp.address) as sock:
        sock.sendall(pdus.associate_request(AE_TITLE, contexts))
        said = b""
        while len(said) < 6 or len(said) < 6 + int.from_bytes(said[2:6]):
            said += sock.recv(65536)
        answer = A_ASSOCIATE_AC()
        answer.decode(said)
        accepted = {item.context_id: str(item.transfer_syntax) for item in answer.presentation_context}
        assert accepted == {2 * number + 1: f"1.3.{number}.0" for number in range(128)}
        assert {item.result for item in answer.presentation_context} == {0}
        sock.sendall(pdus.RELEASE_REQUEST)
        assert read_to_end(sock) == pdus.RELEASE_ANSWER
    scp.recovers()


@pytest.mark.parametrize(
    ("command", "data", "status"),
    [
        ({"CommandField": C_STORE_RQ, "AffectedSOPInstanceUID": "1.2.3"}, None, 0xC000),
        ({"CommandField": C_FIND_RQ}, b"12345678", 0x0211),
        ({"CommandField": 0x7123}, None, 0x0211),
        ({}, None, 0x0211),
        ({"CommandField": C_ECHO_RQ}, b"a data set where none belongs", 0x0000),
        ({"CommandField": C_STORE_RQ | RESPONSE}, None, None),
        ({"CommandField": C_STORE_RQ | RESPONSE}, b"12", None),
        ({"CommandField": C_CANCEL_RQ, "MessageIDBeingRespondedTo": 1}, None, None),
    ],
)
def test_an_association_outlives_an_odd_message(
    command: Mapping[str, int | str], data: bytes | None, status: int | None, scp: Scp
) -> None:
    with association(scp.address) as made:
        odd: Command = {"AffectedSOPClassUID": CTImageStorage, "MessageID": 6, **command}
        made.send(Message(1, odd, data), deadlines())
        if status is not None:
            answer = made.receive(deadlines())
            assert (answer.number("Status"), answer.number("MessageIDBeingRespondedTo")) == (status, 6)
        made.send(Message(1, {"CommandField": C_ECHO_RQ, "MessageID": 7}), deadlines())
        answer = made.receive(deadlines())
        assert (answer.number("Status"), answer.number("MessageIDBeingRespondedTo")) == (0, 7)
        made.release(SECONDS)


@pytest.mark.parametrize(("sop_class", "uid"), [(MRImageStorage, "1.2.77"), (MRImageStorage, ""), ("", "")])
def test_a_file_has_the_sop_class_of_its_data_set_and_a_uid(sop_class: str, uid: str, scp: Scp) -> None:
    """The C-STORE names another SOP class, or nothing. The fragments of the data set do not change the file."""
    of_data_set = uid or f"1.2.78{len(sop_class)}"
    uids = {
        (0x0008, 0x0016): CTImageStorage,
        (0x0008, 0x0018): of_data_set,
        (0x0020, 0x000D): "1.2",
        (0x0020, 0x000E): "1.3",
    }
    values = [pdus.element(*tag, value.encode() + b"\0" * (len(value) % 2)) for tag, value in uids.items()]
    data = pdus.element(0x0008, 0x0008, b"x" * 600) + b"".join(values)
    for longest in (1 << 14, 7):
        with association(scp.address) as made:
            made.establish(made.contexts, longest)
            named: Command = {"AffectedSOPClassUID": sop_class, "AffectedSOPInstanceUID": uid}
            made.send(Message(1, {"CommandField": C_STORE_RQ, "MessageID": 1, **named}, data), deadlines())
            assert made.receive(deadlines()).number("Status") == 0x0000
            made.release(SECONDS)
    manifest = scp.receiver.manifest()
    (row,) = manifest[manifest["SOPInstanceUID"] == of_data_set].to_dict("records")
    assert pd.isna(row["quarantine"])
    meta = dcmread(Path(scp.receiver.folder) / str(row["path"])).file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (CTImageStorage, of_data_set)


@pytest.mark.parametrize("uid", ["", "1.2.3"])
def test_an_instance_without_a_uid_is_safe_in_quarantine(uid: str, scp: Scp) -> None:
    """And answered with Success: some PACS drop the rest of a study when one is refused."""
    data = pdus.element(0x0008, 0x0060, b"CT")
    with association(scp.address) as made:
        made.send(
            Message(1, {"CommandField": C_STORE_RQ, "MessageID": 1, "AffectedSOPInstanceUID": uid}, data), deadlines()
        )
        assert made.receive(deadlines()).number("Status") == 0x0000
        made.release(SECONDS)
    manifest = scp.receiver.manifest().fillna({"SOPInstanceUID": "", "quarantine": ""}).sort_values("received_at")
    *_, entry = (each for each in manifest.itertuples() if each.SOPInstanceUID == uid)
    assert str(entry.quarantine).startswith("damaged: no StudyInstanceUID")
    assert (scp.folder / str(entry.path)).read_bytes().endswith(data)


# ------------------------------------------------------------------------------------------------- without an end


def pixels(instance: Instance) -> bytes:
    """The data set of an image, up to where its pixels begin."""
    data = instance.read()
    return data[: data.rindex(struct.pack("<HH2sH", 0x7FE0, 0x0010, b"OW", 0))]


def send_image(sock: socket.socket, image: Instance, pdu: bytes, count: Callable[[], bool]) -> None:
    sock.sendall(store_request(image.sop_instance_uid))
    while count():
        sock.sendall(pdu)


def test_an_instance_without_end_stops_at_min_free(tmp_path: Path) -> None:
    """The disk is not filled, and the association learns at its end that nothing was stored."""
    folder = tmp_path / "disk"
    with (
        receiving.disk(folder, 128 * MIB) as free,
        running(folder, min_free=free - 64 * MIB) as scp,
        ExitStack() as stack,
    ):
        sock = associated(stack, scp.address)
        send_image(sock, new_images()[0], data_pdu(bytes(MIB), last=False), iter([True] * 128 + [False]).__next__)
        assert not scp.parts()
        sock.sendall(data_pdu(b"", last=True))
        answer = sock.recv(65536)
        assert struct.pack("<HHIH", 0, 0x0900, 2, 0xA700) in answer
        stack.close()
        shutil.rmtree(scp.folder / ".dicomove" / "incoming")  # nobody minds: it is empty
        (scp.folder / ".dicomove" / "incoming").mkdir()
        assert set(dm.verify(scp.folder)["verified"]) == {"ok"}


def test_the_size_of_an_instance_does_not_show_in_memory(tmp_path: Path) -> None:
    size = int(os.environ.get("DICOMOVE_BIG_INSTANCE_MIB", "320")) * MIB
    image = new_images()[0]
    head = pixels(image) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, size)
    chunk = os.urandom(MIB // 8)
    digest = hashlib.sha256(head)
    with running(tmp_path) as scp, ExitStack() as stack:
        sock = stack.enter_context(connect(scp.address))
        sock.sendall(pdus.associate_request(AE_TITLE, {CTImageStorage: [ExplicitVRLittleEndian]}))
        assert sock.recv(65536)[:1] == b"\x02"
        sock.sendall(store_request(image.sop_instance_uid) + data_pdu(head, last=False))
        pdu = data_pdu(chunk, last=False)
        for _ in range(size // len(chunk)):
            sock.sendall(pdu)
            digest.update(chunk)
        sock.sendall(data_pdu(b"", last=True))
        assert struct.pack("<HHIH", 0, 0x0900, 2, 0x0000) in sock.recv(65536)
        stack.close()
        path = scp.path_of(image)
        written = hashlib.sha256()
        with path.open("rb") as file:
            file.seek(data_set_offset(path))
            while block := file.read(MIB):
                written.update(block)
        assert written.hexdigest() == digest.hexdigest()
        scp.recovers()
        assert set(dm.verify(scp.folder)["verified"]) == {"ok"}
        assert memory(scp.pid, "VmHWM") < 100 * MIB
        path.unlink()
