"""`query`: criteria in, a table for `find` out."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

import dicomove as dm
from dicomove.testing.images import study_uid
from tests.servers import Here, Server


def found(table: pd.DataFrame, here: Here, **options: object) -> pd.DataFrame:
    return dm.find(table, here.pacs, progress=False, **options)  # type: ignore[arg-type]  # the options of a test


@pytest.mark.parametrize(
    ("criteria", "columns"),
    [
        ({"study_date": "2024-01-05"}, {"StudyDate": "20240105"}),
        ({"study_date": ("2024-01-01", dt.date(2024, 6, 30))}, {"StudyDate": "20240101-20240630"}),
        ({"StudyDate": (None, pd.Timestamp("2024-06-30"))}, {"StudyDate": "-20240630"}),
        ({"date": ("20240101", None)}, {"StudyDate": "20240101-"}),
        ({"study_time": (dt.time(8), "17:00")}, {"StudyTime": "080000-170059.999999"}),
        ({"study_time": ("08", None)}, {"StudyTime": "08-"}),
        ({"description": "*THORAX*", "name": "DOE^*"}, {"StudyDescription": "*THORAX*", "PatientName": "DOE^*"}),
        ({"patient_id": "00123"}, {"PatientID": "00123"}),
        ({"institution_name": "*osp*"}, {"InstitutionName": "*osp*"}),
        ({"patient_name": "*"}, {"PatientName": "*"}),
        ({"series_number": 3}, {"SeriesNumber": "3"}),
    ],
)
def test_criteria_become_text(criteria: dict[str, object], columns: dict[str, str]) -> None:
    assert dm.query(**criteria).to_dict("records") == [columns]


@pytest.mark.parametrize(
    ("criteria", "said"),
    [
        ({}, "a query needs a criterion"),
        ({"study_dat": "20240101"}, "do you mean study_date"),
        ({"modalty": "CT"}, "do you mean modality"),
        ({"patientnam": "DOE*"}, "do you mean patient_name"),
        ({"xyzzy": "1"}, "'xyzzy' is not a DICOM attribute"),
        ({"level": "SERIES"}, "give it to find"),
        ({"pixel_data": "x"}, "cannot be a criterion"),
        ({"study_date": ("2024-13-01", None)}, "is not a date"),
        ({"study_date": (None, None)}, "a range is"),
        ({"study_date": ("20240201", "20240101")}, "its end before its beginning"),
        ({"description": ("a", "b")}, "cannot be a range"),
        ({"modality": []}, "empty list"),
        ({"modality": None}, "leave it out"),
        ({"study_date": "20240101", "date": "20240102"}, "a second time"),
        ({"patient_id": 123}, "is a number"),
        ({"accession_number": "????"}, r"'\?\?\?\?', and has only wildcards"),
        ({"patient_id": ["A1", "?*"]}, "has only wildcards"),
    ],
)
def test_impossible_criteria_are_refused_at_once(criteria: dict[str, object], said: str) -> None:
    with pytest.raises(dm.CohortError, match=said):
        dm.query(**criteria)


@pytest.mark.parametrize("begin", ["22:00", dt.time(22), "2200"])
def test_times_over_midnight_are_two_alternatives(begin: object) -> None:
    asked = dm.query(study_time=(begin, "06:00"))["StudyTime"].tolist()
    assert [text.ljust(25, " ")[:4] for text in asked] == ["2200", "0000"]
    assert [text.partition("-")[2] for text in asked] == ["235959.999999", "060059.999999"]


def test_a_range_of_times_over_midnight_in_a_table_is_said_to_be_wrong(here: Here) -> None:
    table = pd.DataFrame({"PatientID": ["P1", "P1"], "StudyTime": ["22:00-06:00", "06:00-22:00"]})
    studies = found(table, here)
    assert studies["outcome"].eq("invalid").tolist()[0]
    assert "over midnight" in studies["advice"].iloc[0]
    assert not studies["outcome"].eq("invalid").tolist()[1]


def test_alternatives_find_a_study_once(here: Here) -> None:
    """The study A0001 has CT and SR."""
    table = dm.query(study_date=("2024-01-01", None), modality=["CT", "SR", "MR"])
    studies = found(table, here)
    assert studies["StudyInstanceUID"].is_unique
    assert {study_uid("A0001"), study_uid("A0002")} <= set(studies["StudyInstanceUID"])
    alone = [
        set(found(dm.query(modality=word, study_date="20240101-"), here)["StudyInstanceUID"]) for word in ("CT", "SR")
    ]
    assert alone[0] & alone[1]


def test_a_table_of_find_is_not_a_query(here: Here) -> None:
    studies = found(dm.query(patient_name="*"), here)
    assert set(studies["outcome"]) == {"matched"}
    assert len(studies) > 5
    with pytest.raises(dm.CohortError, match="broad"):
        found(studies[["StudyDate"]], here)


@pytest.mark.parametrize("made", ["column", "blank", "joined", "renamed"])
def test_a_table_that_was_made_of_a_query_is_an_ordinary_one(here: Here, made: str) -> None:
    """The blank cell of another column must not become a search for the studies of everybody."""
    one, other = dm.query(modality="CT"), dm.query(study_date="2024-01-10")
    tables = {
        "column": one.assign(group="a"),
        "blank": one.assign(Modality=""),
        "joined": pd.concat([one, other]),
        "renamed": one.rename(columns={"Modality": "ModalitiesInStudy"}),
    }
    with pytest.raises(dm.CohortError, match="broad"):
        found(tables[made], here)


def test_patients_are_listed_with_their_names(here: Here) -> None:
    patients = found(dm.query(patient_name="*"), here, level="PATIENT", query_model="PatientRoot", keys=["PatientName"])
    assert patients["PatientID"].is_unique
    assert patients["PatientName"].notna().all()


def test_series_by_criteria(here: Here) -> None:
    series = found(dm.query(modality="CT"), here, level="SERIES")
    assert set(series["Modality"]) == {"CT"}
    assert series["asked_by"].unique().tolist() == ["ModalitiesInStudy, Modality"]


def test_an_alternative_without_a_match_has_no_row_beside_one_with_matches(here: Here) -> None:
    studies = found(dm.query(modality=["XA", "CT", "MG"]), here)
    assert set(studies["outcome"]) == {"matched"}
    assert set(studies["cohort_row"]) == {1}
    assert found(dm.query(modality=["XA", "MG"]), here)["outcome"].tolist() == ["empty"] * 2
    studies = found(dm.query(accession_number=["A0001", "A9999"], study_date=("2024-01-01", None)), here)
    assert studies["outcome"].tolist() == ["matched"]


def test_a_criterion_of_a_lower_level_is_refused(here: Here) -> None:
    with pytest.raises(dm.CohortError, match="SeriesDescription belong to a lower level than STUDY"):
        found(dm.query(series_description="x"), here)


def test_an_attribute_beyond_the_usual_ones_is_sent(server: Server) -> None:
    """dcmqrscp ignores it: then the rows say so."""
    series = dm.find(dm.query(institution_name="no such place"), server.pacs, level="SERIES", progress=False)
    assert set(series["asked_by"]) == {"InstitutionName"}
    if server.name == "dcmqrscp":
        assert series["advice"].str.contains("does not return InstitutionName").all()
    else:
        assert series["outcome"].tolist() == ["empty"]


def test_a_range_of_dates_beyond_the_usual_ones(server: Server) -> None:
    """Answers were compared with the range as if it were a text, and all of them were left out."""
    series = dm.find(dm.query(acquisition_date=("1990-01-01", None)), server.pacs, level="SERIES", progress=False)
    assert set(series["outcome"]) == {"matched"}
    assert not series["filtered"].any()


def test_a_real_pacs_answers(server: Server) -> None:
    by_date = dm.find(dm.query(study_date=("2024-01-01", "2024-12-31")), server.pacs, progress=False)
    assert by_date["StudyDate"].between("20240101", "20241231").all()
    assert len(by_date) > 1
