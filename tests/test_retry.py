"""Rows are tried again when that may help, and then only for what is missing."""

from __future__ import annotations

import queue
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tenacity

import dicomove as dm
from dicomove.events import Arriving, Event, RowFinished, RowWillRetry
from dicomove.store import read_manifest
from dicomove.testing import Synthetic, faults
from dicomove.testing.faults.base import Fault, Refuse, Request
from tests import receiving

pytestmark = pytest.mark.timeout(60)

SOURCE = Synthetic(studies=3, series=2, instances=3, size=512)
STUDIES = receiving.studies(SOURCE, 3)
FIRST = STUDIES["StudyInstanceUID"][0]
RETRY = dm.Retry(attempts=12, wait=0.02)
THRICE = dm.Retry(attempts=3, wait=0.02)


@dataclass(frozen=True)
class Refuses(Fault):
    """Every C-MOVE is answered with one status."""

    status: int = 0

    def on_request(self, _: Request) -> None:
        raise Refuse(self.status)


def pull(
    folder: Path, *present: Fault, table: pd.DataFrame = STUDIES, **options: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The result table, and the attempts."""
    with receiving.receiver(folder) as receiver, receiving.pacs(receiver, *present, source=SOURCE) as pacs:
        results = dm.move(table, pacs, receiver, **{"retry": RETRY, "progress": False, **options})
    return results, dm.store.read_attempts(folder)


@pytest.mark.parametrize(
    "fault",
    [
        faults.OutOfResources(attempts=1),
        faults.OutOfResources(attempts=2),
        faults.Nearline(silence_s=0.05),
        faults.AbortsAtResponse(response=2, attempts=1),
        faults.ClosesAtResponse(response=3, attempts=1),
        faults.ResetsAtResponse(response=1, attempts=2),
        faults.Dies(response=2, attempts=1, back_after_s=0.1),
        faults.SuccessWithNothingMoved(attempts=1),
        faults.SuccessWithAllFailed(attempts=2),
        faults.SomeFail(attempts=1),
        faults.LosesInstances(attempts=1),
        faults.FalseSuccess(attempts=1),
        faults.TruncatesInstances(attempts=1),
    ],
    ids=lambda fault: f"{fault.name}-{fault.attempts}",
)
def test_errors_that_pass_end_complete(tmp_path: Path, fault: Fault) -> None:
    results, attempts = pull(tmp_path, fault)
    assert results["outcome"].tolist() == ["complete"] * 3, results[["outcome", "error", "advice"]].to_dict("list")
    assert results["error"].isna().all()
    assert (results["attempts"] > 1).all()
    receiving.assert_whole(tmp_path, SOURCE)
    assert len(receiving.files(tmp_path)) == 18
    assert attempts[attempts["sent"]].groupby("row").size().tolist() == results["attempts"].tolist()
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


def test_silence_is_tried_again(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver:
        hangs = faults.VanishesAtResponse(response=1, attempts=1, studies=(FIRST,))
        with receiving.pacs(receiver, hangs, source=SOURCE, idle_timeout=0.3, first_response_timeout=0.3) as pacs:
            results = dm.move(STUDIES, pacs, receiver, retry=RETRY, progress=False)
    assert results["outcome"].tolist() == ["complete"] * 3
    assert results["attempts"].tolist()[1:] == [1, 1]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.UnknownDestination(), "destination_unknown"),
        (Refuses(0xA900), "identifier_mismatch"),
        (Refuses(0x0122), "not_supported"),
        (Refuses(0xC001), "unable_to_process"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_permanent_errors_are_not_tried_again(tmp_path: Path, fault: Fault, error: str) -> None:
    results, _ = pull(tmp_path, fault)
    assert results["error"].tolist() == [error] * 3
    assert results["attempts"].tolist() == [1] * 3


def test_an_ae_title_that_the_pacs_does_not_know_is_not_tried_again(tmp_path: Path) -> None:
    seen: list[Event] = []
    results, _ = pull(tmp_path, faults.RejectsAssociation(1, 1, 3), progress=seen.append)
    assert results["error"].tolist() == ["association_rejected"] * 3
    assert results["attempts"].tolist() == [0] * 3
    assert not [event for event in seen if isinstance(event, RowWillRetry)]


def test_attempts_end(tmp_path: Path) -> None:
    seen: list[Event] = []
    results, attempts = pull(
        tmp_path, faults.OutOfResources(studies=(FIRST,)), progress=seen.append, retry=dm.Retry(attempts=3, wait=0.02)
    )
    assert results["outcome"].tolist() == ["failed"] + ["complete"] * 2
    assert results["error"][0] == "out_of_resources"
    assert results["attempts"].tolist() == [3, 1, 1]
    assert [event.attempt for event in seen if isinstance(event, RowWillRetry)] == [1, 2]
    assert sum(isinstance(event, RowFinished) for event in seen) == 3
    assert attempts.loc[attempts["row"] == 0, "final"].tolist() == [False, False, True]


def test_rows_that_wait_do_not_keep_the_others_waiting(tmp_path: Path) -> None:
    seen: list[Event] = []
    pull(tmp_path, faults.OutOfResources(attempts=1, studies=(FIRST,)), progress=seen.append)
    assert [event.row for event in seen if isinstance(event, RowFinished)][-1] == 0


def test_a_wait_is_any_strategy_of_tenacity(tmp_path: Path) -> None:
    wait = tenacity.wait_fixed(0.01) + tenacity.wait_random(0, 0.02)
    results, _ = pull(tmp_path, faults.OutOfResources(attempts=1), retry=dm.Retry(attempts=2, wait=wait))
    assert results["outcome"].tolist() == ["complete"] * 3


def test_a_number_is_a_number_of_attempts() -> None:
    with pytest.raises(ValueError, match="attempts"):
        dm.move(STUDIES, dm.Pacs("127.0.0.1:1"), "X", retry=0, progress=False)


class Loses(faults.Fault):
    """Some instances are not sent where a whole study or series is asked for."""

    def on_selection(self, request: Request, instances: list[Any]) -> list[Any]:
        lost = {"1.2", "2.3"}
        whole = request.level != "IMAGE" and request.attempt == 1
        return [one for one in instances if not (whole and _place(one.sop_instance_uid) in lost)]


def _place(uid: str) -> str:
    """Series and number of a synthetic instance."""
    return ".".join(uid.split(".")[-2:])


@pytest.mark.parametrize(
    ("refuses", "levels", "uids"),
    [
        ([], ["STUDY", "IMAGE", "IMAGE"], [1, 1, 1]),
        # What was lost with the study is lost once more with its series.
        ([faults.RefusesImageLevel()], ["STUDY", "IMAGE", "SERIES", "SERIES", "SERIES", "SERIES"], [1] * 6),
    ],
    ids=["instances", "no image level"],
)
def test_only_what_is_missing_is_asked_for(
    tmp_path: Path, refuses: Iterable[Fault], levels: list[str], uids: list[int]
) -> None:
    results, attempts = pull(tmp_path, Loses(), *refuses, table=STUDIES[:1])
    assert results["outcome"].tolist() == ["complete"]
    assert results["received"].tolist() == [6]
    assert attempts["asked_level"].tolist() == levels
    assert attempts["asked_uids"].tolist() == uids
    assert results["attempts"].tolist() == [len(levels)]
    came_again = (read_manifest(tmp_path)["times_received"] > 1).sum()
    assert came_again == (4 if refuses else 0)


class LosesHalfASeries(faults.Fault):
    """Of each series only the first instance is sent, unless instances are asked for."""

    def on_selection(self, request: Request, instances: list[Any]) -> list[Any]:
        return [one for one in instances if request.level == "IMAGE" or _place(one.sop_instance_uid).endswith(".1")]


def test_the_run_learns_once_what_a_pacs_cannot_do(tmp_path: Path) -> None:
    results, attempts = pull(tmp_path, LosesHalfASeries(), faults.RefusesLists())
    assert results["outcome"].tolist() == ["complete"] * 3
    lists = attempts[attempts["asked_uids"] > 1]
    assert len(lists) == 1, "one list was refused, and then no PACS is asked for a list again"
    single = attempts[(attempts["asked_level"] == "IMAGE") & (attempts["asked_uids"] == 1)]
    assert len(single) == 3 * 4


def test_elsewhere_the_whole_row_is_asked_for_again() -> None:
    uid = receiving.studies()["StudyInstanceUID"][0]
    table = pd.DataFrame({"StudyInstanceUID": [uid]})
    with receiving.pacs({}, faults.OutOfResources(attempts=1)) as pacs:
        results = dm.move(table, pacs, "NOBODY", retry=RETRY, progress=False)
    assert results["attempts"].tolist() == [2]
    assert results["error"].tolist() == ["destination_unknown"]


def test_the_result_of_an_earlier_attempt_is_kept(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, Loses(), source=SOURCE) as pacs:
        first = dm.move(STUDIES[:1], pacs, receiver, progress=False)
        assert first["outcome"].tolist() == ["partial"]
        again = dm.move(STUDIES[:1], pacs, receiver, progress=False)
    assert again["outcome"].tolist() == ["complete"]
    attempts = dm.store.read_attempts(tmp_path)
    assert attempts["asked_level"].tolist()[1:] == ["IMAGE"] * (len(attempts) - 1)


def test_a_stop_between_two_c_moves_keeps_what_came_and_what_was_sent(tmp_path: Path) -> None:
    """A PACS that takes no lists is asked for twelve instances one by one."""
    source, jobs = Synthetic(studies=1, series=1, instances=16, size=512), queue.SimpleQueue[dm.MoveJob]()

    def act(event: Event) -> None:
        if isinstance(event, Arriving) and event.instances > 5 and not jobs.empty():
            jobs.get().cancel()

    present = faults.LosesInstances(keep=0.25, attempts=1), faults.RefusesLists(), faults.IgnoresCancel()
    slow = faults.Latency(seconds=0.1)
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, *present, slow, source=source) as pacs:
        job = dm.start_move(receiving.studies(source, 1), pacs, receiver, progress=act, retry=THRICE)
        jobs.put(job)
        with pytest.warns(dm.InterruptedWarning):
            row = job.wait().iloc[0]
        assert row["received"] == len(receiver.manifest())
    assert row["outcome"] == "cancelled"
    assert row["attempts"] == 2 + row["received"] - 4, "the study, the list, and each instance"


@dataclass(frozen=True)
class StudiesFail(faults.SomeFail):
    """Some instances fail if a whole study is asked for."""

    def concerns(self, request: Request) -> bool:
        return super().concerns(request) and request.level == "STUDY"


@pytest.mark.filterwarnings("ignore::dicomove.errors.CohortWarning")
def test_what_another_row_of_the_study_brought_meanwhile_is_not_asked_for_again(tmp_path: Path) -> None:
    of_study = [one for one in SOURCE.instances_of_all() if one.study_instance_uid == FIRST]
    series = list(dict.fromkeys(one.series_instance_uid for one in of_study))
    table = pd.DataFrame({"StudyInstanceUID": [FIRST] * 3, "SeriesInstanceUID": ["", *series]})
    results, attempts = pull(tmp_path, StudiesFail(), table=table, retry=dm.Retry(attempts=2, wait=4))
    assert results["outcome"].tolist() == ["complete"] * 3
    assert results["received"].tolist() == [6, 3, 3]
    assert results["attempts"].tolist() == [1, 1, 1]
    assert attempts["sent"].sum() == 3
