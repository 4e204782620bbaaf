"""Tables of such cells, as a DataFrame, as CSV and as XLSX."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import openpyxl
import pandas as pd
from hypothesis import strategies as st

from tests.other_patients.archive import STUDIES, Study
from tests.other_patients.damage import DATES, OF_OBJECTS, OF_TEXT
from tests.other_patients.meaning import BLANK, IDENTIFYING, UNKNOWN, Cell, Row, named

#: Headers that are the key, in usual spellings.
CERTAIN: Final = {
    "PatientID": ("PatientID", "mrn", "Patient ID", "(0010,0020)", "PATIENTID"),
    "PatientName": ("PatientName", "Patient's Name"),
    "AccessionNumber": ("AccessionNumber", "Accession #", "accession_number", "00080050"),
    "StudyID": ("StudyID",),
    "StudyInstanceUID": ("StudyInstanceUID", "Study UID", "0020000D"),
    "SeriesInstanceUID": ("SeriesInstanceUID", "series uid"),
    "SOPInstanceUID": ("SOPInstanceUID", "sop_instance_uid"),
    "StudyDate": ("StudyDate", "study date"),
    "Modality": ("Modality", "modality"),
}
#: Headers that a person understands, and a program perhaps: of other languages, with a remark, wrongly written.
UNCERTAIN: Final = {
    "PatientID": (
        "Patienten-ID",
        "Patientennummer",
        "Numéro de patient",
        "Identificador del paciente",
        "PatientlD",
        "Pat.-Nr.",
    ),
    "PatientName": ("Name", "Nom du patient", "Patientenname", "Nombre"),
    "AccessionNumber": (
        "Auftragsnummer",
        "Accession Number (RIS)",
        "acc",
        "N° d'accession",
        "AccesionNumber",
        "Anforderung",
    ),
    "StudyInstanceUID": ("Studien-UID", "UID de l'étude", "StudyInstanceUlD", "uid"),
    "SeriesInstanceUID": ("Serien-UID", "series"),
    "SOPInstanceUID": ("Bild-UID", "image"),
}
#: Columns of the researcher's own, which name no patient of the archive, though their values are there as keys.
OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "study_id": ("1", "2", "17"),
    "acc": ("17", "A2"),
    "outcome": ("died", "alive"),
    "arm": ("A2", "B"),
    "case": ("17", "123"),
    "expected": ("1", "17"),
}


@dataclass(frozen=True)
class Cohort:
    """A table before it is written: one row of cells by key, a header for each key, and columns of the user's own."""

    rows: tuple[Row, ...]
    headers: Mapping[str, str]
    own: Mapping[str, tuple[str, ...]]

    @property
    def columns(self) -> list[str]:
        return ["line", *self.own, *self.headers.values()]

    def values(self) -> list[list[object]]:
        """Return the table as it is written, row by row; its first column tells the rows apart."""
        return [
            [f"line {number}", *(values[number % len(values)] for values in self.own.values())]
            + [row[name].raw for name in self.headers]
            for number, row in enumerate(self.rows)
        ]

    def named(self, level: str) -> list[set[str]]:
        """Return what each row names."""
        return [named({name: row[name] for name in self.headers}, level) for row in self.rows]


@st.composite
def cohorts(draw: st.DrawFn, *, objects: bool) -> Cohort:
    """A cohort in which some cells of some rows are damaged."""
    identifying = draw(st.lists(st.sampled_from(sorted(IDENTIFYING)), min_size=0, max_size=4, unique=True))
    narrowing = draw(st.lists(st.sampled_from(["StudyDate", "Modality"]), max_size=2, unique=True))
    keys = draw(st.permutations([*identifying, *narrowing]))
    certain = {name: name not in UNCERTAIN or draw(st.integers(0, 5)) > 0 for name in keys}
    spellings = {name: (CERTAIN if certain[name] else UNCERTAIN)[name] for name in keys}
    headers = {name: draw(st.sampled_from(spellings[name])) for name in keys}
    rows = draw(st.lists(_rows(keys, objects=objects), min_size=1, max_size=4))
    read = tuple({name: replace(row[name], certain=certain[name]) for name in keys} for row in rows)
    taken = {header.casefold() for header in headers.values()}
    own = draw(st.lists(st.sampled_from([name for name in OWN if name not in taken]), max_size=2, unique=True))
    return Cohort(read, headers, {name: OWN[name] for name in own})


@st.composite
def _rows(draw: st.DrawFn, keys: Sequence[str], *, objects: bool) -> Row:
    study = draw(st.sampled_from(STUDIES))
    row = _row_of(study, draw(st.integers(1, study.series)))
    if draw(st.integers(0, 4)) == 0:  # a column that was sorted by itself
        other = _row_of(draw(st.sampled_from(STUDIES)), 1)
        row |= {name: other[name] for name in keys[:1]}
    damaged = draw(st.lists(st.sampled_from(keys), max_size=2, unique=True)) if keys else []
    kinds = OF_OBJECTS if objects else OF_TEXT
    for name in damaged:
        text = str(row[name].raw)
        if name == "StudyDate":
            row[name] = Cell(draw(st.sampled_from(DATES)), UNKNOWN)
        else:
            row[name] = _of_key(name, text, kinds[draw(st.sampled_from(sorted(kinds)))](text))
    return row


def _of_key(name: str, value: str, cell: Cell) -> Cell:
    """A list of UIDs may be asked for; a wildcard is never part of a UID."""
    if name.endswith("UID") and isinstance(cell.raw, str) and cell.raw == f"{value}\\A2":
        return replace(cell, meaning=cell.raw)
    if name.endswith("UID") and isinstance(cell.meaning, str) and set(cell.meaning) & set("*?"):
        return replace(cell, meaning=UNKNOWN)
    return cell


def _row_of(study: Study, series: int) -> dict[str, Cell]:
    return {name: Cell(value, value or BLANK) for name, value in study.values(series).items()}


# ------------------------------------------------------------------------------------------------------------- files


def as_frame(cohort: Cohort) -> pd.DataFrame:
    """As a DataFrame of whatever the cells hold."""
    rows = cohort.values()
    columns = [pd.Series([row[at] for row in rows], name=name, dtype=object) for at, name in enumerate(cohort.columns)]
    return pd.concat(columns, axis=1)


@dataclass(frozen=True)
class TextFile:
    """How a CSV is written, and what went wrong with it."""

    delimiter: str = ","
    encoding: str = "utf-8"
    title: str = ""
    #: The row that is shifted to the right by an empty cell, to the left by a lost one, or has a line break in it.
    spoilt_row: int = -1
    how: str = ""
    cut: int = 0
    header: bool = True


text_files = st.builds(
    TextFile,
    delimiter=st.sampled_from([",", ";", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"]),
    title=st.sampled_from(["", "", "", "Cohort of strokes", "# exported 2024", "sep="]),
    spoilt_row=st.sampled_from([-1, -1, 0, 1]),
    how=st.sampled_from(["to the right", "to the left", "line break"]),
    cut=st.sampled_from([0, 0, 0, 1, 2, 4, 9, 17]),
    header=st.sampled_from([True] * 7 + [False]),
)


def as_text(cohort: Cohort, file: TextFile, path: Path) -> tuple[Path, Cohort]:
    """Write a CSV, and return with it what its rows still name."""
    lines, rows = [], list(cohort.rows)
    for number, values in enumerate(cohort.values()):
        cells = ["" if value is None else str(value) for value in values]
        if number == file.spoilt_row and len(cells) > 1:
            cells, rows[number] = _spoilt(cells, rows[number], file.how)
        lines.append(_line(cells, file, raw=number == file.spoilt_row and file.how == "line break"))
    title = {"": "", "sep=": f"sep={file.delimiter}\n"}.get(file.title, f"{file.title}\n")
    text = title + (_line(cohort.columns, file) if file.header else "") + "".join(lines)
    if file.cut and lines:
        text = text[: -min(file.cut, len(lines[-1]) - 1)]
        rows[-1] = _read_again(cohort, text, rows[-1], file)
    path.write_bytes(text.encode(file.encoding, "replace"))
    return path, replace(cohort, rows=tuple(rows))


def _line(cells: Sequence[str], file: TextFile, *, raw: bool = False) -> str:
    if raw:
        return file.delimiter.join(cells) + "\n"
    out = io.StringIO()
    csv.writer(out, delimiter=file.delimiter, lineterminator="\n").writerow(cells)
    return out.getvalue()


def _spoilt(cells: list[str], row: Row, how: str) -> tuple[list[str], Row]:
    """Shift the cells of a row by one, or break the row. A row of another length names no patient for certain."""
    lost = dict.fromkeys(row, Cell("", UNKNOWN))
    if how == "to the right":
        return [cells[0], "", *cells[1:]], lost
    if how == "to the left":
        return [cells[0], *cells[2:]], lost
    return [f"{cells[0]}\nand so on", *cells[1:]], row


def _read_again(cohort: Cohort, text: str, row: Row, file: TextFile) -> Row:
    """Read the last row of a file that was cut: if it still has all its cells, it names what stands there."""
    last = next(csv.reader([text.rsplit("\n", 1)[-1]], delimiter=file.delimiter), [])
    if len(last) < len(cohort.columns) or not cohort.headers:
        return dict.fromkeys(row, Cell("", UNKNOWN))
    name = list(cohort.headers)[-1]
    cut = last[-1]
    meaning = row[name].meaning if cut == str(row[name].raw) else (cut if cut.strip() else BLANK)
    # What is left of a damaged cell may look like a whole one.
    is_whole = any(cut.strip() in study.values().values() for study in STUDIES)
    is_damaged = row[name].meaning is UNKNOWN and not is_whole
    return {**row, name: replace(row[name], meaning=UNKNOWN if is_damaged else meaning)}


@dataclass(frozen=True)
class Workbook:
    """What an XLSX has that a CSV cannot have."""

    #: The column, by number, whose first two cells are merged.
    merged: int = -1
    #: The column whose first cell is a formula without a stored result.
    formula: int = -1
    #: The column whose first cell is a number that is shown with leading zeros.
    padded: int = -1
    cover: bool = False
    title: bool = False


workbooks = st.builds(
    Workbook,
    merged=st.sampled_from([-1, 0, 1, 2]),
    formula=st.sampled_from([-1, -1, 0, 1]),
    padded=st.sampled_from([-1, -1, 0, 1]),
    cover=st.sampled_from([False, False, True]),
    title=st.sampled_from([False, False, True]),
)


def as_workbook(cohort: Cohort, book: Workbook, path: Path) -> tuple[Path, Cohort]:
    """Write an XLSX, and return with it what its rows still name."""
    work = openpyxl.Workbook()
    sheet: Any = work.active
    if book.cover:
        sheet.append(["Cohort of strokes, exported for the study group"])
        sheet = work.create_sheet("data")
    if book.title:
        sheet.append(["Cohort of strokes"])
    sheet.append(cohort.columns)
    for values in cohort.values():
        sheet.append([_writable(value) for value in values])
    rows = [dict(row) for row in cohort.rows]
    names, first = list(cohort.headers), sheet.max_row - len(rows) + 1
    offset = len(cohort.columns) - len(names) + 1

    def at(column: int) -> str | None:
        return names[column] if 0 <= column < len(names) else None

    if (name := at(book.padded)) and _is_number(text := str(rows[0][name].raw)):
        sheet.cell(first, offset + book.padded, int(text)).number_format = "0" * len(text)
    if name := at(book.formula):
        sheet.cell(first, offset + book.formula, '="A"&2')
        rows[0][name] = replace(rows[0][name], meaning=UNKNOWN)
    if (name := at(book.merged)) and len(rows) > 1:
        letter = openpyxl.utils.get_column_letter(offset + book.merged)
        sheet.merge_cells(f"{letter}{first}:{letter}{first + 1}")
        rows[1][name] = rows[0][name]
    work.save(path)
    return path, replace(cohort, rows=tuple(rows))


def _is_number(text: str) -> bool:
    """Whether a workbook can hold a text as a number without loss: 15 digits."""
    return text.isascii() and text.isdigit() and len(text) < 15


def _writable(value: object) -> object:
    """A workbook holds no control characters, and a text that begins with "=" is a formula."""
    text = value if not isinstance(value, str) else "".join(one for one in value if one >= " " or one in "\t\n")
    return text if text != "" else None
