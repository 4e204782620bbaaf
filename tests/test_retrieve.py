"""`retrieve`: find and move in one, with one progress display; an interrupt in either leaves the table so far."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dicomove as dm
from dicomove.events import Event, RowFinished, RowStarted, RunEnded, RunStarted
from dicomove.notebook import PanelDisplay, PanelState, to_text
from dicomove.notebook.progress import Phases
from dicomove.results import RESULT_COLUMNS
from dicomove.testing import RehearsalPacs, Synthetic
from dicomove.testing.archive import Archive
from dicomove.testing.rehearsal import RunningPacs
from tests import receiving, servers

pytestmark = pytest.mark.timeout(60)

SOURCE = Synthetic(studies=4, series=1, instances=2, size=64, patients=2)
COHORT = pd.DataFrame(
    {"PatientID": ["SYN000001", "NOBODY", "?", "SYN000002"], "arm": list("abcd")}, index=["w", "x", "x", "y"]
)
NOW = datetime(2026, 1, 31, 20, 0, tzinfo=UTC)
TIMES = ["started_at", "finished_at", "duration_s"]


@pytest.fixture(scope="module")
def pacs() -> Iterator[RunningPacs]:
    with RehearsalPacs(SOURCE) as running:
        yield running


def test_it_is_move_of_find(pacs: RunningPacs) -> None:
    results = dm.retrieve(COHORT, pacs, pacs.destination, progress=False, concurrency=2)
    parts = dm.move(dm.find(COHORT, pacs, progress=False), pacs, pacs.destination, progress=False)
    pd.testing.assert_frame_equal(results.drop(columns=TIMES), parts.drop(columns=TIMES))
    assert results["cohort_row"].tolist() == ["w", "w", "x", "x", "y", "y"]
    said = dm.verdicts(COHORT, results)
    assert said["outcome"].tolist() == ["complete", "empty", "invalid", "complete"]
    assert said.index.tolist() == COHORT.index.tolist()


def test_keywords_of_both(pacs: RunningPacs) -> None:
    results = dm.retrieve(
        pd.DataFrame({"ModalitiesInStudy": ["CT"]}),
        pacs,
        pacs.destination,
        level="SERIES",
        keys=["SeriesNumber"],
        broad="allow",
        verify="instances",
        progress=False,
    )
    assert results["outcome"].tolist() == ["complete"] * 4
    assert "SeriesNumber" in results.columns
    assert results["SeriesInstanceUID"].nunique() == 4
    with pytest.raises(dm.CohortError):
        dm.retrieve(pd.DataFrame({"ModalitiesInStudy": ["CT"]}), pacs, pacs.destination, progress=False)
    table = pd.DataFrame({"PatientID": ["SYN000001", "SYN000002"], "AccessionNumber": ["000001", ""]})
    refused = dm.retrieve(table, pacs, pacs.destination, partial_keys="refuse", progress=False)
    assert refused["outcome"].tolist()[-1] == "invalid"


def test_whole_patients_only_where_the_level_says_so(pacs: RunningPacs) -> None:
    options: dict[str, Any] = {"query_model": "PatientRoot", "progress": False}
    whole = dm.retrieve(COHORT, pacs, pacs.destination, level="PATIENT", **options)
    assert whole["completed"].tolist()[0] == 4
    assert dm.verdicts(COHORT, whole)["outcome"].tolist() == ["complete", "empty", "invalid", "complete"]
    studies = dm.retrieve(COHORT, pacs, pacs.destination, **options)
    assert studies["completed"].tolist()[:2] == [2, 2]


@pytest.mark.parametrize("header", ["QueryRetrieveLevel", "query level"])
def test_a_level_of_a_row_brings_no_more_than_was_matched(pacs: RunningPacs, header: str) -> None:
    options: dict[str, Any] = {"query_model": "PatientRoot", "progress": False}
    levels = ["patient", "STUDY", "patient"]
    table = pd.DataFrame({"PatientID": "SYN000001", "AccessionNumber": ["000001", "000001", "X"], header: levels})
    with pytest.warns(dm.errors.CohortWarning, match=r"of 1 of 3 rows has a level above STUDY.*what find matched"):
        results = dm.retrieve(table, pacs, pacs.destination, **options)
    assert results["completed"].fillna(-1).tolist() == [2, 2, -1]
    assert results[header].tolist() == levels
    studies = dm.find(table, pacs, **options)
    with pytest.warns(dm.errors.CohortWarning, match="1 of 3 rows bring all studies of their patient"):
        whole = dm.move(studies, pacs, pacs.destination, **options)
    assert whole["completed"].fillna(-1).tolist() == [4, 2, -1]
    assert dm.retrieve(table[1:2], pacs, pacs.destination, **options)["completed"].tolist() == [2]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"concurrency": 0}, ValueError),
        ({"destination": "far too long an AE title"}, dm.errors.AddressError),
        ({"level": "INSTANCE"}, dm.CohortError),
        ({"progress": "bar"}, ValueError),
        ({"unknown": 1}, TypeError),
    ],
)
def test_what_cannot_be_right_is_said_before_anything_is_sent(options: dict[str, Any], error: type[Exception]) -> None:
    with servers.counting() as counter:
        given: dict[str, Any] = {"cohort": COHORT, "pacs": counter.pacs, "destination": "STORE", "progress": False}
        with pytest.raises(error):
            dm.retrieve(**{**given, **options})
        assert counter.connections == 0


def test_it_goes_on_where_it_ended(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        first = dm.retrieve(COHORT[:1], pacs, receiver, progress=False)
        second = dm.retrieve(COHORT, pacs, receiver, progress=False)
    assert receiving.outcomes(first) == ["complete"] * 2
    assert receiving.outcomes(second) == ["resumed", "resumed", "empty", "invalid", "complete", "complete"]
    assert len(receiving.files(tmp_path)) == 8
    pd.testing.assert_frame_equal(dm.read_journal(tmp_path), second)


def test_columns_of_the_callers_own_are_kept(pacs: RunningPacs) -> None:
    with pytest.warns(dm.errors.CohortWarning):
        results = dm.retrieve(COHORT.assign(outcome="died", expected="x"), pacs, pacs.destination, progress=False)
    assert set(results["outcome_cohort"]) == {"died"}
    assert set(results["expected_cohort"]) == {"x"}


# Interrupts.


def pressing(when: Callable[[Event], bool], seen: list[Event]) -> Callable[[Event], None]:
    """A display that presses Ctrl-C once."""

    def show(event: Event) -> None:
        seen.append(event)
        if when(event) and sum(map(when, seen)) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    return show


def verbs(seen: list[Event]) -> list[str]:
    return [event.verb for event in seen if isinstance(event, RunStarted)]


def test_an_interrupt_while_it_looks_things_up() -> None:
    seen: list[Event] = []
    with servers.here(Archive(list(SOURCE.instances_of_all()))) as here:
        show = pressing(lambda event: isinstance(event, RowFinished) and event.position == 1, seen)
        with pytest.warns(dm.InterruptedWarning) as said:
            results = dm.retrieve(COHORT, here.pacs, servers.SINK, progress=show)
        assert [command for command, _ in here.recorder.requests if command == "C-MOVE"] == []
    assert len(said) == 1
    assert verbs(seen) == ["find"]
    assert results["outcome"].tolist() == ["not_attempted", "not_attempted", "empty", "not_attempted", "not_attempted"]
    assert list(results.columns[-len(RESULT_COLUMNS) :]) == list(RESULT_COLUMNS)
    assert dm.verdicts(COHORT, results)["outcome"].tolist() == [
        "not_attempted",
        "empty",
        "not_attempted",
        "not_attempted",
    ]


def test_an_interrupt_while_it_moves(pacs: RunningPacs) -> None:
    seen: list[Event] = []

    def moving(event: Event) -> bool:
        return verbs(seen) == ["find", "move"] and isinstance(event, RowFinished) and event.outcome == "complete"

    with pytest.warns(dm.InterruptedWarning):
        results = dm.retrieve(COHORT, pacs, pacs.destination, progress=pressing(moving, seen))
    assert results["outcome"].tolist()[0] == "complete"
    assert "not_attempted" in results["outcome"].tolist()
    assert results["outcome"].tolist()[2:4] == ["empty", "invalid"]


# One display for both.


def test_one_display_is_opened_and_closed_once(pacs: RunningPacs) -> None:
    calls: list[str] = []

    class Spy(PanelDisplay):
        def __enter__(self) -> Any:
            calls.append("enter")
            return super().__enter__()

        def __exit__(self, *given: Any) -> None:
            calls.append("exit")
            super().__exit__(*given)

        def _show(self, panel: Any) -> None:
            calls.append(to_text(panel.state, now=NOW).splitlines()[0])

    phases = Phases(progress=False)
    phases._show = Spy()
    with phases:
        studies = dm.find(COHORT, pacs, progress=phases)
        dm.move(studies, pacs, pacs.destination, progress=phases)
    assert (calls[0], calls[-1], calls.count("enter"), calls.count("exit")) == ("enter", "exit", 1, 1)
    assert calls[1].startswith("find: 0 of 4")
    assert calls[-2].startswith("find: 4 of 4 rows in ")
    state = phases._show.state
    assert to_text(state, now=NOW).splitlines()[1].startswith("move: 6 of 6 rows")


def test_a_panel_tells_of_both() -> None:
    state = PanelState()
    for event in (
        RunStarted(verb="find", rows=1, requests=1),
        RowFinished(row="a", position=0, outcome="matched", error=None, instances=2, duration_s=None),
        RunEnded(verb="find", interrupted=False),
        RunStarted(verb="move", rows=2, requests=2),
        RowStarted(row=0, position=0),
    ):
        state = state.after(event, 1.0)
    assert to_text(state, now=NOW).splitlines()[:2] == ["find: 1 of 1 row in 0.0 s (1 matched)", "move: 0 of 2 rows"]


def test_a_bar_tells_of_both(pacs: RunningPacs) -> None:
    with redirect_stderr(io.StringIO()) as shown:
        dm.retrieve(COHORT, pacs, pacs.destination, progress="tqdm")
    found, moved = (line.split("\r")[-1] for line in shown.getvalue().strip().split("\n"))
    assert found.startswith("find: 100%")
    assert "2 matched, 1 empty, 1 invalid" in found
    assert moved.startswith("move: 100%")
    assert "4 complete, 1 empty, 1 invalid" in moved


def test_a_table_that_is_refused_shows_nothing(pacs: RunningPacs) -> None:
    with redirect_stderr(io.StringIO()) as shown, pytest.raises(dm.CohortError):
        dm.retrieve(pd.DataFrame({"arm": ["a"]}), pacs, pacs.destination, progress="tqdm")
    assert shown.getvalue() == ""
