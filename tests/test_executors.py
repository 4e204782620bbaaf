"""Rows are moved by the workers of an executor, and the run keeps hold of them."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe, get_context
from pathlib import Path
from typing import Any

import psutil
import pytest

import dicomove as dm
from dicomove.cohort import Identifier
from dicomove.events import Arriving, Event, RowFinished, RowStarted, SubOperationEvent
from dicomove.run.channel import Call, Channel, RemoteChannel
from dicomove.run.pools import Executors
from dicomove.run.requests import Task
from dicomove.run.settings import RunSettings
from dicomove.testing import Synthetic, faults
from tests import receiving, servers

pytestmark = pytest.mark.timeout(90)

SOURCE = Synthetic(studies=8, instances=4, size=512)
TABLE = receiving.studies(SOURCE, 8)


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.fixture(scope="module")
def dask() -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client.get_executor()


@pytest.fixture(params=["threads", "processes", "dask"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "threads":
        with ThreadPoolExecutor(3) as threads:
            yield threads
    else:
        yield request.getfixturevalue(request.param)


def test_rows_are_moved_and_verified_as_by_threads(tmp_path: Path, executor: Executor) -> None:
    seen: list[Event] = []
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        results = dm.move(TABLE, pacs, receiver, executor=executor, concurrency=3, progress=seen.append)
        again = dm.move(TABLE, pacs, receiver, executor=executor, concurrency=3, progress=False)
    assert results["outcome"].tolist() == ["complete"] * 8
    assert receiving.outcomes(again) == ["resumed"] * 8
    receiving.assert_whole(tmp_path, SOURCE)
    assert sum(isinstance(event, SubOperationEvent) for event in seen) >= 8
    assert {event.row for event in seen if isinstance(event, RowFinished)} == set(range(8))


def test_one_limit_holds_over_all_workers(tmp_path: Path, executor: Executor) -> None:
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, faults.LimitsAssociations(limit=2), source=SOURCE) as pacs,
    ):
        results = dm.move(TABLE, pacs, receiver, executor=executor, concurrency=2, progress=False)
    assert results["outcome"].tolist() == ["complete"] * 8


def test_a_stop_reaches_them(tmp_path: Path, executor: Executor) -> None:
    stops = iter([signal.SIGINT])

    def act(event: Event) -> None:
        if isinstance(event, SubOperationEvent):
            for number in stops:
                os.kill(os.getpid(), number)

    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, faults.Latency(seconds=0.1), source=SOURCE) as pacs,
        pytest.warns(dm.InterruptedWarning),
    ):
        results = dm.move(TABLE, pacs, receiver, executor=executor, concurrency=2, progress=act)
    assert results["outcome"].tolist()[-1] == "not_attempted"
    assert "cancelled" in set(results["outcome"])
    assert set(results["outcome"]) <= {"cancelled", "complete", "not_attempted"}


def test_arrivals_reset_the_clock_of_a_worker_elsewhere(tmp_path: Path, processes: Executor) -> None:
    present = faults.NoPendings(), faults.Bandwidth(bytes_per_second=4000)
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, *present, source=SOURCE, idle_timeout=0.5, first_response_timeout=0.5) as pacs,
    ):
        seen: list[Event] = []
        results = dm.move(TABLE[:1], pacs, receiver, executor=processes, progress=seen.append)
    assert results["outcome"].tolist() == ["complete"]
    assert results["duration_s"][0] > 0.5
    assert any(isinstance(event, Arriving) for event in seen)


def test_a_worker_that_is_killed_costs_its_row_one_attempt(tmp_path: Path) -> None:
    kills = iter([signal.SIGKILL])

    def act(event: Event) -> None:
        if isinstance(event, RowStarted):
            for number in kills:
                for child in psutil.Process().children():
                    if "spawn_main" in " ".join(child.cmdline()):
                        child.send_signal(number)

    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, source=SOURCE) as pacs,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor,
    ):
        executor.submit(os.getpid).result()
        results = dm.move(TABLE, pacs, receiver, executor=executor, progress=act)
        assert results["error"].tolist() == ["executor_failed"] * 8
        again = dm.move(TABLE, pacs, receiver, progress=False)
    assert set(again["outcome"]) == {"complete"}


def test_an_executor_that_was_shut_down(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        executor = ThreadPoolExecutor(1)
        executor.shutdown()
        results = dm.move(TABLE[:2], pacs, receiver, executor=executor, progress=False)
    assert results["error"].tolist() == ["executor_failed"] * 2
    assert results["outcome"].tolist() == ["unreachable"] * 2


class Exhausted(ThreadPoolExecutor):
    """Takes one task in two."""

    calls = 0

    def submit(self, *call: Any, **named: Any) -> Future[Any]:
        self.calls += 1
        if self.calls % 2 == 0:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return super().submit(*call, **named)


def test_an_executor_that_does_not_take_a_task(tmp_path: Path) -> None:
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, source=SOURCE) as pacs,
        Exhausted(2) as executor,
    ):
        results = dm.move(TABLE[:4], pacs, receiver, executor=executor, progress=False)
        assert results["outcome"].tolist() == ["complete", "unreachable"] * 2
        assert set(results["error"].dropna()) == {"executor_failed"}
        assert not dm.store.read_runs(receiver.folder / dm.store.JOURNAL_FILE)["interrupted"].any()


def test_receivers_share_the_rows(tmp_path: Path) -> None:
    with (
        receiving.receiver(tmp_path / "a", ae_title="A") as first,
        receiving.receiver(tmp_path / "b", ae_title="B") as second,
        receiving.pacs({**first.as_destination(), **second.as_destination()}, source=SOURCE) as pacs,
    ):
        results = dm.move(TABLE, pacs, [first, second], concurrency=2, progress=False)
        again = dm.move(TABLE, pacs, [first, second], concurrency=2, progress=False)
        assert len(first.manifest()) + len(second.manifest()) == 32
        assert min(len(first.manifest()), len(second.manifest())) >= 4
    assert results["outcome"].tolist() == ["complete"] * 8
    assert receiving.outcomes(again) == ["resumed"] * 8


def test_two_receivers_of_one_name_are_none(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path / "a") as first, receiving.receiver(tmp_path / "b") as second:
        with pytest.raises(ValueError, match="AE title of its own"):
            dm.move(TABLE, dm.Pacs("127.0.0.1:1"), [first, second], progress=False)
        with pytest.raises(ValueError, match="receivers"):
            dm.move(TABLE, dm.Pacs("127.0.0.1:1"), [], progress=False)


def _listening() -> set[int]:
    found = psutil.Process().net_connections("tcp")
    return {one.laddr.port for one in found if one.status == "LISTEN" and one.laddr.ip == "127.0.0.1"}


def _knocking(saying: bytes) -> tuple[Callable[[Event], None], list[socket.socket]]:
    """Return a display that connects to what the run has opened, and what it connected."""
    before, strangers = _listening(), []
    opened: set[int] = set()

    def knock(_: Event) -> None:
        if not opened:  # to look costs far more than to knock
            opened.update(_listening() - before)
        for port in opened:
            # By then the run may have ended, and its port be closed.
            with suppress(OSError):
                strangers.append(socket.create_connection(("127.0.0.1", port), 5))
                strangers[-1].sendall(saying)

    return knock, strangers


@pytest.mark.parametrize("saying", [b"\0\0\0\4quit", b"\x7f\xff\xff\xffmuch", b"\xff" * 12, b""])
def test_an_unknown_peer_is_refused_and_delays_no_worker(tmp_path: Path, saying: bytes) -> None:
    with (
        receiving.receiver(tmp_path) as receiver,
        ThreadPoolExecutor(2) as executor,
        receiving.pacs(receiver, source=SOURCE) as pacs,
    ):
        knock, strangers = _knocking(saying)
        results = dm.move(TABLE, pacs, receiver, executor=executor, concurrency=2, progress=knock)
    for one in strangers:
        one.close()
    assert strangers
    assert results["outcome"].tolist() == ["complete"] * 8


# What was never sent is never in doubt.


class Losing(ThreadPoolExecutor):
    """An executor that loses the first task, as one does whose worker is killed before it begins."""

    def __init__(self) -> None:
        super().__init__(1)
        self.lost = 0

    def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
        if self.lost:
            return super().submit(*arguments, **options)
        self.lost += 1
        future: Future[Any] = Future()
        future.set_exception(BrokenExecutor("a worker was killed"))
        return future


def test_a_task_that_was_lost_before_it_was_sent_is_unreachable(tmp_path: Path) -> None:
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, source=SOURCE) as pacs,
        Losing() as executor,
    ):
        results = dm.move(TABLE[:2], pacs, receiver, executor=executor, progress=False)
    assert results["outcome"].tolist() == ["unreachable", "complete"]
    assert results["error"].tolist()[0] == "executor_failed"
    assert results["attempts"].tolist() == [0, 1]
    assert "Nothing was sent" in results["advice"][0]


def test_a_task_that_was_lost_before_it_was_sent_is_tried_again(tmp_path: Path) -> None:
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, source=SOURCE) as pacs,
        Losing() as executor,
    ):
        retry = dm.Retry(attempts=2, wait=0.01)
        results = dm.move(TABLE[:2], pacs, receiver, executor=executor, retry=retry, progress=False)
    assert results["outcome"].tolist() == ["complete"] * 2
    assert results["attempts"].tolist() == [1, 1]


def test_a_task_that_was_lost_after_it_was_sent_is_in_doubt(tmp_path: Path) -> None:
    def act(event: Event) -> None:
        if isinstance(event, SubOperationEvent):
            for child in psutil.Process().children():
                if "spawn_main" in " ".join(child.cmdline()):
                    child.send_signal(signal.SIGKILL)

    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, faults.Latency(seconds=0.2), source=SOURCE) as pacs,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor,
    ):
        results = dm.move(TABLE[:2], pacs, receiver, executor=executor, progress=act)
    assert results["outcome"].tolist() == ["interrupted", "unreachable"]
    assert results["error"].tolist() == ["executor_failed"] * 2
    assert results["attempts"].tolist() == [1, 0]


class LosesASecondTask(ThreadPoolExecutor):
    """An executor that can lose its second task while a worker is at it."""

    def __init__(self) -> None:
        super().__init__(2)
        self.submitted = 0
        self._second: Future[Any] = Future()

    def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
        self.submitted += 1
        future = super().submit(*arguments, **options)
        return self._second if self.submitted == 2 else future

    def lose(self) -> None:
        self._second.set_exception(BrokenExecutor("a worker was killed"))


def test_every_c_move_of_a_task_that_was_lost_counts(tmp_path: Path) -> None:
    source = Synthetic(studies=1, series=4, instances=2, size=512)
    with receiving.receiver(tmp_path) as receiver, LosesASecondTask() as executor:
        pieces = receiving.InPieces(3, executor.lose)
        with receiving.pacs(receiver, pieces, source=source) as pacs:
            retry, table = dm.Retry(attempts=2, wait=0), receiving.studies(source)
            results = dm.move(table, pacs, receiver, executor=executor, retry=retry, progress=False)
    sent = ["STUDY", "IMAGE", "SERIES", "SERIES", "SERIES"]
    assert pieces.seen[: len(sent)] == sent
    assert results["attempts"][0] == len(sent)
    assert dm.store.read_attempts(tmp_path)["sent"].sum() == results["attempts"][0]


def test_a_worker_that_was_reported_lost_sends_no_more(tmp_path: Path) -> None:
    """It is alive, and its C-MOVE in flight is cancelled, before the row is tried again."""
    source = Synthetic(studies=1, series=6, instances=2, size=512)
    with receiving.receiver(tmp_path) as receiver, LosesASecondTask() as executor:
        pieces = receiving.InPieces(2, executor.lose)
        slow = faults.Latency(seconds=0.2)
        with receiving.pacs(receiver, pieces, slow, source=source) as pacs:
            retry, table = dm.Retry(attempts=2, wait=0), receiving.studies(source)
            results = dm.move(table, pacs, receiver, executor=executor, retry=retry, progress=False)
    assert pieces.seen == ["STUDY", "IMAGE", "SERIES", "SERIES"]
    assert results["attempts"].tolist() == [4]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_a_worker_that_ends_its_program_does_not_hang_the_run(tmp_path: Path, error: BaseException) -> None:
    class Ends(ThreadPoolExecutor):
        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            future: Future[Any] = Future()
            threading.Timer(0.01, future.set_exception, [error]).start()
            return future

    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, source=SOURCE) as pacs,
        Ends(1) as executor,
    ):
        results = dm.move(TABLE[:2], pacs, receiver, executor=executor, progress=False)
    assert results["error"].tolist() == ["executor_failed"] * 2


def test_a_worker_without_a_line_to_the_run_sends_nothing(tmp_path: Path) -> None:
    """The run is at an address that its workers cannot reach."""

    class Elsewhere(ThreadPoolExecutor):
        def submit(self, call: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
            return super().submit(replace(call, address=("127.0.0.1", 1)), *arguments, **options)

    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, source=SOURCE) as pacs,
        Elsewhere(1) as executor,
    ):
        results = dm.move(TABLE[:1], pacs, receiver, executor=executor, progress=False)
    assert receiving.row(results, "outcome", "error", "attempts") == ("unreachable", "executor_failed", 0)


def test_lines_one_after_the_other_take_nothing_from_each_other() -> None:
    """A line that ends while its thread reads must not leave the number of its socket to the next one."""
    before = threading.active_count()
    interval = sys.getswitchinterval()
    settings = RunSettings(dm.Pacs("127.0.0.1:1"), ("SINK",))
    identifier = Identifier("STUDY", "StudyRoot", (("StudyInstanceUID", "1.2"),))
    task = Task(identifier, (0,), settings.key(identifier))
    with ThreadPoolExecutor(1) as executor:
        run = Executors(settings, lambda _: None, executor)
        run._given["name"] = task
        sys.setswitchinterval(1e-6)  # so that threads take turns where they would not for hours
        try:
            for _ in range(60):
                call = Call(run._address, run._authkey, "name", settings, task)
                with RemoteChannel(call) as channel, channel.row(task) as row:
                    channel.sending(task)
                    assert row is None
        finally:
            sys.setswitchinterval(interval)
        run.close(lambda: True)
    servers.wait_until(lambda: threading.active_count() <= before, 10)


def test_two_threads_write_whole_messages_to_one_channel() -> None:
    ours, theirs = Pipe()
    channel, other = Channel(ours), Channel(theirs)
    long = "x" * 100_000

    def write() -> None:
        for _ in range(50):
            channel.send(long)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    messages = other.messages()
    assert {next(messages) for _ in range(150)} == {long}
    for writer in writers:
        writer.join()
    channel.close()
    assert list(messages) == []
    channel.send("nobody gets it")
    other.close()
