"""The journal as a file: what is no journal stays as it is, and who is killed, or has no room, leaves a whole one."""

from __future__ import annotations

import os
import queue
import random
import shutil
import signal
import sqlite3
import stat
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.errors import JournalError
from dicomove.run.journal import JournalWriter
from dicomove.run.messages import Write, Written
from dicomove.run.settings import RunSettings
from dicomove.store import JOURNAL_FILE, Journal
from dicomove.store.journal import _version
from dicomove.store.schema import JOURNAL
from tests.journals import COMPLETE, FACTS, entry, key, outcomes, python, reading, rows
from tests.run_events import task

pytestmark = pytest.mark.timeout(60)

STUDIES = 300


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pull.sqlite"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of one run, and of more than a hundred pages."""
    path = tmp_path_factory.mktemp("journal") / "finished.sqlite"
    with Journal.open(path) as journal:
        run = journal.begin(FACTS, rows(*range(STUDIES)))
        journal.add(run, [reading(number, COMPLETE, [entry(number, 1)]) for number in range(STUDIES)])
        journal.end(run, interrupted=False)
    return path


def assert_refused(path: Path, match: str) -> None:
    """Nobody opens it, and it stays as it is; the sentence says what to do."""
    before = path.read_bytes()
    with pytest.raises(JournalError, match=match) as caught:
        Journal.open(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert not path.with_name(f"{path.name}.owner").exists()


# What is no journal.


@pytest.mark.parametrize(
    "content", [b"x", b"xy", b"PatientID;StudyInstanceUID\n1;1.2.3\n" * 400, b"SQLite format 3\0", b"\0" * 9000]
)
def test_a_file_that_is_not_a_database(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert_refused(path, r"not a journal.*move (it|that file) away")
    with pytest.raises(JournalError, match="not a journal"):
        dm.read_journal(path)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_database_of_something_else(path: Path, mode: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE theirs (a)")
    assert_refused(path, "is not a journal of dicomove: give another name")
    with pytest.raises(JournalError, match="is not a journal"):
        dm.read_journal(path)


@pytest.mark.parametrize("version", [JOURNAL.version + 1, 99])
def test_a_newer_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            f"PRAGMA application_id = {JOURNAL.application_id}; PRAGMA user_version = {version}; CREATE TABLE runs (a)"
        )
    assert_refused(path, f"version {version}.*use the newer dicomove")
    for read in (dm.read_journal, dm.read_manifest, dm.store.read_attempts, dm.store.read_runs):
        with pytest.raises(JournalError, match="use the newer dicomove"):
            read(path)


@pytest.mark.parametrize("cut", [0.05, 0.3, 0.5, 0.9, 0.999, 4096, 4097, 100, 99, 20])
def test_a_file_that_was_cut(path: Path, finished: Path, cut: float) -> None:
    content = finished.read_bytes()
    path.write_bytes(content[: int(cut * len(content)) if cut < 1 else int(cut)])
    assert_refused(path, "is damaged.*move it away, and the next run begins a new one")
    # Who reads gets what is still there, or the same error, and no other.
    for read in (dm.read_journal, dm.read_manifest, dm.store.read_attempts, dm.store.read_runs):
        try:
            assert len(read(path)) <= STUDIES
        except JournalError as error:
            assert "is damaged" in str(error)  # noqa: PT017 (either is right)


def test_a_file_with_a_hole(path: Path, finished: Path) -> None:
    content = bytearray(finished.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 8192] = b"\0" * 8192
    path.write_bytes(content)
    assert_refused(path, "is damaged")


def test_an_empty_file_is_a_new_journal(path: Path) -> None:
    path.touch()
    with pytest.raises(JournalError, match="no run has begun"):
        dm.read_journal(path)
    with Journal.open(path) as journal:
        assert journal.begin(FACTS, rows(1)) == 1


def test_a_name_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="is a folder: name a file in it"):
        Journal.open(tmp_path)
    with pytest.raises(JournalError, match="does not exist: create it"):
        Journal.open(tmp_path / "typo" / "pull.sqlite")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(JournalError, match="there is no journal at"):
        dm.read_journal(tmp_path / "pull.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_receiver_has_its_own(tmp_path: Path) -> None:
    with Journal.open(tmp_path / JOURNAL_FILE) as journal:
        journal.begin(FACTS, rows(1))
        assert outcomes(tmp_path) == ["not_attempted"]
        assert len(dm.store.read_runs(tmp_path)) == 1


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_other_users_may_not_read_it(path: Path) -> None:
    with Journal.open(path) as journal:
        run = journal.begin(FACTS, rows(1))
        journal.add(run, [reading(1)])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes[path.name] == modes[f"{path.name}-journal"] == 0o600


def test_it_needs_no_shared_memory_and_waits_for_the_disk(path: Path) -> None:
    with Journal.open(path) as journal:
        modes = [
            journal._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]
    assert modes == ["truncate", 2]


# Who is killed while writing.

KILLED = """
    import os, sys
    from dicomove.store import Journal
    from tests.journals import FACTS, COMPLETE, entry, reading, rows
    journal = Journal.open(sys.argv[1])
    # Pages go to the file before the transaction ends, as in one that is larger than the cache.
    journal._connection.execute("PRAGMA cache_size = 1")
    journal._connection.execute("BEGIN IMMEDIATE")
    journal._begin(FACTS, rows(*range(1000, 1400)))
    journal._add(2, [reading(number, COMPLETE, [entry(number, 1)]) for number in range(1000, 1400)])
    print("in the middle", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("first", ["who reads", "who writes"])
def test_a_transaction_of_a_killed_process_is_undone(path: Path, finished: Path, first: str) -> None:
    shutil.copy(finished, path)
    before = path.read_bytes()
    with python(KILLED, path) as process:
        assert process.stdout
        assert process.stdout.readline() == "in the middle\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    hot = path.with_name(f"{path.name}-journal")
    assert hot.stat().st_size > 1000
    assert path.read_bytes() != before
    if first == "who reads":
        assert outcomes(path) == ["complete"] * STUDIES
        assert path.read_bytes() == before
    with Journal.open(path) as journal:
        assert path.read_bytes() == before
        assert len(journal.known([key(number) for number in range(1400)])) == STUDIES
        assert journal.begin(FACTS, rows(1000)) == 2
    assert len(dm.read_manifest(path)) == STUDIES


MAKES = """
    import sqlite3, sys
    from dicomove.store import schema
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("PRAGMA cache_spill = 1")
    connection.executescript("BEGIN IMMEDIATE;" + schema.JOURNAL.schema)
    connection.execute("CREATE TABLE filler AS SELECT randomblob(40000)")
    print("in the middle", flush=True)
    sys.stdin.readline()
"""


def test_one_who_was_killed_while_the_file_was_made(path: Path) -> None:
    with python(MAKES, path) as process:
        assert process.stdout
        assert process.stdout.readline() == "in the middle\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.stat().st_size > 0
    with Journal.open(path) as journal:
        assert journal.begin(FACTS, rows(1)) == 1
    assert outcomes(path) == ["not_attempted"]


ADDS = """
    import sys
    from dicomove.store import Journal
    from tests.journals import FACTS, COMPLETE, entry, reading, rows
    with Journal.open(sys.argv[1]) as journal:
        run = journal.begin(FACTS, rows(*range(4000)))
        for number in range(0, 4000, 4):
            batch = range(number, number + 4)
            journal.add(run, [reading(one, COMPLETE, [entry(one, 1)]) for one in batch])
            print(number + 4, flush=True)
"""


def test_added_records_survive_a_kill_at_any_time(path: Path) -> None:
    choice = random.Random(20261124)
    for run in range(1, 4):
        with python(ADDS, path) as process:
            assert process.stdout
            said = [process.stdout.readline() for _ in range(choice.randrange(1, 40))]
            process.send_signal(signal.SIGKILL)
            said += process.stdout.readlines()
            process.wait()
        added = len(dm.store.read_attempts(path, run=run))
        # The last one may have been durable before it could say so.
        told = int([line for line in said if line.endswith("\n")][-1])
        assert added in (told, told + 4)
        assert outcomes(path, run) == ["complete"] * added + ["not_attempted"] * (4000 - added)
        with Journal.open(path) as journal:
            assert all(journal.instances([key(number) for number in range(added)]).values())


# Who has no room.


def test_a_full_disk_leaves_nothing_half_written_and_later_there_is_room(path: Path) -> None:
    with Journal.open(path) as journal:
        run = journal.begin(FACTS, rows(*range(STUDIES)))
        before = path.read_bytes()
        (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
        journal._connection.execute(f"PRAGMA max_page_count = {pages}")
        readings = [reading(number, COMPLETE, [entry(number, 1)]) for number in range(STUDIES)]
        for _ in range(2):
            with pytest.raises(JournalError, match=r"cannot be written: database or disk is full \(make room\)"):
                journal.add(run, readings)
        with pytest.raises(JournalError, match="full"):
            journal.begin(FACTS, rows(*range(STUDIES)))
        assert path.read_bytes() == before
        journal._connection.execute("PRAGMA max_page_count = 1000000")
        journal.add(run, readings)
        assert outcomes(path) == ["complete"] * STUDIES
        assert len(dm.store.read_attempts(path)) == len(dm.read_manifest(path)) == STUDIES


def test_a_journal_that_cannot_be_written_for_a_night_says_so_once(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomove.run.journal._TRY_AGAIN_S", 0.01)
    settings = RunSettings(dm.Pacs(FACTS.pacs), ("HERE",))
    written: queue.SimpleQueue[Written] = queue.SimpleQueue()
    with Journal.open(path) as journal:
        run = journal.begin(FACTS, rows(*range(STUDIES)))
        (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
        journal._connection.execute(f"PRAGMA max_page_count = {pages}")
        writer = JournalWriter(journal, run, settings, written.put)
        writer.put(Write(task(0), tuple(reading(number, COMPLETE) for number in range(STUDIES))))
        assert "make room" in (writer.flush(1) or "")  # a hundred attempts
        journal._connection.execute("PRAGMA max_page_count = 1000000")
        assert writer.flush(10) is None
        writer.close()
    assert written.get().write.task == task(0)
    assert len([line for line in caplog.messages if "make room" in line]) == 1


LIMITED = """
    import resource, sys
    from pathlib import Path
    from dicomove.errors import JournalError
    from dicomove.store import Journal
    from tests.journals import FACTS, COMPLETE, entry, reading, rows
    path = Path(sys.argv[1])
    with Journal.open(path) as journal:
        run = journal.begin(FACTS, rows(*range(300)))
        readings = [reading(number, COMPLETE, [entry(number, 1)]) for number in range(300)]
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5000, hard))
        try:
            journal.add(run, readings)
        except JournalError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        journal.add(run, readings)
        journal.end(run, interrupted=False)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit here")
def test_a_write_that_the_system_refuses_in_the_middle(path: Path) -> None:
    with python(LIMITED, path) as process:
        said, _ = process.communicate()
        assert process.returncode == 0
    assert "cannot be written" in said
    assert "disk full" in said or "disk is full" in said
    assert outcomes(path) == ["complete"] * 300
    assert len(dm.store.read_attempts(path)) == len(dm.read_manifest(path)) == 300


def test_another_program_that_does_not_let_go(path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(finished, path)
    monkeypatch.setattr("dicomove.store.journal.JOURNAL", replace(JOURNAL, busy_s=0.05))
    with Journal.open(path) as journal, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="another program has it open: close that program"):
            journal.begin(FACTS, rows(1))
        assert outcomes(path) == ["complete"] * STUDIES
        other.execute("ROLLBACK")
        assert journal.begin(FACTS, rows(1)) == 2


def test_a_package_without_metadata_has_no_version() -> None:
    """With dicomove in PYTHONPATH, and not installed, a run failed where its journal began."""
    assert (_version("pandas"), _version("dicomove-as-a-folder")) == (pd.__version__, "unknown")
