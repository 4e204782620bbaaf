"""What `doctor` says of a destination's entry with a wrong host, and of a firewall: machines are network namespaces."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.receiver import pacs_entry
from dicomove.testing.synthetic import synthetic_instances
from tests import namespaces, servers
from tests.namespaces import Namespace

PACS, OURS, OTHER_CARD, NONE = "10.77.1.1", "10.77.1.2", "10.77.2.2", "10.77.1.99"
#: Everyone has it: each machine has ports of its own.
PORT = 11112
#: How the PACS knows the receiver: rightly, or by the address of the other network card, of no machine, of the PACS.
ENTRIES = {"RIGHT": OURS, "OTHER_CARD": OTHER_CARD, "NO_MACHINE": NONE, "ITSELF": PACS}
#: After which the PACS gives up.
SLOW_S = 2


@dataclass(frozen=True)
class Site:
    """A PACS on its machine, and ours."""

    name: str
    pacs: dm.Pacs
    ours: Namespace
    register: Callable[[str, str], object] | None


@pytest.fixture(autouse=True)
def no_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacs_entry, "CONTAINER_FILES", ())
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return servers.write(synthetic_instances(studies=1, instances=1, size=64), tmp_path_factory.mktemp("few"))


@contextmanager
def at_orthanc(machine: Namespace, folder: Path, few: Path) -> Iterator[tuple[dm.Pacs, Callable[[str, str], object]]]:
    with servers.orthanc(folder, few, {}, DicomScuTimeout=SLOW_S) as orthanc:

        def register(ae_title: str, host: str) -> None:
            with machine.entered():
                entry = json.dumps([ae_title, host, PORT]).encode()
                orthanc.request("PUT", f"/modalities/{ae_title}", entry)

        for ae_title, host in ENTRIES.items():
            register(ae_title, host)
        yield dm.Pacs(f"ORTHANC@{PACS}:{orthanc.dicom_port}"), register


@contextmanager
def at_dcmqrscp(_: Namespace, folder: Path, few: Path) -> Iterator[tuple[dm.Pacs, None]]:
    entries = {ae_title: (host, PORT) for ae_title, host in ENTRIES.items()}
    with servers.dcmqrscp(folder, few, entries, options=("-to", str(SLOW_S))) as port:
        yield dm.Pacs(f"DCMQRSCP@{PACS}:{port}"), None


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, few: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        pacs_machine, ours, office = stack.enter_context(namespaces.machines("pacs", "ours", "office"))
        namespaces.connect(ours, OURS, pacs_machine, PACS, 0)
        namespaces.connect(ours, OTHER_CARD, office, "10.77.2.1", 1)
        # The default route of our machine is the wrong one, and the PACS has none.
        ours.ip("route", "add", "default", "via", "10.77.2.1")
        serve = at_orthanc if request.param == "orthanc" else at_dcmqrscp
        with pacs_machine.entered():
            pacs, register = stack.enter_context(serve(pacs_machine, tmp_path_factory.mktemp("pacs"), few))
        yield Site(request.param, pacs, ours, register)


def examined(site: Site, ae_title: str, folder: Path) -> pd.DataFrame:
    with site.ours.entered(), dm.Receiver(folder, ae_title=ae_title, port=PORT, quiet_period=0.5) as receiver:
        return dm.doctor(site.pacs, receiver, move_one=True).set_index("check")


def cell(table: pd.DataFrame, check: str, column: str) -> str:
    return str(table.loc[check, column])


def failed(table: pd.DataFrame) -> list[str]:
    return table.index[table["verdict"] == "failed"].tolist()


def test_the_right_entry(site: Site, tmp_path: Path) -> None:
    table = examined(site, "RIGHT", tmp_path)
    assert failed(table) == []
    assert f"from {PACS}" in cell(table, "connection back", "found")


@pytest.mark.parametrize(
    ("ae_title", "why"),
    [("OTHER_CARD", "gave up at once"), ("NO_MACHINE", "The PACS waited"), ("ITSELF", "gave up at once")],
)
def test_an_entry_with_a_wrong_host(site: Site, ae_title: str, why: str, tmp_path: Path) -> None:
    table = examined(site, ae_title, tmp_path)
    assert failed(table) == ["one instance", "connection back"]
    right = f"AE title {ae_title}, host {OURS}, port {PORT}"
    assert f"compare the PACS's entry with this: {right}" in cell(table, "one instance", "remedy")
    assert why in cell(table, "one instance", "remedy")
    assert f"The PACS's entry has to be: {right}" in cell(table, "connection back", "remedy")
    if site.register:
        site.register(ae_title, OURS)  # as the remedy says
        assert failed(examined(site, ae_title, tmp_path)) == []


def test_a_firewall_before_the_receiver(site: Site, tmp_path: Path) -> None:
    site.ours.drop(PACS, "eth0", PORT)
    try:
        table = examined(site, "RIGHT", tmp_path)
    finally:
        site.ours.stop_dropping()
    assert failed(table) == ["one instance", "connection back"]
    assert "The PACS waited: a firewall" in cell(table, "one instance", "remedy")
    assert "A firewall has to let the PACS connect to this port" in cell(table, "connection back", "remedy")
    assert failed(examined(site, "RIGHT", tmp_path)) == []  # it is open again
