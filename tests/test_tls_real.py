"""TLS with real programs: Orthanc, DCMTK and pynetdicom, as the PACS and as what stores to the receiver."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made when it is imported
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

import dicomove as dm
from dicomove.testing import RehearsalPacs, Synthetic
from dicomove.tls import TLS
from tests import servers
from tests.certificates import Authority, Identity

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def theirs(authority: Authority) -> Identity:
    return authority.sign("localhost", HOST)


@pytest.fixture(scope="module")
def ours(authority: Authority) -> TLS:
    """What we show, and whom we trust: as the caller, and as the receiver."""
    identity = authority.sign("localhost", HOST)
    return TLS(ca=authority.file, certificate=identity.certificate, key=identity.key)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = Synthetic(studies=2, instances=3, size=4096)
    return servers.write(archive.instances_of_all(), tmp_path_factory.mktemp("images"))


@contextmanager
def orthanc(folder: Path, images: Path, authority: Authority, identity: Identity, port: int) -> Iterator[dm.Pacs]:
    options = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(identity.certificate),
        "DicomTlsPrivateKey": str(identity.key),
        "DicomTlsTrustedCertificates": str(authority.file),
        "DicomTlsRemoteCertificateRequired": True,
        "DicomModalities": {"DICOMOVE": {"AET": "DICOMOVE", "Host": HOST, "Port": port, "UseDicomTls": True}},
    }
    with servers.orthanc(folder, images, {}, **options) as server:
        yield dm.Pacs(f"ORTHANC@{HOST}:{server.dicom_port}")


def secured(pacs: dm.Pacs, tls: object) -> dm.Pacs:
    return dm.Pacs(pacs.address, tls=tls)  # type: ignore[arg-type]  # some tests give what it is not


def test_from_orthanc_into_a_receiver(
    tmp_path: Path, images: Path, authority: Authority, theirs: Identity, ours: TLS
) -> None:
    with (
        dm.Receiver(tmp_path / "received", port=0, host=HOST, tls=ours) as receiver,
        orthanc(tmp_path, images, authority, theirs, receiver.port) as pacs,
    ):
        assert dm.echo(secured(pacs, ours)).status == "0x0000"
        studies = dm.find(pd.DataFrame({"PatientID": ["SYN*"]}), secured(pacs, ours), progress=False)
        results = dm.move(studies, secured(pacs, ours), receiver, progress=False)
    assert results["outcome"].tolist() == ["complete"] * 2
    assert results["received"].tolist() == [3, 3]
    assert dm.verify(tmp_path / "received")["verified"].tolist() == ["ok"] * 6


def test_c_get_from_orthanc(tmp_path: Path, images: Path, authority: Authority, theirs: Identity, ours: TLS) -> None:
    with dm.Receiver(tmp_path / "received", port=None) as receiver:
        with orthanc(tmp_path, images, authority, theirs, 9) as pacs:
            studies = dm.find(dm.query(patient_name="*"), secured(pacs, ours), progress=False)
            results = dm.move(studies, secured(pacs, ours), receiver, method="get", progress=False, journal=False)
        assert results["outcome"].tolist() == ["complete"] * 2
        assert len(receiver.manifest()) == 6


def test_refusals_of_orthanc_have_a_reason(
    tmp_path: Path, images: Path, authority: Authority, theirs: Identity, ours: TLS, stranger: Authority
) -> None:
    other = stranger.sign("research.example")
    with orthanc(tmp_path, images, authority, theirs, 1) as pacs:
        for tls, words in (
            (TLS(ca=authority.file), "certificate"),  # it shows none
            (TLS(ca=authority.file, certificate=other.certificate, key=other.key), "does not accept our certificate"),
            (TLS(ca=stranger.file), "authority that is not trusted here"),
            (None, "tls= was not given"),
        ):
            with pytest.raises(dm.errors.AssociationError, match=words) as raised:
                dm.echo(secured(pacs, tls))
            assert raised.value.error == "tls_failed"
        context = ssl.create_default_context(cafile=str(authority.file))
        context.load_cert_chain(str(ours.certificate), str(ours.key))
        assert dm.echo(secured(pacs, context)).status == "0x0000"


def test_a_row_says_why_tls_failed(stranger: Authority, theirs: Identity) -> None:
    listening = TLS(certificate=theirs.certificate, key=theirs.key)
    with RehearsalPacs(Synthetic(studies=1), tls=listening) as pacs:
        results = dm.move(
            pd.DataFrame({"StudyInstanceUID": ["1.2.3"]}),
            dm.Pacs(pacs.address, tls=TLS(ca=stranger.file)),
            pacs.destination,
            retry=dm.Retry(attempts=3, wait=0, on=["tls_failed"]),
            progress=False,
        )
    row = results.iloc[0]
    assert (row["outcome"], row["error"], row["attempts"]) == ("unreachable", "tls_failed", 0)
    assert "authority that is not trusted here" in row["advice"]


def test_a_row_says_that_orthanc_wants_tls(
    tmp_path: Path, images: Path, authority: Authority, theirs: Identity
) -> None:
    """Orthanc resets a connection without TLS, and would ask for our certificate: the row names TLS all the same."""
    table = pd.DataFrame({"StudyInstanceUID": ["1.2.3", "1.2.4"]})
    with orthanc(tmp_path, images, authority, theirs, 1) as pacs:
        for method in ("move", "get"):
            with dm.Receiver(tmp_path / method, port=0, host=HOST) as receiver:
                results = dm.move(table, pacs, receiver, method=method, progress=False, journal=False)
            assert results["outcome"].tolist() == ["unreachable"] * 2
            assert results["error"].tolist() == ["tls_failed"] * 2
            assert results["advice"].str.contains("speaks TLS on this port, and tls= was not given").all()
        found = dm.find(table, pacs, progress=False)
    assert found["error"].tolist() == ["tls_failed"] * 2


@pytest.mark.parametrize("trust", [["+cf"], ["-ic"]], ids=["wants a certificate", "wants none"])
def test_dcmtk_wants_tls(tmp_path: Path, authority: Authority, theirs: Identity, trust: list[str]) -> None:
    port = servers.free_port()
    checks = [*trust, str(authority.file)] if trust == ["+cf"] else trust
    options = ["+tls", str(theirs.key), str(theirs.certificate), *checks, "-aet", "DCMTK", "-od", str(tmp_path)]
    with (
        servers.running([servers.program("storescp"), *options, str(port)], port, tmp_path),
        pytest.raises(dm.errors.TlsFailed, match="tls= was not given") as raised,
    ):
        dm.echo(dm.Pacs(f"DCMTK@{HOST}:{port}"))
    assert raised.value.permanent


def test_a_pacs_that_drops_connections_is_asked_for_tls_once() -> None:
    """A PACS closes, too, where it does not know our AE title: that is no matter of TLS."""
    with servers.counting() as counter:
        for _ in range(3):
            with pytest.raises(dm.errors.ConnectionLost) as raised:
                dm.echo(counter.pacs)
            assert raised.value.error == "connection_lost"
        assert counter.connections == 3 + 1


def test_dcmtk_answers_and_stores(
    tmp_path: Path, images: Path, authority: Authority, theirs: Identity, ours: TLS
) -> None:
    port = servers.free_port()
    options = ["+tls", str(theirs.key), str(theirs.certificate), "+cf", str(authority.file)]
    command = [servers.program("storescp"), *options, "-aet", "DCMTK", "-od", str(tmp_path), str(port)]
    with servers.running(command, port, tmp_path):
        assert dm.echo(dm.Pacs(f"DCMTK@{HOST}:{port}", tls=ours)).status == "0x0000"
    with dm.Receiver(tmp_path / "received", port=0, host=HOST, accept="any", allow=[HOST], tls=ours) as receiver:
        called = ["-aec", "DICOMOVE", HOST, str(receiver.port)]
        subprocess.run(
            [servers.program("storescu"), *options, "+sd", "+r", *called, str(images)], check=True, capture_output=True
        )
        plain = subprocess.run([servers.program("echoscu"), *called], check=False, capture_output=True)
        assert plain.returncode
        assert len(receiver.manifest()) == 6


def scp(images: Path, destination: tuple[str, int], context: ssl.SSLContext) -> AE:
    """A C-FIND and C-MOVE SCP of pynetdicom that stores over TLS."""
    files = [dcmread(path) for path in sorted(images.rglob("*.dcm"))]
    ae = AE("PYNETDICOM")
    for syntax in (
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelMove,
        Verification,
    ):
        ae.add_supported_context(syntax)

    def move(event: Event) -> Iterator[object]:
        wanted = [one for one in files if one.StudyInstanceUID == event.identifier.StudyInstanceUID]
        ae.requested_contexts = []
        ae.add_requested_context(CTImageStorage)
        yield (*destination, {"tls_args": (context, HOST)})
        yield len(wanted)
        for one in wanted:
            yield 0xFF00, one

    def find(event: Event) -> Iterator[tuple[int, Dataset | None]]:
        answer = Dataset()
        answer.QueryRetrieveLevel = "STUDY"
        answer.StudyInstanceUID = event.identifier.StudyInstanceUID
        answer.NumberOfStudyRelatedInstances = 3
        yield 0xFF00, answer

    ae.bound = [(evt.EVT_C_MOVE, move), (evt.EVT_C_FIND, find)]  # type: ignore[attr-defined]
    return ae


def test_pynetdicom_answers_and_stores(
    tmp_path: Path, images: Path, authority: Authority, theirs: Identity, ours: TLS
) -> None:
    storing = ssl.create_default_context(cafile=str(authority.file))
    storing.load_cert_chain(theirs.certificate, theirs.key)
    listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.file))
    listening.load_cert_chain(theirs.certificate, theirs.key)
    listening.verify_mode = ssl.CERT_REQUIRED
    with dm.Receiver(tmp_path / "received", port=0, host=HOST, tls=ours) as receiver:
        ae = scp(images, (HOST, receiver.port), storing)
        server = ae.start_server((HOST, 0), block=False, ssl_context=listening, evt_handlers=ae.bound)  # type: ignore[attr-defined]
        assert server
        assert server.socket
        try:
            pacs = dm.Pacs(f"PYNETDICOM@{HOST}:{server.socket.getsockname()[1]}", tls=ours)
            assert dm.echo(pacs).status == "0x0000"
            study = dcmread(next(images.rglob("*.dcm"))).StudyInstanceUID
            # Under load, a thread of pynetdicom takes an answer away from the one that waits for it.
            retry = dm.Retry(attempts=3, wait=0)
            table = pd.DataFrame({"StudyInstanceUID": [study]})
            results = dm.move(table, pacs, receiver, retry=retry, progress=False)
        finally:
            server.shutdown()
            server.server_close()
    assert results[["outcome", "received"]].iloc[0].tolist() == ["complete", 3]


def test_rows_of_a_rehearsal_over_tls_and_an_idle_association(tmp_path: Path, ours: TLS) -> None:
    """One association carries find and several moves; a busy line and a silent one are told apart under TLS, too."""
    with dm.Receiver(tmp_path, port=0, host=HOST, tls=ours) as receiver:
        given = {"destinations": receiver.as_destination(), "tls": ours, "storing_tls": ours}
        with RehearsalPacs(Synthetic(studies=5, instances=4), **given) as pacs:  # type: ignore[arg-type]
            where = dm.Pacs(pacs.address, tls=ours)
            studies = dm.find(pd.DataFrame({"PatientID": ["SYN*"]}), where, progress=False)
            results = dm.move(studies, where, receiver, concurrency=2, progress=False)
    assert results["outcome"].tolist() == ["complete"] * 5
