"""Whether two PatientIDs are the same, and in what they differ."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dicomove.outcome.patients import ALTOGETHER, NONE_AT_ALL, difference, is_alike, is_other_birth_date


@pytest.mark.parametrize(
    ("came", "named", "words"),
    [
        ("007", ["007"], None),
        # Padding is no part of a value (PS3.5 6.2).
        ("007 ", ["007"], None),
        ("007", [" 007\0"], None),
        ("Müller-7", ["MÜLLER-7"], "in upper and lower case"),
        ("00 7", ["007"], "in blanks"),
        ("7\u200e", ["7"], "in invisible characters, or in the kind of a hyphen"),
        ("S\u20111", ["S-1"], "in invisible characters, or in the kind of a hyphen"),
        ("7", ["007"], "in leading zeros"),
        ("a7", ["00A7"], "in leading zeros"),
        ("007^^^HOSP", ["007"], "in what follows it (an issuer, say)"),
        ("7", ["007@hosp.example"], "in what follows it (an issuer, say)"),
        ("7_1", ["7"], "in what follows it (an issuer, say)"),
        ("S-1", ["x", "00s"], "in what follows it (an issuer, say)"),
        # The numbers of patients of a study, and one number at two sites.
        ("7_1", ["7_2"], ALTOGETHER),
        ("LUNG-002", ["LUNG-001"], ALTOGETHER),
        ("7^^^HOSP", ["7^^^CLINIC"], ALTOGETHER),
        ("008", ["007"], ALTOGETHER),
        ("SOMEONE_ELSE", ["FP1"], ALTOGETHER),
        ("0", ["000"], "in leading zeros"),
        ("", ["007"], NONE_AT_ALL),
        # Of several rows, one is enough; of none, nothing is known.
        ("008", ["007", "008"], None),
        ("008", [], None),
        ("abc", ["x", "ABC"], "in upper and lower case"),
    ],
)
def test_in_what_patient_ids_differ(came: str, named: list[str], words: str | None) -> None:
    assert difference(came, named) == words
    assert is_alike(came, named) == (words not in (None, ALTOGETHER, NONE_AT_ALL))


@given(st.text(), st.text())
def test_the_words_never_hold_a_patient_id(came: str, named: str) -> None:
    words = difference(came, [named])
    assert (words is None) == (came.strip(" \0") == named.strip(" \0"))
    assert words is None or words in {
        *("in upper and lower case", "in blanks", "in leading zeros", "in what follows it (an issuer, say)"),
        *(ALTOGETHER, NONE_AT_ALL),
    }


@pytest.mark.parametrize(
    ("there", "named", "is_other"),
    [
        ("19500203", ["19500203"], False),
        ("1950.02.03", ["1950-02-03"], False),
        (" 19500203 ", ["19500203"], False),
        ("19500203", ["19500302"], False),
        ("19500203", ["19500101"], False),
        ("19500101", ["19501224"], False),
        ("19500203", ["19500204"], True),
        ("19500203", ["19510203"], True),
        ("19500203", ["19510101"], True),
        ("19500203", ["19510203", "19500203"], False),
        ("19500203", ["19510203", "soon"], False),
        ("1950", ["19510203"], False),
        ("195002031", ["19510203"], False),
        ("", ["19510203"], False),
    ],
)
def test_another_birth_date(there: str, named: list[str], *, is_other: bool) -> None:
    """In one year, 1 January may mean that the day is not known, and a day may stand where the month belongs."""
    assert is_other_birth_date(there, named) == is_other
