"""Exceptions in the middle of a run: everything is recorded before the caller gets them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
import tenacity

import dicomove as dm
from dicomove.events import Event, RowFinished, RowStarted, RunEnded, RunStarted
from dicomove.notebook.progress import CallbackDisplay, display
from dicomove.run.journal import JournalWriter
from dicomove.run.messages import AttemptEnded
from dicomove.run.pacing import Retry
from dicomove.run.requests import Task
from dicomove.run.run import Run
from dicomove.run.settings import RunSettings
from dicomove.store import Journal
from dicomove.testing import Synthetic, faults
from tests import journals, receiving, servers
from tests.journals import FACTS
from tests.run_events import COMPLETE, RunDriver

pytestmark = pytest.mark.timeout(60)

SOURCE = Synthetic(studies=6, instances=3, size=512)
TABLE = receiving.studies(SOURCE, 6)


@dataclass(frozen=True)
class HangsAtEcho(faults.Hangs):
    """The PACS never answers a C-ECHO."""

    commands: ClassVar[tuple[str, ...]] = ("C-ECHO",)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[tuple[dm.Pacs, dm.Receiver]]:
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, faults.Latency(seconds=0.02), source=SOURCE) as pacs,
    ):
        yield pacs, receiver


def raising(error: BaseException, kind: type[Event], number: int) -> tuple[list[Event], Callable[[Event], None]]:
    """Return the events that come, and a callback that raises an exception at one of them."""
    seen: list[Event] = []

    def callback(event: Event) -> None:
        seen.append(event)
        if isinstance(event, kind) and sum(isinstance(one, kind) for one in seen) == number:
            raise error

    return seen, callback


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), BaseException("another")], ids=repr)
@pytest.mark.parametrize(("kind", "number"), [(RunStarted, 1), (RowStarted, 2), (RowFinished, 2), (RunEnded, 1)])
def test_a_callback_that_ends_the_program_loses_no_record(
    here: tuple[dm.Pacs, dm.Receiver], error: BaseException, kind: type[Event], number: int, tmp_path: Path
) -> None:
    journal = tmp_path / "pull.sqlite"
    before = set(threading.enumerate())
    seen, callback = raising(error, kind, number)
    with pytest.raises(type(error)) as raised:
        dm.move(TABLE, *here, progress=callback, journal=journal, concurrency=2)
    assert raised.value is error
    servers.wait_until(lambda: not set(threading.enumerate()) - before)
    runs = dm.store.read_runs(journal)
    assert runs["ended_at"].notna().all()
    if kind is not RowFinished:  # all rows may have ended by then
        assert runs["interrupted"].tolist() == [kind is not RunEnded]
    shown = {event.position: event.outcome for event in seen if isinstance(event, RowFinished)}
    recorded = dm.read_journal(journal)["outcome"]
    assert {position: recorded[position] for position in shown} == shown
    assert set(recorded.drop(list(shown))) <= {"not_attempted"}
    assert isinstance(seen[-1], RunEnded)
    again = dm.move(TABLE, *here, progress=False, journal=journal)
    assert set(again["outcome"]) == {"complete"}


def test_a_job_has_its_table_and_raises_the_exception(here: tuple[dm.Pacs, dm.Receiver]) -> None:
    _, callback = raising(SystemExit(3), RowStarted, 2)
    job = dm.start_move(TABLE, *here, progress=callback)
    with pytest.raises(SystemExit):
        job.wait(30)
    assert job.results["outcome"].iloc[0] == "complete"
    assert job.results["outcome"].iloc[-1] == "not_attempted"


def test_without_threads_the_run_ends_at_once(
    here: tuple[dm.Pacs, dm.Receiver], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def starts_no_worker(thread: threading.Thread) -> None:
        if thread.name == "dicomove-1":
            raise RuntimeError
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", starts_no_worker)
    monkeypatch.setattr("dicomove.run.run.LONGEST_STOP_S", 300)
    journal = tmp_path / "pull.sqlite"
    with pytest.raises(RuntimeError):
        dm.move(TABLE, *here, progress=False, journal=journal)
    assert dm.store.read_runs(journal)["interrupted"].tolist() == [True]
    assert set(dm.read_journal(journal)["outcome"]) == {"not_attempted"}


def pressed(state: tenacity.RetryCallState) -> float:
    """Press Ctrl-C while a run adds up its waits."""
    if state.attempt_number > 1:
        raise KeyboardInterrupt
    return 1.0


def nowhere(journal: Path) -> dict[str, Any]:
    return {"pacs": dm.Pacs("127.0.0.1:1"), "destination": "SINK", "journal": journal}


@pytest.mark.parametrize("verb", [dm.move, dm.start_move])
def test_an_interrupt_before_the_run_leaves_its_journal_to_others(verb: Callable[..., object], tmp_path: Path) -> None:
    journal = tmp_path / "pull.sqlite"
    with pytest.raises(KeyboardInterrupt):
        verb(TABLE, retry=Retry(wait=pressed), progress=False, **nowhere(journal))
    assert journals.opened_elsewhere(journal) == ""


def waited(*arguments: Any, **named: Any) -> pd.DataFrame:
    return dm.start_move(*arguments, **named).wait(30)


@pytest.mark.parametrize("verb", [dm.move, waited])
def test_a_display_that_cannot_begin_leaves_the_journal_to_others(
    verb: Callable[..., pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(CallbackDisplay, "__enter__", fails)
    journal = tmp_path / "pull.sqlite"
    with pytest.raises(RuntimeError):
        verb(TABLE, progress=False, **nowhere(journal))
    assert journals.opened_elsewhere(journal) == ""


def test_a_job_without_a_thread_leaves_its_journal_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: threading.Thread) -> None:
        raise RuntimeError

    journal = tmp_path / "pull.sqlite"
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fails)
        with pytest.raises(RuntimeError):
            dm.start_move(TABLE, progress="tqdm", **nowhere(journal))
    assert journals.opened_elsewhere(journal) == ""


class GivenUp:
    """Workers whose C-MOVEs the run gives up; the test says when they end after all."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.submit = self.tasks.append

    def keep(self, number: int) -> None: ...

    def stop(self) -> None: ...

    def sent(self) -> Mapping[int, int]:
        return {task.first: 1 for task in self.tasks}

    def close(self, wanted: Callable[[], bool]) -> None: ...


def test_rows_that_end_after_a_second_stop_are_shown_with_the_result_that_is_recorded(tmp_path: Path) -> None:
    reports: queue.SimpleQueue[Any] = queue.SimpleQueue()
    pool = GivenUp()
    shown: list[tuple[int, str]] = []

    def callback(event: Event) -> None:
        if isinstance(event, RowFinished):
            shown.append((event.position, event.outcome))
            if event.position < 2:  # the next one ends while this result is shown
                number = event.position + (event.outcome == "complete")
                reports.put(AttemptEnded(pool.tasks[number], COMPLETE))

    settings = RunSettings(dm.Pacs("127.0.0.1:1"), ("HERE",))
    with Journal.open(tmp_path / "pull.sqlite") as journal:
        number = journal.begin(FACTS, journals.rows(0, 1, 2))
        writer = JournalWriter(journal, number, settings, reports.put)
        state = RunDriver.of(3, concurrency=3).state
        run = Run(settings, state, reports, pool, writer, display(callback), lambda: 2 if len(pool.tasks) == 3 else 0)
        run.go(3, 3, [])
    recorded = dm.read_journal(tmp_path / "pull.sqlite")["outcome"].tolist()
    assert recorded == ["complete"] * 3
    assert dict(shown) == dict(enumerate(recorded))


def test_a_probe_without_an_answer_does_not_keep_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller has no limit for the PACS, which breaks off each row, and then never answers C-ECHO."""
    monkeypatch.setattr("dicomove.run.run._PROBE_S", 0.2)
    no_limit: Any = {"association_timeout": None, "idle_timeout": None, "first_response_timeout": None}
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, faults.ClosesAtResponse(), HangsAtEcho(), source=SOURCE, **no_limit) as pacs,
    ):
        result = receiving.move(TABLE, pacs, receiver, outage_timeout=0)
    assert result["outcome"].tolist() == ["interrupted"] * 5 + ["unreachable"]
