"""The receiver's process is killed, and the run goes on."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dicomove as dm
from dicomove.events import Event, RowStarted, SubOperationEvent
from dicomove.receiver import AskedRow, RowId, process
from dicomove.testing import RehearsalPacs, Synthetic, faults
from dicomove.testing.associations import storing
from dicomove.testing.faults.base import Refuse, Request
from tests import receiving, servers

pytestmark = pytest.mark.timeout(60)

SOURCE = Synthetic(studies=4, instances=12, size=20_000)
ROWS = receiving.studies(SOURCE, 4)


def receiver_of_ours(folder: Path, **options: Any) -> dm.Receiver:
    """A receiver at a port that no connection gets while it is away."""
    return receiving.receiver(folder, port=servers.free_port(), **options)


def kill(receiver: dm.Receiver) -> None:
    """Kill its process, and wait for the next one and for the warning, which comes a moment later."""
    dead = receiver.pid
    with pytest.warns(dm.errors.ReceiverWarning) as told:  # noqa: PT031 (the wait is for the warning)
        os.kill(dead, signal.SIGKILL)
        servers.wait_until(lambda: receiver.pid != dead and bool(told.list), 10)


def killing(receiver: dm.Receiver, kind: type[Event], number: int) -> Callable[[Event], None]:
    """A callback that kills the receiver's process at an event."""
    seen = 0

    def callback(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, kind)
        if isinstance(event, kind) and seen == number:
            os.kill(receiver.pid, signal.SIGKILL)

    return callback


def assert_right(result: pd.DataFrame, receiver: dm.Receiver) -> None:
    """The table says what is on disk and in the record, and nothing there differs from its source."""
    receiving.assert_whole(receiver.folder, SOURCE)
    manifest = receiver.manifest()
    recorded = manifest[manifest["quarantine"].isna()].groupby("StudyInstanceUID").size()
    for _, row in result.iterrows():
        assert row["received"] == recorded.get(row["StudyInstanceUID"], 0)
        assert row["received"] + row["missing"] == 12
        assert (row["outcome"] == "complete") == (row["missing"] == 0)
    assert set(dm.verify(receiver.folder)["verified"]) <= {"ok", "unrecorded"}


@pytest.mark.parametrize(
    ("present", "kind", "number"),
    [
        ([faults.Latency(seconds=0.02)], SubOperationEvent, 17),
        ([faults.Bandwidth(bytes_per_second=2e6)], SubOperationEvent, 3),
        ([faults.Latency(seconds=0.02)], RowStarted, 2),
        ([faults.AssociationPerInstance()], SubOperationEvent, 15),
    ],
    ids=["in the second row", "in the first row", "at the beginning of a row", "an association per instance"],
)
def test_the_run_goes_on(tmp_path: Path, present: list[faults.Fault], kind: type[Event], number: int) -> None:
    with receiver_of_ours(tmp_path) as receiver:
        port, first = receiver.port, receiver.pid
        with RehearsalPacs(SOURCE, present, destinations=receiver.as_destination()) as pacs:
            with pytest.warns(dm.errors.ReceiverWarning, match="was killed by SIGKILL and was started again"):
                result = receiving.move(ROWS, pacs, receiver, progress=killing(receiver, kind, number))
            assert receiver.port == port
            assert receiver.pid != first
            assert not receiving.alive(first)
            assert len(result) == 4
            assert "complete" in set(result["outcome"])
            assert set(result["outcome"]) <= {"complete", "partial", "failed"}
            assert_right(result, receiver)
            again = receiving.move(result, pacs, receiver)
        assert again["outcome"].tolist() == ["complete"] * 4
        assert_right(again, receiver)
        assert len(receiving.files(tmp_path)) == 48
        assert receiving.partial(tmp_path) == []
        assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


def test_a_warning_that_is_an_exception_ends_no_row(tmp_path: Path) -> None:
    """As with ``python -W error``."""
    with receiver_of_ours(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = receiving.move(ROWS, pacs, receiver, progress=killing(receiver, RowStarted, 2))
        assert "internal_error" not in set(result["error"])
        again = receiving.move(result, pacs, receiver)
    assert again["outcome"].tolist() == ["complete"] * 4


def test_several_rows_in_flight_survive_it(tmp_path: Path) -> None:
    with (
        receiver_of_ours(tmp_path) as receiver,
        receiving.pacs(receiver, faults.Latency(seconds=0.02), source=SOURCE) as pacs,
    ):
        with pytest.warns(dm.errors.ReceiverWarning):  # noqa: PT031 (two lines are one move)
            callback = killing(receiver, SubOperationEvent, 10)
            result = receiving.move(ROWS, pacs, receiver, concurrency=3, progress=callback)
        assert_right(result, receiver)
        again = receiving.move(result, pacs, receiver, concurrency=3)
        assert again["outcome"].tolist() == ["complete"] * 4
        assert_right(again, receiver)


def test_it_comes_back_between_two_runs(tmp_path: Path) -> None:
    with receiver_of_ours(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        kill(receiver)
        result = receiving.move(ROWS, pacs, receiver)
        assert result["outcome"].tolist() == ["complete"] * 4
        assert_right(result, receiver)


def test_partial_files_are_removed_after_a_restart(tmp_path: Path) -> None:
    with receiver_of_ours(tmp_path, accept="any") as receiver:
        with receiving.slow_line(receiver.port, piece=1 << 14) as slow:
            sending = threading.Thread(target=_send_big, args=(slow,))
            sending.start()
            servers.wait_until(lambda: bool(receiving.partial(tmp_path)), 10)
            kill(receiver)
            sending.join(20)
        assert receiving.partial(tmp_path) == []
        assert receiving.files(tmp_path) == {}
        assert receiver.manifest().empty
        assert receiving.send(receiver, receiving.instance()) == [0]


def test_a_file_that_is_not_an_image_does_not_matter(tmp_path: Path) -> None:
    """The new process looks over the folder before it listens, and says in the log what it does not record."""
    (tmp_path / "notes.txt").write_text("the ward's own list")
    with receiver_of_ours(tmp_path, accept="any") as receiver:
        kill(receiver)
        assert receiving.send(receiver, receiving.instance()) == [0]
        assert len(receiver.manifest()) == 1
    assert (tmp_path / "notes.txt").read_text() == "the ward's own list"


def _send_big(port: int) -> None:
    address = ("127.0.0.1", port)
    with pytest.raises(dm.errors.AssociationError), storing(address, "DICOMOVE", "P", [BIG], ("O", 1)) as send:
        send(BIG)


BIG = receiving.instance(pixels=bytes(4_000_000))


def test_a_system_without_a_further_thread_does_not_end_it(tmp_path: Path) -> None:
    with receiver_of_ours(tmp_path) as receiver:
        run, first = receiver.runs.begin_run(), receiver.pid
        asked = [AskedRow(RowId(run, number), {"StudyInstanceUID": f"1.{number}"}, "127.0.0.1") for number in range(20)]
        rows = [receiver.runs.row(one) for one in asked]
        for row in rows:
            row.open_again()
        status = Path(f"/proc/{first}/status").read_text()
        size = next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmSize:"))
        resource.prlimit(first, resource.RLIMIT_AS, (size + (4 << 20),) * 2)  # less than the stack of a thread
        with ThreadPoolExecutor(len(rows)) as asking:
            received = list(asking.map(lambda row: row.await_arrivals(1, 0.1), rows))
        assert [one.arrivals for one in received] == [0] * len(rows)
        assert receiver.pid == first


def stopping(receiver: dm.Receiver, then: Callable[[], object] = lambda: None) -> Callable[[Event], None]:
    """A callback that suspends the receiver's process in the middle of the first row."""
    left = iter([True])

    def callback(event: Event) -> None:
        if isinstance(event, SubOperationEvent) and next(left, False):
            os.kill(receiver.pid, signal.SIGSTOP)
            then()

    return callback


def test_a_suspended_process_does_not_keep_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_SILENT_S", 2.0)
    latency = faults.Latency(seconds=0.02)
    with (
        receiver_of_ours(tmp_path) as receiver,
        receiving.pacs(receiver, latency, source=SOURCE, idle_timeout=1) as pacs,
    ):
        with pytest.warns(dm.errors.ReceiverWarning, match="no sign of life and was started again"):
            result = receiving.move(ROWS, pacs, receiver, progress=stopping(receiver))
        assert result["outcome"].iloc[0] in ("partial", "interrupted", "failed")
        assert_right(result, receiver)
        again = receiving.move(result, pacs, receiver)
        assert again["outcome"].tolist() == ["complete"] * 4


@pytest.mark.parametrize("presses", [1, 2])
@pytest.mark.filterwarnings("ignore:interrupted:dicomove.InterruptedWarning")
def test_a_stop_gets_past_a_suspended_process(tmp_path: Path, presses: int) -> None:
    with (
        receiver_of_ours(tmp_path) as receiver,
        receiving.pacs(receiver, faults.Latency(seconds=0.02), source=SOURCE) as pacs,
    ):
        timers = [threading.Timer(0.5 * one, os.kill, (os.getpid(), signal.SIGINT)) for one in range(1, presses + 1)]
        began = time.monotonic()

        def press() -> None:
            for timer in timers:
                timer.start()

        with pytest.warns(dm.errors.ReceiverWarning, match="no sign of life"):
            result = receiving.move(ROWS, pacs, receiver, progress=stopping(receiver, press))
        assert time.monotonic() - began < 25
        assert result["outcome"].iloc[0] in ("partial", "interrupted", "failed", "cancelled")
        assert result["outcome"].iloc[1:].tolist() == ["not_attempted"] * 3


def test_a_process_that_goes_on_in_time_is_not_lost(tmp_path: Path) -> None:
    with (
        receiver_of_ours(tmp_path) as receiver,
        receiving.pacs(receiver, faults.Latency(seconds=0.02), source=SOURCE) as pacs,
    ):
        first = receiver.pid
        timer = threading.Timer(4, os.kill, (first, signal.SIGCONT))  # longer than a stopped run would wait
        result = receiving.move(ROWS, pacs, receiver, progress=stopping(receiver, timer.start))
        assert result["outcome"].tolist() == ["complete"] * 4
        assert receiver.pid == first


def test_one_that_dies_again_and_again_is_given_up(tmp_path: Path) -> None:
    with receiver_of_ours(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        for _ in range(4):
            kill(receiver)
        os.kill(receiver.pid, signal.SIGKILL)
        began = time.monotonic()
        result = receiving.move(ROWS, pacs, receiver, concurrency=2)
        assert time.monotonic() - began < 10
        assert result["outcome"].tolist() == ["not_attempted"] * 4
        assert result["error"].tolist() == ["receiver_failed"] * 4
        assert result["attempts"].tolist() == [0] * 4
        assert "for the 5th time" in result["advice"].iloc[0]
        with pytest.raises(dm.errors.ReceiverError):
            receiver.manifest()
    with receiver_of_ours(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        assert receiving.move(result, pacs, receiver)["outcome"].tolist() == ["complete"] * 4


def test_one_that_dies_for_the_last_time_in_the_middle_of_a_run(tmp_path: Path) -> None:
    with (
        receiver_of_ours(tmp_path) as receiver,
        receiving.pacs(receiver, faults.Latency(seconds=0.02), source=SOURCE) as pacs,
    ):
        for _ in range(4):
            kill(receiver)
        result = receiving.move(ROWS, pacs, receiver, progress=killing(receiver, SubOperationEvent, 15))
        # It came, but nobody is left who knows whether it is recorded.
        assert result["outcome"].iloc[0] == "partial"
        assert result["error"].iloc[0] == "storage_failed"
        assert result["error"].iloc[1:].tolist() == ["receiver_failed"] * 3
        # The PACS was asked, and what came of it is not known.
        assert result["outcome"].iloc[1] == "interrupted"
        assert result["outcome"].iloc[2:].tolist() == ["not_attempted"] * 2
        assert result["attempts"].tolist() == [1, 1, 0, 0]


class Unable:
    """Kills a receiver's process; a new one does not start until `restore`, since the record is damaged."""

    def __init__(self, receiver: dm.Receiver) -> None:
        self._record = receiver.folder / ".dicomove" / "record.sqlite"
        self._aside = self._record.with_name("aside")
        self._record.rename(self._aside)
        self._record.write_text("not a database")
        dead = receiver.pid
        os.kill(dead, signal.SIGKILL)
        servers.wait_until(lambda: not receiving.alive(dead), 5)

    def restore(self) -> None:
        self._record.unlink()
        self._aside.rename(self._record)


def test_a_row_that_waits_for_the_receiver_spends_no_attempt(tmp_path: Path) -> None:
    """It is away for three seconds, which is longer than the attempts of a row would last."""
    with receiver_of_ours(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        timer = threading.Timer(3, Unable(receiver).restore)
        timer.start()
        with pytest.warns(dm.errors.ReceiverWarning, match="was started again"):
            result = receiving.move(ROWS, pacs, receiver, retry=dm.Retry(attempts=2, wait=0.2))
        timer.join()
        assert result["outcome"].tolist() == ["complete"] * 4
        assert result["attempts"].tolist() == [1] * 4
        assert_right(result, receiver)


def test_a_start_that_fails_is_not_a_death(tmp_path: Path) -> None:
    with receiver_of_ours(tmp_path, accept="any") as receiver:
        unable = Unable(receiver)
        for _ in range(6):
            with pytest.raises(dm.errors.ReceiverError, match="did not start"):
                receiver.flush()
        unable.restore()
        with pytest.warns(dm.errors.ReceiverWarning, match="was started again"):
            receiver.flush()
        assert receiving.send(receiver, receiving.instance()) == [0]


def test_a_row_that_found_it_away_is_not_in_flight_when_it_is_back(tmp_path: Path) -> None:
    with receiver_of_ours(tmp_path) as receiver:
        unable = Unable(receiver)
        row = receiver.runs.row(
            AskedRow(RowId(receiver.runs.begin_run(), 0), {"StudyInstanceUID": "1.2.3"}, "127.0.0.1")
        )
        with pytest.raises(dm.errors.ReceiverError, match="did not start"), row:
            pytest.fail("there is no receiver")
        unable.restore()
        with pytest.warns(dm.errors.ReceiverWarning):
            receiver.flush()
        with pytest.raises(dm.errors.AssociationError):
            receiving.send(receiver, receiving.instance())


def test_failures_while_it_was_away_are_tried_again(tmp_path: Path) -> None:
    """The PACS finds nobody, and says so with a status that is no reason to try again."""

    class KillsAtTheFirst(faults.Fault):
        def on_request(self, request: Request) -> None:
            if request.attempt == 1 and request.keys["StudyInstanceUID"] == ROWS["StudyInstanceUID"][1]:
                os.kill(receiver.pid, signal.SIGKILL)
                raise Refuse(0xC000, "Cannot connect to the destination")

    with receiver_of_ours(tmp_path) as receiver, receiving.pacs(receiver, KillsAtTheFirst(), source=SOURCE) as pacs:
        with pytest.warns(dm.errors.ReceiverWarning):
            result = receiving.move(ROWS, pacs, receiver, retry=dm.Retry(attempts=2, wait=0.1))
        assert result["outcome"].tolist() == ["complete"] * 4
        assert result["attempts"].tolist() == [1, 2, 1, 1]
