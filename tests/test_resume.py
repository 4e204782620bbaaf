"""The same call goes on where the last one ended: what is complete, and still there, is not moved again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dicomove as dm
from dicomove.events import Event, RowStarted, RunStarted
from dicomove.testing import RehearsalPacs, Synthetic, faults
from dicomove.testing.archive import Archive, Instance
from dicomove.testing.faults.base import Abort, Fault, FindFault, Refuse, Request
from tests import forks, receiving, servers

pytestmark = pytest.mark.timeout(60)

SOURCE = Synthetic(studies=4, series=2, instances=2, size=512)
COHORT = receiving.studies(SOURCE, 4).assign(group=["a", "b", "a", "b"], PatientName="SYNTHETIC")


@dataclass
class Scene:
    receiver: dm.Receiver
    pacs: dm.Pacs

    def move(self, table: pd.DataFrame = COHORT, **options: Any) -> tuple[pd.DataFrame, list[object]]:
        """The result table, and the labels of the rows that were moved."""
        seen: list[Event] = []
        results = dm.move(table, self.pacs, self.receiver, progress=seen.append, **options)
        started = [event.row for event in seen if isinstance(event, RowStarted)]
        (run,) = (event for event in seen if isinstance(event, RunStarted))
        assert run.requests == len(set(started))
        return results, started


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with receiving.receiver(tmp_path / "images") as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        yield Scene(receiver, pacs)


def test_a_second_call_moves_nothing_and_returns_the_whole_table(scene: Scene) -> None:
    first, started = scene.move()
    assert started == [0, 1, 2, 3]
    assert first["outcome"].tolist() == ["complete"] * 4
    second, started = scene.move()
    assert started == []
    assert receiving.outcomes(second) == ["resumed"] * 4
    same = ["received", "bytes", "expected", "status", "completed", "started_at", "duration_s", "group"]
    pd.testing.assert_frame_equal(first[same], second[same])
    assert second["advice"].str.startswith("An earlier run completed it").all()
    assert second["error"].isna().all()


def test_a_cohort_that_grew_shrank_and_was_reordered(scene: Scene) -> None:
    scene.move(COHORT[:2])
    changed = COHORT.iloc[[3, 1, 2]].set_axis(["x", "y", "y"], axis=0)
    results, started = scene.move(changed)
    assert started == ["x", "y"]
    assert results.index.tolist() == ["x", "y", "y"]
    assert receiving.outcomes(results) == ["complete", "resumed", "complete"]


@pytest.mark.parametrize("to_receiver", [True, False])
def test_a_study_that_grew_is_moved_again(tmp_path: Path, to_receiver: bool) -> None:
    """`find` counts more instances than the run that completed the row."""
    whole = list(Synthetic(studies=1, instances=6, size=512).instances_of_all())
    with receiving.receiver(tmp_path / "images", accept="any") as receiver:
        where: Any = receiver if to_receiver else receiver.ae_title
        options: Any = {"journal": tmp_path / "journal.sqlite", "progress": False}
        archive = Archive(whole[:4])
        with receiving.pacs(receiver, source=archive) as pacs:
            cohort = pd.DataFrame({"StudyInstanceUID": [whole[0].study_instance_uid]})
            studies = dm.find(cohort, pacs, progress=False)
            first = dm.move(studies, pacs, where, **options)
            assert receiving.outcomes(dm.move(studies, pacs, where, **options)) == ["resumed"]
            vars(archive).update(vars(Archive(whole)))  # as a modality adds to it
            more = dm.find(cohort, pacs, progress=False)
            planned = dm.plan(more, pacs, where, journal=options["journal"], progress=False)
            second = dm.move(more, pacs, where, **options)
            third = dm.move(more, pacs, where, **options)
    assert first["expected"].tolist() == [4]
    assert (planned["action"][0], planned["expected"][0]) == ("move", 6)
    assert receiving.row(second, "outcome", "expected", "resumed") == ("complete", 6, False)
    assert second["completed"].tolist() == ([2] if to_receiver else [6])
    assert receiving.outcomes(third) == ["resumed"]


def test_a_pacs_that_counts_too_many_moves_nothing_again(scene: Scene) -> None:
    wrong = COHORT.assign(NumberOfStudyRelatedInstances=5)
    first, _ = scene.move(wrong)
    assert first[["outcome", "expected"]].to_numpy().tolist() == [["complete", 4]] * 4
    assert scene.move(wrong.iloc[::-1])[1] == []


def test_a_row_that_comes_twice_is_resumed_twice(scene: Scene) -> None:
    scene.move()
    results, started = scene.move(pd.concat([COHORT, COHORT[:1]]))
    assert started == []
    assert receiving.outcomes(results) == ["resumed"] * 5


def test_only_removed_files_are_moved_again(scene: Scene) -> None:
    scene.move()
    path = scene.receiver.manifest()["path"].iloc[0]
    (scene.receiver.folder / path).unlink()
    results, started = scene.move()
    assert started == [0]
    assert receiving.outcomes(results) == ["complete"] + ["resumed"] * 3
    attempts = dm.store.read_attempts(scene.receiver.folder, run=2)
    assert attempts[["asked_level", "asked_uids"]].to_numpy().tolist() == [["IMAGE", 1]]
    receiving.assert_whole(scene.receiver.folder, SOURCE)


def test_a_size_that_changed_is_noticed_always_and_bytes_with_hash(scene: Scene) -> None:
    scene.move()
    folder = scene.receiver.folder
    shorter, other = (folder / path for path in scene.receiver.manifest()["path"].iloc[[0, -1]])
    shorter.write_bytes(shorter.read_bytes()[:-2])
    _, started = scene.move()
    assert started == [0]
    content = bytearray(other.read_bytes())
    content[-1] ^= 1
    other.write_bytes(content)
    _, started = scene.move()
    assert started == []
    _, started = scene.move(verify="hash")
    assert started == [3]
    # What was changed is put aside: it is somebody's work.
    assert set(dm.verify(folder)["verified"]) == {"ok"}
    assert len(list((folder / ".dicomove" / "quarantine").glob("*.changed"))) == 2


def test_a_damaged_file_is_asked_for_again_until_it_comes(tmp_path: Path) -> None:
    """The first C-MOVE brings nothing; then nothing has read the file since."""
    studies, port = COHORT[:1], 0
    with receiving.receiver(tmp_path) as receiver:
        for met in ([], [faults.OutOfResources(attempts=1)]):
            known = receiver.as_destination()
            with RehearsalPacs(SOURCE, met, port=port, destinations=known) as pacs:
                port = pacs.port  # the journal knows the PACS by its address
                retry = dm.Retry(attempts=3, wait=0.01)
                results = dm.move(studies, pacs, receiver, verify="hash", retry=retry, progress=False)
            assert results["outcome"].tolist() == ["complete"]
            if not met:
                damaged, gone = (tmp_path / path for path in receiver.manifest()["path"].iloc[:2])
                content = bytearray(damaged.read_bytes())
                content[-1] ^= 1
                damaged.write_bytes(content)
                gone.unlink()
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


def test_what_another_row_has_just_brought_is_not_damaged(tmp_path: Path) -> None:
    """Its hash is computed after it came: until then, there is nothing to compare its bytes with."""
    one = next(SOURCE.instances_of_all())
    rows = pd.DataFrame(
        {
            "StudyInstanceUID": one.study_instance_uid,
            "SeriesInstanceUID": [None, one.series_instance_uid],
            "QueryRetrieveLevel": ["STUDY", "SERIES"],
        }
    )
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        dm.move(rows, pacs, receiver, progress=False)
        next(tmp_path.glob(f"*/{one.series_instance_uid}/*.dcm")).unlink()
        results = dm.move(rows, pacs, receiver, progress=False, verify="hash")
    assert results["attempts"].tolist() == [1, 0]


@contextmanager
def bad_sector(pid: int, path: Path) -> Iterator[None]:
    """Let the disk fail when a process reads a file, as ``strace`` can."""
    inject = ["-e", "trace=read", "-e", "inject=read:error=EIO"]
    command = [servers.program("strace"), "-f", "-qq", "-o", os.devnull, "-P", str(path), *inject, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as tracer:
        traced, status = f"TracerPid:\t{tracer.pid}", Path(f"/proc/{pid}/status")
        try:
            servers.wait_until(lambda: traced in status.read_text() or tracer.poll() is not None)
            if tracer.poll() is not None:
                pytest.skip("this system does not let one process trace another")
            yield
        finally:
            tracer.terminate()


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux traces a process")
def test_a_file_that_cannot_be_read_is_moved_again(scene: Scene) -> None:
    scene.move()
    folder = scene.receiver.folder
    path, gone = (folder / name for name in scene.receiver.manifest()["path"].iloc[:2])
    gone.unlink()  # so that the receiver looks at the files of this row, too
    with bad_sector(scene.receiver.pid, path):
        results, started = scene.move(verify="hash")
    assert started == [0]
    assert results["outcome"].tolist() == ["complete"] * 4
    assert results["error"].isna().all()
    assert set(dm.verify(folder)["verified"]) == {"ok"}
    assert len(list((folder / ".dicomove" / "quarantine").glob("*~unreadable-*.changed"))) == 1


def test_rows_in_doubt_are_finished(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver:
        ends = faults.ClosesAtResponse(response=3, attempts=1, studies=(COHORT["StudyInstanceUID"][1],))
        with receiving.pacs(receiver, ends, source=SOURCE) as pacs:
            first = dm.move(COHORT, pacs, receiver, progress=False)
            assert first["outcome"].tolist() == ["complete", "interrupted", "complete", "complete"]
            second = dm.move(COHORT, pacs, receiver, progress=False)
    assert receiving.outcomes(second) == ["resumed", "complete", "resumed", "resumed"]
    assert second["received"].tolist() == [4] * 4


def test_all_that_came_before_the_end_needs_no_move(tmp_path: Path) -> None:
    uid = COHORT["StudyInstanceUID"][0]
    with receiving.receiver(tmp_path) as receiver:
        with receiving.pacs(receiver, faults.Hangs(attempts=1), source=SOURCE, idle_timeout=0.3) as pacs:
            stuck = dm.move(COHORT[:1], pacs, receiver, progress=False)
            assert stuck["outcome"].tolist() != ["complete"]
        with receiving.pacs(receiver, source=SOURCE) as other:
            dm.move(COHORT[:1], other, receiver, progress=False)
            assert dm.store.read_attempts(receiver.folder)["sent"].tolist() == [True, True]
        del uid


@dataclass(frozen=True)
class LacksOneAtFirst(Fault):
    """The first C-MOVE of a row counts one instance that it does not send."""

    uid: str

    def on_store(self, request: Request, instance: Instance) -> Sequence[Instance]:
        is_first = request.attempt == 1 and request.level in ("STUDY", "PATIENT")
        return [] if is_first and instance.sop_instance_uid == self.uid else [instance]


@pytest.mark.parametrize("level", ["STUDY", "PATIENT"])
@pytest.mark.parametrize("other_has_some", [False, True])
def test_a_row_goes_on_in_the_folder_where_it_was_begun(tmp_path: Path, level: str, other_has_some: bool) -> None:
    one = next(iter(SOURCE.instances_of_all()))
    row = {"PatientID": [one.patient_id], "StudyInstanceUID": [one.study_instance_uid]}
    table = pd.DataFrame(row if level == "STUDY" else {"PatientID": row["PatientID"]})
    lacks, model = LacksOneAtFirst(one.sop_instance_uid), f"{level.title()}Root"
    journal = tmp_path / "journal.sqlite"
    options: dict[str, Any] = {"level": level, "query_model": model, "journal": journal, "progress": False}
    with (
        receiving.receiver(tmp_path / "a", ae_title="A") as a,
        receiving.receiver(tmp_path / "b", ae_title="B") as b,
        receiving.pacs({**a.as_destination(), **b.as_destination()}, lacks, source=SOURCE) as pacs,
    ):
        if other_has_some:
            series = pd.DataFrame(row | {"SeriesInstanceUID": [one.series_instance_uid]})
            receiving.move(series, pacs, b, level="SERIES")
        first = dm.move(table, pacs, [a, b], **options)
        assert first["outcome"].tolist() == ["partial"]
        second = dm.move(table, pacs, [b, a], **options)
        assert (second["outcome"].tolist(), second["received"].tolist()) == (["complete"], first["expected"].tolist())
        assert len(a.manifest()) == first["expected"][0]
        assert len(b.manifest()) == (2 if other_has_some else 0)


@pytest.mark.parametrize("difference", ["pacs", "level", "journal"])
def test_another_question_is_another_row(tmp_path: Path, scene: Scene, difference: str) -> None:
    scene.move()
    if difference == "pacs":
        with receiving.pacs(scene.receiver, source=SOURCE) as pacs:
            _, started = Scene(scene.receiver, pacs).move()
    elif difference == "level":
        series = scene.receiver.manifest()[["StudyInstanceUID", "SeriesInstanceUID"]].drop_duplicates()
        _, started = scene.move(series.reset_index(drop=True))
    else:
        _, started = scene.move(journal=tmp_path / "other.sqlite")
    assert len(started) == (8 if difference == "level" else 4)


def test_what_was_not_counted_is_counted_before_it_is_taken_over(scene: Scene) -> None:
    first, _ = scene.move(COHORT[:2], verify="arrivals")
    assert first["expected"].isna().all()
    assert receiving.outcomes(scene.move(COHORT[:2], verify="arrivals")[0]) == ["resumed"] * 2
    for _ in range(2):
        counted, _ = scene.move(COHORT[:2])
        assert receiving.values(counted, "outcome", "expected", "attempts", "resumed") == [["complete", 4, 0, True]] * 2


@dataclass(frozen=True)
class _Refusing(FindFault):
    levels: tuple[str, ...]
    seen: list[str] = field(default_factory=list)

    def on_request(self, request: Request) -> None:
        self.seen.append(request.level)
        if request.level in self.levels:
            raise Refuse(0xA900, "no")


@dataclass(frozen=True)
class _Leaving(_Refusing):
    def on_request(self, request: Request) -> None:
        if request.level in self.levels:
            raise Abort


@pytest.mark.parametrize(
    ("fault", "verify", "expected", "attempts", "advice"),
    [
        pytest.param(_Refusing(("IMAGE",)), "auto", 4, 0, None, id="it counts"),
        pytest.param(_Refusing(("STUDY", "SERIES", "IMAGE")), "auto", None, 0, "is not known", id="no answer"),
        pytest.param(_Refusing(("IMAGE",)), "instances", None, 0, "is not known", id="no list"),
        pytest.param(_Leaving(("STUDY", "SERIES", "IMAGE")), "auto", None, 1, "is not known", id="it may come back"),
    ],
)
def test_what_cannot_be_counted_is_not_moved_once_more(
    tmp_path: Path, fault: _Refusing, verify: str, expected: int | None, attempts: int, advice: str | None
) -> None:
    with (
        receiving.receiver(tmp_path / "images") as receiver,
        receiving.pacs(receiver, fault, source=SOURCE) as pacs,
    ):
        scene = Scene(receiver, pacs)
        scene.move(COHORT[["StudyInstanceUID"]][:1], verify="arrivals")
        fault.seen.clear()
        warns = nullcontext() if expected else pytest.warns(dm.errors.VerificationWarning, match="1 of 1 rows")
        with warns:
            second, _ = scene.move(COHORT[["StudyInstanceUID"]][:1], verify=verify)
    assert receiving.row(second, "outcome", "expected", "attempts") == ("complete", expected, attempts)
    assert (advice or "An earlier run completed it") in str(second["advice"][0])
    if expected:
        assert fault.seen == ["STUDY"]


def test_only_what_was_not_counted_and_is_missing_is_moved(tmp_path: Path) -> None:
    whole = list(SOURCE.instances_of_all())[:4]
    archive, table = Archive(whole[:3]), COHORT[["StudyInstanceUID"]][:1]
    with (
        receiving.receiver(tmp_path / "images") as receiver,
        receiving.pacs(receiver, source=archive) as pacs,
    ):
        scene = Scene(receiver, pacs)
        assert scene.move(table, verify="arrivals")[0]["received"].tolist() == [3]
        vars(archive).update(vars(Archive(whole)))
        planned = dm.plan(table, pacs, receiver, progress=False)
        assert receiving.row(planned, "action", "on_disk", "expected") == ("move", 3, 4)
        second, _ = scene.move(table)
    assert receiving.row(second, "outcome", "expected", "completed", "resumed") == ("complete", 4, 1, False)


OWNER = next(SOURCE.instances_of_all().__iter__())
RIGHT, WRONG = {"PatientID": OWNER.patient_id}, {"PatientID": "SOMEBODY"}
NUMBER = {"AccessionNumber": str(OWNER.header["AccessionNumber"].value)}


@pytest.mark.parametrize("before", [{}, RIGHT], ids=["nothing", "the patient"])
@pytest.mark.parametrize("verify", ["auto", "arrivals"])
@pytest.mark.parametrize(("beside", "error"), [(WRONG, "other_patient"), ({"accession": "OTHER"}, "invalid_row")])
@pytest.mark.filterwarnings("ignore::dicomove.errors.ReceiverWarning")
def test_keys_beside_a_uid_are_compared_before_an_earlier_run_counts(
    scene: Scene, before: dict[str, str], verify: str, beside: dict[str, str], error: str
) -> None:
    """A column was sorted apart from the UIDs, or added in another order."""
    row = {"StudyInstanceUID": OWNER.study_instance_uid}
    assert scene.move(pd.DataFrame([row | before]))[0]["outcome"].tolist() == ["complete"]
    planned = dm.plan(pd.DataFrame([row | beside]), scene.pacs, scene.receiver, progress=False)
    assert planned["action"].tolist() == ["invalid"]
    result, _ = scene.move(pd.DataFrame([row | beside]), verify=verify)
    assert result[["outcome", "error", "attempts"]].to_numpy().tolist() == [["invalid", error, 0]]


@pytest.mark.filterwarnings("ignore::dicomove.errors.CohortWarning")
def test_a_column_that_was_added_and_is_right_moves_nothing_again(scene: Scene) -> None:
    row = {"StudyInstanceUID": OWNER.study_instance_uid}
    scene.move(pd.DataFrame([row]))
    first, started = scene.move(pd.DataFrame([row | RIGHT | NUMBER]))
    assert (started, first["outcome"].tolist(), first["attempts"].tolist()) == ([0], ["complete"], [0])
    assert scene.move(pd.DataFrame([row | RIGHT | NUMBER]))[1] == []
    assert scene.move(pd.DataFrame([row]))[1] == []
    named, _ = scene.move(pd.DataFrame([row | {"PatientName": "Doe^Jane"}]))
    assert named["outcome"].tolist() == ["complete"]
    assert "under another PatientName than the row names" in named["advice"].iloc[0]


@pytest.mark.filterwarnings("ignore::dicomove.errors.ReceiverWarning")
def test_a_row_beside_a_new_one_that_names_another_patient_is_not_moved_again(scene: Scene) -> None:
    row = {"StudyInstanceUID": OWNER.study_instance_uid}
    scene.move(pd.DataFrame([row | RIGHT]))
    both, _ = scene.move(pd.DataFrame([row | RIGHT, row | WRONG]))
    assert both[["outcome", "attempts"]].to_numpy().tolist() == [["complete", 0], ["invalid", 0]]


@pytest.mark.parametrize("beside", [WRONG, RIGHT], ids=["another", "the same"])
def test_so_it_is_at_another_destination(tmp_path: Path, beside: dict[str, str]) -> None:
    row = {"StudyInstanceUID": OWNER.study_instance_uid}
    journal = tmp_path / "journal.sqlite"
    with (
        receiving.receiver(tmp_path / "images", accept="any") as receiver,
        receiving.pacs(receiver, source=SOURCE) as pacs,
    ):
        first, *others = (
            dm.move(pd.DataFrame([one]), pacs, receiver.ae_title, journal=journal, progress=False)
            for one in (row, row | beside, row | beside, row | beside)
        )
    assert first["outcome"].tolist() == ["complete"]
    for result in others:
        expected = ["complete", True] if beside == RIGHT else ["invalid", False]
        assert result[["outcome", "resumed"]].to_numpy().tolist() == [expected]
        assert result["attempts"].tolist() == [0]
        assert result["advice"].iloc[0].count("earlier run completed") == (beside == RIGHT)


def test_elsewhere_a_journal_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "pull.sqlite"
    with (
        receiving.receiver(tmp_path / "images", accept="any") as store,
        receiving.pacs(store.as_destination(), source=SOURCE) as pacs,
    ):
        first = dm.move(COHORT, pacs, store.ae_title, journal=journal, progress=False)
        second = dm.move(COHORT, pacs, store.ae_title, journal=str(journal), progress=False)
        third = dm.move(COHORT, pacs, store.ae_title, progress=False)
    assert first["outcome"].tolist() == third["outcome"].tolist() == ["complete"] * 4
    assert receiving.outcomes(second) == ["resumed"] * 4


def test_without_a_journal_nothing_is_remembered(scene: Scene) -> None:
    scene.move(journal=False)
    results, _ = scene.move(journal=False)
    assert results["outcome"].tolist() == ["complete"] * 4
    with pytest.raises(dm.errors.JournalError, match="no journal"):
        dm.read_journal(scene.receiver.folder)


def test_the_journal_says_what_the_table_says(scene: Scene) -> None:
    table = COHORT.assign(
        when=pd.Timestamp("2026-01-02", tz="UTC"), StudyInstanceUID=[*COHORT["StudyInstanceUID"][:3], ""]
    )
    table.index = pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1), ("b", 1)], names=["site", None])
    results, _ = scene.move(table)
    read = dm.read_journal(scene.receiver.folder)
    pd.testing.assert_frame_equal(read, results)
    facts = read.attrs["run"]
    assert facts["pacs"] == scene.pacs.address
    assert facts["destination"] == "DICOMOVE"
    assert set(facts["versions"]) == {"python", "dicomove", "pynetdicom", "pydicom", "pandas"}
    assert facts["interrupted"] is False


def test_the_journal_can_be_read_while_the_run_goes_on(scene: Scene) -> None:
    tables = []

    def look(event: Event) -> None:
        if isinstance(event, RowStarted):
            tables.append(dm.read_journal(scene.receiver.folder))

    dm.move(COHORT, scene.pacs, scene.receiver, progress=look)
    assert len(tables) == 4
    assert all(len(table) == 4 for table in tables)
    assert tables[0]["outcome"].tolist() == ["not_attempted"] * 4


def test_two_jobs_side_by_side_share_it(scene: Scene) -> None:
    jobs = [dm.start_move(COHORT[n::2], scene.pacs, scene.receiver, progress=False) for n in range(2)]
    assert [job.wait(30)["outcome"].tolist() for job in jobs] == [["complete"] * 2] * 2
    assert len(dm.store.read_runs(scene.receiver.folder)) == 2
    _, started = scene.move()
    assert started == []


@contextmanager
def another_process(journal: Path) -> Iterator[int]:
    """A process that has a journal."""
    opened = f"from dicomove.store import Journal; journal = Journal.open({str(journal)!r})"
    script = f"{opened}; print('has it', flush=True); input()"
    process = subprocess.Popen(forks.python("-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "has it\n"
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def test_another_process_has_it(tmp_path: Path) -> None:
    journal = tmp_path / "pull.sqlite"
    unreachable = dm.Pacs("127.0.0.1:1")
    with another_process(journal) as pid, pytest.raises(dm.errors.JournalError, match=rf"process {pid} on "):
        dm.move(COHORT, unreachable, "X", journal=journal, progress=False)
    with servers.dead_port() as port:
        again = dm.move(COHORT, dm.Pacs(f"127.0.0.1:{port}"), "X", journal=journal, progress=False)
    assert again["outcome"].tolist() == ["unreachable"] * 4


def test_the_journal_is_for_its_owner_only(tmp_path: Path) -> None:
    with servers.dead_port() as port:
        dm.move(COHORT, dm.Pacs(f"127.0.0.1:{port}"), "X", journal=tmp_path / "pull.sqlite", progress=False)
    assert os.name != "posix" or (tmp_path / "pull.sqlite").stat().st_mode & 0o077 == 0


def test_an_unrequested_journal_does_not_stop_a_run(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.move(COHORT[:1])
    monkeypatch.setattr("dicomove.store.Journal.begin", _full)
    with pytest.warns(dm.errors.JournalWarning, match="the disk is full"):
        results, _ = scene.move()
    assert receiving.outcomes(results) == ["resumed"] + ["complete"] * 3
    with pytest.raises(dm.errors.JournalError, match="the disk is full"):
        scene.move(journal=scene.receiver.folder / "own.sqlite")


def _full(*_: object) -> int:
    message = "the disk is full"
    raise dm.errors.JournalError(message)
