"""The rows of a file as they are stored, and the text of each cell: of a number, as the spreadsheet shows it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import pandas as pd

from dicomove.cohort.damage import IDENTIFIERS, damage
from dicomove.cohort.doubts import doubt
from dicomove.cohort.keywords import VRS
from dicomove.cohort.values import EDGES, is_blank, is_number, text, whole_number, zone_of

NAMED = 10
"""The most places that one sentence names."""

_WITH_ZEROS = re.compile(r"0[0-9]+")

_UNKNOWN = "####"
"""The text for a number if its shown form is unknown."""

# Excel keeps 15 digits of a number. All further digits are lost.
_LARGEST = 10**15
_SECTION = re.compile(r'((?:"[^"]*"|\\.|[^;"\\])*)(?:;|$)')
_TOKEN = re.compile(r'"([^"]*)"|\\(.)|([_*]).|([0#?])|(.)', re.DOTALL)
_COLOUR_OR_LOCALE = re.compile(r"\[(?:[A-Za-z]+[0-9]*|\$[^\]]*)\]")
_DECIMALS = re.compile(r"\.([0#?]+)")
_PLAIN_NUMBER = re.compile(r"[#0?,]*[#0?](?:\.[0#?]+)?(?:E[+-]?0+)?%?")
# Between places, / is a fraction.
_LITERALS = frozenset("-+():!^&'~{}<>= ")


class Shown(NamedTuple):
    """A number of a spreadsheet, and how the spreadsheet shows it.

    Parameters
    ----------
    value
        The number.
    text
        The text that a person sees: ``000123`` for 123, ``1,234,567`` for 1234567, ``####`` if that is unknown.
    """

    value: object
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The rows of a text file, of a sheet or of a Parquet file, with the header among them.

    Parameters
    ----------
    rows
        The cells, as they are stored. Rows of a text file may differ in length.
    lines
        The line of each row in the file, from 1; empty for a file without lines.
    name
        The name of the sheet.
    is_hidden
        Whether the spreadsheet hides the sheet.
    problems
        Problems of single cells, by row and column.
    merged
        The cells that were filled from the first one of merged cells, by row and column.
    hidden
        The rows that the spreadsheet hides.
    blank_is_unknown
        Whether a cell that looks empty may be an error, or a formula without its result.
    notes
        Sentences about the file, for the user.
    """

    rows: list[list[object]]
    lines: list[int] = field(default_factory=list)
    name: str | None = None
    is_hidden: bool = False
    problems: dict[tuple[int, int], str] = field(default_factory=dict)
    merged: frozenset[tuple[int, int]] = frozenset()
    hidden: frozenset[int] = frozenset()
    blank_is_unknown: bool = False
    notes: list[str] = field(default_factory=list)

    def only(self, rows: Sequence[int]) -> Grid:
        """Return the grid with only these rows."""
        new = {row: number for number, row in enumerate(rows)}
        return replace(
            self,
            rows=[self.rows[row] for row in rows],
            lines=[self.lines[row] for row in rows] if self.lines else [],
            problems={(new[row], column): said for (row, column), said in self.problems.items() if row in new},
            merged=frozenset((new[row], column) for row, column in self.merged if row in new),
            hidden=frozenset(new[row] for row in self.hidden if row in new),
        )


def places(lines: Sequence[int]) -> str:
    """Return lines as text for a message, at most ten of them.

    Examples
    --------
    >>> places([3]), places([3, 4, 7])
    ('line 3', 'lines 3, 4, 7')
    """
    named = ", ".join(map(str, lines[:NAMED]))
    more = f", and {len(lines) - NAMED} more" if len(lines) > NAMED else ""
    return f"{'line' if len(lines) == 1 else 'lines'} {named}{more}"


class Range(NamedTuple):
    """Merged cells: the first and the last line and column, from 1."""

    first_line: int
    last_line: int
    first_column: int
    last_column: int


@dataclass(slots=True)
class Cells:
    """The cells of a sheet while it is read, by line and column, from 1."""

    values: dict[tuple[int, int], object] = field(default_factory=dict)
    problems: dict[tuple[int, int], str] = field(default_factory=dict)
    merged: list[Range] = field(default_factory=list)
    hidden: set[int] = field(default_factory=set)

    def as_grid(self, name: str, *, is_hidden: bool, blank_is_unknown: bool = False) -> Grid:
        """Return the rows that are not empty, with merged cells filled from their first one."""
        filled = dict(_fillings(self.values, self.merged))
        values = self.values | filled
        taken = {place: value for place, value in values.items() if not is_blank(value)}
        lines = sorted({line for line, _ in taken})
        width = max((column for _, column in taken), default=0)
        row_of = {line: row for row, line in enumerate(lines)}
        return Grid(
            name=name,
            is_hidden=is_hidden,
            blank_is_unknown=blank_is_unknown,
            lines=lines,
            rows=[[values.get((line, column), "") for column in range(1, width + 1)] for line in lines],
            problems={(row_of[line], column - 1): said for (line, column), said in self.problems.items()},
            merged=frozenset((row_of[line], column - 1) for line, column in filled),
            hidden=frozenset(row_of[line] for line in self.hidden if line in row_of),
        )


def _fillings(
    values: dict[tuple[int, int], object], merged: Sequence[Range]
) -> Iterable[tuple[tuple[int, int], object]]:
    last = max((line for (line, _), value in values.items() if not is_blank(value)), default=0)
    for area in merged:
        first = values.get((area.first_line, area.first_column))
        if is_blank(first):
            continue
        # Whole columns may be merged, but a sheet ends at its last cell.
        for line in range(area.first_line, max(min(area.last_line, last), area.first_line) + 1):
            for column in range(area.first_column, area.last_column + 1):
                if (line, column) != (area.first_line, area.first_column):
                    yield (line, column), first


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
        zone = zone_of(cell)
        return f"a moment in the time zone {zone}: its day there was taken" if zone else doubt(written, label)
    if isinstance(cell, (dt.date, dt.time, dt.timedelta, bool)):
        kind = "truth value" if isinstance(cell, bool) else "date" if isinstance(cell, dt.date) else "time"
        return f"stored as a {kind}"
    return _number_problem(cell, written, label)


def _number_problem(cell: object, written: str, label: str) -> str | None:
    value = cell.value if isinstance(cell, Shown) else cell
    if not is_number(value):
        return damage(written, label) or f"stored as a {type(value).__name__}"
    if isinstance(value, (int, float)) and abs(value) >= _LARGEST and not written.isdigit():
        return "stored as a number, digits after the 15th are lost"
    # A format with leading zeros shows the number as the user meant it.
    is_formatted = isinstance(cell, Shown) and written != (whole_number(value) or str(value)) and label in IDENTIFIERS
    happened = damage(written, label)
    if happened:
        return f"stored as a number, and shown with {happened}" if is_formatted else happened
    return doubt(written, label) if is_formatted else "stored as a number, leading zeros may be lost"


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


def shown(value: float, number_format: str) -> str:
    r"""Return a number as the spreadsheet shows it, or ``####`` if that is unknown.

    Parameters
    ----------
    value
        The number.
    number_format
        The format, as a spreadsheet stores it.

    Examples
    --------
    >>> shown(123, "000000"), shown(1234567, "#,##0"), shown(123, '"MRN-"0000'), shown(0.5, "# ?/?")
    ('000123', '1,234,567', 'MRN-0123', '####')
    """
    if abs(value) >= _LARGEST:
        return f"{value:.14E}"
    section = _section(value, _COLOUR_OR_LOCALE.sub("", number_format))
    if section.lower() in {"general", "standard", "@"}:
        return _general(value)
    # Blanks with the width of a character, and fillings, do not count as text.
    plain = re.sub(r"[_*].", "", section).strip()
    if _PLAIN_NUMBER.fullmatch(plain) and set(plain) - set("0#?"):
        return _number(value, plain)
    return _pattern(value, section)


def _section(value: float, number_format: str) -> str:
    """Return the section for a positive number, a negative one or zero; the first one if theirs is absent."""
    sections: list[str] = _SECTION.findall(number_format)
    place = 1 if value < 0 else 2 if value == 0 else 0
    return (sections[place] if place < len(sections) else "") or sections[0]


def _general(value: float) -> str:
    if isinstance(value, int) or value.is_integer():
        return str(int(value))
    return repr(value)


def _number(value: float, plain: str) -> str:
    decimals = _DECIMALS.search(plain)
    digits = len(decimals[1]) if decimals else 0
    if plain.endswith("%"):
        return f"{100 * value:.{digits}f}%"
    if "E" in plain:
        return f"{value:.{digits}E}"
    return f"{value:,.{digits}f}" if "," in plain else f"{value:.{digits}f}"


def _pattern(value: float, section: str) -> str:
    """Return the digits in the places of the format, with the text between them."""
    parts: list[str | None] = []  # None is a place for a digit
    zeros = 0
    for quoted, escaped, width, place, other in _TOKEN.findall(section):
        if place:
            parts.append(None)
            zeros += place == "0"
        elif other and other not in _LITERALS:
            return _UNKNOWN
        elif not width:
            parts.append(quoted or escaped or other)
    if None not in parts or value < 0:
        return _UNKNOWN
    return _placed(parts, f"{value:.0f}".lstrip("0").zfill(zeros))


def _placed(parts: list[str | None], digits: str) -> str:
    places = parts.count(None)
    # Digits without their own place go to the first place.
    first = max(len(digits) - places, 0)
    fitted = [digits[: first + 1], *digits[first + 1 :]]
    following = iter([""] * (places - len(fitted)) + fitted)
    return "".join(next(following) if part is None else part for part in parts)
