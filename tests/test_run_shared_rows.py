"""Which rows share one C-MOVE, and what each of the others claims of its patient."""

from __future__ import annotations

import pandas as pd
import pytest

from dicomove.cohort import Identifier, with_digests
from dicomove.run.table.shared_rows import by_patient

STUDY = Identifier("STUDY", "StudyRoot", (("StudyInstanceUID", "1.2"),))
SERIES = Identifier("SERIES", "StudyRoot", (*STUDY.keys, ("SeriesInstanceUID", "1.2.1")))
UNTOLD = ((), False)


def in_patient_root(patient: str) -> Identifier:
    return Identifier("STUDY", "PatientRoot", (("PatientID", patient), *STUDY.keys))


def claims(identifiers: list[Identifier], **columns: list[str]) -> list[tuple[tuple[tuple[str, str], ...], bool]]:
    """Return what each row claims of its patient, and whether another row contradicts it."""
    table = pd.DataFrame({"StudyInstanceUID": ["1.2"] * len(identifiers), **columns})
    found = by_patient(table, identifiers)
    assert [one.keys for one in found if isinstance(one, Identifier)] == [one.keys for one in identifiers]
    return [(one.claims, one.is_disputed) for one in found if isinstance(one, Identifier)]


def id_of(patient: str, *, is_disputed: bool) -> tuple[tuple[tuple[str, str], ...], bool]:
    return (("PatientID", patient),), is_disputed


def test_rows_of_one_patient_claim_nothing() -> None:
    assert claims([STUDY] * 2, PatientID=["7", "007"]) == [UNTOLD] * 2
    assert claims([STUDY] * 2, PatientID=["7", "7"], AccessionNumber=["A1", "A2"]) == [UNTOLD] * 2
    assert claims([STUDY] * 2, PatientName=["Doe^Jane", "DOE^JANE"]) == [UNTOLD] * 2


def test_a_row_without_a_patient_does_not_contradict_one_with_a_patient() -> None:
    assert claims([STUDY] * 2, PatientID=["7", ""]) == [id_of("7", is_disputed=False), UNTOLD]


def test_all_patients_of_a_study_are_disputed_if_each_contradicts_another() -> None:
    assert claims([STUDY] * 3, PatientID=["7", "8", "9"]) == [id_of(one, is_disputed=True) for one in "789"]


def test_a_patient_who_is_not_contradicted_is_not_disputed() -> None:
    """The name of the third row may be that of either patient."""
    found = claims([STUDY] * 3, PatientID=["7", "8", ""], PatientName=["", "", "DOE^JANE"])
    assert [is_disputed for _, is_disputed in found] == [True, True, False]


def test_other_names_and_birth_dates_are_another_person() -> None:
    names, dates = ["DOE^JANE", "ROE^JOHN"], ["19500203", "19610412"]
    assert claims([STUDY] * 2, PatientName=names) == [((("PatientName", name),), False) for name in names]
    assert claims([STUDY] * 2, PatientName=names, PatientBirthDate=dates) == [
        ((("PatientName", name), ("PatientBirthDate", date)), True) for name, date in zip(names, dates, strict=True)
    ]


@pytest.mark.parametrize(
    ("column", "patients", "numbers"),
    [("PatientID", ["7", "8"], ["A1", "A2"]), ("PatientName", ["DOE^JANE", "ROE^JOHN"], [])],
)
def test_only_a_patient_id_is_told_with_the_accession_numbers_of_other_rows(
    column: str, patients: list[str], numbers: list[str]
) -> None:
    """A study may have several; but the number of another row must not stand for a person."""
    found = claims([STUDY] * 2, AccessionNumber=["A1", "A2"], **{column: patients})
    for (told, _), patient, own in zip(found, patients, ["A1", "A2"], strict=True):
        assert told == ((column, patient), *(("AccessionNumber", number) for number in numbers or [own]))


def test_a_row_with_an_accession_number_is_compared_by_itself() -> None:
    assert claims([STUDY] * 2, PatientID=["7", "7"], AccessionNumber=["A1", ""]) == [
        ((("PatientID", "7"), ("AccessionNumber", "A1")), False),
        id_of("7", is_disputed=False),
    ]


def test_in_patient_root_the_request_names_the_patient() -> None:
    assert claims([in_patient_root("7"), in_patient_root("8")], PatientID=["7", "8"]) == [UNTOLD] * 2
    assert claims([in_patient_root("7")] * 2, PatientID=["7", "7"], AccessionNumber=["A1", ""]) == [
        ((("AccessionNumber", "A1"),), False),
        UNTOLD,
    ]


def test_a_series_is_disputed_if_another_row_names_another_patient_of_its_study() -> None:
    assert claims([STUDY, SERIES], PatientID=["7", "8"]) == [((), True)] * 2
    assert claims([SERIES, SERIES], PatientID=["7", "8"]) == [id_of(one, is_disputed=True) for one in "78"]


def found_by_find(*patients: str) -> pd.DataFrame:
    of_find = {"cohort_row": 0, "outcome": "matched", "matches": 1, "filtered": 0}
    table = pd.DataFrame({"StudyInstanceUID": "1.2", "PatientID": patients} | of_find)
    return with_digests(table, "STUDY")


def test_rows_that_the_pacs_itself_gave_claim_nothing() -> None:
    """One UID of two patients gives two rows."""
    table, identifiers = found_by_find("7", "8", "8"), [STUDY] * 3
    assert by_patient(table, identifiers) == identifiers
    assert by_patient(table.assign(PatientID=["7", "8", "9"]), identifiers) != identifiers, "the user has changed one"


def test_a_typed_series_of_a_study_of_find_is_compared() -> None:
    found = by_patient(found_by_find("7", "8", "7", "8"), [STUDY, STUDY, SERIES, SERIES])
    assert found[:2] == [STUDY, STUDY]
    assert [one.claims for one in found[2:] if isinstance(one, Identifier)] == [(("PatientID", one),) for one in "78"]
