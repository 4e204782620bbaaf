"""Connections: the first address that answers, options of the socket, deadlines, and TLS on both sides."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import dicomove as dm
from dicomove.dimse import reusable_association
from dicomove.dimse.association import Association
from dicomove.dimse.connection import AddressInfo, Connection, first_connected
from dicomove.dimse.deadlines import Deadline, Deadlines
from dicomove.dimse.messages import C_ECHO_RQ, Command, Message, respond
from dicomove.dimse.opening import read_proposal
from dicomove.dimse.presentation_contexts import VERIFICATION
from dicomove.dimse.state import Role, State
from dicomove.errors import ConnectionLost, IdleTimeout, TlsFailed
from dicomove.testing.raw import Accept, ReadRequest, Respond, ScriptedPeer, Step
from tests import servers
from tests.servers import wait_until

pytestmark = pytest.mark.timeout(60)

ECHO: Command = {"AffectedSOPClassUID": VERIFICATION, "CommandField": C_ECHO_RQ, "MessageID": 1}


def deadlines(seconds: float = 20) -> Deadlines:
    return Deadlines(Deadline(seconds, IdleTimeout, "the test"))


def read_all(connection: Connection) -> None:
    while True:
        connection.receive(memoryview(bytearray(1 << 20)), deadlines())


def answer_all(association: Association) -> None:
    while True:
        association.send(respond(association.receive(deadlines()), 0), deadlines())


@contextmanager
def pair() -> Iterator[tuple[Connection, Connection]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        one = Connection.open(host, port, 5)
        accepted, _ = server.accept()
        two = Connection(accepted)
        try:
            yield one, two
        finally:
            one.close()
            two.close()


def test_small_writes_leave_at_once_from_both_sides() -> None:
    """Without it, each small response waits for an acknowledgement that the other system delays by 40 ms."""
    with pair() as connections:
        for connection in connections:
            assert connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_bytes_that_have_come_are_read_without_waiting() -> None:
    with pair() as (one, two):
        view = memoryview(bytearray(8))
        assert one.receive_now(view) is None
        two.send(b"abc", deadlines())
        wait_until(lambda: one.receive_now(view) == 3)
        assert bytes(view[:3]) == b"abc"
        two.close()
        wait_until(lambda: one.receive_now(view) == 0)
        with pytest.raises(ConnectionLost):
            one.receive(view, deadlines())


def test_a_deadline_holds_and_a_check_ends_a_wait() -> None:
    with pair() as (one, _):
        started = time.monotonic()
        with pytest.raises(IdleTimeout, match=r"the test: nothing within 0\.2 s"):
            one.receive(memoryview(bytearray(1)), deadlines(0.2))
        assert 0.15 < time.monotonic() - started < 5
        turns = iter(range(3))

        def check() -> None:
            if next(turns) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            one.receive(memoryview(bytearray(1)), Deadlines(check=check))


def test_output_that_the_peer_does_not_read_is_seen() -> None:
    with pair() as (one, two):
        assert not one.has_unread_output()
        with pytest.raises(IdleTimeout):
            one.send(bytes(1 << 26), deadlines(0.2))
        assert one.has_unread_output()
        one.reset()
        with pytest.raises(ConnectionLost):
            read_all(two)


def test_an_association_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall forgets it without a word, and a request over it would go nowhere."""
    assert reusable_association._LONGEST_IDLE_S < 30, "after 30 s Orthanc closes an idle association"
    monkeypatch.setattr(reusable_association, "_LONGEST_IDLE_S", 0.2)
    answer: list[Step] = [ReadRequest(), Respond(completed=1)]
    answers: list[Step] = [Accept(), *answer, *answer, *answer]
    with ScriptedPeer(answers) as peer, dm.MoveScu(dm.Pacs(peer.address, association_timeout=1)) as scu:
        for pause_s, connections in ((0, 1), (0, 1), (0.3, 2)):
            time.sleep(pause_s)
            assert scu.move_study({"StudyInstanceUID": "1.2.3"}, "ANYWHERE").outcome == "complete"
            assert peer.connections == connections


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The TLS contexts of a client and of a server."""
    folder: Path = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", certificate, *names], check=True, capture_output=True)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    return ssl.create_default_context(cafile=str(certificate)), server


def test_an_association_over_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """Quiet is quiet, although TLS 1.3 itself sends something after the handshake."""
    client, server = contexts
    ended: list[State] = []

    def serve(connection: Connection) -> None:
        connection.secure(
            lambda sock: server.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), deadlines()
        )
        association = Association(connection, Role.ACCEPTOR)
        read_proposal(association, deadlines()).accept(16384, deadlines())
        with pytest.raises(ConnectionLost, match="released"):
            answer_all(association)
        ended.append(association.state)

    with pair() as (one, two):
        thread = threading.Thread(target=serve, args=(two,), daemon=True)
        thread.start()
        one.secure(
            lambda sock: client.wrap_socket(sock, server_hostname="localhost", do_handshake_on_connect=False),
            deadlines(),
        )
        association = Association.request(
            one,
            called_ae_title="CALLED",
            calling_ae_title="CALLING",
            max_pdu_length=16384,
            proposed=[(VERIFICATION, ["1.2.840.10008.1.2"])],
            deadlines=deadlines(),
        )
        for _ in range(2):
            assert association.is_quiet()
            association.send(Message(1, ECHO), deadlines())
            states = [association.state]
            assert association.receive(deadlines()).number("Status") == 0
            assert [*states, association.state] == [State.REQUESTED, State.IDLE]
        association.send(Message(1, ECHO), deadlines())
        wait_until(lambda: not association.is_quiet())
        assert association.receive(deadlines()).number("Status") == 0
        association.release(5)
        thread.join(10)
    assert (association.state, ended) == (State.RELEASED, [State.RELEASED])


@contextmanager
def secured_pair(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[tuple[Connection, ssl.SSLSocket]]:
    """A connection with TLS, and the socket of its peer."""
    client, server = contexts
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        host, port = listener.getsockname()
        connection = Connection.open(host, port, 5)
        accepted, _ = listener.accept()
        peer = pool.submit(server.wrap_socket, accepted, server_side=True)
        connection.secure(
            lambda sock: client.wrap_socket(sock, server_hostname="localhost", do_handshake_on_connect=False),
            deadlines(),
        )
        with peer.result() as sock:
            yield connection, sock
        connection.close()


def unread(connection: Connection) -> int:
    """How many bytes have come that were not read; those of TLS itself are among them."""
    return len(socket.socket.recv(connection._socket, 1 << 20, socket.MSG_PEEK))


def test_all_records_that_have_come_are_read_at_once(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """A record has 16 KiB at the most, and each read of a message has its cost."""
    sent = bytes(range(256)) * 160
    came = memoryview(bytearray(len(sent)))
    with secured_pair(contexts) as (connection, peer):
        peer.sendall(sent)
        wait_until(lambda: unread(connection) > len(sent))
        # What has no place stays where it is.
        assert connection.receive(came[:20_000], deadlines()) == 20_000
        assert connection.receive(came[20_000:], deadlines()) == len(sent) - 20_000
        assert bytes(came) == sent
        assert connection.receive_now(came) is None


def test_bytes_before_the_end_count_with_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    view = memoryview(bytearray(1 << 18))
    with secured_pair(contexts) as (connection, peer):
        peer.sendall(bytes(40_000))
        # A record that is none, after those that are.
        socket.socket.send(peer, b"\x17\x03\x03\x00\x20" + bytes(32))
        count = 0
        while count < 40_000:
            count += connection.receive(view, deadlines())
        assert count == 40_000
        with pytest.raises(TlsFailed):
            connection.receive(view, deadlines())


def test_an_answer_can_be_sent_to_a_peer_that_has_ended_its_side_with_tls(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """What it said before it ended is then what counts: OpenSSL sends nothing once it has seen the end."""
    view = memoryview(bytearray(1 << 18))
    with secured_pair(contexts) as (connection, peer):
        peer.sendall(bytes(40_000))
        socket.socket.shutdown(peer, socket.SHUT_WR)
        wait_until(lambda: unread(connection) > 40_000)
        assert connection.receive(view, deadlines()) == 40_000
        connection.send(b"abc", deadlines())
        assert peer.recv(3) == b"abc"
        with pytest.raises(ConnectionLost):
            connection.receive(view, deadlines())


def info(port: int, host: str = "127.0.0.1") -> AddressInfo:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]


def seconds_to_connect(*ports: int) -> tuple[float, int]:
    start = time.monotonic()
    with first_connected([info(port) for port in ports], lambda: None) as sock:
        return time.monotonic() - start, sock.getpeername()[1]


@pytest.mark.parametrize("before", ["refusing", "silent", "silent silent refusing", "refusing silent"])
def test_the_first_address_that_answers_wins(before: str) -> None:
    kinds = {"refusing": servers.dead_port, "silent": servers.full_port}
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0)) as listening:
        ports = [stack.enter_context(kinds[kind]()) for kind in before.split()]
        answering = listening.getsockname()[1]
        seconds, port = seconds_to_connect(*ports, answering)
    assert port == answering
    assert seconds < 10


def test_the_error_is_that_of_an_address() -> None:
    with servers.dead_port() as one, servers.dead_port() as other, pytest.raises(ConnectionRefusedError):
        first_connected([info(one), info(other)], lambda: None)
    with pytest.raises(OSError, match="no address"):
        first_connected([], lambda: None)


def test_a_check_ends_the_wait_and_leaves_no_socket() -> None:
    turns = iter(range(4))

    def check() -> None:
        if next(turns) == 3:
            raise InterruptedError

    with servers.full_port() as one, servers.full_port() as other, pytest.raises(InterruptedError):
        first_connected([info(one), info(other)], check)
