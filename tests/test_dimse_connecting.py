from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import pytest

from dicomove.dimse.connecting import AddressInfo, first_connected
from tests import servers


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
