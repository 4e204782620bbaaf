"""A row that an earlier run completed is `complete`, and `resumed`; also where an earlier version wrote it down."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.events import Event, RowFinished, RunStarted, SubOperationEvent
from dicomove.results import RESULT_COLUMNS
from dicomove.testing import RehearsalPacs, Synthetic, faults
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


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.filterwarnings("ignore::dicomove.InterruptedWarning")
def test_the_counts_of_missing_instances_are_not_those_of_the_row(tmp_path: Path, concurrency: int) -> None:
    """A continued run asks for the missing instances, series by series, and is stopped between two series."""
    source = Synthetic(studies=1, series=4, instances=9 if concurrency == 1 else 30, size=64)
    rows = receiving.studies(source, 1)

    def served(*present: faults.Fault, port: int = 0) -> RehearsalPacs:
        return RehearsalPacs(source, present, destinations=receiver.as_destination(), port=port)

    def stopped(pacs: dm.Pacs, after: int) -> pd.Series:
        seen: list[SubOperationEvent] = []

        def act(event: Event) -> None:
            if isinstance(event, SubOperationEvent):
                seen.append(event)
                if len(seen) == after:
                    raise KeyboardInterrupt

        return dm.move(rows, pacs, receiver, concurrency=concurrency, progress=act).iloc[0]

    slow = faults.Latency(seconds=0.1)
    with receiving.receiver(tmp_path) as receiver:
        with served(slow) as pacs:
            assert stopped(pacs, 3)["outcome"] == "cancelled"
        with served(slow, faults.IgnoresCancel(), port=pacs.port) as pacs:
            again = stopped(pacs, 2)
        held = len(receiver.manifest())
        assert held < 4 * (9 if concurrency == 1 else 30)
        assert (again["outcome"], again["received"]) == ("cancelled", held)
        assert again["received"] + again["missing"] == again["expected"]
        with served(port=pacs.port) as pacs:
            whole = dm.move(rows, pacs, receiver, progress=False).iloc[0]
        assert (whole["outcome"], whole["resumed"]) == ("complete", False)
        assert len(receiver.manifest()) == whole["received"] == whole["expected"]
