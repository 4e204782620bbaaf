"""Lines below a header that are not rows of the table: the header again, a line of dashes, the number of the rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from dicomove.cohort.header_rows import header_text
from dicomove.cohort.keywords import keyword
from dicomove.cohort.stored_cells import Grid, places
from dicomove.cohort.values import is_blank
from dicomove.errors import CohortError

#: Databases and Markdown draw a line below the header.
_RULER: Final = re.compile(r"(?=.*(?:--|==))[-=+:| ]+")
#: The last line that sqlcmd, psql and SQL*Plus write.
_COUNT: Final = re.compile(r"(?i)\(?[0-9,.]+ rows? ?(?:affected|selected|returned)?\)?\.?")


def without_other_lines(grid: Grid) -> tuple[Grid, list[str]]:
    """Return the grid, whose first row is the header, without lines that are not rows; and notes for the user.

    Raises
    ------
    CohortError
        A second table with another header follows.
    """
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
    return (_without(grid, left), notes) if left else (grid, [])


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
    return same > 0 and (same == len(filled) or same > 1)


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


def _without(grid: Grid, left: Collection[int]) -> Grid:
    kept = [place for place in range(len(grid.rows)) if place not in left]
    new = {place: number for number, place in enumerate(kept)}
    return replace(
        grid,
        rows=[grid.rows[place] for place in kept],
        lines=[grid.lines[place] for place in kept] if grid.lines else [],
        problems={(new[row], column): said for (row, column), said in grid.problems.items() if row in new},
        merged=frozenset((new[row], column) for row, column in grid.merged if row in new),
        hidden=frozenset(new[row] for row in grid.hidden if row in new),
    )
