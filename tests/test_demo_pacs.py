"""The embedded PACS, as other programs see it: DCMTK's, and pynetdicom's own SCU."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import Dataset as Response
from pynetdicom import AE
from pynetdicom.association import Association

import dicomove as dm
from dicomove import Pacs
from dicomove.testing import RunningPacs, demo_pacs
from dicomove.testing.archive import Archive
from dicomove.testing.images import instance_uid, series_uid, study_uid
from dicomove.testing.server import QueryRetrieveScp
from dicomove.testing.synthetic import synthetic_instances
from tests import forks, servers
from tests.conftest import LONG
from tests.servers import CT_ONLY, DESTINATION, DOWN, Gate, Server, Store, program

pytestmark = pytest.mark.timeout(30)

VERIFICATION = "1.2.840.10008.1.1"
PATIENT_ROOT_FIND, PATIENT_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.1.2"
STUDY_ROOT_FIND, STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.2"

CT, DOCUMENTS = study_uid("A0001"), study_uid("A0201")
COUNTS = re.compile(r"(\w+) Suboperations *: (\d+|none)")
STATUS = re.compile(r"DIMSE Status *: (0x[0-9a-f]{4})")


def address(pacs: Pacs) -> list[str]:
    return ["-aec", pacs.called_ae_title, "-aet", "DCMTK", pacs.host, str(pacs.port)]


def dcmtk(name: str, pacs: Pacs, *arguments: str) -> str:
    """What a program of DCMTK says about the PACS."""
    command = [program(name), "-d", *arguments, *address(pacs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    return done.stdout + done.stderr


def keys(level: str, **values: str) -> list[str]:
    pairs = {"QueryRetrieveLevel": level, **values}
    return [argument for name, value in pairs.items() for argument in ("-k", f"{name}={value}")]


def last_counts(said: str) -> dict[str, str]:
    """The counts of the final response, as movescu writes them."""
    return dict(COUNTS.findall(said)[-4:])


@pytest.fixture
def association(demo: RunningPacs) -> Iterator[Association]:
    ae = AE(ae_title="PYNETDICOM")
    ae.requested_contexts = []
    for context in (VERIFICATION, PATIENT_ROOT_FIND, PATIENT_ROOT_MOVE, STUDY_ROOT_FIND, STUDY_ROOT_MOVE):
        ae.add_requested_context(context)
    made = ae.associate(demo.host, demo.port, ae_title=demo.called_ae_title)
    assert made.is_established
    yield made
    made.release()


def identifier(level: str, **values: str) -> Dataset:
    found = Dataset()
    found.QueryRetrieveLevel = level
    for name, value in values.items():
        setattr(found, name, value)
    return found


def statuses(responses: Iterator[tuple[Response, Dataset | None]]) -> list[tuple[int, Response, Dataset | None]]:
    return [(int(response.Status), response, data) for response, data in responses]


def test_echoscu(demo: RunningPacs) -> None:
    assert "Received Echo Response (Success)" in dcmtk("echoscu", demo)


@pytest.mark.parametrize(
    ("model", "query", "found"),
    [
        ("-S", keys("STUDY", AccessionNumber="A001", StudyInstanceUID=""), [study_uid("A001")]),
        ("-S", keys("STUDY", PatientID="000123", StudyInstanceUID=""), [study_uid("A0001"), study_uid("A0002")]),
        ("-S", keys("STUDY", StudyDate="20240520-20240521", StudyInstanceUID=""), [study_uid("A0200"), DOCUMENTS]),
        ("-S", keys("STUDY", AccessionNumber="A9999", StudyInstanceUID=""), []),
        ("-P", keys("STUDY", PatientID="123", StudyInstanceUID=""), [study_uid("A0300")]),
        (
            "-S",
            keys("SERIES", StudyInstanceUID=CT, SeriesInstanceUID=""),
            [series_uid("A0001", 1), series_uid("A0001", 2)],
        ),
        (
            "-S",
            keys("IMAGE", StudyInstanceUID=CT, SeriesInstanceUID=series_uid("A0001", 2), SOPInstanceUID=""),
            [instance_uid("reportsi.dcm")],
        ),
    ],
)
def test_findscu(demo: RunningPacs, tmp_path: Path, model: str, query: list[str], found: list[str]) -> None:
    said = dcmtk("findscu", demo, model, "-X", "-od", str(tmp_path), *query)
    assert STATUS.findall(said) == ["0xff00"] * len(found) + ["0x0000"]
    wanted = query[-1].rstrip("=")
    answers = [dcmread(path, force=True) for path in sorted(tmp_path.iterdir())]
    assert sorted(str(answer[wanted].value) for answer in answers) == sorted(found)


def test_findscu_cancels() -> None:
    archive = Archive(synthetic_instances(studies=1, instances=5000))
    series = f"{LONG}.1"
    query = keys("IMAGE", StudyInstanceUID=LONG, SeriesInstanceUID=series, SOPInstanceUID="")
    with servers.served(QueryRetrieveScp("TEST_PACS", archive, {})) as pacs:
        *pending, last = STATUS.findall(dcmtk("findscu", pacs, "-S", "--cancel", "2", *query))
    assert last == "0xfe00"
    assert set(pending) == {"0xff00"}
    assert 2 <= len(pending) < 5000


@pytest.mark.parametrize(
    ("model", "query", "instances"),
    [
        ("-S", keys("STUDY", StudyInstanceUID=CT), {"study": CT}),
        ("-P", keys("PATIENT", PatientID="000123"), {"patient": "000123"}),
        ("-P", keys("STUDY", PatientID="000123", StudyInstanceUID=CT), {"study": CT}),
        (
            "-S",
            keys("SERIES", StudyInstanceUID=CT, SeriesInstanceUID=series_uid("A0001", 1)),
            {"series": series_uid("A0001", 1)},
        ),
    ],
)
def test_movescu(
    embedded: Server, demo: RunningPacs, store: Store, model: str, query: list[str], instances: dict[str, str]
) -> None:
    said = dcmtk("movescu", demo, model, "-aem", DESTINATION, *query)
    wanted = embedded.instances(**instances)
    assert STATUS.findall(said)[-1] == "0x0000"
    assert STATUS.findall(said).count("0xff00") == len(wanted) - 1
    assert last_counts(said) == {
        "Remaining": "none",
        "Completed": str(len(wanted)),
        "Failed": "0",
        "Warning": "0",
    }
    assert {one.instance for one in store.held()} == wanted


@pytest.mark.parametrize(
    ("destination", "query", "status", "counts"),
    [
        ("NOWHERE", keys("STUDY", StudyInstanceUID=CT), "0xa801", {}),
        (DESTINATION, keys("STUDY", StudyInstanceUID=""), "0xa900", {}),
        (DESTINATION, keys("STUDY", StudyInstanceUID="1.2.*"), "0xa900", {}),
        (DESTINATION, keys("STUDY", AccessionNumber="A0001"), "0xa900", {}),
        (DESTINATION, keys("SERIES", SeriesInstanceUID=series_uid("A0001", 1)), "0xa900", {}),
        (DESTINATION, keys("PATIENT", PatientID="000123"), "0xa900", {}),
        (DESTINATION, keys("NONSENSE", StudyInstanceUID=CT), "0xa900", {}),
        (DESTINATION, keys("STUDY", StudyInstanceUID="1.2.3"), "0x0000", {"Completed": "0", "Failed": "0"}),
        (DOWN, keys("STUDY", StudyInstanceUID=CT), "0xa702", {"Completed": "0", "Failed": "5"}),
        (CT_ONLY, keys("STUDY", StudyInstanceUID=CT), "0xb000", {"Completed": "4", "Failed": "1"}),
        (CT_ONLY, keys("STUDY", StudyInstanceUID=DOCUMENTS), "0xa702", {"Completed": "0", "Failed": "6"}),
    ],
)
def test_movescu_is_told_what_went_wrong(
    demo: RunningPacs, store: Store, destination: str, query: list[str], status: str, counts: dict[str, str]
) -> None:
    said = dcmtk("movescu", demo, "-S", "-aem", destination, *query)
    assert STATUS.findall(said)[-1] == status
    final = {name: count for name, count in last_counts(said).items() if count != "none"}
    assert final == (counts | {"Warning": "0"} if counts else {})
    assert store.received() == 0


def test_movescu_cancels(demo: RunningPacs, gate: Gate) -> None:
    query = keys("STUDY", StudyInstanceUID=LONG)
    command = [program("movescu"), "-d", "-S", "-aem", servers.GATE, "--cancel", "2", *query, *address(demo)]
    gate.let(2)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as movescu:
        assert movescu.stderr is not None
        assert any("Sending Cancel" in line for line in movescu.stderr)
        gate.let_slowly()
        said = movescu.stderr.read()
    assert STATUS.findall(said)[-1] == "0xfe00"
    counts = {name: int(count) for name, count in last_counts(said).items()}
    assert (counts["Completed"] + counts["Remaining"], counts["Failed"], counts["Warning"]) == (60, 0, 0)
    assert 2 <= counts["Completed"] < 60


def wait_for_its_thread(association: Association) -> None:
    """Wait until pynetdicom's thread runs again after a request: else it may take the next response for a request."""
    servers.wait_until(lambda: not association._is_paused)


def test_pynetdicom_echoes_and_finds(association: Association) -> None:
    assert association.send_c_echo().Status == 0x0000
    wait_for_its_thread(association)
    answers = statuses(association.send_c_find(identifier("STUDY", AccessionNumber="A001*"), STUDY_ROOT_FIND))
    assert [status for status, _, _ in answers] == [0xFF00, 0xFF00, 0x0000]
    assert {data.AccessionNumber for _, _, data in answers if data} == {"A001", "A0010"}
    wait_for_its_thread(association)
    refused = statuses(association.send_c_find(identifier("SERIES", Modality="CT"), STUDY_ROOT_FIND))
    assert [status for status, _, _ in refused] == [0xA900]
    assert "StudyInstanceUID" in refused[0][1].ErrorComment


def test_pynetdicom_moves(association: Association, embedded: Server, store: Store) -> None:
    answers = statuses(association.send_c_move(identifier("STUDY", StudyInstanceUID=CT), DESTINATION, STUDY_ROOT_MOVE))
    assert [status for status, _, _ in answers] == [0xFF00] * 4 + [0x0000]
    assert [response.get("NumberOfRemainingSuboperations") for _, response, _ in answers] == [4, 3, 2, 1, None]
    assert [response.NumberOfCompletedSuboperations for _, response, _ in answers] == [1, 2, 3, 4, 5]
    assert {one.instance for one in store.held()} == embedded.instances(study=CT)
    patient = identifier("PATIENT", PatientID="000124")
    wait_for_its_thread(association)
    answers = statuses(association.send_c_move(patient, DESTINATION, PATIENT_ROOT_MOVE))
    assert answers[-1][0] == 0x0000
    assert answers[-1][1].NumberOfCompletedSuboperations == 4


def test_pynetdicom_is_told_which_instances_failed(association: Association, embedded: Server, ct_store: Store) -> None:
    answers = statuses(association.send_c_move(identifier("STUDY", StudyInstanceUID=CT), CT_ONLY, STUDY_ROOT_MOVE))
    status, response, data = answers[-1]
    assert (status, response.NumberOfCompletedSuboperations, response.NumberOfFailedSuboperations) == (0xB000, 4, 1)
    assert data is not None
    assert data.FailedSOPInstanceUIDList == instance_uid("reportsi.dcm")
    assert {one.instance for one in ct_store.held()} == embedded.instances(study=CT) - {instance_uid("reportsi.dcm")}


def test_pynetdicom_cancels(association: Association, gate: Gate) -> None:
    request = association.send_c_move(
        identifier("STUDY", StudyInstanceUID=LONG), servers.GATE, STUDY_ROOT_MOVE, msg_id=7
    )
    gate.let(1)
    assert next(request)[0].Status == 0xFF00
    association.send_c_cancel(7, query_model=STUDY_ROOT_MOVE)
    gate.let(1)
    last = Response()
    for response, _ in request:
        last = response
        gate.let(1)
    assert last.Status == 0xFE00
    assert last.NumberOfCompletedSuboperations + last.NumberOfRemainingSuboperations == 60
    assert last.NumberOfRemainingSuboperations > 0
    wait_for_its_thread(association)
    assert association.send_c_echo().Status == 0x0000


def test_every_instance_arrives_bit_for_bit(embedded: Server, demo: RunningPacs, store: Store) -> None:
    """At DCMTK's storescp, and at the storage of its own."""
    studies = pd.DataFrame({"StudyInstanceUID": sorted({one.study for one in embedded.holds})})
    for destination, folder in ((DESTINATION, store.folder), (demo.destination, demo.received)):
        moved = dm.move(studies, demo, destination, progress=False)
        assert set(moved["outcome"]) == {"complete"}
        arrived = {one.instance: one for one in servers.held(folder)}
        assert len(arrived) == len(embedded.holds) == 95
        for one in embedded.holds:
            assert arrived[one.instance].data_set() == one.data_set()
            assert arrived[one.instance].transfer_syntax == one.transfer_syntax
            assert arrived[one.instance].sop_class == one.sop_class


def test_a_port_can_be_chosen_and_is_free_after_it() -> None:
    port = servers.free_port()
    for _ in range(2):
        with demo_pacs(port=port) as pacs:
            assert pacs.port == port
            assert dm.echo(pacs).status == "0x0000"
            received = pacs.received
        assert not servers.answers(port)
        assert not received.exists()


def test_a_port_that_is_taken_is_an_error(demo: RunningPacs, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="did not start"), demo_pacs(port=demo.port):
        raise AssertionError
    assert "Address already in use" in capfd.readouterr().err


# A background job of a shell inherits that SIGINT is ignored; the script hears it all the same.
SCRIPT = """
import signal, time
from dicomove.testing import demo_pacs
signal.signal(signal.SIGINT, signal.default_int_handler)
with demo_pacs() as pacs:
    print(pacs.port, flush=True)
    for _ in range(600):  # a signal just before one long wait would be seen at its end only
        time.sleep(0.1)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_the_process_that_started_it(how: signal.Signals) -> None:
    """However that ends: standard error is at its end only when the last of the two processes is gone."""
    with subprocess.Popen(
        forks.python("-c", SCRIPT), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        port = int(parent.stdout.readline())
        assert servers.answers(port)
        parent.send_signal(how)
        parent.stderr.read()
        assert not servers.answers(port)
