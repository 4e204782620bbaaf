"""Reads a result table from a CSV file that another program saved, with the types of dicomove's own columns.

A spreadsheet program writes in the style of its country: ``;`` between the cells, ``0,35``, ``WAHR``, ``05.11.2026
09:30``, Windows-1252. dicomove reads a clear value, and refuses an ambiguous one with its column and row. It never
guesses.
"""

from __future__ import annotations

import csv
import io
import re
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd

from dicomove import columns
from dicomove.cohort import VRS, damage, decode, doubt
from dicomove.columns import RESULT_COLUMNS
from dicomove.errors import CohortError, CohortWarning, warn

_DELIMITERS: Final = ",;\t|"
_SEPARATOR_LINE: Final = re.compile(r'\A"?sep=(.)"?[,;\t|]*(?:\r\n|\r|\n)', re.IGNORECASE)
#: Thousands, or three decimals; 0.125 has only decimals.
_GROUPED: Final = re.compile(r"[1-9][0-9]{0,2}(?:(?:\.[0-9]{3})+|(?:,[0-9]{3})+)")
_SHORT: Final = re.compile(r"[0-9]{1,3}")
#: Not 1.000 and 1,000, which may be a thousand.
_WHOLE: Final = re.compile(r"[+-]?[0-9]+(?:[.,](?!000\Z)0+)?")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")
_ISO: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ].*)?")
_DAY: Final = re.compile(
    r"(?P<first>[0-9]{1,2})(?P<mark>[./-])(?P<second>[0-9]{1,2})(?P=mark)(?P<year>[0-9]{4})"
    r"(?:[ ,T]+(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<seconds>[0-9]{2})(?:[.,](?P<rest>[0-9]{1,6}))?)?"
    r"(?: ?(?P<half>[AaPp][Mm]))?)?"
)
_TRUTH: Final = {
    **dict.fromkeys(("true", "wahr", "vrai", "verdadero", "vero", "1"), True),
    **dict.fromkeys(("false", "falsch", "faux", "falso", "0"), False),
}
_NAMED: Final = 10
# The csv module has one limit for the whole process.
_LIMIT: Final = threading.Lock()
_TEXT: Final = ("outcome", "status", "error", "advice", "error_comment", "failed_sop_instance_uids")
_TIMES: Final = ("started_at", "finished_at")
_TRUTHS: Final = ("resumed",)
_COUNTS: Final = frozenset(RESULT_COLUMNS) - {*_TEXT, *_TIMES, *_TRUTHS, "duration_s"}
_KINDS: Final = (
    dict.fromkeys(_COUNTS, "count")
    | dict.fromkeys(_TIMES, "time")
    | dict.fromkeys(_TRUTHS, "truth")
    | {"duration_s": "seconds"}
)

_Column = Sequence[str | None]


def read_cells(raw: bytes, known: Collection[str]) -> tuple[list[str], list[list[str | None]]]:
    """Return the header and the rows of a CSV file from any program.

    Parameters
    ----------
    raw
        The content of the file.
    known
        Headers that it may have: they reveal the delimiter.

    Raises
    ------
    CohortError
        The file is not CSV, or a line does not fit the header.
    """
    text = _decoded(raw)
    named = _SEPARATOR_LINE.match(text)
    delimiter = named[1] if named else _delimiter(text, frozenset(known))
    rows = _parsed(text[named.end() :] if named else text, delimiter, frozenset(known))
    if not rows:
        msg = "the file is empty"
        raise CohortError(msg)
    (_, header), *others = rows
    for line, row in others:
        if len(row) != len(header):
            msg = f"line {line} has {len(row)} fields, but the header has {len(header)}"
            raise CohortError(msg)
    return header, [[cell or None for cell in row] for _, row in others]


def _typed(header: Sequence[str], rows: Sequence[_Column], kinds: dict[str, str]) -> dict[int, pd.Series]:
    """Return columns of text, and dicomove's own columns with their types.

    Parameters
    ----------
    header
        The names of the columns.
    rows
        The cells.
    kinds
        The type of each of dicomove's columns: ``count``, ``time``, ``seconds`` or ``truth``.

    Raises
    ------
    CohortError
        A cell does not have this type, or is ambiguous. The message names its column and row.
    """
    said: list[str] = []
    made = {}
    for number, name in enumerate(header):
        cells = [row[number] for row in rows]
        kind = kinds.get(name)
        made[number] = _MAKERS[kind](cells, name, said) if kind else columns.text(cells)
        said += [] if kind else _damaged(cells, name)
    if said:
        warn(_sentence(said), CohortWarning)
    return made


def _sentence(said: Sequence[str]) -> str:
    more = f"; and {len(said) - _NAMED} more" if len(said) > _NAMED else ""
    return f"another program saved the file after the export: {'; '.join(said[:_NAMED])}{more}"


def _damaged(cells: _Column, name: str) -> list[str]:
    if name not in VRS:
        return []
    found = ((row, damage(cell, name) or doubt(cell, name)) for row, cell in enumerate(cells) if cell)
    return [f"row {row}, {name}: {problem}" for row, problem in found if problem]


def _decoded(raw: bytes) -> str:
    try:
        # `export` writes every text in this form.
        return raw.decode("utf-8", "surrogatepass").removeprefix("\ufeff") if b"\0" not in raw[:4096] else _foreign(raw)
    except UnicodeDecodeError:
        return _foreign(raw)


def _foreign(raw: bytes) -> str:
    return decode(raw, "utf-8-sig")[0]


def _delimiter(text: str, known: frozenset[str]) -> str:
    def names(delimiter: str) -> list[str]:
        line = re.split(r"[\r\n]", text, maxsplit=1)[0]
        return next(csv.reader([line], delimiter=delimiter), [])

    def score(delimiter: str) -> tuple[int, int]:
        found = names(delimiter)
        return sum(name.strip() in known for name in found), len(found)

    return max(_DELIMITERS, key=score)


def _parsed(text: str, delimiter: str, known: frozenset[str]) -> list[tuple[int, list[str]]]:
    with _LIMIT:
        before = csv.field_size_limit(sys.maxsize)
        try:
            return list(_rows(text, delimiter, known))
        except csv.Error as error:
            msg = f"the file is not valid CSV: {error}"
            raise CohortError(msg) from None
        finally:
            csv.field_size_limit(before)


def _rows(text: str, delimiter: str, known: frozenset[str]) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found: list[tuple[int, list[str]]] = []
    line = 1
    for row in reader:
        width = len(found[0][1]) if found else 0
        if len(row) == 1 and width != 1:
            row = _unwrapped(row[0], delimiter, known if not width else None)
        is_empty = not row or (row == [""] and bool(found) and len(found[0][1]) > 1)
        if not is_empty:
            found.append((line, row))
        line = reader.line_num + 1
    return found


def _unwrapped(cell: str, delimiter: str, known: frozenset[str] | None) -> list[str]:
    """Return the cells of a line that a spreadsheet with another delimiter kept in one cell."""
    inner = next(csv.reader([cell], delimiter=delimiter), [])
    return inner if known is None or known.intersection(inner) else [cell]


def _refused(name: str, row: int, why: str) -> CohortError:
    return CohortError(f"row {row}, {name}: {why}. Export the table again, or write the cell as `export` does")


def _counts(cells: _Column, name: str, said: list[str]) -> pd.Series:
    if mark := _thousands([cell.strip() for cell in cells if cell and cell.strip()]):
        first, written = next((row, cell) for row, cell in enumerate(cells) if cell and mark in cell)
        cells = [cell.replace(mark, "") if cell else cell for cell in cells]
        said.append(
            f"row {first}, {name}: {written.strip()} was read as {cells[first]}, since the column has thousands"
        )
    for row, cell in enumerate(cells):
        if cell and not _WHOLE.fullmatch(cell.strip()):
            may_be = ", or its mark may separate thousands" if _GROUPED.fullmatch(cell.strip()) else ""
            raise _refused(name, row, f"the cell is not a whole number{may_be}")
    return columns.counts([int(re.split("[.,]", cell)[0]) if cell else None for cell in cells])


def _thousands(cells: Sequence[str]) -> str:
    """Return the mark between thousands, if a cell of the column proves that it is one; else nothing.

    Counts have no fraction, so 1.234 is more than a thousand. 12.000 may have three decimals, even beside a 5.

    Examples
    --------
    >>> _thousands(["12.000", "1.234", "5"]), _thousands(["1,234"]), _thousands(["1.000.000"])
    ('.', ',', '.')
    >>> _thousands(["12.000", "5"]), _thousands(["1.234", "5.0"]), _thousands(["1.234", "4567"])
    ('', '', '')
    """
    grouped = [cell for cell in cells if _GROUPED.fullmatch(cell)]
    is_proved = any(not cell.endswith("000") or len(re.split("[.,]", cell)) > 2 for cell in grouped)
    marks = {mark for cell in grouped for mark in ".," if mark in cell}
    are_alike = len(marks) == 1 and all(_GROUPED.fullmatch(cell) or _SHORT.fullmatch(cell) for cell in cells)
    return "".join(marks) if is_proved and are_alike else ""


def _seconds(cells: _Column, name: str, _: list[str]) -> pd.Series:
    has_comma = any("," in (cell or "") for cell in cells)
    for row, cell in enumerate(cells):
        if cell and not _DECIMAL.fullmatch(cell.strip()):
            raise _refused(name, row, "the cell is not a number of seconds")
        if cell and has_comma and "." in cell:
            raise _refused(name, row, "its column has decimal commas, so a point may separate thousands")
    return columns.seconds([float(cell.replace(",", ".")) if cell else None for cell in cells])


def _truths(cells: _Column, name: str, _: list[str]) -> pd.Series:
    for row, cell in enumerate(cells):
        if cell and cell.strip().lower() not in _TRUTH:
            raise _refused(name, row, "the cell is not a truth value (True, False)")
    values = [_TRUTH[cell.strip().lower()] if cell else None for cell in cells]
    return pd.Series(pd.array(values, dtype="boolean" if None in values else "bool"))


def _times(cells: _Column, name: str, said: list[str]) -> pd.Series:
    others = {row: match for row, cell in enumerate(cells) if cell and (match := _DAY.fullmatch(cell.strip()))}
    day_first = _day_first(others, name) if others else True
    if others:
        order = "the day" if day_first else "the month"
        said.append(f"{name}: dates were read with {order} first, and as times in UTC")
    values = [_time(cell, others.get(row), name, row, day_first=day_first) for row, cell in enumerate(cells)]
    return columns.times(values)


def _day_first(found: dict[int, re.Match[str]], name: str) -> bool:
    """Tell whether the dates of a column begin with the day: with points they do, otherwise one date may reveal it."""
    if all(match["mark"] == "." for match in found.values()):
        return True
    is_day = any(int(match["first"]) > 12 for match in found.values())
    is_month = any(int(match["second"]) > 12 for match in found.values())
    if is_day == is_month:
        row = min(found)
        raise _refused(name, row, "the date is ambiguous: day and month cannot be told apart")
    return is_day


def _time(cell: str | None, other: re.Match[str] | None, name: str, row: int, *, day_first: bool) -> datetime | None:
    if not cell:
        return None
    try:
        if other:
            return _as_time(other, day_first=day_first)
        if _ISO.fullmatch(cell.strip()):
            stamp = pd.Timestamp(cell.strip())
            return (stamp.tz_localize(UTC) if stamp.tzinfo is None else stamp).to_pydatetime(warn=False)
    except (ValueError, OverflowError):
        pass
    raise _refused(name, row, "the cell is not a time (2026-11-05T09:30:00+00:00)")


def _as_time(match: re.Match[str], *, day_first: bool) -> datetime:
    day, month = (
        (int(match["first"]), int(match["second"])) if day_first else (int(match["second"]), int(match["first"]))
    )
    hour = int(match["hour"] or 0)
    if match["half"]:
        hour = hour % 12 + (12 if match["half"].lower() == "pm" else 0)
    rest = int((match["rest"] or "").ljust(6, "0"))
    return datetime(
        int(match["year"]), month, day, hour, int(match["minute"] or 0), int(match["seconds"] or 0), rest, tzinfo=UTC
    )


_MAKERS: Final[dict[str, Callable[[_Column, str, list[str]], Any]]] = {
    "count": _counts,
    "seconds": _seconds,
    "time": _times,
    "truth": _truths,
}


def typed_table(header: Sequence[str], rows: Sequence[Sequence[str | None]]) -> pd.DataFrame:
    """Return a table of text with the types of dicomove's own columns."""
    made = _typed(header, rows, _KINDS)
    table = pd.DataFrame(made, index=range(len(rows)))
    table.columns = pd.Index(header)
    # The first column is an index without a name.
    return table if all(header) else table.set_index(pd.Index(made[0], name=None)).iloc[:, 1:]
