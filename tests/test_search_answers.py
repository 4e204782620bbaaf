"""Answers of C-FIND beside the row that asked, without a PACS."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from dicomove.cohort import Query, find_queries
from dicomove.search.answers import each_once, is_of_any_site, unwritten

STUDY = {"StudyInstanceUID": "1.2"}
COUNT = "NumberOfStudyRelatedInstances"


def joined(*answers: dict[str, str]) -> list[dict[str, str]]:
    return each_once([STUDY | answer for answer in answers], "StudyInstanceUID")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({COUNT: "9"}, {COUNT: "10"}, "10"),
        ({COUNT: "10"}, {COUNT: "9"}, "10"),
        ({COUNT: ""}, {COUNT: "9"}, "9"),
        ({COUNT: "9"}, {COUNT: ""}, "9"),
        ({}, {COUNT: "9"}, "9"),
        ({COUNT: "9"}, {}, "9"),
        ({COUNT: "many"}, {COUNT: "9"}, "many"),
    ],
)
def test_the_larger_number_of_instances_of_a_study_counts(
    first: dict[str, str], second: dict[str, str], expected: str
) -> None:
    """If too few were expected, missing ones would not be noticed."""
    assert joined(first, second) == [STUDY | {COUNT: expected}]


def test_the_first_match_counts_for_other_numbers() -> None:
    assert joined({"StudyDescription": "7"}, {"StudyDescription": "9"}) == [STUDY | {"StudyDescription": "7"}]


@pytest.mark.parametrize("key", ["PatientID", "PatientName", "PatientBirthDate", "AccessionNumber"])
def test_matches_stay_apart_only_if_both_have_a_value(key: str) -> None:
    with_value = STUDY | {key: "7"}
    for answer in ({}, {key: ""}):
        for both in itertools.permutations([{key: "7"}, answer]):
            assert joined(*both) == [with_value]
    assert joined({key: "7"}, {key: "8"}) == [with_value, STUDY | {key: "8"}]


def test_all_keys_whose_letters_a_pacs_does_not_return_are_named() -> None:
    asked = [("PatientID", "Ä7"), ("PatientName", "Müller"), ("StudyDescription", "Schädel"), ("AccessionNumber", "Ö1")]
    answer = {"PatientID": "?7", "PatientName": "M?ller", "StudyDescription": "Sch?del", "AccessionNumber": ""}
    said = unwritten(answer, asked)
    assert said is not None
    assert "all letters of PatientID and PatientName, so" in said


@pytest.mark.parametrize(
    ("asked", "is_said"),
    [
        (["PatientID", "IssuerOfPatientID"], True),
        (["PatientID", "AccessionNumber", "IssuerOfPatientID"], False),
        (["StudyInstanceUID", "IssuerOfPatientID"], False),
        (["AccessionNumber", "IssuerOfPatientID"], True),
        (["PatientID"], False),
    ],
)
def test_a_match_may_be_of_another_site_if_nothing_else_names_the_study(asked: list[str], is_said: object) -> None:
    (query,) = find_queries(pd.DataFrame({name: ["1.2"] for name in asked}))
    assert isinstance(query, Query)
    assert is_of_any_site(query, [{"PatientID": "7"}]) == is_said
    assert not is_of_any_site(query, [{"PatientID": "7", "IssuerOfPatientID": "A"}])
