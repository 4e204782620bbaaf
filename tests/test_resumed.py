"""A row that an earlier run completed is `complete`, and `resumed`; also where an earlier version wrote it down."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.events import Event, RowFinished, RunStarted
from dicomove.results import RESULT_COLUMNS
from dicomove.testing import RehearsalPacs, Synthetic
from dicomove.testing.rehearsal import RunningPacs
from tests import receiving

pytestmark = pytest.mark.timeout(60)

#: Version 0.1.0 wrote it, whose second run had `skipped` its first row.
BEFORE = Path(__file__).parent / "data" / "journal_0.1.0.sql"
SOURCE = Synthetic(studies=2, series=1, instances=2, size=64, patients=2)
UIDS = list(dict.fromkeys(one.study_instance_uid for one in SOURCE.instances_of_all()))
TABLE = pd.DataFrame({"StudyInstanceUID": [*UIDS, ""], "arm": ["a", "b", "c"]}, index=["x", "y", "z"])


@pytest.fixture
def pacs() -> Iterator[RunningPacs]:
    with RehearsalPacs(SOURCE) as running:
        yield running


@pytest.fixture
def journal(tmp_path: Path, pacs: RunningPacs) -> Path:
    path = tmp_path / "pull.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(BEFORE.read_text().replace("{pacs}", pacs.address))
    return path


def test_a_journal_of_an_earlier_version_is_read(journal: Path) -> None:
    results = dm.read_journal(journal)
    assert results["outcome"].tolist() == ["complete", "complete", "invalid"]
    assert results["resumed"].tolist() == [True, False, False]
    assert results["attempts"].tolist() == [0, 1, 0]
    assert results["completed"].tolist()[:2] == [2, 2]
    assert dm.read_journal(journal, run=1)["resumed"].tolist() == [False]
    assert dm.store.read_attempts(journal)["resumed"].tolist() == [False, False]
    assert dm.summary(journal).loc[("complete", ""), "rows"] == 2


def test_a_journal_of_an_earlier_version_is_resumed(pacs: RunningPacs, journal: Path) -> None:
    seen: list[Event] = []
    results = dm.move(TABLE, pacs, pacs.destination, journal=journal, progress=seen.append)
    assert receiving.outcomes(results) == ["resumed", "resumed", "invalid"]
    assert [event.requests for event in seen if isinstance(event, RunStarted)] == [0]
    shown = [(event.outcome, event.resumed) for event in seen if isinstance(event, RowFinished)]
    assert shown == [("complete", True), ("complete", True), ("invalid", False)]
    pd.testing.assert_frame_equal(dm.read_journal(journal), results)


def test_a_table_that_an_earlier_version_saved_counts_as_complete() -> None:
    before = pd.DataFrame({"outcome": ["skipped", "complete", "empty"], "attempts": [1, 1, 1]})
    assert dm.summary(before)["rows"].to_dict() == {("complete", ""): 2, ("empty", ""): 1, ("all", ""): 3}


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
@pytest.mark.parametrize("edited", [False, True])
def test_the_column_comes_back_from_files(
    pacs: RunningPacs, journal: Path, tmp_path: Path, suffix: str, *, edited: bool
) -> None:
    results = dm.move(TABLE, pacs, pacs.destination, journal=journal, progress=False)
    assert list(results.columns[-len(RESULT_COLUMNS) :]) == list(RESULT_COLUMNS)
    assert RESULT_COLUMNS[RESULT_COLUMNS.index("attempts") + 1] == "resumed"
    path = dm.export(results, tmp_path / f"results{suffix}")
    if edited and suffix == ".csv":
        path.with_name(f"{path.name}.schema.json").unlink()
    back = dm.read_results(path)
    assert back["resumed"].dtype == bool
    assert back["resumed"].tolist() == results["resumed"].tolist() == [True, True, False]
