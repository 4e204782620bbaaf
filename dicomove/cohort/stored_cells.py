"""From a stored cell of a file to the text in the table, with notes about damage."""

from __future__ import annotations

import datetime as dt
import re

import pandas as pd

from dicomove.cohort.damage import IDENTIFIERS, damage, doubt
from dicomove.cohort.files import Shown
from dicomove.cohort.keywords import VRS
from dicomove.cohort.number_formats import shown
from dicomove.cohort.values import EDGES, is_blank, is_number, text, whole_number

_WITH_ZEROS = re.compile(r"0[0-9]+")


def cell_text(cell: object, label: str) -> str:
    """Return a cell as text.

    Parameters
    ----------
    cell
        The cell, as the file stores it.
    label
        The label of its column. In the column of an attribute, a number becomes the text that the spreadsheet showed.

    Examples
    --------
    >>> cell_text(Shown(123, "000123"), "PatientID"), cell_text(dt.date(2024, 1, 5), "StudyDate")
    ('000123', '20240105')
    """
    if isinstance(cell, str):
        return cell.strip(EDGES)
    if is_blank(cell):
        return ""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace").strip(EDGES)
    if isinstance(cell, (dt.date, dt.time, dt.timedelta, pd.Period)):  # a datetime, too
        return _time_text(cell, label)
    value, seen = cell if isinstance(cell, Shown) else (cell, None)
    if _is_key(label):
        if seen is None and isinstance(value, float):
            seen = shown(value, "General")
        return seen or whole_number(value) or str(value)
    return seen if seen and _WITH_ZEROS.fullmatch(seen) else whole_number(value) or str(value)


def cell_problem(cell: object, written: str, label: str) -> str | None:
    """Say what is wrong with a cell, or may be wrong, or return None.

    Parameters
    ----------
    cell
        The cell, as the file stores it.
    written
        The text of the cell in the table.
    label
        The label of its column.
    """
    if not written:
        return None
    if isinstance(cell, (str, bytes)):
        return damage(written, label) or doubt(written, label)
    if not _is_identifier(label):
        return damage(written, label) if _is_key(label) else None
    if VRS[label] == "DA" and (isinstance(cell, (dt.date, pd.Period)) or (written.isdigit() and len(written) == 8)):
        return None
    if isinstance(cell, (dt.date, dt.time, dt.timedelta, bool)):
        kind = "truth value" if isinstance(cell, bool) else "date" if isinstance(cell, dt.date) else "time"
        return f"stored as a {kind}"
    return _number_problem(cell, written, label)


def _number_problem(cell: object, written: str, label: str) -> str | None:
    value = cell.value if isinstance(cell, Shown) else cell
    if not is_number(value):
        return damage(written, label) or f"stored as a {type(value).__name__}"
    if isinstance(value, (int, float)) and abs(value) >= 10**15 and not written.isdigit():
        return "stored as a number, digits after the 15th are lost"
    # A format with leading zeros shows the number as the user meant it.
    is_formatted = isinstance(cell, Shown) and written != (whole_number(value) or str(value)) and label in IDENTIFIERS
    happened = damage(written, label)
    if happened:
        return f"stored as a number, and shown with {happened}" if is_formatted else happened
    return None if is_formatted else "stored as a number, leading zeros may be lost"


def _time_text(cell: dt.date | dt.time | dt.timedelta | pd.Period, label: str) -> str:
    vr = VRS.get(label)
    if vr == "DA" and isinstance(cell, (dt.date, pd.Period)):
        return text(cell, label)
    if vr == "TM" and isinstance(cell, dt.datetime):
        return cell.time().isoformat()
    if isinstance(cell, dt.timedelta) and dt.timedelta() <= cell < dt.timedelta(days=1):
        return (dt.datetime.min + cell).time().isoformat()  # noqa: DTZ901 (a time of day has no zone)
    if isinstance(cell, dt.date):
        # A date instead of an identifier is damage. With its time, it is recognisable as a date.
        written = cell.isoformat().removesuffix("T00:00:00")
        return f"{cell.isoformat()[:10]} {cell.isoformat()[11:19] or '00:00:00'}" if _is_identifier(label) else written
    return str(cell)


def _is_key(label: str) -> bool:
    return VRS.get(label, "IS") != "IS"


def _is_identifier(label: str) -> bool:
    return VRS.get(label) in {"UI", "DA"} or label in IDENTIFIERS
