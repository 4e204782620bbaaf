"""Reads the sheets of .xlsx, .xlsb, .xls and .ods; tells empty cells from errors and formulas without a result.

We tested files of each kind. python-calamine is the fastest, but returns an empty text for a formula without a result
and for an error, and ignores number formats. openpyxl and xlrd handle all of these. No library does so for .xlsb.
An .ods file stores its cells beside the texts that the program showed: `_read_ods` needs no library.
"""

from __future__ import annotations

import datetime as dt
import io
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from xml.etree import ElementTree as ET

from dicomove.cohort.files.stored_cells import Cells, Grid, Range, Shown, shown
from dicomove.errors import CohortError

_NO_RESULT: Final = "a formula without its result: open the file in a spreadsheet program and save it there"
#: The text for a formula that the file does not show.
_HIDDEN_FORMULA: Final = "=FORMULA()"

_OLE: Final = b"\xd0\xcf\x11\xe0"
_ZIP: Final = b"PK"
# Exceptions of the readers for damaged files; each becomes a CohortError.
_BROKEN: Final = (
    *(zipfile.BadZipFile, zlib.error, struct.error, ET.ParseError, EOFError, OSError, RuntimeError),
    *(AssertionError, AttributeError, LookupError, OverflowError, TypeError, ValueError),
)

_NAMESPACES: Final = {
    name: f"{{urn:oasis:names:tc:opendocument:xmlns:{name}:1.0}}" for name in ("office", "table", "text", "style")
}
_OFFICE, _TABLE, _TEXT, _STYLE = _NAMESPACES.values()
# Programs repeat the last empty row and cell up to the end of the sheet.
_MOST_REPEATED: Final = 100_000
_CELLS: Final = {f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"}
_DURATION: Final = re.compile(r"PT(\d+)H(\d+)M(\d+)(?:[.,]\d+)?S")


def read_spreadsheet(raw: bytes) -> list[Grid]:
    """Return the sheets of a spreadsheet, whatever the suffix of its name.

    Raises
    ------
    CohortError
        The spreadsheet cannot be read.
    ImportError
        The extra ``excel`` is not installed.
    """
    reader = _reader(raw)
    try:
        with warnings.catch_warnings():
            # The readers warn about things that they skip, such as pictures, and quote cells.
            warnings.simplefilter("ignore")
            return reader(raw)
    except CohortError:
        raise
    except _BROKEN as error:
        msg = f"the spreadsheet cannot be read ({type(error).__name__}): open it in a spreadsheet program and save it"
        raise CohortError(msg) from None


def is_spreadsheet(raw: bytes) -> bool:
    """Tell whether the first bytes of a file are those of a spreadsheet."""
    return raw.startswith((_OLE, _ZIP + b"\x03\x04"))


def _reader(raw: bytes) -> Callable[[bytes], list[Grid]]:
    if raw.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in raw:
            msg = "the spreadsheet cannot be read: it is protected by a password"
            raise CohortError(msg)
        return _read_xls
    if not raw.startswith(_ZIP):
        msg = "the file cannot be read: it is not a spreadsheet. If it is text, give its name the suffix .csv"
        raise CohortError(msg)
    names = _names(raw)
    if "content.xml" in names:
        return _read_ods
    return _read_xlsb if "xl/workbook.bin" in names else _read_xlsx


def _names(raw: bytes) -> set[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            return set(archive.namelist())
    except _BROKEN:
        msg = "the spreadsheet cannot be read: the file is damaged or incomplete"
        raise CohortError(msg) from None


def _needed(error: ImportError) -> ImportError:
    message = f'spreadsheets need one more package ({error.name}): pip install "dicomove[excel]"'
    return ImportError(message)


def _read_xlsx(raw: bytes) -> list[Grid]:
    try:
        import openpyxl
    except ImportError as error:
        raise _needed(error) from None
    book = openpyxl.load_workbook(io.BytesIO(raw), keep_links=False)
    formulas = any(cell.data_type == "f" for sheet in book.worksheets for cell in sheet._cells.values())  # noqa: SLF001
    results = openpyxl.load_workbook(io.BytesIO(raw), data_only=True, keep_links=False) if formulas else book
    return [
        _xlsx_cells(sheet, other._cells).as_grid(sheet.title, is_hidden=sheet.sheet_state != "visible")  # noqa: SLF001
        for sheet, other in zip(book.worksheets, results.worksheets, strict=True)
    ]


def _xlsx_cells(sheet: Any, results: Mapping[tuple[int, int], Any]) -> Cells:
    found = Cells(
        merged=[Range(area.min_row, area.max_row, area.min_col, area.max_col) for area in sheet.merged_cells.ranges],
        hidden={line for line, dimension in sheet.row_dimensions.items() if dimension.hidden},
    )
    # openpyxl's iterators create a cell for each gap: a million of them if one cell is in the last line.
    for place, cell in sheet._cells.items():  # noqa: SLF001
        if cell.value is None:
            continue
        if cell.data_type != "f":
            found.values[place] = _xlsx_value(cell)
        elif results[place].value is not None or results[place].data_type == "str":
            # The result of a formula may be an empty text.
            found.values[place] = _xlsx_value(results[place])
        else:
            found.values[place] = _formula(cell.value)
            found.problems[place] = _NO_RESULT
    return found


def _formula(value: Any) -> str:
    return str(value if isinstance(value, str) else getattr(value, "text", None) or _HIDDEN_FORMULA)


def _xlsx_value(cell: Any) -> object:
    value = cell.value
    if isinstance(value, str):
        return value.replace("_x000D_", "").replace("_x0000_", "")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Shown(value, shown(value, cell.number_format))
    if isinstance(value, dt.time) and "s" not in cell.number_format.lower():
        return value.strftime("%H:%M")  # the spreadsheet showed only minutes
    return "" if value is None else value


def _read_xls(raw: bytes) -> list[Grid]:
    try:
        import xlrd
    except ImportError as error:
        raise _needed(error) from None
    try:
        # xlrd writes remarks about the file to standard output.
        book = xlrd.open_workbook(file_contents=raw, formatting_info=True, logfile=io.StringIO())
    except (xlrd.XLRDError, xlrd.compdoc.CompDocError) as error:
        msg = f"the spreadsheet cannot be read ({type(error).__name__})"
        raise CohortError(msg) from None
    return [_xls_cells(book, sheet).as_grid(sheet.name, is_hidden=sheet.visibility != 0) for sheet in book.sheets()]


def _xls_cells(book: Any, sheet: Any) -> Cells:
    found = Cells(
        merged=[Range(top + 1, bottom, left + 1, right) for top, bottom, left, right in sheet.merged_cells],
        hidden={row + 1 for row, information in sheet.rowinfo_map.items() if information.hidden},
    )
    for row in range(sheet.nrows):
        for column, cell in enumerate(sheet.row(row)):
            place = (row + 1, column + 1)
            found.values[place] = _xls_value(book, cell)
            if found.values[place] == _HIDDEN_FORMULA:
                found.problems[place] = _NO_RESULT
    return found


def _xls_value(book: Any, cell: Any) -> object:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_TEXT:
        # .xls stores an empty text only as the result of a formula, or instead of one.
        return cell.value or _HIDDEN_FORMULA
    if cell.ctype == xlrd.XL_CELL_DATE:
        return xlrd.xldate_as_datetime(cell.value, book.datemode)
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return bool(cell.value)
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return xlrd.error_text_from_code.get(cell.value, "#ERROR!")
    if cell.ctype == xlrd.XL_CELL_NUMBER:
        kind = book.format_map.get(book.xf_list[cell.xf_index].format_key)
        return Shown(cell.value, shown(cell.value, kind.format_str if kind else "General"))
    return ""


def _read_xlsb(raw: bytes) -> list[Grid]:
    try:
        import python_calamine as calamine
    except ImportError as error:
        raise _needed(error) from None
    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(raw))
        return [
            _xlsb_cells(book.get_sheet_by_name(sheet.name)).as_grid(
                sheet.name, is_hidden=sheet.visible != calamine.SheetVisibleEnum.Visible, blank_is_unknown=True
            )
            for sheet in book.sheets_metadata
        ]
    except calamine.CalamineError as error:
        msg = f"the spreadsheet cannot be read ({type(error).__name__})"
        raise CohortError(msg) from None


def _xlsb_cells(sheet: Any) -> Cells:
    found = Cells()
    for line, row in enumerate(sheet.to_python(skip_empty_area=False), start=1):
        for column, value in enumerate(row, start=1):
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            found.values[line, column] = Shown(value, shown(value, "General")) if is_number else value
    return found


def _read_ods(raw: bytes) -> list[Grid]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        content = archive.read("content.xml")
        manifest = archive.read("META-INF/manifest.xml") if "META-INF/manifest.xml" in archive.namelist() else b""
    if b"encryption-data" in manifest:
        msg = "the spreadsheet cannot be read: it is protected by a password"
        raise CohortError(msg)
    root = ET.fromstring(content)  # noqa: S314 (expat limits the size of entities)
    hidden = {
        style.get(f"{_STYLE}name")
        for style in root.iter(f"{_STYLE}style")
        for properties in style.iter(f"{_STYLE}table-properties")
        if properties.get(f"{_TABLE}display") == "false"
    }
    return [
        _ods_cells(table).as_grid(table.get(f"{_TABLE}name", ""), is_hidden=table.get(f"{_TABLE}style-name") in hidden)
        for table in root.iter(f"{_TABLE}table")
    ]


def _ods_cells(table: ET.Element) -> Cells:
    found = Cells()
    line = 0
    for row in table.iter(f"{_TABLE}table-row"):
        repeated = int(row.get(f"{_TABLE}number-rows-repeated", "1"))
        cells = list(_ods_row(row))
        for _ in range(min(repeated, _MOST_REPEATED) if cells else 0):
            line += 1
            if row.get(f"{_TABLE}visibility", "visible") != "visible":
                found.hidden.add(line)
            for column, cell in cells:
                _add_ods_cell(found, line, column, cell)
        line += 0 if cells else repeated
    return found


def _ods_row(row: ET.Element) -> Iterator[tuple[int, ET.Element]]:
    """Yield the cells that are not empty, with their columns, from 1."""
    column = 0
    for cell in row:
        if cell.tag not in _CELLS:
            continue
        repeated = int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
        is_filled = len(cell) or cell.get(f"{_OFFICE}value-type") or cell.get(f"{_TABLE}formula")
        if cell.tag.endswith("}table-cell") and is_filled:
            for place in range(column, column + min(repeated, _MOST_REPEATED)):
                yield place + 1, cell
        column += repeated


def _add_ods_cell(found: Cells, line: int, column: int, cell: ET.Element) -> None:
    formula, value = cell.get(f"{_TABLE}formula", ""), _ods_value(cell)
    if value == "" and formula and cell.get(f"{_OFFICE}value-type") is None:
        value = "=" + formula.partition("=")[2]
        found.problems[line, column] = _NO_RESULT
    found.values[line, column] = value
    lines = int(cell.get(f"{_TABLE}number-rows-spanned", "1"))
    columns = int(cell.get(f"{_TABLE}number-columns-spanned", "1"))
    if lines > 1 or columns > 1:
        found.merged.append(Range(line, line + lines - 1, column, column + columns - 1))


def _ods_value(cell: ET.Element) -> object:
    kind = cell.get(f"{_OFFICE}value-type", "string")
    text = "\n".join(_paragraph(part) for part in cell.findall(f"{_TEXT}p"))
    if kind in {"float", "percentage", "currency"}:
        number = float(cell.get(f"{_OFFICE}value", "nan"))
        return Shown(number, text or f"{number:.15g}")
    if kind == "boolean":
        return cell.get(f"{_OFFICE}boolean-value") == "true"
    if kind == "date":
        return dt.datetime.fromisoformat(cell.get(f"{_OFFICE}date-value", ""))
    if kind == "time" and (parts := _DURATION.fullmatch(cell.get(f"{_OFFICE}time-value", ""))):
        hours, minutes, seconds = map(int, parts.groups())
        return dt.time(hours, minutes, seconds) if hours < 24 else text
    return cell.get(f"{_OFFICE}string-value") or text


def _paragraph(element: ET.Element) -> str:
    """Return the text of a paragraph: in ODF, blanks, tabs and line breaks are elements."""
    parts = [element.text or ""]
    for child in element:
        name = child.tag.rpartition("}")[2]
        if name == "s":
            parts.append(" " * int(child.get(f"{_TEXT}c", "1")))
        elif name in {"tab", "line-break"}:
            parts.append("\t" if name == "tab" else "\n")
        elif name not in {"annotation", "note"}:
            parts.append(_paragraph(child))
        parts.append(child.tail or "")
    return "".join(parts)
