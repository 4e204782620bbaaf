"""When C-FIND is asked what there should be, and what an earlier run has done already."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import pytest
from pydicom import Dataset

import dicomove as dm
from dicomove.errors import VerificationWarning
from dicomove.outcome import Counts, Evidence
from dicomove.run.attempt.inventory import Inventory
from dicomove.testing import Synthetic, faults
from dicomove.testing.archive import Archive, Instance
from dicomove.testing.faults.base import Fault, FindFault, Request
from tests import receiving
from tests.run_events import BUSY, SUCCESS, UNABLE, identifier

SOURCE = Synthetic(studies=2, instances=3, size=512)


class Asked(dm.FindScu):
    """A `FindScu` that must not be needed: each C-FIND would fail at once, and count."""

    def __init__(self) -> None:
        super().__init__(dm.Pacs("127.0.0.1:1", connect_timeout=1))
        self.queries = 0

    def find_studies(self, *arguments: Any, **options: Any) -> Any:
        self.queries += 1
        return super().find_studies(*arguments, **options)


@pytest.mark.parametrize(
    ("evidence", "asks"),
    [
        (Evidence(status=SUCCESS, counts=Counts(completed=2, at_end=True)), True),
        (Evidence(status=UNABLE, counts=Counts(completed=0)), True),
        (Evidence(status=UNABLE), True),
        (Evidence(status=UNABLE, counts=Counts(completed=2)), False),
        (Evidence(status=BUSY), False),
        (Evidence(status=None, problem="connection_lost"), False),
        (Evidence(status=SUCCESS, cancelled=True), False),
    ],
    ids=["success", "nothing moved", "no counts", "some moved", "busy", "no answer", "cancelled"],
)
def test_c_find_is_asked_only_where_the_number_can_change_the_outcome(evidence: Evidence, asks: object) -> None:
    with Asked() as scu:
        inventory = Inventory(scu, "counts", threading.Event())
        inventory.expected(evidence, identifier(1), None)
    assert (scu.queries > 0) is asks


def test_a_row_of_which_a_file_is_gone_from_the_journal_is_moved_again(tmp_path: Path) -> None:
    """Fewer files than were received: what the journal lists is on disk, and it does not list all."""
    table = receiving.studies(SOURCE, 2)
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        dm.move(table, pacs, receiver, progress=False)
        assert receiving.outcomes(dm.move(table, pacs, receiver, progress=False)) == ["resumed"] * 2
        with sqlite3.connect(tmp_path / ".dicomove" / "journal.sqlite") as journal:
            journal.execute("DELETE FROM instances WHERE path = (SELECT min(path) FROM instances)")
        journal.close()
        assert sorted(receiving.outcomes(dm.move(table, pacs, receiver, progress=False))) == ["complete", "resumed"]


def test_a_c_find_that_knows_nothing_of_what_has_come_is_not_believed(tmp_path: Path) -> None:
    """It has no match. Two instances are on disk, and the PACS says that the third failed."""
    hides, loses = faults.CapsFind(most=0), faults.SomeFail(every=3)
    source = Synthetic(studies=2, instances=3, size=64)
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, hides, loses, source=source) as pacs,
        pytest.warns(VerificationWarning),
    ):
        result = receiving.move(receiving.studies(source, 1), pacs, receiver)
    assert receiving.row(result, "outcome", "expected", "received") == ("partial", None, 2)


@pytest.mark.parametrize("keep", [1.0, 0.5])
def test_a_cut_list_of_instances_is_not_the_whole(tmp_path: Path, keep: float) -> None:
    """The PACS has 12 instances, and lists 5."""
    source = Synthetic(studies=1, instances=12, size=64)
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, faults.CapsFind(most=5), faults.LosesInstances(keep=keep), source=source) as pacs,
    ):
        result = receiving.move(receiving.studies(source), pacs, receiver, verify="instances")
    outcome, expected, missing = receiving.row(result, "outcome", "expected", "missing")
    if keep < 1:
        assert (outcome, expected, missing) == ("partial", 12, 6)
    else:
        assert (outcome, missing) == ("complete", 0)


@pytest.mark.parametrize("status", [0xB000, 0xB001])
def test_a_list_of_instances_that_ends_with_a_warning_is_not_the_whole(tmp_path: Path, status: int) -> None:
    """The PACS counts 6 instances, lists 2, and moves 2."""
    source = Synthetic(studies=1, instances=6, size=64)
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, faults.CapsFind(most=2, status=status), MovesFirst(most=2), source=source) as pacs,
    ):
        result = receiving.move(receiving.studies(source), pacs, receiver)
    assert receiving.row(result, "outcome", "expected", "missing") == ("partial", 6, 4)


@dataclass(frozen=True)
class SendsFirst(Fault):
    """Only these instances are sent, and all count as moved."""

    uids: frozenset[str] = frozenset()

    def on_store(self, _: Request, instance: Instance) -> Sequence[Instance]:
        return [instance] if instance.sop_instance_uid in self.uids else []


def test_a_list_that_both_counts_of_the_pacs_contradict_is_not_the_whole(tmp_path: Path) -> None:
    """The PACS counts 6 instances, says that it has moved 6, lists 2, and sends these."""
    source = Synthetic(studies=1, instances=6, size=64)
    uids = frozenset(sorted(one.sop_instance_uid for one in source.instances_of_all())[:2])
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, faults.CapsFind(most=2), SendsFirst(uids), source=source) as pacs,
    ):
        result = receiving.move(receiving.studies(source), pacs, receiver)
    row = receiving.row(result, "outcome", "completed", "received", "expected", "missing")
    assert row == ("partial", 6, 2, 6, 4)


@dataclass(frozen=True)
class ListsNoInstances(FindFault):
    """C-FIND below the level SERIES matches nothing, and is not refused."""

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        return [] if request.level == "IMAGE" else matches


@dataclass(frozen=True)
class MovesFirst(Fault):
    """Only the first instances are moved, and the PACS knows of no others."""

    most: int = 0

    def on_selection(self, _: Request, instances: list[Instance]) -> list[Instance]:
        return instances[: self.most]


@pytest.mark.parametrize("verify", ["auto", "instances", "counts"])
@pytest.mark.parametrize("to_receiver", [True, False])
def test_an_empty_list_does_not_make_a_study_empty(tmp_path: Path, verify: str, to_receiver: bool) -> None:
    """The PACS counts 5 instances, lists none of them, and says Success without a sub-operation."""
    source = Synthetic(studies=1, instances=5, size=64)
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, ListsNoInstances(), MovesFirst(), source=source) as pacs,
    ):
        where: Any = receiver if to_receiver else receiver.ae_title
        result = receiving.move(receiving.studies(source), pacs, where, verify=verify)
    assert receiving.row(result, "outcome", "error", "expected") == ("failed", "missing_instances", 5)


def test_a_cut_list_of_instances_does_not_complete_a_row_of_an_earlier_run(tmp_path: Path) -> None:
    """An earlier run brought 50 of 60 instances; the PACS lists just these."""
    source, capped = Synthetic(studies=1, instances=60, size=64), faults.CapsFind(most=50)
    first = MovesFirst(attempts=1, most=50)
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, capped, first, source=source) as pacs,
    ):
        table = receiving.studies(source)
        outcomes = [dm.move(table, pacs, receiver, progress=False)["outcome"][0] for _ in range(2)]
        assert len(receiving.files(tmp_path)) == 60
    assert outcomes == ["partial", "complete"]


@pytest.mark.parametrize("has_number", [True, False])
def test_the_list_of_each_series_may_be_cut(tmp_path: Path, has_number: bool) -> None:
    """The PACS lists 50 instances of each series, and there are 55 and 7; a retry asks for what is missing."""
    two = Synthetic(studies=1, series=2, instances=55, size=64)
    archive = Archive(list(two.instances_of_all())[:62])
    capped, first = faults.CapsFind(most=50), MovesFirst(attempts=1, most=20)
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, capped, first, source=archive) as pacs:
        table = receiving.studies(two)
        table = dm.find(table, pacs, progress=False) if has_number else table
        result = receiving.move(table, pacs, receiver, retry=dm.Retry(attempts=3, wait=0))
    assert receiving.row(result, "outcome", "expected", "received") == ("complete", 62, 62)


@dataclass(frozen=True)
class CountsTooMany(FindFault):
    """The PACS counts three instances of each study that it does not have."""

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        for match in matches if request.level == "STUDY" else []:
            match.NumberOfStudyRelatedInstances = int(match.NumberOfStudyRelatedInstances) + 3
        return matches


@pytest.mark.parametrize("verify", ["auto", "instances"])
@pytest.mark.parametrize("cut", [False, True])
def test_the_counts_of_the_series_show_whether_a_round_list_is_whole(
    tmp_path: Path, cut: bool, verify: Literal["auto", "instances"]
) -> None:
    """The PACS lists 50 and 7 instances. It has as many, or 5 more, which it does not move."""
    two = Synthetic(studies=1, series=2, instances=55 if cut else 50, size=64)
    archive = Archive(list(two.instances_of_all())[: 62 if cut else 57])
    present = [CountsTooMany(), *([faults.CapsFind(most=50), LosesAfter(50)] if cut else [])]
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, *present, source=archive) as pacs:
        result = receiving.move(receiving.studies(two), pacs, receiver, verify=verify)
    said = ("partial", 65, 57) if cut else ("complete", 57, 57)
    assert receiving.row(result, "outcome", "expected", "received") == said
    counted = "The PACS counts 60 instances and lists 57: dicomove relies on the list."
    assert (result["advice"].item() == counted) == (verify == "auto" and not cut)


@dataclass(frozen=True)
class LosesAfter(Fault):
    """Only the first instances of each series are moved."""

    most: int = 0

    def on_selection(self, _: Request, instances: list[Instance]) -> list[Instance]:
        series = groupby(instances, key=lambda one: one.series_instance_uid)
        return [one for _, of_series in series for one in list(of_series)[: self.most]]


@dataclass(frozen=True)
class LosesOne(Fault):
    """An instance never comes."""

    uid: str = ""
    status: int = 0x0000

    def on_store(self, _: Request, instance: Instance) -> Sequence[Instance]:
        return [] if instance.sop_instance_uid == self.uid else [instance]

    def on_stored(self, _: Request, instance: Instance, status: int) -> int:
        return self.status if instance.sop_instance_uid == self.uid else status


@pytest.mark.parametrize("status", [0x0000, 0xA700])
def test_an_instance_that_the_pacs_has_no_longer_stands_for_no_other(tmp_path: Path, status: int) -> None:
    """The PACS has replaced an instance of a study. The old one is in the folder, and the new one does not come."""
    *stay, new = Synthetic(studies=1, instances=6, size=64).instances_of_all()
    table = receiving.studies(Synthetic(studies=1, instances=6, size=64))
    with receiving.receiver(tmp_path) as receiver:
        with receiving.pacs(receiver, source=Archive(stay)) as pacs:
            assert receiving.move(table, pacs, receiver)["outcome"].tolist() == ["complete"]
        lost = LosesOne(uid=new.sop_instance_uid, status=status)
        with receiving.pacs(receiver, lost, source=Archive([*stay[1:], new])) as pacs:
            result = receiving.move(table, pacs, receiver)
    assert receiving.row(result, "outcome", "expected", "received", "missing") == ("partial", 5, 5, 1)


def test_an_old_number_in_the_table_does_not_hide_what_the_pacs_lost(tmp_path: Path) -> None:
    """The table says 5. The PACS has 6 now, says that it moved all, and one of them does not come."""
    source = Synthetic(studies=1, instances=6, size=64)
    *_, new = source.instances_of_all()
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, LosesOne(uid=new.sop_instance_uid), source=source) as pacs,
    ):
        table = receiving.studies(source).assign(NumberOfStudyRelatedInstances=5)
        result = receiving.move(table, pacs, receiver)
    assert receiving.row(result, "outcome", "expected", "received", "missing") == ("partial", 6, 5, 1)


@pytest.mark.parametrize("verify", ["auto", "instances"])
def test_an_old_number_in_the_table_is_no_count_of_the_pacs(
    verify: Literal["auto", "instances"], tmp_path: Path
) -> None:
    table = receiving.studies(SOURCE).assign(NumberOfStudyRelatedInstances=8)
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, faults.NoRelatedCounts(), source=SOURCE) as pacs,
    ):
        result = receiving.move(table, pacs, receiver, verify=verify)
    assert receiving.row(result, "outcome", "expected", "advice") == ("complete", 3, None)


@dataclass(frozen=True)
class CountsBeyondBelief(FindFault):
    """The number of instances has 20 digits."""

    def on_matches(self, _: Request, matches: list[Dataset]) -> list[Dataset]:
        for match in matches:
            match.add_new(0x00201208, "LO", "9" * 20)
        return matches


@pytest.mark.parametrize("finds", [True, False])
def test_a_count_beyond_belief_is_no_count(tmp_path: Path, finds: bool) -> None:
    source = Synthetic(studies=2, instances=3, size=64)
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, CountsBeyondBelief(), source=source) as pacs,
    ):
        table = receiving.studies(source, 2)
        table = dm.find(table, pacs, progress=False) if finds else table
        assert dm.plan(table, pacs, receiver, progress=False)["expected"].isna().all()
        result = receiving.move(table, pacs, receiver)
    assert result[["outcome", "expected"]].to_numpy().tolist() == [["complete", 3]] * 2
