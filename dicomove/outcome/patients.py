"""Compares PatientIDs, accession numbers and birth dates; the results do not contain the values. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Final

#: PS3.5 6.2: an LO is padded with blanks; some writers take NUL.
_PADDING: Final = " \0"
NONE_AT_ALL: Final = "they have none"
ALTOGETHER: Final = "altogether"
#: The row names no PatientID, and most of its images have an altogether different one.
AMONG_THEM: Final = "from that of the other images"
#: Differences beyond spelling.
UNLIKE: Final = frozenset({NONE_AT_ALL, ALTOGETHER, AMONG_THEM})

_BLANKS: Final = re.compile(r"[\s\0]+")
#: The first character of an issuer or of a site's suffix.
_SUFFIX: Final = re.compile(r"[\^@&/_ -].*", re.DOTALL)
_DAY: Final = re.compile(r"([0-9]{4})[.-]?([0-9]{2})[.-]?([0-9]{2})")


def stripped(patient_id: str) -> str:
    r"""Return a PatientID without its padding.

    Examples
    --------
    >>> stripped(" 007 \0")
    '007'
    """
    return patient_id.strip(_PADDING)


def difference(came: str, named: Collection[str]) -> str | None:
    r"""Return how a PatientID differs from those of the rows; ``None`` if it is one of them.

    Parameters
    ----------
    came
        The PatientID of an instance.
    named
        The PatientIDs of the rows.

    Examples
    --------
    >>> difference("abc-7 ", ["ABC-7"]), difference("7", ["007"]), difference("7", ["7"])
    ('in upper and lower case', 'in leading zeros', None)
    >>> difference("", ["7"]), difference("8", ["7"])
    ('they have none', 'altogether')
    >>> difference("7^^^A", ["7"]), difference("S-1", ["S-2"])
    ('in what follows it (an issuer, say)', 'altogether')
    >>> difference("S\u20111", ["S-1"])
    'in invisible characters, or in the kind of a hyphen'
    """
    came = stripped(came)
    known = {stripped(one) for one in named}
    if came in known or not known:
        return None
    if not came:
        return NONE_AT_ALL
    return next((words for words, alike in _ALIKE if any(alike(came, one) for one in known)), ALTOGETHER)


def minority(found: Iterable[str]) -> frozenset[str]:
    """Return the PatientIDs of the images of one row that differ altogether from the most frequent one.

    Examples
    --------
    >>> minority(["7", "7", "8", "007", ""]), minority(["7", "7 "])
    (frozenset({'8'}), frozenset())
    """
    counted = Counter(filter(stripped, found))
    most = [name for name, _ in counted.most_common(1)]
    return frozenset(one for one in counted if difference(one, most) == ALTOGETHER)


def is_alike(came: str, named: Collection[str]) -> bool:
    """Return whether a PatientID is another spelling of one of the rows'."""
    return difference(came, named) not in (None, *UNLIKE)


def spelling(patient_id: str) -> tuple[str, str]:
    """Return what is equal for PatientIDs that are alike to the same others: the whole, and what precedes its suffix.

    Examples
    --------
    >>> spelling("A-007"), spelling("a 7") == spelling("A-7")
    (('a-007', 'a'), False)
    """
    return _without_zeros(patient_id), _without_zeros(_SUFFIX.sub("", patient_id))


def is_other_number(there: str, named: Collection[str]) -> bool:
    """Return whether an accession number differs from all of the rows', in more than spelling.

    A suffix belongs to the number: 2024-01 may be the first number of a year.

    Examples
    --------
    >>> is_other_number("a1 ", ["A1"]), is_other_number("7", ["007"]), is_other_number("2024-01", ["2024"])
    (False, False, True)
    """
    return _without_zeros(stripped(there)) not in {_without_zeros(stripped(one)) for one in named}


def is_other_birth_date(there: str, named: Collection[str]) -> bool:
    """Return whether a birth date differs from all of the rows'.

    In the same year, 1 January may stand for an unknown day, and day and month may be exchanged. Text that is not a
    date is not compared.

    Examples
    --------
    >>> is_other_birth_date("19500203", ["1950-02-03"]), is_other_birth_date("19500203", ["19510203"])
    (False, True)
    >>> is_other_birth_date("19500203", ["19500101"]), is_other_birth_date("19500203", ["19500302"])
    (False, False)
    """
    found, days = _DAY.fullmatch(stripped(there)), [_DAY.fullmatch(stripped(one)) for one in named]
    return found is not None and all(day is not None and not _may_be_one_day(found, day) for day in days)


def _may_be_one_day(first: re.Match[str], second: re.Match[str]) -> bool:
    (year, *day), (other_year, *other_day) = first.groups(), second.groups()
    return year == other_year and (["01", "01"] in (day, other_day) or sorted(day) == sorted(other_day))


def _shown(value: str) -> str:
    """Return it without what people cannot see: dicomove sends no such characters, and an archive may have them."""
    if value.isascii():
        return value
    kept = [one for one in unicodedata.normalize("NFC", value) if unicodedata.category(one) != "Cf"]
    return "".join("-" if unicodedata.category(one) == "Pd" else one for one in kept)


def _case(value: str) -> str:
    return unicodedata.normalize("NFKC", _shown(value)).casefold()


def _without_blanks(value: str) -> str:
    return _BLANKS.sub("", _case(value))


def _without_zeros(value: str) -> str:
    return _without_blanks(value).lstrip("0")


def _is_one_with_a_suffix(first: str, second: str) -> bool:
    """Whether one is the other with a suffix. Two different suffixes may be two patients of a study (S-001, S-002)."""
    (whole, short), (other_whole, other_short) = spelling(first), spelling(second)
    return short == other_whole or whole == other_short


def _same(change: Callable[[str], str]) -> Callable[[str, str], bool]:
    return lambda first, second: change(first) == change(second)


_ALIKE: Final = (
    ("in invisible characters, or in the kind of a hyphen", _same(_shown)),
    ("in upper and lower case", _same(_case)),
    ("in blanks", _same(_without_blanks)),
    ("in leading zeros", _same(_without_zeros)),
    ("in what follows it (an issuer, say)", _is_one_with_a_suffix),
)
