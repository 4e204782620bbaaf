"""A cell as the value of a matching key (PS3.4 C.2.2.2): its dates, times, UIDs, whole numbers, and text."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from dicomove.cohort.damage import damage
from dicomove.cohort.keywords import VRS
from dicomove.cohort.likeness import as_key, plain
from dicomove.cohort.values import EDGES, has_control_characters, is_uid, text
from dicomove.errors import IdentifierError

_WILDCARDS = frozenset("*?")
_UNIVERSAL = frozenset("*?^ ")
_UNIVERSAL_NAME = frozenset("*?^= ")
_ISO_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
DATE: Final = re.compile(r"[0-9]{8}")
_TIME = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9]([0-5][0-9](\.[0-9]{1,6})?)?)?")
# 103045.0, from a column of floats, and 10:30:45.0 become the whole second 103045, as archives write it.
_WHOLE_SECOND = re.compile(r"\A([0-9]{6})\.0+\Z")
WHOLE: Final = re.compile(r"[+-]?[0-9]{1,12}")
# Archives and their users often exceed shorter limits (16 characters for an accession number).
_LONGEST = 64
_LONGEST_NAME = 3 * _LONGEST + 2
NOT_ASCII: Final = "holds letters or digits that are not ASCII, and its values have no others"
#: The Specific Character Set applies only to these (PS3.5 6.1.2.3).
_IN_ANY_SCRIPT: Final = frozenset({"SH", "LO", "UC", "PN", "ST", "LT", "UT"})


def has_other_letters(value: str, column: str) -> bool:
    r"""Tell whether a value has letters that this attribute cannot have, whatever the character set.

    Examples
    --------
    >>> has_other_letters("\uff23T", "Modality"), has_other_letters("Müller", "PatientName")
    (True, False)
    """
    return not value.isascii() and VRS[column] not in _IN_ANY_SCRIPT


def has_wildcard(value: str) -> bool:
    """Tell whether a value of a matching key matches more than itself."""
    return not _WILDCARDS.isdisjoint(value)


def is_single(value: str) -> bool:
    """Tell whether a value can mean only one entity: it has no wildcard and is not a list."""
    return not has_wildcard(value) and "\\" not in value


def is_universal(value: object, column: str) -> bool:
    """Tell whether a cell would match everything: it holds only wildcards, and separators of the parts of a name.

    A UID never has a wildcard, so a wildcard in a column of UIDs is an error instead.
    """
    if not isinstance(value, str) or VRS[column] == "UI":
        return False
    return set(plain(value)) <= (_UNIVERSAL_NAME if VRS[column] == "PN" else _UNIVERSAL)


def key_text(value: object, column: str) -> str:
    r"""Return a cell as the text of a key, without invisible characters.

    Control characters stay, so that dicomove refuses the key: a tab, for example, may have separated two cells.

    Examples
    --------
    >>> key_text("\u202aA1\u202c", "AccessionNumber")
    'A1'
    """
    found = text(value, column)
    return found if has_control_characters(found) else as_key(found).strip(EDGES)


def criterion(value: object, column: str) -> str:
    r"""Return a cell as the value of a matching key.

    Parameters
    ----------
    value
        The cell, which is not blank.
    column
        The keyword of the attribute.

    Raises
    ------
    IdentifierError
        The cell cannot be sent.

    Examples
    --------
    >>> criterion("2024-01-05", "StudyDate"), criterion("1.2.3 \\ 1.2.4", "StudyInstanceUID")
    ('20240105', '1.2.3\\1.2.4')
    """
    found = key_text(value, column)
    normalise = _NORMALISE.get(VRS[column])
    try:
        return normalise(found) if normalise else _checked(found, column)
    except ValueError as error:
        msg = f"{column} {error}"
        raise IdentifierError(msg, column=column) from None


def _checked(value: str, column: str) -> str:
    longest = _LONGEST_NAME if VRS[column] == "PN" else _LONGEST
    happened = damage(value, column)
    problems = {
        "holds control characters": has_control_characters(value),
        f"is longer than {longest} characters": len(value) > longest,
        f"was damaged by a spreadsheet: {happened}": happened is not None,
        "holds a backslash, which separates values; only UIDs can be a list": "\\" in value,
        NOT_ASCII: has_other_letters(value, column),
    }
    for problem, is_there in problems.items():
        if is_there:
            raise ValueError(problem)
    return value


def _uids(value: str) -> str:
    uids = [uid.strip(EDGES) for uid in value.split("\\")]
    if not all(map(is_uid, uids)):
        msg = "is not a UID (PS3.5 9.1: digits and dots, 64 characters at most, no wildcards)"
        raise ValueError(msg)
    return "\\".join(uids)


def _dates(value: str) -> str:
    compact = "".join(match.groups()) if (match := _ISO_DATE.fullmatch(value)) else value
    begin, hyphen, end = (part.strip(EDGES) for part in compact.partition("-"))
    if not (begin or end) or not all(map(_is_date, filter(None, (begin, end)))):
        msg = "is not a date (YYYYMMDD or YYYY-MM-DD) or a range of dates (YYYYMMDD-YYYYMMDD, YYYYMMDD-, -YYYYMMDD)"
        raise ValueError(msg)
    if begin and end and begin > end:
        msg = "is a range with its end before its beginning"
        raise ValueError(msg)
    return f"{begin}{hyphen}{end}"


def _is_date(value: str) -> bool:
    if not DATE.fullmatch(value):
        return False
    try:
        dt.date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return False
    return True


def _times(value: str) -> str:
    begin, hyphen, end = (_digits_of_time(part.strip(EDGES)) for part in value.partition("-"))
    if not (begin or end) or not all(map(_TIME.fullmatch, filter(None, (begin, end)))):
        msg = "is not a time (HHMMSS or HH:MM:SS) or a range of times (HHMMSS-HHMMSS, HHMMSS-, -HHMMSS)"
        raise ValueError(msg)
    found = _to_the_last_moment(begin, hyphen, end)
    first, _, last = found.partition("-")
    if last and first > last:  # as text, "10" comes before "100000"
        msg = "is a range with its end before its beginning: over midnight, write two rows: until 23:59:59, from 00:00"
        raise ValueError(msg)
    return found


def _digits_of_time(part: str) -> str:
    # A spreadsheet shows "9:30"; without its colon, "930" may mean anything.
    digits = ("0" if part[1:2] == ":" else "") + part.replace(":", "")
    return _WHOLE_SECOND.sub(r"\1", digits)


def _to_the_last_moment(begin: str, hyphen: str, end: str) -> str:
    """Extend a time to the end of its hour, minute or second, because archives compare times as text or as moments.

    The beginning does not change: as text, "1030" comes before "103000", and archives store both.
    """
    last = end if hyphen else begin
    if not last or "." in last:
        return f"{begin}{hyphen}{end}"
    return f"{begin}-{last}{'235959'[len(last) :]}.999999"


def _whole(value: str) -> str:
    whole = re.sub(r"\.0+\Z", "", value)  # from a column of floats in a text file
    if not WHOLE.fullmatch(whole):
        msg = "is not a whole number"
        raise ValueError(msg)
    return str(int(whole))  # archives write 1, and not 001


_NORMALISE = {"UI": _uids, "DA": _dates, "TM": _times, "IS": _whole}
