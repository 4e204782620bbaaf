"""Against Orthanc, DCMTK's dcmqrscp and the embedded PACS, which move to DCMTK's storescp."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.events import Event, RowStarted
from dicomove.testing.images import instance_uid, series_uid, study_uid
from dicomove.testing.rehearsal import demo_cohort
from tests import servers
from tests.conftest import LONG
from tests.receiving import row
from tests.servers import CT_ONLY, DESTINATION, DOWN, GATE, Gate, Server, Store

pytestmark = pytest.mark.timeout(40)

CT, MR = study_uid("A0001"), study_uid("A0002")
SERIES, IMAGE = series_uid("A0001", 1), instance_uid("dicomdirtests/77654033/CT2/17106")
MODELS = ("StudyRoot", "PatientRoot")
REPORT = instance_uid("reportsi.dcm")


def studies(*accessions: str) -> pd.DataFrame:
    return pd.DataFrame({"StudyInstanceUID": [study_uid(accession) for accession in accessions]})


def move(table: pd.DataFrame, server: Server, destination: str = DESTINATION, **options: object) -> pd.DataFrame:
    return dm.move(table, server.pacs, destination, progress=False, **options)  # type: ignore[arg-type]


def through(server: Server, relay: servers.Relay) -> dm.Pacs:
    return dataclasses.replace(server.pacs, address=f"{server.pacs.called_ae_title}@127.0.0.1:{relay.port}")


def arrived(store: Store) -> set[str]:
    return {one.instance for one in store.held()}


def test_echo(server: Server) -> None:
    answer = dm.echo(server.pacs)
    assert answer.status == "0x0000"
    assert 0 < answer.duration_s < 5


@pytest.mark.parametrize(
    ("level", "of", "model"),
    [
        ("PATIENT", {"patient": "000123"}, "PatientRoot"),
        *[("STUDY", {"study": CT}, model) for model in MODELS],
        *[("SERIES", {"study": CT, "series": SERIES}, model) for model in MODELS],
        *[("IMAGE", {"study": CT, "series": SERIES, "instance": IMAGE}, model) for model in MODELS],
    ],
)
def test_every_level_of_both_models(
    server: Server, store: Store, level: str, of: Mapping[str, str], model: str
) -> None:
    names = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID", "instance": "SOPInstanceUID"}
    query = {
        "QueryRetrieveLevel": level,
        "PatientID": "000123",
        **{names[name]: of[name] for name in of if name in names},
    }
    wanted = server.instances(**of)
    with dm.MoveScu(server.pacs) as scu:
        result = scu.move_study(query, DESTINATION, query_model=model)
    assert (result.outcome, result.status, result.error) == ("complete", "0x0000", None)
    assert (result.total, result.completed, result.failed, result.warning) == (len(wanted), len(wanted), 0, 0)
    assert arrived(store) == wanted
    store.clear()
    # It counts nothing for a whole patient.
    is_counted = (server.name, level) != ("dcmqrscp", "PATIENT")
    with nullcontext() if is_counted else pytest.warns(dm.errors.VerificationWarning, match="1 of 1 rows"):
        table = move(pd.DataFrame([query]), server, query_model=model)
    assert row(table, "outcome", "status", "completed", "attempts") == ("complete", "0x0000", len(wanted), 1)
    assert arrived(store) == wanted


@pytest.mark.parametrize(
    "query",
    [
        {"(0020,000D)": CT, "(0008,0052)": "STUDY"},
        {"0020000d": CT, "00080052": "STUDY"},
        {"StudyInstanceUID": CT},
        {"study_instance_uid": CT, "QueryRetrieveLevel": "STUDY"},
    ],
)
def test_keys_by_tag_and_by_keyword(server: Server, store: Store, query: dict[str, str]) -> None:
    with dm.MoveScu(server.pacs) as scu:
        assert scu.move_study(query, DESTINATION).outcome == "complete"
    assert arrived(store) == server.instances(study=CT)
    with dm.FindScu(server.pacs) as finder:
        assert [match["StudyInstanceUID"] for match in finder.find_studies(query)] == [CT]


def test_only_the_unique_keys_are_sent(server: Server, store: Store) -> None:
    """Orthanc would move the study of the accession number, too."""
    query = {"StudyInstanceUID": CT, "AccessionNumber": "A0300", "PatientName": "X"}
    # `move` would ask, and learn that the accession number is another study's.
    with dm.MoveScu(server.pacs) as scu:
        result = scu.move_study(query, DESTINATION)
    assert (result.outcome, result.completed) == ("complete", 5)
    assert {one.study for one in store.held()} == {CT}


@pytest.mark.parametrize("verify", ["auto", "arrivals"])
@pytest.mark.parametrize("query_model", ["StudyRoot", "PatientRoot"])
def test_nothing_is_moved_for_a_uid_beside_the_accession_number_of_another_study(
    server: Server, store: Store, query_model: str, verify: str
) -> None:
    right = pd.DataFrame({"StudyInstanceUID": [CT], "AccessionNumber": ["A0001"], "PatientID": ["000123"]})
    wrong = right.assign(AccessionNumber="A0300")
    options = {"query_model": query_model, "verify": verify}
    assert row(move(wrong, server, **options), "outcome", "error") == ("invalid", "invalid_row")
    assert not store.held()
    assert row(move(right, server, **options), "outcome", "completed") == ("complete", 5)


@pytest.mark.parametrize("verify", ["auto", "arrivals"])
def test_nothing_is_moved_in_patient_root_for_the_study_of_another_patient(
    server: Server, store: Store, verify: str
) -> None:
    """Orthanc moves a study by its UID alone, whatever patient is named above it."""
    wrong = pd.DataFrame({"PatientID": ["A300"], "StudyInstanceUID": [CT]})
    result = move(wrong, server, query_model="PatientRoot", verify=verify)
    assert row(result, "outcome", "error", "attempts") == ("invalid", "other_patient", 0)
    planned = dm.plan(wrong, server.pacs, query_model="PatientRoot", progress=False)
    assert row(planned, "action") == ("invalid",)
    unknown = move(wrong.assign(StudyInstanceUID="1.2.3.4"), server, query_model="PatientRoot", verify=verify)
    assert row(unknown, "outcome", "error", "attempts") == ("empty", None, 0)
    assert not store.held()
    right = move(wrong.assign(PatientID="000123"), server, query_model="PatientRoot", verify=verify)
    assert row(right, "outcome", "completed", "advice") == ("complete", 5, None)


def test_the_birth_date_and_the_name_beside_a_uid_are_compared(server: Server, store: Store) -> None:
    his = {"PatientName": "DEMO^BOB", "PatientBirthDate": "19990909"}
    hers = {"PatientName": "Demo, Ada", "PatientBirthDate": "1961-04-12"}
    wrong = move(pd.DataFrame([{"StudyInstanceUID": CT} | his]), server)
    assert row(wrong, "outcome", "error", "attempts") == ("invalid", "other_patient", 0)
    assert not store.held()
    right = move(pd.DataFrame([{"StudyInstanceUID": CT} | hers]), server)
    assert row(right, "outcome", "completed", "advice") == ("complete", 5, None)
    for key in his:
        with pytest.warns(dm.errors.CohortWarning, match="1 rows under another PatientName or PatientBirthDate"):
            told = move(pd.DataFrame([{"StudyInstanceUID": CT} | hers | {key: his[key]}]), server)
        assert row(told, "outcome", "completed") == ("complete", 5)
        assert f"under another {key} than the row names" in told["advice"].iloc[0]
    by_number = move(pd.DataFrame([{"StudyInstanceUID": CT, "PatientID": "000123"} | his]), server)
    assert row(by_number, "outcome", "completed", "advice") == ("complete", 5, None)


@pytest.mark.parametrize("query_model", MODELS)
@pytest.mark.parametrize("level", ["SERIES", "IMAGE"])
@pytest.mark.parametrize("study", [CT, "1.2.3.4"], ids=["a study of his own", "an unknown study"])
def test_nothing_is_moved_below_a_study_for_the_uid_of_another_patient(
    server: Server, store: Store, level: str, query_model: str, study: str
) -> None:
    """Orthanc moves a series by its UID alone, whatever study and patient are named above it."""
    his = next(one for one in server.holds if one.study == study_uid("A0300"))
    assert his.patient != "000123"
    keys = {"PatientID": "000123", "StudyInstanceUID": study, "SeriesInstanceUID": his.series}
    keys |= {"SOPInstanceUID": his.instance} if level == "IMAGE" else {}
    result = move(pd.DataFrame([keys]), server, query_model=query_model)
    assert row(result, "outcome", "attempts", "error") == ("empty", 0, None)
    assert "do the UIDs of the row belong together?" in result["advice"].iloc[0]
    assert not store.held()
    # What is typed below what find answered is asked for, too.
    cohort = pd.DataFrame([keys | {"AccessionNumber": "A0001", "StudyInstanceUID": ""}]).drop(columns="PatientID")
    found = dm.find(cohort, server.pacs, progress=False)
    assert row(move(found, server, query_model=query_model), "outcome", "attempts") == ("empty", 0)
    assert not store.held()


def test_every_study_arrives_as_it_is(server: Server, store: Store) -> None:
    accessions = ["A0001", "A0002", "A001", "A0010", "A0100", "A0101", "A0200", "A0201", "A0300"]
    result = move(studies(*accessions), server)
    counts = [len(server.instances(study=study_uid(accession))) for accession in accessions]
    assert result["outcome"].tolist() == ["complete"] * 9
    for column in ("total", "completed", "expected"):
        assert result[column].tolist() == counts
    assert result["failed"].tolist() == [0] * 9
    real = {one.instance: one for one in server.holds if one.study != LONG}
    there = {one.instance: one for one in store.held()}
    assert there.keys() == real.keys()
    for uid, one in there.items():
        assert (one.study, one.patient, one.sop_class) == (real[uid].study, real[uid].patient, real[uid].sop_class)


@pytest.mark.parametrize(
    ("name", "destination", "uid", "expected"),
    [
        # outcome, status, error, completed, failed, expected
        ("orthanc", "NOWHERE", CT, ("failed", "0xC000", "unable_to_process", 0, 0, 5)),
        ("dcmqrscp", "NOWHERE", CT, ("failed", "0xA801", "destination_unknown", 0, 0, None)),
        ("embedded", "NOWHERE", CT, ("failed", "0xA801", "destination_unknown", None, None, None)),
        ("orthanc", DOWN, CT, ("failed", "0xC000", "unable_to_process", 0, 0, 5)),
        ("dcmqrscp", DOWN, CT, ("failed", "0xA702", "out_of_resources", 0, 5, None)),
        ("embedded", DOWN, CT, ("failed", "0xA702", "out_of_resources", 0, 5, None)),
        ("orthanc", DESTINATION, "1.2.3.4", ("failed", "0xC000", "no_match", 0, 0, 0)),
        ("dcmqrscp", DESTINATION, "1.2.3.4", ("empty", "0x0000", None, 0, 0, 0)),
        ("embedded", DESTINATION, "1.2.3.4", ("empty", "0x0000", None, 0, 0, 0)),
        ("orthanc", CT_ONLY, CT, ("failed", "0xC000", "unable_to_process", 0, 0, 5)),
        ("dcmqrscp", CT_ONLY, CT, ("partial", "0xB000", "some_failed", 4, 1, 5)),
        ("embedded", CT_ONLY, CT, ("partial", "0xB000", "some_failed", 4, 1, 5)),
    ],
)
def test_errors_are_reported(
    request: pytest.FixtureRequest,
    store: Store,
    ct_store: Store,
    name: str,
    destination: str,
    uid: str,
    expected: tuple[object, ...],
) -> None:
    server = request.getfixturevalue(name)
    result = move(pd.DataFrame({"StudyInstanceUID": [uid]}), server, destination)
    assert row(result, "outcome", "status", "error", "completed", "failed", "expected") == expected
    assert (result["advice"].iloc[0][-1], result["attempts"].iloc[0]) == (".", 1)
    assert store.received() == 0
    if expected[0] == "partial":
        assert arrived(ct_store) == server.instances(study=CT) - {REPORT}
        assert result["failed_sop_instance_uids"].iloc[0] == REPORT


def test_a_destination_that_is_down_names_what_failed(embedded: Server, dcmqrscp: Server) -> None:
    for server in (embedded, dcmqrscp):
        result = move(studies("A0001"), server, DOWN)
        assert set(result["failed_sop_instance_uids"].iloc[0].split("\\")) == server.instances(study=CT)


@pytest.mark.usefixtures("store")
def test_one_association_for_many_moves(server: Server) -> None:
    """And for the questions between them; unique Message IDs, and each study gets its own counts."""
    accessions = ["A0001", "A0010", "A0200"] * 10
    with servers.relay(server.pacs.port) as relay:
        with dm.MoveScu(through(server, relay)) as scu:
            results = [scu.move_study({"StudyInstanceUID": study_uid(a)}, DESTINATION) for a in accessions]
        assert [result.completed for result in results] == [5, 3, 1] * 10
        assert relay.connections == 1
        table = studies(*accessions[:3]).assign(StudyInstanceUID=lambda t: t["StudyInstanceUID"] + "")
        assert dm.move(table, through(server, relay), DESTINATION, progress=False)["expected"].tolist() == [5, 3, 1]
        assert relay.connections == 2


@pytest.mark.usefixtures("store")
def test_a_new_association_after_the_old_one_broke(server: Server) -> None:
    with servers.relay(server.pacs.port) as relay, dm.MoveScu(through(server, relay)) as scu:
        assert scu.move_study({"StudyInstanceUID": CT}, DESTINATION).outcome == "complete"
        relay.cut()
        assert scu.move_study({"StudyInstanceUID": CT}, DESTINATION).outcome == "complete"
        assert relay.connections == 2


@pytest.mark.usefixtures("store")
def test_a_failed_move_leaves_the_association_as_it_is(server: Server) -> None:
    with servers.relay(server.pacs.port) as relay, dm.MoveScu(through(server, relay)) as scu:
        for destination, outcome in (("NOWHERE", "failed"), (DOWN, "failed"), (DESTINATION, "complete")):
            assert scu.move_study({"StudyInstanceUID": CT}, destination).outcome == outcome
        assert scu.echo().status == "0x0000"
        assert relay.connections == 1


@pytest.mark.parametrize("how", ["cancel", "stop"])
def test_cancel_in_the_middle(server: Server, gate: Gate, store: Store, how: str) -> None:
    stop = threading.Event()
    gate.let(1)
    with servers.relay(server.pacs.port) as relay, dm.MoveScu(through(server, relay)) as scu:

        def first_image_is_enough(_: dm.events.SubOperationEvent) -> None:
            (scu.cancel if how == "cancel" else stop.set)()
            gate.let(1)

        result = scu.move_study(
            {"StudyInstanceUID": LONG}, GATE, on_sub_operation=first_image_is_enough, stop=stop, total_timeout=30
        )
        assert (result.outcome, result.status, result.error) == ("cancelled", "0xFE00", None)
        assert result.completed is not None
        assert result.remaining is not None
        assert result.completed >= 1
        assert result.remaining >= 1
        assert result.completed + result.remaining == result.total == 60
        assert len(gate.instances) == result.completed
        again = scu.move_study({"StudyInstanceUID": CT}, DESTINATION)
        assert (again.outcome, again.completed, arrived(store)) == ("complete", 5, server.instances(study=CT))
        assert relay.connections == 1


@pytest.mark.filterwarnings("ignore:answers to 1 rows are not what:dicomove.errors.FindWarning")
@pytest.mark.parametrize(
    ("keys", "accessions"),
    [
        ({"AccessionNumber": "A001"}, {"A001"}),
        ({"PatientID": "000123"}, {"A0001", "A0002"}),
        ({"PatientID": "123"}, {"A0300"}),
        ({"PatientID": "000123", "AccessionNumber": "A0300"}, set()),
        ({"StudyDate": "20240201-20240301"}, {"A001", "A0010"}),
        ({"StudyDate": "2024-01-10"}, {"A0001"}),
        ({"StudyDate": "20241201-"}, {"A0300"}),
        ({"Modality": "MR"}, {"A0002"}),
        ({"ModalitiesInStudy": "SR"}, {"A0001", "A001"}),
        ({"PatientName": "DEMO^JÖRG"}, {"A001"}),
        ({"PatientName": "DEMO^J*"}, {"A001"}),
        ({"PatientName": "DEMO^?OB"}, {"A0300"}),
        ({"PatientName": "DEMO^ŁUCJA"}, {"A0200", "A0201"}),
        ({"AccessionNumber": "A001*"}, {"A001", "A0010"}),
        ({"PatientID": "*123"}, {"A0001", "A0002", "A0300"}),
        ({"StudyInstanceUID": CT}, {"A0001"}),
        ({"StudyInstanceUID": f"{CT}\\{MR}"}, {"A0001", "A0002"}),
    ],
)
def test_find(server: Server, keys: dict[str, str], accessions: set[str]) -> None:
    found = dm.find(pd.DataFrame([keys], index=["label"]), server.pacs, broad="allow", progress=False)
    assert set(found["outcome"]) == {"matched" if accessions else "empty"}
    if accessions:
        assert set(found["AccessionNumber"]) == accessions
        assert set(found["StudyInstanceUID"]) == {study_uid(accession) for accession in accessions}
    assert len(found) == max(1, len(accessions))
    assert found["matches"].tolist() == [len(accessions)] * len(found)
    assert set(found["cohort_row"]) == {"label"}
    assert set(found["status"]) == {"0x0000"}


@pytest.mark.parametrize(
    ("level", "keys", "column", "values"),
    [
        ("SERIES", {"AccessionNumber": "A0001", "Modality": "CT"}, "SeriesInstanceUID", {SERIES}),
        ("SERIES", {"StudyInstanceUID": CT}, "SeriesInstanceUID", {SERIES, series_uid("A0001", 2)}),
        ("IMAGE", {"AccessionNumber": "A0001", "Modality": "SR"}, "SOPInstanceUID", {REPORT}),
        ("IMAGE", {"SeriesInstanceUID": series_uid("A0001", 2), "StudyInstanceUID": CT}, "SOPInstanceUID", {REPORT}),
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_find_below_the_study(
    server: Server, level: str, keys: dict[str, str], column: str, values: set[str], model: str
) -> None:
    table = pd.DataFrame([{"PatientID": "000123"} | keys])
    found = dm.find(table, server.pacs, level=level, query_model=model, progress=False)
    assert set(found[column]) == values
    assert set(found["StudyInstanceUID"]) == {CT}


def test_find_whole_patients(server: Server) -> None:
    table = pd.DataFrame({"PatientID": ["000124", "999998"]})
    found = dm.find(table, server.pacs, level="PATIENT", query_model="PatientRoot", progress=False)
    assert found["outcome"].tolist() == ["matched", "empty"]
    assert found["PatientID"].tolist() == ["000124", "999998"]


def test_the_demo_cohort_from_end_to_end(server: Server, store: Store) -> None:
    cohort = dm.read_cohort(demo_cohort())
    found = dm.find(cohort, server.pacs, progress=False)
    assert found["cohort_row"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 11]
    assert found["outcome"].tolist() == [*["matched"] * 6, "empty", "invalid", *["matched"] * 4, "empty"]
    result = move(found, server)
    # What was not found keeps what `find` said, also where the cohort has a UID for it.
    assert result["outcome"].tolist() == [*["complete"] * 6, "empty", "invalid", *["complete"] * 4, "empty"]
    assert result.index.equals(found.index)
    moved = ["A0001", "A001", "A0010", "A0100", "A0200", "A0300", "A0002"]
    wanted = [server.instances(study=study_uid(accession)) for accession in moved]
    assert arrived(store) == set().union(*wanted)
    assert result["completed"].tolist()[:6] == [len(instances) for instances in wanted[:6]]
    again = move(result[result["outcome"] == "complete"], server)
    assert again["outcome"].tolist() == ["complete"] * 10


@pytest.mark.parametrize("way", ["as found", "mixed", "mixed, from a file"])
def test_a_table_of_find_whose_patients_were_mixed_up_brings_what_a_row_names(
    server: Server, store: Store, way: str, tmp_path: Path
) -> None:
    accessions = ["A0001", "A001", "A0100", "A0200"]
    found = dm.find(pd.DataFrame({"AccessionNumber": accessions}), server.pacs, progress=False)
    found = found.drop(columns="AccessionNumber")
    patients = found["PatientID"].tolist()
    if way != "as found":
        found = found.assign(PatientID=[*patients[1:], patients[0]])
    if way == "mixed, from a file":
        found.to_csv(tmp_path / "found.csv", index=False)
        found = dm.read_cohort(tmp_path / "found.csv")
    result = move(found, server)
    if way == "as found":
        assert result["outcome"].tolist() == ["complete"] * 4
        assert arrived(store) == set().union(*(server.instances(study=study_uid(one)) for one in accessions))
    else:
        assert result["error"].tolist() == ["other_patient"] * 4
        assert not arrived(store)


def test_three_at_a_time(server: Server, gate: Gate) -> None:
    """The gate lets nobody in before three moves wait at it (dcmqrscp locks its index, and may serve them in turn)."""
    started: list[int] = []
    at_once = 1 if server.name == "dcmqrscp" else 3

    def open_for_three(event: Event) -> None:
        if isinstance(event, RowStarted):
            started.append(event.position)
            if len(started) == 3:
                servers.wait_until(lambda: gate.waiting >= at_once)
                gate.let()

    accessions = ["A0001", "A0010", "A0200", "A0100", "A0300"]
    with servers.relay(server.pacs.port) as relay:
        result = dm.move(studies(*accessions), through(server, relay), GATE, concurrency=3, progress=open_for_three)
        assert relay.connections == 3
    counts = [len(server.instances(study=study_uid(accession))) for accession in accessions]
    assert result["outcome"].tolist() == ["complete"] * 5
    assert result["completed"].tolist() == counts
    assert len(gate.instances) == len(set(gate.instances)) == sum(counts)


# The recipes of the documentation, one after the other.


@pytest.mark.usefixtures("store")
def test_progress_and_completion(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """At each study of a list, and on one line."""
    completed: list[dm.events.CompletedEvent] = []
    percents: list[float] = []

    def show(event: dm.events.SubOperationEvent) -> None:
        assert event.total == len(server.instances(study=uid))
        assert event.completed is not None
        assert event.remaining == event.total - event.completed
        assert event.failed == event.warning == 0
        assert event.rate is not None
        assert event.eta_s is not None
        assert event.percent is not None
        assert event.percent == pytest.approx(100 * event.completed / event.total)
        percents.append(event.percent)
        print(event, end="\r")  # noqa: T201 (as the recipe does)

    with dm.MoveScu(server.pacs) as scu:
        for uid in (CT, study_uid("A0010")):
            result = scu.move_study(
                {"StudyInstanceUID": uid, "QueryRetrieveLevel": "STUDY"},
                DESTINATION,
                query_model="StudyRoot",
                on_sub_operation=show,
                on_completed=completed.append,
            )
            assert result.completed == result.total == len(server.instances(study=uid))
    assert [(event.outcome, event.completed, event.total, event.failed) for event in completed] == [
        ("complete", 5, 5, 0),
        ("complete", 3, 3, 0),
    ]
    assert all(event.duration_s > 0 and str(event) == event.message for event in completed)
    assert completed[0].message.startswith("complete: 5 of 5 instances in ")
    assert percents[:4] == pytest.approx([20, 40, 60, 80])
    assert "1 of 5 instances, 20 %" in capsys.readouterr().out


def test_find_then_move(server: Server, store: Store) -> None:
    found: list[dict[str, str]] = []
    with dm.FindScu(server.pacs) as finder, dm.MoveScu(server.pacs) as scu:
        assert finder.echo().status == "0x0000"
        finder.find_studies({"StudyDate": "20240101-20240131", "StudyInstanceUID": ""}, on_match=found.append)
        results = [scu.move_study(study, DESTINATION) for study in found if study["StudyInstanceUID"] != LONG]
    assert [result.outcome for result in results] == ["complete"]
    assert arrived(store) == server.instances(study=CT)


@pytest.mark.usefixtures("store")
def test_retry_what_is_not_complete(server: Server) -> None:
    first = move(studies("A0001", "A0010"), server, DOWN)
    assert first["outcome"].tolist() == ["failed", "failed"]
    second = move(first[first["outcome"] != "complete"], server)
    assert second["outcome"].tolist() == ["complete", "complete"]
    assert second["error"].isna().all()
    assert list(second.columns) == list(first.columns)


@pytest.mark.usefixtures("store")
def test_a_batch_with_a_rate_limit(server: Server) -> None:
    accessions = ["A0001", "A0010", "A0200", "A0300"]
    result = move(studies(*accessions), server, concurrency=2, delay=0.2)
    assert result["outcome"].tolist() == ["complete"] * 4
    starts = result["started_at"].sort_values()
    assert (starts.iloc[2:].min() - result["finished_at"].min()).total_seconds() >= 0.2
    assert (starts.iloc[-1] - starts.iloc[0]).total_seconds() < 5


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("length", [0, 4096, 16384, 32768, 65536])
def test_pdu_lengths(server: Server, length: int) -> None:
    pacs = dataclasses.replace(server.pacs, max_pdu_length=length)
    with dm.MoveScu(pacs, verbose=True) as scu:
        assert scu.move_study({"StudyInstanceUID": CT}, DESTINATION).completed == 5
    assert len(dm.find(pd.DataFrame({"PatientID": ["000123"]}), pacs, progress=False)) == 2


@pytest.mark.parametrize(
    ("error", "change"),
    [
        (
            "connection_failed",
            lambda pacs, dead: dataclasses.replace(pacs, address=f"{pacs.called_ae_title}@127.0.0.1:{dead}"),
        ),
        ("destination_unknown", lambda pacs, _: pacs),
    ],
)
def test_errors_are_words_to_act_on(dcmqrscp: Server, error: str, change: Callable[[dm.Pacs, int], dm.Pacs]) -> None:
    with servers.dead_port() as dead:
        result = dm.move(studies("A0001"), change(dcmqrscp.pacs, dead), "NOWHERE", progress=False)
    assert result["error"].tolist() == [error]


# What only some of them do.


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, images: Path, destinations: Mapping[str, int]) -> Iterator[Server]:
    """An Orthanc that closes what is idle for a second, and knows only MY_SCU and its own name."""
    folder = tmp_path_factory.mktemp("strict")
    some = images / "A0001"
    options = {
        "DicomScpTimeout": 1,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowFind": False,
        "DicomAlwaysAllowMove": False,
        "DicomAlwaysAllowEcho": False,
    }
    with servers.orthanc(folder, some, {**destinations, "MY_SCU": 1}, **options) as server:
        pacs = dm.Pacs(f"ORTHANC@127.0.0.1:{server.dicom_port}", calling_ae_title="MY_SCU")
        yield Server("strict", pacs, tuple(servers.held(some)))


@pytest.mark.usefixtures("store")
def test_orthanc_closes_what_is_idle(strict: Server) -> None:
    with servers.relay(strict.pacs.port) as relay, dm.MoveScu(through(strict, relay)) as scu:
        assert scu.move_study({"StudyInstanceUID": CT}, DESTINATION).outcome == "complete"
        association = scu._reusable._association
        assert association is not None
        servers.wait_until(lambda: not association.is_quiet())
        assert scu.move_study({"StudyInstanceUID": CT}, DESTINATION).outcome == "complete"
        assert relay.connections == 2


def test_a_wrong_called_ae_title(strict: Server) -> None:
    pacs = dataclasses.replace(strict.pacs, address=f"WRONG@127.0.0.1:{strict.pacs.port}", called_ae_title="WRONG")
    result = dm.move(studies("A0001"), pacs, DESTINATION, progress=False)
    assert row(result, "outcome", "error", "status", "attempts") == ("unreachable", "association_rejected", None, 0)
    assert "called AE title" in result["advice"].iloc[0]
    with pytest.raises(dm.errors.AssociationError, match="rejected") as raised:
        dm.echo(pacs)
    assert raised.value.error == "association_rejected"


def test_an_unknown_calling_ae_title(strict: Server) -> None:
    """Orthanc accepts the association and drops it at the first request."""
    pacs = dataclasses.replace(strict.pacs, calling_ae_title="STRANGER")
    result = dm.move(studies("A0001"), pacs, DESTINATION, progress=False)
    assert row(result, "outcome", "status", "attempts") == ("interrupted", None, 1)
    assert result["error"].iloc[0] in ("connection_lost", "association_aborted")
    assert "does not know our AE title" in result["advice"].iloc[0] or "look into its log" in result["advice"].iloc[0]
