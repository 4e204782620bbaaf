"""What the receiver's process does between two instances: tallies of rows, and files that become durable."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicomove.outcome.advice import DAMAGED
from dicomove.receiver.api import RowId
from dicomove.receiver.own_process.commit import Committer
from dicomove.receiver.own_process.open_file import FollowingDigest
from dicomove.receiver.own_process.tallies import RowTallies, RowTally
from dicomove.store.instances import InstanceIndex
from tests import placing

FIRST, SECOND, OF_ANOTHER_RUN = RowId(1, 0), RowId(1, 1), RowId(11, 0)
STUDY, OTHER = {"StudyInstanceUID": "1.2"}, {"StudyInstanceUID": "1.3"}


def settled(tallies: RowTallies, row: RowId) -> RowTally:
    return tallies.await_arrivals(row, 0, 0, lambda _: False)


def test_a_damaged_file_without_uids_is_that_of_the_only_row_in_flight() -> None:
    tallies = RowTallies()
    tallies.open(FIRST, STUDY)
    tallies.arrived({}, "damaged", 10, DAMAGED + "no UIDs")
    tally = settled(tallies, FIRST)
    assert (tally.arrivals, tally.bytes, tally.dispositions) == (1, 10, {"damaged": 1})
    assert tally.aside == Counter({DAMAGED + "no UIDs": 1})
    assert not tally.without_row


def test_a_damaged_file_without_uids_is_of_no_row_where_several_are_in_flight() -> None:
    tallies = RowTallies()
    tallies.open(FIRST, STUDY)
    tallies.open(SECOND, OTHER)
    tallies.arrived({}, "damaged", 10, DAMAGED + "no UIDs")
    for row in (FIRST, SECOND):
        tally = settled(tallies, row)
        assert (tally.arrivals, tally.bytes, tally.dispositions, tally.aside) == (0, 0, {}, Counter())
        assert tally.without_row == Counter({DAMAGED + "no UIDs": 1})


@pytest.mark.parametrize("values", [OTHER, OTHER | {"SOPInstanceUID": "1.3.1"}, {"StudyInstanceUID": "9.9"}])
def test_a_damaged_instance_of_another_study_is_of_no_row_although_one_is_alone(values: dict[str, str]) -> None:
    tallies = RowTallies()
    tallies.open(FIRST, STUDY)
    tallies.arrived(values, "damaged", 10, DAMAGED + "it is cut")
    tally = settled(tallies, FIRST)
    assert (tally.arrivals, tally.dispositions, tally.aside) == (0, {}, Counter())
    assert tally.without_row == Counter({DAMAGED + "it is cut": 1})


def test_an_unrequested_instance_is_of_no_row_although_one_is_alone() -> None:
    tallies = RowTallies()
    tallies.open(FIRST, STUDY)
    tallies.arrived(OTHER, "unrequested", 10, "unrequested")
    tally = settled(tallies, FIRST)
    assert (tally.arrivals, tally.dispositions) == (0, {})
    assert tally.without_row == Counter({"unrequested": 1})


def test_the_end_of_a_run_is_that_of_its_rows_alone() -> None:
    tallies = RowTallies()
    tallies.open(FIRST, STUDY)
    tallies.open(OF_ANOTHER_RUN, OTHER)
    tallies.end(1)
    assert tallies.why_unrequested(STUDY) == "unrequested"
    assert tallies.why_unrequested(OTHER) is None


class SlowDigest(FollowingDigest):
    """A hash that takes its time, as that of a big file does."""

    def follow(self, size: int) -> None:
        time.sleep(0.5)
        super().follow(size)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[InstanceIndex]:
    (tmp_path / ".dicomove").mkdir()
    index = InstanceIndex(tmp_path)
    yield index
    index.close()


def test_files_are_made_durable_at_the_end(tmp_path: Path, index: InstanceIndex) -> None:
    committer = Committer(tmp_path, index)
    for number in range(3):
        committer.put(placing.placed(tmp_path, number, SlowDigest))
    assert len(committer.records({"StudyInstanceUID": "1"})) == 3  # on disk, though not in the index
    assert set(index.arrivals()) == set()
    committer.close()
    assert [index.sha256(f"{number}.dcm") for number in range(3)] == [
        hashlib.sha256(bytes([number])).hexdigest() for number in range(3)
    ]


def test_a_file_that_cannot_be_made_durable_is_not_recorded(tmp_path: Path, index: InstanceIndex) -> None:
    committer = Committer(tmp_path, index)
    good, bad = placing.placed(tmp_path, 1, FollowingDigest), placing.placed(tmp_path, 2, FollowingDigest)
    assert bad.file
    os.truncate(bad.file.path, 0)  # the disk has lost it
    committer.put(good)
    committer.put(bad)
    assert "could not be made durable" in str(committer.flush(10))
    committer.close()
    assert set(index.arrivals()) == {"1.dcm"}
    assert not (tmp_path / "2.dcm").exists()


def test_a_row_has_its_verdict_while_the_files_of_others_are_made_durable(tmp_path: Path, index: InstanceIndex) -> None:
    (tmp_path / "before.dcm").write_bytes(b"before")
    index.add([placing.record("before.dcm", 6, "9")])
    committer = Committer(tmp_path, index)
    committer.put(placing.placed(tmp_path, 1, FollowingDigest))
    with index._lock:  # as long as a transaction is brought onto the disk
        committer.watch("row", {"StudyInstanceUID": "1"})
        committer.put(placing.placed(tmp_path, 2, FollowingDigest))
        with ThreadPoolExecutor(1) as other:
            found = other.submit(committer.watched, "row", {"StudyInstanceUID": "1"}).result(10)
    assert sorted(one.path for one in found) == ["1.dcm", "2.dcm", "before.dcm"]
    committer.close()


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({"StudyInstanceUID": " 1\0", "SOPInstanceUID": "1"}, 1),
        ({"PatientID": ""}, 2),
        ({"StudyInstanceUID": "", "SeriesInstanceUID": "1"}, 0),
        ({"StudyInstanceUID": "2"}, 0),
    ],
)
def test_a_row_that_begins_finds_what_came_before_it_and_is_not_durable_yet(
    keys: dict[str, str], count: int, tmp_path: Path, index: InstanceIndex
) -> None:
    committer = Committer(tmp_path, index)
    for number in range(2):
        committer.put(placing.placed(tmp_path, number, SlowDigest))
    committer.watch(FIRST, keys)
    assert len(committer.watched(FIRST, keys)) == count
    assert len(committer.records(keys)) == count
    committer.close()
    assert len(index.of(keys)) == count


def test_removed_files_do_not_count_at_the_end_of_a_row(tmp_path: Path, index: InstanceIndex) -> None:
    (tmp_path / "before.dcm").write_bytes(b"before")
    index.add([placing.record("before.dcm", 6, "9")])
    committer = Committer(tmp_path, index)
    committer.watch("row", {"StudyInstanceUID": "1"})
    (tmp_path / "before.dcm").unlink()
    assert committer.watched("row", {"StudyInstanceUID": "1"}) == []
    committer.watch("row", {"StudyInstanceUID": "1"})
    committer.forget(lambda row: row == "row")
    committer.put(placing.placed(tmp_path, 1, FollowingDigest))
    assert [one.path for one in committer.watched("row", {"StudyInstanceUID": "1"})] == ["1.dcm"]
    committer.close()
