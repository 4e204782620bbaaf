"""Cohort files that lost, on their way, the column or the cell that says whose study a row is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import openpyxl
import pandas as pd

from tests.other_patients.archive import STUDIES

FIRST: Final = STUDIES[0]


@dataclass(frozen=True)
class Mangled:
    """A file, and the patients whom its rows name.

    Attributes
    ----------
    write
        Writes it, and returns its path.
    names
        The patients whose images may come.
    brings
        The patients whose images do come, where the row can be read without doubt.
    speaks
        Whether something has to be said: an error, a warning, or an advice in the row.
    level
        Of `find` and `move`.
    """

    write: Callable[[Path], Path]
    names: frozenset[str] = frozenset()
    brings: frozenset[str] = frozenset()
    speaks: bool = True
    level: str = "STUDY"


def text(content: str, encoding: str = "utf-8", suffix: str = ".csv") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / f"cohort{suffix}"
        path.write_bytes(content.encode(encoding))
        return path

    return write


def book(
    rows: Sequence[Sequence[object]],
    after: Callable[[Any], object] = lambda _: None,
    cover: Sequence[Sequence[object]] = (),
) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        work = openpyxl.Workbook()
        sheet: Any = work.active
        for row in cover:
            sheet.append(row)
        sheet = work.create_sheet("data") if cover else sheet
        for row in rows:
            sheet.append(row)
        after(sheet)
        path = folder / "cohort.xlsx"
        work.save(path)
        return path

    return write


def parquet(table: Mapping[str, Sequence[object]]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "cohort.parquet"
        pd.DataFrame(table).to_parquet(path)
        return path

    return write


def _format(cell: str, number_format: str) -> Callable[[Any], object]:
    return lambda sheet: setattr(sheet[cell], "number_format", number_format)


_JANE: Final = frozenset({"000123"})
_NOT_SURE: Final[dict[str, Any]] = {"names": _JANE}
_BOTH_OF_A2: Final = frozenset({"000123", "00012"})

FILES: Final[dict[str, Mangled]] = {
    # the column that says whose study it is
    "headers of a German hospital": Mangled(
        text("Patienten-ID;Auftragsnummer;StudyDate;Modality\n000123;A2;20240105;CT\n"), _JANE
    ),
    "headers of a French hospital": Mangled(
        text("Numéro de patient;N° d'accession;StudyDate\n000123;A2;20240105\n"), _BOTH_OF_A2
    ),
    "headers of a Spanish hospital": Mangled(
        text("Identificador del paciente;Número de acceso;Modality\n000123;A2;CT\n"), _BOTH_OF_A2
    ),
    "a header with a remark": Mangled(text("Accession Number (RIS);Modality\nA20;MR\n"), _JANE, speaks=False),
    "a header with a letter that looks alike": Mangled(text("PatientlD;StudyDate\n000123;20240105\n"), _JANE),
    "dates alone": Mangled(text("StudyDate\n20240105\n")),
    "modalities alone": Mangled(text("Modality;StudyDate\nCT;20240105\n")),
    "the number of a research database": Mangled(text("study_id,StudyDate\n17,20240105\n")),
    "a number of cases beside an accession number": Mangled(
        text("case,accession\n17,A20\n"), _JANE, _JANE, speaks=False
    ),
    "no header": Mangled(text("000123;A2;20240105\n00012;A2;20240105\n")),
    "a cover sheet first": Mangled(
        book([["PatientID", "StudyDate"], ["000123", "20240105"]], cover=[["Cohort"], ["StudyDate"]]),
        _JANE,
        speaks=False,
    ),
    "a title above the header": Mangled(
        text("Cohort of strokes;;\nPatientID;AccessionNumber;StudyDate\n000123;A2;20240105\n"), _JANE, speaks=False
    ),
    # the cell that says whose study it is
    "merged cells": Mangled(
        book(
            [["PatientID", "StudyDate"], ["000123", "20240105"], [None, "20240212"]],
            lambda sheet: sheet.merge_cells("A2:A3"),
        ),
        _JANE,
    ),
    "merged cells with an accession number": Mangled(
        book(
            [["PatientID", "AccessionNumber"], ["000123", "A2"], [None, "A20"], ["888", "A2"]],
            lambda sheet: sheet.merge_cells("A2:A3"),
        ),
        _JANE,
    ),
    "a formula without a result": Mangled(
        book([["n", "AccessionNumber", "StudyDate"], [0, '="A"&A2', "20240105"]]),
    ),
    "a patient by a formula without a result": Mangled(
        book([["n", "PatientID", "AccessionNumber"], [0, '=TEXT(A2,"000000")', "A2"]]),
    ),
    "errors of a spreadsheet": Mangled(
        text("PatientID;AccessionNumber;StudyDate\n#N/A;A2;20240105\n########;;20240105\n#REF!;A2;20240105\n")
    ),
    "errors in the cells of a workbook": Mangled(
        book([["PatientID", "AccessionNumber"], ["#N/A", "A2"], ["#NAME?", "A2"]]),
    ),
    "scientific notation": Mangled(text("PatientID;AccessionNumber\n1.23E+05;A2\n1,23E+05;A2\n")),
    "thousands points": Mangled(text("PatientID;AccessionNumber\n1.234.567;A2\n")),
    "a number with a point": Mangled(text("PatientID;AccessionNumber\n123.0;A2\n")),
    "a blank key beside a date": Mangled(text("AccessionNumber;StudyDate\n;20240105\n")),
    "blanks beside a date": Mangled(text("PatientID;StudyDate\n   ;20240105\n\u00a0;20240212\n\u200b;20240105\n")),
    "a wildcard beside a date": Mangled(
        text("PatientID;StudyDate\n*;20240105\n?;20240105\n**;20240212\n??;20240105\n")
    ),
    # They are text to a PACS: here one patient has such an ID.
    "words for nothing": Mangled(
        text("PatientID;AccessionNumber;StudyDate\nn/a;;20240105\nnan;;20240105\nNULL;;20240105\n;NULL;20240105\n"),
        frozenset({"n/a"}),
    ),
    "empty UIDs": Mangled(text("PatientID;StudyInstanceUID\n;\n;\n")),
    "an empty UID beside a date": Mangled(text("StudyInstanceUID;StudyDate\n;20240105\n"), level="SERIES"),
    "an empty UID above a UID": Mangled(
        text(f"StudyInstanceUID;SeriesInstanceUID\n;{FIRST.series_uid(1)}\n"), _JANE, level="SERIES"
    ),
    "an empty UID above a modality": Mangled(text("StudyInstanceUID;Modality\n;CT\n"), level="SERIES"),
    "an empty UID between two": Mangled(
        text(
            "StudyInstanceUID;SeriesInstanceUID;SOPInstanceUID\n"
            f"{FIRST.uid};;{FIRST.instance_uid(1)}\n;;{FIRST.instance_uid(1)}\n"
        ),
        _JANE,
        level="IMAGE",
    ),
    "a wildcard in a UID": Mangled(text("StudyInstanceUID\n*\n1.2.*\n1.2.826.0.1.3680043.8.498.11.?\n")),
    # other values than a person saw
    "the beginning of an ID": Mangled(text("PatientID\n0001\n"), speaks=False),
    "an ID that lost its zeros": Mangled(text("PatientID;AccessionNumber\n123;A2\n"), speaks=False),
    "an ID in the other case": Mangled(text("PatientID\nabc-7\n"), speaks=False),
    "an ID in the case of one of two": Mangled(
        text("PatientID\nABC-7\n"), frozenset({"ABC-7"}), frozenset({"ABC-7"}), speaks=False
    ),
    "two IDs in a cell": Mangled(text('PatientID;StudyDate\n"000123, 00012";20240105\n000123\\00012;20240105\n')),
    "a number shown with zeros": Mangled(
        book([["PatientID", "AccessionNumber"], [123, "A2"]], _format("A2", "000000")), _JANE, _JANE, speaks=False
    ),
    "a number shown with points": Mangled(
        book([["PatientID", "AccessionNumber"], [1234567, "A2"]], _format("A2", "#,##0")), speaks=False
    ),
    "numbers of Parquet": Mangled(
        parquet({"PatientID": [17, 123], "StudyDate": ["20240212", "20240105"]}), frozenset({"17", "123"})
    ),
    "marks of direction": Mangled(
        text("PatientID;StudyDate\n\u202a000123\u202c;20240105\n00\u00ad0123;20240105\n"), _JANE
    ),
    # a file that was torn
    "a line break without quotes": Mangled(
        text("AccessionNumber;Indication;PatientID\nA2;headache\nand fever;000123\n"), frozenset()
    ),
    "a line break behind the ID": Mangled(text("Indication;PatientID;AccessionNumber\nheadache;\n000123;A2\n"), _JANE),
    "a short row": Mangled(text("AccessionNumber;PatientID;StudyDate\nA2\nA20;000123;20240212\n"), _JANE),
    "a row that is shifted": Mangled(
        text("line;PatientID;AccessionNumber;StudyDate\n1;;17;A2;20240105\n"), speaks=True
    ),
    "a file that ends in the middle": Mangled(
        text("AccessionNumber;PatientID;StudyDate\nA20;000123;20240212\nA2;0001"), _JANE
    ),
    "two columns of the same name": Mangled(text("PatientID;PatientID;StudyDate\n;;20240105\n")),
    "UTF-16 without a mark": Mangled(text("PatientID,StudyDate\n000123,20240105\n", "utf-16-le"), _JANE, speaks=False),
    "Latin-1": Mangled(
        text("PatientID;Bemerkung;StudyDate\n000123;Müdigkeit;20240105\n", "cp1252"), _JANE, speaks=False
    ),
    # controls: what is right stays right
    "a full row": Mangled(text("PatientID;StudyDate\n000123;20240105\n"), _JANE, _JANE, speaks=False),
    "a shared accession number with its patient": Mangled(
        text("PatientID;AccessionNumber\n000123;A2\n"), _JANE, _JANE, speaks=False
    ),
    "an accession number of two patients": Mangled(
        text("AccessionNumber\nA2\n"), _BOTH_OF_A2, _BOTH_OF_A2, speaks=False
    ),
    "a blank accession number beside a patient": Mangled(
        text("PatientID;AccessionNumber\n000123;\n00012;A2\n"), _BOTH_OF_A2, _BOTH_OF_A2
    ),
}
