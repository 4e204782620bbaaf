"""A table that went into the journal, or into a file, is the same table when it comes back."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

import dicomove as dm
from dicomove import columns
from dicomove.errors import JournalError
from dicomove.outcome import NOT_ATTEMPTED
from dicomove.results import Row, result_table
from dicomove.store import Journal, RowRecord, RunRecord, cells, cohort_sha256, exporting
from tests.journals import COMPLETE, FACTS, reading, rows

pytestmark = pytest.mark.timeout(60)

# What breaks files of text: quotes, ends of lines, what looks like a number, nothing at all.
NASTY = ["", "000123", "0001E5", "nan", "None", "True", "7", '"', ",", ";", "\r", "\n", "\r\n", " a ", "#", "1.2.840.3"]
SPRING = [datetime(2026, 3, 29, hour, 30, tzinfo=UTC) for hour in (0, 1, 2)]
LONG_AGO = datetime(1899, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001 (the caller's times may have no zone)
TIMES = [LONG_AGO, datetime(2026, 11, 24)]  # noqa: DTZ001 (likewise)
VALUES: dict[str, list[Any]] = {
    "str": [*NASTY, "ü", "😀", None],
    "object": [*NASTY, "ü", None],
    "int64": [0, -(2**63), 2**63 - 1],
    "Int64": [0, 2**53 + 1, None],
    "float64": [0.0, 0.1, -1e300, 7.0, float("nan"), float("inf"), float("-inf")],
    "float32": [0.0, 1.5, float("nan")],
    "bool": [True, False],
    "boolean": [True, False, None],
    "datetime64[ns]": [*TIMES, None],
    "datetime64[us, UTC]": [*SPRING, None],
    "datetime64[us, Europe/Berlin]": [*SPRING, None],
    "timedelta64[us]": [timedelta(days=-1, microseconds=7), None],
}
LABELS = {
    "str": [text for text in NASTY if text],
    "int64": VALUES["int64"],
    "datetime64[us]": TIMES,
    "datetime64[us, Europe/Berlin]": SPRING,
}


def column(choice: random.Random, pool: dict[str, list[Any]], length: int, *more: str) -> pd.Series:
    dtype = choice.choice(sorted(pool))
    # What a drawn text looks like is hypothesis' choice; where it stands is not.
    values = [*pool[dtype], *more] if dtype in ("str", "object") else pool[dtype]
    found = choice.choices(values, k=length)
    return columns.text(found) if dtype == "str" else pd.Series(found, dtype=dtype)


@st.composite
def tables(draw: st.DrawFn, pool: dict[str, list[Any]] = VALUES) -> pd.DataFrame:
    """A table with columns of all sorts, on an index of all sorts."""
    choice = draw(st.randoms(use_true_random=False).map(lambda found: random.Random(found.getrandbits(32))))
    drawn = draw(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=4))
    length = choice.randrange(6)
    names = choice.sample([*NASTY, drawn], choice.randrange(6)) if drawn not in NASTY else []
    table = pd.DataFrame({n: column(choice, pool, length, drawn) for n in range(len(names))}, index=range(length))
    table.columns = pd.Index(names, dtype="str")
    levels = [column(choice, LABELS, length, drawn) for _ in range(choice.randrange(4))]
    if len(levels) == 1:
        table.index = pd.Index(levels[0], name=choice.choice([None, "patient", "000"]))
    elif levels:
        table.index = pd.MultiIndex.from_arrays(levels, names=[choice.choice([None, "patient"]) for _ in levels])
    return table


def row(choice: random.Random) -> Row:
    def maybe(*values: Any) -> Any:
        return choice.choice([None, *values])

    return Row(
        outcome=choice.choice(["complete", "partial", "failed", "invalid"]),
        status=maybe("0x0000", "0xA801"),
        error=maybe("some_failed"),
        error_comment=maybe(*NASTY[1:], "ü" * 64),
        total=maybe(0, 2**53 + 1),
        bytes=maybe(0, 2**62),
        failed_sop_instance_uids=maybe("\\".join(["1.2.840.10008.1"] * 9000)),
        attempts=choice.randrange(3),
        started_at=maybe(*SPRING),
        duration_s=maybe(0.0, 0.1, 1e9),
    )


@st.composite
def results(draw: st.DrawFn, pool: dict[str, list[Any]] = VALUES) -> pd.DataFrame:
    table = draw(tables(pool))
    choice = random.Random(draw(st.integers(0, 2**32)))
    return result_table(table, [row(choice) for _ in range(len(table))])


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_freq=False, check_column_type=False)
    assert found.index.names == expected.index.names


def facts_of(table: pd.DataFrame) -> RunRecord:
    levels = [table.index.get_level_values(number) for number in range(table.index.nlevels)]
    return replace(
        FACTS,
        columns=list(table.columns),
        dtypes=[str(dtype) for dtype in table.dtypes],
        index_names=list(table.index.names),
        index_dtypes=[str(level.dtype) for level in levels],
    )


def written(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The table after a journey through a journal, without the columns of results."""
    made = [table.iloc[:, number].tolist() for number in range(table.shape[1])]
    with Journal.open(path) as journal:
        number = journal.begin(
            facts_of(table),
            [
                RowRecord(position=position, label=found, cells=[values[position] for values in made])
                for position, found in enumerate(table.index)
            ],
        )
        return dm.read_journal(path, run=number)


MANY = settings(max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(tables())
def test_the_callers_table_comes_back_from_the_journal(tmp_path: Path, table: pd.DataFrame) -> None:
    expected = result_table(table, [Row(outcome="not_attempted", advice=NOT_ATTEMPTED)] * len(table))
    assert_same(written(table, tmp_path / "pull.sqlite"), expected)


@pytest.mark.parametrize("suffix", [".csv", ".json"])
@MANY
@given(table=results())
def test_a_result_table_comes_back_from_a_file(tmp_path: Path, suffix: str, table: pd.DataFrame) -> None:
    before = table.copy(deep=True)
    path = dm.export(table, tmp_path / f"results{suffix}")
    assert_same(dm.read_results(path), table)
    assert_same(table, before)


@MANY
@given(table=results())
@example(table=result_table(pd.DataFrame({"PatientID": ["0001"]}), [COMPLETE]))
def test_a_result_table_comes_back_from_parquet(tmp_path: Path, table: pd.DataFrame) -> None:
    table.index = table.index.set_names([f"level {number}" for number in range(table.index.nlevels)])
    path = dm.export(table, tmp_path / "results.parquet")
    assert_same(dm.read_results(path), table)


# What hypothesis does not think of.


def test_labels_dates_and_numbers_of_numpy_come_back_as_they_were(tmp_path: Path) -> None:
    mixed = [np.int32(7), np.bool_(True), date(2026, 11, 24), ("a", 1), None, np.float64("nan"), "7", LONG_AGO]
    table = pd.DataFrame({"mixed": pd.Series(mixed, dtype=object, index=list("abcaabcd"))})
    expected = [7, True, date(2026, 11, 24), ("a", 1), None, None, "7", pd.Timestamp(LONG_AGO)]
    files = [dm.export(table, tmp_path / name) for name in ("mixed.csv", "mixed.json")]
    for found in (written(table, tmp_path / "pull.sqlite"), *map(dm.read_results, files)):
        assert found["mixed"].tolist() == expected
        assert [type(one) for one in found["mixed"]] == [type(one) for one in expected]
        assert found.index.tolist() == list("abcaabcd")


def test_intervals_come_back_as_text(tmp_path: Path) -> None:
    table = pd.DataFrame({"age": pd.interval_range(0, 2), "mrn": ["007", "008"]})
    for name in ("results.csv", "results.json"):
        found = dm.read_results(dm.export(table, tmp_path / name))
        assert found.to_numpy().tolist() == [["(0, 1]", "007"], ["(1, 2]", "008"]]


def test_parquet_has_no_whole_number_of_any_size(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one type for each column"):
        dm.export(pd.DataFrame({"a": [10**30, 1]}, dtype=object), tmp_path / "results.parquet")


def test_columns_on_two_levels_and_half_a_character(tmp_path: Path) -> None:
    pairs = pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")], names=["upper", None])
    table = pd.DataFrame([["\udce9", "1"]], columns=pairs, dtype=object)
    assert written(table, tmp_path / "pull.sqlite").iloc[0, :2].tolist() == ["\udce9", "1"]
    assert len(cohort_sha256(table)) == 64
    for name in ("results.csv", "results.json"):
        assert_same(dm.read_results(dm.export(table, tmp_path / name)), table)


def test_a_journal_is_exported_as_its_latest_run(tmp_path: Path) -> None:
    path = tmp_path / "pull.sqlite"
    with Journal.open(path) as journal:
        journal.begin(FACTS, rows(9))
        journal.add(journal.begin(FACTS, rows(1, 2)), [reading(1)])
    for name in ("results.csv", "results.json", "RESULTS.PARQUET"):
        assert_same(dm.read_results(dm.export(path, tmp_path / name)), dm.read_journal(path))
    with pytest.raises(JournalError, match="there is no journal"):
        dm.export(tmp_path / "none.sqlite", tmp_path / "results.csv")


def test_other_tables_are_exported_too(tmp_path: Path) -> None:
    path = tmp_path / "pull.sqlite"
    with Journal.open(path) as journal:
        journal.add(journal.begin(FACTS, rows(1, 2)), [reading(1)])
    for table in (dm.store.read_attempts(path), dm.read_manifest(path)):
        for name in ("other.csv", "other.json"):
            assert_same(dm.read_results(dm.export(table, tmp_path / name)), table)


@pytest.mark.parametrize("edit", ["edited", "without its types"])
def test_an_edited_csv_file_is_read_by_its_headers(tmp_path: Path, edit: str) -> None:
    table = result_table(pd.DataFrame({"AccessionNumber": ["000123", "000124"]}, index=["a", "b"]), [COMPLETE] * 2)
    path = dm.export(table, tmp_path / "results.csv")
    if edit == "edited":
        path.write_text(path.read_text().rpartition("b,")[0])
    else:
        path.with_name("results.csv.schema.json").unlink()
    found = dm.read_results(path)
    assert_same(found, table.iloc[: len(found)])
    assert len(found) == (1 if edit == "edited" else 2)


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = dm.export(pd.DataFrame({"a": [1]}), tmp_path / "results.parquet")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="one type for each column") as caught:
        dm.export(pd.DataFrame({"a": pd.Series([1, "SECRET"], dtype=object)}), path)
    assert "SECRET" not in str(caught.value)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["results.parquet"]


@pytest.mark.parametrize("names", [[1, 2], ["a", "a"]])
def test_names_that_parquet_does_not_take(tmp_path: Path, names: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"unique column names.*export to \.json"):
        dm.export(pd.DataFrame([[1, 2]], columns=names), tmp_path / "results.parquet")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda _: None)
    for act in (lambda path: dm.export(pd.DataFrame(), path), dm.read_results):
        with pytest.raises(ImportError, match=r'pip install "dicomove\[parquet\]"'):
            act(tmp_path / "results.parquet")


@pytest.mark.parametrize("act", [lambda path: dm.export(pd.DataFrame(), path), dm.read_results])
def test_an_unknown_suffix(tmp_path: Path, act: Callable[[Path], object]) -> None:
    with pytest.raises(ValueError, match=r"'results\.xlsx'.*one of the suffixes \.csv, \.json, \.parquet"):
        act(tmp_path / "results.xlsx")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"rows": [[1]]}', "not JSON"])
def test_json_of_something_else(tmp_path: Path, content: str) -> None:
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(ValueError, match="does not hold a table that export wrote"):
        dm.read_results(tmp_path / "other.json")


# The hash of a cohort.

COHORT = pd.DataFrame({"PatientID": ["0001", "0002"], "visits": [1, 2]})


@pytest.mark.parametrize(
    "same",
    [
        COHORT.set_index(pd.Index(["x", "x"])),
        COHORT.astype({"visits": "Int64"}),
        COHORT.astype({"visits": "float64"}),
        COHORT.astype(object),
        COHORT.astype(str),
    ],
)
def test_the_hash_is_of_what_the_cohort_says(same: pd.DataFrame) -> None:
    assert cohort_sha256(same) == cohort_sha256(COHORT)


@pytest.mark.parametrize(
    "other",
    [
        COHORT[::-1],
        COHORT[["visits", "PatientID"]],
        COHORT[:1],
        COHORT.rename(columns={"visits": "Visits"}),
        COHORT.replace("0001", "1"),
        COHORT.replace("0001", None),
        COHORT.replace("0001", ""),
    ],
)
def test_the_hash_tells_cohorts_apart(other: pd.DataFrame) -> None:
    assert cohort_sha256(other) != cohort_sha256(COHORT)


def test_the_hash_stays_what_it_is() -> None:
    """It stands in journals, and in papers."""
    assert cohort_sha256(COHORT) == "d96b6b768bdec2ed582e8a5a6df81b39b740af68e863dc2177b1c4f34e26e6be"
    assert cohort_sha256(COHORT[:0]) == hashlib.sha256(b'["PatientID", "visits"]').hexdigest()


@pytest.mark.parametrize("dtype", ["str", "object"])
def test_text_of_one_pandas_is_read_by_the_other(dtype: str) -> None:
    found = cells.column(["000123", None], dtype)
    assert found[0] == "000123"
    assert found.isna().tolist() == [False, True]
