"""The rows of a file, before anything is made of them: CSV, TSV, Parquet and spreadsheets."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from typing import NamedTuple

from dicomove.cohort.values import is_blank
from dicomove.errors import CohortError

TEXT = (".csv", ".tsv", ".txt")
SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
PARQUET = (".parquet", ".pq")

_QUOTED = re.compile(r'"[^"]*"')
_UNNAMED_INDEX = re.compile(r"__index_level_[0-9]+__")


class Content(NamedTuple):
    """What a file holds.

    Parameters
    ----------
    header
        The names of the columns.
    rows
        The cells, as they are stored.
    lines
        The line of each row in the file, where it has lines.
    notes
        What the one who reads it has to know.
    """

    header: list[str]
    rows: list[list[object]]
    lines: list[int]
    notes: list[str]


def read_text(raw: bytes, suffix: str, encoding: str) -> Content:
    """Return the content of a CSV or TSV file.

    Raises
    ------
    CohortError
        It is empty, or its rows do not fit its header.
    """
    decoded, notes = _decode(raw, encoding)
    delimiter = "\t" if suffix == ".tsv" else _delimiter(decoded)
    # newline="" leaves line breaks inside of cells to the csv module.
    reader = csv.reader(io.StringIO(decoded, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    numbered: list[tuple[int, list[object]]] = []
    begin = 1
    try:
        for row in reader:
            # One cell that is empty is an empty line, unless a row has one cell only.
            if row and (row != [""] or (numbered and len(numbered[0][1]) == 1)):
                numbered.append((begin, list(row)))
            begin = reader.line_num + 1
    except csv.Error as error:
        msg = f"line {begin}: not CSV as it should be: {error}"
        raise CohortError(msg) from None
    return _content(numbered, notes)


def read_spreadsheet(raw: bytes, sheet: int | str) -> Content:
    """Return the content of one sheet of a spreadsheet.

    Raises
    ------
    CohortError
        It is no spreadsheet, or is empty, or has no such sheet.
    """
    try:
        import python_calamine as calamine
    except ImportError:
        msg = 'spreadsheets need one more package: pip install "dicomove[excel]"'
        raise ImportError(msg) from None
    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(raw))
        name = book.sheet_names[sheet] if isinstance(sheet, int) else sheet
        rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (IndexError, calamine.WorksheetNotFound):
        msg = f"there is no sheet {sheet!r}"
        raise CohortError(msg) from None
    except calamine.CalamineError as error:
        msg = f"the spreadsheet cannot be read ({type(error).__name__})"
        raise CohortError(msg) from None
    # A row without any cell is the empty line of a spreadsheet: what is left where rows were cleared.
    numbered = [(line, list[object](row)) for line, row in enumerate(rows, start=1) if not all(map(is_blank, row))]
    return _content(numbered, [])


def read_parquet(raw: bytes) -> Content:
    """Return the content of a Parquet file.

    Raises
    ------
    CohortError
        It is no Parquet file.
    """
    # pandas would make floats of the integers in a column with empty cells.
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        msg = 'Parquet needs one more package: pip install "dicomove[parquet]"'
        raise ImportError(msg) from None
    try:
        table = parquet.read_table(io.BytesIO(raw))
    except (pa.ArrowException, OSError) as error:
        msg = f"the Parquet file cannot be read ({type(error).__name__})"
        raise CohortError(msg) from None
    kept = [place for place, name in enumerate(table.column_names) if not _UNNAMED_INDEX.fullmatch(name)]
    columns = [table.column(place).to_pylist() for place in kept]
    header = [table.column_names[place] for place in kept]
    return Content(header, [list(row) for row in zip(*columns, strict=True)], [], [])


def _decode(raw: bytes, encoding: str) -> tuple[str, list[str]]:
    # What a spreadsheet calls "Unicode text" is UTF-16.
    encoding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else encoding
    try:
        return raw.decode(encoding).removeprefix("\ufeff"), []
    except UnicodeDecodeError:
        if not codecs.lookup(encoding).name.startswith("utf-8"):
            msg = f"the file is not encoded in {encoding}"
            raise CohortError(msg) from None
    decoded, fallback = _decode_western(raw)
    return decoded, [f"the file is not encoded in UTF-8, and was read as {fallback}: encoding={fallback!r} confirms it"]


def _decode_western(raw: bytes) -> tuple[str, str]:
    try:
        return raw.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"


def _delimiter(decoded: str) -> str:
    header = next((line for line in decoded.splitlines() if line.strip()), "")
    plain = _QUOTED.sub("", header)
    return max(",;\t", key=plain.count)


def _content(numbered: Sequence[tuple[int, list[object]]], notes: list[str]) -> Content:
    if not numbered:
        msg = "the file is empty: there is no header"
        raise CohortError(msg)
    width = len(numbered[0][1])
    for line, row in numbered:
        if len(row) > width:
            msg = f"line {line} has {len(row)} fields, and the header {width}: is a cell with a delimiter not quoted?"
            raise CohortError(msg)
    padded = [[*row, *[""] * (width - len(row))] for _, row in numbered]
    lines = [line for line, _ in numbered]
    return Content([str(name) for name in padded[0]], padded[1:], lines[1:], notes)
