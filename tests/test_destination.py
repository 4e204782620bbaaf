"""Another archive as the destination, which is asked what it has: a second Orthanc, and archives in this process."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pytest
from pydicom import Dataset

import dicomove as dm
from dicomove.cli import main
from dicomove.errors import AddressError, CohortWarning, InterruptedWarning, VerificationWarning
from dicomove.events import Event, RowFinished
from dicomove.outcome import Evidence
from dicomove.run.attempt.archive_at_destination import _may_grow
from dicomove.testing import RehearsalPacs, Synthetic, faults
from dicomove.testing.archive import Instance
from dicomove.testing.faults.base import Fault, FindFault, Request
from dicomove.user import User
from tests import receiving, servers
from tests.receiving import columns
from tests.servers import Orthanc

pytestmark = pytest.mark.timeout(90)

SOURCE = Synthetic(studies=3, instances=6, size=512, patients=1)
TABLE = receiving.studies(SOURCE, 3)
QUIET_S = 0.4


class Second:
    """The archive at the destination: an Orthanc that starts empty."""

    def __init__(self, server: Orthanc) -> None:
        self.server = server
        self.pacs = dm.Pacs(f"SECOND@127.0.0.1:{server.dicom_port}", calling_ae_title="MY_SCU", idle_timeout=10)

    def destination(self, **options: Any) -> dm.Destination:
        return dm.Destination("SECOND", **{"ask": self.pacs, "quiet_period": QUIET_S, **options})

    def listed(self, kind: str) -> list[str]:
        answer = self.server.request("GET", f"/{kind}")
        assert isinstance(answer, list)
        return answer

    def instances(self) -> dict[str, str]:
        """Orthanc's names of the instances, by SOP Instance UID."""
        answer = self.server.request("GET", "/instances?expand")
        assert isinstance(answer, list)
        return {one["MainDicomTags"]["SOPInstanceUID"]: one["ID"] for one in answer}

    def delete(self, uid: str) -> None:
        self.server.request("DELETE", f"/instances/{self.instances()[uid]}")

    def forget(self, count: int | None = None) -> None:
        """Delete instances, or everything."""
        for uid in self.listed("instances")[:count]:
            self.server.request("DELETE", f"/instances/{uid}")


@pytest.fixture(scope="module")
def running_second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Second]:
    folder = tmp_path_factory.mktemp("second")
    nothing = tmp_path_factory.mktemp("nothing")
    with servers.orthanc(folder, nothing, {}, DicomAet="SECOND") as server:
        yield Second(server)


@pytest.fixture
def second(running_second: Second) -> Second:
    running_second.forget()
    return running_second


@contextmanager
def rehearsal(second: Second, *present: Fault, **options: Any) -> Iterator[dm.Pacs]:
    where = {"SECOND": ("127.0.0.1", second.server.dicom_port)}
    with receiving.pacs(where, *present, source=options.pop("source", SOURCE), **options) as pacs:
        yield pacs


def move(table: pd.DataFrame, pacs: dm.Pacs, destination: dm.Destination, **options: Any) -> pd.DataFrame:
    return dm.move(table, pacs, destination, **{"progress": False, **options})


#: One study of eight series.
LARGE = Synthetic(studies=1, series=8, instances=10, size=512)


@dataclass(frozen=True)
class LosesOneSeries(Fault):
    """At the first time, the PACS sends nothing of one series, and says Success."""

    def on_store(self, _: Request, instance: Instance) -> list[Instance]:
        return [] if instance.series_instance_uid == _SERIES[3] else [instance]


_SERIES = list(dict.fromkeys(one.series_instance_uid for one in LARGE.instances_of_all()))


class ListsNothing(faults.AnswersFind):
    """The PACS has no C-FIND at IMAGE level."""

    def on_request(self, request: Request) -> None:
        if request.level == "IMAGE":
            super().on_request(request)


class CapsImages(Fault):
    """The PACS lists three images of a series at the most."""

    commands = ("C-FIND",)

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        return matches[:3] if request.level == "IMAGE" else matches


class Hides(Fault):
    """The archive lists no images as long as it has not indexed them."""

    commands = ("C-FIND",)
    is_hiding = True

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        return [] if request.level == "IMAGE" and Hides.is_hiding else matches


@dataclass(frozen=True)
class CountsAssociations(Fault):
    """The PACS is well-behaved, and counts the associations with the archive at the destination as it stores there."""

    archive: dm.Pacs
    counted: list[int] = field(default_factory=list, compare=False)

    def on_store(self, _: Request, instance: Instance) -> list[Instance]:
        self.counted.append(servers.associations(self.archive))
        return [instance]


def is_plain(one: servers.Held) -> bool:
    return one.transfer_syntax in servers.UNCOMPRESSED


@pytest.mark.parametrize("name", ["orthanc", "dcmqrscp"])
def test_every_study_of_a_real_pacs_is_at_the_destination(
    name: str, images: Path, tmp_path: Path, second: Second
) -> None:
    modalities = {"SECOND": second.server.dicom_port}
    with ExitStack() as stack:
        if name == "orthanc":
            first = stack.enter_context(servers.orthanc(tmp_path, images, modalities))
            pacs = dm.Pacs(f"ORTHANC@127.0.0.1:{first.dicom_port}")
        else:
            port = stack.enter_context(servers.dcmqrscp(tmp_path, images, modalities))
            pacs = dm.Pacs(f"DCMQRSCP@127.0.0.1:{port}")
        holds = [one for one in servers.held(images) if name == "orthanc" or is_plain(one)]
        uids = dict.fromkeys(one.study for one in holds)
        found = dm.find(pd.DataFrame({"StudyInstanceUID": list(uids)}), pacs, progress=False)
        result = move(found, pacs, second.destination(), concurrency=2)
        again = move(found, pacs, second.destination())
    assert len(result) > 5
    wanted = [sum(one.study == uid for one in holds) for uid in result["StudyInstanceUID"]]
    said = columns(result, "outcome", "attempts", "missing", "counted_by", "bytes")
    assert said == [("complete", 1, 0, "destination", None)] * len(result), result[["outcome", "advice"]].to_dict()
    assert result["received"].tolist() == result["expected"].tolist() == wanted
    assert second.instances().keys() == {one.instance for one in holds}
    assert columns(again, "outcome", "attempts", "resumed") == [("complete", 0, False)] * len(result)
    assert again["received"].tolist() == wanted
    assert again["advice"].str.startswith("All of it was at the destination already").all()


def test_instances_that_the_pacs_drops_are_missing_and_asked_for_again(second: Second) -> None:
    loses = faults.LosesInstances(keep=0.5, attempts=1)
    with rehearsal(second, loses) as pacs:
        result = move(TABLE, pacs, second.destination())
        assert (
            columns(result, "outcome", "error", "expected", "received", "missing")
            == [("partial", "missing_instances", 6, 3, 3)] * 3
        )
        assert result["advice"][0].startswith("3 of 6 instances are at the destination.")
    second.forget()
    with rehearsal(second, loses) as pacs:
        result = move(TABLE, pacs, second.destination(), retry=dm.Retry(attempts=8, wait=0.01))
    assert columns(result, "outcome", "received", "missing") == [("complete", 6, 0)] * 3
    assert result["attempts"].min() > 1


def discrepant(destination: dm.Destination) -> Counter[tuple[str, ...]]:
    found = destination.discrepancies()
    assert len(found.columns) == 6
    return Counter(found[["row", "kind", "counted_by"]].itertuples(index=False, name=None))


def test_discrepancies_name_the_instances_that_are_missing_at_the_destination(second: Second) -> None:
    table = TABLE.set_axis(["a", "b", "c"])
    destination = second.destination()
    assert destination.discrepancies().empty
    with rehearsal(second, faults.LosesInstances(keep=0.5)) as pacs:
        move(table, pacs, destination)
        found = destination.discrepancies().set_index("SOPInstanceUID")
        assert discrepant(destination) == {(row, "missing", "destination"): 3 for row in table.index}
        there = second.instances().keys()
        wanted = {one.sop_instance_uid: one for one in SOURCE.instances_of_all()}
        assert set(found.index) == wanted.keys() - there
        for uid, row in found.iterrows():
            one = wanted[str(uid)]
            assert (row["StudyInstanceUID"], row["SeriesInstanceUID"]) == (
                one.study_instance_uid,
                one.series_instance_uid,
            )
            assert table.loc[row["row"], "StudyInstanceUID"] == one.study_instance_uid
        # Those of the latest run, and at another destination, none.
        move(table, pacs, destination, retry=dm.Retry(attempts=8, wait=0.01))
    assert destination.discrepancies().empty
    assert destination == second.destination()


def test_discrepancies_name_what_the_pacs_does_not_list(second: Second) -> None:
    source, more = (Synthetic(studies=1, instances=count, size=512) for count in (6, 8))
    uids = {one.sop_instance_uid for one in source.instances_of_all()}
    with rehearsal(second, source=more) as pacs:
        move(receiving.studies(more), pacs, second.destination())
    second.delete(min(uids))
    destination = second.destination()
    with rehearsal(second, source=source) as pacs:
        result = move(receiving.studies(source), pacs, destination)
    assert receiving.row(result, "outcome", "received", "missing") == ("complete", 8, 0)
    assert discrepant(destination) == {(0, "unexpected", "destination"): 2}
    assert set(destination.discrepancies()["SOPInstanceUID"]) == second.instances().keys() - uids


def test_success_without_an_instance(second: Second) -> None:
    with rehearsal(second, faults.FalseSuccess()) as pacs:
        result = move(TABLE[:1], pacs, second.destination())
    assert receiving.row(result, "outcome", "error", "received", "missing", "status") == (
        "failed",
        "missing_instances",
        0,
        6,
        "0x0000",
    )


def test_instances_that_come_after_the_final_response_are_waited_for(second: Second) -> None:
    with rehearsal(second, faults.FinalBeforeStores(), receiving.SlowStores()) as pacs:
        result = move(TABLE[:1], pacs, second.destination(quiet_period=3))
    assert receiving.row(result, "outcome", "received", "attempts") == ("complete", 6, 1)


@pytest.mark.parametrize(
    ("problem", "missing", "may_grow"),
    [
        ("connection_lost", 2, True),
        ("association_aborted", None, True),
        ("connection_lost", 0, False),
        ("idle_timeout", 2, False),
    ],
)
def test_instances_are_waited_for_after_a_broken_association(problem: str, missing: int | None, may_grow: bool) -> None:
    evidence = Evidence(problem=problem, missing=missing, received=1)
    assert _may_grow(evidence) == may_grow


@dataclass(frozen=True)
class IndexesLater(FindFault):
    """The archive finds nothing at first."""

    asked: list[str] = field(default_factory=list)

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        self.asked.append(request.command)
        return matches if len(self.asked) > 2 else []


def test_what_comes_after_a_broken_association_counts() -> None:
    source = Synthetic(studies=1, instances=2, size=64)
    with RehearsalPacs(source, IndexesLater()) as second, RehearsalPacs(source, faults.AbortsAtResponse()) as pacs:
        destination = dm.Destination("SECOND", ask=dm.Pacs(f"REHEARSAL@127.0.0.1:{second.port}"), quiet_period=5)
        result = move(receiving.studies(source, 1), pacs, destination, retry=None)
    assert receiving.row(result, "outcome", "status", "received", "expected") == ("complete", None, 2, 2)


def test_the_archive_stores_with_all_its_threads(second: Second) -> None:
    counts = CountsAssociations(second.pacs)
    with rehearsal(second, counts) as pacs:
        result = move(TABLE, pacs, second.destination())
    assert columns(result, "outcome", "received") == [("complete", 6)] * 3
    assert len(counts.counted) == 18
    assert set(counts.counted) == {0}


def test_repeated_instances_count_once(second: Second) -> None:
    with rehearsal(second, faults.StoresTwice()) as pacs:
        result = move(TABLE, pacs, second.destination())
    assert columns(result, "outcome", "received", "missing") == [("complete", 6, 0)] * 3


def test_others_of_the_study_do_not_count_for_those_that_are_missing(second: Second) -> None:
    """The destination has more instances than the PACS, and not all of those."""
    source, more = (Synthetic(studies=1, instances=count, size=512) for count in (6, 10))
    uids = {one.sop_instance_uid for one in source.instances_of_all()}
    with rehearsal(second, source=more) as pacs:
        move(receiving.studies(more), pacs, second.destination())
    kept = [one for one in second.instances() if one in uids][:2]
    for uid in uids - set(kept):
        second.delete(uid)
    with rehearsal(second, faults.FalseSuccess(), source=source) as pacs:
        result = move(receiving.studies(source), pacs, second.destination())
    assert receiving.row(result, "outcome", "expected", "received", "missing") == ("partial", 6, 6, 4)


def test_only_what_is_missing_is_moved(second: Second) -> None:
    with rehearsal(second) as pacs:
        move(TABLE, pacs, second.destination())
        second.forget(2)
        planned = dm.plan(TABLE, pacs, second.destination(), progress=False)
        result = move(TABLE, pacs, second.destination())
    assert planned["on_disk"].sum() == 16
    assert planned["advice"].eq("All of it is at the destination already.").sum() >= 1
    assert result["outcome"].eq("complete").all()
    assert result["completed"].sum() == 2
    assert result["attempts"].tolist() == [int(there < 6) for there in planned["on_disk"]]


def test_the_counts_of_the_table_are_not_enough(second: Second) -> None:
    with rehearsal(second) as pacs:
        found = dm.find(TABLE, pacs, progress=False)
        result = move(found, pacs, second.destination(), verify="counts")
        assert columns(result, "outcome", "received") == [("complete", 6)] * 3
        listed = move(found, pacs, second.destination(), verify="arrivals")
        assert columns(listed, "outcome", "received", "attempts") == [("complete", 6, 1)] * 3
    with rehearsal(second, ListsNothing(0xA900)) as pacs, pytest.warns(VerificationWarning):
        result = move(found, pacs, second.destination(), journal=False)
    assert result["outcome"].eq("complete").all()
    assert result["advice"].str.startswith("The instances were counted, and not compared one by one").all()


@pytest.mark.parametrize("level", ["PATIENT", "SERIES", "IMAGE"])
def test_every_level(level: str, second: Second) -> None:
    with rehearsal(second) as pacs:
        model = "PatientRoot" if level == "PATIENT" else "StudyRoot"
        found = dm.find(
            pd.DataFrame({"PatientID": ["SYN000001"]}), pacs, level=level, query_model=model, progress=False
        )
        result = move(found, pacs, second.destination(), level=level, query_model=model)
        again = move(found, pacs, second.destination(), level=level, query_model=model)
    assert result["outcome"].eq("complete").all(), columns(result, "outcome", "advice")
    assert result["received"].sum() == len(second.listed("instances")) == 18
    assert columns(again, "outcome", "attempts") == [("complete", 0)] * len(found)


@contextmanager
def unasked(second: Second) -> Iterator[dm.Destination]:
    """A destination that takes instances, and that cannot be asked."""
    with servers.dead_port() as port:
        yield second.destination(ask=dm.Pacs(f"SECOND@127.0.0.1:{port}"))


def test_a_destination_that_cannot_be_asked(second: Second) -> None:
    with (
        rehearsal(second) as pacs,
        unasked(second) as destination,
        pytest.warns(VerificationWarning, match="expected number or the arrived number of instances for 3 of 3 rows"),
    ):
        result = move(TABLE, pacs, destination)
    said = columns(result, "outcome", "error", "expected", "completed", "received", "missing", "counted_by")
    assert said == [("unconfirmed", None, 6, 6, None, None, None)] * 3
    assert result["advice"][0].startswith(
        "The destination SECOND did not say what it has, so that only the PACS has counted: "
        "C-FIND was not answered (connection_failed)."
    )
    # No discrepancy is known, and that is not the same as none.
    found = destination.discrepancies()
    assert found["kind"].tolist() == ["unknown"] * 3
    assert found["StudyInstanceUID"].tolist() == TABLE["StudyInstanceUID"].tolist()
    assert found[["SeriesInstanceUID", "SOPInstanceUID", "counted_by"]].isna().all(axis=None)


def test_a_destination_that_cannot_be_asked_does_not_hide_what_failed(second: Second) -> None:
    with (
        rehearsal(second, faults.SomeFail()) as pacs,
        unasked(second) as destination,
        pytest.warns(VerificationWarning),
    ):
        result = move(TABLE[:1], pacs, destination)
    assert receiving.row(result, "outcome", "error", "received") == ("partial", "some_failed", None)


def test_a_destination_that_answers_later_is_asked_again_and_nothing_is_moved_twice(second: Second) -> None:
    silent = faults.AnswersFind(0xA700, attempts=2)
    with (
        receiving.pacs({}, silent, source=SOURCE) as archive,
        rehearsal(second) as pacs,
    ):
        destination = second.destination(ask=archive)
        result = move(TABLE[:1], pacs, destination, retry=dm.Retry(attempts=9, wait=0.01))
    assert receiving.row(result, "outcome", "received", "attempts", "counted_by") == ("complete", 6, 1, "destination")
    assert destination.discrepancies().empty


@pytest.mark.parametrize("executor", [False, True], ids=["threads", "executor"])
def test_a_run_is_resumed_and_the_destination_says_what_is_still_there(
    executor: bool, second: Second, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"journal": tmp_path / "run.sqlite"}
    with ExitStack() as stack:
        if executor:
            options["executor"] = stack.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn")))
        pacs = stack.enter_context(rehearsal(second))
        first = move(TABLE, pacs, second.destination(), **options)
        again = move(TABLE, pacs, second.destination(), **options)
        planned = dm.plan(TABLE, pacs, second.destination(), journal=options["journal"], progress=False)
        study = str(second.listed("studies")[0])
        second.server.request("DELETE", f"/studies/{study}")
        gone = dm.plan(TABLE, pacs, second.destination(), journal=options["journal"], progress=False)
        third = move(TABLE, pacs, second.destination(), **options)
    assert columns(first, "outcome", "attempts", "resumed") == [("complete", 1, False)] * 3
    assert (
        columns(again, "outcome", "attempts", "resumed", "received", "counted_by")
        == [("complete", 0, True, 6, "destination")] * 3
    )
    pd.testing.assert_frame_equal(dm.read_journal(options["journal"], run=2), again)
    assert planned["action"].tolist() == ["skip"] * 3
    assert sorted(gone["action"]) == ["move", "skip", "skip"]
    assert third["outcome"].eq("complete").all()
    assert sorted(columns(third, "attempts", "resumed")) == [(0, True), (0, True), (1, False)]
    assert len(second.listed("instances")) == 18


def test_a_run_that_is_resumed_does_not_take_for_there_what_cannot_be_asked(second: Second, tmp_path: Path) -> None:
    journal = tmp_path / "run.sqlite"
    with rehearsal(second) as pacs, unasked(second) as destination:
        move(TABLE, pacs, second.destination(), journal=journal)
        again = move(TABLE, pacs, destination, journal=journal)
        third = move(TABLE, pacs, second.destination(), journal=journal)
    assert columns(again, "outcome", "attempts", "resumed", "received") == [("unconfirmed", 0, True, None)] * 3
    assert columns(third, "outcome", "attempts", "received") == [("complete", 0, 6)] * 3


def test_retrieve_and_start_move_and_the_scu(second: Second) -> None:
    cohort = pd.DataFrame({"PatientID": ["SYN000001"]}, index=["one"])
    with rehearsal(second) as pacs:
        results = dm.retrieve(cohort, pacs, second.destination(), progress=False)
        assert dm.verdicts(cohort, results)["outcome"].tolist() == ["complete"]
        job = dm.start_move(TABLE, pacs, second.destination(), progress=False)
        assert columns(job.wait(), "outcome", "attempts", "counted_by") == [("complete", 0, "destination")] * 3
        second.forget()
        with dm.MoveScu(pacs) as scu:
            moved = scu.move_study({"StudyInstanceUID": TABLE["StudyInstanceUID"][0]}, second.destination().ae_title)
    assert moved.completed == len(second.listed("instances")) == 6


def test_a_study_that_the_pacs_does_not_have(second: Second) -> None:
    with rehearsal(second) as pacs:
        result = move(pd.DataFrame({"StudyInstanceUID": ["1.2.3.4"]}), pacs, second.destination())
    assert receiving.row(result, "outcome", "received") == ("empty", 0)


def test_a_column_of_ones_own_is_kept(second: Second) -> None:
    table = TABLE[:1].assign(counted_by="a person")
    with rehearsal(second) as pacs, pytest.warns(CohortWarning, match="counted_by"):
        result = move(table, pacs, second.destination())
    assert receiving.row(result, "counted_by", "counted_by_cohort") == ("destination", "a person")
    with rehearsal(second) as pacs:
        again = dm.move(result, pacs, "NOWHERE", progress=False)
    assert "counted_by" not in again.columns


@pytest.mark.parametrize("method", ["get", "auto"])
def test_c_get_needs_a_receiver(method: Literal["get", "auto"]) -> None:
    pacs = dm.Pacs("A@127.0.0.1:104")
    with pytest.raises(ValueError, match="C-GET brings the images to this machine, and needs a Receiver"):
        dm.move(TABLE, pacs, dm.Destination("B", ask=pacs), method=method)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda pacs: dm.Destination("", ask=pacs), "destination '' is empty"),
        (lambda pacs: dm.Destination("A" * 17, ask=pacs), "at most 16"),
        (
            lambda _: dm.Destination("A", ask="A:sesame@h:104"),  # type: ignore[arg-type]  # that is what is tested
            "^(?!.*sesame).*give the archive as a Pacs",
        ),
        (lambda pacs: dm.Destination("A", ask=pacs, quiet_period=-1), "at least 0"),
    ],
)
def test_what_cannot_be_right(make: Callable[[dm.Pacs], object], told: str) -> None:
    with pytest.raises(AddressError, match=told):
        make(dm.Pacs("A@127.0.0.1:104"))


def test_a_destination_travels_and_tells_no_secret() -> None:
    destination = dm.Destination("B", ask=dm.Pacs("B@127.0.0.1:104", user="secret"))
    assert pickle.loads(pickle.dumps(destination)) == destination  # noqa: S301 (our own)
    assert repr(destination) == "Destination('B', ask='B@127.0.0.1:104')"


def test_the_shell(second: Second, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    TABLE.to_csv(tmp_path / "table.csv", index=False)
    ask = f"SECOND@127.0.0.1:{second.server.dicom_port}"
    with rehearsal(second) as pacs:
        words = ["move", str(tmp_path / "table.csv"), pacs.address, "SECOND", "--ask", ask]
        assert main([*words, "-o", str(tmp_path / "result.csv")]) == 0
        assert main([*words[:-3], "--ask", ask]) == 2
    result = pd.read_csv(tmp_path / "result.csv")
    assert columns(result, "outcome", "received", "counted_by") == [("complete", 6, "destination")] * 3
    assert "with --ask if it is an archive" in capsys.readouterr().err


def test_the_doctor_takes_it(second: Second) -> None:
    with rehearsal(second) as pacs:
        found = dm.doctor(pacs, second.destination()).set_index("check")
    assert found.loc["destination", "found"] == "The PACS knows the AE title SECOND."


def test_a_report_says_what_was_compared(second: Second, tmp_path: Path) -> None:
    with rehearsal(second) as pacs:
        result = move(TABLE, pacs, second.destination())
    page = tmp_path / "report.html"
    dm.report(result, page)
    text = page.read_text()
    assert "with those that the destination lists" in " ".join(text.split())
    assert "on disk" not in text


@pytest.mark.parametrize("known", [True, False], ids=["the table says it", "C-FIND says it"])
def test_a_pacs_that_lists_fewer_than_it_has_is_not_believed(known: bool, second: Second) -> None:
    table = TABLE.assign(NumberOfStudyRelatedInstances=["6"] * 3) if known else TABLE
    with rehearsal(second, CapsImages(), faults.LosesInstances(keep=0.5)) as pacs:
        for attempts in (1, 1):
            with pytest.warns(VerificationWarning):
                result = move(table, pacs, second.destination(quiet_period=0))
            assert (
                columns(result, "outcome", "expected", "received", "missing", "attempts")
                == [("partial", 6, 3, 3, attempts)] * 3
            )
    assert "The instances were counted, and not compared one by one: the PACS lists 3 of 6." in result["advice"][0]
    with rehearsal(second, CapsImages()) as pacs, pytest.warns(VerificationWarning):
        result = move(table, pacs, second.destination())
    assert columns(result, "outcome", "received") == [("complete", 6)] * 3


def test_an_archive_that_indexes_late_is_asked_again_at_the_end(second: Second) -> None:
    def look(event: Event) -> None:
        Hides.is_hiding = not isinstance(event, RowFinished)

    Hides.is_hiding = True
    with receiving.pacs({}, Hides(), source=SOURCE) as archive, rehearsal(second) as pacs:
        destination = second.destination(ask=archive, quiet_period=0.1)
        result = dm.move(TABLE[:1], pacs, destination, progress=look)
    assert receiving.row(result, "outcome", "received", "missing", "attempts") == ("complete", 6, 0, 1)


def test_dcmqrscp_as_the_destination(tmp_path: Path) -> None:
    with servers.dcmqrscp(tmp_path, tmp_path / "nothing", {}) as port, ExitStack() as stack:
        pacs = stack.enter_context(receiving.pacs({"DCMQRSCP": ("127.0.0.1", port)}, source=SOURCE))
        destination = dm.Destination("DCMQRSCP", ask=dm.Pacs(f"DCMQRSCP@127.0.0.1:{port}"), quiet_period=3)
        result = move(TABLE, pacs, destination)
        again = move(TABLE, pacs, destination)
    assert columns(result, "outcome", "received", "missing", "attempts") == [("complete", 6, 0, 1)] * 3
    assert columns(again, "outcome", "attempts") == [("complete", 0)] * 3


def test_a_run_that_is_stopped_waits_for_no_archive(second: Second) -> None:
    with rehearsal(second, faults.LosesInstances(keep=0.5)) as pacs:
        job = dm.start_move(TABLE, pacs, second.destination(quiet_period=60), progress=False)
        servers.wait_until(lambda: len(second.listed("instances")) == 3)
        job.cancel()
        with pytest.warns(InterruptedWarning):
            result = job.wait(30)
    assert result["outcome"].tolist()[1:] == ["not_attempted"] * 2


@pytest.mark.parametrize(
    ("present", "options"),
    [((), {}), ((LosesOneSeries(attempts=1),), {"retry": dm.Retry(attempts=3, wait=0.01)}), ((LosesOneSeries(),), {})],
    ids=["all", "again", "lost"],
)
def test_a_large_study_goes_there_series_by_series(second: Second, present: tuple[Fault, ...], options: Any) -> None:
    """It reads as if it went there at once."""
    table = receiving.studies(LARGE, 1)

    def read(**more: Any) -> tuple[list[tuple[object, ...]], int, int]:
        second.forget()
        with rehearsal(second, *present, source=LARGE) as pacs:
            result = move(table, pacs, second.destination(), **options, **more)
            there = len(second.listed("instances"))
        return columns(result, "outcome", "error", "received", "missing"), there, int(result["attempts"][0])

    *split, attempts = read(concurrency=4)
    *whole, _ = read()
    assert split == whole
    assert attempts >= 8


def test_instances_of_unknown_studies_are_not_asked_for() -> None:
    """A part of the study is there. The PACS lists the instances of all patients, and does not name their study."""
    source = Synthetic(studies=3, series=2, instances=2, size=64, patients=3)
    part = Synthetic(studies=1, series=1, instances=2, size=64, patients=1)
    with RehearsalPacs(part) as second, RehearsalPacs(source, receiving.OF_ALL_PATIENTS) as pacs:
        ask = dm.Pacs(f"REHEARSAL@127.0.0.1:{second.port}")
        destination = dm.Destination(pacs.destination, ask=ask, quiet_period=QUIET_S)
        result = dm.move(receiving.studies(source, 1), pacs, destination, progress=False)
        asked = pacs.requests()
    assert asked.loc[asked["command"] == "C-MOVE", "level"].tolist() == ["STUDY"]
    assert receiving.row(result, "outcome", "completed", "received") == ("partial", 4, 2)


def test_a_resumed_run_asks_the_destination_again(
    second: Second, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    journal = tmp_path / "run.sqlite"
    with rehearsal(second) as pacs:
        assert set(move(TABLE, pacs, second.destination(), journal=journal)["outcome"]) == {"complete"}
        second.delete(next(iter(second.instances())))
        assert main(["resume", str(journal), str(pacs)]) == 0
    again = dm.read_journal(journal)
    assert again["received"].tolist() == [6, 6, 6]
    assert "3 complete (2 of them from an earlier run)" in capfd.readouterr().out


def test_a_resumed_run_needs_the_secret_of_its_destination(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    journal, unreachable = tmp_path / "run.sqlite", dm.Pacs("NOBODY@127.0.0.1:1", user=User("me", passcode="not told"))
    move(TABLE[:1], dm.Pacs("X@127.0.0.1:1"), dm.Destination("SECOND", ask=unreachable), journal=journal)
    assert b"not told" not in journal.read_bytes()
    assert main(["resume", str(journal)]) == 2
    assert "the run asked SECOND with TLS or as a user" in capfd.readouterr().err
