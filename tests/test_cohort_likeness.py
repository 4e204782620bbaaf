from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, strategies as st

from dicomove.cohort import is_blank, is_other_name, likeness
from dicomove.cohort.likeness import (
    as_key,
    difference,
    invisible_in,
    odd_in,
    plain,
    without_invisible,
)
from dicomove.cohort.query_steps import row_query
from dicomove.cohort.values import INVISIBLE
from dicomove.errors import IdentifierError

PERSIAN = "علی\u200cرضا"
HINDI = "क्\u200dष"
MANDARIN = "葛\U000e0100城"

# Names of one person, as people and archives write them, and names of two.
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

# Characters that the folds know, and a few that they do not.
texts = st.text(
    st.sampled_from(
        "aAbBeilI1oO0sS927 -^.'uüÜßäåøłæÉé̈́аАВвоΟομИйیيの、ｱアＡ１٣–‐‑’\"\u00a0\u3000\u200b\u200c\u202a\ufeff\u00ad\t\n*"
    )
    | st.characters(),
    max_size=8,
)


def same_text(asked: str, answered: str) -> bool:
    return plain(asked) == plain(answered)


@pytest.mark.parametrize(
    "invisible",
    "\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202c\u202e\u2060\u2064\u2066\u2069\u3164"
    "\ufe0f\ufeff\uffa0\ufff9\U000e0001\U000e0041\U000e0100",
)
def test_invisible_characters_are_removed_and_named(invisible: str) -> None:
    asked = f"{invisible}A{invisible}1{invisible}"
    assert without_invisible(asked) == as_key(asked) == plain(asked) == "A1"
    assert invisible_in(asked) == [f"U+{ord(invisible):04X} {unicodedata.name(invisible, '')}".rstrip()]
    assert same_text(asked, "A1")


@pytest.mark.parametrize("seen", ["A1", "A 1", "Müller^Änne", "\u0600123", "山田^太郎", "A\u00a01", "김^철수"])
def test_visible_characters_stay(seen: str) -> None:
    assert without_invisible(seen) == seen
    assert invisible_in(seen) == []


@pytest.mark.parametrize("name", [PERSIAN, HINDI, MANDARIN])
def test_characters_that_a_script_needs_stay_in_a_key(name: str) -> None:
    assert as_key(name) == name
    assert invisible_in(name) == []
    assert same_text(name, INVISIBLE.sub("", name))


@pytest.mark.parametrize(
    "text",
    ["\u200cرضا", "A\u200cرضا", "رضا\u200c", "رضا\u200d", "A\u200d1", "1\U000e0100", "A\u180b", "\U00017000\u200d1"],
)
def test_a_joiner_that_joins_nothing_is_taken_off(text: str) -> None:
    assert INVISIBLE.search(as_key(text)) is None
    assert len(invisible_in(text)) == 1


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("Mu\u0308ller", "Müller"),
        ("\u212bngstr\u00f6m", "Ångström"),
        ("K1", "\u212a1"),  # the sign of the Kelvin
        ("각", "각"),
        *[(f"A{blank}1", "A 1") for blank in "\t\u00a0\u2003\u2009\u202f\u205f\u2800\u3000"],
        ("A\u20111", "A-1"),
        ("A\u20101", "A-1"),
        (" A1 \0", "A1"),
        ("\u202aA1\u202c", "A1"),
        ("A\u00ad1", "A1"),
        ("\u200e \ufeffA1", "A1"),
    ],
)
def test_the_same_text(asked: str, answered: str) -> None:
    assert same_text(asked, answered)
    assert same_text(as_key(asked), as_key(answered))
    assert difference(asked, answered) is None


def test_an_invisible_character_without_a_name_is_named_by_its_number() -> None:
    assert invisible_in("A\u20651") == ["U+2065"]


def test_a_tab_is_a_blank_in_a_key_also_where_all_is_ascii() -> None:
    assert as_key("A\tB") == "A B"


def test_a_wildcard_is_like_nothing_and_an_x_is_no_wildcard() -> None:
    assert difference("a*", "A*") is None
    assert difference("x1", "X1") == "upper and lower case"


@pytest.mark.parametrize(
    ("asked", "answered", "expected"),
    [
        ("abc-7", "ABC-7", "upper and lower case"),
        ("Straße", "STRASSE", "upper and lower case"),
        ("abl", "ABL", "upper and lower case"),
        ("В", "в", "upper and lower case"),
        ("0012", "12", "leading zeros"),
        ("A-0012", "A-12", "leading zeros"),
        ("A1O", "A10", "O and 0, or I, l and 1"),
        ("lI7", "1l7", "O and 0, or I, l and 1"),
        ("А12", "A12", "letters of another alphabet that look the same"),
        ("ΑΒ12", "AB12", "letters of another alphabet that look the same"),
        ("\u03f2-12", "c-12", "letters of another alphabet that look the same"),
        ("علی", "علي", "letters of another alphabet that look the same"),
        ("Ａ１２", "A12", "full-width or other forms of letters"),
        ("ﾔﾏﾀﾞ", "ヤマダ", "full-width or other forms of letters"),
        ("٠١٢", "012", "digits of another script"),
        ("2024–17", "2024-17", "a dash of another kind"),
        ("2024−17", "2024-17", "a dash of another kind"),
        ("O’Neil", "O'Neil", "quotation marks of another kind"),
        ("O´Neil", "O'Neil", "quotation marks of another kind"),
        ("O\u02bcNeil", "O'Neil", "quotation marks of another kind"),
        ("Mueller", "Müller", "umlauts written with an e"),
        ("Mueller", "MÜLLER", "umlauts written with an e and upper and lower case"),
        ("Muller", "Müller", "accents"),
        ("izmir", "İZMİR", "accents and upper and lower case"),
        ("Soren", "Søren", "accents"),
        ("lukasz", "Łukasz", "accents and upper and lower case"),
        ("A 12", "A12", "blanks"),
        ("A  12", "A 12", "blanks"),
        ("2024/17", "2024-17", "punctuation"),
        ("1.234.567", "1234567", "punctuation"),
        ("Doe, Jane", "Doe^Jane", "blanks and punctuation"),
        ("doe 017", "DOE17", "upper and lower case, blanks and leading zeros"),
    ],
)
def test_a_look_alike_is_told(asked: str, answered: str, expected: str) -> None:
    assert difference(asked, answered) == difference(answered, asked) == expected
    assert not same_text(asked, answered)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [("A1", "A2"), ("12", "120"), ("12", "21"), ("", "A"), ("", "-"), ("A*", "A1"), ("M?ller", "Muller"), ("a", "б")],
)
def test_texts_that_are_not_alike(asked: str, answered: str) -> None:
    assert not same_text(asked, answered)
    assert difference(asked, answered) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A-12", []),
        ("Müller", []),
        ("А-12", ["U+0410 CYRILLIC CAPITAL LETTER A"]),
        ("Müllеr", ["U+0435 CYRILLIC SMALL LETTER IE"]),
        ("Иванова", []),
        ("Иванова–1", ["U+2013 EN DASH"]),
        ("A–１", ["U+2013 EN DASH", "U+FF11 FULLWIDTH DIGIT ONE"]),
        ("٣", ["U+0663 ARABIC-INDIC DIGIT THREE"]),
    ],
)
def test_odd_characters_are_named(text: str, expected: list[str]) -> None:
    assert odd_in(text) == expected


@pytest.mark.parametrize(
    "cell", ["\u200e", "\u202a\u202c", "\u00ad", "\u2800", "\u3164", " \u200b\u00a0", "*\u200e", "^\ufeff^", "?\u00a0"]
)
@pytest.mark.parametrize("key", ["PatientID", "PatientName", "AccessionNumber", "StudyID"])
def test_a_key_of_which_nothing_is_seen_asks_for_nothing(cell: str, key: str) -> None:
    assert is_blank(cell) or set(plain(cell)) <= set("*?^ ")
    with pytest.raises(IdentifierError):
        row_query({key: cell, "StudyDate": "20240105"}, "STUDY", "StudyRoot", broad="refuse", given=False)


@given(texts, texts)
def test_likeness_is_the_same_both_ways(asked: str, answered: str) -> None:
    assert same_text(asked, asked)
    assert difference(asked, asked) is None
    assert same_text(asked, answered) == same_text(answered, asked)
    assert difference(asked, answered) == difference(answered, asked)


@given(texts)
def test_a_second_pass_changes_nothing(text: str) -> None:
    bare = without_invisible(text)
    assert without_invisible(bare) == bare
    assert invisible_in(bare) == []
    assert (bare == text) == (not invisible_in(text))
    assert as_key(as_key(text)) == as_key(text)
    assert plain(plain(text)) == plain(text) == plain(as_key(text))
    assert same_text(text, as_key(text))
    assert difference(text, as_key(text)) is None


@given(texts, st.data())
def test_every_fold_is_found(text: str, data: st.DataObject) -> None:
    """The quick look that spares the others misses nothing that one, two or three folds explain."""
    folds = data.draw(st.sampled_from(likeness._SETS))
    other = likeness._folded(plain(text), folds)
    if same_text(text, other) or set("*?") & set(text + other):
        return
    if likeness._folded(plain(other), folds) == likeness._folded(plain(text), folds) and plain(other):
        assert difference(text, other) is not None


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
