"""A disk that takes a file and loses it before it is durable: only its row knows, and asks for it again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import dicomove as dm
from dicomove.errors import ReceiverError, ReceiverWarning
from dicomove.files import file_sha256
from dicomove.receiver import AskedRow, Durability, RowId
from dicomove.receiver.own_process import commit
from dicomove.receiver.own_process.commit import Committer, PendingFile
from dicomove.receiver.own_process.open_file import FollowingDigest
from dicomove.store.instances import InstanceIndex
from dicomove.testing import Synthetic
from tests import receiving
from tests.placing import placed

pytestmark = pytest.mark.timeout(120)

SOURCE = Synthetic(studies=6, instances=3, size=512)
#: `fsync` of an image fails as long as the file "fail" can be removed, as at a network drive whose quota is used up.
FULL = """
import errno, os

def fsync(descriptor, real=os.fsync):
    if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".dcm"):
        try:
            os.unlink(FAIL)
        except OSError:
            pass
        else:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    real(descriptor)

os.fsync = fsync
"""


class Disk:
    """The disk of receivers that start now: it loses the next image when `loses_one` was called."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self._fail = folder / "images", folder / "fail"
        (folder / "sitecustomize.py").write_text(f"FAIL = {str(self._fail)!r}\n{FULL}")
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)

    def loses_one(self) -> None:
        self._fail.touch()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    if not Path("/proc/self/fd").exists():
        pytest.skip("the system does not tell the name of an open file")
    return Disk(tmp_path, monkeypatch)


@pytest.mark.parametrize("journal", [None, False])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_lost_file_is_missing_in_its_row_alone(disk: Disk, journal: bool | None, concurrency: int) -> None:
    table = receiving.studies(SOURCE, 6)
    with receiving.receiver(disk.folder) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        disk.loses_one()
        results = receiving.move(table[:4], pacs, receiver, journal=journal, concurrency=concurrency)
        assert sorted(results["outcome"]) == ["complete"] * 3 + ["partial"]
        (row,) = results[results["outcome"] == "partial"].to_dict("records")
        (lost,) = receiver.discrepancies().to_dict("records")
        assert (lost["kind"], lost["row"]) == ("missing", results.index[results["outcome"] == "partial"][0])
        assert lost["SOPInstanceUID"] not in receiving.files(disk.folder)
        assert (row["error"], row["received"], row["missing"], row["expected"]) == ("storage_failed", 2, 1, 3)
        assert "a file could not be made durable" in row["advice"].lower()
        assert results["bytes"].nunique() == 2
        if journal is None:
            recorded = dm.read_journal(disk.folder)[["outcome", "received", "missing"]]
            assert recorded.equals(results[["outcome", "received", "missing"]].reset_index(drop=True))
        # The disk is well again: nothing is left of it.
        assert receiving.move(table[4:], pacs, receiver, journal=journal)["outcome"].tolist() == ["complete"] * 2
        assert len(receiver.manifest()) == 17
        again = receiving.move(table, pacs, receiver, journal=journal)
        assert again["outcome"].tolist() == ["complete"] * 6
        assert again["missing"].sum() == 0
    verified = dm.verify(disk.folder)["verified"]
    assert (len(verified), set(verified)) == (18, {"ok"})


def test_a_loss_without_a_run_is_reported_once(disk: Disk) -> None:
    with receiving.receiver(disk.folder, accept="any") as receiver:
        disk.loses_one()
        assert receiving.send(receiver, receiving.instance()) == [0]
        assert receiver.manifest().empty
        with pytest.raises(ReceiverError, match="could not be made durable"):
            receiver.flush()
        receiver.flush()
        assert receiving.send(receiver, receiving.instance()) == [0]
        receiver.flush()
        assert len(receiver.manifest()) == 1


def test_a_loss_that_is_not_reported_yet_is_reported_at_the_end(disk: Disk) -> None:
    receiver = receiving.receiver(disk.folder, accept="any")
    disk.loses_one()
    assert receiving.send(receiver, receiving.instance()) == [0]
    with pytest.warns(ReceiverWarning, match="could not be made durable"):
        receiver.close()
    assert not (disk.folder / ".dicomove" / "owner").exists()


def test_every_run_is_told_until_the_last_one_ends(disk: Disk) -> None:
    keys = {"StudyInstanceUID": "1.2.3"}
    with receiving.receiver(disk.folder) as receiver:
        first, second = receiver.runs.begin_run(), receiver.runs.begin_run()
        asked = AskedRow(RowId(first, 0), {"StudyInstanceUID": "1.2.4"}, "127.0.0.1")
        with receiver.runs.row(asked), receiver.runs.row(AskedRow(RowId(second, 0), keys, "127.0.0.1")) as row:
            disk.loses_one()
            assert receiving.send(receiver, receiving.instance()) == [0]
            with pytest.raises(ReceiverError):
                receiver.flush()
            assert [one.is_of(keys) for one in receiver.runs.durability().lost] == [True]
            receiver.runs.end_run(first)
            assert [one.is_of(keys) for one in receiver.runs.durability().lost] == [True]
            assert row.held() == {}
            receiver.runs.end_run(second)
        assert receiver.runs.durability().lost == ()


@pytest.fixture
def committer(tmp_path: Path) -> Iterator[Committer]:
    (tmp_path / ".dicomove").mkdir()
    index = InstanceIndex(tmp_path)
    committer = Committer(tmp_path, index)
    yield committer
    committer.close()
    index.close()


def bad(folder: Path, number: int) -> PendingFile:
    """A file whose content the disk has lost."""
    pending = placed(folder, number, FollowingDigest)
    os.truncate(folder / pending.record.path, 0)
    return pending


def test_a_duplicate_of_a_lost_file_is_lost_too_until_the_file_comes_again(
    tmp_path: Path, committer: Committer
) -> None:
    lost = bad(tmp_path, 1)
    committer.put(lost)
    committer.put(PendingFile(None, replace(lost.record, sha256="of the same bytes")))
    assert len(committer.flush(10).lost) == 1
    assert committer.sha256("1.dcm") is None
    assert committer.records({"StudyInstanceUID": "1"}) == []
    committer.put(placed(tmp_path, 1, FollowingDigest))
    assert committer.flush(10).lost == ()
    assert committer.sha256("1.dcm")


def test_of_two_files_of_one_name_the_one_that_is_there_is_recorded(tmp_path: Path) -> None:
    """Two associations replace each other's file, and record them in the other order."""
    (tmp_path / ".dicomove").mkdir()
    index = InstanceIndex(tmp_path)
    committer = Committer(tmp_path, index, replaces=True)
    first = placed(tmp_path, 1, FollowingDigest)
    (tmp_path / "1.dcm").rename(tmp_path / "aside")
    second = placed(tmp_path, 1, FollowingDigest)
    (tmp_path / "1.dcm").write_bytes(b"2")
    committer.put(second)
    committer.put(first)
    assert committer.flush(60) == Durability()
    assert committer.sha256("1.dcm") == file_sha256(tmp_path / "1.dcm")
    committer.close()
    index.close()


def test_the_file_that_replaced_a_lost_one_stays(tmp_path: Path, committer: Committer) -> None:
    lost = bad(tmp_path, 1)
    (tmp_path / "1.dcm").rename(tmp_path / "aside")
    committer.put(lost)
    committer.put(placed(tmp_path, 1, FollowingDigest))
    assert committer.flush(10).lost == ()
    assert (tmp_path / "1.dcm").read_bytes() == b"\1"


def test_losses_that_are_too_many_concern_all_rows(
    tmp_path: Path, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "_MOST_LOST", 2)
    for number in range(1, 4):
        committer.put(bad(tmp_path, number))
    assert len(committer.flush(10).lost) == 2
    assert committer.flush(10).problem
    committer.put(placed(tmp_path, 1, FollowingDigest))
    assert committer.flush(10, forgets=True).problem
    assert committer.flush(10) == Durability()
