from __future__ import annotations

import datetime as dt
import pickle
import re
from collections.abc import Mapping

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from dicomove.cohort import (
    AVAILABILITY_KEYS,
    IDENTIFYING_KEYS,
    LEVELS,
    MATCHING_KEYS,
    RETURN_KEYS,
    UNIQUE_KEYS,
    Broad,
    Query,
    Step,
    find_queries,
    keyword_columns,
    matches,
    meant_as_query,
    parse_level,
    parse_query_model,
    unasked_columns,
    with_digests,
    without_marks,
)
from dicomove.cohort.keywords import KEYWORDS, VRS, matching_keys
from dicomove.cohort.matching import only_difference
from dicomove.cohort.query_steps import row_query
from dicomove.errors import CohortError, IdentifierError
from dicomove.search.answers import left_out, unrepeated, unwritten, why_not

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine
UID, SERIES, SOP = "1.2.3", "1.2.3.4", "1.2.3.4.5"
Steps = list[tuple[str, dict[str, str]]]


def find_query(
    row: Mapping[str, object], level: str = "STUDY", model: str = "StudyRoot", *, broad: Broad = "refuse"
) -> Query:
    """Return the C-FINDs of a row with any headers."""
    known = parse_query_model(model)
    at = parse_level(level, known)
    values = list(row.values())
    cells = {name: values[place] for name, place in keyword_columns(row, matching_keys(at, known)).items()}
    return row_query(cells, at, known, broad=broad, given=False)


def steps(query: Query) -> Steps:
    return [(step.level, dict(step.keys)) for step in query.steps]


def test_tables_of_keys() -> None:
    keys = [name for level in LEVELS for name in MATCHING_KEYS[level]]
    assert len(keys) == len(set(keys))
    only_returned = {"QueryRetrieveLevel", "ImageType", *AVAILABILITY_KEYS}
    assert set(keys) == {name for name in KEYWORDS if name not in only_returned and "Related" not in name}
    for level in LEVELS:
        asked = matching_keys(level, "PatientRoot")
        assert len(asked) == len(set(asked))
        assert len(RETURN_KEYS[level]) == len(set(RETURN_KEYS[level]))
        assert set(UNIQUE_KEYS["PatientRoot"][level]) <= set(RETURN_KEYS[level]) <= set(KEYWORDS)
        assert not {"PatientName", "PatientBirthDate", "QueryRetrieveLevel"} & set(RETURN_KEYS[level])


@pytest.mark.parametrize(
    ("row", "level", "model", "expected"),
    [
        ({"AccessionNumber": "A1"}, "STUDY", "StudyRoot", [("STUDY", {"AccessionNumber": "A1"})]),
        (
            {"accession": "A1", "Modality": "CT"},
            "SERIES",
            "StudyRoot",
            [("STUDY", {"AccessionNumber": "A1"}), ("SERIES", {"Modality": "CT"})],
        ),
        ({"AccessionNumber": "A1"}, "SERIES", "StudyRoot", [("STUDY", {"AccessionNumber": "A1"}), ("SERIES", {})]),
        (
            {"accession": "A1", "SOPInstanceUID": SOP},
            "IMAGE",
            "StudyRoot",
            [("STUDY", {"AccessionNumber": "A1"}), ("SERIES", {}), ("IMAGE", {"SOPInstanceUID": SOP})],
        ),
        (
            {"accession": "A1", "SeriesInstanceUID": SERIES},
            "IMAGE",
            "StudyRoot",
            [("STUDY", {"AccessionNumber": "A1"}), ("IMAGE", {"SeriesInstanceUID": SERIES})],
        ),
        ({"StudyInstanceUID": UID}, "SERIES", "StudyRoot", [("SERIES", {"StudyInstanceUID": UID})]),
        (
            {"StudyInstanceUID": UID, "accession": "A1"},
            "SERIES",
            "StudyRoot",
            [("STUDY", {"StudyInstanceUID": UID}), ("SERIES", {})],
        ),
        (
            {"StudyInstanceUID": f"{UID}\\1.2.4"},
            "SERIES",
            "StudyRoot",
            [("STUDY", {"StudyInstanceUID": f"{UID}\\1.2.4"}), ("SERIES", {})],
        ),
        (
            {"StudyInstanceUID": UID, "SeriesInstanceUID": SERIES},
            "IMAGE",
            "StudyRoot",
            [("IMAGE", {"StudyInstanceUID": UID, "SeriesInstanceUID": SERIES})],
        ),
        (
            {"StudyInstanceUID": UID, "SOPInstanceUID": SOP},
            "IMAGE",
            "StudyRoot",
            [("SERIES", {"StudyInstanceUID": UID}), ("IMAGE", {"SOPInstanceUID": SOP})],
        ),
        # The patient belongs to the study in StudyRoot.
        (
            {"PatientID": "P*", "StudyDate": "2024-01-05"},
            "STUDY",
            "StudyRoot",
            [("STUDY", {"PatientID": "P*", "StudyDate": "20240105"})],
        ),
        # Modality is an attribute of the series.
        (
            {"Modality": "CT", "accession": "A"},
            "STUDY",
            "StudyRoot",
            [("STUDY", {"AccessionNumber": "A", "ModalitiesInStudy": "CT"})],
        ),
        (
            {"Modality": "CT", "ModalitiesInStudy": "MR", "PatientID": "7"},
            "STUDY",
            "StudyRoot",
            [("STUDY", {"PatientID": "7", "ModalitiesInStudy": "MR"})],
        ),
        # Keys below the level, counts and levels are not asked for.
        (
            {
                "accession": "A",
                "SeriesInstanceUID": "bad",
                "NumberOfStudyRelatedSeries": "3",
                "QueryRetrieveLevel": "IMAGE",
            },
            "STUDY",
            "StudyRoot",
            [("STUDY", {"AccessionNumber": "A"})],
        ),
        # A wildcard that matches everything is no key.
        (
            {"PatientID": "*", "PatientName": "*^*", "accession": "A"},
            "STUDY",
            "StudyRoot",
            [("STUDY", {"AccessionNumber": "A"})],
        ),
        # The UID is enough. What cannot be read beside it is not sent.
        (
            {"StudyInstanceUID": UID, "ModalitiesInStudy": "CT\\SR"},
            "SERIES",
            "StudyRoot",
            [("SERIES", {"StudyInstanceUID": UID})],
        ),
        ({"PatientID": "7"}, "PATIENT", "PatientRoot", [("PATIENT", {"PatientID": "7"})]),
        ({"PatientID": "7"}, "STUDY", "PatientRoot", [("STUDY", {"PatientID": "7"})]),
        ({"PatientID": "7"}, "SERIES", "PatientRoot", [("STUDY", {"PatientID": "7"}), ("SERIES", {})]),
        (
            {"PatientID": "7", "accession": "A"},
            "STUDY",
            "PatientRoot",
            [("STUDY", {"PatientID": "7", "AccessionNumber": "A"})],
        ),
        (
            {"PatientName": "DOE*", "accession": "A"},
            "STUDY",
            "PatientRoot",
            [("PATIENT", {"PatientName": "DOE*"}), ("STUDY", {"AccessionNumber": "A"})],
        ),
        (
            {"PatientID": "7*", "accession": "A"},
            "STUDY",
            "PatientRoot",
            [("PATIENT", {"PatientID": "7*"}), ("STUDY", {"AccessionNumber": "A"})],
        ),
        (
            {"PatientID": "7", "StudyInstanceUID": UID, "SeriesNumber": 3},
            "SERIES",
            "PatientRoot",
            [("SERIES", {"PatientID": "7", "StudyInstanceUID": UID, "SeriesNumber": "3"})],
        ),
    ],
)
def test_steps(row: dict[str, object], level: str, model: str, expected: Steps) -> None:
    query = find_query(row, level, model)
    assert (query.level, query.query_model) == (level, model)
    assert steps(query) == expected
    assert find_queries(pd.DataFrame([row], dtype=object), level, model) == [query]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("StudyDate", "20240105", "20240105"),
        ("StudyDate", "20240229", "20240229"),
        ("StudyDate", "2024-01-05 00:00:00", "20240105"),
        ("StudyDate", "2024-01-05 10:30:00", "20240105"),
        ("StudyDate", "20240110", "20240110"),
        ("StudyDate", "2024-01-05 23:30:15.123", "20240105"),
        ("StudyDate", "20240105 9:30", "20240105"),
        ("StudyDate", 20240105, "20240105"),
        ("StudyDate", 20240105.0, "20240105"),
        ("StudyDate", "2024-01-05", "20240105"),
        ("StudyDate", "20240101-20240131", "20240101-20240131"),
        ("StudyDate", "20240101 - 20240131", "20240101-20240131"),
        ("StudyDate", "20240105-20240105", "20240105-20240105"),
        ("StudyDate", "20240101-", "20240101-"),
        ("StudyDate", "-20240131", "-20240131"),
        ("StudyDate", dt.date(2024, 1, 5), "20240105"),
        ("StudyDate", pd.Timestamp("2024-01-05 10:00"), "20240105"),
        ("StudyDate", pd.Period("2024-01-05", "D"), "20240105"),
        ("StudyDate", pd.Period("2024-02", "M"), "20240201-20240229"),
        ("StudyTime", dt.time(10, 30), "103000-103000.999999"),
        ("StudyTime", dt.timedelta(hours=10, minutes=30), "103000-103000.999999"),
        ("StudyTime", dt.timedelta(), "000000-000000.999999"),
        ("StudyTime", "10:30", "1030-103059.999999"),
        ("StudyTime", "9:30", "0930-093059.999999"),
        ("StudyTime", "10", "10-105959.999999"),
        ("StudyTime", "10:30:45", "103045-103045.999999"),
        ("StudyTime", "103045.5", "103045.5"),
        ("StudyTime", "103045.5-103045.5", "103045.5-103045.5"),
        ("StudyTime", "10-10", "10-105959.999999"),
        ("StudyTime", "103000-12", "103000-125959.999999"),
        ("StudyTime", "10:30 - 11:00", "1030-110059.999999"),
        ("StudyTime", "10-", "10-"),
        ("StudyTime", "-1030", "-103059.999999"),
        ("StudyTime", "-103000.25", "-103000.25"),
        ("StudyInstanceUID", " 1.2.3 \\ 1.2.4", "1.2.3\\1.2.4"),
        ("StudyInstanceUID", "urn:oid:1.2.3", "1.2.3"),
        ("AccessionNumber", "urn:oid:1.2.3", "urn:oid:1.2.3"),
        ("AccessionNumber", "0001E5", "0001E5"),
        ("AccessionNumber", "x" * 64, "x" * 64),
        ("PatientName", "x" * 100, "x" * 100),
        ("PatientName", PersonName("Doe^Jane"), "Doe^Jane"),
        ("PatientID", "1234567890120000", "1234567890120000"),
        ("StudyDescription", "123.0", "123.0"),
    ],
)
def test_values(column: str, value: object, expected: str) -> None:
    assert steps(find_query({column: value}, broad="allow")) == [("STUDY", {column: expected})]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("StudyDate", "05.01.2024", "YYYYMMDD"),
        ("StudyDate", "01/05/2024", "YYYYMMDD"),
        ("StudyDate", "20241301", "YYYYMMDD"),
        ("StudyDate", "2024-02-30", "YYYYMMDD"),
        ("StudyDate", "20240132", "YYYYMMDD"),
        ("StudyDate", "2024-01", "YYYYMMDD"),
        ("StudyDate", "202401*", "YYYYMMDD"),
        ("StudyDate", "-", "YYYYMMDD"),
        ("StudyDate", "--20240101", "YYYYMMDD"),
        ("StudyDate", "20240101-20240102-20240103", "YYYYMMDD"),
        ("StudyDate", "20240131-20240101", "its end before"),
        ("StudyDate", "٢٠٢٤٠١٠٥", "YYYYMMDD"),
        ("StudyTime", "25", "HHMMSS"),
        ("StudyTime", "930", "HHMMSS"),
        ("StudyTime", "10:31-10:30", "its end before"),
        ("StudyTime", "22-06", "its end before"),
        ("StudyTime", dt.timedelta(days=1), "write one value as text"),
        ("StudyTime", "-", "HHMMSS"),
        ("StudyInstanceUID", "1.2.*", "UID"),
        ("StudyInstanceUID", "*", "UID"),
        ("StudyInstanceUID", "1.2..3", "UID"),
        ("StudyInstanceUID", "1.2.3\\", "UID"),
        ("StudyInstanceUID", ["1.2.3", "1.2.4"], "list"),
        ("AccessionNumber", "A\\B", "backslash"),
        ("ModalitiesInStudy", "CT\\MR", "backslash"),
        ("AccessionNumber", ["A"], "list"),
        ("AccessionNumber", "1.2E+19", "scientific"),
        ("AccessionNumber", "2024-01-05 00:00:00", "spreadsheet"),
        ("PatientID", "123.0", "spreadsheet"),
        ("PatientID", '="000123"', "spreadsheet"),
        ("StudyID", "'000123", "spreadsheet"),
        ("AccessionNumber", "A\nB", "control"),
        ("AccessionNumber", "A\tB", "control"),
        ("PatientID", "x" * 65, "64"),
        ("PatientName", "x" * 200, "longer"),
    ],
)
def test_values_that_cannot_be_asked_for(column: str, value: object, message: str) -> None:
    with pytest.raises(IdentifierError, match=message) as caught:
        find_query({column: value}, broad="allow")
    assert caught.value.column == column
    assert str(value) == "-" or str(value) not in str(caught.value).removeprefix(column)
    table = pd.DataFrame([{column: value}, {"StudyDescription": "HEAD"}], dtype=object)
    bad, good = find_queries(table, broad="allow")
    assert isinstance(bad, IdentifierError)
    assert isinstance(good, Query)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("AccessionNumber", 123),
        ("PatientID", 1.5),
        ("StudyDate", 45296),
        ("StudyDate", 20240105.5),
        ("AccessionNumber", dt.time(9, 30)),
        ("PatientID", dt.date(2024, 1, 5)),
    ],
)
def test_a_number_is_the_error_of_its_row(column: str, value: object) -> None:
    table = pd.DataFrame({column: pd.Series([value, "20240105"], dtype=object)})
    bad, good = find_queries(table, broad="allow")
    assert isinstance(bad, IdentifierError)
    assert bad.column == column
    assert isinstance(good, Query)


def test_leading_zeros_of_a_series_number_are_not_sent() -> None:
    """Archives store 1, and compare it as text."""
    sent = find_query({"StudyInstanceUID": UID, "SeriesNumber": "001"}, "SERIES").steps[-1].keys
    assert dict(sent)["SeriesNumber"] == "1"


@pytest.mark.parametrize("value", ["7.5", "a", "1\\2", 7.5, True])
def test_numbers_that_are_not_whole(value: object) -> None:
    with pytest.raises(IdentifierError, match="number"):
        find_query({"StudyInstanceUID": UID, "SeriesNumber": value}, "SERIES")


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"accession": ""},
        {"accession": None, "mrn": float("nan")},
        {"accession": "*"},
        {"accession": "**"},
        {"PatientName": "*^*"},
        {"accession": "??????????"},
        {"PatientName": "^"},
        {"PatientID": "*", "accession": "*?"},
        {"PatientName": "*?^= *"},
        {"SeriesInstanceUID": SERIES},
    ],
)
def test_the_whole_archive_is_never_asked_for(row: dict[str, object]) -> None:
    with pytest.raises(IdentifierError, match="whole archive"):
        find_query(row)


@pytest.mark.parametrize(
    ("row", "level", "model", "column"),
    [
        ({"SeriesInstanceUID": SERIES}, "SERIES", "StudyRoot", "StudyInstanceUID"),
        ({"Modality": "CT"}, "SERIES", "StudyRoot", "StudyInstanceUID"),
        ({"accession": "A"}, "STUDY", "PatientRoot", "PatientID"),
        ({"PatientID": "*", "accession": "A"}, "STUDY", "PatientRoot", "PatientID"),
        ({"StudyInstanceUID": UID}, "SERIES", "PatientRoot", "PatientID"),
    ],
)
def test_the_top_level_needs_a_key(row: dict[str, object], level: str, model: str, column: str) -> None:
    with pytest.raises(IdentifierError, match="search begins") as caught:
        find_query(row, level, model)
    assert caught.value.column == column


def test_a_modality_that_a_row_lacks_is_named_as_it_is_asked_for() -> None:
    _, fewer = find_queries(pd.DataFrame({"PatientID": ["7", "8"], "Modality": ["CT", ""]}))
    assert isinstance(fewer, Query)
    assert fewer.blank == ("ModalitiesInStudy",)


def test_a_table_of_find_has_no_rows_with_fewer_keys_than_others() -> None:
    table = pd.DataFrame({"cohort_row": [0, 1], "outcome": "matched", "matches": 1, "filtered": 0})
    queries = find_queries(table.assign(StudyInstanceUID=["1.2.3", "1.2.4"], SeriesNumber=["1", ""]), "SERIES")
    assert [query.notes for query in queries if isinstance(query, Query)] == [(), ()]


def test_a_row_that_was_added_to_a_table_of_find_is_compared_with_the_keys_of_the_others() -> None:
    first = found(PatientID=["7"], StudyInstanceUID=[UID]).assign(asked_by="PatientID, AccessionNumber")
    added = pd.DataFrame({"PatientID": ["8", "9", "9"], "AccessionNumber": ["A1", "", "A2"]})
    table = pd.concat([first.assign(StudyDate="20240105", AccessionNumber="A0"), added])
    kept, whole, fewer, _ = find_queries(table)
    assert [query.blank for query in (kept, whole, fewer) if isinstance(query, Query)] == [(), (), ("AccessionNumber",)]
    refused = [isinstance(query, IdentifierError) for query in find_queries(table, partial_keys="refuse")]
    assert refused == [False, False, True, False]


def test_an_unmatched_row_of_find_lacks_no_uid_that_its_neighbours_got() -> None:
    matched = found(PatientID=["7"], StudyInstanceUID=[UID]).assign(asked_by="PatientID")
    unmatched = found(PatientID=["8"], StudyInstanceUID=[None]).assign(outcome="empty", matches=0, asked_by="PatientID")
    table = pd.concat([matched, unmatched])
    assert not any(isinstance(query, IdentifierError) for query in find_queries(table, partial_keys="refuse"))


def test_a_patient_of_find_needs_no_birth_date_beside_the_patient_id() -> None:
    """The PACS knows none, and the user asked for other patients by theirs."""
    table = pd.concat([found(PatientID=["7"], PatientBirthDate=[day]) for day in ("19500101", "")], ignore_index=True)
    queries = find_queries(table.assign(asked_by="PatientName, PatientBirthDate, PatientSex"), partial_keys="refuse")
    assert [query.blank for query in queries if isinstance(query, Query)] == [(), ()]
    _, fewer = find_queries(table.assign(asked_by="PatientBirthDate, IssuerOfPatientID"))
    _, typed = find_queries(table[["PatientID", "PatientBirthDate"]])
    (by_accession,) = find_queries(found(AccessionNumber=["A1"]).assign(asked_by="PatientName"))
    blank = [query.blank for query in (fewer, typed, by_accession) if isinstance(query, Query)]
    assert blank == [("IssuerOfPatientID",), ("PatientBirthDate",), ("PatientName",)]


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        (["accession", "Patienten-ID", "Patientenname", "Study_ID"], ["'Patienten-ID' (PatientID?)"]),
        (["accession", "Patienten-ID", "study date", "exam date"], ["'Patienten-ID' (PatientID?)"]),
        (["accession", "mrn", "Patienten-ID"], []),
    ],
)
def test_a_header_that_looks_like_an_identifier_which_the_table_lacks_is_named(
    columns: list[str], named: list[str]
) -> None:
    said = " ".join(unasked_columns(pd.DataFrame(columns=columns), by_uid=False))
    assert re.findall(r"'[^']+' \(\w+\?\)", said) == named


@pytest.mark.parametrize(
    ("columns", "by_uid", "named"),
    [
        (["accession", "subject"], False, ["'subject' (PatientID?)"]),
        (["accession", "mrn", "subject"], False, []),
        (["study uid", "accession", "subject"], True, []),
        (["study uid", "accession", "subject_id"], True, []),
        (["study uid", "accession", "Patienten-ID"], True, ["'Patienten-ID' (PatientID?)"]),
    ],
)
def test_a_subject_is_a_number_of_the_study_where_patients_or_uids_are_there(
    columns: list[str], *, by_uid: bool, named: list[str]
) -> None:
    said = " ".join(unasked_columns(pd.DataFrame(columns=columns), by_uid=by_uid))
    assert re.findall(r"'[^']+' \(\w+\?\)", said) == named


@pytest.mark.parametrize("arguments", [("PATIENT", "StudyRoot"), ("x", "StudyRoot"), ("", "StudyRoot"), ("STUDY", "x")])
def test_levels_and_models_that_are_not(arguments: tuple[str, str]) -> None:
    for table in (pd.DataFrame({"accession": ["A"]}), pd.DataFrame()):
        with pytest.raises(CohortError):
            find_queries(table, *arguments)


@pytest.mark.parametrize(
    ("table", "level", "message"),
    [
        (pd.DataFrame({"arm": ["a"]}), "STUDY", "no column of the table identifies"),
        (pd.DataFrame({"SeriesInstanceUID": [SERIES]}), "STUDY", "no column of the table identifies"),
        (pd.DataFrame({"NumberOfStudyRelatedSeries": ["3"]}), "STUDY", "no column of the table identifies"),
        (pd.DataFrame({"accession": ["A"], "x": ["b"]}).set_index("accession"), "STUDY", "reset_index"),
        (pd.DataFrame({"accession": [123]}), "STUDY", "AccessionNumber holds numbers"),
        (pd.DataFrame({"mrn": [123.0, None]}), "STUDY", "PatientID holds numbers"),
        (pd.DataFrame({"StudyID": [1], "accession": ["A"]}), "STUDY", "StudyID holds numbers"),
        (pd.DataFrame({"study uid": [1.2]}), "STUDY", "StudyInstanceUID holds numbers"),
        (pd.DataFrame([["A", "B"]], columns=["accession", "accession"]), "STUDY", "several columns"),
        ([{"accession": "A"}], "STUDY", "DataFrame"),
    ],
)
def test_tables_that_cannot_be_right(table: pd.DataFrame, level: str, message: str) -> None:
    with pytest.raises(CohortError, match=message):
        find_queries(table, level)


NARROWING = [name for name in KEYWORDS if VRS[name] not in ("UI", "IS") and name not in IDENTIFYING_KEYS]


@pytest.mark.parametrize(
    "name", [name for name in NARROWING if name in MATCHING_KEYS["STUDY"] + MATCHING_KEYS["PATIENT"]]
)
def test_keys_that_only_narrow_are_not_asked_alone(name: str) -> None:
    cell = {"DA": "20240105", "TM": "103000"}.get(VRS[name], "X")
    with pytest.raises(CohortError, match="no column of the table identifies"):
        find_queries(pd.DataFrame({name: [cell]}))
    (refused,) = find_queries(pd.DataFrame({"AccessionNumber": [""], name: [cell]}))
    assert isinstance(refused, IdentifierError)
    assert 'broad="allow"' in str(refused)
    (broad,) = find_queries(pd.DataFrame({name: [cell]}), broad="allow")
    assert isinstance(broad, Query)
    assert broad.asked_by == (name,)


@pytest.mark.parametrize("name", [name for name in IDENTIFYING_KEYS if not name.startswith("S") or name == "StudyID"])
def test_an_identifying_key_is_enough(name: str) -> None:
    query = find_query({name: "X1", "StudyDate": "20240105"})
    assert set(query.asked_by) == {name, "StudyDate"}


def test_a_table_without_an_identifying_column_lists_its_headers() -> None:
    table = pd.DataFrame([["7", "A1", "20240105", "x"]], columns=["Patienten-ID", "Auftragsnummer", "StudyDate", "arm"])
    with pytest.raises(CohortError) as caught:
        find_queries(table)
    said = str(caught.value)
    assert "headers are: 'Patienten-ID', 'Auftragsnummer', 'StudyDate', 'arm'" in said
    assert "Understood: 'StudyDate'" in said
    assert "'Patienten-ID' (PatientID?), 'Auftragsnummer' (AccessionNumber?)" in said
    assert 'broad="allow" searches by StudyDate alone' in said


def test_a_header_that_may_be_a_patient_is_not_shown() -> None:
    with pytest.raises(CohortError) as caught:
        find_queries(pd.DataFrame(columns=["SECRET^JANE", "00012345", "StudyDate"], data=[["a", "b", "20240105"]]))
    assert "SECRET" not in str(caught.value)
    assert "00012345" not in str(caught.value)


def test_where_the_uid_is_there_the_other_keys_are_checks() -> None:
    query = find_query({"StudyInstanceUID": UID, "PatientID": "7", "StudyDate": "2024-01-05"})
    assert steps(query) == [("STUDY", {"StudyInstanceUID": UID})]
    assert dict(query.steps[0].checks) == {"PatientID": "7", "StudyDate": "20240105"}
    assert query.notes == ()


def test_unreadable_cells_beside_a_uid_are_reported() -> None:
    query = find_query({"StudyInstanceUID": UID, "StudyDate": "01-31-2000", "PatientBirthDate": "1.1.50"})
    assert steps(query) == [("STUDY", {"StudyInstanceUID": UID})]
    assert query.steps[0].checks == ()
    assert sorted(note.split(":")[1].split()[0] for note in query.notes) == ["PatientBirthDate", "StudyDate"]
    assert not any("2000" in note or "50" in note for note in query.notes)
    (note,) = find_query({"StudyInstanceUID": UID, "StudyDate": "01-31-2000"}, "SERIES").notes
    assert "StudyDate is not a date" in note


@pytest.mark.parametrize("name", ["PatientID", "PatientName", "AccessionNumber", "StudyID"])
@pytest.mark.parametrize(
    "cell",
    [17, 17.5, True, dt.date(2024, 1, 5), ["A1"], b"A1", "#N/A", "A\tB", "\x1bA", "A\\B", "x" * 300, "D\ufffde"],
    ids=repr,
)
@pytest.mark.parametrize("query_model", ["StudyRoot", "PatientRoot"])
def test_a_key_beside_a_uid_that_cannot_be_read_is_unknown(name: str, cell: object, query_model: str) -> None:
    """It may be another patient's, and cannot be compared with what the PACS says."""
    row = {"PatientID": "7", "StudyInstanceUID": UID, name: cell}
    with pytest.raises(IdentifierError) as caught:
        find_query(row, model=query_model)
    assert caught.value.column == name
    assert str(caught.value).startswith(name)


def test_a_key_beside_a_uid_that_cannot_be_read_may_be_left_blank() -> None:
    with pytest.raises(IdentifierError, match=r"scientific notation\. Leave the cell blank to rely on StudyInst"):
        find_query({"StudyInstanceUID": UID, "PatientID": "1.2E+19"})
    for blank in ("", None, float("nan"), "?", "**"):
        assert find_query({"StudyInstanceUID": UID, "PatientID": blank}).notes == ()


def test_a_row_with_fewer_keys_than_its_neighbours_says_so() -> None:
    table = pd.DataFrame({"PatientID": ["7", "8", "9"], "accession": ["A1", "", None], "StudyDate": [""] * 3})
    full, *fewer = find_queries(table)
    assert isinstance(full, Query)
    assert (full.blank, full.notes) == ((), ())
    for query in fewer:
        assert isinstance(query, Query)
        assert query.blank == ("AccessionNumber",)
        assert query.notes == ("asked only by PatientID: in this row, AccessionNumber is blank",)
    kept, *refused = find_queries(table, partial_keys="refuse")
    assert kept == full
    assert [isinstance(error, IdentifierError) and error.column for error in refused] == ["AccessionNumber"] * 2


def test_a_row_with_its_uid_has_all_the_keys_it_needs() -> None:
    table = pd.DataFrame({"StudyInstanceUID": [UID, UID], "PatientID": ["7", ""]})
    assert [query.blank for query in find_queries(table) if isinstance(query, Query)] == [(), ()]


def test_an_accession_number_does_not_miss_a_uid() -> None:
    table = pd.DataFrame({"StudyInstanceUID": [UID, "", ""], "accession": ["", "A1", ""], "mrn": ["7", "8", "9"]})
    _, by_accession, by_patient = find_queries(table)
    assert isinstance(by_accession, Query)
    assert isinstance(by_patient, Query)
    assert (by_accession.blank, by_patient.blank) == ((), ("StudyInstanceUID", "AccessionNumber"))
    both = "in this row, StudyInstanceUID and AccessionNumber are blank"
    assert by_patient.notes == (f"asked only by PatientID: {both}",)


def test_a_table_of_criteria_may_be_broad_and_the_same_table_typed_may_not() -> None:
    criteria = meant_as_query(pd.DataFrame({"StudyDate": ["20240105"], "InstitutionName": ["*osp*"]}))
    expected = [("STUDY", {"StudyDate": "20240105"}), ("SERIES", {"InstitutionName": "*osp*"})]
    (of_studies,) = find_queries(criteria)
    (of_series,) = find_queries(criteria, "SERIES", "PatientRoot")
    assert isinstance(of_studies, Query)
    assert isinstance(of_series, Query)
    assert steps(of_studies) == [("STUDY", {**expected[0][1], **expected[1][1]})]
    assert steps(of_series) == [("PATIENT", {}), *expected]
    with pytest.raises(CohortError, match="identifies patients or studies"):
        find_queries(without_marks(criteria))
    with pytest.raises(CohortError, match="QueryRetrieveLevel"):  # it is never sent as a key
        find_queries(meant_as_query(pd.DataFrame({"StudyDate": ["20240105"], "QueryRetrieveLevel": ["STUDY"]})))


def test_series_of_a_modality_are_asked_for_only_in_studies_that_have_it() -> None:
    criteria = meant_as_query(pd.DataFrame({"Modality": ["CT"], "StudyDate": ["20240105"]}))
    (of_series,) = find_queries(criteria, "SERIES")
    (of_studies,) = find_queries(criteria)
    assert isinstance(of_series, Query)
    assert isinstance(of_studies, Query)
    of_study = {"StudyDate": "20240105", "ModalitiesInStudy": "CT"}
    assert steps(of_series) == [("STUDY", of_study), ("SERIES", {"Modality": "CT"})]
    assert steps(of_studies) == [("STUDY", of_study)]


def test_a_wildcard_in_all_that_identifies_is_said() -> None:
    assert find_query({"PatientName": "M?ller*"}).notes == ("PatientName with a wildcard may match several patients",)
    assert find_query({"PatientName": "M*", "PatientID": "7"}).notes == ()


def test_an_identifier_that_is_a_word_for_an_empty_cell_has_a_note() -> None:
    for cell, why in (("NULL", "is a word"), ("000", "holds only zeros"), ("99999", "holds only nines")):
        query = find_query({"AccessionNumber": cell, "PatientID": "7", "PatientName": "unknown", "StudyID": "0"})
        assert [note.startswith(f"AccessionNumber {why}") for note in query.notes] == [True]
        assert query.placeholders == ("AccessionNumber",)


def test_a_study_with_an_accession_number_of_zeros_has_no_note() -> None:
    study = {"PatientID": "7", "StudyInstanceUID": "1.2.3", "AccessionNumber": "0"}
    assert find_query(study).notes == find_query(study | {"AccessionNumber": "9999"}).notes == ()
    assert find_query({"PatientID": "999", "AccessionNumber": "A9999", "StudyID": "9999"}).notes == ()
    found = pd.DataFrame([study | {"cohort_row": 0, "outcome": "matched", "matches": 1, "filtered": 0}])
    for table in (found, found.assign(AccessionNumber="NULL")):
        (query,) = find_queries(table)
        assert isinstance(query, Query)
        assert query.notes == ()


def test_a_number_of_several_people_has_a_note() -> None:
    rows = {"PatientID": [*"abc", "d", ""], "AccessionNumber": [*["77"] * 3, "A1", "77"]}
    queries = find_queries(pd.DataFrame(rows))
    asked = [one for one in queries if isinstance(one, Query)]
    notes = [sum("AccessionNumber is the same in rows of 3 patients" in note for note in one.notes) for one in asked]
    assert notes == [1, 1, 1, 0, 1]
    assert not any(isinstance(one, IdentifierError) or one.notes for one in find_queries(pd.DataFrame(rows).iloc[1:4]))
    days = [f"195{year}0101" for year in range(6)]
    people = {"PatientID": [*["7"] * 3, *[""] * 3], "PatientName": [*"abcdef"], "PatientBirthDate": days}
    of_patients = [str(getattr(query, "notes", "")) for query in find_queries(pd.DataFrame(people))]
    assert ["PatientID is the same in rows of 3 patients" in said for said in of_patients] == [True] * 3 + [False] * 3
    told = [found(PatientID=[name], StudyInstanceUID=[f"1.2.{name}"], AccessionNumber=["9999"]) for name in "345"]
    assert [getattr(query, "notes", None) for query in find_queries(pd.concat(told))] == [()] * 3
    patterns = find_queries(pd.DataFrame(rows | {"AccessionNumber": "99*"}))
    assert not any(isinstance(one, IdentifierError) or "the same in rows" in str(one.notes) for one in patterns)


def test_spellings_of_one_date_of_birth_are_one_person() -> None:
    births = ["19500203", "1950-02-03", dt.date(1950, 2, 3), "19510203", "", "damaged"]
    numbers = ["7"] * len(births)
    assert not any(_shared(pd.DataFrame({"PatientID": numbers, "PatientBirthDate": births}, dtype=object)))
    births[-1] = "19520203"
    assert all(_shared(pd.DataFrame({"PatientID": numbers, "PatientBirthDate": births}, dtype=object)))


def _shared(table: pd.DataFrame) -> list[bool]:
    queries = find_queries(table)
    return [any("the same in rows of" in note for note in one.notes) for one in queries if isinstance(one, Query)]


def test_invisible_characters_are_taken_off_and_named() -> None:
    query = find_query({"AccessionNumber": "\u202aA1\u202c"})
    assert steps(query) == [("STUDY", {"AccessionNumber": "A1"})]
    assert "U+202A LEFT-TO-RIGHT EMBEDDING" in query.notes[0]


def found(**columns: object) -> pd.DataFrame:
    """Return a table as `find` makes it."""
    return pd.DataFrame({"cohort_row": [0], **columns, "outcome": ["matched"], "matches": [1], "filtered": [0]})


@pytest.mark.parametrize(
    "columns",
    [
        {"StudyDescription": "CT HEAD\\NECK"},
        {"StudyDescription": "a\r\nb"},
        {"AccessionNumber": "20240.0"},
        {"PatientID": "00\t7"},
        {"StudyTime": "240000"},
        {"StudyDate": "1.1.24"},
        {"ModalitiesInStudy": "CT\\SR"},
    ],
)
def test_rows_of_find_are_asked_again_by_their_uid_alone(columns: dict[str, str]) -> None:
    for uid in (UID, "1.2.03", "1.2.840.X-1", "1." + "2" * 90):
        (query,) = find_queries(with_digests(found(StudyInstanceUID=[uid], **columns), "STUDY"), "SERIES")
        assert isinstance(query, Query)
        assert steps(query) == [("SERIES", {"StudyInstanceUID": uid})]
        assert query.notes == ()


def test_they_are_so_if_the_pacs_has_not_told_their_patient() -> None:
    table = with_digests(
        found(PatientID=["7"], StudyInstanceUID=["1.2.X-1"], AccessionNumber="1\\2"), "STUDY", told=[False]
    )
    (query,) = find_queries(table, "SERIES")
    assert isinstance(query, Query)
    assert steps(query) == [("SERIES", {"StudyInstanceUID": "1.2.X-1"})]


def test_rows_of_find_that_may_have_changed_are_compared_by_their_numbers() -> None:
    columns = {"PatientID": "00\t7", "AccessionNumber": "2024\\17", "StudyDate": "1.1.24"}
    for uid in (UID, "1.2.03"):
        (query,) = find_queries(found(StudyInstanceUID=[uid], **columns))
        assert isinstance(query, Query)
        assert steps(query) == [("STUDY", {"StudyInstanceUID": uid})]
        assert dict(query.steps[0].checks) == {"PatientID": "00\t7", "AccessionNumber": "2024"}
        assert query.notes == ()


@pytest.mark.parametrize("number", [["A1"], {"A1": 2}])
def test_a_number_that_nothing_can_be_compared_with_is_not_passed_over(number: object) -> None:
    (query,) = find_queries(found(StudyInstanceUID=[UID], AccessionNumber=pd.Series([number], dtype=object)))
    assert isinstance(query, IdentifierError)
    assert str(query).endswith("Leave the cell blank to rely on StudyInstanceUID alone")


def test_a_uid_below_the_level_of_find_was_typed() -> None:
    table = with_digests(found(PatientID=["7"], StudyInstanceUID=[UID]), "PATIENT")
    (query,) = find_queries(table)
    assert isinstance(query, Query)
    assert query.steps[0].checks == (("PatientID", "7"),)


@pytest.mark.parametrize("uid", ["1.2.*", "1.2?", "1.2\\1.3", "1.2\n3"])
def test_a_uid_that_is_not_one_value_is_never_sent_whoever_gave_it(uid: str) -> None:
    (query,) = find_queries(found(StudyInstanceUID=[uid]), "SERIES")
    assert isinstance(query, IdentifierError)
    assert query.column == "StudyInstanceUID"
    assert uid not in str(query)


def test_unmatched_rows_of_find_are_asked_again_by_the_typed_keys() -> None:
    table = found(AccessionNumber=["A1"], StudyInstanceUID=[None]).assign(outcome="unreachable", matches=0)
    (query,) = find_queries(table)
    assert isinstance(query, Query)
    assert steps(query) == [("STUDY", {"AccessionNumber": "A1"})]


@pytest.mark.parametrize(("name", "value"), [("broad", "yes"), ("partial_keys", "maybe")])
def test_words_that_are_not_known(name: str, value: str) -> None:
    with pytest.raises(CohortError, match=f"{name}='{value}'"):
        find_queries(pd.DataFrame({"accession": ["A"]}), **{name: value})  # type: ignore[arg-type]


def test_no_level() -> None:
    with pytest.raises(CohortError, match="level"):
        find_queries(pd.DataFrame(), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("columns", [[], ["arm"], ["accession"]])
def test_an_empty_table(columns: list[str]) -> None:
    assert find_queries(pd.DataFrame(columns=columns)) == []


def test_rows_are_read_by_position_and_the_table_stays() -> None:
    table = pd.DataFrame([["a", "A1"], ["b", None], ["c", "A3"]], columns=["x", "accession"], index=[1, 1, 1])
    before = table.copy(deep=True)
    one, two, three = find_queries(table)
    assert isinstance(one, Query)
    assert isinstance(two, IdentifierError)
    assert isinstance(three, Query)
    assert steps(one) != steps(three)
    pd.testing.assert_frame_equal(table, before)


def test_queries_are_values_and_show_no_patient() -> None:
    row = {"PatientID": "SECRET", "PatientName": "SECRET^*", "accession": "SECRET"}
    one, two = find_query(row), find_query(row)
    assert one == two
    assert len({one, two}) == 1
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 (our own)
    assert "AccessionNumber" in repr(one)
    assert "SECRET" not in repr(one) + str(one) + repr(one.steps) + str(
        Step("STUDY", "StudyRoot", (("PatientID", "SECRET"),))
    )


@pytest.mark.parametrize(
    ("name", "asked", "answered", "expected"),
    [
        ("AccessionNumber", "A1", "A1", True),
        ("AccessionNumber", "A1", " A1 ", True),
        ("AccessionNumber", "A1", "a1", False),
        ("AccessionNumber", "A1", "A12", False),
        ("AccessionNumber", "A1", "", True),
        ("AccessionNumber", "A1", None, True),
        ("AccessionNumber", "A*", "A12", True),
        ("AccessionNumber", "A?", "A12", False),
        ("AccessionNumber", "A??", "A12", True),
        ("AccessionNumber", "[A]*", "A12", False),
        ("AccessionNumber", "[A]*", "[A]1", True),
        ("AccessionNumber", "A.1", "AB1", False),
        ("AccessionNumber", "A.*", "A.1", True),
        ("AccessionNumber", "*1", "A12", False),
        ("StudyInstanceUID", "1.2.3", "1.2.3", True),
        ("StudyInstanceUID", "1.2.3", "1.2.3\0", True),
        ("StudyInstanceUID", "1.2.3", "1.2.30", False),
        ("StudyInstanceUID", "1.2.3\\1.2.4", "1.2.4", True),
        ("StudyInstanceUID", "1.2.3\\1.2.4", "1.2.5", False),
        ("StudyDate", "20240105", "20240105", True),
        ("StudyDate", "20240105", "2024.01.05", True),
        ("StudyDate", "20240105", dt.date(2024, 1, 5), True),
        ("StudyDate", "20240105", "20240106", False),
        ("StudyDate", "20240105", "20240104", False),
        ("StudyDate", "20240105", "2024.01.06", False),
        ("StudyDate", "20240105", "2024-01-06", False),
        ("StudyDate", "20240105", "20240106103000", False),
        ("StudyDate", "20240101-20240131", "20240131", True),
        ("StudyDate", "20240101-20240131", "20240201", False),
        ("StudyDate", "20240101-", "20991231", True),
        ("StudyDate", "20240101-", "20231231", False),
        ("StudyDate", "-20240131", "19000101", True),
        ("StudyDate", "-20240131", "20240201", False),
        ("StudyDate", "20240105", "unknown", True),
        ("StudyTime", "1030-103059.999999", "103059.999999", True),
        ("StudyTime", "1030-103059.999999", "1030", True),
        ("StudyTime", "1030-103059.999999", "103100", False),
        ("StudyTime", "1030-103059.999999", "102959.999999", False),
        ("StudyTime", "103045-103045.999999", "10:30:45.123", True),
        ("StudyTime", "103045-103045.999999", "103046", False),
        ("StudyTime", "1030", "103045.123", True),
        ("StudyTime", "1030", "103100", False),
        ("StudyTime", "10-12", "125959.999999", True),
        ("StudyTime", "10-12", "130000", False),
        ("StudyTime", "10-", "235959", True),
        ("StudyTime", "103000-103059.999999", "1030", True),
        ("StudyTime", "103045.500000-", "103045.500000", True),
        ("StudyTime", "-10", "110000", False),
        ("StudyTime", "103045.5", "10:30:45.500000", True),
        ("StudyTime", "103045.5", "103044", False),
        ("SeriesNumber", "3", "3", True),
        ("SeriesNumber", "3", 3, True),
        ("SeriesNumber", "03", "3", True),
        ("SeriesNumber", "3", "4", False),
        ("PatientName", "doe^jane", "DOE^JANE^^", True),
        ("PatientName", "DOE^JANE^^^", "DOE^JANE", True),
        ("PatientName", "DOE^JANE ", "Doe ^ Jane", True),
        ("PatientName", "Doe^Jane=", "DOE^JANE", True),
        ("PatientName", "doe*", "DOE^JANE", True),
        ("PatientName", "Müłler", "Mü?ler", True),
        ("StudyDescription", "HEAD*", "HEAD\nNECK", True),
        ("PatientName", "doe", "DOE^JANE", False),
        ("PatientName", "DOE^MAX", "DOE^MA", False),
        ("PatientName", "DOE^J?NE", PersonName("Doe^June"), True),
        ("PatientName", "Yamada^Tarou", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("PatientName", "山田^太郎", "Yamada^Tarou=山田^太郎", True),
        ("PatientName", "山田^花子", "Yamada^Tarou=山田^太郎", False),
        ("ModalitiesInStudy", "CT", "CT\\MR", True),
        ("ModalitiesInStudy", "MR", ["CT", "MR"], True),
        ("ModalitiesInStudy", "MR", MultiValue(str, ["CT", "MR"]), True),
        ("ModalitiesInStudy", "PT", "CT\\MR", False),
        ("ModalitiesInStudy", "PT", [], True),
        ("ModalitiesInStudy", "PT", [None, ""], True),
        ("AccessionNumber", "", "A1", True),
        # Attributes beyond the usual ones, which `query` takes, too.
        ("AcquisitionDate", "20240101-20240131", "20240115", True),
        ("AcquisitionDate", "20240101-20240131", "20240215", False),
        ("AcquisitionTime", "10-12", "113000.5", True),
        ("AcquisitionTime", "10-12", "133000.5", False),
        ("OperatorsName", "doe^jane", "DOE^JANE^^", True),
        ("AcquisitionNumber", "3", "03", True),
        ("SliceThickness", "3", "3.000000", True),
        ("SliceThickness", "3", "3.5", False),
        ("SliceThickness", "3*", "3.5", True),
        ("SliceThickness", "4*", "3.5", False),
        ("InstitutionName", "*osp*", "Hospital", True),
        ("InstitutionName", "*osp*", "Clinic", False),
        ("AcquisitionDateTime", "20240101-20240131", "20240115103000", True),
        ("AcquisitionDateTime", "20240115", "20240115103000.5", True),
        ("AcquisitionDateTime", "20240115103000+0100", "20240115093000+0000", True),
        ("AcquisitionDateTime", "202401*", "20240115103000", True),
        ("AcquisitionDateTime", "20240116", "20240115103000", False),
    ],
)
def test_matches(name: str, asked: str, answered: object, *, expected: bool) -> None:
    assert matches([(name, asked)], {name: answered}) is expected


def test_every_key_has_to_match() -> None:
    keys = [("AccessionNumber", "A1"), ("StudyDate", "20240101-")]
    assert matches(keys, {"AccessionNumber": "A1", "StudyDate": "20240102", "Modality": "CT"})
    assert not matches(keys, {"AccessionNumber": "A1", "StudyDate": "20231231"})
    assert not matches(keys, {"AccessionNumber": "A2", "StudyDate": "20240102"})
    assert matches(keys, {})
    assert matches([], {"AccessionNumber": "A2"})


def test_many_wildcards_cost_nothing() -> None:
    assert not matches([("AccessionNumber", "*" * 60 + "b")], {"AccessionNumber": "a" * 64})


texts = st.one_of(
    st.text(alphabet="AB1*?\\^ .-\n\0", max_size=8),
    st.from_regex(r"[A-Z]{1,3}[0-9]{1,8}", fullmatch=True),
    st.from_regex(r"[0-2](\.[1-9]{1,3}){1,4}", fullmatch=True),
    st.dates().map(lambda date: date.strftime("%Y%m%d").zfill(8)),
)
cells = st.one_of(texts, st.integers(), st.floats(), st.dates(), st.none(), st.lists(texts, max_size=2))
rows = st.dictionaries(st.sampled_from(KEYWORDS), cells, max_size=8)


@relaxed
@given(rows, st.sampled_from(LEVELS), st.sampled_from(["StudyRoot", "PatientRoot"]))
def test_any_query_is_a_chain_of_levels_with_real_keys(row: dict[str, object], level: str, model: str) -> None:
    try:
        query = find_query(row, level, model)
    except IdentifierError:
        return
    levels = [step.level for step in query.steps]
    assert levels == sorted(set(levels), key=LEVELS.index)
    assert levels[-1] == query.level == level
    assert query.steps[0].keys
    for step in query.steps:
        for name, value in step.keys:
            assert value
            assert type(value) is str
            assert VRS[name] != "UI" or not set("*?") & set(value)
            assert set(value) - set("*?^= ")
            assert all(LEVELS.index(step.level) >= LEVELS.index(own) for own in LEVELS if name in MATCHING_KEYS[own])
    sent = {name for step in query.steps for name, _ in step.keys}
    assert sent <= set(row) | {"ModalitiesInStudy"}


@relaxed
@given(st.lists(rows, max_size=4), st.sampled_from(LEVELS), st.sampled_from(["StudyRoot", "PatientRoot", "x"]))
def test_any_table_gives_one_entry_per_row_or_a_cohort_error(
    data: list[dict[str, object]], level: str, model: str
) -> None:
    table = pd.DataFrame(data, dtype=object)
    try:
        found = find_queries(table, level, model)
    except CohortError:
        return
    assert len(found) == len(table)
    assert all(isinstance(entry, (Query, IdentifierError)) for entry in found)


@relaxed
@given(rows, st.sampled_from(["STUDY", "SERIES", "IMAGE"]))
def test_a_row_without_wildcards_matches_itself(row: dict[str, object], level: str) -> None:
    try:
        query = find_query(row, level)
    except IdentifierError:
        return
    for step in query.steps:
        if not any(set("*?-") & set(value) for _, value in step.keys):
            assert matches(step.keys, dict(step.keys))


@relaxed
@given(st.text(alphabet="A1*?", min_size=1, max_size=8), st.text(alphabet="A1[]", min_size=1, max_size=8))
def test_wildcards_are_those_of_a_plain_reference(asked: str, value: str) -> None:
    def reference(pattern: str, rest: str) -> bool:
        if not pattern:
            return not rest
        if pattern[0] == "*":
            return any(reference(pattern[1:], rest[i:]) for i in range(len(rest) + 1))
        return bool(rest) and pattern[0] in {"?", rest[0]} and reference(pattern[1:], rest[1:])

    assert matches([("AccessionNumber", asked)], {"AccessionNumber": value}) is reference(asked, value)


@pytest.mark.parametrize(
    ("asked", "answered", "same"),
    [
        pytest.param("DEMO^ŁUCJA", "DEMO^UCJA", True, id="left out"),
        pytest.param("DEMO^ŁUCJA", "DEMO^?UCJA", True, id="replaced"),
        pytest.param("DEMO^ŁU*", "DEMO^UCJA", True, id="left out, with a wildcard"),
        pytest.param("И*", "SMITH^JOHN", False, id="a wildcard beside no letter that is left"),
        pytest.param("MÜ*", "MILLER^BOB", False, id="a wildcard beside one letter that is left"),
        pytest.param("JÖRG", "JÜRG", False, id="another letter"),
        pytest.param("JÖRG", "JAN", False, id="another name"),
        pytest.param("JORG", "JRG", False, id="a letter that every character set has"),
    ],
)
def test_letters_that_an_archive_cannot_write(asked: str, answered: str, same: bool) -> None:
    assert matches([("PatientName", asked)], {"PatientName": answered}) is same


def test_an_answer_that_repeats_no_key_of_its_row_is_not_a_match() -> None:
    (step,) = find_query({"PatientID": "7", "StudyDate": "20240105", "AccessionNumber": "A1"}).steps
    assert set(step.identifying) == {"PatientID", "AccessionNumber"}
    answer = {"StudyInstanceUID": UID, "StudyDate": "20240105", "PatientID": "", "AccessionNumber": ""}
    said = why_not(answer, "StudyInstanceUID", step.keys, step.identifying)
    assert said == "came without PatientID and AccessionNumber, by which the row asked"
    said = why_not(answer | {"PatientID": "7"}, "StudyInstanceUID", step.keys, step.identifying)
    assert said == "came without AccessionNumber, by which the row asked"
    names = ["PatientID", "PatientName"]
    assert why_not(answer | {"PatientID": "7"}, "StudyInstanceUID", [("PatientID", "7")], names) is None
    assert find_query({"StudyInstanceUID": UID, "PatientID": "7"}).steps[0].identifying == ()


@pytest.mark.parametrize("uid", ["1.2.3\0", " 1.2.3 ", "\u200b1.2.3"])
def test_the_padding_of_a_uid_is_no_reason_to_leave_an_answer_out(uid: str) -> None:
    assert why_not({"StudyInstanceUID": uid}, "StudyInstanceUID", []) is None
    assert why_not({}, "StudyInstanceUID", []) == "came without StudyInstanceUID"


def test_all_that_an_answer_differs_in_is_named() -> None:
    keys = [("AccessionNumber", "00123"), ("PatientID", "a"), ("StudyID", "7")]
    answer = {"AccessionNumber": "123", "PatientID": "A", "StudyID": "7"}
    assert only_difference(keys, answer) == "leading zeros (AccessionNumber), upper and lower case (PatientID)"
    assert only_difference(keys, answer | {"StudyID": "8"}) is None


def test_an_answer_that_repeats_the_study_of_the_row_is_not_doubted() -> None:
    both = ["PatientID", "AccessionNumber"]
    assert unrepeated({"PatientID": "", "AccessionNumber": "A1"}, ["PatientName", "AccessionNumber"]) is None
    assert unrepeated({"PatientID": "7", "PatientName": ""}, ["PatientID", "PatientName"]) is None
    assert "does not repeat AccessionNumber," in (unrepeated({"PatientID": "7", "AccessionNumber": ""}, both) or "")
    assert "does not repeat PatientID and AccessionNumber" in (unrepeated({"PatientID": ""}, both) or "")
    assert unrepeated({}, []) is None  # asked by its UID


def test_nothing_is_said_where_no_answer_was_left_out() -> None:
    assert left_out([]) is None


@pytest.mark.parametrize("column", ["Modality", "PatientSex"])
def test_a_code_in_full_width_letters_keeps_its_row_back(column: str) -> None:
    """No character set brings such letters into a code (PS3.5 6.1.2.3): it cannot be sent."""
    table = pd.DataFrame({"PatientID": ["7", "7", "Ä７"], column: ["\uff23", "C", ""]})
    bad, *good = find_queries(table)
    assert isinstance(bad, IdentifierError)
    assert "holds letters or digits that are not ASCII" in str(bad)
    assert not any(isinstance(one, IdentifierError) for one in good)


@pytest.mark.parametrize(
    ("asked", "answered", "said"),
    [
        ("Müller^Anna", "M?ller^Anna", True),
        ("Müller^Anna", "Mller^Anna", True),
        ("Mu\u0308ller^Anna", "MÜLLER^ANNA", False),
        ("Miller^Anna", "Miller^Anna", False),
        ("山田^太郎", "YAMADA^TARO=山田^太郎", False),
        ("Müller^Anna", "", False),
    ],
)
def test_letters_that_an_archive_replaces_are_told(asked: str, answered: str, said: bool) -> None:
    assert bool(unwritten({"PatientName": answered}, [("PatientName", asked)])) is said


@pytest.mark.parametrize(("asked", "is_match"), [("Müll*", True), ("Mül*", False), ("Müller^Anna", True)])
def test_a_wildcard_needs_three_letters_that_the_archive_can_write(asked: str, is_match: bool) -> None:
    assert matches([("PatientName", asked)], {"PatientName": "M?ller^Anna"}) is is_match
