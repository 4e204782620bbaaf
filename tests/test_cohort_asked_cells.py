"""Whether rows of a table of `find` have asked for what rows of a cohort ask for."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from dicomove.cohort.asked_cells import asked_otherwise


def table(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})


def differs(own: object, *, there: dict[str, object], name: str = "PatientID", beside: str | None = "7") -> bool:
    """Tell whether a cell of a cohort differs from a row of results; another column is the same in both."""
    cohort, results = {name: [own]}, {header: [cell] for header, cell in there.items()}
    if beside is not None:
        cohort["StudyID"] = results["StudyID"] = [beside]
    found = asked_otherwise(table(**cohort), table(**results), [0])
    assert found in (None, (0, name))
    return found is not None


def test_rows_that_are_not_of_the_cohort_are_passed_over() -> None:
    cohort, results = table(PatientID=["a", "b"]), table(PatientID=["x", "a", "c"])
    assert asked_otherwise(cohort, results, [-1, 0, -1]) is None
    assert asked_otherwise(cohort, results, [-1, 0, 1]) == (2, "PatientID")
    assert asked_otherwise(cohort, results, [0, 0, 1]) == (0, "PatientID"), "the first one"
    assert asked_otherwise(cohort, results, []) is None


def test_the_column_is_named_as_the_cohort_names_it() -> None:
    cohort = table(arm=["a"], mrn=["7"], accession=["A1"])
    assert asked_otherwise(cohort, table(PatientID=["7"], AccessionNumber=["A2"]), [0]) == (0, "accession")


@pytest.mark.parametrize(
    ("own", "there", "is_other"),
    [
        ("7", {"PatientID": "7"}, False),
        ("7", {"PatientID": "8"}, True),
        ("7*", {"PatientID": "78"}, False),
        ("7*", {"PatientID": "8", "PatientID_asked": "7*"}, False),
        ("7*", {"PatientID": "78", "PatientID_asked": "8*"}, True),
        ("", {"PatientID": "78", "PatientID_asked": "7*"}, True),
        ("7", {"PatientID": "8", "mrn": "7"}, False),
        ("7", {"PatientID": "", "mrn": "8"}, True),
        ("7", {"PatientID": ""}, False),
        ("7", {}, False),
        ("", {"PatientID": "7"}, False),
    ],
)
def test_a_cell_is_compared_with_what_was_asked_or_found(own: str, there: dict[str, object], is_other: object) -> None:
    assert differs(own, there=there) == is_other


@pytest.mark.parametrize(
    ("sent", "is_other"),
    [("PatientID", False), ("PatientID, StudyDate", True), ("", True), (None, True), ("StudyDate, StudyID", True)],
)
def test_a_match_may_have_another_value_if_the_cell_was_not_sent(sent: str | None, is_other: object) -> None:
    there: dict[str, object] = {"StudyDate": "20240202", "asked_by": sent}
    assert differs("20240101", name="StudyDate", there=there) == is_other
    assert differs("20240101", name="StudyDate", there=there | {"study date": "20240202"})


def test_a_row_that_has_keys_only_where_its_row_of_the_cohort_has_none_is_another_one() -> None:
    cohort, results = table(PatientID=["7"], AccessionNumber=[""]), table(PatientID=[""], AccessionNumber=["A1"])
    assert asked_otherwise(cohort, results, [0]) == (0, "PatientID")
    same = {"StudyID": ["1"]}
    assert asked_otherwise(cohort.assign(**same), results.assign(**same), [0]) is None
    assert asked_otherwise(cohort.assign(**same), results.assign(StudyID="2", StudyID_asked="1"), [0]) is None
    assert asked_otherwise(cohort, table(PatientID=[""], AccessionNumber=[""]), [0]) is None
    assert asked_otherwise(cohort, table(AccessionNumber=["A1"]), [0]) is None, "the user may have dropped a column"
    assert asked_otherwise(table(PatientID=[""], AccessionNumber=[""]), results, [0]) is None


@pytest.mark.parametrize(
    ("name", "own", "there"),
    [
        ("PatientID", "007", 7),
        ("PatientID", "007", 7.0),
        ("PatientID", 7, "007"),
        ("PatientID", "A-7 ", "A-7"),
        ("PatientID", np.float64(7), "7"),
        ("PatientID", "7", "7.0"),
        ("StudyDate", "2024-01-05", "20240105"),
        ("StudyDate", dt.date(2024, 1, 5), "20240105"),
        ("StudyDate", "20240105", pd.Timestamp(2024, 1, 5)),
        ("StudyDate", "20240101-20240131", "20240105"),
        ("StudyTime", "09:30", "0930"),
        ("StudyTime", "0930", "930"),
    ],
)
def test_a_file_may_have_changed_the_type_of_a_cell(name: str, own: object, there: object) -> None:
    for header in (name, f"{name}_asked"):
        if own != "20240101-20240131" or header == name:
            assert not differs(own, name=name, there={header: there})


@pytest.mark.parametrize(
    ("name", "own", "there"),
    [
        ("PatientID", "7", "70"),
        ("PatientID", "7", 70),
        ("PatientID", "A7", 7),
        ("PatientID", True, "7"),
        ("StudyDate", "2024-01-05", "20240106"),
        ("StudyTime", "09:30", "0931"),
    ],
)
def test_other_values_are_other_values(name: str, own: object, there: object) -> None:
    for header in (name, f"{name}_asked"):
        assert differs(own, name=name, there={header: there})


def test_a_column_of_the_cohort_may_be_named_as_if_find_had_added_it() -> None:
    cohort = table(PatientID=["7"], PatientID_asked=["x"])
    assert asked_otherwise(cohort, table(PatientID=["7"], PatientID_asked=["x"]), [0]) is None


def test_two_columns_for_one_key_are_not_compared() -> None:
    cohort = table(mrn=["7"], **{"patient id": ["8"]}, AccessionNumber=["A1"])
    assert asked_otherwise(cohort, table(PatientID=["9"], AccessionNumber=["A1"]), [0]) is None
