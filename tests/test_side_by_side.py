"""A large study is moved series by series, side by side, and reads as if it were moved with one C-MOVE."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydicom import Dataset

import dicomove as dm
from dicomove.cohort import Identifier
from dicomove.events import Event, RowFinished, RowStarted, SubOperationEvent
from dicomove.run.attempt.ends import Moved, Parts, row_after
from dicomove.run.attempt.narrowing import in_series
from dicomove.run.attempt.worker import MoveWorker
from dicomove.run.channel import LocalChannel
from dicomove.run.options import Method
from dicomove.run.requests import Task
from dicomove.run.settings import RunSettings
from dicomove.testing import RehearsalPacs, Synthetic, faults
from dicomove.testing.archive import Archive, Instance
from dicomove.testing.faults.base import Fault, Refuse, Request
from dicomove.testing.server import QueryRetrieveScp
from tests import forks, receiving, servers
from tests.model.world import holds_soon

pytestmark = pytest.mark.timeout(90)

#: One study of eight series.
LARGE = Synthetic(studies=1, series=8, instances=10, size=512)
TABLE = receiving.studies(LARGE, 1)
STUDY = TABLE["StudyInstanceUID"][0]
SERIES = list(dict.fromkeys(one.series_instance_uid for one in LARGE.instances_of_all()))
SLOW = faults.Latency(seconds=0.02)


@dataclass
class Seen:
    """The C-MOVEs that a PACS had: of what, and how many at the same time."""

    asked: list[str] = field(default_factory=list)
    now: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def one(self, keys: dict[str, str]) -> Iterator[None]:
        with self.lock:
            self.asked.append(keys.get("SeriesInstanceUID", "study"))
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            yield
        finally:
            with self.lock:
                self.now -= 1


def watched(seen: Seen) -> type[QueryRetrieveScp]:
    class Watched(QueryRetrieveScp):
        def _move(self, responder: Any, chain: Any, *rest: Any) -> None:
            with seen.one(chain.request.keys):
                super()._move(responder, chain, *rest)

        def _get(self, responder: Any, chain: Any, *rest: Any) -> None:
            with seen.one(chain.request.keys):
                super()._get(responder, chain, *rest)

    return Watched


def move(
    folder: Path, *present: Fault, table: pd.DataFrame = TABLE, source: Synthetic | Archive = LARGE, **options: Any
) -> tuple[pd.DataFrame, Seen]:
    seen = Seen()
    with (
        receiving.receiver(folder) as receiver,
        receiving.pacs(receiver, *present, source=source, kind=watched(seen)) as pacs,
    ):
        return dm.move(table, pacs, receiver, **{"concurrency": 4, "progress": False, **options}), seen


@dataclass(frozen=True)
class OneSeries(Fault):
    """What it does, it does to one series only, also where the whole study is moved."""

    series: str = SERIES[3]

    def meets(self, instance: Instance) -> bool:
        return instance.series_instance_uid == self.series


@dataclass(frozen=True)
class FailsInOneSeries(OneSeries):
    def on_stored(self, _: Request, instance: Instance, status: int) -> int:
        return 0xA900 if self.meets(instance) else status


@dataclass(frozen=True)
class LosesOneSeries(OneSeries):
    def on_store(self, _: Request, instance: Instance) -> list[Instance]:
        return [] if self.meets(instance) else [instance]


@dataclass(frozen=True)
class RefusesSeries(Fault):
    def on_request(self, request: Request) -> None:
        if request.level == "SERIES":
            raise Refuse(0xA900)


@dataclass(frozen=True)
class HidesSeries(Fault):
    """C-FIND names fewer series than there are, with or without the numbers of their instances."""

    counts: bool = True
    commands = ("C-FIND",)

    def on_matches(self, _: Request, matches: list[Dataset]) -> list[Dataset]:
        there = [one for one in matches if one.get("SeriesInstanceUID") != SERIES[3]]
        for one in there if not self.counts else []:
            one.pop("NumberOfSeriesRelatedInstances", None)
        return there


@pytest.mark.parametrize("method", ["move", "get"])
def test_the_series_of_a_large_study_overlap_at_the_pacs_and_are_asked_for_once(tmp_path: Path, method: Method) -> None:
    results, seen = move(tmp_path, SLOW, method=method)
    assert receiving.row(results, "outcome", "status", "completed", "expected", "received", "missing", "attempts") == (
        *("complete", "0x0000", 80, 80, 80, 0),
        8,
    )
    assert 3 <= seen.most <= 4
    assert sorted(seen.asked) == sorted(SERIES)
    receiving.assert_whole(tmp_path, LARGE)
    attempts = dm.store.read_attempts(tmp_path)
    assert attempts["sent"].all()
    assert attempts["final"].tolist() == [False] * 7 + [True]
    assert dm.read_journal(tmp_path)["attempts"].tolist() == [8]


@pytest.mark.parametrize(
    "options",
    [{"concurrency": 1}, {"verify": "arrivals"}, {"concurrency": 1, "method": "get"}],
    ids=["one at a time", "no C-FIND", "C-GET, one at a time"],
)
def test_otherwise_it_is_one_request(tmp_path: Path, options: dict[str, Any]) -> None:
    results, seen = move(tmp_path, **options)
    assert receiving.row(results, "outcome", "attempts") == ("complete", 1)
    assert seen.asked == ["study"]


def test_small_studies_are_moved_as_before(tmp_path: Path) -> None:
    small = Synthetic(studies=3, series=3, instances=3, size=512)
    results, seen = move(tmp_path, table=receiving.studies(small, 3), source=small)
    assert results["attempts"].tolist() == [1, 1, 1]
    assert seen.asked == ["study"] * 3


def test_with_auto_it_is_within_the_most_associations(tmp_path: Path) -> None:
    results, seen = move(tmp_path, concurrency="auto", max_concurrency=2)
    assert receiving.row(results, "outcome", "attempts") == ("complete", 8)
    assert seen.most <= 2


def test_the_last_rows_of_a_run_use_the_associations_that_others_left(tmp_path: Path) -> None:
    several = Synthetic(studies=6, series=8, instances=10, size=512)
    results, seen = move(tmp_path, faults.Latency(0.005), table=receiving.studies(several, 6), source=several)
    assert (results["outcome"] == "complete").all()
    assert results["attempts"].iloc[0] == 1
    assert results["attempts"].iloc[-1] == 8
    assert seen.most == 4
    assert set(Counter(seen.asked).values()) - {seen.asked.count("study")} <= {1}
    receiving.assert_whole(tmp_path, several)


@pytest.mark.parametrize(
    "fault",
    [
        FailsInOneSeries(),
        LosesOneSeries(),
        faults.SomeFail(),
        faults.SuccessWithAllFailed(),
        faults.NoPendings(),
        faults.NoCounts(),
        faults.NoRelatedCounts(),
        faults.AssociationPerInstance(),
        faults.OutOfResources(),
        faults.UnknownDestination(),
        faults.CrossesRequests(),
        faults.StoresTwice(),
        faults.AnswersFind(0xC000),
        faults.LimitsAssociations(1),
        RefusesSeries(),
        HidesSeries(),
    ],
    ids=lambda fault: fault.name,
)
@pytest.mark.filterwarnings("ignore::dicomove.errors.VerificationWarning")
def test_a_fault_reads_as_where_the_study_is_moved_at_once(tmp_path: Path, fault: Fault) -> None:
    def read(folder: str, concurrency: int) -> tuple[object, ...]:
        results, _ = move(tmp_path / folder, fault, concurrency=concurrency, retry=dm.Retry(attempts=2, wait=0.01))
        return receiving.row(results, "outcome", "error", "received", "missing")

    assert read("split", 4) == read("whole", 1)


@pytest.mark.parametrize(
    "fault",
    [
        LosesOneSeries(),
        faults.NoCounts(),
        faults.OutOfResources(),
        RefusesSeries(),
        HidesSeries(),
    ],
    ids=lambda fault: fault.name,
)
@pytest.mark.filterwarnings("ignore::dicomove.errors.VerificationWarning")
def test_with_c_get_it_reads_so_too(tmp_path: Path, fault: Fault) -> None:
    def read(folder: str, concurrency: int) -> tuple[object, ...]:
        retry = dm.Retry(attempts=2, wait=0.01)
        results, _ = move(tmp_path / folder, fault, method="get", concurrency=concurrency, retry=retry)
        return receiving.row(results, "outcome", "error", "received", "missing")

    assert read("split", 4) == read("whole", 1)


@pytest.mark.parametrize(
    "fault",
    [Fault(), FailsInOneSeries(), faults.NoCounts(), faults.FalseSuccess(), RefusesSeries(), HidesSeries(counts=False)],
    ids=lambda fault: fault.name,
)
def test_at_another_ae_it_reads_so_too(fault: Fault) -> None:
    def read(concurrency: int) -> tuple[object, ...]:
        with RehearsalPacs(LARGE, [fault]) as pacs:
            results = dm.move(TABLE, pacs, pacs.destination, concurrency=concurrency, progress=False)
            arrived = len(list(pacs.received.glob("*.dcm")))
        return *receiving.row(results, "outcome", "error", "expected", "completed"), arrived

    assert read(4) == read(1)


def test_a_pacs_that_refuses_series_is_asked_for_the_study(tmp_path: Path) -> None:
    results, seen = move(tmp_path, RefusesSeries(), SLOW)
    assert receiving.row(results, "outcome", "received") == ("complete", 80)
    assert seen.asked == ["study"]
    assert results["attempts"][0] == 1 + 4  # all that were sent before the first was refused


@pytest.mark.parametrize("is_here", [True, False], ids=["to a receiver", "to another AE"])
def test_parts_that_were_refused_before_a_stop_count(tmp_path: Path, *, is_here: bool) -> None:
    study = Identifier("STUDY", "StudyRoot", (("StudyInstanceUID", TABLE["StudyInstanceUID"][0]),))
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, RefusesSeries(), source=LARGE) as pacs:
        here = ((receiver,), (receiver.runs.begin_run(),)) if is_here else ()
        settings = RunSettings(pacs, (receiver.ae_title,), *here)
        channel = LocalChannel(settings, lambda _: None)
        channel.stop.set()
        with dm.MoveScu(pacs) as scu, MoveWorker(settings, channel) as worker:
            refused = tuple(scu.move_study(in_series(study, uid), receiver.ae_title) for uid in SERIES[:2])
            parts = Parts(0, None, refused)
            task = Task(study, (0,), settings.key(study), receiver=0 if is_here else None, parts=parts)
            end = worker.move(task).end
    assert isinstance(end, Moved)
    row = row_after(end)
    assert (row.outcome, row.status, row.attempts) == ("cancelled", "0xA900", 2)


def test_a_list_that_lacks_a_series_is_noticed_before_or_after(tmp_path: Path) -> None:
    results, seen = move(tmp_path / "before", HidesSeries())
    assert receiving.row(results, "outcome", "received", "attempts") == ("complete", 80, 1)
    results, seen = move(tmp_path / "after", HidesSeries(counts=False))
    assert receiving.row(results, "outcome", "received", "attempts") == ("complete", 80, 8)
    assert (seen.asked[-1], SERIES[3] in seen.asked) == ("study", False)


@dataclass(frozen=True)
class BeginsLate(Fault):
    """The PACS begins to send a study when the quiet period of the receiver is over."""

    commands = ("C-MOVE",)

    def on_request(self, request: Request) -> None:
        if request.level == "STUDY":
            time.sleep(4 * receiving.QUIET_S)


@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["threads", "executor"])
def test_a_study_that_is_asked_for_after_its_series_may_come_late(tmp_path: Path, *, is_elsewhere: bool) -> None:
    with ThreadPoolExecutor(4) as executor:
        options: dict[str, Any] = {"executor": executor} if is_elsewhere else {}
        results, seen = move(tmp_path, HidesSeries(counts=False), BeginsLate(), **options)
    assert receiving.row(results, "outcome", "received", "attempts") == ("complete", 80, 8)
    assert seen.asked[-1] == "study"
    assert results["advice"].isna().all()


def test_a_retry_asks_for_what_is_missing_only(tmp_path: Path) -> None:
    results, seen = move(tmp_path, LosesOneSeries(attempts=1), retry=dm.Retry(attempts=4, wait=0.01))
    assert receiving.row(results, "outcome", "received") == ("complete", 80)
    assert seen.asked[8:]
    assert {*seen.asked[8:]} == {SERIES[3]}
    assert results["attempts"][0] == len(seen.asked)


@dataclass(frozen=True)
class LosesFourSeries(Fault):
    """It sends one instance of four series only, until it is over."""

    over: threading.Event = field(default_factory=threading.Event, compare=False)

    def on_store(self, _: Request, instance: Instance) -> list[Instance]:
        mine = [one for one in LARGE.instances_of_all() if one.series_instance_uid == instance.series_instance_uid]
        is_late = [one.sop_instance_uid for one in mine].index(instance.sop_instance_uid) >= 1
        return [] if instance.series_instance_uid in SERIES[:4] and is_late and not self.over.is_set() else [instance]


@dataclass(frozen=True)
class RefusesLists(Fault):
    def on_request(self, request: Request) -> None:
        if request.level == "IMAGE":
            raise Refuse(0xA900)


@pytest.mark.parametrize("more", [(), (RefusesLists(),)], ids=["lists", "series"])
def test_a_retry_asks_for_what_is_missing_of_several_series_side_by_side(
    tmp_path: Path, more: tuple[Fault, ...]
) -> None:
    options: dict[str, Any] = {"retry": dm.Retry(attempts=3, wait=0.01), "concurrency": 4}
    results, seen = move(tmp_path, SLOW, LosesFourSeries(attempts=1), *more, **options)
    assert receiving.row(results, "outcome", "received", "missing") == ("complete", 80, 0)
    assert len(seen.asked) >= 8 + 4
    assert {*seen.asked[8:]} == {*SERIES[:4]}
    assert results["attempts"][0] == len(seen.asked) + 4 * len(more), "the lists of all four are refused"
    receiving.assert_whole(tmp_path, LARGE)


def test_the_next_run_asks_for_what_is_missing_of_several_series_side_by_side(tmp_path: Path) -> None:
    seen, loses = Seen(), LosesFourSeries()
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, faults.Latency(0.05), loses, source=LARGE, kind=watched(seen)) as pacs,
    ):
        results = dm.move(TABLE, pacs, receiver, concurrency=4, progress=False)
        assert receiving.row(results, "outcome", "received") == ("partial", 44)
        seen.asked, seen.most = [], 0
        loses.over.set()
        results = dm.move(TABLE, pacs, receiver, concurrency=4, progress=False)
    assert receiving.row(results, "outcome", "received", "missing", "attempts") == ("complete", 80, 0, 4)
    assert sorted(seen.asked) == sorted(SERIES[:4])
    assert seen.most == 4
    receiving.assert_whole(tmp_path, LARGE)


def test_a_connection_that_is_lost_is_in_doubt_and_tried_again_for_what_is_missing(tmp_path: Path) -> None:
    lost = faults.ClosesAtResponse(response=3, attempts=1, studies=(SERIES[2],))
    results, _ = move(tmp_path / "once", SLOW, lost)
    assert receiving.row(results, "outcome", "error") == ("interrupted", "connection_lost")
    results, _ = move(tmp_path / "again", SLOW, lost, retry=dm.Retry(attempts=12, wait=0.01))
    assert receiving.row(results, "outcome", "received") == ("complete", 80)
    receiving.assert_whole(tmp_path / "again", LARGE)


@pytest.mark.parametrize("method", ["move", "get"])
def test_a_stop_in_the_middle_cancels_what_is_in_flight_and_the_next_run_goes_on(
    tmp_path: Path, method: Method
) -> None:
    seen = Seen()
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, SLOW, source=LARGE, kind=watched(seen)) as pacs,
    ):
        pressed: list[Event] = []

        def press(event: Event) -> None:
            if not pressed and isinstance(event, SubOperationEvent) and (event.completed or 0) >= 10:
                pressed.append(event)
                raise KeyboardInterrupt

        with pytest.warns(dm.errors.InterruptedWarning):
            results = dm.move(TABLE, pacs, receiver, concurrency=4, method=method, progress=press)
        assert receiving.row(results, "outcome") == ("cancelled",)
        assert 0 < results["received"][0] < 80
        assert results["attempts"][0] == len(seen.asked) < 8
        results = dm.move(TABLE, pacs, receiver, concurrency=4, method=method, progress=False)
        assert receiving.row(results, "outcome", "received") == ("complete", 80)
    receiving.assert_whole(tmp_path, LARGE)


@pytest.mark.parametrize("method", ["move", "get"])
def test_displays_get_one_row_with_growing_counts(tmp_path: Path, method: Method) -> None:
    shown: list[Event] = []
    move(tmp_path, SLOW, method=method, progress=shown.append)
    counts = [one.completed or 0 for one in shown if isinstance(one, SubOperationEvent)]
    assert counts == sorted(counts)
    assert {one.total for one in shown if isinstance(one, SubOperationEvent)} == {80}
    assert sum(isinstance(one, RowStarted) for one in shown) == 1
    assert sum(isinstance(one, RowFinished) for one in shown) == 1


def test_workers_of_an_executor_share_a_row(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as executor:
        results, seen = move(tmp_path, SLOW, executor=executor)
    assert receiving.row(results, "outcome", "received", "attempts") == ("complete", 80, 8)
    assert seen.most >= 3
    receiving.assert_whole(tmp_path, LARGE)


SCRIPT = """
import sys
import pandas as pd
import dicomove as dm
from tests.receiving import receiver
folder, pacs, port, study = sys.argv[1:]
with receiver(folder, port=int(port)) as here:
    dm.move(pd.DataFrame({"StudyInstanceUID": [study]}), dm.Pacs(pacs), here, concurrency=4, progress=False)
"""


def test_a_run_that_was_killed_in_the_middle_is_finished_by_the_next(tmp_path: Path) -> None:
    seen, port = Seen(), servers.free_port()
    destinations = {"DICOMOVE": ("127.0.0.1", port)}
    with receiving.pacs(destinations, faults.Latency(0.05), source=LARGE, kind=watched(seen)) as pacs:
        command = forks.python("-c", SCRIPT, str(tmp_path), pacs.address, str(port), STUDY)
        with subprocess.Popen(command) as run:
            assert holds_soon(lambda: len(receiving.files(tmp_path)) >= 12, 30)
            run.kill()
        assert holds_soon(lambda: not seen.now, 20)
        assert seen.most >= 3
        with receiving.receiver(tmp_path, port=port) as receiver:
            results = dm.move(TABLE, pacs, receiver, concurrency=4, progress=False)
    assert receiving.row(results, "outcome", "received", "missing") == ("complete", 80, 0)
    receiving.assert_whole(tmp_path, LARGE)
    assert len(receiving.files(tmp_path)) == 80


@pytest.mark.parametrize("method", ["move", "get"])
def test_at_orthanc_the_series_arrive_side_by_side(tmp_path: Path, method: Method) -> None:
    large = Synthetic(studies=1, series=8, instances=20, size=64 * 1024)
    images = tmp_path / "images"
    images.mkdir()
    servers.write(list(large.instances_of_all()), images)
    (tmp_path / "orthanc").mkdir()
    with (
        receiving.receiver(tmp_path / "here") as receiver,
        servers.orthanc(tmp_path / "orthanc", images, {receiver.ae_title: receiver.port}) as orthanc,
    ):
        pacs = dm.Pacs(f"ORTHANC@127.0.0.1:{orthanc.dicom_port}")
        found = dm.find(receiving.studies(large, 1), pacs, progress=False)
        results = dm.move(found, pacs, receiver, concurrency=4, method=method, progress=False, journal=False)
        times = receiver.manifest().groupby("SeriesInstanceUID")["received_at"].agg(["min", "max"])
        shutil.rmtree(tmp_path / "here" / STUDY)
        whole = dm.move(found, pacs, receiver, method=method, progress=False, journal=False)
    columns = ("outcome", "status", "completed", "expected", "received", "missing")
    assert receiving.row(results, *columns) == receiving.row(whole, *columns)
    assert results["attempts"][0] == 8
    overlapping = max(((times["min"] <= at) & (at <= times["max"])).sum() for at in times["min"])
    # One after the other, none would overlap. Orthanc performs C-GETs so: whether two overlap is left to chance.
    assert overlapping <= 4
    assert overlapping >= 2 or method == "get"


def test_series_of_unknown_studies_are_not_asked_for() -> None:
    """The PACS lists the series of all patients, and its answers do not name the study."""
    source = Synthetic(studies=3, series=3, instances=12, size=64, patients=3)
    with RehearsalPacs(source, receiving.OF_ALL_PATIENTS) as pacs:
        result = dm.move(receiving.studies(source, 1), pacs, pacs.destination, concurrency=4, progress=False)
        asked = pacs.requests()
    assert asked.loc[asked["command"] == "C-MOVE", "level"].tolist() == ["STUDY"]
    assert receiving.row(result, "outcome", "completed", "expected") == ("complete", 36, 36)


def test_answers_that_lack_the_study_do_not_prevent_a_move(tmp_path: Path) -> None:
    source = Synthetic(studies=2, series=3, instances=12, size=64, patients=2)
    lost = faults.LosesInstances(keep=0.8)
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, faults.FindWithEmptyUpperUids(), source=source) as pacs,
        receiving.pacs(receiver, faults.FindWithEmptyUpperUids(), lost, source=source) as loses,
    ):
        table = receiving.studies(source, 1)
        partial = receiving.move(table, loses, receiver, concurrency=4)
        result = receiving.move(table, pacs, receiver, concurrency=4)
    assert receiving.row(partial, "outcome", "expected") == ("partial", 36)
    assert receiving.row(result, "outcome", "expected", "received", "attempts") == ("complete", 36, 36, 1)
