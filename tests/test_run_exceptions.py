"""Exceptions in the middle of a run: everything is recorded before the caller gets them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import dicomove as dm
from dicomove.events import Event, RowFinished, RowStarted, RunEnded, RunStarted
from dicomove.testing import Synthetic, faults
from tests import receiving, servers

pytestmark = pytest.mark.timeout(60)

SOURCE = Synthetic(studies=6, instances=3, size=512)
TABLE = receiving.studies(SOURCE, 6)


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
