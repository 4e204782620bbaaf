"""`Receiver`: its life, who has its port, and whom it lets in."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import dicomove as dm
from dicomove.dimse.association import Association
from dicomove.dimse.connection import Connection
from dicomove.dimse.deadlines import Deadline, Deadlines
from dicomove.dimse.messages import Message
from dicomove.errors import AssociationError, AssociationRejected, IdleTimeout, ReceiverError, ReceiverWarning
from dicomove.receiver import AskedRow, RowId
from dicomove.receiver.supervision import Supervisor
from dicomove.testing.associations import storing
from tests import forks, receiving, servers

pytestmark = pytest.mark.timeout(60)


# Its life.


def test_it_listens_from_the_moment_it_is_made_until_it_is_closed(tmp_path: Path) -> None:
    receiver = receiving.receiver(tmp_path / "new" / "folder")
    assert servers.answers(receiver.port)
    assert (tmp_path / "new" / "folder").is_dir()
    assert receiving.alive(receiver.pid)
    receiver.close()
    assert receiving.is_free(receiver.port)
    assert not receiving.alive(receiver.pid)
    receiver.close()
    assert "closed" in repr(receiver)


def test_it_ends_with_its_with(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, port=servers.free_port()) as receiver:
        assert servers.answers(receiver.port)
    assert receiving.is_free(receiver.port)
    with receiving.receiver(tmp_path, port=receiver.port) as again:
        assert again.port == receiver.port


def test_a_closed_receiver_says_that_it_is_closed(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver) as pacs:
        pass
    assert receiver.manifest().empty
    with pytest.raises(ReceiverError, match="is closed: make a new one"):
        receiver.flush()
    with receiving.pacs(receiver) as pacs:
        result = receiving.move(receiving.studies(), pacs, receiver)
    assert receiving.row(result, "outcome", "error") == ("not_attempted", "receiver_failed")
    assert "closed" in result["advice"].iloc[0]


def test_its_process_does_not_load_pandas(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver:
        loaded = Path(f"/proc/{receiver.pid}/maps").read_text()
        assert "sqlite" in loaded
        assert "pandas" not in loaded


def test_two_at_one_port(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path / "a") as receiver:
        with pytest.raises(ReceiverError) as raised:
            receiving.receiver(tmp_path / "b", port=receiver.port)
        said = str(raised.value)
        for part in (f"port {receiver.port}", "this process", str(tmp_path / "a"), "close()", "close_receivers()"):
            assert part in said
        assert servers.answers(receiver.port)


def test_a_port_that_another_program_has(tmp_path: Path) -> None:
    program = (
        f"import socket; s = socket.create_server(('127.0.0.1', {servers.free_port()})); "
        "print(s.getsockname()[1], flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        with pytest.raises(ReceiverError) as raised:
            receiving.receiver(tmp_path, port=port)
        other.communicate("\n")
    assert f"port {port} is taken by process {other.pid} ({sys.executable}" in str(raised.value)
    with receiving.receiver(tmp_path, port=port) as receiver:
        assert receiver.port == port


def test_a_port_that_is_about_to_be_free_is_waited_for(tmp_path: Path) -> None:
    port = servers.free_port()
    with socket.create_server(("127.0.0.1", port)) as other:
        closing = threading.Timer(0.5, other.close)
        closing.start()
        with receiving.receiver(tmp_path, port=port) as receiver:
            assert receiver.port == port
        closing.join()


def test_a_port_that_is_free_before_its_owner_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = servers.free_port()
    other = socket.create_server(("127.0.0.1", port))

    def slow(_: int) -> None:
        other.close()
        time.sleep(1.5)

    monkeypatch.setattr("dicomove.receiver.supervision.port_owner", slow)
    with receiving.receiver(tmp_path, port=port) as receiver:
        assert receiver.port == port


def test_two_in_one_folder(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver:
        with pytest.raises(ReceiverError, match=rf"the folder .*{tmp_path.name} is taken by .* of this process: call"):
            receiving.receiver(tmp_path / ".")
        assert servers.answers(receiver.port)
    receiving.receiver(tmp_path).close()


def test_a_receiver_may_be_opened_while_another_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one looks at those that are open, while a thread opens the third one."""
    first, others = dm.Receiver(tmp_path / "1", port=0), list[dm.Receiver]()
    settings: Any = Supervisor.__dict__["settings_now"]

    def opens_another(supervisor: Supervisor) -> object:
        if not others:
            others.append(first)
            others.append(dm.Receiver(tmp_path / "3", port=0))
        return settings.fget(supervisor)

    with monkeypatch.context() as patched, ExitStack() as opened:
        opened.enter_context(first)
        patched.setattr(Supervisor, "settings_now", property(opens_another))
        opened.enter_context(dm.Receiver(tmp_path / "2", port=0))
        opened.enter_context(others[1])
        assert len({receiver.port for receiver in others}) == 2


def test_close_receivers_closes_all(tmp_path: Path) -> None:
    made = [receiving.receiver(tmp_path / name) for name in "ab"]
    dm.receiver.close_receivers()
    assert [receiving.is_free(receiver.port) for receiver in made] == [True, True]
    dm.receiver.close_receivers()


def test_a_receiver_without_references_frees_its_port(tmp_path: Path) -> None:
    receiver = receiving.receiver(tmp_path)
    port, pid = receiver.port, receiver.pid
    del receiver
    gc.collect()
    assert receiving.is_free(port)
    assert not receiving.alive(pid)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"port": -1}, ValueError),
        ({"port": 65536}, ValueError),
        ({"port": "104"}, ValueError),
        ({"quiet_period": -1}, ValueError),
        ({"quiet_period": float("inf")}, ValueError),
        ({"accept": "all"}, ValueError),
        ({"existing": "overwrite"}, ValueError),
        ({"allow": ["10.1.0.0/99"]}, ValueError),
        ({"path": "../{SOPInstanceUID}"}, ValueError),
        ({"ae_title": "AN AE TITLE TOO LONG"}, dm.errors.AddressError),
    ],
)
def test_an_argument_that_cannot_be_right(tmp_path: Path, options: dict[str, Any], error: type[Exception]) -> None:
    (name,) = options
    with pytest.raises(error, match=name):
        receiving.receiver(tmp_path / "none", **options)
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(os.name != "posix", reason="names are text there")
def test_a_folder_whose_name_is_not_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"M\xfcller")
    with pytest.raises(ValueError, match=r"M\?ller.*is not text"):
        receiving.receiver(folder)
    assert not folder.exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReceiverError, match="did not start"):
        receiving.receiver(tmp_path / "file" / "folder")


def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(ReceiverError, match="did not start"):
        receiving.receiver(tmp_path, host="192.0.2.1")
    receiving.receiver(tmp_path).close()


# However its parent ends.

SCRIPT = """
import os, signal, sys, time, warnings
import dicomove as dm
warnings.simplefilter("error")
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)  # Python 3.12 and later
folder, ending = sys.argv[1:]
receiver = dm.Receiver(folder, port=0, host="127.0.0.1", accept="any")
child = os.fork() if ending.startswith("fork") else 0
if ending.startswith("fork") and not child:
    time.sleep(30)
    os._exit(0)
try:
    print(receiver.port, receiver.pid, child, flush=True)
    sys.stdin.readline()
except KeyboardInterrupt:
    receiver.flush()
    print("interrupted", flush=True)
    sys.stdin.readline()
if ending == "exception":
    raise RuntimeError
if ending == "_exit":
    os._exit(0)
if ending == "fork, close":
    receiver.close()
"""


@contextmanager
def kernel(folder: Path, ending: str) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """A process with a receiver, with the port and the number of the receiver's process."""
    script = folder / "kernel.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        forks.python(str(script), str(folder / "images"), ending),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            port, pid, child = map(int, process.stdout.readline().split())
            yield process, port, pid
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            if child:
                os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("ending", ["end", "exception", "_exit", "SIGTERM", "SIGKILL", "fork, SIGKILL", "fork, close"])
def test_no_receiver_outlives_its_parent(tmp_path: Path, ending: str) -> None:
    with kernel(tmp_path, ending) as (process, port, pid):
        assert receiving.alive(pid)
        assert not receiving.is_free(port)
        name = ending.removeprefix("fork, ")
        if name.startswith("SIG"):
            process.send_signal(getattr(signal, name))
        else:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        began = time.monotonic()
        servers.wait_until(lambda: not receiving.alive(pid), 5)
        servers.wait_until(lambda: receiving.is_free(port), 5)
        process.wait(5)
        assert time.monotonic() - began < 4


def test_what_has_come_is_made_durable_after_the_end_of_its_parent(tmp_path: Path) -> None:
    """Otherwise, the next receiver looks through the whole folder for it."""
    service, one = tmp_path / "images" / ".dicomove", receiving.instance()
    with kernel(tmp_path, "SIGKILL") as (process, port, pid):
        with closing(sqlite3.connect(service / "record.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with storing(("127.0.0.1", port), "DICOMOVE", "PEER", [one], ("ORIGINATOR", 7)) as store:
                assert store(one) == 0
            process.kill()
            process.wait(60)
            time.sleep(2)  # longer than the pause between two looks at the parent
            assert receiving.alive(pid)
        servers.wait_until(lambda: not receiving.alive(pid), 60)
    assert not (service / "owner").exists()
    assert dm.verify(tmp_path / "images")["verified"].tolist() == ["ok"]


def test_ctrl_c_does_not_end_it(tmp_path: Path) -> None:
    with kernel(tmp_path, "end") as (process, port, pid):
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "interrupted\n"
        assert receiving.alive(pid)
        assert servers.answers(port)
        _, complained = process.communicate("\n", timeout=10)
    assert complained == ""
    assert process.returncode == 0


def test_a_forked_child_that_ends_leaves_it_alone(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, allow=["127.0.0.1"]) as receiver:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.12 on: this process has threads
            child = os.fork()
        if not child:
            receiver.close()
            os._exit(0)
        servers.wait_until(lambda: os.waitpid(child, os.WNOHANG)[0] == child, 5)
        receiver.flush()
        assert receiving.send(receiver, receiving.instance()) == [0]


# What the administrator enters.


def test_the_repr_says_what_the_administrator_enters(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, ae_title="RESEARCH") as receiver:
        assert repr(receiver) == (
            f"Receiver({str(tmp_path)!r}): the PACS's administrator enters the AE title RESEARCH, "
            f"host 127.0.0.1, port {receiver.port}"
        )
        assert (receiver.ae_title, receiver.host) == ("RESEARCH", "127.0.0.1")
        assert receiver.as_destination() == {"RESEARCH": ("127.0.0.1", receiver.port)}


def test_every_address_is_told_as_one_that_others_reach(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, host="0.0.0.0") as receiver:  # noqa: S104 (it is what the test is about)
        entry = json.loads(receiver.orthanc_modality())["DICOMOVE"]
        assert entry["Host"] not in ("0.0.0.0", "")  # noqa: S104 (it asks that it is not)
        assert entry["Host"] in repr(receiver)
        assert f"= (DICOMOVE, {entry['Host']}, {receiver.port})" in receiver.dcmtk_host()
        device = json.loads(receiver.dcm4chee_device())
        assert device["dicomNetworkConnection"][0]["dicomPort"] == receiver.port
        with socket.create_connection((entry["Host"], receiver.port), timeout=5) as client:
            assert client.recv(1) == b""  # nothing was said for too long


def test_the_entries_have_the_advertised_address(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, advertise="node7.hospital.example:30104") as receiver:
        assert "host node7.hospital.example, port 30104" in repr(receiver)
        assert receiver.as_destination() == {"DICOMOVE": ("node7.hospital.example", 30104)}
        assert json.loads(receiver.orthanc_modality()) == {
            "DICOMOVE": {
                "AET": "DICOMOVE",
                "Host": "node7.hospital.example",
                "Port": 30104,
                "AllowTranscoding": False,
            }
        }
        assert receiver.port != 30104
    with receiving.receiver(tmp_path, advertise="[2001:db8::7]") as receiver:
        assert receiver.address_for("127.0.0.1") == ("2001:db8::7", receiver.port)


@pytest.mark.parametrize("advertise", ["", "host:", "host:0", "host:65536", "AET@host:104", "2001:db8::7", "a b", 104])
def test_what_cannot_be_advertised(advertise: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="advertise="):
        dm.Receiver(tmp_path, port=0, advertise=advertise)


def test_a_receiver_without_a_port_has_nothing_to_advertise(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="port=None"):
        dm.Receiver(tmp_path, port=None, advertise="node7:104")


def test_a_pacs_on_this_machine_reaches_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with receiving.receiver(tmp_path) as receiver:
        receiver.runs.begin_run("127.0.0.1")
        assert receiver.runs.reach_problem("127.0.0.1") is None
        with pytest.warns(ReceiverWarning, match="container"):
            receiver.runs.begin_run("203.0.113.7")
        receiver.runs.begin_run("203.0.113.7")  # once is enough


# Whom it lets in.


VERIFICATION, CT = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2"


def associated(port: int, source: str = "127.0.0.1", called: str = "DICOMOVE", proposes: str = CT) -> frozenset[str]:
    """Return the SOP classes of an association from one of this machine's addresses that were accepted."""
    connection = Connection(socket.create_connection(("127.0.0.1", port), source_address=(source, 0)))
    deadlines = Deadlines(Deadline(5, IdleTimeout, "A-ASSOCIATE"))
    try:
        association = Association.request(
            connection,
            called_ae_title=called,
            calling_ae_title="PEER",
            max_pdu_length=16384,
            proposed=[(uid, ["1.2.840.10008.1.2"]) for uid in proposes.split()],
            deadlines=deadlines,
        )
        association.release(5)
        return frozenset(context.abstract_syntax for context in association.contexts.values())
    finally:
        connection.close()


def echo(port: int, source: str = "127.0.0.1", called: str = "DICOMOVE") -> str | None:
    """C-ECHO from one of this machine's addresses."""
    client = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
    connection = Connection(client)
    try:
        association = Association.request(
            connection,
            called_ae_title=called,
            calling_ae_title="PEER",
            max_pdu_length=16384,
            proposed=[("1.2.840.10008.1.1", ["1.2.840.10008.1.2"])],
            deadlines=Deadlines(Deadline(5, IdleTimeout, "A-ASSOCIATE")),
        )
        command: dict[str, int | str] = {
            "AffectedSOPClassUID": "1.2.840.10008.1.1",
            "CommandField": 0x0030,
            "MessageID": 1,
        }
        deadlines = Deadlines(Deadline(5, IdleTimeout, "C-ECHO"))
        association.send(Message(1, command), deadlines)
        answer = association.receive(deadlines)
        association.release(5)
        return f"0x{answer.number('Status'):04X}"
    finally:
        connection.close()


def test_a_pacs_without_rows_in_flight_is_refused(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", receiver.port), 5, ("127.0.0.2", 0)) as client:
                assert client.recv(1) == b""
        with pytest.raises(AssociationError):
            associated(receiver.port)
        servers.wait_until(lambda: receiving.refused(receiver) == {"127.0.0.2": 3, "127.0.0.1": 1}, 5)


def test_the_echo_of_an_administrator_is_answered_at_any_time(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver:
        assert echo(receiver.port, "127.0.0.9") == "0x0000"
        done = subprocess.run(
            [servers.program("echoscu"), "-aec", receiver.ae_title, "127.0.0.1", str(receiver.port)], check=False
        )
        assert done.returncode == 0
        assert receiver.refused.empty
        assert associated(receiver.port, "127.0.0.9", proposes=f"{VERIFICATION} {CT}") == {VERIFICATION}
        servers.wait_until(lambda: receiving.refused(receiver) == {"127.0.0.9": 1}, 5)
        with pytest.raises(AssociationRejected):
            echo(receiver.port, "127.0.0.9", called="ANOTHER")
        servers.wait_until(lambda: any("it called ANOTHER" in reason for reason in receiver.refused["reason"]), 5)


def test_a_receiver_on_all_addresses_serves_both_families(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, host="::", allow=["127.0.0.2"]) as receiver:
        assert associated(receiver.port, "127.0.0.2") == {CT}
        with pytest.raises(AssociationError):
            associated(receiver.port, "127.0.0.4")
        with socket.create_connection(("::1", receiver.port), 5) as client:
            client.sendall(b"rubbish that is not a PDU of DICOM")
            with suppress(ConnectionError):
                assert client.recv(1) == b""
        servers.wait_until(lambda: receiving.refused(receiver) == {"127.0.0.4": 1, "::1": 1}, 5)


@pytest.mark.parametrize("allow", ["127.0.0.2", ["10.0.0.0/8", "127.0.0.2/31"]])
def test_allowed_addresses_may_connect(tmp_path: Path, allow: object) -> None:
    with receiving.receiver(tmp_path, allow=allow) as receiver:
        assert echo(receiver.port, "127.0.0.2") == "0x0000"
        with pytest.raises(AssociationError):
            associated(receiver.port, "127.0.0.4")
        servers.wait_until(lambda: receiving.refused(receiver) == {"127.0.0.4": 1}, 5)


def test_a_plain_storage_scp_lets_anybody_in(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, accept="any") as receiver:
        assert [echo(receiver.port, f"127.0.0.{number}") for number in (1, 2, 3)] == ["0x0000"] * 3
        assert receiving.send(receiver, receiving.instance()) == [0]
        assert receiver.manifest()["quarantine"].isna().all()
        assert receiver.refused.empty


@pytest.mark.parametrize("called", ["ANOTHER", "dicomove", "ANY-SCP", " "])
def test_associations_that_call_another_ae_title_are_rejected(tmp_path: Path, called: str) -> None:
    with receiving.receiver(tmp_path, allow=["127.0.0.1"]) as receiver:
        with pytest.raises(AssociationRejected):
            echo(receiver.port, called=called)
        servers.wait_until(lambda: len(receiver.refused) == 1, 5)
        (refused,) = receiver.refused.to_dict("records")
        assert refused["reason"] == f"it called {called.strip() or 'no AE title'}, this receiver is {receiver.ae_title}"
        assert (refused["address"], refused["ae_title"], refused["count"]) == ("127.0.0.1", "PEER", 1)
        assert echo(receiver.port) == "0x0000"


def test_the_pacs_is_let_in_while_its_row_is_in_flight_and_no_longer(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, quiet_period=0.2) as receiver, receiving.pacs(receiver) as pacs:
        result = receiving.move(receiving.studies(count=2), pacs, receiver)
        assert result["outcome"].tolist() == ["complete", "complete"]
        servers.wait_until(lambda: is_refused(receiver), 3)


def test_a_row_that_was_never_sent_does_not_admit_peers_for_ever(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, quiet_period=0.2) as receiver:
        run = receiver.runs.begin_run()
        with receiver.runs.row(AskedRow(RowId(run, 0), {"StudyInstanceUID": "1.2.3"}, "127.0.0.1")):
            assert echo(receiver.port) == "0x0000"
        receiver.runs.end_run(run)
        servers.wait_until(lambda: is_refused(receiver), 3)


def test_a_row_that_settles_twice_does_not_lock_the_next_one_out(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, quiet_period=0) as receiver:
        run = receiver.runs.begin_run()
        first = receiver.runs.row(AskedRow(RowId(run, 0), {"StudyInstanceUID": "1.2.3"}, "127.0.0.1"))
        second = receiver.runs.row(AskedRow(RowId(run, 1), {"StudyInstanceUID": "1.2.4"}, "127.0.0.1"))
        with first, second:
            first.await_arrivals(0)
            first.await_arrivals(0)
            assert echo(receiver.port) == "0x0000"
            second.await_arrivals(0)
        with receiver.runs.row(AskedRow(RowId(run, 2), {"StudyInstanceUID": "1.2.5"}, "127.0.0.1")) as third:
            assert echo(receiver.port) == "0x0000"
            third.await_arrivals(0)
        receiver.runs.end_run(run)
        servers.wait_until(lambda: is_refused(receiver), 3)


def test_a_pacs_that_sends_from_another_node_is_named(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver:
        run = receiver.runs.begin_run()
        with receiver.runs.row(AskedRow(RowId(run, 0), {"StudyInstanceUID": "1.2.3"}, "192.0.2.99")) as row:
            with pytest.raises(AssociationError):
                associated(receiver.port)
            assert [one.address for one in row.await_arrivals(0).refusals] == ["127.0.0.1"]
        with receiver.runs.row(AskedRow(RowId(run, 1), {"StudyInstanceUID": "1.2.4"}, "192.0.2.99")) as later:
            assert later.await_arrivals(0).refusals == {}
        receiver.runs.end_run(run)


def is_refused(receiver: dm.Receiver) -> bool:
    try:
        associated(receiver.port)
    except AssociationError:
        return True
    return False


#: A forked child uses the receiver of its parent, which then uses it, too.
FORKED = """
import os, sys
import dicomove as dm
with dm.Receiver(sys.argv[1], port=0, host="127.0.0.1") as receiver:
    child = os.fork()
    for use in (receiver.runs.begin_run, receiver.manifest, receiver.flush) if child == 0 else ():
        try:
            use()
        except dm.errors.ReceiverError as error:
            print(error, flush=True)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    print(len(receiver.manifest()))
"""


def test_a_forked_process_cannot_use_the_receiver_of_its_parent(tmp_path: Path) -> None:
    program = [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path)]
    told = subprocess.run(program, capture_output=True, text=True, check=True)
    assert told.stdout.count("belongs to the process from which this one was forked") == 3
    assert told.stdout.endswith("\n0\n")
