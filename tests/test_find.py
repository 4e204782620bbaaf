"""`find` and `echo`: what a PACS has of a cohort."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydicom import Dataset

import dicomove as dm
from dicomove.columns import FIND_COLUMNS
from dicomove.dimse.association import Association
from dicomove.dimse.data_sets import encode_identifier
from dicomove.dimse.messages import Message
from dicomove.dimse.opening import Peer
from dicomove.errors import StatusError
from dicomove.events import Event, RowFinished, RowStarted, RunEnded, RunStarted
from dicomove.testing.archive import Archive
from dicomove.testing.images import instance_uid, series_uid, study_uid
from tests import servers
from tests.servers import Here

pytestmark = pytest.mark.timeout(40)

CT, MR, CR = study_uid("A0001"), study_uid("A0002"), study_uid("A0010")
STUDY_COLUMNS = [
    *("PatientID", "StudyInstanceUID", "StudyDate", "AccessionNumber", "ModalitiesInStudy", "StudyDescription"),
    *("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    *("InstanceAvailability", "RetrieveAETitle"),
]


def accessions(*values: object, **options: Any) -> pd.DataFrame:
    return pd.DataFrame({"AccessionNumber": list(values)}, **options)


def find(table: pd.DataFrame, here: Here, **options: Any) -> pd.DataFrame:
    return dm.find(table, here.pacs, progress=options.pop("progress", False), **options)


# The table.


def test_one_row_for_each_match(here: Here) -> None:
    table = pd.DataFrame({"MRN": ["000123", "999998", ""], "group": ["a", "b", "c"]}, index=["x", "y", "z"])
    found = find(table, here)
    assert found["cohort_row"].tolist() == ["x", "x", "y", "z"]
    assert found.index.equals(pd.RangeIndex(4))
    assert found["group"].tolist() == ["a", "a", "b", "c"]
    assert found["outcome"].tolist() == ["matched", "matched", "empty", "invalid"]
    assert found["matches"].tolist() == [2, 2, 0, 0]
    assert found["filtered"].tolist() == [0, 0, 0, 0]
    assert found["StudyInstanceUID"].tolist()[:2] == [CT, MR]
    assert found["StudyDate"].tolist()[:2] == ["20240110", "20240617"]
    assert found["ModalitiesInStudy"].tolist()[:2] == ["CT\\SR", "MR"]
    assert found["NumberOfStudyRelatedInstances"].array[:2] == pd.array([5, 6], dtype="Int64")
    assert found["status"].tolist()[:3] == ["0x0000"] * 3
    assert found[["StudyInstanceUID", "StudyDate", "NumberOfStudyRelatedInstances"]].iloc[2:].isna().all(axis=None)
    assert found["error"].isna().tolist() == [True, True, True, False]
    assert (found["error"].iloc[3], found["status"].isna().iloc[3]) == ("invalid_row", True)


def test_the_columns_and_their_types(here: Here) -> None:
    found = find(accessions("A0001", ""), here)
    assert list(found.columns) == [
        *("cohort_row", "AccessionNumber", "PatientID", "StudyInstanceUID", "StudyDate"),
        *("ModalitiesInStudy", "StudyDescription", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
        *("InstanceAvailability", "RetrieveAETitle"),
        *FIND_COLUMNS,
    ]
    text = pd.Series(["a", None], dtype="str" if pd.__version__ >= "3" else object).dtype
    numbers = {"NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "matches", "filtered"}
    for name in found.columns[1:]:
        assert found[name].dtype == (pd.Int64Dtype() if name in numbers else text), name


@pytest.mark.parametrize("table", [accessions("A0001").iloc[:0], pd.DataFrame({"AccessionNumber": [], "group": []})])
def test_an_empty_table_has_the_same_columns(here: Here, table: pd.DataFrame) -> None:
    full = find(accessions("A0001").assign(**dict.fromkeys(table.columns[1:], "x")), here)
    empty = find(table, here)
    assert len(empty) == 0
    assert list(empty.columns) == list(full.columns)


@pytest.mark.parametrize(
    "index",
    [
        pd.Index(["a", "a", "b"]),
        pd.Index([7, 7, 7], name="n"),
        pd.Index([0.5, np.nan, 2.0]),
        pd.date_range("2024-01-01", periods=3, tz="UTC"),
        pd.MultiIndex.from_tuples([("p", 1), ("p", 1), ("q", 2)], names=["patient", None]),
    ],
    ids=lambda index: type(index).__name__,
)
def test_any_index_says_who_asked(here: Here, index: pd.Index) -> None:
    found = find(accessions("A0001", "", "A001*", index=index), here)
    assert found["AccessionNumber"].fillna("").tolist() == ["A0001", "", "A001", "A0010"]
    labels = list(index)
    expected = [labels[0], labels[1], labels[2], labels[2]]
    assert [pd.isna(a) is True or a == b for a, b in zip(found["cohort_row"], expected, strict=True)] == [True] * 4


def test_labels_of_columns_may_repeat_and_nest(here: Here) -> None:
    table = pd.concat([accessions("A0001"), pd.DataFrame([["x", "y"]], columns=["group", "group"])], axis=1)
    found = find(table, here)
    assert list(found.columns[:4]) == ["cohort_row", "AccessionNumber", "group", "group"]
    assert found.iloc[0, 1:4].tolist() == ["A0001", "x", "y"]
    nested = pd.DataFrame([["A0001", 1]], columns=pd.MultiIndex.from_tuples([("AccessionNumber", ""), ("a", "b")]))
    assert find(nested, here)[("outcome", "")].tolist() == ["matched"]


def test_typed_cells_stay_beside_the_matches(here: Here) -> None:
    table = pd.DataFrame({"AccessionNumber": ["A001*"], "StudyDate": ["2024-02-01 - 2024-02-15"], "note": ["n"]})
    table["StudyDate"] = "20240201-20240215"
    found = find(table, here)
    assert found["AccessionNumber"].tolist() == ["A001"]
    assert found["AccessionNumber_asked"].tolist() == ["A001*"]
    assert found["StudyDate"].tolist() == ["20240201"]
    assert found["StudyDate_asked"].tolist() == ["20240201-20240215"]
    assert found["note"].tolist() == ["n"]
    assert "PatientID_asked" not in found


@pytest.mark.parametrize("header", ["AccessionNumber", "accession", "accessionnumber"])
def test_a_row_without_an_answer_is_asked_again_by_all_its_keys(here: Here, header: str) -> None:
    """`find` adds columns that a later `find` reads first: they were blank in rows without a match."""
    table = pd.DataFrame({"PatientID": ["000123", "000123", "000123"], header: ["A0001", 1, ""]})
    with servers.dead_port() as dead, pytest.warns(dm.errors.FindWarning, match="1 of 3 rows are asked by fewer keys"):
        lost = dm.find(table, dm.Pacs(f"127.0.0.1:{dead}"), progress=False)
    assert lost["outcome"].tolist() == ["unreachable", "invalid", "unreachable"]
    again = dm.find(lost, here.pacs, partial_keys="refuse", progress=False)
    assert again["outcome"].tolist() == ["matched", "invalid", "invalid"]
    assert again["asked_by"].fillna("").tolist() == ["PatientID, AccessionNumber", "", ""]
    assert "AccessionNumber is a number" in again["advice"].iloc[1]
    assert "AccessionNumber is blank" in again["advice"].iloc[2]


def test_the_callers_table_stays_as_it_is(here: Here) -> None:
    table = accessions("A0001", "A001*", "", index=["a", "b", "c"]).assign(outcome="older")
    before = table.copy(deep=True)
    with pytest.warns(dm.errors.CohortWarning, match="outcome_cohort"):
        found = find(table, here)
    assert found["outcome_cohort"].tolist() == ["older"] * len(found)
    found.loc[:, "AccessionNumber"] = "changed"
    found.loc[:, "outcome"] = "changed"
    pd.testing.assert_frame_equal(table, before)


def test_columns_of_an_older_search_are_replaced(here: Here) -> None:
    older = find(accessions("A0001", "A0010").assign(group=["x", "y"]), here)
    again = find(older, here)
    assert list(again.columns) == list(older.columns)
    assert again["outcome"].tolist() == ["matched", "matched"]
    assert again["cohort_row"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("keys", "column", "value"),
    [
        (["PatientName"], "PatientName", "DEMO^HANAKO=見本^花子=みほん^はなこ"),
        (["(0010,0030)"], "PatientBirthDate", "19720505"),
        (["00100040", "PatientSex"], "PatientSex", "F"),
        (["StudyTime"], "StudyTime", "080000"),
        (["SOPClassesInStudy"], "SOPClassesInStudy", "1.2.840.10008.5.1.4.1.1.1"),
    ],
)
def test_more_can_be_asked_for(here: Here, keys: list[str], column: str, value: str) -> None:
    found = find(accessions("A0010"), here, keys=keys)
    assert found[column].tolist() == [value]
    assert list(found.columns).count(column) == 1


def test_names_are_asked_for_only_on_request(here: Here) -> None:
    find(accessions("A0010"), here)
    (asked,) = here.recorder.asked("C-FIND")
    apart = {"IssuerOfPatientID", "PatientBirthDate"}  # whether an accession number is of several patients
    assert set(asked) == {"SpecificCharacterSet", "QueryRetrieveLevel", *STUDY_COLUMNS, *apart}
    assert {name: value for name, value in asked.items() if value} == {
        "QueryRetrieveLevel": "STUDY",
        "AccessionNumber": "A0010",
    }


def test_one_further_key_needs_no_list(here: Here) -> None:
    assert "PatientComments" in find(accessions("A0010"), here, keys="PatientComments")


# What is sent, and what is not.


def test_a_bad_row_is_never_sent(here: Here) -> None:
    cells = pd.Series(["", " ", None, np.nan, pd.NA, "*", "A\\B", "A\nB", "1.2E+19", ["A0001"], "A0001"], dtype=object)
    found = find(pd.DataFrame({"AccessionNumber": cells}), here)
    assert found["outcome"].tolist() == ["invalid"] * 10 + ["matched"]
    assert [asked["AccessionNumber"] for asked in here.recorder.asked("C-FIND")] == ["A0001"]
    assert not found["advice"].str.contains("1.2E", regex=False, na=False).any()


def test_rows_that_ask_the_same_are_asked_once(here: Here) -> None:
    found = find(accessions("A0001", "A0010", " A0001", "A0001"), here)
    assert found["matches"].tolist() == [1, 1, 1, 1]
    assert [asked["AccessionNumber"] for asked in here.recorder.asked("C-FIND")] == ["A0001", "A0010"]


def test_a_cohort_that_has_numbers_of_instances_keeps_them(here: Here) -> None:
    """Also where a row of it has no match, and so no number of the PACS's."""
    rows = accessions("A0001", "A9999", "").assign(NumberOfStudyRelatedInstances=["5", "7", "9"])
    found = find(rows, here)
    assert found["outcome"].tolist() == ["matched", "empty", "invalid"]
    assert found["NumberOfStudyRelatedInstances"].fillna(-1).tolist() == [5, -1, -1]
    assert found["NumberOfStudyRelatedInstances_asked"].tolist() == ["5", "7", "9"]


def test_half_of_a_character_is_not_sent(here: Here) -> None:
    """pydicom would put a question mark in its place, which matches any character."""
    rows = pd.DataFrame({"PatientID": ["00012\udc80", "000123"], "note": ["\ud83d", ""]}, dtype=object)
    found = find(rows, here)
    assert found["outcome"].tolist() == ["invalid", *["matched"] * (len(found) - 1)]
    assert "holds control characters" in found["advice"].iloc[0]
    assert found["note"].iloc[0] == "\ud83d"
    typed = rows.assign(StudyInstanceUID=found["StudyInstanceUID"].iloc[1])
    moved = dm.move(typed, here.pacs, "NOBODY", query_model="PatientRoot", progress=False)
    assert moved[["outcome", "attempts"]].to_numpy().tolist() == [["invalid", 0], ["failed", 1]]


def test_a_code_in_full_width_letters_ends_nothing(here: Here) -> None:
    rows = accessions("A0001", "A0001").assign(Modality=["\uff23\uff34", "CT"])
    found = find(rows, here)
    assert found["outcome"].tolist() == ["invalid", "matched"]
    assert "holds letters or digits that are not ASCII" in found["advice"].iloc[0]
    with (
        dm.FindScu(here.pacs) as scu,
        pytest.raises(dm.errors.IdentifierError, match="ModalitiesInStudy holds letters"),
    ):
        scu.find_studies({"AccessionNumber": "A0001", "ModalitiesInStudy": "\uff23\uff34"})


@pytest.mark.parametrize(
    ("table", "options", "error"),
    [
        (accessions("A0001"), {"level": "INSTANCE"}, dm.CohortError),
        (accessions("A0001"), {"level": "PATIENT"}, dm.CohortError),
        (accessions("A0001"), {"query_model": "study"}, dm.CohortError),
        (accessions(1, 2), {}, dm.CohortError),
        (pd.DataFrame({"group": ["x"]}), {}, dm.CohortError),
        (accessions("A0001").set_index("AccessionNumber"), {}, dm.CohortError),
        (["A0001"], {}, dm.CohortError),
        (accessions("A0001"), {"keys": ["NoSuchAttribute"]}, dm.errors.IdentifierError),
        (accessions("A0001"), {"keys": ["(0009,0001)"]}, dm.errors.IdentifierError),
        (accessions("A0001"), {"progress": "loud"}, ValueError),
    ],
)
def test_what_cannot_be_right_is_said_before_anything_is_sent(
    table: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    with servers.counting() as counter:
        with pytest.raises(error):
            dm.find(table, counter.pacs, **{"progress": False, **options})
        assert counter.connections == 0


@pytest.mark.parametrize("level", ["SERIES", "series ", "IMAGE", "image"])
def test_a_level_in_any_case(here: Here, level: str) -> None:
    table = pd.DataFrame({"StudyInstanceUID": [CT], "SeriesInstanceUID": [series_uid("A0001", 2)]})
    found = find(table, here, level=level)
    assert found["Modality"].tolist() == ["SR"]
    if level.lower() == "image":
        assert found["SOPInstanceUID"].tolist() == [instance_uid("reportsi.dcm")]


def test_one_association_for_all_rows(here: Here) -> None:
    with servers.relay(here.pacs.port) as relay:
        pacs = dm.Pacs(f"TEST_PACS@127.0.0.1:{relay.port}")
        found = dm.find(accessions("A0001", "A0010", "A9999"), pacs, progress=False)
        assert found["outcome"].tolist() == ["matched", "matched", "empty"]
        assert relay.connections == 1


# A PACS that answers something else than was asked.


class Prefixes(Archive):
    """Takes each accession number for the beginning of one, as sloppy archives do."""

    def find(self, identifier: Dataset, query_model: str) -> Iterator[Dataset]:
        if identifier.get("AccessionNumber"):
            identifier.AccessionNumber += "*"
        return super().find(identifier, query_model)


class IgnoresDates(Archive):
    def find(self, identifier: Dataset, query_model: str) -> Iterator[Dataset]:
        identifier.StudyDate = ""
        return super().find(identifier, query_model)


def test_unrequested_answers_are_left_out(archive: Archive) -> None:
    with (
        servers.here(Prefixes(archive.instances)) as here,
        pytest.warns(dm.errors.FindWarning, match="answers to 1 rows are not what the rows ask for"),
    ):
        found = find(accessions("A001", "A0010"), here)
    assert found["AccessionNumber"].tolist() == ["A001", "A0010"]
    assert found["matches"].tolist() == [1, 1]
    assert found["filtered"].tolist() == [1, 0]
    assert found["advice"].iloc[0] == "Some answers of the PACS were left out: 1 had another AccessionNumber."
    assert pd.isna(found["advice"].iloc[1])


def test_a_key_that_the_pacs_ignores(archive: Archive) -> None:
    table = pd.DataFrame({"PatientID": ["000123"], "StudyDate": ["20240601-20240630"]})
    with servers.here(IgnoresDates(archive.instances)) as here, pytest.warns(dm.errors.FindWarning):
        found = find(table, here)
    assert found["StudyInstanceUID"].tolist() == [MR]
    assert found["filtered"].tolist() == [1]


class Refuses:
    """Answers C-FIND with a status, after so many matches."""

    def __init__(self, status: int | None, matches: int = 0) -> None:
        self.status, self.matches = status, matches

    def handle(self, association: Association, peer: Peer, message: Message) -> None:  # noqa: ARG002
        syntax = association.contexts[message.context_id].transfer_syntax
        for number in range(self.matches):
            keys = {"StudyInstanceUID": f"1.2.{number}", "AccessionNumber": "A0001", "QueryRetrieveLevel": "STUDY"}
            servers.respond(association, message, 0xFF00, None, encode_identifier(keys, syntax))
        if self.status is None:
            association.abort()
        else:
            servers.respond(association, message, self.status, {"ErrorComment": "the words of the PACS"})


@pytest.mark.parametrize(
    ("status", "matches", "outcome", "error"),
    [
        (0x0000, 2, "matched", None),
        (0x0000, 0, "empty", None),
        (0xA700, 0, "failed", "out_of_resources"),
        (0xA900, 0, "failed", "identifier_mismatch"),
        (0xC001, 0, "failed", "unable_to_process"),
        (0x0122, 0, "failed", "not_supported"),
        (0x0124, 0, "failed", "not_authorized"),
        (0xC001, 2, "partial", "unable_to_process"),
        (None, 2, "partial", "association_aborted"),
        (None, 0, "interrupted", "association_aborted"),
    ],
)
def test_answers_of_the_pacs(status: int | None, matches: int, outcome: str, error: str | None) -> None:
    with servers.served(Refuses(status, matches)) as pacs:
        found = dm.find(accessions("A0001"), pacs, progress=False)
    assert found["outcome"].tolist() == [outcome] * max(1, matches)
    assert found["error"].fillna("").tolist() == [error or ""] * max(1, matches)
    assert found["status"].fillna("").iloc[0] == ("" if status is None else f"0x{status:04X}")
    assert found["error_comment"].fillna("").iloc[0] == ("" if status is None else "the words of the PACS")
    assert found["StudyInstanceUID"].fillna("").tolist() == ([f"1.2.{n}" for n in range(matches)] or [""])
    advice = found["advice"].fillna("").iloc[0]
    assert bool(advice) == bool(error)
    assert not any(words in advice for words in ("destination", "C-MOVE", "in doubt")), "a search moves nothing"


class Joins:
    """Answers C-FIND with one study, as each of several databases has it."""

    def __init__(self, *differences: dict[str, str]) -> None:
        self.differences = differences

    def handle(self, association: Association, peer: Peer, message: Message) -> None:  # noqa: ARG002
        syntax = association.contexts[message.context_id].transfer_syntax
        for difference in self.differences:
            keys = {"StudyInstanceUID": "1.2.3", "AccessionNumber": "A0001", "PatientID": "7", **difference}
            servers.respond(association, message, 0xFF00, None, encode_identifier(keys, syntax))
        servers.respond(association, message, 0x0000)


@pytest.mark.parametrize(
    "difference",
    [
        {"NumberOfStudyRelatedInstances": "4"},
        {"NumberOfStudyRelatedInstances": ""},
        {"RetrieveAETitle": "OTHER"},
        {"StudyTime": "101500.000"},
        {"StudyDescription": "Thorax"},
        {"AccessionNumber": ""},
        {"PatientID": ""},
    ],
    ids=lambda difference: "".join(difference),
)
def test_a_study_that_two_databases_tell_is_one(difference: dict[str, str]) -> None:
    with servers.served(Joins({"NumberOfStudyRelatedInstances": "6"}, difference)) as pacs:
        found = dm.find(accessions("A0001"), pacs, progress=False)
    assert found["outcome"].tolist() == ["matched"]
    assert found["PatientID"].tolist() == ["7"]
    assert found["NumberOfStudyRelatedInstances"].tolist() == [6]


def test_the_largest_number_of_instances_counts() -> None:
    numbers = [{"NumberOfStudyRelatedInstances": number} for number in ("9", "12", "6")]
    with servers.served(Joins(*numbers)) as pacs:
        found = dm.find(accessions("A0001"), pacs, progress=False)
    assert found["NumberOfStudyRelatedInstances"].tolist() == [12]


def test_a_study_of_two_patients_is_told_twice() -> None:
    told = pytest.warns(dm.errors.FindWarning, match="more than one patient")
    with servers.served(Joins({}, {"PatientID": "8"})) as pacs, told:
        found = dm.find(accessions("A0001"), pacs, progress=False)
    assert found["PatientID"].tolist() == ["7", "8"]
    assert "2 different PatientIDs" in found["advice"].iloc[0]


def test_nobody_is_there() -> None:
    with servers.dead_port() as dead:
        found = dm.find(accessions("A0001", "", "A0010"), dm.Pacs(f"127.0.0.1:{dead}"), progress=False)
    assert found["outcome"].tolist() == ["unreachable", "invalid", "unreachable"]
    assert found["error"].tolist() == ["connection_failed", "invalid_row", "connection_failed"]


# Progress and interrupts.


def test_events_tell_the_story(here: Here) -> None:
    events: list[Event] = []
    find(accessions("A001*", "", "A001*", index=["x", "bad", "y"]), here, progress=events.append)
    assert events[0] == RunStarted(verb="find", rows=3, requests=1)
    assert events[1] == RowStarted(row="x", position=0)
    finished = [event for event in events if isinstance(event, RowFinished)]
    assert [(event.row, event.position, event.outcome, event.instances) for event in finished] == [
        ("x", 0, "matched", 2),
        ("bad", 1, "invalid", 0),
        ("y", 2, "matched", 2),
    ]
    assert events[-1] == RunEnded(verb="find", interrupted=False)
    assert len(events) == 8


def test_a_callback_that_raises_does_no_harm(here: Here, caplog: pytest.LogCaptureFixture) -> None:
    def raises(event: Event) -> None:
        raise RuntimeError(str(event))

    assert find(accessions("A0001"), here, progress=raises)["outcome"].tolist() == ["matched"]
    assert "the callback raises raised" in caplog.text
    assert "RowFinished(" not in caplog.text


def interrupted(table: pd.DataFrame, pacs: dm.Pacs, progress: Callable[[Event], object]) -> pd.DataFrame:
    try:
        with pytest.warns(dm.InterruptedWarning, match="found so far"):
            return dm.find(table, pacs, progress=progress)
    except KeyboardInterrupt:
        pytest.fail("the interrupt escaped, and the table is lost")


@pytest.mark.parametrize("kind", [RowStarted, RowFinished])
def test_an_interrupt_returns_the_table_so_far(here: Here, kind: type[Event]) -> None:
    def press(event: Event) -> None:
        events.append(event)
        if isinstance(event, kind) and event.position == 1:  # type: ignore[union-attr]
            signal.raise_signal(signal.SIGINT)

    events: list[Event] = []
    found = interrupted(accessions("A0001", "A0010", "A0200"), here.pacs, press)
    assert found["cohort_row"].tolist() == [0, 1, 2]
    assert found["outcome"].tolist()[0] == "matched"
    assert found["outcome"].tolist()[1] == ("matched" if kind is RowFinished else "not_attempted")
    assert found["outcome"].tolist()[2] == "not_attempted"
    assert found["advice"].iloc[2] == "The run ended before it reached this row: run it again."
    assert events[-1] == RunEnded(verb="find", interrupted=True)


@pytest.mark.filterwarnings("ignore:interrupted:dicomove.InterruptedWarning")
def test_an_interrupt_at_the_very_end_does_not_lose_the_table(here: Here) -> None:
    def press(event: Event) -> None:
        if isinstance(event, RunEnded):
            signal.raise_signal(signal.SIGINT)

    try:
        found = find(accessions("A0001"), here, progress=press)
    except KeyboardInterrupt:
        pytest.fail("the interrupt escaped, and the table is lost")
    assert found["outcome"].tolist() == ["matched"]


def test_an_interrupt_of_a_pacs_that_does_not_answer(archive: Archive) -> None:
    class Stalls(Archive):
        asked = 0

        def find(self, identifier: Dataset, query_model: str) -> Iterator[Dataset]:
            self.asked += 1
            if self.asked == 2:
                _thread.interrupt_main()
                assert gone.wait(20)
            return super().find(identifier, query_model)

    gone = threading.Event()
    with servers.here(Stalls(archive.instances)) as here:
        found = interrupted(accessions("A0001", "A0010", "A0200"), here.pacs, lambda _: None)
        gone.set()
    assert found["outcome"].tolist() == ["matched", "not_attempted", "not_attempted"]


# C-ECHO.


def test_echo(here: Here) -> None:
    answer = dm.echo(here.pacs)
    assert (answer.status, here.recorder.requests) == ("0x0000", [("C-ECHO", {})])
    assert 0 < answer.duration_s < 5


@pytest.mark.parametrize(
    ("status", "word"), [(0x0122, "not_supported"), (0x0211, "not_supported"), (0xC000, "unable_to_process")]
)
def test_an_echo_that_fails(status: int, word: str) -> None:
    with (
        servers.served(Refuses(status)) as pacs,
        pytest.raises(StatusError, match=f"0x{status:04X}") as raised,
    ):
        dm.echo(pacs)
    assert (raised.value.status, raised.value.error) == (f"0x{status:04X}", word)
    assert isinstance(raised.value, dm.DicomoveError)


def test_an_echo_without_an_answer() -> None:
    with servers.dead_port() as dead, pytest.raises(dm.errors.AssociationError) as raised:
        dm.echo(dm.Pacs(f"127.0.0.1:{dead}"))
    assert raised.value.error == "connection_failed"


def test_an_empty_row_says_which_of_its_characters_only_look_like_others(here: Here) -> None:
    found = find(accessions("\u0410" + "0001", "A0001"), here)
    assert found["outcome"].tolist() == ["empty", "matched"]
    assert "U+0410 CYRILLIC CAPITAL LETTER A" in found["advice"][0]
    assert pd.isna(found["advice"][1])
