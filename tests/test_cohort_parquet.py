from __future__ import annotations

import datetime as dt
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from dicomove.cohort import find_queries, read_cohort
from dicomove.cohort.values import text
from dicomove.errors import CohortError, CohortWarning, IdentifierError


def read(path: Path) -> tuple[list[dict[str, str]], str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = read_cohort(path)
    assert all(warning.category is CohortWarning for warning in caught)
    rows = [{str(name): cell for name, cell in row.items()} for row in table.to_dict("records")]
    return rows, " | ".join(str(warning.message) for warning in caught)


def write(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path)
    return path


def test_a_folder_is_all_its_files_in_their_order(tmp_path: Path) -> None:
    folder = tmp_path / "cohort.parquet"
    for number in (10, 2, 0):
        write(folder / f"part.{number}.parquet", accession=[f"A{number}"])
    write(folder / "_hidden.parquet", accession=["B"])
    write(folder / ".crc" / "part.parquet", accession=["C"])
    (folder / "_SUCCESS").touch()
    assert read(folder)[0] == [{"AccessionNumber": "A0"}, {"AccessionNumber": "A2"}, {"AccessionNumber": "A10"}]


def test_partitions_keep_their_zeros(tmp_path: Path) -> None:
    for site in ("007", "010"):
        write(tmp_path / "d" / f"PatientID={site}" / "part-0.parquet", accession=[f"A{site}"])
    assert read(tmp_path / "d")[0] == [
        {"AccessionNumber": "A007", "PatientID": "007"},
        {"AccessionNumber": "A010", "PatientID": "010"},
    ]


def test_a_column_that_one_file_lacks_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "d" / "part.0.parquet", mrn=["1"])
    write(tmp_path / "d" / "part.1.parquet", mrn=["2"], accession=["A2"])
    rows, _ = read(tmp_path / "d")
    assert rows == [{"PatientID": "1", "AccessionNumber": ""}, {"PatientID": "2", "AccessionNumber": "A2"}]


def test_types_of_other_programs(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet",
        mrn=pa.array([b"000123", b"\xff\xfe"]),
        accession=pa.array(["A1", "A2"]).dictionary_encode(),
        StudyDate=pa.array([dt.datetime(2024, 1, 5), None], pa.timestamp("ns")),  # noqa: DTZ001 (a cell has no zone)
        StudyTime=pa.array([dt.time(9, 30), None]),
        StudyID=pa.array([Decimal(7), None]),
        seen=pa.array([dt.datetime(2024, 1, 5, tzinfo=dt.UTC), None], pa.timestamp("us", "Europe/Berlin")),
        sizes=pa.array([[1, 2], None]),
    )
    rows, said = read(path)
    assert rows[0] == {
        "PatientID": "000123",
        "AccessionNumber": "A1",
        "StudyDate": "20240105",
        "StudyTime": "09:30:00",
        "StudyID": "7",
        "seen": "2024-01-05T01:00:00+01:00",
        "sizes": "[1, 2]",
    }
    assert "row 1, PatientID: a character that another program could not read" in said
    assert "row 0, StudyID: stored as a number" in said
    assert said.count("row ") == 2


def test_periods(tmp_path: Path) -> None:
    months = pd.PeriodIndex(["2024-01", "2024-02"], freq="M")
    pd.DataFrame({"accession": ["A1", "A2"], "StudyDate": months, "month": months}).to_parquet(tmp_path / "a.parquet")
    rows, said = read(tmp_path / "a.parquet")
    assert [row["StudyDate"] for row in rows] == ["20240101-20240131", "20240201-20240229"]
    assert [row["month"] for row in rows] == ["2024-01", "2024-02"]
    assert not said


def test_structures_are_refused_as_keys(tmp_path: Path) -> None:
    rows, said = read(write(tmp_path / "a.parquet", accession=[["A1"], ["A2"]]))
    assert rows[0] == {"AccessionNumber": "['A1']"}
    assert "row 0, AccessionNumber: a list" in said


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 and then nothing PAR1", b"accession\nA1\n"])
def test_a_file_that_is_not_parquet_is_a_cohort_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d").mkdir()
    for path in (tmp_path / "a.parquet", tmp_path / "d" / "part.parquet"):
        path.write_bytes(content)
    for path in (tmp_path / "a.parquet", tmp_path / "d"):
        with pytest.raises(CohortError, match="cannot be read"):
            read(path)


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        ("2024-01-05 00:00:00", "StudyDate", "2024-01-05"),
        ("2024-01-05T00:00:00", "StudyDate", "2024-01-05"),
        ("2024-01-05 00:00:00.000000", "StudyDate", "2024-01-05"),
        ("2024-01-05T00:00:00Z", "StudyDate", "2024-01-05"),
        ("2024-01-05 00:00:00+00:00", "PatientBirthDate", "2024-01-05"),
        ("2024-01-05 00:00", "StudyDate", "2024-01-05"),
        ("2024-01-05 09:30:00", "StudyDate", "2024-01-05"),
        ("2024-01-05T23:59:59.5", "StudyDate", "2024-01-05"),
        ("2024-01-05T09:30:00Z", "StudyDate", "2024-01-05T09:30:00Z"),
        ("2024-01-05 24:30:00", "StudyDate", "2024-01-05 24:30:00"),
        ("2024-01-05 00:00:00", "StudyDescription", "2024-01-05 00:00:00"),
        (pd.Timestamp("2024-01-05", tz="Europe/Berlin"), "StudyDate", "20240105"),
        (np.datetime64("2024-01-05T00:00"), "StudyDate", "20240105"),
        (pd.Period("2024-01-05", "D"), "StudyDate", "20240105"),
        (pd.Period("2024-02", "M"), "StudyDate", "20240201-20240229"),
        (pd.Period("2024", "Y"), "StudyDate", "20240101-20241231"),
        (dt.timedelta(hours=9, minutes=30), "StudyTime", "093000"),
        (pd.Timedelta("09:30:15"), "StudyTime", "093015"),
        (np.timedelta64(90, "m"), "StudyTime", "013000"),
    ],
)
def test_dates_and_times_of_tables(value: object, column: str, expected: str) -> None:
    assert text(value, column) == expected


@pytest.mark.parametrize(
    ("value", "column", "reason"),
    [
        (b"A1", "AccessionNumber", "bytes"),
        (pd.Period("2024", "Y"), "AccessionNumber", "Period"),
        (pd.Timestamp("2024-01-05"), "StudyInstanceUID", "Timestamp"),
        (np.datetime64("2024-01-05"), "PatientID", "datetime64"),
        (dt.timedelta(days=2), "StudyTime", "timedelta"),
    ],
)
def test_other_types_are_refused_with_a_reason(value: object, column: str, reason: str) -> None:
    with pytest.raises(IdentifierError, match=reason):
        text(value, column)


def test_dates_of_a_table_are_asked_for() -> None:
    table = pd.DataFrame({"accession": ["A1", "A2"], "StudyDate": ["2024-01-05 00:00:00", pd.Period("2024-02", "M")]})
    queries = find_queries(table)
    found = [dict(query.steps[0].keys)["StudyDate"] for query in queries if not isinstance(query, IdentifierError)]
    assert found == ["20240105", "20240201-20240229"]
