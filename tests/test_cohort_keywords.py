from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydicom.datadict import tag_for_keyword

from dicomove.cohort import keyword, keyword_columns
from dicomove.cohort.keywords import ALIASES, EXACT, KEYWORDS, VRS
from dicomove.errors import CohortError

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine


@pytest.mark.parametrize("name", KEYWORDS)
def test_each_keyword_is_known_in_any_spelling(name: str) -> None:
    tag = f"{tag_for_keyword(name):08X}"
    any_case = [] if name in EXACT else [name.lower(), name.upper()]
    spellings = [name, *any_case, f" {name} ", tag, f"{tag[:4]},{tag[4:]}", f"({tag[:4]},{tag[4:]})"]
    assert {keyword(spelling) for spelling in [*spellings, f"{tag[:4]} {tag[4:]}", tag.lower()]} == {name}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Accession Number", "AccessionNumber"),
        ("accession#", "AccessionNumber"),
        ("ACC_NO", "AccessionNumber"),
        ("study_uid", "StudyInstanceUID"),
        ("study uid", "StudyInstanceUID"),
        ("studyuid", "StudyInstanceUID"),
        ("Study Instance UID", "StudyInstanceUID"),
        ("MRN", "PatientID"),
        ("patient id", "PatientID"),
        ("patient_id", "PatientID"),
        ("series_uid", "SeriesInstanceUID"),
        ("sop uid", "SOPInstanceUID"),
        ("study date", "StudyDate"),
        ("exam date", "StudyDate"),
        ("query level", "QueryRetrieveLevel"),
        ("\ufeffPatientID", "PatientID"),
        ("StudyID", "StudyID"),
        ("\u200bStudyID", "StudyID"),
        ("(0020,0010)", "StudyID"),
        (("StudyInstanceUID", ""), "StudyInstanceUID"),
        (("", "mrn"), "PatientID"),
    ],
)
def test_usual_spellings(header: object, expected: str) -> None:
    assert keyword(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "#",
        "level",
        "date",
        "id",
        "uid",
        "acc",
        "study_id",
        "study id",
        "STUDYID",
        "patient no",
        "name",
        "protocol",
        "outcome",
        "status",
        "error",
        "arm",
        "PixelData",
        "7FE00010",
        "母のMRN",
        "旧PatientID",
        "é PatientID",
        "patient",
        "study",
        "series",
        1048608,
        None,
        1.5,
        float("nan"),
        (),
        ("PatientID", "StudyDate"),
        ("", ""),
    ],
)
def test_what_is_no_keyword(header: object) -> None:
    assert keyword(header) is None


def test_aliases_are_plain_unique_and_never_a_keyword_of_another() -> None:
    aliases = [alias for spellings in ALIASES.values() for alias in spellings]
    assert len(aliases) == len(set(aliases))
    assert all(alias.isalnum() and alias == alias.lower() for alias in aliases)
    assert not {name.lower() for name in KEYWORDS}.intersection(aliases)
    assert set(ALIASES) <= set(KEYWORDS)


def test_vrs() -> None:
    assert VRS["StudyInstanceUID"] == "UI"
    assert VRS["AccessionNumber"] == "SH"
    assert set(VRS) == set(KEYWORDS)


def test_positions_with_repeated_and_foreign_labels() -> None:
    columns = ["x", "x", 7, None, ("StudyInstanceUID", ""), "accession", "x"]
    assert keyword_columns(columns) == {"StudyInstanceUID": 4, "AccessionNumber": 5}


@pytest.mark.parametrize(
    "columns", [["mrn", "PatientID"], ["patientid", "mrn", "medical record number"], ["00100020", "PatientID"]]
)
def test_a_keyword_goes_before_an_alias(columns: list[str]) -> None:
    position = keyword_columns(columns)["PatientID"]
    assert columns[position].lower() == "patientid"


@pytest.mark.parametrize("columns", [["MRN", "medical record number"], ["PatientID", "patientid"], ["00100020", "mrn"]])
def test_the_same_attribute_twice_is_an_error_that_names_the_columns(columns: list[str]) -> None:
    with pytest.raises(CohortError, match="several columns stand for PatientID") as caught:
        keyword_columns(columns)
    assert f": {' and '.join(map(repr, columns))}. Keep one of them" in str(caught.value)


def test_unused_columns_may_be_ambiguous() -> None:
    assert keyword_columns(["mrn", "medical record number", "accession"], {"AccessionNumber"}) == {"AccessionNumber": 2}


@relaxed
@given(st.lists(st.one_of(st.sampled_from(KEYWORDS), st.text(max_size=8), st.integers(), st.none())))
def test_every_position_is_that_of_its_keyword(columns: list[object]) -> None:
    try:
        found = keyword_columns(columns)
    except CohortError:
        known = [name for name in map(keyword, columns) if name]
        assert len(known) > len(set(known))
    else:
        assert all(keyword(columns[position]) == name for name, position in found.items())
        assert set(found) == {name for name in map(keyword, columns) if name}


def test_in_a_table_of_find_the_column_that_find_has_added_counts() -> None:
    labels = ["PATIENTID", "cohort_row", "PatientID", "outcome", "matches", "filtered"]
    assert keyword_columns(labels) == {"PatientID": 2}
    with pytest.raises(CohortError, match="several columns stand for PatientID: 'PATIENTID' and 'PatientID'"):
        keyword_columns(labels[:-1])
    assert keyword_columns([("PatientID", ""), "mrn"]) == {"PatientID": 0}
