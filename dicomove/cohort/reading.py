"""Reading a table of what is wanted, with every identifier as it was written.

What pandas, and spreadsheets before it, make of identifiers by default: ``000123`` becomes 123, the accession number
``0001E5`` becomes 100000, and of an accession number with 20 digits 15 are left.
"""

from __future__ import annotations

import datetime as dt
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dicomove.cohort import files
from dicomove.cohort.damage import damage, doubt
from dicomove.cohort.keywords import VRS, keyword_columns
from dicomove.cohort.values import EDGES, is_blank, is_number, whole_number
from dicomove.errors import CohortError, CohortWarning

_NAMED = 10


def read_cohort(path: str | os.PathLike[str], *, sheet: int | str = 0, encoding: str = "utf-8-sig") -> pd.DataFrame:
    """Read a table with every cell as text: leading zeros and UIDs stay as they are.

    An empty cell is ``""``, and nothing else is (``NULL`` and ``NA`` are text). Blanks around cells are stripped, and
    headers that stand for a DICOM attribute become its keyword. Cells that a spreadsheet damaged before are reported,
    and never repaired.

    Parameters
    ----------
    path
        A file of type .csv (``,`` ``;`` or tab), .tsv, .txt, .parquet, .xlsx, .xls or .ods.
    sheet
        The sheet of a spreadsheet, by position or name.
    encoding
        The encoding of a text file. What is not UTF-8 is read as Windows-1252, with a warning.

    Raises
    ------
    CohortError
        The file is no table, or two of its columns are the same attribute.
    ImportError
        An optional package for this type of file is not installed.

    Warns
    -----
    CohortWarning
        Identifiers were damaged, or the encoding had to be guessed.
    """
    content = _read(Path(path), sheet, encoding)
    table, damaged = _table(content)
    for note in [*content.notes, *_report(damaged)]:
        warnings.warn(note, CohortWarning, stacklevel=2)
    return table


def _read(path: Path, sheet: int | str, encoding: str) -> files.Content:
    suffix = path.suffix.lower()
    if suffix not in (*files.TEXT, *files.SPREADSHEETS, *files.PARQUET):
        msg = f"files of type {suffix or '(none)'} are not known: .csv, .tsv, .txt, .parquet, .xlsx, .xls, .ods"
        raise CohortError(msg)
    raw = path.read_bytes()
    if suffix in files.TEXT:
        return files.read_text(raw, suffix, encoding)
    return files.read_spreadsheet(raw, sheet) if suffix in files.SPREADSHEETS else files.read_parquet(raw)


def _table(content: files.Content) -> tuple[pd.DataFrame, list[tuple[int, str]]]:
    """Return the table, and the row and the description of each damaged cell."""
    labels = [header.strip(EDGES) for header in content.header]
    for name, position in keyword_columns(labels).items():
        labels[position] = name
    cells = [list(column) for column in zip(*content.rows, strict=True)] or [[] for _ in labels]
    found = [
        (row, f"row {row}{_line(content.lines, row)}, {label}: {problem}")
        for label, column in zip(labels, cells, strict=True)
        if _is_identifier(label)
        for row, cell in enumerate(column)
        if (problem := _problem(cell, label))
    ]
    # Spreadsheets leave columns behind that never held anything.
    kept = [i for i, label in enumerate(labels) if label or not all(map(is_blank, cells[i]))]
    table = pd.DataFrame({i: [_text(cell, labels[i]) for cell in cells[i]] for i in kept}, dtype=str)
    table.columns = pd.Index([labels[i] for i in kept], dtype=str)
    return table, sorted(found, key=lambda cell: cell[0])


def _line(lines: Sequence[int], row: int) -> str:
    return f" (line {lines[row]})" if lines else ""


def _report(damaged: list[tuple[int, str]]) -> list[str]:
    if not damaged:
        return []
    named = "; ".join(description for _, description in damaged[:_NAMED])
    more = f"; and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
    return [f"identifiers were damaged before they came here, and were left as they are: {named}{more}"]


def _is_identifier(label: str) -> bool:
    return VRS.get(label) in {"UI", "DA"} or label in {"PatientID", "AccessionNumber", "StudyID"}


def _text(cell: object, label: str) -> str:
    if is_blank(cell):
        return ""
    if isinstance(cell, str):
        return cell.strip(EDGES)
    if isinstance(cell, dt.date):  # a datetime, too
        return cell.strftime("%Y%m%d") if VRS.get(label) == "DA" else _iso(cell)
    return whole_number(cell) or str(cell)


def _iso(date: dt.date) -> str:
    return date.isoformat().removesuffix("T00:00:00")


def _problem(cell: object, label: str) -> str | None:
    if is_blank(cell):
        return None
    written = _text(cell, label)
    if isinstance(cell, str):
        return damage(written, label) or doubt(written, label)
    if VRS.get(label) == "DA" and (isinstance(cell, dt.date) or (written.isdigit() and len(written) == 8)):
        return None
    if is_number(cell):
        ruined = isinstance(cell, float) and len(written) > 15
        lost = "digits after the 15th are lost" if ruined else "leading zeros may be lost"
        return f"stored as a number, {lost}"
    return f"stored as a {type(cell).__name__}"
