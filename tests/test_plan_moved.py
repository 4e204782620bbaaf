"""A plan is moved as it stands, and its estimates are kept apart from facts."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest

import dicomove as dm
from dicomove.cohort import move_identifiers
from dicomove.columns import PLAN_COLUMNS
from dicomove.events import Event, RowFinished
from dicomove.run import Options, PreparedRun, RunSettings
from dicomove.testing import RehearsalPacs, RunningPacs, Synthetic, faults
from tests import receiving

ARCHIVE = Synthetic(studies=6, instances=4, size=20_000)


def test_the_move_follows_the_plan(tmp_path: Path) -> None:
    rows = receiving.studies(ARCHIVE, 6)
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=ARCHIVE) as pacs:
        dm.move(rows[:2], pacs, receiver, progress=False)
        planned = dm.plan(rows, pacs, receiver, progress=False)
        assert planned["action"].tolist() == ["skip"] * 2 + ["move"] * 4
        planned.loc[5, "action"] = "later"
        results = dm.move(planned, pacs, receiver, progress=False)
    assert results["outcome"].tolist() == ["complete"] * 5 + ["not_attempted"]
    assert results["attempts"].tolist() == [0, 0, 1, 1, 1, 0]
    assert results["advice"].iloc[5] == "The plan leaves it out: action is later."
    assert results["expected"].tolist()[:5] == [4] * 5
    assert not [name for name in results.columns if str(name).endswith("_cohort")]
    assert len(receiving.files(tmp_path)) == 20


def test_the_numbers_of_a_plan_are_those_of_the_move(tmp_path: Path) -> None:
    """The PACS says how many there are to the plan, and never again."""
    hides = faults.NoRelatedCounts()
    rows = receiving.studies(ARCHIVE, 1)
    with receiving.receiver(tmp_path) as receiver:
        with receiving.pacs(receiver, source=ARCHIVE) as pacs:
            planned = dm.plan(rows, pacs, receiver, progress=False)
        with receiving.pacs(receiver, hides, source=ARCHIVE) as silent:
            results = dm.move(planned, silent, receiver, progress=False, verify="counts")
    assert receiving.row(results, "outcome", "expected", "received") == ("complete", 4, 4)


def test_the_rows_of_a_long_plan_are_not_looked_for_among_each_other() -> None:
    rows = 20_000
    uids = [f"1.2.{row}" for row in range(rows)]
    planned = pd.DataFrame({"StudyInstanceUID": uids, **dict.fromkeys(PLAN_COLUMNS)})
    planned["action"] = ["move", "later"] * (rows // 2)
    identifiers = move_identifiers(planned, "STUDY")
    settings = RunSettings(dm.Pacs("PACS@127.0.0.1:104"), ("SINK",))
    before = time.process_time()
    run = PreparedRun(planned, identifiers, settings, Options(journal=False))
    assert time.process_time() - before < 10  # each among all others: a minute and more
    assert run.results["advice"].value_counts().tolist() == [rows // 2] * 2


def test_a_repeated_row_of_a_plan_shares_its_move(tmp_path: Path) -> None:
    rows = pd.concat([receiving.studies(ARCHIVE, 1)] * 2, ignore_index=True)
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=ARCHIVE) as pacs:
        planned = dm.plan(rows, pacs, receiver, progress=False)
        assert planned["action"].tolist() == ["move", "repeated"]
        assert planned["bytes"].tolist()[1] == 0
        results = dm.move(planned, pacs, receiver, progress=False)
    assert results["outcome"].tolist() == ["complete"] * 2


def test_a_plan_survives_a_file(tmp_path: Path) -> None:
    rows = receiving.studies(ARCHIVE, 2)
    with receiving.receiver(tmp_path / "images") as receiver, receiving.pacs(receiver, source=ARCHIVE) as pacs:
        planned = dm.plan(rows, pacs, receiver, progress=False)
        planned.loc[0, "action"] = "later"
        nothing = pd.DataFrame({"action": ["nothing"]})
        pd.concat([planned, nothing]).to_csv(tmp_path / "plan.csv", index=False)
        read = dm.read_cohort(tmp_path / "plan.csv")
        results = dm.move(read, pacs, receiver, progress=False)
    assert results["outcome"].tolist() == ["not_attempted", "complete", "invalid"]
    assert dm.summary(read).loc["all", "studies"] == 2


def test_estimates_are_learnt_from_what_came(tmp_path: Path) -> None:
    many = Synthetic(studies=4, instances=12, size=20_000)
    rows = receiving.studies(many, 4)
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=many) as pacs:
        found = dm.find(rows, pacs, progress=False)
        before = dm.plan(found, pacs, receiver, progress=False)
        dm.move(found[:2], pacs, receiver, progress=False)
        planned = dm.plan(found, pacs, receiver, progress=False, hours="00:00-24:00 UTC")
        real = receiver.manifest()["bytes"].sum() / 2
        said = dm.summary(planned)
    assert before["bytes"].eq(12 * 530_000).all()
    assert before["duration_s"].isna().all()
    assert planned["bytes"].tolist()[:2] == [0, 0]
    assert planned["bytes"].iloc[2] == pytest.approx(real, rel=0.05)
    assert planned["duration_s"].gt(0).tolist() == [False, False, True, True]
    assert said.loc["all", "bytes"] == planned["bytes"].sum()
    assert said["rows"].to_dict() == {"skip": 2, "move": 2, "all": 4}
    assert said.loc["all", "windows"] == 1
    assert said["free_bytes"].gt(0).tolist()[-1]


def test_the_summary_of_a_plan_without_a_destination(rehearsal_pacs: Callable[..., RunningPacs]) -> None:
    pacs = rehearsal_pacs(ARCHIVE)
    planned = dm.plan(pd.DataFrame({"StudyInstanceUID": ["1.2.3", "1.2.*"]}), pacs, progress=False)
    assert list(planned.columns[1:]) == list(PLAN_COLUMNS)
    said = dm.summary(planned)
    assert said["rows"].to_dict() == {"move": 1, "invalid": 1, "all": 2}


@pytest.mark.parametrize("method", ["move", "get"])
@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_the_move_of_a_plan_asks_nothing_that_the_plan_has_asked(
    tmp_path: Path, level: str, method: Literal["move", "get"]
) -> None:
    """C-GET needs to know the SOP classes: the plan asks for them at the level of studies, or else the move, once."""
    names = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"][: ["STUDY", "SERIES", "IMAGE"].index(level) + 1]
    held = [
        (one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid) for one in ARCHIVE.instances_of_all()
    ]
    rows = pd.DataFrame(held, columns=["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])[names]
    rows = rows.drop_duplicates(ignore_index=True)[:8]
    with (
        receiving.receiver(tmp_path) as receiver,
        RehearsalPacs(ARCHIVE, destinations=receiver.as_destination()) as pacs,
    ):
        planned = dm.plan(rows, pacs, receiver, method=method, progress=False)
        # As a user treats it: in two parts, from one file and from another.
        planned[:3].to_csv(tmp_path / "plan.csv", index=False)
        planned[3:].to_pickle(tmp_path / "plan.pickle")
        kept = pd.read_pickle(tmp_path / "plan.pickle")  # noqa: S301 (it was written here)
        read = [dm.read_cohort(tmp_path / "plan.csv"), kept]
        asked = len(pacs.requests())
        results = dm.move(pd.concat(read), pacs, receiver, method=method, progress=False)
        requests = pacs.requests()[asked:]
    assert results["outcome"].tolist() == ["complete"] * len(rows)
    studies = rows["StudyInstanceUID"].nunique()
    expected = 0 if method == "move" or level == "STUDY" else studies
    assert (requests["command"] == "C-FIND").sum() == expected


def test_the_move_asks_for_the_rest_of_an_interrupted_plan(tmp_path: Path) -> None:
    """The table knows the number of instances, so that only the PatientID is unknown; it is that of another patient."""
    rows = receiving.studies(ARCHIVE, 2).assign(PatientID="SOMEBODY", NumberOfStudyRelatedInstances=4)

    def interrupt(event: Event) -> None:
        if isinstance(event, RowFinished):
            signal.raise_signal(signal.SIGINT)

    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=ARCHIVE) as pacs:
        with pytest.warns(dm.InterruptedWarning):
            planned = dm.plan(rows, pacs, receiver, progress=interrupt)
        assert planned["action"].tolist() == ["invalid", "move"]
        results = dm.move(planned, pacs, receiver, progress=False)
    assert results["outcome"].tolist() == ["not_attempted", "invalid"]
    assert not receiving.files(tmp_path)


def test_files_on_disk_are_not_sent_again(tmp_path: Path) -> None:
    """A series came for a row of its own, so that no earlier run knows the row of its study."""
    layered = Synthetic(studies=2, series=2, instances=3, size=512)
    first = next(iter(layered.instances_of_all()))
    series = {"StudyInstanceUID": [first.study_instance_uid], "SeriesInstanceUID": [first.series_instance_uid]}
    with (
        receiving.receiver(tmp_path) as receiver,
        RehearsalPacs(layered, destinations=receiver.as_destination()) as pacs,
    ):
        dm.move(pd.DataFrame(series), pacs, receiver, progress=False)
        planned = dm.plan(receiving.studies(layered, 2), pacs, receiver, progress=False)
        assert planned[["expected", "on_disk"]].astype(int).to_numpy().tolist() == [[6, 3], [6, 0]]
        assert planned["bytes"].tolist() == [3 * 530_000, 6 * 530_000]  # of CT, as the PACS says
        asked = len(pacs.requests())
        results = dm.move(planned, pacs, receiver, max_bytes=9 * 530_000, progress=False)
        moves = pacs.requests()[asked:].query("command == 'C-MOVE'")
    assert results["outcome"].tolist() == ["complete"] * 2
    assert results["completed"].tolist() == [3, 6]
    assert moves["level"].tolist() == ["IMAGE", "STUDY"] or moves["level"].tolist() == ["SERIES", "STUDY"]
