from __future__ import annotations

import csv
import io
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import dicomove as dm
from dicomove.errors import CohortError, CohortWarning

relaxed = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
HEADER = ["", "AccessionNumber", "outcome", "status", "completed", "bytes", "started_at", "duration_s", "resumed"]
LINE = ["0", "000123", "complete", "0x0000", "5", "1048576", "05.11.2026 09:30", "0,35", "WAHR"]


def write(folder: Path, *rows: list[str], delimiter: str = ";", encoding: str = "utf-8-sig", above: str = "") -> Path:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    path = folder / "results.csv"
    path.write_bytes((above + file.getvalue()).encode(encoding))
    return path


def read(path: Path) -> tuple[pd.DataFrame, str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = dm.read_results(path)
    assert all(warning.category is CohortWarning and warning.filename == __file__ for warning in caught)
    return table, " | ".join(str(warning.message) for warning in caught)


def changed(**cells: str) -> list[str]:
    return [cells.get(name, cell) for name, cell in zip(HEADER, LINE, strict=True)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "cp1252", "utf-16"])
@pytest.mark.parametrize(("delimiter", "above"), [(";", ""), (";", "sep=;\r\n"), ("\t", ""), (",", "")])
def test_files_of_a_german_excel_are_read(tmp_path: Path, encoding: str, delimiter: str, above: str) -> None:
    lines = [[*HEADER, "Größe"], [*LINE, "Müller"]]
    table, said = read(write(tmp_path, *lines, delimiter=delimiter, encoding=encoding, above=above))
    row = table.iloc[0]
    assert row["started_at"] == pd.Timestamp("2026-11-05T09:30Z")
    assert (row["completed"], row["bytes"], row["duration_s"], row["resumed"]) == (5, 1048576, 0.35, True)
    assert (row["AccessionNumber"], row["status"], row["Größe"]) == ("000123", "0x0000", "Müller")
    assert str(table["completed"].dtype) == "Int64"
    assert str(table["resumed"].dtype) == "bool"
    assert "started_at: dates were read with the day first" in said


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["05/11/2026 09:30", "13/11/2026 09:30"], [(11, 5), (11, 13)]),
        (["11/05/2026 9:30 AM", "11/13/2026 9:30 PM"], [(11, 5), (11, 13)]),
        (["05.11.2026 09:30:15", "2026-11-06T09:30:00+00:00"], [(11, 5), (11, 6)]),
        (["31-12-2026", ""], [(12, 31)]),
    ],
)
def test_dates_that_one_cell_of_the_column_explains(tmp_path: Path, cells: list[str], expected: list[Any]) -> None:
    table, said = read(write(tmp_path, HEADER, *[changed(started_at=cell) for cell in cells]))
    assert [(time.month, time.day) for time in table["started_at"].dropna()] == expected
    assert "started_at: dates were read with" in said
    hours = [time.hour for time in table["started_at"].dropna()]
    assert hours[-1] == (21 if "PM" in cells[-1] else hours[-1])


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("started_at", "05/11/2026 09:30"),
        ("started_at", "05.13.2026 09:30"),
        ("started_at", "05.11.26 09:30"),
        ("started_at", "46331,3958"),
        ("started_at", "30:15,4"),
        ("started_at", "01. Nov 26"),
        ("started_at", "########"),
        ("bytes", "1,04858E+12"),
        ("bytes", "1.048.576"),
        ("completed", "1.000"),
        ("completed", "1,000"),
        ("completed", "#WERT!"),
        ("completed", "05. Jan"),
        ("duration_s", "01. Jan 35"),
        ("duration_s", "1.048,5"),
        ("resumed", "vielleicht"),
    ],
)
def test_ambiguous_cells_are_refused_by_column_and_row(tmp_path: Path, column: str, cell: str) -> None:
    path = write(tmp_path, HEADER, changed(started_at="2026-11-05 09:30:00+00:00"), changed(**{column: cell}))
    with pytest.raises(CohortError, match=rf"^row 1, {column}: .*export") as caught:
        read(path)
    assert cell not in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["12.000", "1.234", "345"], [12000, 1234, 345]),
        (["1.001", "0", ""], [1001, 0, None]),
        (["1,234", "12,000"], [1234, 12000]),
        (["1.048.576"], [1048576]),
    ],
)
def test_thousands_that_the_column_proves(tmp_path: Path, cells: list[str], expected: list[int | None]) -> None:
    table, said = read(write(tmp_path, HEADER, *(changed(completed=cell) for cell in cells)))
    assert [None if pd.isna(cell) else cell for cell in table["completed"]] == expected
    assert f"row 0, completed: {cells[0]} was read as {expected[0]}" in said


@pytest.mark.parametrize("other", ["5", "7.000", "7,000", "7,001", "1.2345", "0.125"])
def test_thousands_that_may_be_decimals_are_refused(tmp_path: Path, other: str) -> None:
    with pytest.raises(CohortError, match="row 0, completed: the cell is not a whole number, or its mark may separate"):
        dm.read_results(write(tmp_path, HEADER, changed(completed="12.000"), changed(completed=other)))


def test_a_point_beside_decimal_commas_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="row 1, duration_s: its column has decimal commas"):
        read(write(tmp_path, HEADER, LINE, changed(duration_s="1.234")))
    table, _ = read(write(tmp_path, HEADER, changed(duration_s="1.234")))
    assert table["duration_s"].tolist() == [1.234]


@pytest.mark.parametrize(
    ("word", "expected"), [("True", True), ("FALSCH", False), ("VRAI", True), ("FALSE", False), ("1", True)]
)
def test_truth_values_of_other_languages(tmp_path: Path, word: str, expected: bool) -> None:
    assert read(write(tmp_path, HEADER, changed(resumed=word)))[0]["resumed"].tolist() == [expected]
    table, _ = read(write(tmp_path, HEADER, changed(resumed=word), changed(resumed="")))
    assert table["resumed"].isna().tolist() == [False, True]


def test_damage_to_identifiers_is_said(tmp_path: Path) -> None:
    table, said = read(write(tmp_path, HEADER, LINE, changed(AccessionNumber="1,23457E+19")))
    assert table["AccessionNumber"].tolist() == ["000123", "1,23457E+19"]
    assert "row 1, AccessionNumber: scientific notation" in said
    assert "1,23" not in said


def test_lines_that_were_kept_in_one_cell(tmp_path: Path) -> None:
    """A spreadsheet that looks for semicolons opens a file of commas as one column."""
    inner = io.StringIO()
    csv.writer(inner, lineterminator="\n").writerows([[*HEADER, "advice"], [*changed(duration_s="0.35"), 'a, "b"']])
    lines = inner.getvalue().splitlines()
    path = tmp_path / "results.csv"
    for rows in ([[line] for line in lines], [[lines[0]]]):
        file = io.StringIO()
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
        path.write_text(file.getvalue() + ("" if len(rows) > 1 else lines[1] + "\n"))
        table, _ = read(path)
        assert table["advice"].tolist() == ['a, "b"']
        assert table["completed"].tolist() == [5]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"a;b\r\n1\r\n",
        b'a;b\r\n"1;2\r\n',
        b'a;b\r\n"1"x;2\r\n',
        b"outcome;b\r\n1;2;3\r\n",
        "outcome;b\r\n1;2\r\n".encode("utf-16-le")[:-1],
    ],
)
def test_what_is_no_table_is_a_cohort_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "results.csv").write_bytes(content)
    with pytest.raises(CohortError):
        dm.read_results(tmp_path / "results.csv")


@pytest.mark.parametrize("suffix", [".json", ".parquet", ".csv"])
@pytest.mark.parametrize("content", [b"\xff\xfe\xfd", b"[1]", b"PAR1 PAR1", b'{"rows": 1, "schema": 2}', None])
def test_no_traceback_of_a_library(tmp_path: Path, suffix: str, content: bytes | None) -> None:
    path = tmp_path / f"results{suffix}"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    if suffix == ".csv" and content and content.isascii():
        assert isinstance(read(path)[0], pd.DataFrame)
    else:
        with pytest.raises(CohortError):
            dm.read_results(path)
    with pytest.raises(FileNotFoundError):
        dm.read_results(tmp_path / f"none{suffix}")


def test_a_damaged_file_of_types_is_left_out(tmp_path: Path) -> None:
    path = dm.export(pd.DataFrame({"AccessionNumber": ["000123"], "outcome": ["complete"]}), tmp_path / "results.csv")
    path.with_name("results.csv.schema.json").write_bytes(b"{\xff")
    assert dm.read_results(path)["AccessionNumber"].tolist() == ["000123"]


times = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)).map(lambda time: time.replace(microsecond=0))  # noqa: DTZ001


@relaxed
@given(st.lists(st.tuples(times, st.integers(0, 10**12), st.integers(0, 10**6), st.booleans()), min_size=1, max_size=5))
def test_every_table_in_german_comes_back(tmp_path: Path, rows: list[tuple[datetime, int, int, bool]]) -> None:
    lines = [
        changed(
            started_at=f"{time:%d.%m.%Y %H:%M:%S}",
            bytes=str(size),
            duration_s=f"{span / 1000:.3f}".replace(".", ","),
            resumed="WAHR" if resumed else "FALSCH",
        )
        for time, size, span, resumed in rows
    ]
    table, _ = read(write(tmp_path, HEADER, *lines))
    assert [time.to_pydatetime() for time in table["started_at"]] == [time.replace(tzinfo=UTC) for time, *_ in rows]
    assert table["bytes"].tolist() == [size for _, size, *_ in rows]
    assert table["duration_s"].tolist() == [span / 1000 for _, _, span, _ in rows]
    assert table["resumed"].tolist() == [resumed for *_, resumed in rows]


@relaxed
@given(st.binary(max_size=80), st.sampled_from([".csv", ".json", ".parquet"]))
def test_any_bytes_are_a_table_or_a_cohort_error(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"any{suffix}"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CohortWarning)
        try:
            table = dm.read_results(path)
        except CohortError:
            return
    assert isinstance(table, pd.DataFrame)
