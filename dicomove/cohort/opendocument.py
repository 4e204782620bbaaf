"""The sheets of an OpenDocument spreadsheet (ODF 1.3 part 3, chapter 9), which also stores each cell's shown text."""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree as ET

from dicomove.cohort.files import Cells, Grid, Range, Shown
from dicomove.errors import CohortError

_NAMESPACES: Final = {
    name: f"{{urn:oasis:names:tc:opendocument:xmlns:{name}:1.0}}" for name in ("office", "table", "text", "style")
}
_OFFICE, _TABLE, _TEXT, _STYLE = _NAMESPACES.values()
# Programs repeat the last empty row and cell up to the end of the sheet.
_MOST_REPEATED: Final = 100_000
_NO_RESULT: Final = "a formula without its result: open the file in a spreadsheet program and save it there"
_CELLS: Final = {f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"}
_DURATION: Final = re.compile(r"PT(\d+)H(\d+)M(\d+)(?:[.,]\d+)?S")


def read_ods(raw: bytes) -> list[Grid]:
    """Return the sheets.

    Raises
    ------
    CohortError
        A password protects the spreadsheet.
    """
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
        _cells(table).as_grid(table.get(f"{_TABLE}name", ""), is_hidden=table.get(f"{_TABLE}style-name") in hidden)
        for table in root.iter(f"{_TABLE}table")
    ]


def _cells(table: ET.Element) -> Cells:
    found = Cells()
    line = 0
    for row in table.iter(f"{_TABLE}table-row"):
        repeated = int(row.get(f"{_TABLE}number-rows-repeated", "1"))
        cells = list(_row(row))
        for _ in range(min(repeated, _MOST_REPEATED) if cells else 0):
            line += 1
            if row.get(f"{_TABLE}visibility", "visible") != "visible":
                found.hidden.add(line)
            for column, cell in cells:
                _add(found, line, column, cell)
        line += 0 if cells else repeated
    return found


def _row(row: ET.Element) -> Iterator[tuple[int, ET.Element]]:
    """Yield the cells that are not empty, with their columns, from 1."""
    column = 0
    for cell in row:
        if cell.tag not in _CELLS:
            continue
        repeated = int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
        if cell.tag.endswith("}table-cell") and (len(cell) or cell.get(f"{_OFFICE}value-type") or _formula(cell)):
            for place in range(column, column + min(repeated, _MOST_REPEATED)):
                yield place + 1, cell
        column += repeated


def _add(found: Cells, line: int, column: int, cell: ET.Element) -> None:
    value = _value(cell)
    if value == "" and _formula(cell) and cell.get(f"{_OFFICE}value-type") is None:
        value = "=" + _formula(cell).partition("=")[2]
        found.problems[line, column] = _NO_RESULT
    found.values[line, column] = value
    lines = int(cell.get(f"{_TABLE}number-rows-spanned", "1"))
    columns = int(cell.get(f"{_TABLE}number-columns-spanned", "1"))
    if lines > 1 or columns > 1:
        found.merged.append(Range(line, line + lines - 1, column, column + columns - 1))


def _formula(cell: ET.Element) -> str:
    return cell.get(f"{_TABLE}formula", "")


def _value(cell: ET.Element) -> object:
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
