from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.cli import main
from dicomove.doctor import connection
from dicomove.doctor.evidence import Evidence
from dicomove.testing import RunningPacs, Synthetic
from dicomove.testing.faults import named
from dicomove.testing.synthetic import synthetic_instances
from dicomove.tls import TLS
from tests import servers
from tests.certificates import Authority
from tests.servers import Orthanc, Store

CHECKS = [
    *(
        "host name",
        "port",
        "TLS",
        "association",
        "C-FIND offered",
        "C-MOVE offered",
        "C-GET offered",
        "C-ECHO",
        "C-FIND",
    ),
    *("numbers of instances", "character set", "limit of answers", "destination"),
    *("C-FIND at destination", "one instance", "connection back"),
]
OURS = "MY_SCU"
#: It answers no SYN.
FIREWALLED = "FIREWALLED"
SLOW_S = 2


class Strict:
    """An Orthanc or a dcmqrscp that checks all that it can."""

    def __init__(self, name: str, pacs: dm.Pacs, orthanc: Orthanc | None = None) -> None:
        self.name, self.pacs, self.orthanc = name, pacs, orthanc

    def register(self, ae_title: str, port: int) -> None:
        """Enter a destination, as an administrator does."""
        assert self.orthanc
        self.orthanc.request("PUT", f"/modalities/{ae_title}", json.dumps([ae_title, "127.0.0.1", port]).encode())


@pytest.fixture(scope="module")
def few_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return servers.write(synthetic_instances(studies=3, instances=2, size=64), tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="module")
def entries(session_store: Store) -> Iterator[dict[str, int]]:
    """The destinations that the servers know: one that works, one at a wrong port, and one behind a firewall."""
    with servers.dead_port() as dead, servers.full_port() as full:
        yield {servers.DESTINATION: session_store.port, servers.DOWN: dead, FIREWALLED: full}


@pytest.fixture(scope="module")
def strict_orthanc(
    tmp_path_factory: pytest.TempPathFactory, few_images: Path, entries: dict[str, int]
) -> Iterator[Strict]:
    modalities = {name: [name, "127.0.0.1", port] for name, port in {**entries, OURS: 104}.items()}
    allow = {f"DicomAlwaysAllow{what}": False for what in ("Echo", "Find", "Get", "Move", "Store")}
    options = {"DicomCheckCalledAet": True, "StrictAetComparison": True, "DicomScuTimeout": SLOW_S, **allow}
    folder = tmp_path_factory.mktemp("strict_orthanc")
    with servers.orthanc(folder, few_images, {}, DicomModalities=modalities, **options) as server:
        pacs = dm.Pacs(f"ORTHANC@127.0.0.1:{server.dicom_port}", calling_ae_title=OURS)
        yield Strict("orthanc", pacs, server)


@pytest.fixture(scope="module")
def strict_dcmqrscp(
    tmp_path_factory: pytest.TempPathFactory, few_images: Path, entries: dict[str, int]
) -> Iterator[Strict]:
    folder = tmp_path_factory.mktemp("strict_dcmqrscp")
    with servers.dcmqrscp(folder, few_images, entries, peers=f"({OURS}, localhost, 104)") as port:
        yield Strict("dcmqrscp", dm.Pacs(f"DCMQRSCP@127.0.0.1:{port}", calling_ae_title=OURS))


@pytest.fixture(params=["strict_orthanc", "strict_dcmqrscp"])
def strict(request: pytest.FixtureRequest) -> Strict:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Strict)
    return found


def examined(*arguments: object, **options: object) -> pd.DataFrame:
    table = dm.doctor(*arguments, **options)  # type: ignore[arg-type]
    assert table["check"].tolist() == CHECKS
    assert list(table.columns) == ["check", "verdict", "found", "remedy"]
    assert set(table["verdict"]) <= {"ok", "warning", "failed", "skipped"}
    assert table["found"].str.endswith((".", "?")).all()
    assert table.loc[table["verdict"].isin(["failed", "warning"]), "remedy"].str.endswith(".").all()
    return table.set_index("check")


def cell(table: pd.DataFrame, check: str, column: str) -> str:
    return str(table.loc[check, column])


def verdicts(table: pd.DataFrame, *checks: str) -> list[str]:
    return table.loc[list(checks), "verdict"].tolist()


def failed(table: pd.DataFrame) -> list[str]:
    return table.index[table["verdict"] == "failed"].tolist()


def called(pacs: dm.Pacs, title: str) -> dm.Pacs:
    where = pacs.address.partition("@")[2]
    return replace(pacs, address=f"{title}@{where}", called_ae_title=title)


def test_where_all_is_well_nothing_fails(strict: Strict, store: Store) -> None:
    table = examined(strict.pacs, servers.DESTINATION, move_one=True)
    assert failed(table) == []
    assert verdicts(table, "association", "C-MOVE offered", "C-GET offered", "C-ECHO", "C-FIND") == ["ok"] * 5
    assert verdicts(table, "limit of answers", "destination", "one instance") == ["ok"] * 3
    assert "All 3 studies" in cell(table, "limit of answers", "found")
    assert store.received() == 1
    assert cell(table, "numbers of instances", "verdict") == ("ok" if strict.name == "orthanc" else "warning")


def test_nothing_is_moved_unless_that_is_asked_for(strict: Strict, store: Store) -> None:
    table = examined(strict.pacs, servers.DESTINATION)
    assert store.received() == 0
    assert cell(table, "one instance", "verdict") == "skipped"
    # Both answer the same for an AE title that they do not know.
    assert cell(table, "destination", "verdict") == "skipped"
    assert "move_one=True" in cell(table, "destination", "remedy")


def test_a_receiver_sees_the_pacs_connect(strict_orthanc: Strict, tmp_path: Path) -> None:
    with dm.Receiver(tmp_path / "images", ae_title="SEEN", port=0) as receiver:
        strict_orthanc.register("SEEN", receiver.port)
        table = examined(strict_orthanc.pacs, receiver, move_one=True)
        # It can be asked again: the instance is there already.
        again = examined(strict_orthanc.pacs, receiver, move_one=True)
    assert failed(table) == failed(again) == []
    assert cell(table, "connection back", "found") == (
        "The PACS connected from 127.0.0.1 as ORTHANC, and sent Explicit VR Little Endian."
    )
    # The record tells of the first time.
    assert "sent an instance that was there already" in cell(again, "connection back", "found")


# The eight commonest mistakes.


def test_a_wrong_port(strict: Strict) -> None:
    with servers.dead_port() as port:
        table = examined(dm.Pacs(f"{strict.pacs.called_ae_title}@127.0.0.1:{port}", calling_ae_title=OURS))
    assert failed(table) == ["port"]
    assert "nothing listens" in cell(table, "port", "found")
    assert "Ask for the port" in cell(table, "port", "remedy")
    assert set(table["verdict"].iloc[2:]) == {"skipped"}


def test_the_port_of_a_web_page(strict_orthanc: Strict) -> None:
    assert strict_orthanc.orthanc
    table = examined(dm.Pacs(f"ORTHANC@127.0.0.1:{strict_orthanc.orthanc.http_port}", calling_ae_title=OURS))
    assert failed(table) == ["association"]
    assert "speaks HTTP" in cell(table, "association", "found")
    assert "4242 (Orthanc)" in cell(table, "association", "remedy")


def test_a_wrong_called_ae_title(strict: Strict) -> None:
    table = examined(called(strict.pacs, "ANOTHER"))
    assert failed(table) == ["association"]
    assert "called AE title ANOTHER" in cell(table, "association", "found")
    assert "Ask the administrator for the AE title of the PACS" in cell(table, "association", "remedy")


def test_no_called_ae_title(strict: Strict) -> None:
    where = strict.pacs.address.partition("@")[2]
    table = examined(dm.Pacs(where, calling_ae_title=OURS))
    assert "The address names no AE title." in cell(table, "association", "remedy")


def test_an_unknown_calling_ae_title(strict: Strict) -> None:
    table = examined(replace(strict.pacs, calling_ae_title="STRANGER"))
    assert failed(table) == ["association"]
    remedy = cell(table, "association", "remedy")
    assert "sk the administrator to register our AE title STRANGER, with the address 127.0.0.1" in remedy
    if strict.name == "orthanc":
        assert "our AE title STRANGER" in cell(table, "association", "found")
        assert "before the @" not in remedy
        strict.register("STRANGER", 104)  # as the remedy says
        assert failed(examined(replace(strict.pacs, calling_ae_title="STRANGER"))) == []


def test_an_unknown_destination(strict: Strict, tmp_path: Path) -> None:
    with dm.Receiver(tmp_path / "images", ae_title="UNKNOWN", port=0, quiet_period=0.5) as receiver:
        table = examined(strict.pacs, receiver, move_one=True)
        assert "one instance" in failed(table)
        remedy = cell(table, "one instance", "remedy")
        assert f"AE title UNKNOWN, host 127.0.0.1, port {receiver.port}" in remedy
        assert "pper and lower case count" in remedy
        if strict.orthanc:
            strict.register("UNKNOWN", receiver.port)  # as the remedy says
            assert failed(examined(strict.pacs, receiver, move_one=True)) == []


def test_an_unknown_destination_that_the_pacs_names() -> None:
    with dm.testing.RehearsalPacs(Synthetic(studies=1, instances=1, size=64)) as pacs:
        table = examined(pacs, "UNKNOWN")
        assert failed(table) == ["destination"]
        assert "Ask the administrator to register UNKNOWN" in cell(table, "destination", "remedy")
        table = examined(pacs, pacs.destination.lower())
        assert f"The PACS knows {pacs.destination}: write it so." in cell(table, "destination", "remedy")
        assert cell(table, "one instance", "verdict") == "skipped"


def test_a_destination_with_a_wrong_port_in_the_pacs(strict: Strict) -> None:
    table = examined(strict.pacs, servers.DOWN, move_one=True)
    assert failed(table) == ["one instance"]
    assert "compare the PACS's entry with this: the host and the port" in cell(table, "one instance", "remedy")
    assert "gave up at once" in cell(table, "one instance", "remedy")


def test_a_receiver_with_a_wrong_port_in_the_pacs(strict_orthanc: Strict, tmp_path: Path) -> None:
    with (
        servers.dead_port() as dead,
        dm.Receiver(tmp_path / "images", ae_title="WRONG_PORT", port=0, quiet_period=0.5) as receiver,
    ):
        strict_orthanc.register("WRONG_PORT", dead)
        table = examined(strict_orthanc.pacs, receiver, move_one=True)
        assert failed(table) == ["one instance", "connection back"]
        assert cell(table, "connection back", "found") == f"No instance came to the receiver at port {receiver.port}."
        assert f"host 127.0.0.1, port {receiver.port}" in cell(table, "connection back", "remedy")


def test_a_firewall_before_the_pacs() -> None:
    with servers.full_port() as port:
        table = examined(dm.Pacs(f"ORTHANC@127.0.0.1:{port}", calling_ae_title=OURS, connect_timeout=1))
    assert failed(table) == ["port"]
    assert "did not answer within 1 s" in cell(table, "port", "found")
    assert f"open TCP from 127.0.0.1 to 127.0.0.1, port {port}" in cell(table, "port", "remedy")


def test_a_firewall_before_the_destination(strict_orthanc: Strict) -> None:
    table = examined(strict_orthanc.pacs, FIREWALLED, move_one=True)
    assert failed(table) == ["one instance"]
    assert "The PACS waited: a firewall" in cell(table, "one instance", "remedy")


def test_titles_in_another_case(strict: Strict) -> None:
    title = strict.pacs.called_ae_title
    table = examined(replace(called(strict.pacs, title.lower()), calling_ae_title=OURS.lower()))
    assert failed(table) == ["association"]
    assert f"called_ae_title='{title}' and calling_ae_title='{OURS}': write it so." in cell(
        table, "association", "remedy"
    )
    table = examined(called(strict.pacs, title.lower()))
    assert f"The PACS accepts called_ae_title='{title}': write it so." in cell(table, "association", "remedy")


def test_a_destination_in_another_case(strict: Strict) -> None:
    table = examined(strict.pacs, servers.DESTINATION.lower(), move_one=True)
    assert "one instance" in failed(table)
    assert "pper and lower case count" in cell(table, "one instance", "remedy")


def test_a_port_with_tls(rehearsal_pacs: Callable[..., RunningPacs], tmp_path: Path) -> None:
    identity = Authority.make(tmp_path).sign("127.0.0.1")
    tls = TLS(ca=tmp_path / "ca.pem", certificate=identity.certificate, key=identity.key)
    pacs = rehearsal_pacs(Synthetic(studies=1, instances=1, size=64), tls=replace(tls, ca=None))
    plain = dm.Pacs(pacs.address)
    table = examined(plain)
    assert failed(table) == ["TLS"]
    assert "tls=True" in cell(table, "TLS", "remedy")
    assert cell(examined(replace(plain, tls=True)), "TLS", "verdict") == "failed"  # an authority that is not trusted
    assert cell(examined(replace(plain, tls=TLS(ca=tmp_path / "ca.pem"))), "TLS", "verdict") == "ok"


def test_tls_at_a_port_without(strict: Strict) -> None:
    table = examined(replace(strict.pacs, tls=True))
    assert failed(table) == ["TLS"]


def test_a_host_without_an_address() -> None:
    table = examined(dm.Pacs("PACS@no-such-host.invalid:104"))
    assert failed(table) == ["host name"]
    assert "Check the spelling" in cell(table, "host name", "remedy")


def test_a_limit_of_answers_is_found(
    tmp_path: Path, few_images: Path, rehearsal_pacs: Callable[..., RunningPacs]
) -> None:
    with servers.orthanc(tmp_path, few_images, {}, LimitFindResults=2) as server:
        table = examined(dm.Pacs(f"ORTHANC@127.0.0.1:{server.dicom_port}"))
    assert cell(table, "limit of answers", "verdict") == "warning"
    assert "gives 2 answers to a search that matches more" in cell(table, "limit of answers", "found")
    many = rehearsal_pacs(Synthetic(studies=6000, instances=1, size=64))
    assert cell(examined(many), "limit of answers", "found").endswith(
        " answers came to one search, and then dicomove stopped it."
    )


@pytest.mark.parametrize(
    "fault",
    [
        *("find-with-empty-uid", "find-without-uid", "find-with-wildcard-uids", "find-lists-uids", "answers-find"),
        *("find-with-empty-upper-uids", "aborts-at-response", "dies", "counts-overflow", "empty-counts", "caps-find"),
    ],
)
def test_a_pacs_with_a_fault_is_examined_to_the_end(fault: str, rehearsal_pacs: Callable[..., RunningPacs]) -> None:
    pacs = rehearsal_pacs(Synthetic(studies=4, instances=2, size=64), faults=[named(fault)])
    table = examined(pacs, pacs.destination, move_one=True)
    assert cell(table, "association", "verdict") == "ok"


def test_a_stranger_to_an_orthanc_that_answers_c_echo_alone(tmp_path: Path, few_images: Path) -> None:
    options = {"DicomAlwaysAllowFind": False, "DicomAlwaysAllowMove": False}
    with servers.orthanc(tmp_path, few_images, {}, **options) as server:
        table = examined(dm.Pacs(f"ORTHANC@127.0.0.1:{server.dicom_port}", calling_ae_title="STRANGER"), "X")
    assert cell(table, "C-ECHO", "verdict") == "ok"
    assert failed(table) == ["C-FIND", "destination"]
    for check in ("C-FIND", "destination"):
        assert "for our AE title STRANGER, address 127.0.0.1" in cell(table, check, "remedy")


def test_a_pacs_that_ignores_keys_is_not_asked_to_move(rehearsal_pacs: Callable[..., RunningPacs]) -> None:
    pacs = rehearsal_pacs(Synthetic(studies=4, instances=2, size=64), faults=[named("find-ignores-all-keys")])
    table = examined(pacs, pacs.destination, move_one=True)
    assert cell(table, "C-FIND", "verdict") == "warning"
    assert verdicts(table, "destination", "one instance") == ["skipped", "skipped"]
    assert not any(pacs.received.rglob("*.dcm"))
    assert "C-MOVE" not in set(pacs.requests()["command"])


def test_a_move_that_should_match_nothing_is_stopped(rehearsal_pacs: Callable[..., RunningPacs]) -> None:
    pacs = rehearsal_pacs(Synthetic(studies=400, instances=2, size=64), faults=[named("move-ignores-keys")])
    table = examined(pacs, pacs.destination, move_one=True)
    assert failed(table) == ["destination"]
    assert "cannot exist: it ignores the key" in cell(table, "destination", "found")
    assert cell(table, "one instance", "verdict") == "skipped"


def test_an_archive_as_destination_is_asked(strict: Strict) -> None:
    """It was not looked at."""
    table = examined(strict.pacs, dm.Destination(servers.DESTINATION, ask=strict.pacs))
    assert cell(table, "C-FIND at destination", "verdict") == "ok"
    with servers.dead_port() as port:
        table = examined(strict.pacs, dm.Destination(servers.DESTINATION, ask=dm.Pacs(f"127.0.0.1:{port}")))
    assert failed(table) == ["C-FIND at destination"]
    assert "Check host, port and firewall" in cell(table, "C-FIND at destination", "found")


def test_a_firewall_where_there_is_no_time_limit() -> None:
    seen = Evidence(dm.Pacs("127.0.0.1:104", connect_timeout=None), port="timeout")
    assert connection.port(seen).found == "127.0.0.1, port 104, did not answer."


def test_no_value_of_a_patient_is_in_the_table(demo: RunningPacs) -> None:
    names = ("PatientID", "PatientName", "AccessionNumber", "StudyInstanceUID")
    with dm.FindScu(demo) as scu:
        matches = scu.find_studies(dict.fromkeys(names, "")).matches
    said = dm.doctor(demo, servers.DESTINATION, move_one=True).to_csv()
    values = {match.get(name, "") for match in matches for name in names}
    assert len(values) > 20
    assert [value for value in values if len(value) > 3 and value in said] == []


def test_the_command_prints_the_table(
    strict_orthanc: Strict, store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    address = strict_orthanc.pacs.address
    output = tmp_path / "doctor.csv"
    words = ["doctor", address, servers.DESTINATION, "--calling-ae-title", OURS, "--move-one", "-o", str(output)]
    assert main(words) == 0
    assert store.received() == 1
    shown = capfd.readouterr().out
    assert "ok       association" in shown
    assert pd.read_csv(output)["check"].tolist() == CHECKS
    assert main(["doctor", "--pacs", address, "--calling-ae-title", "STRANGER-2"]) == 1
    shown = capfd.readouterr().out
    assert "failed   association" in shown
    assert "register our AE title STRANGER-2" in " ".join(shown.split())
