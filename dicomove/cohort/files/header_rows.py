"""Finds the header of a file, the DICOM keyword of each of its cells, and lines below it that are not rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from dicomove.cohort.files.stored_cells import NAMED, Grid, Shown, places
from dicomove.cohort.keywords import KEYWORDS, keyword, keyword_columns
from dicomove.cohort.values import EDGES, is_blank
from dicomove.errors import CohortError

Columns = Mapping[str | int, str] | Sequence[str]
"""The user's `columns=`: the keyword of each header, or the names of all columns of a file without a header."""

_SEARCHED: Final = 40
_DATA: Final = re.compile(
    r"[0-2](?:\.[0-9]+){3,}"  # a UID
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{2,4}"  # a date
    r"|[-+]?[0-9]{2,}(?:[.,][0-9]+)*(?:[eE]\+[0-9]+)?"  # a number
)
_SAME_DIGITS: Final = str.maketrans("123456789", "000000000")
_EXACT: Final = {name.lower(): name for name in KEYWORDS}
#: Databases and Markdown draw a line below the header.
_RULER: Final = re.compile(r"(?=.*(?:--|==))[-=+:| ]+")
#: The last line that sqlcmd, psql and SQL*Plus write.
_COUNT: Final = re.compile(r"(?i)\(?[0-9,.]+ rows? ?(?:affected|selected|returned)?\)?\.?")


def header_text(cell: object) -> str:
    r"""Return a header on one line.

    Examples
    --------
    >>> header_text(" Accession\nNumber "), header_text(None)
    ('Accession Number', '')
    """
    if is_blank(cell):
        return ""
    text = cell.text if isinstance(cell, Shown) else str(cell)
    return " ".join(text.strip(EDGES).split())


def _count_keywords(row: Sequence[object], wanted: Collection[str]) -> int:
    """Return how many cells of a row are known headers."""
    return sum(bool(keyword(text) or text in wanted) for text in map(header_text, row) if text)


def wanted_headers(columns: Columns | None) -> frozenset[str]:
    """Return the headers that the user named."""
    names = columns if isinstance(columns, Mapping) else ()
    return frozenset(header_text(name) for name in names if isinstance(name, str))


def _best_row(grid: Grid, wanted: Collection[str]) -> tuple[int, int]:
    """Return the first row with the most known headers, and how many it has."""
    scores = [_count_keywords(row, wanted) for row in grid.rows[:_SEARCHED]] or [0]
    most = max(scores)
    return scores.index(most), most


def header_row(grid: Grid, header: int | None, wanted: Collection[str]) -> int:
    """Return the row that is the header.

    Parameters
    ----------
    grid
        The rows.
    header
        The line of the header, from 0, if the user gives it; None searches for it.
    wanted
        Further headers that count as known, from ``columns=``.

    Raises
    ------
    CohortError
        There is no header, or several rows may be the header.
    """
    if not grid.rows:
        msg = "the file is empty: there is no header"
        raise CohortError(msg)
    if header is not None:
        return _given_row(grid, header, wanted)
    best, most = _best_row(grid, wanted)
    if most:
        _check_above(grid, best)
        _check_below(grid, best)
        return best
    first = next((row for row in range(min(len(grid.rows), _SEARCHED)) if _filled(grid.rows[row]) > 1), 0)
    _check_no_data(grid, first)
    return first


def _given_row(grid: Grid, header: int, wanted: Collection[str]) -> int:
    row = grid.lines.index(header + 1) if header + 1 in grid.lines else None
    best, most = _best_row(grid, wanted)
    if row is None or (most and not _count_keywords(grid.rows[row], wanted)):
        other = f"; line {grid.lines[best]} has known headers: header={grid.lines[best] - 1}" if most else ""
        what = "does not exist or is empty" if row is None else "has no known header"
        msg = f"header={header} is line {header + 1}, because header counts from 0: this line {what}{other}"
        raise CohortError(msg)
    return row


def _filled(row: Sequence[object]) -> int:
    # Merged cells are one title.
    return len({text for text in map(header_text, row) if text})


def _check_above(grid: Grid, row: int) -> None:
    if row and grid.lines[row] > grid.lines[row - 1] + 1:
        return  # an empty line ends a title above a table
    as_full = [above for above in range(row) if _filled(grid.rows[above]) >= max(2, _filled(grid.rows[row]))]
    if as_full:
        line, other = grid.lines[row], grid.lines[as_full[0]]
        msg = (
            f"line {line} has a known header, and line {other} looks like a header, too: "
            f"header={other - 1} takes line {other} (columns= says what its headers mean), "
            f"header={line - 1} line {line}"
        )
        raise CohortError(msg)


def _check_below(grid: Grid, row: int) -> None:
    if row + 1 >= len(grid.rows):
        return
    names, below = grid.rows[row], list(map(header_text, grid.rows[row + 1]))
    is_second = any(keyword(text) and not keyword(header_text(name)) for name, text in zip(names, below, strict=False))
    if is_second and not any(map(_has_digit, below)):
        lines = f"{grid.lines[row]} and {grid.lines[row + 1]}"
        msg = f"lines {lines} look like a header of two rows: join them into one row, with a name for each column"
        raise CohortError(msg)


def _check_no_data(grid: Grid, row: int) -> None:
    names = list(map(header_text, grid.rows[row]))
    below = list(map(header_text, grid.rows[row + 1])) if row + 1 < len(grid.rows) else []
    is_alike = any(_shape(name) == _shape(text) and _has_digit(name) for name, text in zip(names, below, strict=False))
    if is_alike or any(map(_DATA.fullmatch, names)):
        line = grid.lines[row]
        msg = (
            f"line {line} should be the header, but looks like data (a UID, a date, a number). If there is no header, "
            f'columns=["PatientID", ...] names the columns in their order; header={line - 1} makes the line the header'
        )
        raise CohortError(msg)


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _shape(text: str) -> str:
    return text.translate(_SAME_DIGITS)


def has_no_header(grid: Grid, columns: Columns | None) -> bool:
    """Tell whether the user names all columns of a file without a header."""
    if isinstance(columns, Mapping):
        positions = bool(columns) and all(isinstance(name, int) for name in columns)
        first = map(header_text, grid.rows[0]) if grid.rows else ()
        return positions and _best_row(grid, ())[1] == 0 and any(map(_DATA.fullmatch, first))
    return columns is not None


def labels(headers: Sequence[object], columns: Columns | None) -> tuple[list[str], list[str]]:
    """Return the labels of the table, and notes about them for the user.

    Parameters
    ----------
    headers
        The cells of the header.
    columns
        The keyword of each header, from the user.

    Raises
    ------
    CohortError
        A header is absent or repeated, a keyword is unknown, or two columns are the same attribute.
    """
    found = [header_text(header) for header in headers]
    mapped = _mapped(found, columns) if isinstance(columns, Mapping) else {}
    notes = []
    for position, name in enumerate(found):
        exact = _EXACT.get(name.lower())
        if position not in mapped and exact in mapped.values():
            found[position] = f"{name}_cohort"
            notes.append(f"the column {name!r} stays yours, as {found[position]!r}: columns= names another one")
    for position, name in mapped.items():
        found[position] = name
    for name, position in keyword_columns(found).items():
        found[position] = name
    return found, notes


def _mapped(found: Sequence[str], columns: Mapping[str | int, str]) -> dict[int, str]:
    mapped: dict[int, str] = {}
    for header, name in columns.items():
        known = _EXACT.get(str(name).lower())
        if known is None:
            msg = f"columns={{{header!r}: {name!r}}}: {name!r} is not one of the keywords {', '.join(KEYWORDS)}"
            raise CohortError(msg)
        position = _position(found, header)
        if known in mapped.values() or position in mapped:
            msg = f"columns= names {known} twice, or two keywords for {header!r}: give one column for each"
            raise CohortError(msg)
        mapped[position] = known
    return mapped


def _position(found: Sequence[str], header: str | int) -> int:
    if isinstance(header, int):
        places_of = [header] if 0 <= header < len(found) else []
    else:
        name = header_text(header)
        places_of = [place for place, other in enumerate(found) if other == name]
        places_of = places_of or [place for place, other in enumerate(found) if other.casefold() == name.casefold()]
    if len(places_of) != 1:
        seen = ", ".join(map(repr, filter(None, found)))
        what = "does not exist" if not places_of else "occurs more than once (give its position, from 0)"
        msg = f"columns=: the header {header!r} {what}; the headers are {seen}"
        raise CohortError(msg)
    return places_of[0]


def choose_sheet(grids: Sequence[Grid], sheet: int | str | None, wanted: Collection[str]) -> tuple[Grid, list[str]]:
    """Return the sheet that holds the table, and notes about the choice for the user.

    Parameters
    ----------
    grids
        The sheets.
    sheet
        The sheet that the user names, by position or name; None searches for it.
    wanted
        Further headers that count as known, from ``columns=``.

    Raises
    ------
    CohortError
        There is no such sheet, or several sheets are possible.
    """
    names = ", ".join(repr(grid.name) for grid in grids[:NAMED])
    if sheet is not None:
        chosen = [grid for place, grid in enumerate(grids) if sheet in (place, grid.name)]
        if grids and grids[0].name is None:
            msg = "sheet= is for spreadsheets only, and this file is not a spreadsheet"
            raise CohortError(msg)
        if isinstance(sheet, bool) or not chosen:
            msg = f"there is no sheet {sheet!r}; the sheets are {names}"
            raise CohortError(msg)
        return chosen[0], []
    visible = [grid for grid in grids if not grid.is_hidden] or list(grids)
    known = [grid for grid in visible if _best_row(grid, wanted)[1]]
    first = next(iter(visible), None)
    if first is None:
        msg = "the file is empty: there is no header"
        raise CohortError(msg)
    if first in known or not known:
        others = [repr(grid.name) for grid in known if grid is not first and len(grid.rows) > 1]
        said = (
            f"only the sheet {first.name!r} was read; {', '.join(others)} may be cohorts, too: choose one with sheet="
        )
        return first, [said] if others else []
    if len(known) > 1:
        msg = (
            f"the first sheet has no known header, and several others have one "
            f"({', '.join(repr(grid.name) for grid in known)}): choose one with sheet="
        )
        raise CohortError(msg)
    return known[0], [f"the sheet {known[0].name!r} was read, because the first one has no known header"]


def left_out(grid: Grid, row: int) -> list[str]:
    """Return a sentence about the lines above the header, if there are any."""
    if not row:
        return []
    return [f"the header is on line {grid.lines[row]}; the lines above it were left out: {places(grid.lines[:row])}"]


def without_other_lines(grid: Grid) -> tuple[Grid, list[str]]:
    """Return the grid without lines below its header that are not rows of the table, and notes for the user."""
    names = [keyword(header_text(cell)) or "" for cell in grid.rows[0]] if grid.rows else []
    keys = [place for place, name in enumerate(names) if name]
    last = len(grid.rows) - 1
    again = [place for place in range(1, last + 1) if _is_header_again(names, keys, grid, place)]
    found = {
        "the header again": again,
        "a line of dashes": [1] if last and _is_ruler(grid.rows[1]) else [],
        "the number of rows": [last] if last > 1 and _is_count(grid.rows[last]) else [],
    }
    left = {place for some in found.values() for place in some}
    notes = [f"{what} was left out: {_places(grid, some)}" for what, some in found.items() if some]
    return (grid.only([place for place in range(last + 1) if place not in left]), notes) if left else (grid, [])


def _is_header_again(names: Sequence[str], keys: Sequence[int], grid: Grid, place: int) -> bool:
    row = grid.rows[place]
    filled = [column for column in keys if column < len(row) and not is_blank(row[column])]
    # `_word` first excludes numbers and short codes, which are most cells of most rows: this is fast.
    words = [(names[column], word) for column in filled if (word := _word(row[column]))]
    if not words:
        return False
    same = sum(name == word for name, word in words)
    if len(words) - same > 1:
        msg = (
            f"{_places(grid, [place])} looks like the header of another table "
            f"({', '.join(word for _, word in words)}): put each table into a file, or a sheet, of its own"
        )
        raise CohortError(msg)
    # One of several cells may by chance hold the word for its column.
    return same == len(filled) or same > 1


def _word(cell: object) -> str | None:
    """Return the keyword that a cell contains as its text, or None."""
    is_word = isinstance(cell, str) and cell[:1].isalpha() and len(cell) > 2 and "^" not in cell
    return keyword(header_text(cell)) if is_word else None


def _is_ruler(row: Sequence[object]) -> bool:
    filled = [text for text in map(header_text, row) if text]
    return bool(filled) and all(map(_RULER.fullmatch, filled))


def _is_count(row: Sequence[object]) -> bool:
    first, *others = map(header_text, row)
    return _COUNT.fullmatch(first) is not None and not any(others)


def _places(grid: Grid, rows: Sequence[int]) -> str:
    return places([grid.lines[row] if grid.lines else row for row in rows])
