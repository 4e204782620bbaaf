from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pytest

from dicomove import read_cohort
from dicomove.errors import CohortError, CohortWarning

HEADER, ROW, NEXT = "PatientID,AccessionNumber,arm", "000123,A1,x", "000124,A2,y"


def read(tmp_path: Path, *lines: str) -> tuple[list[list[str]], str]:
    path = tmp_path / "cohort.csv"
    path.write_text("\n".join(lines))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CohortWarning)
        table = read_cohort(path)
    return table.to_numpy().tolist(), " ".join(str(one.message) for one in caught)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((HEADER, ROW, HEADER, NEXT), "the header again was left out: line 3"),
        ((HEADER, ROW, "", "Patient ID,accession no,Arm", NEXT), "the header again was left out: line 4"),
        ((HEADER, "MRN,Accession #,text", ROW, NEXT), "the header again was left out: line 2"),
        (("mrn,accession,Modality", ROW, "mrn,accession,x", NEXT), "the header again was left out: line 3"),
        ((HEADER, "---------,---------------,---", ROW, NEXT), "a line of dashes was left out: line 2"),
        ((HEADER.replace(",", " | "), "---+---+---", "000123 | A1 | x", "000124|A2|y"), "a line of dashes"),
        ((HEADER, ROW, NEXT, "", "(2 rows affected)"), "the number of rows was left out: line 5"),
        ((HEADER, ROW, NEXT, "2 rows selected."), "the number of rows was left out: line 4"),
        ((HEADER, ROW, HEADER, NEXT, HEADER), "the header again was left out: lines 3, 5"),
    ],
)
def test_lines_that_are_not_rows_are_left_out_and_named(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    rows, message = read(tmp_path, *lines)
    assert [[cell.strip() for cell in row] for row in rows] == [ROW.split(","), NEXT.split(",")]
    assert said in message


@pytest.mark.parametrize(
    "lines",
    [
        (HEADER, ROW, "000124,A2,PatientID"),  # a remark
        ("PatientID,Modality,StudyDescription", "000123,CT,Study description", "000124,MR,Body part"),
        ("PatientID,PatientName", "000123,Accession^Mrn", "000124,MRN"),
        ("accession,mrn", "A1,000123", "A2,000124"),
    ],
)
def test_rows_stay(tmp_path: Path, lines: tuple[str, ...]) -> None:
    assert read(tmp_path, *lines) == ([line.split(",") for line in lines[1:]], "")


@pytest.mark.parametrize(
    ("lines", "rows"), [((HEADER, ROW, "(1 row affected)"), [ROW]), ((HEADER, "1 row,,"), ["1 row,,"])]
)
def test_a_number_of_rows_stands_below_a_row(tmp_path: Path, lines: tuple[str, ...], rows: list[str]) -> None:
    assert read(tmp_path, *lines)[0] == [row.split(",") for row in rows]


def test_a_second_table_is_an_error_that_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"line 4 looks like the header of another table \(StudyInst"):
        read(tmp_path, "PatientID,AccessionNumber", "000123,A1", "", "study uid,StudyDate", "1.2.3,20240105")


def test_a_spreadsheet_keeps_the_places_of_its_notes(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    header = ["PatientID", "accession"]
    for row in (header, ["000123", "A1"], header, ["=A2", "A2"], ["000125", None]):
        book.active.append(row)
    book.active.merge_cells("B4:B5")
    book.active.row_dimensions[4].hidden = True
    book.save(tmp_path / "cohort.xlsx")
    with pytest.warns(CohortWarning) as caught:
        table = read_cohort(tmp_path / "cohort.xlsx")
    said = " ".join(str(one.message) for one in caught)
    assert table["AccessionNumber"].tolist() == ["A1", "A2", "A2"]
    for part in ("again was left out: line 3", "row 1 (line 4), PatientID: a formula", "row 2 (line 5)", "filter?"):
        assert part in said


def test_a_table_in_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame({"PatientID": ["PatientID", "7"]}).to_parquet(tmp_path / "a.parquet")
    with pytest.warns(CohortWarning, match="the header again was left out: line 1"):
        assert read_cohort(tmp_path / "a.parquet")["PatientID"].tolist() == ["7"]


@pytest.mark.parametrize("end", [b"\x1a", b"\r\n\x1a", b"\0\0\0\0"])
def test_the_end_of_a_file_of_an_old_program_is_no_row(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "cohort.csv"
    path.write_bytes(b"mrn,accession\r\n000123,A1\r\n" + end)
    assert read_cohort(path).to_numpy().tolist() == [["000123", "A1"]]


def test_a_compressed_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cohort.csv"
    path.write_bytes(b"\x1f\x8b\x08\x00rest")
    with pytest.raises(CohortError, match="gzip"):
        read_cohort(path)
