"""The file itself: what is in it lasts, what is no journal is left alone, and what was exported comes back."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import dicomove as dm
from dicomove.journal import Journal, Key, Reading, RowFacts, RunFacts, cohort_sha256
from dicomove.results import Row, not_attempted, result_table
from tests import servers

NOW = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)


def key(number: int = 1) -> Key:
    return Key("PACS@127.0.0.1:104", "DICOMOVE", "STUDY", "StudyRoot", (("StudyInstanceUID", f"1.2.{number}"),))


def facts(columns: Sequence[str] = ("StudyInstanceUID",)) -> RunFacts:
    return RunFacts(
        pacs="PACS@127.0.0.1:104",
        destination="DICOMOVE",
        calling_ae_title="ME",
        options={"concurrency": 2},
        cohort_sha256="0" * 64,
        columns=columns,
        dtypes=["str"] * len(columns),
        index_names=[None],
        index_dtypes=["int64"],
    )


def rows(count: int) -> list[RowFacts]:
    return [RowFacts(position=n, label=n, cells=[f"1.2.{n}"], key=key(n)) for n in range(count)]


def reading(number: int = 0, outcome: Any = "complete", **more: Any) -> Reading:
    row = Row(outcome=outcome, attempts=1, started_at=NOW, finished_at=NOW, duration_s=0.5, **more)
    return Reading(key=key(number), row=row, level="STUDY", identifier=key(number).keys)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pull.sqlite"


def test_the_latest_attempt_is_what_counts_and_none_is_rewritten(path: Path) -> None:
    with Journal.open(path) as journal:
        run = journal.begin(facts(), rows(3))
        journal.add(run, [reading(0, "failed", error="out_of_resources"), reading(1)])
        journal.add(run, [reading(0)])
        assert journal.known([key(0), key(2), key(7)]) == {key(0), key(2)}
        found = journal.earlier([key(0), key(1), key(2)])
    assert {number: found[key(number)].row.outcome for number in (0, 1)} == {0: "complete", 1: "complete"}
    assert key(2) not in found
    assert dm.read_attempts(path)["outcome"].tolist() == ["failed", "complete", "complete"]
    assert dm.read_journal(path)["outcome"].tolist() == ["complete", "complete", "not_attempted"]
    assert dm.read_runs(path)["ended_at"].isna().tolist() == [True]


def test_each_run_has_its_table(path: Path) -> None:
    with Journal.open(path) as journal:
        first = journal.begin(facts(), rows(2))
        journal.add(first, [reading(0, "failed")])
        second = journal.begin(facts(), rows(1))
        journal.add(second, [reading(0)])
        journal.end(second, interrupted=False)
    assert dm.read_journal(path, run=first)["outcome"].tolist() == ["failed", "not_attempted"]
    assert dm.read_journal(path)["outcome"].tolist() == ["complete"]
    with pytest.raises(dm.JournalError, match="no run 7"):
        dm.read_journal(path, run=7)


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"PK\3\4 a spreadsheet", "damaged"), (b"SQLite format 3\0" + bytes(5000), "damaged"), (b"x", "no journal of dicomove")],
    ids=["other", "header only", "one byte"],
)
def test_what_is_no_journal_is_left_as_it_is(path: Path, content: bytes, what: str) -> None:
    path.write_bytes(content)
    with pytest.raises(dm.JournalError, match=what):
        Journal.open(path)
    assert path.read_bytes() == content
    with pytest.raises(dm.JournalError, match=what):
        dm.read_journal(path)


def test_a_database_of_something_else(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE patients (name)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(dm.JournalError, match="is no journal of dicomove"):
        Journal.open(path)
    assert path.read_bytes() == before


def test_a_journal_of_a_newer_dicomove(path: Path) -> None:
    Journal.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(dm.JournalError, match=r"version 99.*newer dicomove"):
        Journal.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_journal_that_was_cut(path: Path, share: float) -> None:
    with Journal.open(path) as journal:
        run = journal.begin(facts(), rows(2000))
        journal.add(run, [reading(number) for number in range(2000)])
    whole = path.read_bytes()
    cut = whole[: int(len(whole) * share)]
    path.write_bytes(cut)
    with pytest.raises(dm.JournalError, match=r"damaged.*left as it is"):
        Journal.open(path)
    assert path.read_bytes() == cut


def test_what_was_written_before_a_kill_is_there_after_it(path: Path) -> None:
    script = textwrap.dedent(f"""
        import itertools
        from pathlib import Path
        from tests.test_journal import *
        journal = Journal.open({str(path)!r})
        run = journal.begin(facts(), rows(5000))
        for number in itertools.count():
            journal.add(run, [reading(n) for n in range(number * 5, number * 5 + 5)])
            print(number, flush=True)
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout
        said = [process.stdout.readline() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    written = int([line for line in said if line.endswith("\n")][-1]) + 1
    complete = (dm.read_journal(path)["outcome"] == "complete").sum()
    assert complete in (written * 5, written * 5 + 5)
    with Journal.open(path) as journal:
        assert len(journal.earlier([key(number) for number in range(5000)])) == complete


def test_one_process_at_a_time_and_who_has_it(path: Path) -> None:
    with Journal.open(path), Journal.open(path):
        script = f"from dicomove.journal import Journal; Journal.open({str(path)!r})"
        other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert f"another process has the journal {path} (process {os.getpid()} on " in other.stderr
    subprocess.run([sys.executable, "-c", script], check=True)


def test_who_shares_it_keeps_it(path: Path) -> None:
    first, second = Journal.open(path), Journal.open(path)
    assert first is second
    run = first.begin(facts(), rows(1))
    closing = threading.Thread(target=first.close)
    closing.start()
    closing.join()
    second.add(run, [reading(0)])
    second.close()
    Journal.open(path).close()


def test_a_disk_that_is_full_loses_nothing_that_was_written(path: Path) -> None:
    with Journal.open(path) as journal:
        run = journal.begin(facts(), rows(400))
        pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
        journal._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        journal.add(run, [reading(0)])
        with pytest.raises(dm.JournalError, match="cannot be written: database or disk is full"):
            journal.add(run, [reading(number) for number in range(1, 400)])
        assert len(dm.read_attempts(path)) == 1
        journal._connection.execute("PRAGMA max_page_count = 1000000")
        journal.add(run, [reading(number) for number in range(1, 400)])
    assert len(dm.read_attempts(path)) == 400


def test_reading_while_somebody_writes(path: Path) -> None:
    with Journal.open(path) as journal:
        run = journal.begin(facts(), rows(50))
        stop = threading.Event()

        def write() -> None:
            for number in range(50):
                journal.add(run, [reading(number)])
            stop.set()

        writer = threading.Thread(target=write)
        writer.start()
        seen = []
        while not stop.is_set():
            seen.append((dm.read_journal(path)["outcome"] == "complete").sum())
        writer.join()
    assert seen == sorted(seen)
    servers.wait_until(lambda: (dm.read_journal(path)["outcome"] == "complete").sum() == 50)


def test_what_identifies_a_patient_is_in_no_repr() -> None:
    patient = Key("P@h:1", "D", "PATIENT", "PatientRoot", (("PatientID", "DOE^JANE"),))
    assert "DOE" not in repr(patient)


def test_the_hash_of_a_cohort_is_that_of_what_it_says() -> None:
    table = pd.DataFrame({"StudyInstanceUID": ["1.2", None], "n": [1, 2]})
    same = [
        table.set_axis(["x", "y"], axis=0),
        table.astype(object),
        table.assign(n=["1", "2"]),
        table.astype({"n": "Int64"}),
    ]
    changed = [table.assign(n=[1, 3]), table.assign(n=["", "2"])]
    other = [table[::-1], table[["n", "StudyInstanceUID"]], table[:1], *changed]
    assert {cohort_sha256(one) for one in same} == {cohort_sha256(table)}
    assert len({cohort_sha256(one) for one in other} | {cohort_sha256(table)}) == 6


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=6)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Result tables over any index that can be written down."""
    count = draw(st.integers(0, 4))
    several = draw(st.booleans())
    uids = draw(st.lists(st.sampled_from(["1.2", "007", None]), min_size=count, max_size=count))
    made = {
        "StudyInstanceUID": pd.Series(uids, dtype="str"),
        "n": draw(st.lists(st.integers(-(2**53), 2**53), min_size=count, max_size=count)),
        "x": draw(st.lists(st.floats(allow_infinity=False, width=32), min_size=count, max_size=count)),
        "yes": draw(st.lists(st.booleans(), min_size=count, max_size=count)),
        "note": pd.Series(draw(st.lists(TEXT, min_size=count, max_size=count)), dtype="str"),
        "when": pd.Series([NOW] * count, dtype="datetime64[us, UTC]"),
    }
    table = pd.DataFrame(made, index=range(count)).astype({"n": "int64", "x": "float64", "yes": "bool"})
    labels = draw(st.lists(TEXT, min_size=count, max_size=count))
    if several:
        numbers = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
        levels: list[pd.Series] = [pd.Series(labels, dtype="str"), pd.Series(numbers, dtype="int64")]
        table.index = pd.MultiIndex.from_arrays(levels, names=["site", None])
    else:
        table.index = pd.Index(pd.Series(labels, dtype="str"), name=draw(st.sampled_from([None, "site"])))
    outcome = Row(outcome="complete", total=3, completed=3, started_at=NOW, duration_s=0.25, error_comment='a, "b"\n')
    return result_table(table, [draw(st.sampled_from([outcome, not_attempted()])) for _ in range(count)])


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
@settings(max_examples=40)
@given(table=tables())
def test_what_was_exported_comes_back(tmp_path_factory: pytest.TempPathFactory, kind: str, table: pd.DataFrame) -> None:
    folder = tmp_path_factory.mktemp("export")
    path = dm.export(table, folder / f"results.{kind}")
    assert_frame_equal(dm.read_results(path), table)
    assert not list(folder.glob("*.part"))


def test_a_csv_without_what_stands_beside_it_has_our_types(tmp_path: Path) -> None:
    table = result_table(pd.DataFrame({"AccessionNumber": ["007"]}), [Row(outcome="complete", total=3, started_at=NOW)])
    path = dm.export(table, tmp_path / "results.csv")
    (tmp_path / "results.csv.schema.json").unlink()
    read = dm.read_results(path)
    assert read["AccessionNumber"].tolist() == ["007"]
    assert str(read["total"].dtype) == "Int64"
    assert str(read["started_at"].dtype) == "datetime64[us, UTC]"


def test_a_journal_is_exported_too(path: Path, tmp_path: Path) -> None:
    with Journal.open(path) as journal:
        journal.add(journal.begin(facts(), rows(2)), [reading(0)])
    read = dm.read_results(dm.export(path, tmp_path / "results.json"))
    assert read["outcome"].tolist() == ["complete", "not_attempted"]


def test_a_suffix_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="suffix"):
        dm.export(pd.DataFrame(), tmp_path / "results.xls")
