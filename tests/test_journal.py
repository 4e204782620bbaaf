"""The journal as the run writes it: durable, shared within a process, and nobody else's at the same time."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.errors import JournalError
from dicomove.results import invalid, resumed
from dicomove.store import Journal, sqlite
from tests.journals import AT, COMPLETE, FACTS, PARTIAL, entry, key, opened_elsewhere, outcomes, python, reading, rows

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pull.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open(path) as opened:
        yield opened


# What is written is there.


def test_a_run_reads_as_it_was_written(journal: Journal, path: Path) -> None:
    run = journal.begin(FACTS, rows(1, 2, None, 1))
    journal.add(run, [reading(1)])
    table = dm.read_journal(path)
    assert table["outcome"].tolist() == ["complete", "not_attempted", "not_attempted", "complete"]
    assert table["StudyInstanceUID"].tolist() == ["1.2.1", "1.2.2", "1.2.None", "1.2.1"]
    assert table["group"].tolist() == [7] * 4
    assert table.loc[0, "started_at"] == AT
    assert table["remaining"].isna().all()


def test_a_run_says_who_when_and_with_what(journal: Journal, path: Path) -> None:
    run = journal.begin(FACTS, rows(1))
    facts = dm.read_journal(path).attrs["run"]
    assert (facts["run"], facts["ended_at"], facts["interrupted"]) == (run, None, None)
    assert (facts["pacs"], facts["destination"], facts["options"]) == (FACTS.pacs, "HERE", FACTS.options)
    assert facts["versions"]["dicomove"] == dm.__version__
    assert set(facts["versions"]) == {"python", "dicomove", "pynetdicom", "pydicom", "pandas"}
    assert facts["pid"] == os.getpid()
    dm.read_journal(path).to_parquet(path.with_suffix(".parquet"))
    assert pd.read_parquet(path.with_suffix(".parquet")).attrs["run"] == facts
    journal.end(run, interrupted=True)
    (row,) = dm.store.read_runs(path).reset_index().to_dict("records")
    assert (row["run"], row["interrupted"], row["columns"]) == (run, True, ["StudyInstanceUID", "group"])
    assert row["started_at"] <= row["ended_at"]


def test_a_result_that_stands_from_the_beginning_stays(journal: Journal, path: Path) -> None:
    refused = invalid(dm.errors.IdentifierError("a wildcard", column="StudyInstanceUID"))
    run = journal.begin(
        FACTS, [*rows(None, settled=refused), replace(rows(1)[0], position=1, row=resumed(COMPLETE, AT))]
    )
    assert outcomes(path) == ["invalid", "complete"]
    assert dm.read_journal(path)["resumed"].tolist() == [False, True]
    # Another run of the same process may still be at it.
    journal.add(run, [reading(1, PARTIAL)])
    assert outcomes(path) == ["invalid", "complete"]
    assert dm.read_journal(path)["resumed"].tolist() == [False, True]


def test_an_attempt_is_appended_and_the_last_one_counts(journal: Journal, path: Path) -> None:
    run = journal.begin(FACTS, rows(1))
    journal.add(run, [reading(1, PARTIAL, final=False)])
    assert outcomes(path) == ["partial"]
    asked = replace(reading(1), level="IMAGE", identifier=(*key(1).keys, ("SOPInstanceUID", "1.2.3\\1.2.4\\1.2.5")))
    journal.add(run, [asked])
    assert outcomes(path) == ["complete"]
    attempts = dm.store.read_attempts(path)
    assert attempts["outcome"].tolist() == ["partial", "complete"]
    assert attempts["asked_level"].tolist() == ["STUDY", "IMAGE"]
    assert attempts["asked_uids"].tolist() == [1, 3]
    assert attempts["final"].tolist() == [False, True]
    assert attempts["StudyInstanceUID"].tolist() == ["1.2.1"] * 2
    assert attempts["row"].tolist() == [0, 0]


def test_each_run_has_its_own_results(journal: Journal, path: Path) -> None:
    first = journal.begin(FACTS, rows(1, 2))
    journal.add(first, [reading(1, PARTIAL), reading(2)])
    second = journal.begin(FACTS, rows(3, 1))
    journal.add(second, [reading(1)])
    assert outcomes(path) == ["not_attempted", "complete"]
    assert outcomes(path, first) == ["partial", "complete"]
    assert dm.store.read_attempts(path, run=second)["row"].tolist() == [1]
    for unknown in (0, 3):
        with pytest.raises(JournalError, match=f"no run {unknown}"):
            dm.read_journal(path, run=unknown)


def test_earlier_is_the_latest_reading_of_each_key(journal: Journal) -> None:
    first = journal.begin(FACTS, rows(1, 2, 3))
    journal.add(first, [reading(1, PARTIAL), reading(2), reading(1)])
    second = journal.begin(FACTS, rows(2))
    journal.add(second, [reading(2, PARTIAL)])
    found = journal.earlier([key(1), key(2), key(3), key(9), key(1, pacs="OTHER@h:104")])
    assert {known: (one.row, one.run) for known, one in found.items()} == {
        key(1): (COMPLETE, first),
        key(2): (PARTIAL, second),
    }
    assert all(one.at.tzinfo for one in found.values())
    assert journal.known([key(1), key(3), key(9)]) == {key(1), key(3)}


def test_a_clock_that_jumps_back_changes_no_order(journal: Journal, path: Path) -> None:
    run = journal.begin(FACTS, rows(1))
    journal.add(run, [reading(1, PARTIAL)])
    journal._connection.execute("UPDATE attempts SET at = '2099-01-01T00:00:00+00:00'")
    journal.add(run, [reading(1)])
    assert outcomes(path) == ["complete"]
    assert journal.earlier([key(1)])[key(1)].row == COMPLETE


# Instances: what each run brought, and what is there.


def test_instances_are_those_of_the_last_reading_that_found_any(journal: Journal, path: Path) -> None:
    first = journal.begin(FACTS, rows(1, 2))
    journal.add(first, [reading(1, PARTIAL, [entry(1, 1), entry(1, 2)]), reading(2, COMPLETE, [entry(2, 1)])])
    second = journal.begin(FACTS, rows(2, 1))
    again = [entry(1, 1), entry(1, 2, "b"), entry(1, 3)]
    journal.add(second, [reading(1, COMPLETE, again), reading(2, PARTIAL._replace(received=None))])
    stored = journal.instances([key(1), key(2), key(9)])
    assert {known: len(files) for known, files in stored.items()} == {key(1): 3, key(2): 1, key(9): 0}
    assert {one.sha256[0] for one in stored[key(1)]} == {"a", "b"}
    manifest = dm.read_manifest(path)
    assert manifest["path"].tolist() == ["1.2.1/1/1.dcm", "1.2.1/1/2.dcm", "1.2.1/1/3.dcm", "1.2.2/1/1.dcm"]
    assert manifest["run"].tolist() == [first, second, second, first]
    assert manifest["row"].tolist() == [0, 1, 1, 1]


def test_a_manifest_of_a_run_is_what_it_brought_whatever_came_later(journal: Journal, path: Path) -> None:
    first = journal.begin(FACTS, rows(1))
    journal.add(first, [reading(1, PARTIAL, [entry(1, 1), entry(1, 2)])])
    before = dm.read_manifest(path, run=first)
    second = journal.begin(FACTS, rows(1))
    moved = [entry(1, 1, path="elsewhere/1.dcm"), replace(entry(1, 2), times_received=2)]
    journal.add(second, [reading(1, COMPLETE, moved)])
    after = dm.read_manifest(path, run=first)
    pd.testing.assert_frame_equal(before.drop(columns="times_received"), after.drop(columns="times_received"))
    assert dm.read_manifest(path, run=second)["path"].tolist() == ["elsewhere/1.dcm"]
    assert dm.read_manifest(path)["path"].tolist() == ["1.2.1/1/2.dcm", "elsewhere/1.dcm"]
    assert dm.read_manifest(path)["times_received"].tolist() == [2, 1]


def test_an_instance_of_two_rows_is_one_line_of_the_manifest(journal: Journal, path: Path) -> None:
    run = journal.begin(FACTS, rows(1, 2))
    same = entry(1, 1)
    journal.add(run, [reading(1, COMPLETE, [same]), reading(2, COMPLETE, [same])])
    assert len(dm.read_manifest(path)) == 1
    assert all(journal.instances([key(1), key(2)]).values())


def test_a_manifest_is_one_that_verify_takes(journal: Journal, path: Path, tmp_path: Path) -> None:
    run = journal.begin(FACTS, rows(1))
    journal.add(run, [reading(1, COMPLETE, [entry(1, 1)])])
    assert dm.verify(dm.read_manifest(path), folder=tmp_path)["verified"].tolist() == ["missing"]


def test_patients_are_where_the_table_had_them_and_nowhere_else(journal: Journal, path: Path) -> None:
    secret = replace(key(1), keys=(("PatientID", "P-SECRET"), ("StudyInstanceUID", "1.2.1")))
    assert "P-SECRET" not in repr(secret)
    run = journal.begin(FACTS, rows(1))
    journal.add(run, [reading(1, COMPLETE, [entry(1, 1)])])
    assert b"P-SECRET" not in path.read_bytes()


# Who has it.


def test_a_process_that_opens_it_twice_shares_it_and_other_processes_are_refused(path: Path) -> None:
    (path.parent / "link").symlink_to(path.parent, target_is_directory=True)
    first, second = Journal.open(path), Journal.open(path.parent / "link" / path.name)
    first.close()
    assert second.begin(FACTS, rows(1)) == 1
    told = opened_elsewhere(path)
    assert str(path) in told
    assert f"process {os.getpid()} on {socket.gethostname()}" in told
    second.close()
    second.close()
    assert opened_elsewhere(path) == ""
    with Journal.open(path) as third:
        assert third.begin(FACTS, rows(1)) == 2


HOLDS = """
    import os, sys
    from dicomove.errors import JournalError
    from dicomove.store import Journal, ownership
    ownership._PATIENCE_S = 0.1
    journal = Journal.open(sys.argv[1])
    if os.fork():
        sys.stdin.readline()
        os._exit(0)
    try:
        Journal.open(sys.argv[1])
    except JournalError as error:
        print("child:", error, flush=True)
    sys.stdin.readline()
    sys.stdin.readline()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_the_process_that_has_it_does_not_have_it(path: Path) -> None:
    with python(HOLDS, path) as parent:
        assert parent.stdin
        assert parent.stdout
        assert f"process {parent.pid}" in parent.stdout.readline()
        parent.kill()
        parent.wait()
        # The child lives on, as the worker of a pool does whose notebook was killed.
        with Journal.open(path) as journal:
            assert journal.begin(FACTS, rows(1)) == 1
        parent.stdin.close()


def test_threads_take_turns(journal: Journal, path: Path) -> None:
    run = journal.begin(FACTS, rows(*range(40)))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: journal.add(run, [reading(number, COMPLETE, [entry(number, 1)])]), range(40)))
    assert outcomes(path) == ["complete"] * 40
    assert len(dm.read_manifest(path)) == 40


def test_a_reader_sees_a_transaction_as_a_whole_or_not_at_all(journal: Journal, path: Path) -> None:
    run = journal.begin(FACTS, rows(*range(20)))

    def write() -> None:
        for number in range(0, 20, 2):
            journal.add(run, [reading(number), reading(number + 1)])

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        seen = 0
        while not written.done():
            found = outcomes(path)
            assert found[::2] == found[1::2]
            assert found.count("complete") >= seen
            seen = found.count("complete")
        written.result()
    assert outcomes(path) == ["complete"] * 20


@pytest.mark.parametrize("read", [dm.read_journal, dm.store.read_attempts, dm.read_manifest])
def test_work_grows_with_the_rows_and_not_with_their_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], pd.DataFrame]
) -> None:
    steps = []
    connect = sqlite.connect

    def counting(path: Path, mode: str, busy_s: float) -> sqlite3.Connection:
        connection = connect(path, mode, busy_s)
        connection.set_progress_handler(lambda: steps.append(1), 100)
        return connection

    monkeypatch.setattr(sqlite, "connect", counting)
    taken = []
    for count in (200, 800):
        with Journal.open(tmp_path / f"{count}.sqlite") as journal:
            run = journal.begin(FACTS, rows(*range(count)))
            journal.add(run, [reading(number, COMPLETE, [entry(number, 1)]) for number in range(count)])
            steps.clear()
            assert len(read(journal.path)) == count
            taken.append(len(steps))
    assert taken[0] > 10
    assert taken[1] < taken[0] * 7
