"""Receivers and PACS on different machines, which are network namespaces: two network cards, NAT, a firewall."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.errors import ReceiverWarning
from dicomove.receiver import pacs_entry
from dicomove.testing.synthetic import synthetic_instances
from tests import namespaces, servers
from tests.namespaces import Namespace
from tests.servers import Orthanc

PACS, WORKSTATION, OFFICE = "10.77.1.1", "10.77.1.2", "10.77.2.2"
GATEWAY, INSIDE = "10.77.3.1", "10.77.3.2"
INSTANCES = 4
#: Each machine has ports of its own.
PORT = 11112


@dataclass(frozen=True)
class Hospital:
    """An Orthanc on a machine of its own."""

    machine: Namespace
    orthanc: Orthanc

    @property
    def pacs(self) -> dm.Pacs:
        return dm.Pacs(f"ORTHANC@{PACS}:{self.orthanc.dicom_port}", connect_timeout=5)

    def register(self, ae_title: str, host: str, port: int) -> None:
        """Enter a destination, as an administrator does."""
        self.enter(json.dumps({ae_title: [ae_title, host, port]}))

    def enter(self, modality: str) -> None:
        """Enter what `orthanc_modality` prints."""
        ((name, entry),) = json.loads(modality).items()
        with self.machine.entered():
            self.orthanc.request("PUT", f"/modalities/{name}", json.dumps(entry).encode())


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return servers.write(
        synthetic_instances(studies=2, instances=INSTANCES // 2, size=512), tmp_path_factory.mktemp("few")
    )


@pytest.fixture
def hospital(tmp_path: Path, few: Path) -> Iterator[Hospital]:
    with namespaces.machines("pacs") as (machine,), machine.entered():
        folder = tmp_path / "orthanc"
        folder.mkdir()
        with servers.orthanc(folder, few, {}, DicomScuTimeout=2) as orthanc:
            yield Hospital(machine, orthanc)


@pytest.fixture
def workstation(hospital: Hospital) -> Iterator[Namespace]:
    """A machine with two network cards; the way to the PACS is not the default route."""
    with namespaces.machines("workstation", "office") as (machine, office):
        namespaces.connect(machine, WORKSTATION, hospital.machine, PACS, 0)
        namespaces.connect(machine, OFFICE, office, "10.77.2.1", 1)
        machine.ip("route", "add", "default", "via", "10.77.2.1")
        yield machine


@pytest.fixture
def container(hospital: Hospital) -> Iterator[tuple[Namespace, Namespace]]:
    """A machine behind a gateway, and the gateway: it reaches the PACS, which may not connect to it."""
    with namespaces.machines("inside", "gateway") as (machine, gateway):
        namespaces.connect(gateway, WORKSTATION, hospital.machine, PACS, 0)
        namespaces.connect(gateway, GATEWAY, machine, INSIDE, 1)
        gateway.forward()
        machine.ip("route", "add", "default", "via", GATEWAY)
        hospital.machine.ip("route", "add", INSIDE, "via", WORKSTATION)
        machine.drop(PACS, "eth1", PORT)
        yield machine, gateway


@pytest.fixture
def behind_nat(hospital: Hospital) -> Iterator[tuple[Namespace, int]]:
    """A machine behind a router with NAT, and the router's port that it forwards: the PACS knows the router alone."""
    outside = servers.free_port()
    with namespaces.machines("inside", "router") as (machine, router):
        namespaces.connect(router, WORKSTATION, hospital.machine, PACS, 0)
        namespaces.connect(router, GATEWAY, machine, INSIDE, 1)
        machine.ip("route", "add", "default", "via", GATEWAY)
        router.translate("eth0", outside, (INSIDE, PORT))
        yield machine, outside


@pytest.fixture(autouse=True)
def no_container(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Tests may run in a container, which is another subject."""
    if "in_container" not in request.fixturenames:
        monkeypatch.setattr(pacs_entry, "CONTAINER_FILES", ())
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.fixture
def in_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pacs_entry, "CONTAINER_FILES", (str(tmp_path),))


def cohort() -> pd.DataFrame:
    return pd.DataFrame({"PatientID": ["SYN000001", "SYN000002"]})


def retrieved(pacs: dm.Pacs, receiver: dm.Receiver, **options: object) -> pd.DataFrame:
    studies = dm.find(cohort(), pacs, progress=False)
    return dm.move(studies, pacs, receiver, progress=False, **options)  # type: ignore[arg-type]


def cell(table: pd.DataFrame, check: str, column: str) -> str:
    return str(table.set_index("check").loc[check, column])


def failed(table: pd.DataFrame) -> list[str]:
    return table["check"][table["verdict"] == "failed"].tolist()


def test_of_two_addresses_that_on_the_way_to_the_pacs_is_shown(
    hospital: Hospital, workstation: Namespace, tmp_path: Path
) -> None:
    with workstation.entered(), dm.Receiver(tmp_path / "images", port=0) as receiver:
        assert receiver.address_for() == (OFFICE, receiver.port)
        assert receiver.address_for(hospital.pacs) == (WORKSTATION, receiver.port)
        for entry in (
            receiver.orthanc_modality(hospital.pacs),
            receiver.dcmtk_host(hospital.pacs),
            receiver.dcm4chee_device(hospital.pacs),
        ):
            assert WORKSTATION in entry
            assert OFFICE not in entry
        hospital.enter(receiver.orthanc_modality(hospital.pacs))
        results = retrieved(hospital.pacs, receiver)
        assert results["outcome"].tolist() == ["complete"] * 2
        assert receiver.manifest()["address"].unique().tolist() == [PACS]
        # From now on it knows its PACS.
        assert f"host {WORKSTATION}, port {receiver.port}" in repr(receiver)
        assert WORKSTATION in receiver.dcmtk_host()
        table = dm.doctor(hospital.pacs, receiver, move_one=True)
        assert failed(table) == []
        assert f"came from {PACS} as ORTHANC" in cell(table, "connection back", "found")


@pytest.mark.usefixtures("in_container")
def test_behind_nat_the_advertised_address_is_shown_and_reached(
    hospital: Hospital, container: tuple[Namespace, Namespace], tmp_path: Path
) -> None:
    inside, gateway = container
    outside = servers.free_port()
    with gateway.entered(), servers.relay((INSIDE, PORT), (WORKSTATION, outside)), inside.entered():
        there = f"{WORKSTATION}:{outside}"
        with dm.Receiver(tmp_path, port=PORT, advertise=there, quiet_period=0.5) as receiver:
            assert f"host {WORKSTATION}, port {outside}" in repr(receiver)
            assert receiver.as_destination() == {"DICOMOVE": (WORKSTATION, outside)}
            assert receiver.dcmtk_host() == f"dicomove = (DICOMOVE, {WORKSTATION}, {outside})"
            assert cell(dm.doctor(hospital.pacs, receiver), "connection back", "verdict") == "skipped"
            hospital.enter(receiver.orthanc_modality())
            # The gateway puts its own address in the place of the PACS's, and the remedy names it.
            table = dm.doctor(hospital.pacs, receiver, move_one=True)
            assert "connection back" in failed(table)
            assert f"allow=['{GATEWAY}']" in cell(table, "connection back", "remedy")
        with dm.Receiver(tmp_path, port=PORT, advertise=there, allow=[GATEWAY]) as receiver:
            assert failed(dm.doctor(hospital.pacs, receiver, move_one=True)) == []
            assert retrieved(hospital.pacs, receiver)["outcome"].tolist() == ["complete"] * 2


def test_behind_a_router_with_nat_the_pacs_comes_through_the_port_that_it_forwards(
    hospital: Hospital, behind_nat: tuple[Namespace, int], tmp_path: Path
) -> None:
    inside, outside = behind_nat
    there = f"{WORKSTATION}:{outside}"
    with inside.entered(), dm.Receiver(tmp_path, port=PORT, advertise=there) as receiver:
        assert f"host {WORKSTATION}, port {outside}" in repr(receiver)
        hospital.enter(receiver.orthanc_modality())
        table = dm.doctor(hospital.pacs, receiver, move_one=True)
        assert failed(table) == []
        # Unlike a program that forwards, the router leaves the address of the PACS as it is: it needs no allow=.
        assert f"connected from {PACS} as ORTHANC" in cell(table, "connection back", "found")
        assert retrieved(hospital.pacs, receiver)["outcome"].tolist() == ["complete"] * 2
        assert receiver.manifest()["address"].unique().tolist() == [PACS]


def test_behind_a_router_with_nat_the_own_address_is_of_no_use_to_the_pacs(
    hospital: Hospital, behind_nat: tuple[Namespace, int], tmp_path: Path
) -> None:
    with behind_nat[0].entered(), dm.Receiver(tmp_path, port=PORT, quiet_period=0.5) as receiver:
        assert receiver.address_for(hospital.pacs) == (INSIDE, PORT)
        hospital.enter(receiver.orthanc_modality(hospital.pacs))
        assert set(retrieved(hospital.pacs, receiver)["outcome"]) == {"failed"}
        results = retrieved(hospital.pacs, receiver, method="auto")
        assert (set(results["outcome"]), set(results["method"])) == ({"complete"}, {"get"})


@pytest.mark.usefixtures("in_container")
def test_the_address_of_a_container_is_warned_of(
    hospital: Hospital, container: tuple[Namespace, Namespace], tmp_path: Path
) -> None:
    pacs = hospital.pacs
    with container[0].entered(), dm.Receiver(tmp_path / "images", port=PORT, quiet_period=0.5) as receiver:
        table = dm.doctor(pacs, receiver)
        assert cell(table, "connection back", "verdict") == "warning"
        assert f"the PACS may not reach its address {INSIDE}." in cell(table, "connection back", "found")
        assert "advertise='host:port'" in cell(table, "connection back", "remedy")
        hospital.enter(receiver.orthanc_modality(pacs))
        with pytest.warns(ReceiverWarning, match=f"may not reach its address {INSIDE}.*advertise="):
            results = retrieved(pacs, receiver)
        assert set(results["outcome"]) == {"failed"}
        # Said once, and of no use for C-GET, which needs no way back.
        assert retrieved(pacs, receiver, method="get")["outcome"].tolist() == ["complete"] * 2


@pytest.mark.usefixtures("in_container")
def test_a_pacs_in_the_same_network_reaches_a_container(
    hospital: Hospital, workstation: Namespace, tmp_path: Path
) -> None:
    with workstation.entered(), dm.Receiver(tmp_path / "images", port=PORT) as receiver:
        hospital.enter(receiver.orthanc_modality(hospital.pacs))
        assert retrieved(hospital.pacs, receiver)["outcome"].tolist() == ["complete"] * 2  # and no warning


def test_where_the_pacs_has_no_way_back_auto_gets(
    hospital: Hospital, container: tuple[Namespace, Namespace], tmp_path: Path
) -> None:
    pacs = hospital.pacs
    with container[0].entered(), dm.Receiver(tmp_path / "images", port=PORT, quiet_period=0.5) as receiver:
        hospital.enter(receiver.orthanc_modality(pacs))
        results = retrieved(pacs, receiver, method="auto")
        assert results["outcome"].tolist() == ["complete"] * 2
        assert set(results["method"]) == {"get"}


def recipe(values: dict[str, str]) -> str:
    """The script of the page, with the values of the test in the place of its own."""
    page = (Path(__file__).parents[1] / "docs" / "how-to" / "several-machines.md").read_text()
    (script,) = re.findall(r"^```py\n(# retrieve_everywhere.py\n.*?)^```", page, re.MULTILINE | re.DOTALL)
    for name, value in values.items():
        script, count = re.subn(rf"^{name} = .*$", f"{name} = {value!r}", script, flags=re.MULTILINE)
        assert count == 1
    return str(script)


@contextmanager
def dask_worker(machine: Namespace, scheduler: str, name: str, folder: Path) -> Iterator[None]:
    here = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--name", name, "--no-dashboard"]
    folder.mkdir()
    port = servers.free_port()
    with machine.entered():
        options = ["--nworkers", "1", "--nthreads", "1", "--local-directory", str(folder), "--worker-port", str(port)]
        with servers.running([*here, *options], port, folder):
            yield


@pytest.mark.timeout(240)
def test_the_recipe_of_several_machines(hospital: Hospital, few: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    first, second, port = "10.77.1.2", "10.77.1.3", servers.free_port()
    with namespaces.switch() as switch, namespaces.machines("node1", "node2") as (node1, node2):
        for machine, address in ((hospital.machine, PACS), (node1, first), (node2, second)):
            namespaces.plug(switch, machine, address)
        hospital.register("NODE1", first, 11112)
        hospital.register("NODE2", second, 11112)
        values = {
            "PACS": hospital.pacs.address,
            "SCHEDULER": f"tcp://{first}:{port}",
            "FOLDER": str(tmp_path / "images"),
        }
        (tmp_path / "retrieve_everywhere.py").write_text(recipe(values))
        cohort().to_csv(tmp_path / "cohort.csv", index=False)
        scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", str(port), "--no-dashboard"]
        with (
            node1.entered(),
            servers.running(scheduler, port, tmp_path),
            dask_worker(node1, values["SCHEDULER"], "node1", tmp_path / "node1"),
            dask_worker(node2, values["SCHEDULER"], "node2", tmp_path / "node2"),
        ):
            command = [sys.executable, "retrieve_everywhere.py"]
            ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    results = dm.read_results(tmp_path / "results.csv")
    assert results["outcome"].tolist() == ["complete"] * 2
    assert results["machine"].tolist() == ["NODE1", "NODE2"]
    assert results["PatientID"].tolist() == cohort()["PatientID"].tolist()
    held = {one.instance for one in servers.held(few)}
    arrived = [path.stem for path in (tmp_path / "images").rglob("*.dcm")]
    assert len(arrived) == INSTANCES
    assert set(arrived) == held
    assert {len([*(tmp_path / "images" / name).rglob("*.dcm")]) for name in ("NODE1", "NODE2")} == {INSTANCES // 2}
