"""Orthanc is turned away by the receiver: the row says so, and why."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dicomove as dm
from dicomove.testing import Synthetic
from dicomove.tls import TLS
from tests import servers
from tests.certificates import Authority

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
