"""What a typed table says of a patient beside a UID, and when the PACS contradicts it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pandas as pd
import pytest

from dicomove.cohort import Identifier
from dicomove.run.table.patients import (
    compared,
    contradicted,
    doubtful_keys,
    further_keys_of,
    is_of_unknown_patient,
    named_by,
    other_person,
    patients_of,
    unsent_patients,
)

STUDY = Identifier("STUDY", "StudyRoot", (("StudyInstanceUID", "1.2"),))
OF_PATIENT = Identifier("STUDY", "PatientRoot", (("PatientID", "7"), ("StudyInstanceUID", "1.2")))
SHE = {"PatientName": ["DOE^JANE"], "PatientBirthDate": ["19500203"]}
HE = {"PatientName": ["ROE^JOHN"], "PatientBirthDate": ["19610412"]}


@pytest.mark.parametrize("cell", ["1950-02-03", "19500203", dt.date(1950, 2, 3), pd.Timestamp(1950, 2, 3)])
def test_a_birth_date_is_read_as_in_a_search(cell: object) -> None:
    table = pd.DataFrame({"PatientBirthDate": pd.Series([cell], dtype=object)})
    assert further_keys_of(table) == {"PatientBirthDate": [("19500203",)]}


@pytest.mark.parametrize("cell", ["19500101-19501231", "1950", "soon", "", None, 18264])
def test_text_that_is_not_a_day_is_not_compared(cell: object) -> None:
    assert further_keys_of(pd.DataFrame({"PatientBirthDate": pd.Series([cell], dtype=object)})) == {}


def test_a_pattern_and_a_list_are_not_compared() -> None:
    table = pd.DataFrame({"PatientID": ["7*", "7\\8", "7"], "AccessionNumber": ["?", "A\\B", "A1"]})
    assert patients_of(table) == [(), (), ("7",)]
    assert further_keys_of(table) == {"AccessionNumber": [(), (), ("A1",)]}


def test_a_cell_of_which_nothing_is_seen_is_not_compared() -> None:
    assert patients_of(pd.DataFrame({"PatientID": ["\u200e", "7"]})) == [(), ("7",)]


def test_a_table_without_a_column_names_no_patient() -> None:
    table = pd.DataFrame({"StudyInstanceUID": ["1.2", "1.3"]})
    assert (patients_of(table), further_keys_of(table)) == ([(), ()], {})


def test_patients_beside_a_uid_are_those_of_all_its_rows() -> None:
    assert unsent_patients(STUDY, [("7",), (), ("8", "7")]) == ("7", "8")
    assert unsent_patients(OF_PATIENT, [("7",), ("8",)]) == (), "the request itself names the patient"


def test_rows_that_share_a_study_name_each_value_once() -> None:
    numbers, names = ["A", "", "B", "A"], ["X", "", "", "X"]
    further = further_keys_of(pd.DataFrame({"AccessionNumber": numbers, "PatientName": names}))
    named = named_by(STUDY, [0, 2, 3], further)
    assert named == (("AccessionNumber", "A"), ("AccessionNumber", "B"), ("PatientName", "X"))
    assert compared(["7"], named) == {"PatientID": ["7"], "AccessionNumber": ["A", "B"], "PatientName": ["X"]}
    assert compared([], ()) == {}
    assert named_by(OF_PATIENT, [0, 2, 3], further) == named[:2]


@pytest.mark.parametrize(
    ("there", "named", "key", "person"),
    [
        ({"PatientID": ["7"]}, {"PatientID": ["8"]}, "PatientID", ()),
        ({"PatientID": ["7"]}, {"PatientID": ["8", "007"]}, None, ()),
        ({"PatientID": ["7", "8"]}, {"PatientID": ["8"]}, None, ()),
        ({"PatientID": []}, {"PatientID": ["8"]}, None, ()),
        ({"AccessionNumber": ["A\\B"]}, {"AccessionNumber": ["B"]}, None, ()),
        ({"PatientID": ["7\\8"]}, {"PatientID": ["7"]}, "PatientID", ()),  # a study is of one patient
        ({"AccessionNumber": ["A\\B"]}, {"AccessionNumber": ["C"]}, "AccessionNumber", ()),
        (SHE, HE, "PatientName", ("PatientName", "PatientBirthDate")),
        (SHE, SHE, None, ()),
        (SHE, SHE | {"PatientName": HE["PatientName"]}, None, ("PatientName",)),
        (SHE, SHE | {"PatientBirthDate": HE["PatientBirthDate"]}, None, ("PatientBirthDate",)),
        (SHE, {"PatientName": HE["PatientName"]}, None, ("PatientName",)),
        (SHE | {"PatientID": ["7"]}, HE | {"PatientID": ["7"]}, None, ()),
        (SHE | {"PatientID": ["7"]}, HE | {"PatientID": ["8"]}, "PatientID", ()),
        (SHE | {"PatientID": []}, HE | {"PatientID": ["7"]}, "PatientName", ("PatientName", "PatientBirthDate")),
        (SHE | {"AccessionNumber": ["A"]}, HE | {"AccessionNumber": ["A"]}, None, ()),
        ({}, HE, None, ()),
    ],
)
def test_values_that_contradict(
    there: dict[str, list[str]], named: dict[str, list[str]], key: str | None, person: tuple[str, ...]
) -> None:
    assert contradicted(there, named) == key
    assert other_person(there, named) == person


def test_accession_numbers_beside_a_group_of_rows_are_compared_and_nothing_else_beside_them() -> None:
    group = replace(STUDY, claims=(("PatientID", "7"), ("AccessionNumber", "B")))
    further = further_keys_of(pd.DataFrame({"AccessionNumber": ["A"], "PatientName": ["X"]}))
    assert named_by(group, [0], further) == (("AccessionNumber", "A"), ("AccessionNumber", "B"), ("PatientName", "X"))


@pytest.mark.parametrize(
    ("there", "named", "is_unknown"),
    [
        ({}, {"PatientID": ["7"]}, True),
        (SHE, SHE | {"PatientID": ["7"]}, True),
        ({"PatientID": ["8"]}, {"PatientID": ["7"]}, False),
        ({}, SHE, True),
        (SHE, SHE, False),
        (SHE, {"PatientName": HE["PatientName"]}, True),
        (SHE, SHE | {"PatientName": HE["PatientName"]}, False),
        ({"PatientName": SHE["PatientName"]}, {"PatientBirthDate": SHE["PatientBirthDate"]}, True),
    ],
)
def test_whether_anything_says_which_of_several_patients_a_study_is_of(
    there: dict[str, list[str]], named: dict[str, list[str]], is_unknown: bool
) -> None:
    disputed = replace(STUDY, is_disputed=True)
    assert is_of_unknown_patient(disputed, there, named, at_receiver=False) is is_unknown
    assert not is_of_unknown_patient(STUDY, there, named, at_receiver=False), "no other row contradicts it"
    if "PatientID" not in named:
        assert is_of_unknown_patient(disputed, there, named, at_receiver=True) is is_unknown, "images have no names"


def test_a_patient_id_that_no_row_names_is_not_in_doubt() -> None:
    there = {"PatientID": ["7"], "PatientName": ["DOE^JANE"]}
    assert doubtful_keys(there, {"PatientName": ["ROE^JOHN"]}, at_receiver=False) == ("PatientName",)
