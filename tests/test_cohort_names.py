"""Names of one person, as people and archives write them, and names of two."""

from __future__ import annotations

import pytest

from dicomove.cohort import is_other_name

ONE_PERSON = [
    ("DOE^JANE", "Doe, Jane"),
    ("DOE^JANE", "JANE DOE"),
    ("DOE^JANE^MARY^DR", "doe^jane"),
    ("DOE^JANE", "Doe^J."),
    ("DOE^JANE", "DOE"),
    ("DOE^J", "DOE^K"),  # initials are not compared
    ("MUELLER^JOERG", "Müller^Jörg"),
    ("O'NEIL^ANN", "ONEIL^ANN"),
    ("VANDENBERG^JAN", "van den Berg^Jan"),
    ("MEIER^ANNA", "Meyer^Hanna"),
    ("Yamada^Tarou=山田^太郎=やまだ^たろう", "yamada tarou"),
    ("Łukasz^Nowak", "LUKASZ^NOWAK"),
    ("ANON^0001", "Anon 0001"),
    ("GARCIA LOPEZ^MARIA", "LOPEZ^MARIA"),
    ("ADAM^DOE", "DOE"),
    ("DOE^JANE^MARY", "Doe^Jane^Pauline"),  # two of three
    ("ROE^JANE", "Roe^Jana"),
    ("X" + "ABCDEFGH" * 30, "Y" + "ABCDEFGH" * 30),  # one letter of 241
]
TWO_PERSONS = [
    ("DOE^JANE", "DOE^JOHN"),
    ("DOE^JANE", "ROE^JANE"),
    ("DOE^JANE", "SMITH^PETER"),
    ("ANON^0001", "ANON^0002"),
    ("SYN000001", "SYN000002"),
    ("DOE^JANE^MARY", "DOE^JOHN^PAUL"),
    ("LI^NA", "WU^BO"),
]
NOT_COMPARED = [("山田^太郎", "鈴木^花子"), ("", "DOE^JANE"), ("DOE^JANE", ""), ("^^", "DOE"), ("A^B", "C^D")]


@pytest.mark.parametrize(("first", "second"), ONE_PERSON + NOT_COMPARED)
def test_names_that_may_be_one_person(first: str, second: str) -> None:
    assert not is_other_name(first, [second])
    assert not is_other_name(second, [first])


@pytest.mark.parametrize(("first", "second"), TWO_PERSONS)
def test_two_persons(first: str, second: str) -> None:
    assert is_other_name(first, [second])
    assert is_other_name(second, [first])


def test_one_of_several_names_is_enough() -> None:
    assert not is_other_name("DOE^JANE", ["ROE^JOHN", "Jane Doe"])
    assert is_other_name("DOE^JANE", ["ROE^JOHN", "POE^PAUL"])
    assert not is_other_name("DOE^JANE", ["ROE^JOHN", "花子"])
