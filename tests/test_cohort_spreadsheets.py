from __future__ import annotations

import datetime as dt
import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlwt
from hypothesis import HealthCheck, given, settings, strategies as st
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.worksheet.formula import ArrayFormula

from dicomove.cohort import find_queries, read_cohort
from dicomove.cohort.files.stored_cells import shown
from dicomove.cohort.values import EDGES
from dicomove.errors import CohortError, CohortWarning, IdentifierError
from tests.spreadsheets import ODS, ods, ods_cell, read, with_results, xls, xlsx

relaxed = settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


def refused(path: Path) -> list[bool]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CohortWarning)
        return [isinstance(query, IdentifierError) for query in find_queries(read_cohort(path))]


@pytest.mark.parametrize(
    ("formula", "seen"),
    [
        ('="A"&A2', '="A"&A2'),
        ("=B1", "=B1"),
        ("=[1]Sheet1!A1", "=[1]Sheet1!A1"),
        ("=SUM(A1:A2)", "=SUM(A1:A2)"),
        (ArrayFormula("B2:B2", "=A1:A2"), "=A1:A2"),
    ],
)
@pytest.mark.parametrize("column", ["AccessionNumber", "PatientID", "StudyInstanceUID", "StudyDate"])
def test_a_formula_without_its_result_is_not_blank(tmp_path: Path, formula: Any, seen: str, column: str) -> None:
    path = xlsx(tmp_path, ["PatientName", column, "arm"], ["Doe", formula, "x"], ["Doe", "1.2.3", "y"])
    rows, said = read(path)
    assert rows[0][column] == seen
    assert f"row 0 (line 2), {column}: a formula without its result" in said
    assert refused(path)[0]


def test_a_formula_without_its_result_is_said_in_every_column(tmp_path: Path) -> None:
    rows, said = read(xlsx(tmp_path, ["accession", "arm"], ["A1", "=named_range"]))
    assert rows == [{"AccessionNumber": "A1", "arm": "=named_range"}]
    assert "row 0 (line 2), arm: a formula without its result" in said


def test_a_formula_with_its_result_is_its_result(tmp_path: Path) -> None:
    path = xlsx(tmp_path, ["mrn", "accession", "arm"], ["000123", "=A2", "=C1"], ["000124", "=A3", "=C2"])
    with_results(path, B2="A17", C2="", B3="#REF!")
    rows, said = read(path)
    assert rows[0] == {"PatientID": "000123", "AccessionNumber": "A17", "arm": ""}
    assert rows[1]["AccessionNumber"] == "#REF!"
    assert "row 0" not in said
    assert "row 1 (line 3), AccessionNumber: an error" in said
    assert refused(path) == [False, True]


@pytest.mark.parametrize("word", ["#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!"])
def test_errors_are_not_blank(tmp_path: Path, word: str) -> None:
    def as_error(sheet: Any) -> None:
        sheet["B2"].data_type = sheet["C2"].data_type = "e"

    path = xlsx(tmp_path, ["mrn", "accession", "arm"], ["1", word, word], after=as_error)
    rows, said = read(path)
    assert rows[0]["AccessionNumber"] == rows[0]["arm"] == word
    assert "AccessionNumber: an error" in said
    assert "arm: an error" in said
    assert refused(path) == [True]


def test_merged_cells_are_filled_and_said(tmp_path: Path) -> None:
    def merge(sheet: Any) -> None:
        sheet.merge_cells("A2:A4")
        sheet.merge_cells("C3:D3")
        sheet.merge_cells("A6:A7")

    path = xlsx(
        tmp_path,
        ["mrn", "StudyDate", "arm", "site"],
        ["000123", "20240105", "a", "s"],
        [None, "20240106", "b"],
        [None, "20240107"],
        ["000124", "20240108"],
        [None, "20240109"],
        [None, "20240110"],
        after=merge,
    )
    rows, said = read(path)
    assert [row["PatientID"] for row in rows] == ["000123"] * 3 + ["000124", "", ""]
    assert rows[1]["site"] == "b"
    assert "merged cells were filled from their first cell: row 1 (line 3), PatientID" in said
    assert "row 1 (line 3), site" in said
    assert "row 2 (line 4), PatientID" in said
    assert "row 4" not in said


def test_merged_titles_and_headers(tmp_path: Path) -> None:
    def merge(sheet: Any) -> None:
        for area in ("A1:C1", "A2:A3", "B2:C2"):
            sheet.merge_cells(area)

    path = xlsx(
        tmp_path,
        ["Cohort stroke", None, None],
        ["mrn", "Study", None],
        [None, "StudyDate", "Accession"],
        ["1", "20240105", "A1"],
        after=merge,
    )
    rows, said = read(path)
    assert rows == [{"PatientID": "1", "StudyDate": "20240105", "AccessionNumber": "A1"}]
    assert "the header is on line 3; the lines above it were left out: lines 1, 2" in said


def test_whole_columns_may_be_merged(tmp_path: Path) -> None:
    path = xlsx(
        tmp_path, ["mrn", "accession"], ["1", "A1"], [None, "A2"], after=lambda sheet: sheet.merge_cells("A2:A20000")
    )
    assert [row["PatientID"] for row in read(path)[0]] == ["1", "1"]


@pytest.mark.parametrize(
    ("value", "number_format", "seen", "is_refused"),
    [
        (123, "000000", "000123", False),
        (123, '"MRN-"0000', "MRN-0123", False),
        (123456789, "000-00-0000", "123-45-6789", False),
        (123, "0", "123", False),
        (123, "General", "123", False),
        (123456789012345, "0", "123456789012345", False),
        (1234567, "#,##0", "1,234,567", True),
        (12345678901234567890, "0", "1.23456789012346E+19", True),
        (12345678901234567890, "General", "1.23456789012346E+19", True),
        (123456, "0.00E+00", "1.23E+05", True),
        (0.5, "0%", "50%", True),
        (0.5, "# ?/?", "####", True),
        (123, ";;;", "####", True),
        (20240105, "dd.mm.yyyy", "#VALUE!", True),
        (dt.datetime(2024, 1, 5), "dd.mm.yyyy", "2024-01-05 00:00:00", True),  # noqa: DTZ001 (a cell has no zone)
        (dt.time(9, 30), "hh:mm:ss", "09:30:00", True),
        (dt.timedelta(hours=30), "[h]:mm:ss", "1 day, 6:00:00", True),
        (True, "General", "True", True),
    ],
)
def test_an_identifier_is_what_a_person_saw(
    tmp_path: Path, value: Any, number_format: str, seen: str, *, is_refused: bool
) -> None:
    def format_it(sheet: Any) -> None:
        sheet["A2"].number_format = number_format

    path = xlsx(tmp_path, ["accession"], [value], after=format_it)
    rows, said = read(path)
    assert rows == [{"AccessionNumber": seen}]
    assert refused(path) == [is_refused]
    assert ("row 0 (line 2), AccessionNumber" in said) is ((seen.isdigit() and seen[0] != "0") or is_refused)


def test_own_columns_keep_their_values_and_their_zeros(tmp_path: Path) -> None:
    def format_them(sheet: Any) -> None:
        sheet["B2"].number_format, sheet["C2"].number_format, sheet["D2"].number_format = "000", "#,##0", "0%"

    rows, said = read(xlsx(tmp_path, ["accession", "site", "cost", "share"], ["A1", 7, 12345, 0.25], after=format_them))
    assert rows == [{"AccessionNumber": "A1", "site": "007", "cost": "12345", "share": "0.25"}]
    assert not said


def test_dates_of_1904_rich_text_links_and_what_excel_escapes(tmp_path: Path) -> None:
    from openpyxl.utils.datetime import CALENDAR_MAC_1904

    book = openpyxl.Workbook()
    book.epoch = CALENDAR_MAC_1904
    book.active.append(["accession", "mrn", "StudyDate", "PatientName"])
    rich = CellRichText("00", TextBlock(InlineFont(b=True), "0123"))
    book.active.append([rich, "000123", dt.date(2024, 1, 5), "Doe_x000D_\nJane"])
    book.active["B2"].hyperlink = "https://example.org"
    book.active["B2"].style = "Hyperlink"
    book.save(tmp_path / "mac.xlsx")
    rows, said = read(tmp_path / "mac.xlsx")
    assert rows == [
        {"AccessionNumber": "000123", "PatientID": "000123", "StudyDate": "20240105", "PatientName": "Doe\nJane"}
    ]
    assert not said


def test_hidden_rows_are_said(tmp_path: Path) -> None:
    def hide(sheet: Any) -> None:
        sheet.row_dimensions[3].hidden = True

    rows, said = read(xlsx(tmp_path, ["accession"], ["A1"], ["A2"], after=hide))
    assert len(rows) == 2
    assert "hides rows (a filter?), and they were read like the others: line 3" in said


def cover(folder: Path, *names: str, hidden: str = "") -> Path:
    book = openpyxl.Workbook()
    book.active.title = "Cover"
    book.active.append(["Stroke cohort of 2024", "by J. Doe"])
    for name in names:
        sheet = book.create_sheet(name)
        sheet.append(["PatientID"])
        sheet.append([name])
        sheet.sheet_state = "hidden" if name == hidden else "visible"
    book.save(folder / "cover.xlsx")
    return folder / "cover.xlsx"


def test_a_cover_sheet(tmp_path: Path) -> None:
    rows, said = read(cover(tmp_path, "data"))
    assert rows == [{"PatientID": "data"}]
    assert "the sheet 'data' was read" in said
    rows, said = read(cover(tmp_path, "data", "old", hidden="old"))
    assert rows == [{"PatientID": "data"}]
    with pytest.raises(CohortError, match=r"'one', 'two'.*sheet="):
        read(cover(tmp_path, "one", "two"))
    for sheet in ("two", 2):
        assert read(cover(tmp_path, "one", "two"), sheet=sheet) == ([{"PatientID": "two"}], "")
    for sheet in ("three", 3, -1, True):
        with pytest.raises(CohortError, match="'Cover', 'one', 'two'"):
            read(cover(tmp_path, "one", "two"), sheet=sheet)


def test_an_empty_first_sheet(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.create_sheet("data")
    sheet.append(["mrn"])
    sheet.append(["1"])
    book.save(tmp_path / "second.xlsx")
    rows, said = read(tmp_path / "second.xlsx")
    assert rows == [{"PatientID": "1"}]
    assert "the sheet 'data' was read" in said


def test_a_second_cohort_in_the_same_file_is_said(tmp_path: Path) -> None:
    path = xlsx(tmp_path, ["mrn"], ["1"])
    book = openpyxl.load_workbook(path)
    book.create_sheet("controls").append(["mrn"])
    book["controls"].append(["2"])
    book.save(path)
    rows, said = read(path)
    assert rows == [{"PatientID": "1"}]
    assert "'controls' may be cohorts, too" in said


def fill_xls(book: Any, sheet: Any) -> None:
    for column, name in enumerate(["mrn", "accession", "StudyDate", "arm"]):
        sheet.write(0, column, name)
    zeros = xlwt.easyxf(num_format_str="000000")
    sheet.write(1, 0, 123, zeros)
    sheet.write(1, 1, "0001E5")
    sheet.write(1, 2, dt.date(2024, 1, 5), xlwt.easyxf(num_format_str="DD.MM.YYYY"))
    sheet.write(2, 0, 1234567, xlwt.easyxf(num_format_str="#,##0"))
    sheet.row(3).set_cell_error(0, 0x2A)
    sheet.write(4, 0, xlwt.Formula('"A"&B1'))
    sheet.write_merge(5, 6, 0, 0, "000777")
    sheet.write(6, 1, "A7")
    sheet.write(7, 1, 7)
    sheet.row(7).hidden = True
    book.add_sheet("notes").write(0, 0, "none")


def test_xls_tells_the_same(tmp_path: Path) -> None:
    path = xls(tmp_path, fill_xls)
    rows, said = read(path)
    assert [row["PatientID"] for row in rows] == ["000123", "1,234,567", "#N/A", "=FORMULA()", "000777", "000777", ""]
    assert rows[0] == {"PatientID": "000123", "AccessionNumber": "0001E5", "StudyDate": "20240105", "arm": ""}
    assert refused(path)[1:4] == [True, True, True]
    for sentence in (
        "row 1 (line 3), PatientID: stored as a number, and shown with thousands",
        "row 2 (line 4), PatientID: an error",
        "row 3 (line 5), PatientID: a formula without its result",
        "filled from their first cell: row 5 (line 7), PatientID",
        "row 6 (line 8), AccessionNumber: stored as a number, leading zeros",
        "hides rows (a filter?), and they were read like the others: line 8",
    ):
        assert sentence in said
    assert "row 0" not in said


def test_a_formula_without_its_result_in_xls_is_unknown_and_not_blank(tmp_path: Path) -> None:
    """Asked without it, the row would match all studies of the patient."""

    def fill(_: Any, sheet: Any) -> None:
        for column, (name, cell) in enumerate({"PatientID": "000777", "accession": xlwt.Formula('"A"&"1"')}.items()):
            sheet.write(0, column, name)
            sheet.write(1, column, cell)

    assert refused(xls(tmp_path, fill)) == [True]


def test_ods_tells_the_same(tmp_path: Path) -> None:
    path = ods(
        tmp_path,
        ["mrn", "accession", "StudyDate", "arm"],
        [ods_cell("000123", "float", value="123"), "A1", ods_cell("05.01.24", "date", date_value="2024-01-05"), "x"],
        [ods_cell("1.234.567", "float", value="1234567"), "A2", ods_cell("", "float", value="20240105")],
        [ods_cell("#N/A", formula="of:=NA()"), "A3"],
        [ods_cell(kind="", formula="of:=[.A1]"), "A4"],
        [ods_cell("000777", number_rows_spanned="2", number_columns_spanned="1"), "A5"],
        ["<table:covered-table-cell/>", "A6"],
        [ods_cell(kind="", number_columns_repeated="16384")],
        [ods_cell("Err:502"), ods_cell("7<text:s text:c='2'/>8", number_columns_repeated="1")],
        [ods_cell("###", "float", value="123")],
    )
    rows, said = read(path)
    names = ["000123", "1.234.567", "#N/A", "=[.A1]", "000777", "000777", "Err:502", "###"]
    assert [row["PatientID"] for row in rows] == names
    assert rows[0] == {"PatientID": "000123", "AccessionNumber": "A1", "StudyDate": "20240105", "arm": "x"}
    assert rows[1]["StudyDate"] == "20240105"
    assert rows[6]["AccessionNumber"] == "7  8"
    assert refused(path) == [False, True, True, True, False, False, True, True]
    assert "row 3 (line 5), PatientID: a formula without its result" in said
    assert "filled from their first cell: row 5 (line 7), PatientID" in said
    assert "row 0" not in said


def test_ods_repeats_rows_and_cells(tmp_path: Path) -> None:
    path = ods(tmp_path, ["mrn", "arm"], [ods_cell("1", number_columns_repeated="2")])
    content = ODS.format(
        rows=f"<table:table-row>{ods_cell('mrn')}</table:table-row>"
        f'<table:table-row table:number-rows-repeated="2">{ods_cell("1")}</table:table-row>'
        '<table:table-row table:number-rows-repeated="1048570"><table:table-cell/></table:table-row>'
    )
    assert read(path)[0] == [{"PatientID": "1", "arm": "1"}]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("content.xml", content)
    assert read(path)[0] == [{"PatientID": "1"}, {"PatientID": "1"}]


def test_passwords_are_said(tmp_path: Path) -> None:
    protected = tmp_path / "a.xlsx"
    protected.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(512) + "EncryptedPackage".encode("utf-16-le"))
    for path in (protected, ods(tmp_path, ["mrn"], encrypted=True)):
        with pytest.raises(CohortError, match="password"):
            read(path)


def test_xlsb_does_not_tell_empty_cells_from_errors() -> None:
    """Made with pyxlsbwriter: text, two empty cells, a number."""
    path = Path(__file__).parent / "files" / "cohort.xlsb"
    rows, said = read(path)
    assert rows == [
        {"PatientID": "000123", "AccessionNumber": "A1", "StudyDate": "#UNKNOWN!"},
        {"PatientID": "#UNKNOWN!", "AccessionNumber": "A2", "StudyDate": "20240105"},
        {"PatientID": "124", "AccessionNumber": "A3", "StudyDate": "x"},
    ]
    assert refused(path) == [True, True, True]
    assert "row 1 (line 3), PatientID: either empty or an error of the spreadsheet: save the file as .xlsx" in said


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xlsx", b""),
        ("a.xlsx", b"PK\x03\x04 and then nothing"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)),
        ("a.xls", b"<html><table><tr><td>accession</td></tr></table></html>"),
        ("a.ods", b"accession\nA1\n"),
        ("a.csv", b"PK\x03\x04 and then nothing"),
        ("a.csv", b"<html><table><tr><td>accession</td></tr></table></html>"),
    ],
)
def test_a_file_that_is_not_a_spreadsheet_is_a_cohort_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CohortError):
        read(tmp_path / name)


@pytest.mark.parametrize("content", [{}, {"a.txt": "x"}, {"xl/workbook.xml": "<x/>"}, {"content.xml": "<x"}])
def test_archives_of_something_else(tmp_path: Path, content: dict[str, str]) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    (tmp_path / "a.xlsx").write_bytes(file.getvalue())
    with pytest.raises(CohortError):
        read(tmp_path / "a.xlsx")


def test_a_spreadsheet_of_another_name(tmp_path: Path) -> None:
    path = xlsx(tmp_path, ["accession"], ["A1"])
    for name in ("a.xls", "a.csv", "a.ods"):
        (tmp_path / name).write_bytes(path.read_bytes())
        assert read(tmp_path / name)[0] == [{"AccessionNumber": "A1"}]


texts = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs", "Mn"]), max_size=8).map(
    lambda text: text.strip(EDGES)
)


@relaxed
@given(st.lists(st.tuples(texts, texts), max_size=5))
def test_files_of_openpyxl_are_read_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    def as_text(sheet: Any) -> None:
        for cells in sheet.iter_rows():
            for cell in cells:
                cell.data_type = "s"

    path = xlsx(tmp_path, ["accession", "arm"], *map(list, rows), after=as_text)
    found = [(row["AccessionNumber"], row["arm"]) for row in read(path)[0]]
    # Excel escapes what XML cannot hold, and an empty line is no row.
    kept = [row for row in rows if any(row)]
    assert found == kept


@relaxed
@given(st.integers(0, 10**15 - 1), st.integers(1, 20))
def test_zeros_in_front_are_seen(value: int, width: int) -> None:
    assert shown(value, "0" * width) == f"{value:0{width}}"
    assert shown(float(value), "0" * width) == f"{value:0{width}}"


@relaxed
@given(st.floats(allow_nan=False, allow_infinity=False), st.text(alphabet='0#?.,;%E+-/"\\_*[]@ aRd<', max_size=12))
def test_any_format_shows_something(value: float, number_format: str) -> None:
    assert isinstance(shown(value, number_format), str)


@pytest.mark.parametrize(
    ("number_format", "seen"), [("h:mm", "10:30"), ("[$-407]hh:mm", "10:30"), ("hh:mm:ss", "10:30:00")]
)
def test_a_time_that_is_shown_without_seconds_is_the_minute(tmp_path: Path, number_format: str, seen: str) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["AccessionNumber", "StudyTime"])
    sheet.append(["A1", dt.time(10, 30)])
    sheet["B2"].number_format = number_format
    book.save(tmp_path / "times.xlsx")
    assert read_cohort(tmp_path / "times.xlsx")["StudyTime"].tolist() == [seen]
