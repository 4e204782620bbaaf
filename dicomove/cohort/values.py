"""One cell of a table, as text."""

from __future__ import annotations

import datetime as dt
import math
import numbers
import re
import unicodedata
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from pydicom.valuerep import PersonName

from dicomove.cohort.keywords import VRS
from dicomove.errors import IdentifierError

# DICOM pads with blanks and NULs; cells pasted from web pages contain zero-width characters.
EDGES = "".join(character for character in map(chr, range(0x3001)) if character.isspace()) + "\0\u200b\u2800\ufeff"
"""The characters that are stripped from both ends of a cell."""

# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt, which Python's data lack, and the marks of
# annotations. Other format characters (category Cf) are visible, for example the Arabic number sign.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""The characters that are invisible everywhere."""

_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
# RFC 3061: a UID as a URN. Some databases write UIDs in this form, or in a part of it.
_URN = re.compile(r"\A(?:urn:)?oid:\s*", re.IGNORECASE)
# Programs that store a date as a point in time write it with a time. With a time zone, only midnight is clear: the day
# of another time may differ elsewhere.
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})[T ]"
    r"(?:(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?"
    r"|0?0:00(?::00(?:[.,]0+)?)? ?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))"
)
# Half of a character cannot be sent: pydicom puts "?" in its place, which matches any character.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def is_blank(value: object) -> bool:
    r"""Tell whether a cell is blank: None, NaN, NA, NaT, or text without visible characters.

    Examples
    --------
    >>> is_blank(float("nan")), is_blank(" \0"), is_blank("\u200e"), is_blank(0)
    (True, True, True, False)
    """
    if isinstance(value, (str, PersonName)):
        found = str(value).strip(EDGES)
        return not (found.isascii() and found) and not INVISIBLE.sub("", found).strip(EDGES)
    cell: Any = value
    return value is None or (pd.api.types.is_scalar(cell) and bool(pd.isna(cell)))


def text_unless_blank(value: object) -> str | None:
    """Return a cell as text without the padding around it; ``None`` if it is blank."""
    return None if is_blank(value) else str(value).strip(EDGES)


def is_number(value: object) -> bool:
    """Tell whether a cell holds a number, or a truth value, instead of text."""
    return isinstance(value, (numbers.Number, np.bool_))


def text(value: object, column: str) -> str:
    """Return a cell that is not blank as text, without the padding around it.

    Parameters
    ----------
    value
        Text. For a date attribute also a date, the number 20240105, or a period, which means all its days; for a time
        attribute also a time; for a number attribute also a whole number. A date as text loses its time, unless that
        has a time zone and is not midnight.
    column
        The keyword of the attribute.

    Raises
    ------
    IdentifierError
        The cell has another type. A number instead of an identifier has already lost its zeros.

    Examples
    --------
    >>> text(" 000123 ", "AccessionNumber"), text(dt.date(2024, 1, 5), "StudyDate"), text(3.0, "SeriesNumber")
    ('000123', '20240105', '3')
    """
    vr = VRS.get(column)
    if isinstance(value, (str, PersonName)):
        found = str(value).strip(EDGES)
        moment = _MOMENT.fullmatch(found) if vr == "DA" else None
        return moment[1] if moment else _URN.sub("", found) if vr == "UI" else found
    written = _date_text(value) if vr == "DA" else _time_text(value) if vr == "TM" else None
    if written is None and vr in ("IS", "DA"):  # the digits of a day have no zero that could be lost
        written = whole_number(value)
    if written is not None:
        return written
    if is_number(value) and not isinstance(value, (np.datetime64, np.timedelta64)):
        msg = f"{column} is a number, but identifiers are text: read with dtype=str, or dicomove.read_cohort"
        raise IdentifierError(msg, column=column)
    hint = ' (.str.decode("utf-8") converts a column of bytes to text)' if isinstance(value, bytes) else ""
    msg = f"{column} has the type {type(value).__name__}: write one value as text{hint}"
    raise IdentifierError(msg, column=column)


def zone_of(value: object) -> str | None:
    """Return the time zone of a moment, unless it is midnight there: in another zone, its day may be another one.

    Examples
    --------
    >>> zone_of(pd.Timestamp("2024-01-04 23:00", tz="UTC")), zone_of(pd.Timestamp("2024-01-05", tz="UTC"))
    ('UTC', None)
    """
    if not isinstance(value, dt.datetime) or value.tzinfo is None or value.time() == dt.time():
        return None
    return value.tzname() or str(value.tzinfo)


def _date_text(value: object) -> str | None:
    """Return a date in DICOM's form, and a period as the range of its days."""
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, pd.Period):
        days = [f"{day.year:04}{day.month:02}{day.day:02}" for day in (value.start_time, value.end_time)]
        return "-".join(dict.fromkeys(days))
    if isinstance(value, dt.date):
        return f"{value.year:04}{value.month:02}{value.day:02}"
    return None


def _time_text(value: object) -> str | None:
    """Return a time of day in DICOM's form. A time span of less than a day counts from midnight."""
    if isinstance(value, (np.timedelta64, pd.Timedelta)):
        # pandas 2.2.0 adds a Timedelta that does not count nanoseconds as if it were zero.
        value = pd.Timedelta(value).to_pytimedelta()
    if isinstance(value, dt.timedelta) and dt.timedelta() <= value < dt.timedelta(days=1):
        value = (dt.datetime.min + value).time()  # noqa: DTZ901 (a time of day has no zone)
    return value.strftime("%H%M%S") if isinstance(value, dt.time) else None


def whole_number(value: object) -> str | None:
    """Return the digits of a whole number of any type, or None.

    Examples
    --------
    >>> whole_number(3.0), whole_number(3.5), whole_number(True)
    ('3', None, None)
    """
    if isinstance(value, (bool, np.bool_)):
        return None
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, (float, np.floating, Decimal)) and math.isfinite(value) and int(value) == value:
        return str(int(value))
    return None


def plain_text(value: object) -> str:
    """Return any cell as text for a name: empty if it is blank; a whole number without a point, a day without a time.

    The same letter may be one character or two (Unicode's normal forms): it becomes one.

    Examples
    --------
    >>> plain_text(3.0), plain_text(float("nan")), plain_text(" 01"), plain_text(pd.Timestamp("2026-11-26"))
    ('3', '', '01', '2026-11-26')
    """
    if is_blank(value):
        return ""
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        value = value.date()
    return whole_number(value) or unicodedata.normalize("NFC", str(value).strip(EDGES))


def is_uid(value: str) -> bool:
    """Tell whether a text is a valid typed UID: digits and dots, at most 64 characters, without an empty component.

    PS3.5 9.1 forbids leading zeros in a component, but archives contain such UIDs, and return them unchanged.

    Examples
    --------
    >>> is_uid("1.2.840.10008.1.1"), is_uid("1.2.03"), is_uid("1.2..3"), is_uid("1.2.*")
    (True, True, False, False)
    """
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def given_key(value: object, column: str) -> str:
    """Return a unique key exactly as the PACS gave it.

    Parameters
    ----------
    value
        The cell of a table from `find`.
    column
        The keyword of the attribute.

    Raises
    ------
    IdentifierError
        The value could mean several entities, or none: it is empty, or holds a wildcard, a list or a control character.
        Or a UID is not ASCII, or the cell is not text: the user changed it.

    Examples
    --------
    >>> given_key("1.2.840.05453119.1", "StudyInstanceUID")
    '1.2.840.05453119.1'
    """
    found = value.strip(EDGES) if isinstance(value, str) else text(value, column)
    problem = unsafe(found, column)
    if problem:
        msg = f"{column} {problem}, as the PACS gave it"
        raise IdentifierError(msg, column=column)
    return found


def unsafe(value: str, column: str) -> str | None:
    """Say why a value must not be sent as this unique key, or return None.

    Examples
    --------
    >>> unsafe("1.2.*", "StudyInstanceUID"), unsafe("", "PatientID"), unsafe("Ä1", "PatientID")
    ('holds a wildcard', 'is empty', None)
    """
    if not value:
        return "is empty"
    if not {"*", "?"}.isdisjoint(value):
        return "holds a wildcard"
    if "\\" in value:
        return "holds a backslash, which separates values"
    if VRS.get(column) == "UI" and not value.isascii():
        return "holds characters that a UID cannot have"
    return "holds control characters" if has_control_characters(value) else None


def unreadable(error: IdentifierError, unique: str) -> IdentifierError:
    """Return the error for a key that cannot be read, and so cannot be compared with the answers of the PACS.

    Parameters
    ----------
    error
        The error from reading it.
    unique
        The keyword of the unique key of the row.

    Examples
    --------
    >>> unreadable(IdentifierError("PatientID is a number"), "StudyInstanceUID")
    IdentifierError('PatientID is a number. Leave the cell blank to rely on StudyInstanceUID alone')
    """
    msg = f"{str(error).rstrip('.')}. Leave the cell blank to rely on {unique} alone"
    return IdentifierError(msg, column=error.column)


def has_control_characters(value: str) -> bool:
    """Tell whether a text contains control characters, which identifiers must not have: line breaks, tabs, escapes.

    Half of a character counts as one: it comes from a text that was cut, or that was read in a wrong encoding.
    """
    return _CONTROL.search(value) is not None
