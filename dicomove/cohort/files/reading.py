"""Reads a table with every identifier exactly as written.

By default, spreadsheets and pandas change identifiers: ``000123`` becomes 123, the accession number ``0001E5`` becomes
100000, and an accession number with 20 digits keeps only 15.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import pandas as pd

from dicomove.cohort.damage import SHORT_LINE, UNKNOWN_CELL
from dicomove.cohort.files.header_rows import (
    Columns,
    choose_sheet,
    has_no_header,
    header_row,
    labels,
    left_out,
    wanted_headers,
    without_other_lines,
)
from dicomove.cohort.files.parquet_files import SUFFIXES as PARQUET, read_parquet
from dicomove.cohort.files.spreadsheets import is_spreadsheet, read_spreadsheet
from dicomove.cohort.files.stored_cells import NAMED, Grid, cell_problem, cell_text, places
from dicomove.cohort.files.text_files import read_text
from dicomove.cohort.keywords import VRS
from dicomove.cohort.values import is_blank
from dicomove.errors import CohortError, CohortWarning, warn
from dicomove.files import user_path

_TEXT = (".csv", ".tsv", ".txt")
_SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")

_DAMAGED: Final = "some cells were already damaged in the file, or may be, and stay unchanged"
_SHORT: Final = (
    "lines have too few fields, and their keys are unknown (is a cell with a line break not quoted, does only the "
    "header end with a delimiter, or is it a remark below the table?)"
)
_MERGED: Final = "merged cells were filled from their first cell"


def read_cohort(
    path: str | os.PathLike[str],
    *,
    columns: Columns | None = None,
    sheet: int | str | None = None,
    header: int | None = None,
    encoding: str = "utf-8-sig",
) -> pd.DataFrame:
    """Read a table with every cell as text: leading zeros and UIDs stay unchanged.

    Only an empty cell is ``""`` (``NULL`` and ``NA`` are text). Blanks around cells are removed, and headers that stand
    for a DICOM attribute become its keyword. If a cell does not hold the value that a person saw, a warning names it,
    and dicomove does not repair it: if the cell is a key, its row is invalid.

    Parameters
    ----------
    path
        A file of type .csv (``,`` ``;`` ``|`` or tab), .tsv, .txt, .parquet, .xlsx, .xlsm, .xlsb, .xls or .ods, or a
        folder of Parquet files.
    columns
        The keywords of unknown headers: ``{"Auftragsnummer": "AccessionNumber"}``. You can also name a header by its
        position, from 0. For a file without a header, a list of the names of all columns, in their order.
    sheet
        The sheet of a spreadsheet, by position or name. By default the first sheet, or the only one with known headers.
    header
        The line of the header, from 0 as in pandas: 1 is the second line of the file. By default, `read_cohort`
        searches for the header, and skips the lines above it with a warning.
    encoding
        The encoding of a text file. By default UTF-8 or UTF-16; other text is read as Windows-1252, with a warning.

    Raises
    ------
    CohortError
        The file has no table or several, its header was not found, or two of its columns are the same attribute.
    ImportError
        An optional package for this type of file is not installed.

    Warns
    -----
    CohortWarning
        Cells are damaged, merged cells were filled, or `read_cohort` had to guess.
    """
    wanted = wanted_headers(columns)
    grid, notes = choose_sheet(_read(user_path(path), encoding, wanted), sheet, wanted)
    grid, said = _with_header(grid, columns, header, wanted)
    grid, other_lines = without_other_lines(grid)
    table, reports = _table(grid, columns)
    for note in [*grid.notes, *notes, *said, *other_lines, *reports]:
        warn(note, CohortWarning)
    return table


def _read(path: Path, encoding: str, wanted: frozenset[str]) -> list[Grid]:
    suffix = path.suffix.lower()
    if path.is_dir() and suffix not in _TEXT:
        return [read_parquet(path)]
    if suffix not in (*_TEXT, *_SPREADSHEETS, *PARQUET):
        msg = f"unknown file type {suffix or '(none)'}: give one of .csv, .tsv, .txt, .parquet, .xlsx, .xls, .ods"
        raise CohortError(msg)
    if path.is_dir():
        msg = f"{path.name!r} is a folder, not a file: give the path of the file in it"
        raise CohortError(msg)
    if suffix in PARQUET:
        return [read_parquet(path)]
    raw = path.read_bytes()
    if suffix in _SPREADSHEETS or is_spreadsheet(raw):
        return read_spreadsheet(raw)
    return [read_text(raw, suffix, encoding, wanted)]


def _with_header(
    grid: Grid, columns: Columns | None, header: int | None, wanted: frozenset[str]
) -> tuple[Grid, list[str]]:
    """Return the grid with its header as the first row."""
    if isinstance(columns, str):
        msg = 'columns= is a dictionary ({"Auftragsnummer": "AccessionNumber"}), or a list of names'
        raise CohortError(msg)
    if has_no_header(grid, columns) and header is None:
        return _named(grid, columns), []
    row = header_row(grid, header, wanted) if grid.lines or not grid.rows else 0
    return _from_header(grid, row), left_out(grid, row)


def _named(grid: Grid, columns: Columns | None) -> Grid:
    width = max(map(len, grid.rows), default=0)
    names: list[object] = [""] * width if columns is None or isinstance(columns, Mapping) else list(columns)
    if len(names) != width:
        msg = f"columns= names {len(names)} columns, but the file has {width}"
        raise CohortError(msg)
    shifted = {(row + 1, column): said for (row, column), said in grid.problems.items()}
    merged = frozenset((row + 1, column) for row, column in grid.merged)
    hidden = frozenset(row + 1 for row in grid.hidden)
    lines = [0, *grid.lines] if grid.lines else []
    return replace(grid, rows=[names, *grid.rows], lines=lines, problems=shifted, merged=merged, hidden=hidden)


def _from_header(grid: Grid, first: int) -> Grid:
    names = [
        # A title over two columns names the first of them.
        "" if (first, column) in grid.merged and column and grid.rows[first][column - 1] == name else name
        for column, name in enumerate(grid.rows[first])
    ]
    kept = grid.only(range(first, len(grid.rows)))
    return replace(
        kept,
        rows=[names, *kept.rows[1:]],
        merged=frozenset((row, column) for row, column in kept.merged if row),
        hidden=kept.hidden - {0},
    )


def _table(grid: Grid, columns: Columns | None) -> tuple[pd.DataFrame, list[str]]:
    names, notes = labels(grid.rows[0], columns)
    if _all_end_with_delimiter(grid, len(names)):
        grid = replace(grid, rows=[row[: len(names)] for row in grid.rows])
        notes = [*notes, "the lines below the header end with a delimiter more than the header, which was left out"]
    _check_lengths(grid, len(names))
    names = _that_rows_have(names, grid.rows[1:])
    rows = [[*row, *[""] * (len(names) - len(row))] for row in grid.rows[1:]]
    cells = [[cell_text(row[place], name) for row in rows] for place, name in enumerate(names)]
    short = _mark_short_lines(grid, names, cells)
    if grid.blank_is_unknown:
        _mark_unknown(names, cells)
    # Spreadsheets often have empty columns at the end.
    kept = [place for place, name in enumerate(names) if name or any(cells[place])]
    table = pd.DataFrame({place: cells[place] for place in kept}, dtype=str)
    table.columns = pd.Index([names[place] for place in kept], dtype=str)
    merged = [(row - 1, names[column]) for row, column in sorted(grid.merged) if column in kept]
    damaged = _damaged(grid, names, rows, cells, {row for row, _ in short})
    found = ((_MERGED, merged), (_SHORT, short), (_DAMAGED, damaged))
    return table, [*notes, *_hidden(grid), *(said for what, where in found for said in _report(grid, what, where))]


def _all_end_with_delimiter(grid: Grid, width: int) -> bool:
    """Tell whether all lines below the header, and not only one, have one more cell than it, which is blank.

    If they begin with row numbers, the header may lack the name of these, and the last column may be blank.
    """
    below = grid.rows[1:]
    if not grid.lines or len(below) < 2 or not all(len(row) == width + 1 and is_blank(row[-1]) for row in below):
        return False
    first = [str(row[0]).strip() for row in below]
    are_numbers = all(re.fullmatch("0|[1-9][0-9]{0,8}", cell) for cell in first)
    return not (are_numbers and all(int(one) < int(other) for one, other in pairwise(first)))


def _check_lengths(grid: Grid, width: int) -> None:
    more = {len(row) - width for row in grid.rows[1:]} if grid.lines else set()
    if more == {1} and len(grid.rows) > 2:
        msg = (
            "every line has one field more than the header: if the lines begin with row numbers, give that column a "
            "header, too; if they end with a delimiter, remove it"
        )
        raise CohortError(msg)
    for line, row in zip(grid.lines, grid.rows, strict=False):
        if len(row) > width:
            msg = f"line {line} has {len(row)} fields, but the header has {width}: quote cells that contain a delimiter"
            raise CohortError(msg)


def _that_rows_have(names: list[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return the names without blank ones at the end that no row has a cell for.

    This holds only if no row can be a part of a line: every row has a cell for each name, and none ends after its first
    cell, as the rest of a line does if its last cell has a line break.
    """
    width = max(map(len, rows), default=len(names))
    is_same = all(len(row) == width for row in rows)
    may_be_rest = width > 1 and any(all(map(is_blank, row[1:])) for row in rows)
    return names if any(names[width:]) or not is_same or may_be_rest else names[:width]


def _mark_short_lines(grid: Grid, names: Sequence[str], cells: Sequence[list[str]]) -> list[tuple[int, str]]:
    """Mark the keys of lines with too few fields, and return these lines.

    If a line break is not quoted, the next line begins with the end of a cell. That text could be the number of another
    patient.
    """
    lengths = [len(row) for row in grid.rows[1:]]
    for row, length in enumerate(lengths):
        if length == len(names):
            continue
        for place, name in enumerate(names):
            if place >= length:
                cells[place][row] = SHORT_LINE
            elif name in VRS:
                _mark(cells[place], row)
        if length == 1:
            # It may be the end of the previous cell, or the beginning of the next one.
            for neighbour, place in ((row - 1, len(names) - 1), (row + 1, 0)):
                if 0 <= neighbour < len(lengths) and lengths[neighbour] == len(names) and names[place] in VRS:
                    _mark(cells[place], neighbour)
    return [(row, f"{length} of {len(names)} fields") for row, length in enumerate(lengths) if length < len(names)]


def _mark(column: list[str], row: int) -> None:
    if not column[row].endswith(SHORT_LINE):
        column[row] = f"{column[row]} {SHORT_LINE}".strip()


def _mark_unknown(names: Sequence[str], cells: Sequence[list[str]]) -> None:
    for name, column in zip(names, cells, strict=True):
        if name in VRS:
            column[:] = [cell or UNKNOWN_CELL for cell in column]


def _damaged(
    grid: Grid, names: Sequence[str], rows: Sequence[Sequence[object]], cells: Sequence[list[str]], short: set[int]
) -> list[tuple[int, str]]:
    """Return the row of each damaged cell, and its column with the damage; cells in key columns come first."""
    found = []
    for place, name in enumerate(names):
        for row, written in enumerate(cells[place]):
            problem = grid.problems.get((row + 1, place))
            if problem is None and row not in short:
                stored = rows[row][place]
                is_marked = written == UNKNOWN_CELL or SHORT_LINE in written
                problem = cell_problem(written if is_marked else stored, written, name)
            if problem:
                found.append((name not in VRS, row, f"{name or f'column {place + 1}'}: {problem}"))
    return [(row, said) for _, row, said in sorted(found, key=lambda cell: cell[:2])]


def _hidden(grid: Grid) -> list[str]:
    lines = [grid.lines[row] for row in sorted(grid.hidden)]
    return (
        [f"the spreadsheet hides rows (a filter?), and they were read like the others: {places(lines)}"]
        if lines
        else []
    )


def _report(grid: Grid, what: str, where: Sequence[tuple[int, str]]) -> list[str]:
    if not where:
        return []
    lines = [f" (line {line})" for line in grid.lines[1:]] or [""] * len(grid.rows)
    named = "; ".join(f"row {row}{lines[row]}, {said}" for row, said in where[:NAMED])
    more = f"; and {len(where) - NAMED} more" if len(where) > NAMED else ""
    return [f"{what}: {named}{more}"]
