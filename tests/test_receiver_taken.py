"""A folder or a port that another process has: refused at once, or waited for while that process is about to end."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

import dicomove as dm
from dicomove.errors import ReceiverError
from dicomove.processes import Process, first_port_of_connections, patience_s, port_owner
from tests import receiving, servers

#: Each look at a folder or port that may become free ends with a short sleep: in 3.3 s, dozens of them.
MOST_SLEEPS = 8

#: Makes a receiver, and a forked child that holds the receiver's standard input open when this process is killed.
OWNER = """
import os, sys, time
import dicomove as dm
receiver = dm.Receiver(sys.argv[1], port=int(sys.argv[2]), host="127.0.0.1")
child = os.fork()
if not child:
    time.sleep(60)
    os._exit(0)
print(receiver.port, receiver.pid, child, flush=True)
sys.stdin.readline()
"""


LISTENING = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.stdin.readline())))
print(server.getsockname()[1], flush=True)
sys.stdin.readline()
"""


class Owner:
    """Another process that has a receiver."""

    def __init__(self, folder: Path) -> None:
        # Not a port that the system gives to connections: one of them might get it when the owner has ended.
        program = [sys.executable, "-c", OWNER, str(folder), str(servers.free_port())]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port, self.receiver, self.child = map(int, self.process.stdout.readline().split())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def owner(folder: Path) -> Iterator[Owner]:
    made = Owner(folder)
    try:
        yield made
    finally:
        with suppress(ProcessLookupError):
            os.kill(made.child, signal.SIGKILL)
        made.process.communicate()


def refusal(make: Callable[[], dm.Receiver]) -> str:
    """What is said, at once: this thread sleeps, or waits for a disk, a few times only, however busy the machine is."""
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    with pytest.raises(ReceiverError) as raised:
        make()
    assert resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before < MOST_SLEEPS
    return str(raised.value)


def test_another_receiver_of_this_process(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path / "a") as receiver:
        assert "of this process" in refusal(lambda: receiving.receiver(tmp_path / "a"))
        (tmp_path / "link").symlink_to(tmp_path / "a")
        assert "of this process" in refusal(lambda: receiving.receiver(tmp_path / "link"))
        for host in ("127.0.0.1", "", "localhost"):
            said = refusal(partial(receiving.receiver, tmp_path / "b", host=host, port=receiver.port))
            assert f"port {receiver.port} is taken by another receiver of this process, for {tmp_path / 'a'}" in said
        assert not (tmp_path / "b").exists()
        assert servers.answers(receiver.port)


def test_the_receiver_of_another_process_that_lives(tmp_path: Path) -> None:
    with owner(tmp_path / "a") as other:
        said = refusal(lambda: receiving.receiver(tmp_path / "a"))
        assert f"process {other.receiver}, started by process {other.process.pid}" in said
        said = refusal(lambda: receiving.receiver(tmp_path / "b", port=other.port))
        assert f"port {other.port} is taken by process {other.receiver} (" in said
        assert servers.answers(other.port)


def test_an_orphan_that_is_about_to_end_is_waited_for(tmp_path: Path) -> None:
    """As after a restart of the kernel: the receiver of the old one takes a second to notice."""
    with owner(tmp_path) as other:
        other.kill()
        assert receiving.alive(other.receiver)
        assert servers.answers(other.port)
        with receiving.receiver(tmp_path, port=other.port, accept="any") as receiver:
            assert receiver.port == other.port
            assert not receiving.alive(other.receiver)
            assert receiving.send(receiver, receiving.instance()) == [0]


@pytest.mark.parametrize("ending", ["folder", "port"])
def test_a_number_that_the_system_gave_to_another_process(tmp_path: Path, ending: str) -> None:
    """The owner names a process that has ended. A later process has its number now, such as this one."""
    me = Process.of(os.getpid())
    assert me.started is not None
    before = replace(me, started=me.started - 1)
    if ending == "folder":
        (tmp_path / ".dicomove").mkdir()
        (tmp_path / ".dicomove" / "owner").write_text(f"{me.text} {before.text}")
        lock = FileLock(tmp_path / ".dicomove" / "lock", thread_local=False)
        lock.acquire()
        release: Callable[[], object] = lock.release
        port = 0
    else:
        script = tmp_path / "receiver" / "start.py"
        script.parent.mkdir()
        script.write_text(LISTENING)
        program = [sys.executable, str(script), "root", before.text]
        holding = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert holding.stdin is not None
        assert holding.stdout is not None
        # Not a port that the system gives to connections, as above.
        print(servers.free_port(), file=holding.stdin, flush=True)
        port = int(holding.stdout.readline())
        release = holding.kill
    timer = threading.Timer(1.5, release)
    timer.start()
    receiving.receiver(tmp_path / "images" if port else tmp_path, port=port).close()
    timer.join()
    if port:
        holding.communicate()


def test_the_same_port_of_another_family_is_free(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:  # noqa: S104 (it is what the test is about)
        port = other.getsockname()[1]
        with receiving.receiver(tmp_path, host="::1", port=port) as receiver:
            assert receiver.port == port
        with pytest.raises(dm.errors.ReceiverError, match="is taken"):
            receiving.receiver(tmp_path, host="::", port=port)  # it serves both families


def test_a_port_that_a_connection_has_or_had(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as outgoing:
            port = outgoing.getsockname()[1]
            said = refusal(lambda: receiving.receiver(tmp_path, port=port))
        server.accept()[0].close()
        assert refusal(lambda: receiving.receiver(tmp_path, port=port)) == said
    assert "by a connection of another program" in said
    assert f"choose a port below {first_port_of_connections()}" in said


def test_how_long_to_wait() -> None:
    own = Process.of(os.getpid())
    assert patience_s(Process.of(os.getppid()), own) == 0
    assert patience_s(replace(own, started=1), own) > 3
    # It is ours and was closed, or it is not known.
    assert 0 < patience_s(own, own) <= 3
    assert 0 < patience_s(None, own) <= 3
    assert 0 < patience_s(Process(1), own) <= 3


def test_a_process_and_its_text() -> None:
    own = Process.of(os.getpid())
    assert own.is_alive
    assert Process.read(own.text) == own
    assert Process.read("4711") == Process(4711)  # as an earlier version wrote it
    assert Process.read("it is not known which") is None
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        seen = Process.of(other.pid)
        assert seen.is_alive
        other.kill()
        servers.wait_until(lambda: seen.is_alive is False, 5)  # also while its parent has not waited for it
    assert seen.is_alive is False


def test_the_process_that_has_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mine:
        assert port_owner(mine.getsockname()[1]) == Process.of(os.getpid())
    assert port_owner(servers.free_port()) is None
