"""What is written down: files of the first version are opened, what is no index stays as it is, one manifest."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove import store
from dicomove.errors import JournalError, ReceiverError
from dicomove.store import JOURNAL_FILE, MANIFEST_COLUMNS, Journal, Key
from dicomove.store.instances import InstanceIndex, read_instances
from tests import receiving

pytestmark = pytest.mark.timeout(60)

#: What version 0.1.0 made in a folder: two runs of a cohort of three rows, of which two were found.
BEFORE = Path(__file__).parent / "data" / "folder_0.1.0"
INDEX_FILE = ".dicomove/record.sqlite"


@pytest.fixture
def before(tmp_path: Path) -> Path:
    shutil.copytree(BEFORE, tmp_path / ".dicomove")
    return tmp_path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A folder as a receiver finds it that has made what it needs there, but no index."""
    (tmp_path / ".dicomove").mkdir()
    return tmp_path


def tables(path: Path) -> list[tuple[str, ...]]:
    """The numbers and the schema of a SQLite file."""
    with closing(sqlite3.connect(path)) as connection:
        numbers = [connection.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")]
        schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()
    return [*numbers, *schema]


# Files of the first version.


def test_an_index_of_the_first_version_is_opened(before: Path) -> None:
    made = dm.read_manifest(before)
    assert tuple(made.columns) == (*MANIFEST_COLUMNS, "remark")
    assert made["times_received"].tolist() == [1] * len(made) == [1] * 8
    with closing(InstanceIndex(before)) as index:
        assert set(index.arrivals()) == set(made["path"])
        study = made["StudyInstanceUID"].iloc[0]
        assert {one.path for one in index.of({"StudyInstanceUID": study})} == set(
            made.loc[made["StudyInstanceUID"] == study, "path"]
        )
        index.add(read_instances(before))
    assert dm.read_manifest(before)["times_received"].tolist() == [2] * 8


def test_a_journal_of_the_first_version_is_opened(before: Path) -> None:
    assert dm.read_journal(before)["outcome"].tolist() == ["complete", "complete", "invalid"]
    assert dm.read_journal(before, run=1)["received"].tolist()[:2] == [5, 3]
    assert len(dm.store.read_runs(before)) == 2
    assert len(dm.store.read_attempts(before)) == 2
    first = dm.read_manifest(before, run=1)
    assert sorted(first["sha256"]) == sorted(dm.read_manifest(before)["sha256"])
    with Journal.open(before / JOURNAL_FILE) as journal:
        (known,) = journal.known([_key(before, first["StudyInstanceUID"].iloc[0])])
        assert journal.earlier([known])[known].row.outcome == "complete"
        assert {file.path for file in journal.instances([known])[known]} <= set(first["path"])


def test_files_made_now_have_the_same_tables(before: Path, tmp_path: Path) -> None:
    now = tmp_path / "now"
    (now / ".dicomove").mkdir(parents=True)
    InstanceIndex(now).close()
    Journal.open(now / JOURNAL_FILE).close()
    for name in (INDEX_FILE, JOURNAL_FILE):
        assert tables(now / name) == tables(before / name)


def _key(folder: Path, study: str) -> Key:
    with closing(sqlite3.connect(folder / JOURNAL_FILE)) as connection:
        pacs, destination, level, model = connection.execute(
            "SELECT pacs, destination, level, query_model FROM keys WHERE identifier LIKE ?", (f"%{study}%",)
        ).fetchone()
    return Key(pacs, destination, level, model, (("StudyInstanceUID", study),))


# What is no index.


def assert_refused(folder: Path, match: str) -> None:
    """No receiver begins there, and the file stays as it is; the sentence says what to do."""
    content = (folder / INDEX_FILE).read_bytes()
    for open_it in (InstanceIndex, dm.read_manifest):
        with pytest.raises(ReceiverError, match=match) as caught:
            open_it(folder)
        assert str(folder / INDEX_FILE) in str(caught.value)
    with pytest.raises(ReceiverError, match=match):
        receiving.receiver(folder)
    assert (folder / INDEX_FILE).read_bytes() == content


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_database_of_something_else(plain: Path, mode: str) -> None:
    with closing(sqlite3.connect(plain / INDEX_FILE)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE theirs (a)")
    assert_refused(plain, "is not a record of dicomove: move that file away")


def test_a_file_that_is_not_a_database(plain: Path) -> None:
    (plain / INDEX_FILE).write_bytes(b"PatientID;StudyInstanceUID\n1;1.2.3\n" * 400)
    assert_refused(plain, "is damaged, or not a record.*move it away, and dicomove receives the files")


def test_an_index_of_a_newer_version(before: Path) -> None:
    with closing(sqlite3.connect(before / INDEX_FILE)) as connection:
        connection.execute("PRAGMA user_version = 2")
    assert_refused(before, "has version 2, this dicomove reads version 1: use the newer dicomove")


def test_an_index_writes_all_or_nothing(before: Path, tmp_path: Path) -> None:
    records = read_instances(before)
    other = tmp_path / "other"
    (other / ".dicomove").mkdir(parents=True)
    with closing(InstanceIndex(other)) as index:
        (pages,) = index._connection.execute("PRAGMA page_count").fetchone()
        index._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            index.add(records * 100)
        index._connection.execute("PRAGMA max_page_count = 1000000")
        assert set(index.arrivals()) == set()
        index.add(records)
    assert len(dm.read_manifest(other)) == len(records)


# One manifest.


def test_a_receiver_and_its_folder_have_the_same_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = receiving.studies(count=2)
    with receiving.receiver(tmp_path / "images") as receiver, receiving.pacs(receiver) as pacs:
        receiving.move(rows[:1], pacs, receiver, journal=None)
        # The journal of the folder knows nothing of what comes now, and the folder does.
        receiving.move(rows[1:], pacs, receiver, journal=False)
        while_open = receiver.manifest()
        monkeypatch.chdir(tmp_path)
        for other in (dm.read_manifest(receiver.folder), dm.read_manifest("images")):
            pd.testing.assert_frame_equal(other, while_open)
            assert other.attrs == while_open.attrs == {"folder": str(tmp_path / "images")}
    pd.testing.assert_frame_equal(receiver.manifest(), while_open)
    assert len(while_open) == 12
    journal = dm.read_manifest(receiver.folder / JOURNAL_FILE)
    assert set(journal["path"]) < set(while_open["path"])
    assert tuple(journal.columns) == (*while_open.columns, "run", "row")
    pd.testing.assert_frame_equal(dm.read_manifest(receiver.folder, run=1), journal)
    assert (dm.verify(dm.read_manifest("images"))["verified"] == "ok").all()


def test_a_folder_without_a_receiver_has_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ReceiverError, match=r"there is no record at .*record\.sqlite"):
        dm.read_manifest(tmp_path)
    with pytest.raises(JournalError, match="there is no journal at"):
        dm.read_manifest(tmp_path / "pull.sqlite")
    (tmp_path / "image.dcm").touch()
    assert dm.verify(tmp_path)["verified"].tolist() == ["unrecorded"]


# Who imports what.


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_the_process_of_a_receiver_is_without_pandas(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver:
        loaded = Path(f"/proc/{receiver.pid}/maps").read_text()
    assert "sqlite" in loaded
    assert "pandas" not in loaded


def test_the_old_name_of_the_journal_warns() -> None:
    from dicomove import journal

    with pytest.warns(DeprecationWarning, match="from dicomove.store import cohort_sha256"):
        assert journal.cohort_sha256 is store.cohort_sha256
    with pytest.warns(DeprecationWarning, match="is now dicomove.store"):
        from dicomove.journal import read_runs
    assert read_runs is dm.store.read_runs
    with pytest.raises(AttributeError, match="no attribute 'InstanceRecord'"):
        _ = journal.InstanceRecord
