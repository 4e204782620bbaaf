"""Cohorts in files of spreadsheet programs, and what dicomove reads in them."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import xlwt

from dicomove.cohort import read_cohort
from dicomove.errors import CohortWarning

ODS = """<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>
<table:table table:name="first">{rows}</table:table></office:spreadsheet></office:body></office:document-content>"""


def nothing(_: Any) -> None:
    pass


def xlsx(folder: Path, *rows: list[Any], after: Callable[[Any], None] = nothing) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    after(book.active)
    path = folder / "cohort.xlsx"
    book.save(path)
    return path


def with_results(path: Path, **results: str) -> Path:
    """Write the results of formulas into a file, as a spreadsheet program does."""
    content = {}
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    sheet = content["xl/worksheets/sheet1.xml"].decode()
    for cell, result in results.items():
        before, found, behind = sheet.partition(f'<c r="{cell}"')
        assert found
        formula, end, rest = behind.partition("<v />") if "<v />" in behind else behind.partition("<v/>")
        assert end
        sheet = f'{before}<c r="{cell}" t="str"{formula.replace(" t=", " x=")}<v>{result}</v>{rest}'
    content["xl/worksheets/sheet1.xml"] = sheet.encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in content.items():
            archive.writestr(name, raw)
    return path


def xls(folder: Path, fill: Callable[[Any, Any], None]) -> Path:
    book = xlwt.Workbook()
    fill(book, book.add_sheet("first"))
    path = folder / "cohort.xls"
    book.save(str(path))
    return path


def ods(folder: Path, *rows: list[str], encrypted: bool = False) -> Path:
    """Write the rows, whose cells are text, or XML of cells."""
    made = ("".join(cell if cell.startswith("<") else ods_cell(cell) for cell in row) for row in rows)
    path = folder / "cohort.ods"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        lines = "".join(f"<table:table-row>{row}</table:table-row>" for row in made)
        archive.writestr("content.xml", ODS.format(rows=lines))
        archive.writestr("META-INF/manifest.xml", "<manifest:encryption-data/>" if encrypted else "<manifest/>")
    return path


def ods_cell(text: str = "", kind: str = "string", **attributes: str) -> str:
    names = {"value": "office:value", "date_value": "office:date-value"}
    pairs = [(names.get(name, f"table:{name.replace('_', '-')}"), value) for name, value in attributes.items()]
    pairs += [("office:value-type", kind)] if kind else []
    inside = f"<text:p>{text}</text:p>" if text else ""
    return f"<table:table-cell {' '.join(f'{name}={value!r}' for name, value in pairs)}>{inside}</table:table-cell>"


def read(path: Path, **options: Any) -> tuple[list[dict[str, str]], str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = read_cohort(path, **options)
    assert all(warning.category is CohortWarning for warning in caught)
    rows = [{str(name): cell for name, cell in row.items()} for row in table.to_dict("records")]
    return rows, " | ".join(str(warning.message) for warning in caught)
