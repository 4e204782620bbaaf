"""Orthanc and the rehearsal PACS are turned away by the receiver: the row says so, and why."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

import dicomove as dm
from dicomove.dimse.pdu import ASSOCIATE_AC
from dicomove.receiver import Limits
from dicomove.receiver.admission import Admission, network
from dicomove.receiver.own_process.server import StorageServer
from dicomove.testing import RehearsalPacs, Synthetic
from dicomove.testing.raw import pdus
from dicomove.tls import TLS, server_side
from tests import receiving, servers
from tests.attacked import data_pdu, store_request
from tests.certificates import Authority
from tests.servers import wait_until

HOST = "127.0.0.1"


def own_address() -> str:
    """Return an address of this machine that is not a loopback address; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return servers.write(Synthetic(studies=1, instances=2).instances_of_all(), tmp_path_factory.mktemp("images"))


def moved(
    folder: Path, images: Path, receiver: dm.Receiver, *, host: str = HOST, called: str = "DICOMOVE"
) -> pd.Series[Any]:
    """Move the study from an Orthanc that has such an entry for the receiver."""
    entry = {"AET": called, "Host": HOST, "Port": receiver.port}
    with servers.orthanc(folder, images, {}, DicomModalities={"RX": entry}) as server:
        pacs = dm.Pacs(f"ORTHANC@{host}:{server.dicom_port}")
        found = dm.find(pd.DataFrame({"PatientID": ["SYN*"]}), pacs, progress=False)
        return dm.move(found, pacs, receiver, progress=False).iloc[0]


def assert_named(row: pd.Series[Any], receiver: dm.Receiver, reason: str) -> None:
    """The row blames the receiver, and names the peer and the reason; so does the table of refusals."""
    assert (row["outcome"], row["error"], row["received"]) == ("failed", "receiver_refused", 0)
    assert HOST in str(row["advice"])
    assert reason in str(row["advice"])
    refused = receiver.refused
    assert set(refused["address"]) == {HOST}
    assert refused["count"].sum() >= 1


@pytest.mark.timeout(60)
def test_a_pacs_that_sends_from_another_address(tmp_path: Path, images: Path) -> None:
    with dm.Receiver(tmp_path / "received", port=0) as receiver:
        row = moved(tmp_path, images, receiver, host=own_address())
        assert_named(row, receiver, "give allow to the receiver")


@pytest.mark.timeout(60)
def test_a_pacs_that_calls_another_ae_title(tmp_path: Path, images: Path) -> None:
    # Orthanc finds the destination whatever its case, and calls it as its entry has it.
    with dm.Receiver(tmp_path / "received", port=0, ae_title="Dicomove") as receiver:
        row = moved(tmp_path, images, receiver, called="DICOMOVE")
        assert_named(row, receiver, "ORTHANC at 127.0.0.1: it called DICOMOVE, this receiver is Dicomove")
        assert set(receiver.refused["ae_title"]) == {"ORTHANC"}


@pytest.mark.timeout(60)
def test_a_pacs_without_tls(tmp_path: Path, images: Path) -> None:
    identity = Authority.make(tmp_path).sign("localhost", HOST)
    tls = TLS(certificate=identity.certificate, key=identity.key)
    with dm.Receiver(tmp_path / "received", port=0, tls=tls) as receiver:
        row = moved(tmp_path, images, receiver)
        assert_named(row, receiver, "this receiver speaks TLS")


# ------------------------------------------------------------------------------------------------- the rehearsal PACS

ONE = Synthetic(studies=1, instances=2, size=512)
#: Enough to meet a race, at one connection for each study.
MANY = Synthetic(studies=50, instances=1, size=128)


def server_tls(folder: Path) -> TLS:
    identity = Authority.make(folder).sign("localhost", HOST)
    return TLS(certificate=identity.certificate, key=identity.key)


def rehearsed(receiver: dm.Receiver, source: Synthetic, storing_tls: TLS | None = None) -> pd.DataFrame:
    """Move all studies from a rehearsal PACS to this receiver."""
    known = receiver.as_destination()
    with RehearsalPacs(source, destinations=known, storing_tls=storing_tls) as pacs:
        uids = dict.fromkeys(one.study_instance_uid for one in source.instances_of_all())
        return receiving.move(pd.DataFrame({"StudyInstanceUID": list(uids)}), pacs, receiver)


def store_without_end(port: int, ended: threading.Event) -> None:
    """Be in the middle of a C-STORE until told otherwise: half a byte in a second would be enough."""
    with socket.create_connection((HOST, port), timeout=10) as sock:
        sock.sendall(pdus.associate_request("DICOMOVE", {CTImageStorage: [ImplicitVRLittleEndian]}))
        assert sock.recv(4096)[0] == ASSOCIATE_AC
        sock.sendall(store_request("1.2.3.4"))
        while not ended.wait(0.1):
            sock.sendall(data_pdu(bytes(2), last=False))


@contextmanager
def occupied(receiver: dm.Receiver) -> Iterator[None]:
    """Take the only place of a receiver, as long as this lasts."""
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        storing = pool.submit(store_without_end, receiver.port, ended)
        try:
            wait_until(lambda: bool(receiving.partial(receiver.folder)) or storing.done())
            yield
        finally:
            ended.set()
            storing.result()


@pytest.mark.timeout(60)
def test_a_receiver_without_a_free_place(tmp_path: Path) -> None:
    limits = Limits(associations=1)
    with receiving.receiver(tmp_path, allow=HOST, limits=limits) as receiver:
        with occupied(receiver):
            row = rehearsed(receiver, ONE).iloc[0]
            assert_named(row, receiver, f"turned away {HOST}: all associations that there may be are busy")
            assert "raise associations of the receiver's limits" in row["advice"]
        assert rehearsed(receiver, ONE)["outcome"].tolist() == ["complete"]


DEFECT = """
import sys

class Defect:
    def find_spec(self, name, path=None, target=None):
        if name == "dicomove.receiver.own_process.server" and "dicomove.receiver.own_process.scp" in sys.modules:
            def run(self):
                raise ZeroDivisionError("a defect")
            sys.modules["dicomove.receiver.own_process.scp"].StorageScp.run = run
        return None

sys.meta_path.insert(0, Defect())
"""


@pytest.mark.timeout(60)
def test_a_defect_of_the_receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver's process has a defect that raises in the middle of an association: a row says so."""
    (tmp_path / "sitecustomize.py").write_text(DEFECT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with receiving.receiver(tmp_path / "received") as receiver:
        row = rehearsed(receiver, ONE).iloc[0]
        assert (row["outcome"], row["error"], row["status"]) == ("failed", "internal_error", "0xA702")
        assert f"turned away REHEARSAL at {HOST}: dicomove has a defect (ZeroDivisionError)" in row["advice"]
        assert "report it with the log" in row["advice"]
        assert receiver.refused[["ae_title", "reason"]].to_numpy().tolist() == [
            ["REHEARSAL", "dicomove has a defect (ZeroDivisionError)"]
        ]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("quiet_period", [0, 0.1])
def test_a_peer_without_tls_is_named_each_time(tmp_path: Path, quiet_period: float) -> None:
    with receiving.receiver(tmp_path / "received", tls=server_tls(tmp_path), quiet_period=quiet_period) as receiver:
        results = rehearsed(receiver, MANY)
        for _, row in results.iterrows():
            assert_named(row, receiver, f"turned away {HOST}: this receiver speaks TLS: the PACS connected without TLS")
        assert receiver.refused["count"].sum() == len(results) == 50


@pytest.mark.timeout(60)
def test_a_pacs_without_a_certificate(tmp_path: Path) -> None:
    """The user of the receiver cannot give one: the PACS has to."""
    authority = Authority.make(tmp_path)
    identity = authority.sign("localhost", HOST)
    tls = TLS(ca=authority.file, certificate=identity.certificate, key=identity.key)
    with receiving.receiver(tmp_path / "received", tls=tls) as receiver:
        row = rehearsed(receiver, ONE, storing_tls=TLS(ca=authority.file)).iloc[0]
        assert_named(row, receiver, "the PACS showed no certificate, and ca= of the Receiver's TLS requires one")
        assert "give TLS(" not in row["advice"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("quiet_period", [0, 0.1])
def test_a_peer_that_does_not_trust_us_is_named_each_time(tmp_path: Path, quiet_period: float) -> None:
    """The PACS is the first to know, and the receiver learns it from an alert."""
    stranger = Authority.make(tmp_path / "stranger").file
    with receiving.receiver(tmp_path / "received", tls=server_tls(tmp_path), quiet_period=quiet_period) as receiver:
        results = rehearsed(receiver, MANY, storing_tls=TLS(ca=stranger))
        for _, row in results.iterrows():
            assert_named(row, receiver, f"turned away {HOST}: this receiver speaks TLS")
        assert receiver.refused["count"].sum() == len(results) == 50


@pytest.mark.timeout(120)
@pytest.mark.parametrize("quiet_period", [0, 0.1])
def test_a_peer_with_tls_is_named_each_time(tmp_path: Path, quiet_period: float) -> None:
    with receiving.receiver(tmp_path / "received", quiet_period=quiet_period) as receiver:
        results = rehearsed(receiver, MANY, storing_tls=TLS(ca=Authority.make(tmp_path).file))
        for _, row in results.iterrows():
            assert_named(row, receiver, f"turned away {HOST}: the peer speaks TLS on this port")
        assert receiver.refused["count"].sum() == len(results) == 50


class Slow(Admission):
    """Counts late, as where the machine has more to do: what a peer learns before is not known."""

    def refuse(self, *facts: Any) -> None:
        time.sleep(0.2)
        super().refuse(*facts)


def no_tls(port: int, _: Path) -> None:
    with socket.create_connection((HOST, port), timeout=10) as sock:
        sock.sendall(pdus.associate_request("DICOMOVE", {CTImageStorage: [ImplicitVRLittleEndian]}))
        sock.recv(1)


def no_dicom(port: int, _: Path) -> None:
    with socket.create_connection((HOST, port), timeout=10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        sock.recv(1)


def other_ciphers(port: int, _: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")
    shake_hands(context, port)


def no_trust(port: int, folder: Path) -> None:
    context = ssl.create_default_context(cafile=str(Authority.make(folder / "stranger").file))
    shake_hands(context, port)


def shake_hands(context: ssl.SSLContext, port: int) -> None:
    with socket.create_connection((HOST, port), timeout=10) as sock:
        context.wrap_socket(sock, server_hostname=HOST)


@pytest.mark.parametrize("is_admitted", [True, False])
@pytest.mark.parametrize("peer", [no_tls, no_dicom, other_ciphers, no_trust])
def test_it_is_counted_before_the_verdict(tmp_path: Path, peer: Callable[[int, Path], None], is_admitted: bool) -> None:
    """The peer knows that it was turned away: so does whoever asks from then on, however slow the receiver is."""
    admission = Slow([network(HOST)] if is_admitted else [])
    storage: Any = None  # nothing is stored
    server = StorageServer(HOST, 0, "DICOMOVE", admission, storage, Limits(), server_side(server_tls(tmp_path)))
    try:
        for _ in range(3):
            with suppress(OSError):
                peer(server.port, tmp_path)
            admission.wait_until_decided(5)
            ((refusal, count),) = admission.refused()
            assert (refusal.address, refusal.kind, count) == (HOST, "tls" if is_admitted else "address", 1)
    finally:
        server.close()


def test_a_silent_handshake_delays_no_verdict_for_long() -> None:
    admission = Admission([])
    with admission.deciding():
        started = time.monotonic()
        admission.wait_until_decided(0.1)
        assert 0.05 < time.monotonic() - started < 5
    admission.wait_until_decided(60)
