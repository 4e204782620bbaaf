"""`plan`: what a move would do is what the move then does, and nothing is moved by it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dicomove as dm
from dicomove.cohort import move_identifiers
from dicomove.events import Event, RowFinished, RowStarted, RunEnded, RunStarted
from dicomove.plan import PLAN_COLUMNS, _check_patients
from dicomove.run.attempt.inventory import Inventory
from dicomove.run.options import Method
from dicomove.run.table.planned import steps_of
from dicomove.testing import Synthetic, faults
from dicomove.testing.archive import Archive
from dicomove.testing.associations import Listener
from dicomove.testing.faults.base import FindFault, Refuse, Request
from tests import receiving, servers
from tests.receiving import values
from tests.servers import Here

pytestmark = pytest.mark.timeout(60)

SOURCE = Synthetic(studies=4, series=2, instances=3, size=512, patients=2)
ALL = list(SOURCE.instances_of_all())
STUDIES = list(dict.fromkeys(one.study_instance_uid for one in ALL))
KEYS = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
LEVELS = ["PATIENT", "STUDY", "SERIES", "IMAGE"]


def plan(table: pd.DataFrame, pacs: dm.Pacs, *arguments: object, **options: object) -> pd.DataFrame:
    return dm.plan(table, pacs, *arguments, **{"progress": False, **options})  # type: ignore[arg-type]  # as they are given


@pytest.fixture
def here() -> Iterator[Here]:
    """A PACS that remembers what it was asked."""
    with servers.here(Archive(ALL)) as made:
        yield made


def asked(here: Here) -> list[tuple[str, str]]:
    return [(command, keys["QueryRetrieveLevel"]) for command, keys in here.recorder.requests]


def test_each_row_has_an_action_and_nothing_is_moved(here: Here) -> None:
    pacs = here.pacs
    uids = [STUDIES[0], STUDIES[1], STUDIES[0], "1.2.*", "", "1.2.3"]
    table = pd.DataFrame({"Study UID": uids, "arm": list("abcdef")}, index=[1, 1, 2, 3, 4, 5])
    planned = plan(table, pacs)
    assert planned.columns.tolist() == ["Study UID", "arm", *PLAN_COLUMNS]
    assert planned.index.tolist() == [1, 1, 2, 3, 4, 5]
    assert planned["arm"].tolist() == list("abcdef")
    assert values(planned, "action", "QueryRetrieveLevel", "expected", "on_disk") == [
        ["move", "STUDY", 6, None],
        ["move", "STUDY", 6, None],
        ["repeated", "STUDY", 6, None],
        ["invalid", None, None, None],
        ["invalid", None, None, None],
        ["move", "STUDY", 0, None],
    ]
    advices = [row[0] for row in values(planned, "advice")]
    assert advices[:2] == [None, None]
    for advice, said in zip(
        advices[2:], ["moved once", "holds a wildcard", "no StudyInstanceUID", "nothing for this"], strict=True
    ):
        assert isinstance(advice, str)
        assert said in advice
    assert asked(here) == [("C-FIND", "STUDY")] * 3
    assert list(table.columns) == ["Study UID", "arm"]


def test_answers_of_find_are_not_asked_for_again(here: Here) -> None:
    pacs = here.pacs
    found = dm.find(pd.DataFrame({"PatientID": ["SYN000001", "SYN000002"]}), pacs, progress=False)
    before = len(asked(here))
    found["NumberOfStudyRelatedInstances"] = [6, 5, None, 6]
    planned = plan(found, pacs)
    assert planned["expected"].tolist() == [6, 5, 6, 6]
    assert len(asked(here)) == before + 1


def test_the_deepest_uid_decides_as_in_move(here: Here) -> None:
    pacs = here.pacs
    one = ALL[0]
    keys = [one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid]
    table = pd.DataFrame([[*keys[:depth], *[""] * (3 - depth)] for depth in (1, 2, 3)], columns=KEYS[1:])
    with pytest.warns(dm.errors.CohortWarning, match="2 of 3 rows lack a UID that the others have"):
        planned = plan(table, pacs)
    assert values(planned, "QueryRetrieveLevel", "expected") == [["STUDY", 6], ["SERIES", 3], ["IMAGE", 1]]
    assert plan(table, pacs, level="STUDY")["action"].tolist() == ["move", "repeated", "repeated"]


def test_a_plan_warns_of_whole_patients_as_the_move_does(here: Here) -> None:
    levels = ["PATIENT", "STUDY"]
    cohort = pd.DataFrame({"PatientID": "SYN000001", "StudyInstanceUID": STUDIES[:2], "QueryRetrieveLevel": levels})
    found = dm.find(cohort, here.pacs, query_model="PatientRoot", progress=False)
    with pytest.warns(dm.errors.CohortWarning, match="of 2 rows bring all studies of their patient") as moved:
        dm.move(found, here.pacs, servers.SINK, query_model="PatientRoot", progress=False)
    with pytest.warns(dm.errors.CohortWarning) as planned:
        rows = plan(found, here.pacs, query_model="PatientRoot")
    assert [str(one.message) for one in planned] == [str(one.message) for one in moved]
    assert "PATIENT" in rows["QueryRetrieveLevel"].tolist()


@pytest.mark.parametrize(("level", "expected"), [("PATIENT", 12), ("STUDY", 6), ("SERIES", 3), ("IMAGE", 1)])
def test_each_level(here: Here, level: str, expected: int) -> None:
    pacs = here.pacs
    one = ALL[-1]
    there = [one.patient_id, one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid]
    depth = LEVELS.index(level)
    nowhere = [*there[:depth], "1.2.3.4"]
    table = pd.DataFrame([there[: depth + 1], nowhere], columns=KEYS[: depth + 1]).assign(QueryRetrieveLevel=level)
    planned = plan(table, pacs, query_model="PatientRoot")
    assert values(planned, "QueryRetrieveLevel", "expected") == [[level, expected], [level, 0]]
    # In Study Root, one more C-FIND tells whether the study is of another patient.
    assert asked(here) == [("C-FIND", level)] * (3 if level == "STUDY" else 2)


def test_a_row_that_is_invalid_keeps_its_level(here: Here) -> None:
    """Else the table of a plan would move something else: here, a study instead of nothing."""
    table = pd.DataFrame(
        {
            "PatientID": ["SYN*", "SYN000001"],
            "StudyInstanceUID": [STUDIES[1], STUDIES[0]],
            "QueryRetrieveLevel": ["patient", " study "],
        }
    )
    pacs = here.pacs
    planned = plan(table, pacs, query_model="PatientRoot")
    assert values(planned, "action", "QueryRetrieveLevel") == [["invalid", "patient"], ["move", "STUDY"]]
    results = dm.move(planned, pacs, servers.SINK, query_model="PatientRoot", progress=False)
    assert results["outcome"].tolist()[0] == "invalid"
    again = plan(planned, pacs, query_model="PatientRoot")
    assert again.columns.tolist() == planned.columns.tolist()


def test_a_pacs_that_gives_no_numbers() -> None:
    with receiving.pacs({}, faults.NoRelatedCounts(), source=SOURCE) as pacs:
        planned = plan(pd.DataFrame({"StudyInstanceUID": [STUDIES[0], "1.2.3"]}), pacs)
    assert values(planned, "action", "expected") == [["move", None], ["move", 0]]
    assert "does not say how many" in str(planned["advice"][0])


def test_a_pacs_that_answers_more_than_was_asked() -> None:
    with receiving.pacs({}, IgnoresUids(), source=SOURCE) as pacs:
        assert plan(pd.DataFrame({"StudyInstanceUID": STUDIES[:1]}), pacs)["expected"].tolist() == [6]


def test_a_match_that_comes_twice_is_counted_once() -> None:
    table = pd.DataFrame({"StudyInstanceUID": STUDIES[:2]})
    with receiving.pacs({}, faults.FindRepeatsAnswers(), source=SOURCE) as pacs:
        assert plan(table, pacs)["expected"].tolist() == [6, 6]


class IgnoresUids(faults.IgnoresKeys):
    """Every study comes back."""

    def on_query(self, request: object, identifier: object) -> None:  # noqa: ARG002 (as in `Fault`)
        identifier.StudyInstanceUID = ""  # type: ignore[attr-defined]  # a Dataset has its attributes by keyword


def test_a_failure_is_one_rows() -> None:
    with receiving.pacs({}, faults.AnswersFind(0xA700, studies=(STUDIES[0],)), source=SOURCE) as pacs:
        planned = plan(pd.DataFrame({"StudyInstanceUID": STUDIES[:2]}), pacs)
    assert values(planned, "action", "expected") == [["move", None], ["move", 6]]
    assert "overloaded" in str(planned["advice"][0])


def test_a_pacs_that_is_not_there_is_asked_by_a_few_rows_and_not_by_all() -> None:
    with servers.counting() as counter:
        rows = pd.DataFrame({"StudyInstanceUID": [f"1.2.{number}" for number in range(40)]})
        planned = plan(rows, counter.pacs)
        # Three rows, and what breaks is tried twice; on a slow machine one more after each pause.
        assert counter.connections <= 12
    assert values(planned, "action", "expected") == [["move", None]] * 40
    # A connection that is closed at once may be found closed or broken.
    assert planned["advice"].str.contains("the peer closed|the connection broke", case=False).all()


# Where a receiver is the destination.


def test_rows_on_disk_and_rows_that_are_left_out(tmp_path: Path) -> None:
    table = pd.DataFrame({"StudyInstanceUID": [*STUDIES[:3], STUDIES[0]]})
    lost = faults.SomeFail(studies=(STUDIES[1],))
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, lost, source=SOURCE) as pacs:
        assert values(plan(table, pacs, receiver), "action", "on_disk") == [["move", 0]] * 3 + [["repeated", 0]]
        moved = dm.move(table[:2], pacs, receiver, progress=False)
        assert moved["outcome"].tolist() == ["complete", "partial"]
        planned = plan(table, pacs, receiver)
        assert values(planned, "action", "expected", "on_disk") == [
            ["skip", 6, 6],
            ["move", 6, 4],
            ["move", 6, 0],
            ["skip", 6, 6],
        ]
        assert "An earlier run completed it" in str(planned["advice"][0])
        without = plan(table, pacs, receiver, journal=False)
        assert without["action"].tolist() == ["move", "move", "move", "repeated"]
        assert without["advice"][0] == "All of it is on disk already."
        # What the plan says is what the move does.
        results = dm.move(table, pacs, receiver, progress=False)
        assert results["resumed"].tolist() == (planned["action"] == "skip").tolist()
        # What is not there any more would be moved.
        next(path for path in receiving.files(tmp_path).values() if STUDIES[0] == path.parts[-3]).unlink()
        assert plan(table, pacs, receiver)["action"].tolist()[0] == "move"
    with pytest.raises(dm.errors.ReceiverError, match="closed"):
        plan(table, pacs, receiver)


def test_a_plan_after_a_move_that_was_refused(tmp_path: Path) -> None:
    table = pd.DataFrame({"StudyInstanceUID": STUDIES[:3]})
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        with pytest.raises(dm.errors.LimitError, match="max_studies"):
            dm.move(table, pacs, receiver, max_studies=2, progress=False)
        assert values(plan(table, pacs, receiver), "action", "expected") == [["move", 6]] * 3


def test_the_journal_of_another_destination(here: Here, tmp_path: Path) -> None:
    pacs, journal = here.pacs, tmp_path / "pull.sqlite"
    table = pd.DataFrame({"StudyInstanceUID": STUDIES[:2]})
    assert plan(table, pacs, servers.SINK, journal=journal)["action"].tolist() == ["move", "move"]
    assert list(tmp_path.iterdir()) == []
    dm.move(table[:1], pacs, servers.SINK, journal=journal, progress=False)
    planned = plan(table, pacs, servers.SINK, journal=journal)
    assert values(planned, "action", "expected", "on_disk") == [["skip", 6, None], ["move", 6, None]]
    assert plan(table, pacs, servers.SINK)["action"].tolist() == ["move", "move"]


def test_rows_that_a_move_resumes_after_a_comparison(tmp_path: Path) -> None:
    """Their C-FINDs had no answer in the run that completed them, or they name a patient only now."""
    one, refusals = ALL[0], [0xA700]
    table = pd.DataFrame({"StudyInstanceUID": [one.study_instance_uid], "SeriesInstanceUID": [one.series_instance_uid]})
    options: dict[str, Any] = {"journal": tmp_path / "pull.sqlite", "progress": False}
    with (
        Listener(servers.Sink()) as storage,
        receiving.pacs({servers.SINK: ("127.0.0.1", storage.port)}, Refuses(refusals), source=SOURCE) as pacs,
    ):
        with pytest.warns(dm.errors.VerificationWarning):
            first = dm.move(table, pacs, servers.SINK, **options)
        for status, patient, said in [
            (0xA700, None, ("skip", True)),
            (None, None, ("skip", True)),
            (None, one.patient_id, ("skip", True)),
            (None, "SOMEBODY", ("invalid", False)),
        ]:
            refusals[:] = [status] if status else []
            rows = table.assign(PatientID=patient)
            planned = dm.plan(rows, pacs, servers.SINK, **options)
            moved = dm.move(rows, pacs, servers.SINK, **options)
            assert (planned["action"].iloc[0], moved["resumed"].iloc[0]) == said
    assert "not compared" in first["advice"].iloc[0]


@dataclass(frozen=True)
class Refuses(FindFault):
    """C-FIND is refused while there is a status in the list."""

    statuses: list[int] = field(default_factory=list)

    def on_query(self, request: Request, identifier: object) -> None:  # noqa: ARG002 (as in `Fault`)
        if self.statuses:
            raise Refuse(self.statuses[0], "")


# What cannot be right.


@pytest.mark.parametrize(
    ("table", "options"),
    [
        (pd.DataFrame({"AccessionNumber": ["A1"]}), {}),
        (pd.DataFrame({"StudyInstanceUID": [1.5]}), {}),
        (pd.DataFrame({"StudyInstanceUID": ["1.2.3"]}), {"level": "SERIES"}),
        (pd.DataFrame({"StudyInstanceUID": ["1.2.3"]}), {"level": "PATIENT"}),
        (pd.DataFrame({"StudyInstanceUID": ["1.2.3"]}), {"query_model": "Root"}),
    ],
)
def test_a_table_that_cannot_be_right_is_an_error_as_in_move(table: pd.DataFrame, options: dict[str, str]) -> None:
    with servers.counting() as counter:
        with pytest.raises(dm.CohortError) as planned:
            plan(table, counter.pacs, **options)
        with pytest.raises(dm.CohortError) as moved:
            dm.move(
                table,
                counter.pacs,
                "DESTINATION",
                level=options.get("level"),
                query_model=options.get("query_model", "StudyRoot"),
            )
        assert str(planned.value) == str(moved.value)
        assert counter.connections == 0


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (["AN AE TITLE TOO LONG"], {}, dm.errors.AddressError),
        ([7], {}, dm.errors.AddressError),
        ([], {"journal": "pull.sqlite"}, ValueError),
        ([], {"progress": "loud"}, ValueError),
    ],
)
def test_an_argument_that_cannot_be_right(
    arguments: list[object], options: dict[str, object], error: type[Exception]
) -> None:
    with servers.counting() as counter:
        with pytest.raises(error):
            plan(pd.DataFrame({"StudyInstanceUID": ["1.2.3"]}), counter.pacs, *arguments, **options)
        assert counter.connections == 0


def test_an_empty_table_has_the_same_columns() -> None:
    with servers.counting() as counter:
        empty = plan(pd.DataFrame({"StudyInstanceUID": []}), counter.pacs)
        full = plan(pd.DataFrame({"StudyInstanceUID": ["*"]}), counter.pacs)
        assert counter.connections == 0
    assert len(empty) == 0
    assert empty.dtypes[list(PLAN_COLUMNS)].tolist() == full.dtypes[list(PLAN_COLUMNS)].tolist()


# What is shown, and what an interrupt leaves.


def test_every_row_is_shown(here: Here) -> None:
    shown: list[Event] = []
    table = pd.DataFrame({"StudyInstanceUID": [STUDIES[0], STUDIES[0], "*"]}, index=["a", "b", "c"])
    plan(table, here.pacs, progress=shown.append)
    assert shown[0] == RunStarted(verb="plan", rows=3, requests=1)
    assert [event.row for event in shown if isinstance(event, RowStarted)] == ["a", "b", "c"]
    finished = [event for event in shown if isinstance(event, RowFinished)]
    assert [(event.outcome, event.instances) for event in finished] == [("move", 6), ("repeated", 6), ("invalid", None)]
    assert shown[-1] == RunEnded(verb="plan", interrupted=False)


def test_an_interrupt_leaves_the_rest_unknown(here: Here) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, RowFinished) and event.position == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.warns(dm.InterruptedWarning, match="not looked up"):
        planned = plan(pd.DataFrame({"StudyInstanceUID": STUDIES}), here.pacs, progress=interrupt)
    assert values(planned, "action", "expected") == [["move", 6], ["move", 6], ["move", None], ["move", None]]


def test_a_row_looks_through_its_own_questions_and_not_those_of_all_rows_before(here: Here) -> None:
    """With the questions of all rows, a plan of 100,000 rows took minutes to look through them."""
    table = pd.DataFrame({"StudyInstanceUID": STUDIES, "PatientID": [f"00{number}" for number in range(len(STUDIES))]})
    with dm.FindScu(here.pacs) as scu:
        inventory = Inventory(scu, "auto", threading.Event())
        for identifier, step in steps_of(table, move_identifiers(table)).items():
            _check_patients(inventory, identifier, step, to_receiver=False)
            assert len(inventory.asked) == 1
    assert len(here.recorder.requests) == len(STUDIES)


def test_a_study_of_another_patient_is_left_out(here: Here) -> None:
    """As `move` leaves it out; the move of the plan asks whose the others are, since a plan may be sorted or edited."""
    owners = {one.study_instance_uid: one.patient_id for one in ALL}
    patients = [owners[STUDIES[0]], "SOMEBODY", f"0{owners[STUDIES[2]]}"]
    table = pd.DataFrame({"StudyInstanceUID": STUDIES[:3], "PatientID": patients})
    planned = plan(table, here.pacs)
    assert planned["action"].tolist() == ["move", "invalid", "move"]
    assert "another PatientID than the row names" in planned["advice"].iloc[1]
    assert dm.move(table, here.pacs, "STORE", journal=False, progress=False)["outcome"].tolist()[1] == "invalid"
    moved = dm.move(planned, here.pacs, "STORE", journal=False, progress=False)
    assert moved["attempts"].tolist() == [1, 0, 1]
    sorted_apart = planned.assign(PatientID=[patients[1], *patients[:1], patients[2]])
    moved = dm.move(sorted_apart, here.pacs, "STORE", journal=False, progress=False)
    assert moved["error"].iloc[0] == "other_patient"
    assert moved["attempts"].tolist() == [0, 0, 1]


@pytest.mark.parametrize("port", [0, None])
@pytest.mark.parametrize("method", ["move", "get", "auto"])
def test_it_refuses_a_method_as_move_does(here: Here, tmp_path: Path, port: int | None, method: Method) -> None:
    rows = pd.DataFrame({"StudyInstanceUID": STUDIES[:1]})
    with dm.Receiver(tmp_path, port=port) as receiver:
        if method == "move" and port is None:
            for use in (plan, dm.move):
                with pytest.raises(ValueError, match="this receiver listens at no port"):
                    use(rows, here.pacs, receiver, method=method, progress=False)
        else:
            planned = plan(rows, here.pacs, receiver, method=method)
            assert ("SOPClassesInStudy" in planned) == (method == "get" or port is None)


SAME_NAMES = ["Synthetic, SYN000001", "synthetic", "SYN000001 B.", "", "山田^太郎"]
SAME_DAYS = ["1970-01-01", "19700801", "01.02.1970", "", "1970"]


@pytest.mark.parametrize(("name", "born"), [*zip(SAME_NAMES, SAME_DAYS, strict=True)])
def test_similar_names_get_no_advice(here: Here, name: str, born: str) -> None:
    row = {"StudyInstanceUID": STUDIES[0], "Patient's Name": name, "PatientBirthDate": born}
    alone = pd.DataFrame([row])
    assert values(plan(alone, here.pacs), "action", "advice") == [["move", None]]
    moved = dm.move(alone, here.pacs, "STORE", journal=False, progress=False)
    assert "under another" not in moved["advice"].iloc[0]


def test_a_study_of_another_person_is_left_out(here: Here) -> None:
    """Another name and another birth date; the PatientID tells better whose it is."""
    row = {"StudyInstanceUID": STUDIES[0], "PatientName": "DOE^JANE", "PatientBirthDate": "1951-02-03"}
    before = len(here.recorder.requests)
    moved = dm.move(pd.DataFrame([row]), here.pacs, "STORE", journal=False, progress=False)
    assert moved[["outcome", "error"]].to_numpy().tolist() == [["invalid", "other_patient"]]
    assert {command for command, _ in here.recorder.requests[before:]} == {"C-FIND"}
    planned = plan(pd.DataFrame([row]), here.pacs)
    assert planned["action"].tolist() == ["invalid"]
    assert "under another PatientName and PatientBirthDate than the row names" in planned["advice"].iloc[0]
    known = [row | {"PatientID": ALL[0].patient_id}, row | {"accession": str(ALL[0].header["AccessionNumber"].value)}]
    for one in known:
        assert values(plan(pd.DataFrame([one]), here.pacs), "action", "advice") == [["move", None]]


@pytest.mark.parametrize(("key", "cell"), [("PatientName", "SYNTHETIC^SYN000009"), ("PatientBirthDate", "19510203")])
def test_another_name_or_another_birth_date_is_told(here: Here, key: str, cell: str) -> None:
    """A name may change, and tables for research shift dates."""
    rows = pd.DataFrame({"StudyInstanceUID": STUDIES[:2] * 2, key: [cell, "", "", ""]})
    planned = plan(rows, here.pacs)
    assert planned["action"].tolist() == ["move", "move", "repeated", "repeated"]
    with pytest.warns(dm.errors.CohortWarning, match="the studies of 1 rows under another PatientName or PatientBirth"):
        moved = dm.move(rows, here.pacs, "STORE", journal=False, progress=False)
    assert moved["attempts"].tolist() == [1] * 4
    told = [planned["advice"].iloc[0], moved["advice"].iloc[0]]
    assert [one for one in told if f"under another {key} than the row names: is it the same patient?" not in one] == []
    assert not moved["advice"].iloc[1:].str.contains(key).any()


def test_a_study_of_another_request_is_left_out(here: Here) -> None:
    numbers = {one.study_instance_uid: str(one.header["AccessionNumber"].value) for one in ALL}
    table = pd.DataFrame({"StudyInstanceUID": STUDIES[:3], "accession": [numbers[STUDIES[0]], "OTHER", ""]})
    planned = plan(table, here.pacs)
    assert planned["action"].tolist() == ["move", "invalid", "move"]
    assert "another AccessionNumber than the row names" in planned["advice"].iloc[1]
    moved = dm.move(planned, here.pacs, "STORE", journal=False, progress=False)
    assert moved["attempts"].tolist() == [1, 0, 1]
    unreadable = table.assign(accession=["#N/A", "", ""])
    assert plan(unreadable, here.pacs)["action"].tolist() == ["invalid", "move", "move"]


def test_the_plan_of_a_result_table_is_a_plan(here: Here) -> None:
    """What was moved is planned again: its rows have the columns of both."""
    table = pd.DataFrame({"StudyInstanceUID": STUDIES[:2]})
    moved = dm.move(table, here.pacs, "STORE", journal=False, progress=False)
    for results in (moved, dm.move(plan(table, here.pacs), here.pacs, "STORE", journal=False, progress=False)):
        planned = plan(results, here.pacs).assign(action=["move", "not now"])
        again = dm.move(planned, here.pacs, "STORE", journal=False, progress=False)
        assert again["attempts"].tolist() == [1, 0]
        assert again["outcome"].iloc[1] == "not_attempted"
        assert dm.move(again, here.pacs, "STORE", journal=False, progress=False)["attempts"].tolist() == [1, 1]
        assert dm.summary(planned).index.tolist() == ["move", "not now", "all"]
