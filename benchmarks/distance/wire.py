"""A wire of a given length and rate: a network namespace, in which the far end of the wire is.

The delay is below TCP. A proxy would acknowledge by itself, and hide what a distance does to Nagle's algorithm, to
delayed acknowledgements and to windows. Two TUN devices are the ends of the wire, one of them in the namespace. A
process reads the IP packets of each, holds them, and writes them to the other one::

    this machine --- TUN --- the process of the wire --- TUN --- namespace: the PACS

The namespace has no name. It lasts as long as the process of the wire and the programs that run in it, and the devices
as long as that process. The process ends when its standard input does, so that no wire stays behind, even after a
SIGKILL of the benchmark.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

TUN = Path("/dev/net/tun")
MTU = 9000
_ROOT = Path(__file__).parents[2]
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_CLONE_NEWNET = 0x40000000
_PACKETS_IN_TURN = 64
_QUEUE = 10_000
_LATEST_S, _LEARNS = 0.0003, 0.1
_DISCARD, _LOST_S = 9, 10.0
# As in most machines; otherwise the far end has what the machine of the benchmark has by chance.
_CONGESTION_CONTROL = "cubic"
# What TCP has learnt from one contestant must neither help nor hinder the next one.
_FORGETS = Path("/proc/sys/net/ipv4/tcp_no_metrics_save")


@dataclass(frozen=True)
class Length:
    """How far it is to the other end, each way, and how much goes through.

    Examples
    --------
    >>> print(Length(delay_s=0.005), Length(delay_s=0.001, bytes_per_s=12.5e6), sep="; ")
    5 ms; 1 ms, 100 Mbit/s
    """

    delay_s: float = 0.0
    bytes_per_s: float | None = None

    def __str__(self) -> str:
        rate = f", {self.bytes_per_s * 8 / 1e6:g} Mbit/s" if self.bytes_per_s else ""
        return f"{1000 * self.delay_s:g} ms{rate}"


@dataclass
class Line:
    """One direction of the wire: a queue that holds each packet until its time has come. Pure: `now` is an argument.

    A packet follows the one before it when that one has gone through at the rate of the line, and then travels for the
    delay. The queue has no end: nothing is lost.

    Examples
    --------
    >>> line = Line(Length(delay_s=2.0, bytes_per_s=3))
    >>> line.put(b"one", now=0.0)
    >>> line.put(b"two", now=0.5)
    >>> line.next_at, list(line.due(now=2.9))
    (3.0, [])
    >>> list(line.due(now=4.0)), line.next_at
    ([b'one', b'two'], None)
    """

    length: Length = Length()
    _packets: deque[tuple[float, bytes]] = field(default_factory=deque)
    _free_at: float = 0.0
    _last_at: float = 0.0

    def put(self, packet: bytes, now: float) -> None:
        """Take a packet at one end."""
        rate = self.length.bytes_per_s
        self._free_at = max(now, self._free_at) + (len(packet) / rate if rate else 0.0)
        # Where the wire has just become shorter, a packet does not overtake the ones before it.
        self._last_at = max(self._last_at, self._free_at + self.length.delay_s)
        self._packets.append((self._last_at, packet))

    def due(self, now: float) -> Iterator[bytes]:
        """Give what has arrived at the other end, in order."""
        while self._packets and self._packets[0][0] <= now:
            yield self._packets.popleft()[1]

    @property
    def next_at(self) -> float | None:
        """When the next packet arrives."""
        return self._packets[0][0] if self._packets else None


@dataclass
class Alarm:
    """How long to sleep: a machine that was at rest wakes up late, so it is woken a little before the time. Pure.

    Examples
    --------
    >>> alarm = Alarm()
    >>> alarm.wait_s(None, now=0.0), alarm.wait_s(3.0, now=1.0), alarm.wait_s(3.0, now=3.1)
    (None, 2.0, 0.0)
    """

    _late_s: float = 0.0
    _asked_at: float | None = None

    def wait_s(self, next_at: float | None, now: float) -> float | None:
        """Return for how long to sleep until something is due."""
        self._asked_at = None
        if next_at is None:
            return None
        wake_at = next_at - self._late_s
        if wake_at <= now:
            return 0.0
        self._asked_at = wake_at
        return wake_at - now

    def woke(self, now: float) -> None:
        """Take note of when the machine woke up."""
        # Much later than usual is the work of others, and will not be so the next time.
        if self._asked_at is not None:
            self._late_s += _LEARNS * (min(now - self._asked_at, _LATEST_S) - self._late_s)


@dataclass(frozen=True)
class Wire:
    """A wire that is laid. Its length can be changed at any time."""

    near: str
    far: str
    namespace: Path
    _process: subprocess.Popen[str]

    def set(self, length: Length) -> None:
        """Make the wire so long."""
        told, answers = _pipes(self._process)
        print(json.dumps(asdict(length)), file=told, flush=True)
        if answers.readline() != "set\n":
            message = "the process of the wire has ended"
            raise ConnectionError(message)

    def at_the_far_end(self, *command: str) -> list[str]:
        """Return the command that runs a command at the far end."""
        return ["nsenter", f"--net={self.namespace}", *command]

    def round_trip_s(self) -> float:
        """Measure how long it takes until the kernel at the far end refuses a connection: one round trip of TCP.

        It looks without a pause, and before other programs: that a machine wakes up late, or computes something else,
        is not the wire's.
        """
        with _before_others(1), socket.socket() as sock:
            sock.settimeout(0)
            started = time.perf_counter()
            sock.connect_ex((self.far, _DISCARD))
            while not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                if time.perf_counter() - started > _LOST_S:
                    message = "nothing comes back from the far end of the wire"
                    raise TimeoutError(message)
            return time.perf_counter() - started


@contextmanager
def wire(length: Length = Length()) -> Iterator[Wire]:
    """Lay a wire; it is gone at the end."""
    why_not = missing()
    if why_not:
        message = f"A wire needs root, TUN devices and network namespaces of Linux: {why_not}."
        raise SystemExit(message)
    # 198.18.0.0/15 is for benchmarks of networks (RFC 2544). A session of its own, as Ctrl-C is for the benchmark.
    pair = 4 * (os.getpid() % (1 << 14))
    near, far = (f"198.18.{(pair + end) >> 8}.{(pair + end) & 255}" for end in (1, 2))
    command = [sys.executable, "-m", "benchmarks.distance.wire", near, far]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=_ROOT
    ) as process:
        told, answers = _pipes(process)
        try:
            if answers.readline() != "laid\n":
                message = "The wire could not be laid. The reason stands above."
                raise SystemExit(message)
            laid = Wire(near, far, Path(f"/proc/{process.pid}/ns/net"), process)
            laid.set(length)
            yield laid
        finally:
            with suppress(BrokenPipeError):
                told.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def missing() -> str | None:
    """Return what this machine lacks for a wire; None where it has everything."""
    if sys.platform != "linux":
        return "this is not Linux"
    if os.geteuid() != 0:
        return "this user is not root"
    try:
        os.close(os.open(TUN, os.O_RDWR))
    except OSError as error:
        return f"{TUN} cannot be opened ({error.strerror})"
    for command in (["ip", "-Version"], ["nsenter", "--version"], ["unshare", "--net", "true"]):
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return f"`{' '.join(command)}` does not work"
    return None


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin  # noqa: S101 (it is a pipe, and so is the next one)
    assert process.stdout  # noqa: S101
    return process.stdin, process.stdout


def main() -> None:
    """Be the process of the wire, until standard input ends."""
    near, far = sys.argv[1:]
    here = _tun(near, far)
    _enter_new_namespace()
    there = _tun(far, near)
    _configure(near)
    print("laid", flush=True)
    with _before_others(2):
        _carry(here, there, sys.stdin.fileno())


@contextmanager
def _before_others(priority: int) -> Iterator[None]:
    """Let this thread compute whenever it wants to, where that is allowed."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _tun(own: str, peer: str) -> int:
    """Make a TUN device in the network namespace of this process, and return its descriptor."""
    descriptor = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
    asked = struct.pack("16sH22x", b"wire%d", _IFF_TUN | _IFF_NO_PI)
    name = fcntl.ioctl(descriptor, _TUNSETIFF, asked)[:16].rstrip(b"\0").decode()
    for words in (
        ["address", "add", own, "peer", peer, "dev", name],
        ["link", "set", name, "mtu", str(MTU), "txqueuelen", str(_QUEUE), "up"],
    ):
        subprocess.run(["ip", *words], check=True)
    return descriptor


def _enter_new_namespace() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _configure(peer: str) -> None:
    """Let TCP at the far end be what it is elsewhere, where this machine allows that."""
    try:
        _FORGETS.write_text("1")
    except OSError as error:
        print(f"{_FORGETS} stays as it is: {error.strerror}", file=sys.stderr)
    subprocess.run(["ip", "route", "change", peer, "dev", "wire0", "congctl", _CONGESTION_CONTROL], check=False)


def _carry(here: int, there: int, told: int) -> None:
    """Hold and hand on what comes, until `told` ends."""
    lines = {here: (Line(), there), there: (Line(), here)}
    alarm = Alarm()
    while True:
        readable = select.select([*lines, told], [], [], alarm.wait_s(_next_at(lines), time.monotonic()))[0]
        if told in readable:
            words = os.read(told, 4096)
            if not words:
                return
            for line, _ in lines.values():
                line.length = Length(**json.loads(words))
            print("set", flush=True)
        for descriptor, (line, _) in lines.items():
            if descriptor in readable:
                _take(descriptor, line)
        if not readable:
            alarm.woke(time.monotonic())
        for line, to in lines.values():
            for packet in line.due(time.monotonic()):
                os.write(to, packet)


def _next_at(lines: Mapping[int, tuple[Line, int]]) -> float | None:
    return min((line.next_at for line, _ in lines.values() if line.next_at is not None), default=None)


def _take(descriptor: int, line: Line) -> None:
    with suppress(BlockingIOError):
        for _ in range(_PACKETS_IN_TURN):
            line.put(os.read(descriptor, MTU), time.monotonic())


if __name__ == "__main__":
    main()
