"""Who gets in, and what each limit ends: one limit is short in each test, and the others are long."""

from __future__ import annotations

import logging
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian
from pynetdicom.pdu import A_ASSOCIATE_AC

import dicomove as dm
from dicomove.dimse.pdu import P_DATA
from dicomove.dimse.presentation_contexts import VERIFICATION
from dicomove.outcome.advice import remarks_on_refusals
from dicomove.receiver import AskedRow, Limits, RowId, pacs_entry
from dicomove.receiver.admission import NOT_ADMITTED, Admission, network
from dicomove.receiver.lines import Progress
from dicomove.receiver.own_process.server import MAX_PDU_LENGTH
from dicomove.receiver.pacs_entry import addresses
from dicomove.receiver.rows import RowsInFlight
from dicomove.testing.raw import pdus
from tests import receiving
from tests.attacked import (
    AE_TITLE,
    CT_REQUEST,
    ECHO,
    HOST,
    associated,
    connect,
    data_pdu,
    new_images,
    read_to_end,
    running,
    store_request,
    vitals,
)
from tests.servers import wait_until

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a process takes is told by /proc"),
    pytest.mark.timeout(60),
]

LONG_S: Final = 600.0
SHORT_S: Final = 0.5
#: Far from the long limits, also on a slow machine.
MARGIN_S: Final = 20.0
ABORT: Final = 7
SUCCESS: Final = struct.pack("<HHIH", 0, 0x0900, 2, 0x0000)


def limits(*, handshake: float = LONG_S, idle: float = LONG_S, pdu: float = LONG_S, associations: int = 32) -> Limits:
    return Limits(handshake=handshake, idle=idle, pdu=pdu, associations=associations)


def is_served(sock: socket.socket) -> bool:
    """Whether a C-ECHO over it is answered; else it was aborted, or is gone."""
    with suppress(ConnectionError):
        sock.sendall(ECHO)
        return sock.recv(65536)[:1] == bytes([P_DATA])
    return False


def is_ended(sock: socket.socket) -> bool:
    """Whether the receiver has ended a connection; what is there to read stays there."""
    sock.setblocking(False)
    try:
        said = sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    finally:
        sock.settimeout(MARGIN_S)
    return said in (b"", bytes([ABORT]))


# ------------------------------------------------------------------------------------------------- by address


def admission(*allow: str, rows: Mapping[RowId, Sequence[str]] | None = None) -> Admission:
    made = Admission(map(network, allow))
    for row, awaited in (rows or {}).items():
        made.open(row, awaited)
    return made


FIRST: Final = RowId(1, 0)
SECOND: Final = RowId(1, 1)
OF_THE_ELEVENTH_RUN: Final = RowId(11, 0)


OWN: Final = "192.0.2.1"


@pytest.mark.parametrize(
    ("awaited", "peer", "own", "admitted"),
    [
        ("192.0.2.7", "192.0.2.7", OWN, True),
        ("192.0.2.7", "192.0.2.70", OWN, False),
        ("192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.1", True),
        ("192.0.2.7", "::ffff:192.0.2.8", "::ffff:192.0.2.1", False),
        ("2001:db8::7", "2001:DB8:0::7", "2001:db8::1", True),
        ("fe80::7%eth0", "fe80::7%eth1", "fe80::1", True),
        ("fe80::7", "fe80::8%eth0", "fe80::1", False),
        # A PACS on this machine has all of its addresses, and one elsewhere has none of them.
        ("127.0.0.1", "127.0.0.9", "127.0.0.1", True),
        ("127.0.0.1", "::1", "::1", True),
        ("127.0.0.1", OWN, OWN, True),
        ("127.0.0.1", "192.0.2.2", OWN, False),
        ("192.0.2.7", "127.0.0.1", "127.0.0.1", False),
        ("192.0.2.7", OWN, OWN, False),
    ],
)
def test_an_address_of_a_row_in_flight(awaited: str, peer: str, own: str, *, admitted: bool) -> None:
    made = admission(rows={FIRST: [awaited]})
    assert made.admits(peer, own) is admitted


@pytest.mark.parametrize(
    ("allow", "peer", "admitted"),
    [
        ("10.1.0.0/16", "10.1.255.255", True),
        ("10.1.0.0/16", "10.2.0.0", False),
        ("10.1.2.3/16", "10.1.9.9", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("10.0.0.0/8", "::ffff:10.9.9.9", True),
        ("2001:db8::/32", "2001:db8:1::1", True),
        ("2001:db8::/32", "10.0.0.1", False),
        ("0.0.0.0/0", "203.0.113.1", True),
        ("0.0.0.0/0", "2001:db8::1", False),
    ],
)
def test_an_address_that_is_allowed(allow: str, peer: str, *, admitted: bool) -> None:
    assert admission(allow).admits(peer, OWN) is admitted


def test_each_row_lets_in_its_own_pacs() -> None:
    made = admission(rows={FIRST: ["192.0.2.7", "192.0.2.8"], SECOND: ["192.0.2.8", "192.0.2.9"]})
    made.close(FIRST, linger=0)
    assert [made.admits(f"192.0.2.{number}", OWN) for number in (7, 8, 9)] == [False, True, True]
    made.close(SECOND, linger=LONG_S)
    made.close(SECOND, linger=0)  # it is closed already
    assert [made.admits(f"192.0.2.{number}", OWN) for number in (7, 8, 9)] == [False, True, True]


def test_refusals_are_counted_until_they_are_told() -> None:
    made = admission()
    for address in ("::ffff:192.0.2.7", "192.0.2.7", "fe80::8%eth0"):
        made.refuse(address, "address", NOT_ADMITTED)
    assert {one.address: count for one, count in made.refused()} == {"192.0.2.7": 2, "fe80::8": 1}
    assert made.refused() == []


def test_a_peer_that_says_something_else_each_time_takes_no_memory() -> None:
    made = admission()
    for number in range(10_000):
        made.refuse("192.0.2.7", "ae_title", f"it called {number}" + "x" * 1000, str(number))
    refused = made.refused()
    assert sum(count for _, count in refused) == 10_000
    assert len(refused) < 300
    assert max(len(one.reason) for one, _ in refused) <= 300


def test_peers_from_ever_new_addresses_take_no_memory_in_the_notebook() -> None:
    rows = RowsInFlight()
    for number in range(100):
        told = [((f"10.0.{number}.{last}", f"AE{number}", "address", NOT_ADMITTED), 1) for last in range(200)]
        rows.take(Progress([], told, 0))
    refused = rows.refusals()
    assert sum(refused.values()) == 20_000
    assert len(refused) < 3000
    assert len(remarks_on_refusals(refused)[0]) < 500


def test_a_run_that_ends_takes_its_rows_only() -> None:
    made = admission(rows={FIRST: ["192.0.2.7"], OF_THE_ELEVENTH_RUN: ["192.0.2.8"]})
    made.end(1)
    assert [made.admits(f"192.0.2.{number}", OWN) for number in (7, 8)] == [False, True]


def test_a_plain_storage_admits_the_addresses_that_are_named(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, ae_title=AE_TITLE, accept="any", allow=["192.0.2.0/24"]) as receiver:
        with ExitStack() as stack:
            sock = stack.enter_context(connect((HOST, receiver.port)))
            sock.sendall(CT_REQUEST)
            assert read_to_end(sock) == b""
        wait_until(lambda: receiving.refused(receiver) == {HOST: 1}, MARGIN_S)
    with (
        receiving.receiver(tmp_path, ae_title=AE_TITLE, accept="any", allow=[HOST]) as receiver,
        ExitStack() as stack,
    ):
        assert is_served(associated(stack, (HOST, receiver.port)))


def test_strangers_take_nothing_and_are_told_nothing(tmp_path: Path) -> None:
    """Whatever they say, also while a PACS is let in: nobody reads it, and nobody waits for them."""
    sayings = [b"", b"\x01", CT_REQUEST, CT_REQUEST + store_request("1.2.3", b"12"), bytes(1 << 18)]
    with receiving.receiver(tmp_path, ae_title=AE_TITLE, allow="127.0.0.1", limits=limits()) as receiver:
        with ExitStack() as stack:
            friend = associated(stack, (HOST, receiver.port))
            before = vitals(receiver.pid)
            strangers = [stack.enter_context(stranger(receiver.port, saying)) for saying in sayings * 40]
            assert {read_to_end(each) for each in strangers} == {b""}  # and they have not left yet
            wait_until(lambda: receiving.refused(receiver) == {"127.0.0.2": len(strangers)}, MARGIN_S)
            wait_until(lambda: vitals(receiver.pid).threads <= before.threads, MARGIN_S)
            wait_until(lambda: vitals(receiver.pid).descriptors <= before.descriptors, MARGIN_S)
            assert is_served(friend)
        assert receiver.manifest().empty


@pytest.mark.parametrize("peer", ["192.0.2.7", "::ffff:192.0.2.7"])
@pytest.mark.parametrize("allowed", ["192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.0/120"])
def test_an_ipv4_address_may_be_named_in_its_ipv6_form(allowed: str, peer: str) -> None:
    assert Admission([network(allowed)]).admits(peer, OWN)
    assert not Admission([network(allowed)]).admits("192.0.3.7", OWN)


def test_an_ipv6_network_stays_one() -> None:
    assert str(network("2001:db8::/32")) == "2001:db8::/32"
    assert str(network("::/0")) == "::/0"


def test_a_pacs_that_moves_to_another_address_is_found_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the name service is not the real one."""
    there = ["192.0.2.7"]

    def resolved(*_: object, **__: object) -> list[tuple[object, ...]]:
        if not there:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in there]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    assert addresses("pacs.example") == ["192.0.2.7"]
    there[:] = ["192.0.2.8"]
    assert addresses("pacs.example") == ["192.0.2.7"]  # not for each row anew
    monkeypatch.setattr(pacs_entry, "_LOOK_UP_AGAIN_S", 0)
    assert addresses("pacs.example") == ["192.0.2.8"]
    there.clear()
    assert addresses("pacs.example") == ["192.0.2.8"]


@contextmanager
def stranger(port: int, saying: bytes) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, port), MARGIN_S, ("127.0.0.2", 0)) as sock:
        with suppress(ConnectionError):
            sock.sendall(saying)
        yield sock


def test_a_pacs_of_which_only_the_name_is_known_is_let_in_by_every_address(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, ae_title=AE_TITLE, limits=limits()) as receiver, ExitStack() as stack:
        run = receiver.runs.begin_run()
        row = stack.enter_context(
            receiver.runs.row(AskedRow(RowId(run, 0), {"StudyInstanceUID": "1.2.3"}, "localhost"))
        )
        assert is_served(associated(stack, (HOST, receiver.port)))
        unknown = stack.enter_context(
            receiver.runs.row(AskedRow(RowId(run, 1), {"StudyInstanceUID": "1.2.4"}, "no-such-host.invalid"))
        )
        assert addresses("no-such-host.invalid") == []
        for each in (row, unknown):
            each.await_arrivals(0)
        receiver.runs.end_run(run)


# ------------------------------------------------------------------------------------------------- by AE title


@pytest.mark.parametrize(
    ("called", "accepted"),
    [
        (AE_TITLE, True),
        (f" {AE_TITLE}", True),
        (AE_TITLE.ljust(16, "\0"), True),
        (f"{AE_TITLE}\0x", True),
        (f"{AE_TITLE}2", False),
        (AE_TITLE[:-1], False),
        ("", False),
        ("\0" * 16, False),
    ],
)
def test_the_called_ae_title(called: str, *, accepted: bool, tmp_path: Path) -> None:
    """Spaces around it are not significant (PS3.8 9.3.2), nor is padding with NUL; another one is rejected at once."""
    with running(tmp_path, limits()) as scp, connect(scp.address) as sock:
        sock.sendall(CT_REQUEST[:10] + called.encode().ljust(16) + CT_REQUEST[26:])
        if accepted:
            assert sock.recv(65536)[:1] == b"\x02"
        else:
            assert read_to_end(sock) == pdus.reject_pdu(1, 1, 7)


# ------------------------------------------------------------------------------------------------- by time


def test_the_time_of_a_handshake(tmp_path: Path) -> None:
    """Whoever has not finished it has to leave, however it fills the time; who has may be silent."""
    with running(tmp_path, limits(handshake=SHORT_S)) as scp, ExitStack() as stack:
        friend = associated(stack, scp.address)
        silent, half, dripping = (stack.enter_context(connect(scp.address)) for _ in range(3))
        half.sendall(CT_REQUEST[:100])
        rest = iter(CT_REQUEST)

        def has_left() -> bool:
            with suppress(ConnectionError):
                dripping.sendall(bytes([next(rest)]))
            return is_ended(dripping)

        wait_until(has_left, MARGIN_S)
        for each in (silent, half):
            wait_until(lambda each=each: is_ended(each), MARGIN_S)  # type: ignore[misc]  # a lambda's default has no type
        assert is_served(friend)


def test_the_age_of_an_idle_association(tmp_path: Path) -> None:
    """It counts from its last message: one that is used outlives many that are not."""
    with running(tmp_path, limits(idle=SHORT_S)) as scp, ExitStack() as stack:
        used = associated(stack, scp.address)
        for _ in range(3):
            idle = associated(stack, scp.address)
            assert is_served(idle)
            wait_until(lambda: is_served(used) and is_ended(idle), MARGIN_S)  # noqa: B023 (it is over in this turn)
            assert read_to_end(idle)[:1] == bytes([ABORT])
        assert is_served(used)


def test_the_time_of_a_pdu(tmp_path: Path) -> None:
    """Half a PDU is not idle, and not for long; between PDUs a data set may wait."""
    with running(tmp_path, limits(pdu=SHORT_S)) as scp, ExitStack() as stack:
        patient, half = (associated(stack, scp.address) for _ in range(2))
        (image,) = new_images()
        data = image.read()
        patient.sendall(store_request(image.sop_instance_uid) + data_pdu(data[:100], last=False))
        half.sendall(store_request("1.2.3") + data_pdu(bytes(100), last=False)[:50])
        wait_until(lambda: is_ended(half), MARGIN_S)
        patient.sendall(data_pdu(data[100:], last=True))
        assert SUCCESS in patient.recv(65536)


# ------------------------------------------------------------------------------------------------- by number


@contextmanager
def with_places(folder: Path, count: int) -> Iterator[tuple[str, int]]:
    """The address of a receiver for so many peers, of which nobody else has had one."""
    with receiving.receiver(folder, ae_title=AE_TITLE, accept="any", limits=limits(associations=count)) as receiver:
        yield HOST, receiver.port


def test_one_too_many_takes_the_place_of_the_one_that_has_been_idle_for_the_longest_time(tmp_path: Path) -> None:
    with with_places(tmp_path, 3) as address, ExitStack() as stack:
        first, second, third = (associated(stack, address) for _ in range(3))
        for each in (first, second, third, first):
            assert is_served(each)
        fourth = associated(stack, address)
        wait_until(lambda: is_ended(second), MARGIN_S)
        assert [is_served(each) for each in (first, third, fourth)] == [True] * 3


def test_connections_without_a_request_are_closed_first(tmp_path: Path) -> None:
    with with_places(tmp_path, 2) as address, ExitStack() as stack:
        served = associated(stack, address)
        assert is_served(served)
        silent = associated(stack, address)  # younger than the other
        newcomer = associated(stack, address)
        wait_until(lambda: is_ended(silent), MARGIN_S)
        assert is_served(served)
        assert is_served(newcomer)


def test_connections_in_the_middle_of_a_message_are_not_closed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As long as it goes on: who comes then is closed, and the log says why."""
    with with_places(tmp_path, 2) as address, ExitStack() as stack:
        caplog.set_level(logging.INFO, "dicomove.receiver")
        sent = {uid: identified(uid) + pdus.element(0x7FE0, 0x0010, bytes(20_000)) for uid in ("1.2.3", "1.2.4")}
        busy = [(associated(stack, address), data) for data in sent.values()]
        for (sock, _), uid in zip(busy, sent, strict=True):
            sock.sendall(store_request(uid))
        for start in range(0, 20_000, 1000):
            for sock, data in busy:
                sock.sendall(data_pdu(data[start : start + 1000], last=False))
            wait_until(lambda start=start: received(tmp_path) > 2 * (start + 1000), MARGIN_S)  # type: ignore[misc]  # likewise
            with connect(address) as newcomer:
                assert read_to_end(newcomer) == b""
        for sock, data in busy:
            sock.sendall(data_pdu(data[20_000:], last=True))
            assert SUCCESS in sock.recv(65536)
        assert f"a connection from {HOST} was closed: all associations that there may be are busy" in caplog.messages
        wait_until(lambda: dm.echo(dm.Pacs(f"{AE_TITLE}@{HOST}:{address[1]}")).status == "0x0000", MARGIN_S)


def identified(uid: str) -> bytes:
    """Return the first elements of a data set."""
    sop_class, instance = f"{CTImageStorage}\0".encode(), f"{uid}\0".encode()
    return pdus.element(0x0008, 0x0016, sop_class) + pdus.element(0x0008, 0x0018, instance)


def received(folder: Path) -> int:
    """Bytes of what is half-written."""
    return sum(path.stat().st_size for path in (folder / ".dicomove" / "incoming").iterdir())


# ------------------------------------------------------------------------------------------------- by length


def test_the_length_of_a_pdu(tmp_path: Path) -> None:
    """What we say, what is forgiven, and what cannot be meant: that is ended before the rest of it comes."""
    with running(tmp_path, limits()) as scp, ExitStack() as stack:
        sock = stack.enter_context(connect(scp.address))
        sock.sendall(CT_REQUEST)
        answer = A_ASSOCIATE_AC()
        answer.decode(sock.recv(65536))
        assert answer.user_information is not None
        assert answer.user_information.maximum_length == MAX_PDU_LENGTH
        for size in (MAX_PDU_LENGTH - 6, MAX_PDU_LENGTH - 5, (1 << 24) - 6):
            sock.sendall(store_request("1.2.3") + data_pdu(bytes(size), last=True))
            assert SUCCESS in sock.recv(65536)  # in quarantine
        started = time.monotonic()
        sock.sendall(store_request("1.2.3") + pdus.header(P_DATA, (1 << 24) + 1) + bytes(100))
        assert read_to_end(sock)[:1] in (b"", bytes([ABORT]))
        assert time.monotonic() - started < MARGIN_S
        scp.serves()


def test_a_peer_that_may_not_store_stores_nothing_over_a_context_for_echo(tmp_path: Path) -> None:
    request = pdus.associate_request(AE_TITLE, {VERIFICATION: [ImplicitVRLittleEndian]})
    with receiving.receiver(tmp_path, ae_title=AE_TITLE) as receiver:
        with socket.create_connection((HOST, receiver.port), MARGIN_S, ("127.0.0.2", 0)) as sock:
            sock.sendall(request)
            assert sock.recv(65536)[:1] == b"\x02"
            sock.sendall(store_request("1.2.3", b"12"))
            assert (0x0124).to_bytes(2, "little") in sock.recv(65536)
            assert is_served(sock)
        assert receiver.manifest().empty
        assert receiver.unrequested == 0
