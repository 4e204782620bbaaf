from __future__ import annotations

import csv
import datetime as dt
import io
import sys
import warnings
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pyarrow import parquet

from dicomove.cohort import find_queries, move_identifiers, read_cohort
from dicomove.cohort.values import EDGES
from dicomove.errors import CohortError, CohortWarning, IdentifierError

relaxed = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)  # a busy machine; each example writes the file anew
UID = "1.2.840.113619.2.1"


def write(folder: Path, content: str | bytes, name: str = "cohort.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def workbook(folder: Path, *rows: list[object]) -> Path:
    path = folder / "cohort.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame(list(rows), dtype=object).to_excel(book, sheet_name="first", header=False, index=False)
        pd.DataFrame({"accession": []}).to_excel(book, sheet_name="other", index=False)
    return path


def read_with_warning(path: Path, **options: str) -> tuple[pd.DataFrame, str]:
    with pytest.warns(CohortWarning) as caught:
        table = read_cohort(path, encoding=options.get("encoding", "utf-8-sig"))
    (warning,) = caught
    assert warning.filename == __file__
    return table, str(warning.message)


def records(table: pd.DataFrame) -> list[dict[str, str]]:
    assert isinstance(table.index, pd.RangeIndex)
    assert all(type(cell) is str for column in table.columns for cell in table[column])
    return [{str(name): cell for name, cell in row.items()} for row in table.to_dict("records")]


def test_every_identifier_stays_as_it_was_written(tmp_path: Path) -> None:
    content = f"mrn,accession#,study uid,StudyDate,Modality,arm\n000123,0001E5,{UID},20240105,NA,1.50\nNULL,N/A,,,,\n"
    table, message = read_with_warning(write(tmp_path, content))
    assert message.count("a word that often stands for an empty cell") == 2
    assert records(table) == [
        {
            "PatientID": "000123",
            "AccessionNumber": "0001E5",
            "StudyInstanceUID": UID,
            "StudyDate": "20240105",
            "Modality": "NA",
            "arm": "1.50",
        },
        {
            "PatientID": "NULL",
            "AccessionNumber": "N/A",
            "StudyInstanceUID": "",
            "StudyDate": "",
            "Modality": "",
            "arm": "",
        },
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "accession,arm\nA1,x\n"),
        ("a.CSV", "accession;arm\r\nA1;x\r\n"),
        ("a.csv", "accession\tarm\nA1\tx"),
        ("a.csv", '"accession","arm"\n"A1","x"\n'),
        ("a.csv", '"accession";"arm"\n"A1";"x"\n'),
        ("a.csv", "\n\naccession, arm\n\n A1 ,  x \n\n"),
        ("a.csv", "\ufeffaccession,arm\nA1,x\n"),
        ("a.tsv", "accession\tarm\nA1\tx\n"),
        ("a.txt", "accession\tarm\nA1\tx\n"),
        ("a.txt", "accession;arm\nA1;x\n"),
        ("a.csv", "accession,arm,,\nA1,x,,\n"),
        ("a.csv", "accession,arm\rA1,x\r"),
        ("a.csv", "accession,arm\x85A1,x\x85"),  # of a mainframe
        ("a.csv", b"accession,arm\x85A1,x\x85"),
        ("a.csv", b"# \xe9t\xe9\r\naccession,arm\r\nA1,x\r\n\x1a\0"),  # of DOS
    ],
)
@pytest.mark.filterwarnings("ignore:the file is not encoded in UTF-8")
def test_delimiters_line_ends_and_padding(tmp_path: Path, name: str, content: str | bytes) -> None:
    assert records(read_cohort(write(tmp_path, content, name))) == [{"AccessionNumber": "A1", "arm": "x"}]


def test_a_tsv_is_not_guessed(tmp_path: Path) -> None:
    assert records(read_cohort(write(tmp_path, "a;b;accession\tarm\n1\t2\n", "a.tsv"))) == [
        {"a;b;accession": "1", "arm": "2"}
    ]


def test_utf_16_is_what_a_spreadsheet_calls_unicode_text(tmp_path: Path) -> None:
    table = read_cohort(write(tmp_path, "accession\tname\nA1\tMüller\n".encode("utf-16"), "a.txt"))
    assert records(table) == [{"AccessionNumber": "A1", "name": "Müller"}]


@pytest.mark.parametrize(("name", "encoding"), [("Müller €", "cp1252"), ("M\x81ller", "latin-1")])
def test_text_that_is_not_utf_8_has_a_warning(tmp_path: Path, name: str, encoding: str) -> None:
    path = write(tmp_path, f"accession,name\nA1,{name}\n".encode(encoding))
    table, message = read_with_warning(path)
    assert records(table) == [{"AccessionNumber": "A1", "name": name}]
    assert encoding in message
    assert records(read_cohort(path, encoding=encoding)) == records(table)


def test_another_encoding_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="ascii"):
        read_cohort(write(tmp_path, "accession\nÄ\n"), encoding="ascii")


def test_lines_that_are_rows_and_lines_that_are_not(tmp_path: Path) -> None:
    table = read_cohort(write(tmp_path, "accession,arm\nA1,\n\n  \n,\nA2,x\n"))
    assert records(table) == [
        {"AccessionNumber": "A1", "arm": ""},
        {"AccessionNumber": "", "arm": ""},
        {"AccessionNumber": "A2", "arm": "x"},
    ]
    assert records(read_cohort(write(tmp_path, 'accession\n""\n\nA1\n'))) == [
        {"AccessionNumber": ""},
        {"AccessionNumber": "A1"},
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("accession,arm\nA1,x\nSECRET,JANE,x\n", 3),
        ("accession,arm\n\n\nSECRET,JANE,\n", 4),
        ('accession,arm\n"A\n1",x\nSECRET,JANE,x\n', 4),
        ('accession,arm\nA1,x\n"SECRET,x\n', 3),
        ('accession,arm\nA1,x\n"SECRET"JANE,x\n', 3),
        ("accession,arm\nA1,x\n" + "S" * 200_000 + ",x\n", 3),
    ],
)
def test_a_line_that_does_not_fit_is_named_and_not_shown(tmp_path: Path, content: str, line: int) -> None:
    with pytest.raises(CohortError, match=f"line {line}") as caught:
        read_cohort(write(tmp_path, content))
    assert "SECRET" not in str(caught.value)
    assert "JANE" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "\n\n", "  \n", "\ufeff"])
def test_an_empty_file(tmp_path: Path, content: str) -> None:
    with pytest.raises(CohortError, match="empty"):
        read_cohort(write(tmp_path, content))


def test_a_header_alone_is_an_empty_table(tmp_path: Path) -> None:
    table = read_cohort(write(tmp_path, "accession,arm\n"))
    assert list(table.columns) == ["AccessionNumber", "arm"]
    assert records(table) == []
    assert move_identifiers(table) == find_queries(table) == []


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_cohort(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError):
        read_cohort(str(tmp_path / "none.xlsx"))


def test_a_type_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"\.json"):
        read_cohort(write(tmp_path, "{}", "a.json"))


def test_two_headers_of_one_attribute(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="'MRN' and 'medical record number'"):
        read_cohort(write(tmp_path, "MRN,medical record number\n1,2\n"))
    table = read_cohort(write(tmp_path, "MRN,patientid,x,x\n1,2,3,4\n"))
    assert list(table.columns) == ["MRN", "PatientID", "x", "x"]


DAMAGED = [
    ("AccessionNumber", "1.23457E+19"),
    ("AccessionNumber", '="000123"'),
    ("PatientID", "123.0"),
    ("PatientID", "'000123"),
    ("StudyID", "1234567890120000"),
    ("StudyInstanceUID", "1.2"),
    ("SeriesInstanceUID", "1,2E+19"),
    ("SOPInstanceUID", "12"),
    ("StudyDate", "20240105.0"),
]


@pytest.mark.parametrize(("column", "value"), DAMAGED)
def test_damage_is_reported_by_place_and_left_as_it_is(tmp_path: Path, column: str, value: str) -> None:
    file = io.StringIO()
    csv.writer(file).writerows([[column, "arm"], ["", ""], [value, ""]])
    table, message = read_with_warning(write(tmp_path, file.getvalue()))
    assert records(table)[1] == {column: value, "arm": ""}
    assert f"row 1 (line 3), {column}: " in message
    assert value not in message.replace('="..."', "")
    assert message.count(";") == 0


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("arm", "1.2E+19"),
        ("SeriesDescription", "123.0"),
        ("PatientName", "'t Hooft"),
        ("AccessionNumber", "0001E5"),
        ("AccessionNumber", "1.2"),
        ("StudyInstanceUID", "1.2.3"),
        ("StudyDate", "2024-01-05"),
        ("Modality", "NA"),
        ("arm", "NaN"),
        ("PatientName", "Null"),
    ],
)
def test_what_is_no_damage(tmp_path: Path, column: str, value: str) -> None:
    assert records(read_cohort(write(tmp_path, f"{column};x\n{value};\n"))) == [{column: value, "x": ""}]


def test_one_warning_names_ten_cells_in_order(tmp_path: Path) -> None:
    lines = "".join("123.0,1E+5\n" for _ in range(7))
    _, message = read_with_warning(write(tmp_path, "mrn,accession\n" + lines))
    assert message.count("row ") == 10
    assert message.index("row 0 (line 2), PatientID") < message.index("row 0 (line 2), AccessionNumber")
    assert message.endswith("and 4 more")
    assert "row 5" not in message


def test_damage_that_was_reported_is_refused_by_find(tmp_path: Path) -> None:
    table, _ = read_with_warning(write(tmp_path, "accession\n1.2E+19\nA1\n"))
    assert isinstance(find_queries(table)[0], IdentifierError)


def test_a_spreadsheet(tmp_path: Path) -> None:
    path = workbook(
        tmp_path,
        [None] * 10,
        ["mrn", "accession #", "study uid", "StudyDate", "StudyTime", "SeriesNumber", "age", "seen", "ok", None],
        ["000123", " A1 ", UID, dt.date(2024, 1, 5), dt.time(10, 30), 3, 1.5, dt.datetime(2024, 1, 5), True, None],  # noqa: DTZ001
        [None] * 10,
        ["000124", "0001E5", None, 20240105, None, None, 7, dt.datetime(2024, 1, 5, 9), None, None],  # noqa: DTZ001
    )
    table = read_cohort(path)
    assert "" not in table.columns
    assert [list(row.values()) for row in records(table)] == [
        ["000123", "A1", UID, "20240105", "10:30:00", "3", "1.5", "2024-01-05", "True"],
        ["000124", "0001E5", "", "20240105", "", "", "7", "2024-01-05T09:00:00", ""],
    ]


def test_numbers_in_a_spreadsheet_are_reported_by_place(tmp_path: Path) -> None:
    path = workbook(
        tmp_path,
        ["mrn", "accession", "study uid", "StudyDate"],
        [123, 12345678901234569216, 1.2, 45296.5],
        ["123", "A", UID, "20240105"],
        ["124", dt.date(2024, 3, 2), UID, None],
    )
    table, message = read_with_warning(path)
    row = records(table)[0]
    assert (row["PatientID"], row["StudyInstanceUID"], row["StudyDate"]) == ("123", "1.2", "45296.5")
    assert row["AccessionNumber"] == "1.23456789012346E+19"
    assert "row 0 (line 2), PatientID: stored as a number, leading zeros" in message
    assert "row 0 (line 2), AccessionNumber: stored as a number, digits after the 15th" in message
    assert "row 0 (line 2), StudyInstanceUID: stored as a number" in message
    assert "row 0 (line 2), StudyDate: a date as the number of its day" in message
    assert "row 2 (line 4), AccessionNumber: stored as a date" in message
    assert message.count("row ") == 5
    assert "123456" not in message
    assert "45296" not in message


def test_the_lines_of_a_spreadsheet_are_those_that_it_shows(tmp_path: Path) -> None:
    _, message = read_with_warning(workbook(tmp_path, [None, None], ["mrn", "arm"], [None, None], [123, "a"]))
    assert "row 0 (line 4), PatientID" in message


def test_sheets(tmp_path: Path) -> None:
    path = workbook(tmp_path, ["mrn"], ["1"])
    assert list(read_cohort(path, sheet="other").columns) == ["AccessionNumber"]
    assert list(read_cohort(path, sheet=1).columns) == ["AccessionNumber"]
    for sheet in ("none", 7):
        with pytest.raises(CohortError, match="sheet"):
            read_cohort(path, sheet=sheet)


def test_an_empty_sheet(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="empty"):
        read_cohort(workbook(tmp_path), sheet="first")


@pytest.mark.parametrize("name", ["a.xlsx", "a.xls", "a.ods", "a.parquet"])
def test_a_file_of_another_type(tmp_path: Path, name: str) -> None:
    with pytest.raises(CohortError, match="cannot be read"):
        read_cohort(write(tmp_path, "accession\nA1\n", name))


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("a.xlsx", "openpyxl", "excel"), ("a.xls", "xlrd", "excel"), ("a.parquet", "pyarrow", "parquet")],
)
def test_an_extra_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, extra: str
) -> None:
    content = {"a.xlsx": workbook(tmp_path, ["mrn"]).read_bytes(), "a.xls": b"\xd0\xcf\x11\xe0"}.get(name, b"")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf'pip install "dicomove\[{extra}\]"'):
        read_cohort(write(tmp_path, content, name))


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "cohort.parquet"
    data = pd.DataFrame({"study uid": [UID, None], "SeriesNumber": [3, 4], "arm": [" a", "b"]}, index=[5, 7])
    data.rename_axis("accession").set_index(pd.Index(["A1", "0001E5"], name="accession")).to_parquet(path)
    table = read_cohort(path)
    assert records(table.sort_index(axis=1)) == [
        {"AccessionNumber": "A1", "SeriesNumber": "3", "StudyInstanceUID": UID, "arm": "a"},
        {"AccessionNumber": "0001E5", "SeriesNumber": "4", "StudyInstanceUID": "", "arm": "b"},
    ]
    data.to_parquet(path)
    assert list(read_cohort(path).columns) == ["StudyInstanceUID", "SeriesNumber", "arm"]


def test_numbers_in_parquet_keep_all_digits_and_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "cohort.parquet"
    parquet.write_table(
        pa.table({"accession": [1234567890123456789, None], "StudyDate": [dt.date(2024, 1, 5), None]}), path
    )
    table, message = read_with_warning(path)
    assert records(table)[0] == {"AccessionNumber": "1234567890123456789", "StudyDate": "20240105"}
    assert "row 0, AccessionNumber: stored as a number, leading zeros" in message
    assert "1234" not in message


texts = st.text(alphabet=st.characters(codec="utf-8", exclude_characters='\0\r\ufeff"'), max_size=8).map(
    lambda text: text.strip(EDGES)
)


@relaxed
@given(st.lists(st.tuples(texts, texts, texts), max_size=5), st.sampled_from(",;\t"))
def test_cells_are_read_as_they_are_written(tmp_path: Path, rows: list[tuple[str, str, str]], delimiter: str) -> None:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("accession", "PatientName", "arm"), *rows])
    path = write(tmp_path, file.getvalue())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CohortWarning)
        table = read_cohort(path)
    assert [tuple(row.values()) for row in records(table)] == rows


@relaxed
@given(st.binary(max_size=60), st.sampled_from([".csv", ".tsv", ".txt", ".xlsx", ".ods", ".parquet"]))
def test_any_bytes_are_a_table_or_a_cohort_error(tmp_path: Path, content: bytes, suffix: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CohortWarning)
        try:
            table = read_cohort(write(tmp_path, content, f"cohort{suffix}"))
        except CohortError:
            return
    assert isinstance(table, pd.DataFrame)
