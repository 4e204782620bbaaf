"""Rows of `find` that the user has changed since."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pandas as pd
import pytest

import dicomove as dm
from dicomove.cohort import (
    changed_rows,
    digest_level,
    has_plan_digests,
    replanned_rows,
    rows_with_typed_patient,
    table_for,
    with_digests,
    with_plan_digests,
)

OF_FIND = {"cohort_row": 0, "outcome": "matched", "matches": 1, "filtered": 0}


def found(*patients: object, told: list[bool] | None = None, column: str = "PatientID") -> pd.DataFrame:
    """Return a table of `find` with a study for each patient."""
    uids = [f"1.2.{number}" for number in range(len(patients))]
    columns = {column: pd.Series(patients, dtype=object), "StudyInstanceUID": uids}
    return with_digests(pd.DataFrame(columns | OF_FIND), "STUDY", told=told)


def test_a_row_is_changed_if_its_patient_and_its_study_do_not_belong_together() -> None:
    table = found("7", "8", "")
    assert changed_rows(table) == [False] * 3
    assert changed_rows(table.assign(PatientID=["8", "8", "7"])) == [True, False, True]
    assert changed_rows(table.assign(StudyInstanceUID=["1.2.0", "1.2.0", "1.2.2"])) == [False, True, False]


def test_a_patient_may_be_removed_but_not_with_another_study() -> None:
    table = found("7", "8")
    assert changed_rows(table.assign(PatientID="")) == [False] * 2
    assert changed_rows(table.drop(columns="PatientID")) == [False] * 2
    assert changed_rows(table.assign(PatientID="", StudyInstanceUID=["1.2.0", "1.2.9"])) == [False, True]


@pytest.mark.parametrize("blank", [None, np.nan, pd.NA, "", " "])
def test_a_blank_patient_is_one_however_it_is_written(blank: object) -> None:
    for table in (found(""), found(None), found("7", column="arm")):
        again = table.copy()
        again["PatientID"] = pd.Series([blank], dtype=object)
        assert changed_rows(again) == [False]


def test_cells_are_compared_as_text() -> None:
    table = found("7", "8")
    assert changed_rows(table.assign(PatientID=pd.Series([7, 9], dtype=object))) == [False, True]
    assert changed_rows(table.assign(PatientID=[" 7", "8 "])) == [False] * 2
    assert changed_rows(found("\ud800").assign(PatientID="7")) == [True]


def test_nothing_is_known_of_a_table_from_a_file() -> None:
    table = found("7").assign(PatientID="8")
    table.attrs.clear()
    assert [changed_rows(table), replanned_rows(table), rows_with_typed_patient(table)] == [[False]] * 3
    assert digest_level(table) is None


def test_only_the_pacs_that_has_told_a_plan_is_believed() -> None:
    plan = with_plan_digests(found("7"), told_by="A@a:104")
    other = table_for(plan, dm.Pacs("B@b:104"))
    assert (has_plan_digests(other), digest_level(other)) == (False, None)
    assert has_plan_digests(table_for(plan, dm.Pacs("A@a:104")))


def test_each_of_several_columns_for_the_patient_counts() -> None:
    table = with_digests(
        pd.DataFrame({"mrn": ["7"], "Patient Id": ["A"], "StudyInstanceUID": ["1.2"]} | OF_FIND), "STUDY"
    )
    assert changed_rows(table) == [False]
    assert changed_rows(table.assign(mrn="8")) == changed_rows(table.assign(**{"Patient Id": "B"})) == [True]


def test_a_patient_that_the_user_typed_is_typed() -> None:
    table = found("7", "8", "", told=[True, False, False])
    assert rows_with_typed_patient(table) == [False, True, False]
    assert rows_with_typed_patient(found("7")) == [False]


def test_trying_numbers_does_not_find_a_removed_patient() -> None:
    """The digests stay in the table, and may be saved with it."""
    said = str(found("7").attrs)
    assert blake2b(b"7\\1.2.0", digest_size=6).hexdigest() not in said
