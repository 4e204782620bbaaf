"""What a PACS says, and what came of it: every fault of a PACS, moved into a receiver, and the verdict of the disk."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dicomove as dm
from dicomove.events import Event, RowFinished, RowStarted, SubOperationEvent
from dicomove.receiver.receiver import DISCREPANCY_COLUMNS
from dicomove.testing import RehearsalPacs, RunningPacs, Synthetic, faults
from dicomove.testing.archive import Instance
from dicomove.testing.associations import Listener, Originator
from dicomove.testing.faults.base import Abort, Close, Fault, Release, Request
from dicomove.testing.faults.injector import Chain
from dicomove.testing.responder import SubOperations
from dicomove.testing.server import QueryRetrieveScp
from tests import receiving, servers

pytestmark = pytest.mark.timeout(60)

#: How many instances each study holds.
WHOLE = 6
SILENT_FIND, LOSES, TWICE = faults.AnswersFind(0xC000), faults.LosesInstances(keep=0.5), faults.StoresTwice()


@dataclass(frozen=True)
class Case:
    """What a PACS does to one study, and the row of it."""

    id: str
    faults: tuple[Fault, ...]
    outcome: str
    error: str | None
    received: int
    missing: int | None
    expected: int | None = WHOLE
    more: dict[str, object] = field(default_factory=dict)


def case(id: str, *present: Fault, of: tuple[object, ...] = ("complete", None, WHOLE, 0), **more: Any) -> Case:  # noqa: A002 (as pytest calls it)
    outcome, error, received, missing = of
    expected = more.pop("expected", WHOLE)
    return Case(id, present, outcome, error, received, missing, expected, more)  # type: ignore[arg-type]  # see `of`


FAILED, HALF = ("failed", "missing_instances", 0, WHOLE), ("partial", "missing_instances", 3, 3)
SOME_FAILED = ("partial", "some_failed", 3, 3)
REFUSED_FIND = "How many instances there should be is not known: the PACS refused C-FIND with 0xC000."
DAMAGED = "6 came damaged and are in quarantine"

NIGHT = [
    case("nothing wrong", completed=6),
    # Success is a claim.
    case("loses instances", LOSES, of=HALF, status="0x0000", completed=3, failed=0),
    case("false success", faults.FalseSuccess(), of=FAILED, status="0x0000", completed=6),
    case("success with nothing moved", faults.SuccessWithNothingMoved(), of=FAILED, status="0x0000", completed=0),
    case("success with all failed", faults.SuccessWithAllFailed(), of=("failed", "all_failed", 0, 6), failed=6),
    case("warning with all failed", faults.WarningWithAllFailed(), of=("failed", "all_failed", 0, 6), failed=6),
    case("some fail", faults.SomeFail(), of=SOME_FAILED, completed=3, failed=3),
    case("no list of what failed", faults.NoFailedList(), of=SOME_FAILED, failed_sop_instance_uids=None),
    case("a wrong list of what failed", faults.WrongFailedList(), of=SOME_FAILED, failed_sop_instance_uids="1.2.3.4"),
    case("a broken list of what failed", faults.GarbledIdentifier(), of=SOME_FAILED, failed_sop_instance_uids=None),
    # Failure is a claim, too.
    case("a failure after everything", faults.FinalStatus(0xC000), status="0xC000"),
    case("warnings", faults.StoredWithWarnings(), status="0xB000", completed=0, warning=6),
    case("zeros", faults.ZeroCountsOnFailure(), status="0xC000", completed=0),
    case(
        "zeros, some fail", faults.SomeFail(), faults.ZeroCountsOnFailure(), of=("partial", "unable_to_process", 3, 3)
    ),
    case("closed at its end", faults.ClosesAtResponse(response=6), status=None, completed=5),
    case("aborted at its end", faults.AbortsAtResponse(response=6), status=None),
    case("aborted before", faults.AbortsAtResponse(response=4), of=("interrupted", "association_aborted", 4, 2)),
    case("reset before", faults.ResetsAtResponse(response=1), of=("interrupted", "connection_lost", 1, 5)),
    case(
        "destination unknown", faults.UnknownDestination(), of=("failed", "destination_unknown", 0, None), expected=None
    ),
    case("out of resources", faults.OutOfResources(), of=("failed", "out_of_resources", 0, None), expected=None),
    # Counts are a claim as well.
    case("no counts", faults.NoCounts(), completed=None),
    case("no counts at the end", faults.NoFinalCounts(), completed=5),
    case("counts without a value", faults.EmptyCounts(), completed=None),
    case("no zeros", faults.NoZeroCounts(), completed=6, failed=None),
    case("counts one too few", faults.WrongCounts(completed=-1), completed=5),
    case("counts two too many", faults.WrongCounts(completed=2), completed=8),
    case("counts that failed, and did not", faults.WrongCounts(completed=-6, failed=6), completed=0, failed=6),
    case("a stale response", faults.StaleResponse(), completed=6),
    case("no pendings", faults.NoPendings(), completed=6),
    case("no counts, loses instances", LOSES, faults.NoCounts(), of=HALF, completed=None),
    # What is sent.
    case("twice", TWICE, completed=6, times_received=[2] * 6),
    case("twice, loses instances", TWICE, LOSES, of=HALF, times_received=[2] * 3),
    case("the final response first", faults.FinalBeforeStores(), completed=6),
    case("the final response first, twice", faults.FinalBeforeStores(), TWICE, times_received=[2] * 6),
    case("the final response first, loses instances", faults.FinalBeforeStores(), LOSES, of=HALF),
    case("another study comes along", faults.StoresAnotherStudy(), completed=7, times_received=[1] * 6),
    case("an association for each", faults.AssociationPerInstance(), completed=6),
    case("private SOP classes", faults.PrivateSopClasses(), completed=6),
    case("other UIDs", faults.OtherInstanceUids(), of=FAILED, said=DAMAGED, completed=6),
    case("truncated", faults.TruncatesInstances(), of=FAILED, said=DAMAGED, completed=6),
    case("empty", faults.EmptyInstances(), of=FAILED, said=DAMAGED, completed=6),
    case("garbage", faults.GarbageInstances(), of=FAILED, said=DAMAGED, completed=6),
    # What C-FIND says.
    case("no numbers of related instances", faults.NoRelatedCounts()),
    case("no numbers, loses instances", faults.NoRelatedCounts(), LOSES, of=HALF),
    case("numbers that are too high", faults.CountsOverflow(), said="lists 6: dicomove relies on the list"),
    case("numbers that are too high, loses instances", faults.CountsOverflow(), LOSES, of=HALF),
    case("C-FIND fails", SILENT_FIND, expected=None, said=REFUSED_FIND),
    case("C-FIND fails, no counts", SILENT_FIND, faults.NoCounts(), of=("unconfirmed", None, 6, None), expected=None),
    case("C-FIND fails, some fail", SILENT_FIND, faults.SomeFail(), of=SOME_FAILED, expected=None),
    case("C-FIND fails, false success", SILENT_FIND, faults.FalseSuccess(), of=FAILED, expected=None),
    case(
        "C-FIND fails, failure",
        SILENT_FIND,
        faults.OutOfResources(),
        of=("failed", "out_of_resources", 0, None),
        expected=None,
    ),
]
#: One study for each, and a first one that nobody asks for.
ARCHIVE = Synthetic(studies=len(NIGHT) + 1, instances=WHOLE, size=512)
SPARE, *ASKED = receiving.studies(ARCHIVE, len(NIGHT) + 1)["StudyInstanceUID"]


@dataclass(frozen=True)
class Night:
    """One run over a PACS that does something wrong with every study."""

    result: pd.DataFrame
    manifest: pd.DataFrame
    discrepancies: pd.DataFrame
    unrequested: int

    def row(self, number: int) -> dict[str, Any]:
        """The result of a row, with None for what is null."""
        row = self.result.astype(object).iloc[number]
        return {str(name): None if pd.isna(value) else value for name, value in row.items()}

    def stored(self, number: int) -> pd.DataFrame:
        """What the record has of a row, outside of quarantine."""
        kept: pd.DataFrame = self.manifest[self.manifest["quarantine"].isna()]
        return kept.query("StudyInstanceUID == @uid", local_dict={"uid": ASKED[number]})


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    present = [
        type(fault)(**{**vars(fault), "studies": (uid,)})
        for one, uid in zip(NIGHT, ASKED, strict=True)
        for fault in one.faults
    ]
    folder = tmp_path_factory.mktemp("night")
    with receiving.receiver(folder, quiet_period=0.15) as receiver:
        with (
            RehearsalPacs(ARCHIVE, present, destinations=receiver.as_destination()) as pacs,
            pytest.warns(dm.errors.VerificationWarning, match=rf"for 3 of {len(ASKED)} rows"),
        ):
            result = receiving.move(pd.DataFrame({"StudyInstanceUID": ASKED}), pacs, receiver)
        servers.wait_until(lambda: receiver.unrequested > 0, 5)
        return Night(result, receiver.manifest(), receiver.discrepancies(), receiver.unrequested)


@pytest.mark.parametrize("number", [pytest.param(number, id=one.id) for number, one in enumerate(NIGHT)])
def test_a_night_of_faults(night: Night, number: int) -> None:
    wanted, row = NIGHT[number], night.row(number)
    found = tuple(row[name] for name in ("outcome", "error", "received", "missing", "expected"))
    assert found == (wanted.outcome, wanted.error, wanted.received, wanted.missing, wanted.expected), row["advice"]
    stored = night.stored(number)
    assert len(stored) == row["received"]
    assert int(stored["bytes"].sum()) == row["bytes"]
    more = dict(wanted.more)
    said = str(more.pop("said", ""))
    assert said in (row["advice"] or "")
    assert sorted(stored["times_received"]) == more.pop("times_received", sorted(stored["times_received"]))
    assert {name: row[name] for name in more} == more
    assert (row["advice"] is None) == (row["outcome"] == "complete" and row["expected"] is not None and not said)


def test_unrequested_instances_are_in_quarantine_and_count_for_no_row(night: Night) -> None:
    stray = night.manifest[night.manifest["StudyInstanceUID"] == SPARE]
    assert stray["quarantine"].tolist() == ["unrequested"]
    assert night.unrequested == 1


def test_missing_instances_are_named_if_they_were_listed(night: Night) -> None:
    """Of every row that is not complete although the PACS can list it: what is missing, and nothing else."""
    sent = {one.sop_instance_uid: one for one in ARCHIVE.instances_of_all()}
    found = night.discrepancies
    assert set(found["kind"]) == {"missing"}
    listed = [number for number in range(len(NIGHT)) if night.row(number)["missing"] and night.row(number)["expected"]]
    assert len(listed) >= 15
    assert set(found["row"]) == set(listed)
    for number in listed:
        missing = found[found["row"] == number]
        whole = {uid for uid, one in sent.items() if one.study_instance_uid == ASKED[number]}
        assert set(missing["SOPInstanceUID"]) == whole - set(night.stored(number)["SOPInstanceUID"])
        assert len(missing) == night.row(number)["missing"]
        for _, one in missing.iterrows():
            assert one["StudyInstanceUID"] == ASKED[number]
            assert one["SeriesInstanceUID"] == sent[one["SOPInstanceUID"]].series_instance_uid


# One receiver for the tests that follow, each of which has an archive that no other has.


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dm.Receiver]:
    with receiving.receiver(tmp_path_factory.mktemp("shared")) as receiver:
        yield receiver


_seeds = count(1)


def fresh(**size: int) -> Synthetic:
    return Synthetic(**{"studies": 1, "instances": WHOLE, "size": 512, "seed": next(_seeds), **size})


def stored(receiver: dm.Receiver, source: Synthetic) -> Counter[str]:
    """How many instances of each study are on disk."""
    studies = {one.study_instance_uid for one in source.instances_of_all()}
    manifest = receiver.manifest()
    found = manifest[manifest["StudyInstanceUID"].isin(studies) & manifest["quarantine"].isna()]
    return Counter(found["StudyInstanceUID"])


def noting(ended: list[RowFinished]) -> Callable[[Event], None]:
    """A callback that keeps what the rows looked like when they ended: what comes later is read at the run's end."""
    return lambda event: ended.append(event) if isinstance(event, RowFinished) else None


# Late.

#: Longer than a busy machine pauses between two instances.
_LONG_QUIET_S = 1.2


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dm.Receiver]:
    with receiving.receiver(tmp_path_factory.mktemp("slow"), quiet_period=_LONG_QUIET_S) as receiver:
        yield receiver


def test_stragglers_are_waited_for(slow: dm.Receiver) -> None:
    """The pause between two of them is shorter than the quiet period, all of them together take longer."""
    source = fresh()
    late = faults.FinalBeforeStores(), receiving.SlowStores(seconds=_LONG_QUIET_S / 4)
    with receiving.pacs(slow, *late, source=source) as pacs:
        result = receiving.move(receiving.studies(source), pacs, slow)
    assert receiving.row(result, "outcome", "status", "received", "missing") == ("complete", "0x0000", 6, 0)


def test_stragglers_that_come_twice_are_waited_for(slow: dm.Receiver) -> None:
    """The copies are no instances: as many arrivals as the PACS reports are but half of them."""
    source = fresh(instances=5)
    late = faults.StoresTwice(), faults.FinalBeforeStores(), receiving.SlowStores(seconds=_LONG_QUIET_S / 4)
    ended: list[RowFinished] = []
    with receiving.pacs(slow, *late, source=source) as pacs:
        # C-FIND would wait, too: this PACS answers it when it has stored all.
        rows = receiving.studies(source).assign(NumberOfStudyRelatedInstances=5)
        result = receiving.move(rows, pacs, slow, verify="arrivals", progress=noting(ended))
    assert [event.instances for event in ended] == [5]
    assert receiving.row(result, "outcome", "received", "missing") == ("complete", 5, 0)


def test_the_wait_for_late_instances_without_an_expected_number(slow: dm.Receiver) -> None:
    source = fresh()
    late = faults.FinalBeforeStores(), faults.NoCounts(), receiving.SlowStores(seconds=_LONG_QUIET_S / 4)
    with receiving.pacs(slow, *late, source=source) as pacs:
        result = receiving.move(receiving.studies(source), pacs, slow, verify="arrivals")
    assert receiving.row(result, "outcome", "received", "missing") == ("unconfirmed", 6, None)


@dataclass(frozen=True)
class CutsBeforePixelData(Fault):
    """Some data sets end where their pixel data should begin, between two elements."""

    most: int = 2

    def on_store(self, request: Request, instance: Instance) -> list[Instance]:  # noqa: ARG002 (as in `Fault`)
        if not instance.sop_instance_uid.endswith(tuple(f".{number}" for number in range(1, self.most + 1))):
            return [instance]
        data = instance.read()
        return [replace(instance, source=lambda: data[: data.rindex(b"\xe0\x7f\x10\x00")])]


def test_images_without_pixel_data_are_named(tmp_path: Path) -> None:
    """Nothing shows whether the PACS has them so: they are kept, and the row says it."""
    source = fresh()
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, CutsBeforePixelData(), source=source) as pacs,
    ):
        result = receiving.move(receiving.studies(source), pacs, receiver)
        assert receiver.manifest()["remark"].notna().sum() == 2
    assert receiving.row(result, "outcome", "received", "missing") == ("complete", 6, 0)
    said = "2 of the instances on disk: the data set is of CT Image Storage, and has no pixel data."
    assert said in result["advice"][0]


def test_images_without_pixel_data_of_an_earlier_attempt_are_named(tmp_path: Path) -> None:
    source = fresh()
    present = CutsBeforePixelData(), faults.LosesInstances(keep=0.5, attempts=1)
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, *present, source=source) as pacs:
        first = receiving.move(receiving.studies(source), pacs, receiver, retry=None)
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, CutsBeforePixelData(), source=source) as pacs,
    ):
        second = receiving.move(receiving.studies(source), pacs, receiver, retry=None)
    assert [result["outcome"][0] for result in (first, second)] == ["partial", "complete"]
    assert "2 of the instances on disk: the data set is of CT Image Storage" in second["advice"][0]


@dataclass(frozen=True)
class GoesOnAlone(Fault):
    """The association of the C-MOVE breaks, and the PACS sends the instances all the same."""

    send: Callable[[], object]
    order: Exception

    def on_request(self, request: Request) -> None:  # noqa: ARG002 (as in `Fault`)
        threading.Timer(_LONG_QUIET_S / 3, self.send).start()
        raise self.order


@pytest.mark.parametrize("order", [Close(), Close(reset=True), Abort(), Release()], ids=repr)
def test_instances_are_waited_for_after_a_broken_association(order: Exception, slow: dm.Receiver) -> None:
    source = fresh()
    ended: list[RowFinished] = []
    breaks = GoesOnAlone(lambda: receiving.send(slow, *source.instances_of_all()), order)
    with receiving.pacs(slow, breaks, source=source) as pacs:
        rows = receiving.studies(source).assign(NumberOfStudyRelatedInstances=WHOLE)
        started = time.monotonic()
        result = receiving.move(rows, pacs, slow, progress=noting(ended), retry=None)
    assert [(event.outcome, event.instances) for event in ended] == [("complete", WHOLE)]
    assert receiving.row(result, "outcome", "status", "received", "attempts") == ("complete", None, WHOLE, 1)
    assert time.monotonic() - started >= _LONG_QUIET_S / 3


@dataclass(frozen=True)
class BreaksEach(Fault):
    """The association of each C-MOVE is aborted."""

    def on_request(self, request: Request) -> None:  # noqa: ARG002 (as in `Fault`)
        raise Abort


def test_a_pacs_that_breaks_each_association_is_waited_for_once(slow: dm.Receiver) -> None:
    source = fresh(studies=4)
    with receiving.pacs(slow, BreaksEach(), source=source) as pacs:
        started = time.monotonic()
        result = receiving.move(receiving.studies(source, 4), pacs, slow, retry=None)
    assert (result["outcome"] == "interrupted").all()
    assert _LONG_QUIET_S <= time.monotonic() - started < 3 * _LONG_QUIET_S


def test_late_instances_count_if_the_run_goes_on(tmp_path: Path) -> None:
    """The first row's instances come while the second one is moved."""
    source = fresh(studies=2)
    rows = receiving.studies(source, 2)
    first, second = rows["StudyInstanceUID"]
    ended: list[RowFinished] = []
    late = [
        faults.FinalBeforeStores(studies=(first,)),
        receiving.SlowStores(seconds=0.1, studies=(first,)),
        receiving.SlowStores(seconds=0.25, studies=(second,)),
    ]
    with (
        receiving.receiver(tmp_path, quiet_period=0.01) as receiver,
        receiving.pacs(receiver, *late, source=source) as pacs,
    ):
        result = receiving.move(rows, pacs, receiver, progress=noting(ended))
        assert receiver.discrepancies().empty
        assert receiver.unrequested == 0
    assert ended[0].outcome in ("failed", "partial")
    assert result["outcome"].tolist() == ["complete", "complete"]
    assert result["received"].tolist() == [6, 6]


def test_a_row_waits_the_quiet_period_for_what_is_reported_and_not_for_what_failed(tmp_path: Path) -> None:
    source = fresh(studies=2)
    rows = receiving.studies(source, 2)
    lying, refused = rows["StudyInstanceUID"]
    present = faults.FalseSuccess(studies=(lying,)), faults.SomeFail(studies=(refused,))
    with (
        receiving.receiver(tmp_path, quiet_period=1.5) as receiver,
        receiving.pacs(receiver, *present, source=source) as pacs,
    ):
        times = [time.monotonic()]
        for number in (0, 1):
            receiving.move(rows[number : number + 1], pacs, receiver)
            times.append(time.monotonic())
    assert times[1] - times[0] > 1.5 > times[2] - times[1]


# Silence.


SILENT = (faults.NoPendings(), receiving.SlowStores(seconds=0.2))


def impatient(pacs: dm.Pacs) -> dm.Pacs:
    return dm.Pacs(str(pacs), idle_timeout=1, first_response_timeout=1)


def test_arrivals_are_signs_of_life(shared: dm.Receiver) -> None:
    source = fresh(instances=9)
    with receiving.pacs(shared, *SILENT, source=source) as pacs:
        result = receiving.move(receiving.studies(source), impatient(pacs), shared)
    assert receiving.row(result, "outcome", "received", "missing") == ("complete", 9, 0)
    assert result["duration_s"][0] > 1.5


def test_without_arrivals_silence_is_silence(shared: dm.Receiver) -> None:
    """The same PACS moves to somebody else: nothing is heard of it until the end."""
    source = fresh(instances=9)
    sink = servers.Sink()
    with Listener(sink) as elsewhere:
        where = {**shared.as_destination(), servers.SINK: ("127.0.0.1", elsewhere.port)}
        with receiving.pacs(where, *SILENT, source=source) as pacs:
            result = dm.move(receiving.studies(source), impatient(pacs), servers.SINK, progress=False)
    assert receiving.row(result, "outcome", "error", "received") == ("interrupted", "idle_timeout", None)


def test_arrivals_of_another_row_are_no_signs_of_life(shared: dm.Receiver) -> None:
    source = fresh(studies=2, instances=12)
    rows = receiving.studies(source, 2)
    first, second = rows["StudyInstanceUID"]
    present = faults.Hangs(studies=(first,)), receiving.SlowStores(seconds=0.2, studies=(second,))
    with receiving.pacs(shared, *present, source=source) as pacs:
        result = receiving.move(rows, impatient(pacs), shared, concurrency=2)
    assert result["outcome"].tolist() == ["interrupted", "complete"]
    assert result["error"][0] == "idle_timeout"
    assert result["duration_s"][0] < result["duration_s"][1]


# Several rows at a time.


class NoOriginator(QueryRetrieveScp):
    """A PACS that does not say in its C-STOREs for which C-MOVE they are."""

    def _store(self, operations: SubOperations, chain: Chain, title: str, by: Originator) -> None:  # noqa: ARG002 (it is what is left out)
        super()._store(operations, chain, title, None)  # type: ignore[arg-type]  # `store` then leaves it out


def test_arrivals_are_attributed_by_their_uids(tmp_path: Path) -> None:
    """Three rows in flight; of every third study half is lost, every other third comes with a stray.

    Each instance comes after the final response, over an association of its own: a busy machine takes its time.
    """
    source = fresh(studies=10)
    stray, *asked = receiving.studies(source, 10)["StudyInstanceUID"]
    present = [
        faults.LosesInstances(keep=0.5, studies=tuple(asked[::3])),
        faults.StoresAnotherStudy(studies=tuple(asked[1::3])),
        faults.StoresTwice(studies=tuple(asked[2::3])),
        faults.FinalBeforeStores(),
        faults.AssociationPerInstance(),
    ]
    with (
        receiving.receiver(tmp_path, quiet_period=3) as receiver,
        receiving.pacs(receiver, *present, source=source, kind=NoOriginator) as pacs,
    ):
        result = receiving.move(pd.DataFrame({"StudyInstanceUID": asked}), pacs, receiver, concurrency=3)
        servers.wait_until(lambda: receiver.unrequested == 3, 60)
        manifest = receiver.manifest()
        on_disk = stored(receiver, source)
    assert result["outcome"].tolist() == ["partial", "complete", "complete"] * 3
    assert result["received"].tolist() == [3, 6, 6] * 3
    assert result["missing"].tolist() == [3, 0, 0] * 3
    assert on_disk == dict(zip(asked, [3, 6, 6] * 3, strict=True))
    mine = manifest[manifest["StudyInstanceUID"].isin([stray, *asked])]
    assert mine["move_originator_ae_title"].isna().all()
    assert mine[mine["StudyInstanceUID"] == stray]["quarantine"].tolist() == ["unrequested"]


def test_rows_that_share_instances_both_have_them(shared: dm.Receiver) -> None:
    """A study, one of its series and one of its instances, at the same time."""
    source = fresh(series=2, instances=3)
    one = next(source.instances_of_all())
    keys = [one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid]
    rows = pd.DataFrame([[*keys[:depth], *[""] * (3 - depth)] for depth in (1, 2, 3)], columns=KEYS["IMAGE"][1:])
    rows["QueryRetrieveLevel"] = ["STUDY", "SERIES", "IMAGE"]
    with receiving.pacs(shared, source=source) as pacs:
        result = receiving.move(rows, pacs, shared, concurrency=3)
    assert result["outcome"].tolist() == ["complete"] * 3
    assert result["received"].tolist() == result["expected"].tolist() == [6, 3, 1]


def test_identical_rows_have_one_result(shared: dm.Receiver) -> None:
    source = fresh()
    rows = pd.DataFrame(
        {"StudyInstanceUID": [next(source.instances_of_all()).study_instance_uid] * 2}, index=["a", "b"]
    )
    with receiving.pacs(shared, LOSES, source=source) as pacs:
        result = receiving.move(rows, pacs, shared)
    assert result[["outcome", "received", "missing"]].to_numpy().tolist() == [["partial", 3, 3]] * 2
    assert Counter(shared.discrepancies()["row"]) == {"a": 3, "b": 3}


# The four levels.


WHOLE_AND_HALF = {"PATIENT": (24, 12), "STUDY": (12, 6), "SERIES": (6, 3), "IMAGE": (1, 1)}
KEYS = {
    "PATIENT": ["PatientID"],
    "STUDY": ["PatientID", "StudyInstanceUID"],
    "SERIES": ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"],
    "IMAGE": ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"],
}


@pytest.mark.parametrize(
    ("level", "how"),
    [(level, how) for level in KEYS for how in ("whole", "half", "nothing") if (level, how) != ("IMAGE", "half")],
)
def test_each_level(shared: dm.Receiver, tmp_path: Path, level: str, how: str) -> None:
    whole, half = WHOLE_AND_HALF[level]
    source = fresh(studies=2, series=2, instances=6, patients=1)
    one = list(source.instances_of_all())[-1]
    values = [one.patient_id, one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid]
    row = pd.DataFrame([values[: len(KEYS[level])]], columns=KEYS[level])
    present: dict[str, list[Fault]] = {"whole": [], "half": [LOSES], "nothing": [faults.FalseSuccess()]}
    # Every archive has the same patients.
    where = receiving.receiver(tmp_path) if level == "PATIENT" else nullcontext(shared)
    with where as receiver, receiving.pacs(receiver, *present[how], source=source) as pacs:
        result = receiving.move(row, pacs, receiver, level=level, query_model="PatientRoot")
    received = {"whole": whole, "half": half, "nothing": 0}[how]
    outcome = {"whole": "complete", "half": "partial", "nothing": "failed"}[how]
    assert receiving.row(result, "outcome", "expected", "received") == (outcome, whole, received)
    assert result["missing"][0] == whole - received


# How to learn what is expected.


@dataclass(frozen=True)
class Asked:
    """A PACS that writes down what it was asked, and a receiver."""

    pacs: RunningPacs
    receiver: dm.Receiver
    whole: Iterator[str]
    half: Iterator[str]

    def move(self, uid: str, verify: str, expected: object = None) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
        """Move one study, and return with it what the PACS was asked."""
        before = len(self.pacs.requests())
        row = pd.DataFrame({"StudyInstanceUID": [uid], "NumberOfStudyRelatedInstances": [expected]})
        result = receiving.move(row, self.pacs, self.receiver, verify=verify)
        asked = self.pacs.requests()[before:]
        return result, list(zip(asked["command"], asked["level"], strict=True))


@pytest.fixture(scope="module")
def asked(shared: dm.Receiver) -> Iterator[Asked]:
    source = fresh(studies=40)
    uids = receiving.studies(source, 40)["StudyInstanceUID"].tolist()
    lost = faults.LosesInstances(keep=0.5, studies=tuple(uids[20:]))
    with RehearsalPacs(source, [lost], destinations=shared.as_destination()) as pacs:
        yield Asked(pacs, shared, iter(uids[:20]), iter(uids[20:]))


MOVED, COUNTED = ("C-MOVE", "STUDY"), ("C-FIND", "STUDY")
LISTED = [("C-FIND", "SERIES"), ("C-FIND", "IMAGE")]


@pytest.mark.parametrize(
    ("verify", "told", "asks"),
    [
        ("auto", None, [COUNTED]),
        ("auto", WHOLE, []),
        ("auto", 5, [COUNTED]),
        ("counts", None, [COUNTED]),
        ("counts", WHOLE, []),
        ("instances", None, LISTED),
        ("instances", WHOLE, LISTED),
        ("arrivals", None, []),
        ("arrivals", WHOLE, []),
    ],
)
def test_the_questions_about_a_complete_row(
    asked: Asked, verify: str, told: int | None, asks: list[tuple[str, str]]
) -> None:
    result, requests = asked.move(next(asked.whole), verify, told)
    assert requests == [MOVED, *asks]
    assert receiving.row(result, "outcome", "received", "missing") == ("complete", 6, 0)
    assert asked.receiver.discrepancies().empty


@pytest.mark.parametrize(
    ("verify", "told", "asks", "missing", "named"),
    [
        ("auto", None, [COUNTED, *LISTED], 3, 3),
        ("auto", WHOLE, [COUNTED, *LISTED], 3, 3),
        ("counts", None, [COUNTED], 3, 0),
        ("counts", WHOLE, [COUNTED], 3, 0),
        ("instances", None, LISTED, 3, 3),
        ("arrivals", None, [], 0, 0),  # the PACS's word is all that there is
        ("arrivals", WHOLE, [], 3, 0),
    ],
)
def test_the_questions_about_a_row_with_half_of_its_instances(
    asked: Asked, verify: str, told: int | None, asks: list[tuple[str, str]], missing: int, named: int
) -> None:
    result, requests = asked.move(next(asked.half), verify, told)
    assert requests == [MOVED, *asks]
    outcome = "partial" if missing else "complete"
    assert receiving.row(result, "outcome", "received", "missing") == (outcome, 3, missing)
    assert asked.receiver.discrepancies()["kind"].tolist() == ["missing"] * named


def test_instances_that_were_not_listed_are_unexpected(shared: dm.Receiver) -> None:
    """A PACS whose C-FIND leaves one out: all is there that it knows, and one more."""
    source = fresh()
    left_out = next(source.instances_of_all())
    with receiving.pacs(shared, receiving.HidesAnInstance(), source=source) as pacs:
        result = receiving.move(receiving.studies(source), pacs, shared, verify="instances")
    assert receiving.row(result, "outcome", "expected", "received", "missing") == ("complete", 5, 6, 0)
    found = shared.discrepancies().astype(object)
    assert found[["row", "kind", "StudyInstanceUID", "SOPInstanceUID"]].to_numpy().tolist() == [
        [0, "unexpected", left_out.study_instance_uid, left_out.sop_instance_uid]
    ]


def test_the_next_run_has_discrepancies_of_its_own(shared: dm.Receiver) -> None:
    source = fresh(studies=2)
    rows = receiving.studies(source, 2).set_axis(["lost", "found"])
    lost = faults.LosesInstances(keep=0.5, attempts=1, studies=(rows["StudyInstanceUID"]["lost"],))
    with receiving.pacs(shared, lost, source=source) as pacs:
        result = receiving.move(rows, pacs, shared)
        assert shared.discrepancies()["row"].tolist() == ["lost"] * 3
        assert receiving.move(result, pacs, shared)["outcome"].tolist() == ["complete", "complete"]
        assert shared.discrepancies().empty
    assert shared.discrepancies().columns.tolist() == list(DISCREPANCY_COLUMNS)


# What earlier runs have left.


@pytest.mark.parametrize(
    "second", [faults.FalseSuccess(), faults.SuccessWithNothingMoved(), faults.OutOfResources(), faults.SomeFail()]
)
def test_files_on_disk_stay_whatever_the_pacs_says_later(shared: dm.Receiver, second: Fault) -> None:
    source = fresh()
    rows = receiving.studies(source).assign(NumberOfStudyRelatedInstances=WHOLE)
    with receiving.pacs(shared, source=source) as pacs:
        assert receiving.move(rows, pacs, shared)["outcome"].tolist() == ["complete"]
    with receiving.pacs(shared, second, source=source) as pacs:
        result = receiving.move(rows, pacs, shared)
    assert receiving.row(result, "outcome", "received", "missing") == ("complete", 6, 0)


@pytest.mark.parametrize("verify", ["auto", "counts", "instances", "arrivals"])
def test_a_part_of_an_earlier_run_is_never_the_whole(shared: dm.Receiver, verify: str) -> None:
    """A PACS that moves nothing the second time says nothing about what the first one left out."""
    source = fresh()
    rows = receiving.studies(source)
    half_then_nothing = faults.LosesInstances(keep=0.5, attempts=1), Sleeps()
    with receiving.pacs(shared, *half_then_nothing, source=source) as pacs:
        for wanted in ((3, "partial", "complete"), (3, "partial", "unconfirmed")):
            result = receiving.move(rows, pacs, shared, verify=verify)
            outcome = wanted[2] if verify == "arrivals" else wanted[1]
            assert receiving.row(result, "outcome", "received") == (outcome, wanted[0])


class Sleeps(faults.SuccessWithNothingMoved):
    """From the second time on, nothing is moved."""

    def concerns(self, request: Request) -> bool:
        return super().concerns(request) and request.attempt > 1


def test_the_rest_comes_with_the_second_run(shared: dm.Receiver) -> None:
    source = fresh()
    with receiving.pacs(shared, faults.SomeFail(attempts=1), source=source) as pacs:
        result = receiving.move(receiving.studies(source), pacs, shared)
        assert receiving.row(result, "outcome", "received", "missing", "failed") == ("partial", 3, 3, 3)
        again = receiving.move(result[result["outcome"] != "complete"], pacs, shared)
    assert receiving.row(again, "outcome", "received", "missing", "failed") == ("complete", 6, 0, 0)


# Interrupted.


def interrupting(when: Callable[[Event], bool], then: Callable[[], object] = lambda: None) -> Callable[[Event], None]:
    """A callback that presses Ctrl-C, once."""
    pressed = False

    def callback(event: Event) -> None:
        nonlocal pressed
        if when(event) and not pressed:
            pressed = True
            os.kill(os.getpid(), signal.SIGINT)
            then()

    return callback


def test_a_cancelled_row_says_what_came(shared: dm.Receiver) -> None:
    source = fresh(studies=3, instances=40)
    rows = receiving.studies(source, 3)
    stop = interrupting(lambda event: isinstance(event, SubOperationEvent) and event.position == 1)
    with (
        receiving.pacs(shared, faults.Latency(seconds=0.03), source=source) as pacs,
        pytest.warns(dm.InterruptedWarning),
    ):
        result = receiving.move(rows, pacs, shared, progress=stop)
    assert result["outcome"].tolist() == ["complete", "cancelled", "not_attempted"]
    cancelled = result.iloc[1]
    assert cancelled["status"] == "0xFE00"
    assert pd.isna(cancelled["error"])
    assert 1 <= cancelled["received"] == cancelled["completed"] < 40
    assert cancelled["received"] == stored(shared, source)[rows["StudyInstanceUID"][1]]
    assert pd.isna(result["received"][2])
    with receiving.pacs(shared, source=source) as pacs:
        again = receiving.move(result[result["outcome"] != "complete"], pacs, shared)
    assert again["received"].tolist() == [40, 40]


def test_a_cancelled_row_of_which_all_came_is_complete(shared: dm.Receiver) -> None:
    """The PACS ignores C-CANCEL, and moves on to the end."""
    source = fresh(instances=20)
    stop = interrupting(lambda event: isinstance(event, SubOperationEvent))
    present = faults.IgnoresCancel(), faults.Latency(seconds=0.02)
    with (
        receiving.pacs(shared, *present, source=source) as pacs,
        pytest.warns(dm.InterruptedWarning),
    ):
        result = receiving.move(receiving.studies(source), pacs, shared, progress=stop)
    assert receiving.row(result, "outcome", "received", "expected") == ("complete", 20, None)
    assert "it was stopped before C-FIND was sent" in result["advice"][0]


def test_a_row_that_was_stopped_before_it_was_sent_has_nothing(shared: dm.Receiver) -> None:
    source = fresh(studies=2)
    stop = interrupting(lambda event: isinstance(event, RowStarted))
    with (
        receiving.pacs(shared, faults.Latency(seconds=0.1), source=source) as pacs,
        pytest.warns(dm.InterruptedWarning),
    ):
        result = receiving.move(receiving.studies(source, 2), pacs, shared, progress=stop)
    assert result["outcome"].iloc[1] == "not_attempted"
    assert pd.isna(result["received"].iloc[1])
    assert result["outcome"].iloc[0] in ("cancelled", "not_attempted", "complete")
