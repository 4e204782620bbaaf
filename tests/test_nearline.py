"""Studies that the PACS has on a slow medium: found, planned, moved last and with patience, or left."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.events import Event, RowStarted
from dicomove.run.table.cells import RowCells, slowest
from dicomove.testing import RehearsalPacs, RunningPacs, Synthetic, faults
from dicomove.words import SLOW
from tests import receiving, servers
from tests.receiving import columns

pytestmark = pytest.mark.timeout(60)

SOURCE = Synthetic(studies=4, instances=3, size=512)
UIDS = receiving.studies(SOURCE, 4)["StudyInstanceUID"].tolist()
ON_TAPE = (UIDS[0], UIDS[2])
TABLE = pd.DataFrame({"StudyInstanceUID": UIDS}, index=list("abcd"))


def rehearsal(receiver: dm.Receiver | None = None, **options: object) -> RehearsalPacs:
    fault = faults.ReportsNearline(studies=ON_TAPE, **options)  # type: ignore[arg-type]  # as the caller says
    return RehearsalPacs(SOURCE, [fault], destinations=receiver.as_destination() if receiver else {})


def found(pacs: dm.Pacs) -> pd.DataFrame:
    return dm.find(TABLE, pacs, progress=False)


def moves(pacs: RunningPacs) -> list[str]:
    asked = pacs.requests()
    return [keys["StudyInstanceUID"] for keys in asked.loc[asked["command"] == "C-MOVE", "keys"]]


def test_find_says_what_is_at_hand() -> None:
    with rehearsal() as pacs:
        assert found(pacs)["InstanceAvailability"].tolist() == ["NEARLINE", "ONLINE"] * 2
        assert found(pacs)["RetrieveAETitle"].tolist() == ["REHEARSAL"] * 4


def test_a_pacs_that_refuses_the_key_is_asked_without_it() -> None:
    with RehearsalPacs(SOURCE, [faults.RefusesAvailability()]) as pacs:
        studies = found(pacs)
        planned = dm.plan(TABLE, pacs, progress=False)
        asked = pacs.requests()
    assert studies["outcome"].tolist() == ["matched"] * 4
    assert studies["InstanceAvailability"].isna().all()
    assert planned["expected"].tolist() == [3] * 4
    assert (asked["command"] == "C-FIND").sum() == 2 + 5, "that it refuses the key is learnt once"


@pytest.mark.parametrize("has_column", [True, False], ids=["found", "asked"])
def test_plan_counts_what_is_not_at_hand(has_column: bool) -> None:
    with rehearsal(availability="OFFLINE") as pacs:
        planned = dm.plan(found(pacs) if has_column else TABLE, pacs, progress=False)
    assert planned["availability"].tolist() == ["OFFLINE", "ONLINE"] * 2
    assert planned.groupby("availability")["expected"].sum().to_dict() == {"OFFLINE": 6, "ONLINE": 6}
    assert planned["advice"].notna().tolist() == [True, False] * 2
    assert planned["advice"].iloc[0].startswith("The PACS has it OFFLINE")


def test_they_are_moved_last_and_with_more_patience(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, rehearsal(receiver, silence_s=2.0) as running:
        pacs = dm.Pacs(running.address, idle_timeout=0.7, first_response_timeout=0.7)
        result = receiving.move(found(running), pacs, receiver)
        assert moves(running) == [UIDS[1], UIDS[3], UIDS[0], UIDS[2]]
    assert result["outcome"].tolist() == ["complete"] * 4
    assert result["InstanceAvailability"].tolist() == ["NEARLINE", "ONLINE"] * 2


def test_they_are_taken_as_they_are(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, rehearsal(receiver, silence_s=2.0) as running:
        pacs = dm.Pacs(running.address, idle_timeout=0.7, first_response_timeout=0.7)
        result = receiving.move(found(running), pacs, receiver, nearline="as_is")
        assert moves(running) == UIDS
    assert columns(result, "outcome", "error") == [("interrupted", "idle_timeout"), ("complete", None)] * 2


def test_they_are_left(tmp_path: Path) -> None:
    shown: list[Event] = []
    journal = tmp_path / "run.sqlite"
    with receiving.receiver(tmp_path) as receiver, rehearsal(receiver) as running:
        studies = found(running)
        result = dm.move(studies, running, receiver, nearline="skip", journal=journal, progress=shown.append)
        assert moves(running) == [UIDS[1], UIDS[3]]
        again = dm.move(studies, running, receiver, journal=journal, progress=False)
    assert (
        columns(result, "outcome", "error", "attempts") == [("not_attempted", "nearline", 0), ("complete", None, 1)] * 2
    )
    assert result["advice"].iloc[0].startswith("The PACS has the images on a slow medium")
    assert sum(isinstance(event, RowStarted) for event in shown) == 2
    assert columns(again, "outcome", "attempts", "resumed") == [("complete", 1, False), ("complete", 0, True)] * 2


def test_complete_rows_are_not_left_out(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, rehearsal(receiver) as running:
        studies = found(running)
        dm.move(studies, running, receiver, progress=False)
        again = dm.move(studies, running, receiver, nearline="skip", progress=False)
    assert columns(again, "outcome", "resumed") == [("complete", True)] * 4


def test_rows_that_are_left_out_do_not_count_for_a_limit(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, rehearsal(receiver) as running:
        result = dm.move(found(running), running, receiver, nearline="skip", max_studies=2, progress=False)
    assert result["outcome"].tolist() == ["not_attempted", "complete"] * 2


def test_a_pacs_that_says_nothing_is_moved_from_as_ever(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        result = receiving.move(found(pacs), pacs, receiver, nearline="skip")
    assert result["outcome"].tolist() == ["complete"] * 4


def test_orthanc_and_dcmqrscp_answer(orthanc: servers.Server, dcmqrscp: servers.Server) -> None:
    for server in (orthanc, dcmqrscp):
        uids = list(dict.fromkeys(one.study for one in server.holds))
        studies = dm.find(pd.DataFrame({"StudyInstanceUID": uids}), server.pacs, progress=False)
        assert studies["outcome"].eq("matched").all()
        cells = RowCells(studies)
        assert not {cells.availability([row]) for row in range(len(studies))} & {*SLOW}


def test_a_word_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="nearline='never' is not one of last, skip, as_is"):
        dm.move(TABLE, dm.Pacs("A@127.0.0.1:104"), "B", nearline="never")  # type: ignore[arg-type]  # that is it


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        ("ONLINE\\NEARLINE", "NEARLINE"),
        (" offline ", "OFFLINE"),
        ("", None),
        ("SOMEWHERE", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_the_slowest_part_decides(cell: object, word: str | None) -> None:
    table = pd.DataFrame({"InstanceAvailability": pd.Series([cell, "ONLINE"], dtype=object)})
    cells = RowCells(table)
    assert [cells.availability([0]), cells.availability([1]), cells.availability([0, 1])] == [
        word,
        "ONLINE",
        word or "ONLINE",
    ]
    assert slowest([] if word is None else [word, "ONLINE"]) == word
