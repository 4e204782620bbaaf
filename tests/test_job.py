"""A run in the background: watched, paused, cancelled, waited for."""

from __future__ import annotations

import signal
import subprocess
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.events import Event, RowFinished, RowStarted, Waiting
from dicomove.testing import Synthetic, faults
from tests import forks, receiving, servers

pytestmark = pytest.mark.timeout(60)

SOURCE = Synthetic(studies=8, instances=4, size=512)
TABLE = receiving.studies(SOURCE, 8)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[dm.Pacs, dm.Receiver]]:
    """A PACS that takes 50 ms for each response, and a receiver."""
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, faults.Latency(seconds=0.05), source=SOURCE) as pacs,
    ):
        yield pacs, receiver


def test_it_returns_at_once_and_has_the_whole_table_in_the_end(slow: tuple[dm.Pacs, dm.Receiver]) -> None:
    job = dm.start_move(TABLE, *slow, progress=False)
    assert not job.done
    assert set(job.results["outcome"]) <= {"not_attempted", "complete"}
    assert repr(job).startswith("MoveJob(running")
    results = job.wait()
    assert results["outcome"].tolist() == ["complete"] * 8
    assert job.done
    assert repr(job) == "MoveJob(done: 8 complete)"
    pd.testing.assert_frame_equal(results, job.results)


def test_a_limit_of_patience_leaves_it_running(slow: tuple[dm.Pacs, dm.Receiver]) -> None:
    job = dm.start_move(TABLE, *slow, progress=False)
    with pytest.raises(TimeoutError, match="goes on"):
        job.wait(0.05)
    assert job.wait(30)["outcome"].tolist() == ["complete"] * 8


def test_an_interrupt_ends_the_wait_and_not_the_run(slow: tuple[dm.Pacs, dm.Receiver]) -> None:
    waits = threading.Event()
    main = threading.main_thread().ident or 0
    told: list[Event] = []

    def interrupts(event: Event) -> None:
        if isinstance(event, RowFinished) and not told:
            told.append(event)
            assert waits.wait(30)
            signal.pthread_kill(main, signal.SIGINT)

    job = dm.start_move(TABLE, *slow, progress=interrupts)
    waits.set()
    with pytest.raises(KeyboardInterrupt):
        job.wait()
    assert not job.done
    assert repr(job).startswith("MoveJob(running")
    assert job.wait(30)["outcome"].tolist() == ["complete"] * 8


def test_a_job_that_broke_off_says_so(slow: tuple[dm.Pacs, dm.Receiver]) -> None:
    def ends(event: Event) -> None:
        if isinstance(event, RowFinished):
            raise SystemExit

    job = dm.start_move(TABLE, *slow, progress=ends)
    servers.wait_until(lambda: job.done)
    assert repr(job).startswith("MoveJob(broke off: ")
    with pytest.raises(SystemExit):
        job.wait()


def test_cancel_is_an_end_with_the_rest_not_attempted(slow: tuple[dm.Pacs, dm.Receiver]) -> None:
    seen: list[Event] = []
    job = dm.start_move(TABLE, *slow, progress=seen.append)
    servers.wait_until(lambda: any(isinstance(event, RowFinished) for event in seen))
    job.cancel()
    with pytest.warns(dm.InterruptedWarning, match="of 8 rows were not attempted"):
        results = job.wait(20)
    outcomes = results["outcome"].tolist()
    assert outcomes[0] == "complete"
    assert outcomes[-1] == "not_attempted"
    assert set(outcomes) <= {"complete", "cancelled", "partial", "not_attempted"}


def test_a_pause_lets_what_is_in_flight_end_and_begins_nothing(slow: tuple[dm.Pacs, dm.Receiver]) -> None:
    seen: list[Event] = []
    job = dm.start_move(TABLE, *slow, progress=seen.append)
    servers.wait_until(lambda: any(isinstance(event, RowStarted) for event in seen))
    job.pause()
    assert job.paused
    servers.wait_until(lambda: any(isinstance(event, Waiting) and event.reason == "paused" for event in seen))
    servers.wait_until(lambda: _count(seen, RowFinished) == _count(seen, RowStarted))
    begun = _count(seen, RowStarted)
    assert begun < 8
    assert "paused" in repr(job)
    with pytest.raises(TimeoutError):
        job.wait(0.3)
    assert _count(seen, RowStarted) == begun
    job.resume()
    assert job.wait(30)["outcome"].tolist() == ["complete"] * 8


def _count(seen: list[Event], kind: type) -> int:
    return sum(isinstance(event, kind) for event in seen)


def test_two_jobs_side_by_side(slow: tuple[dm.Pacs, dm.Receiver]) -> None:
    jobs = [dm.start_move(TABLE[n::2], *slow, progress=False) for n in range(2)]
    assert [job.wait(30)["outcome"].tolist() for job in jobs] == [["complete"] * 4] * 2


def test_what_cannot_be_right_is_said_before_anything_begins() -> None:
    unreachable = dm.Pacs("127.0.0.1:1")
    with pytest.raises(dm.CohortError):
        dm.start_move(pd.DataFrame({"x": [1]}), unreachable, "X", progress=False)
    with pytest.raises(ValueError, match="concurrency"):
        dm.start_move(TABLE, unreachable, "X", progress=False, concurrency=0)
    with pytest.raises(TypeError, match="colour"):
        dm.start_move(TABLE, unreachable, "X", progress=False, colour="red")  # type: ignore[call-arg]  # that is the test


def test_a_journal_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "pull.sqlite"
    with pytest.raises(dm.errors.JournalError, match=r"pull\.sqlite"):
        dm.start_move(TABLE, dm.Pacs("127.0.0.1:1"), "X", progress=False, journal=nowhere)


def test_the_end_of_the_interpreter_cancels_and_warns(tmp_path: Path) -> None:
    with (
        receiving.receiver(tmp_path, accept="any") as store,
        receiving.pacs(store.as_destination(), faults.Latency(seconds=0.1), source=SOURCE) as pacs,
    ):
        script = f"""
            import dicomove as dm, pandas as pd
            table = pd.DataFrame({{"StudyInstanceUID": {TABLE["StudyInstanceUID"].tolist()!r}}})
            job = dm.start_move(table, dm.Pacs({pacs.address!r}), {store.ae_title!r}, progress=False,
                                journal={str(tmp_path / "pull.sqlite")!r})
        """
        command = forks.python("-c", textwrap.dedent(script))
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        assert "call job.wait() before" in done.stderr
        table = dm.read_journal(tmp_path / "pull.sqlite")
        assert "not_attempted" in set(table["outcome"])
        assert dm.store.read_runs(tmp_path / "pull.sqlite")["interrupted"].tolist() == [True]
        again = dm.move(TABLE, pacs, store.ae_title, progress=False, journal=tmp_path / "pull.sqlite")
        assert set(again["outcome"]) == {"complete"}


@pytest.mark.parametrize("method", ["move", "get"])
def test_the_end_of_the_interpreter_cancels_before_it_ends_the_receiver(tmp_path: Path, method: str) -> None:
    port, large = servers.free_port(), Synthetic(studies=1, instances=60, size=512)
    slow = faults.Latency(seconds=0.1)
    with receiving.pacs({"RECEIVER": ("127.0.0.1", port)}, slow, source=large) as pacs:
        script = f"""
            import threading
            import dicomove as dm, pandas as pd
            from dicomove.events import SubOperationEvent
            store = dm.Receiver({str(tmp_path)!r}, ae_title="RECEIVER", port={port}, host="127.0.0.1", quiet_period=0.3)
            moves = threading.Event()
            table = pd.DataFrame({{"StudyInstanceUID": {receiving.studies(large)["StudyInstanceUID"].tolist()!r}}})
            job = dm.start_move(table, dm.Pacs({pacs.address!r}), store, method={method!r},
                                progress=lambda event: isinstance(event, SubOperationEvent) and moves.set())
            assert moves.wait(20)
        """
        command = forks.python("-c", textwrap.dedent(script))
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    assert "call job.wait() before" in done.stderr
    assert "was started again" not in done.stderr
    assert receiving.row(dm.read_journal(tmp_path), "outcome", "attempts") == ("cancelled", 1)


def changes_in_place(table: pd.DataFrame) -> None:
    """Change a table in every way that a cell of a notebook may."""
    table.loc[0, "StudyInstanceUID"] = "1.2.3.9"
    table["PatientID"] = ["SYN000009", "SYN000008", "SYN000007"]
    table.loc[9] = table.loc[0]
    table.index = table.index[::-1]
    del table["StudyInstanceUID"]


def test_the_caller_may_change_the_table_while_the_job_runs(tmp_path: Path) -> None:
    uids = [*TABLE["StudyInstanceUID"][:2], "1.2.3.999"]
    given = pd.DataFrame({"PatientID": ["SYN000001", "SYN000002", "nobody"], "StudyInstanceUID": uids})
    given.attrs["source"] = "ward 3"
    with dm.testing.RehearsalPacs(SOURCE, [faults.Latency(seconds=0.05)]) as pacs:
        table = given.copy()
        job = dm.start_move(table, pacs, pacs.destination, journal=tmp_path / "pull.sqlite", progress=False)
        changes_in_place(table)
        for results in (job.wait(), dm.read_journal(tmp_path / "pull.sqlite")):
            assert results["StudyInstanceUID"].tolist() == uids
            assert results["PatientID"].tolist() == given["PatientID"].tolist()
            assert results["outcome"].tolist() == ["complete", "complete", "empty"]
    assert job.results.attrs["source"] == "ward 3"


@pytest.mark.parametrize("verb", ["find", "plan", "move", "retrieve"])
def test_a_display_may_change_the_table(verb: str) -> None:
    with dm.testing.RehearsalPacs(SOURCE) as pacs:
        table = pd.DataFrame({"PatientID": ["SYN000001", "SYN000002", "SYN000003"]})
        table["StudyInstanceUID"] = TABLE["StudyInstanceUID"][:3]
        table["arm"] = ["a", "b", "c"]
        expected = table.copy()
        is_changed: list[Event] = []

        def changes(event: Event) -> None:
            if not is_changed:
                changes_in_place(table)
                is_changed.append(event)

        destination = () if verb == "find" else (pacs.destination,)
        results = getattr(dm, verb)(table, pacs, *destination, progress=changes)
        assert is_changed
        pd.testing.assert_frame_equal(results[[*expected.columns]], expected, check_dtype=False)
        assert list(results.get("cohort_row", [0, 1, 2])) == [0, 1, 2]
