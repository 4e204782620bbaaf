"""The wire of `benchmarks.distance`: what it holds, for how long, and that nothing of it stays."""

from __future__ import annotations

import hashlib
import os
import random
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.distance.wire import Alarm, Length, Line, Wire, missing, wire

MBIT = 1e6 / 8


def arrivals(line: Line, *packets: tuple[float, bytes]) -> list[tuple[float, bytes]]:
    """When each packet arrives, where the line is looked at exactly when it says so."""
    for now, packet in packets:
        line.put(packet, now)
    arrived = []
    while (at := line.next_at) is not None:
        arrived += [(at, packet) for packet in line.due(at)]
    return arrived


def test_a_line_holds_each_packet_for_its_delay() -> None:
    line = Line(Length(delay_s=0.25))
    assert arrivals(line, (1.0, b"a"), (1.125, b"b"), (2.0, b"c")) == [(1.25, b"a"), (1.375, b"b"), (2.25, b"c")]


def test_a_line_without_a_delay_holds_nothing() -> None:
    line = Line()
    line.put(b"a", 1.0)
    assert list(line.due(1.0)) == [b"a"]


def test_packets_go_through_a_line_one_after_the_other_at_its_rate() -> None:
    line = Line(Length(delay_s=1.0, bytes_per_s=100 * MBIT))
    times = [now for now, _ in arrivals(line, *[(0.0, bytes(12_500))] * 3, (5.0, bytes(12_500)))]
    assert times == pytest.approx([1.001, 1.002, 1.003, 6.001])


def test_a_line_that_becomes_shorter_keeps_the_order() -> None:
    line = Line(Length(delay_s=1.0))
    line.put(b"a", 0.0)
    line.length = Length()
    assert arrivals(line, (0.5, b"b"), (2.0, b"c")) == [(1.0, b"a"), (1.0, b"b"), (2.0, b"c")]


def test_an_alarm_learns_how_late_the_machine_wakes_up_but_not_from_an_outlier() -> None:
    alarm = Alarm()
    for _ in range(100):
        wait_s = alarm.wait_s(1.0, now=0.0)
        assert wait_s is not None
        alarm.woke(wait_s + 0.0001)
    assert alarm.wait_s(1.0, now=0.0) == pytest.approx(0.9999)
    alarm.woke(5.0)
    assert alarm.wait_s(1.0, now=0.0) == pytest.approx(0.9999, abs=0.0001)
    assert alarm.wait_s(None, now=0.0) is None


def need_a_wire() -> None:
    why_not = missing()
    if why_not:
        pytest.skip(f"a wire cannot be laid here: {why_not}")


@pytest.fixture
def laid() -> Iterator[Wire]:
    need_a_wire()
    with wire(Length(delay_s=0.02)) as made:
        yield made


_CLOCK = """
import socket, sys, time
with socket.socket(type=socket.SOCK_DGRAM) as sock:
    sock.bind((sys.argv[1], 0))
    print(sock.getsockname()[1], flush=True)
    for _ in range(int(sys.argv[2])):
        word, peer = sock.recvfrom(100)
        sock.sendto(word + b" %r" % time.monotonic(), peer)
"""


def test_packets_arrive_in_order_and_not_before_their_time(laid: Wire) -> None:
    count = 50
    command = laid.at_the_far_end(sys.executable, "-c", _CLOCK, laid.far, str(count))
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as far,
        socket.socket(type=socket.SOCK_DGRAM) as sock,
    ):
        assert far.stdout
        sock.connect((laid.far, int(far.stdout.readline())))
        sock.settimeout(30)
        sent = []
        for number in range(count):
            sent.append(time.monotonic())
            sock.send(b"%d" % number)
        answers = [(sock.recv(100).split(), time.monotonic()) for _ in range(count)]
    assert [int(number) for (number, _), _ in answers] == list(range(count))
    for began, ((_, there), back) in zip(sent, answers, strict=True):
        assert float(there) - began >= 0.02
        assert back - float(there) >= 0.02
    assert laid.round_trip_s() >= 0.04


_SENDER = """
import random, socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
    sock.sendall(random.Random(0).randbytes(int(sys.argv[3])))
"""


@pytest.mark.parametrize("rate", [None, 400 * MBIT])
def test_a_stream_arrives_unharmed(laid: Wire, rate: float | None) -> None:
    size = 8 << 20
    laid.set(Length(delay_s=0.002, bytes_per_s=rate))
    came, count = hashlib.sha256(), 0
    started = time.monotonic()
    with socket.create_server((laid.near, 0)) as server:
        port = server.getsockname()[1]
        command = laid.at_the_far_end(sys.executable, "-c", _SENDER, laid.near, str(port), str(size))
        with subprocess.Popen(command) as far, server.accept()[0] as sock:
            sock.settimeout(60)
            while data := sock.recv(1 << 20):
                came.update(data)
                count += len(data)
        assert far.returncode == 0
    assert count == size
    assert came.digest() == hashlib.sha256(random.Random(0).randbytes(size)).digest()
    if rate:
        assert time.monotonic() - started >= size / rate


def interrupted() -> Wire:
    """A wire whose benchmark Ctrl-C has ended."""
    laid = []
    with suppress(KeyboardInterrupt), wire() as made:
        laid.append(made)
        assert made.namespace.exists()
        assert made.namespace.readlink() != Path("/proc/self/ns/net").readlink()
        raise KeyboardInterrupt
    return laid[0]


def test_nothing_of_a_wire_stays_when_it_is_over_or_ends_in_an_error() -> None:
    need_a_wire()
    laid = interrupted()
    assert not laid.namespace.exists()
    assert laid.near not in subprocess.run(["ip", "address"], capture_output=True, text=True, check=True).stdout


def test_a_wire_ends_with_the_process_that_laid_it() -> None:
    program = (
        "from benchmarks.distance.wire import wire\nwith wire() as made: print(made.namespace, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as lays:
        assert lays.stdout
        process = int(Path(lays.stdout.readline()).parts[2])
        ended = os.pidfd_open(process)
        lays.kill()
    try:
        assert select.select([ended], [], [], 30)[0]
    finally:
        os.close(ended)
