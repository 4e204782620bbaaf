"""How a run treats the PACS: it waits when it should, gives up when it must, and says why."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dicomove as dm
from dicomove.events import Continuing, Event, RowFinished, RowStarted, RowWillRetry, SubOperationEvent, Waiting
from dicomove.testing import Synthetic, faults
from dicomove.testing.faults.base import Fault, Refuse, Request
from tests import receiving, servers

pytestmark = pytest.mark.timeout(60)

SOURCE = Synthetic(studies=10, instances=3, size=512)
TABLE = receiving.studies(SOURCE, 10)
QUICK = dm.Retry(attempts=3, wait=0.05)


@dataclass
class Log:
    """What happened, and when."""

    events: list[tuple[float, Event]] = field(default_factory=list)
    act: Callable[[Event], object] = lambda _: None

    def __call__(self, event: Event) -> None:
        self.events.append((time.monotonic(), event))
        self.act(event)

    def reasons(self) -> list[str]:
        return [event.reason for _, event in self.events if isinstance(event, Waiting)]

    def started(self) -> list[float]:
        return [at for at, event in self.events if isinstance(event, RowStarted)]

    def most_in_flight(self) -> int:
        now = most = 0
        for _, event in self.events:
            now += isinstance(event, RowStarted) - isinstance(event, RowFinished | RowWillRetry)
            most = max(most, now)
        return most


def run(*present: Fault, table: pd.DataFrame = TABLE, **options: Any) -> tuple[pd.DataFrame, Log]:
    log = options.pop("log", Log())
    with (
        receiving.receiver(options.pop("folder"), accept="any") as store,
        receiving.pacs(store.as_destination(), *present, source=SOURCE) as pacs,
    ):
        return dm.move(table, pacs, store.ae_title, progress=log, **options), log


def test_hours_that_are_over_hold_the_run_until_they_begin(tmp_path: Path) -> None:
    now = datetime.now().astimezone()
    later, after = ((now + timedelta(hours=hours)).strftime("%H:00") for hours in (2, 3))
    log = Log()
    log.act = lambda event: os.kill(os.getpid(), signal.SIGINT) if isinstance(event, Waiting) else None
    with pytest.warns(dm.InterruptedWarning, match="10 of 10 rows"):
        results, _ = run(folder=tmp_path, hours=f"{later}-{after}", log=log)
    assert log.reasons() == ["hours"]
    (waiting,) = (event for _, event in log.events if isinstance(event, Waiting))
    assert later in waiting.message
    assert results["outcome"].tolist() == ["not_attempted"] * 10


def test_hours_that_are_open_hold_nothing(tmp_path: Path) -> None:
    results, log = run(folder=tmp_path, hours="00:00-24:00 Europe/Berlin")
    assert results["outcome"].tolist() == ["complete"] * 10
    assert log.reasons() == []


def test_invalid_hours_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hours"):
        run(folder=tmp_path, hours="at night")


def test_instances_per_second_are_limited_over_all_associations(tmp_path: Path) -> None:
    started = time.monotonic()
    results, log = run(folder=tmp_path, max_instances_per_second=20, concurrency=2)
    assert results["outcome"].tolist() == ["complete"] * 10
    # 30 instances; what the last moves brought has not to be waited for.
    assert time.monotonic() - started >= (30 - 2 * 3) / 20 * 0.9
    assert "rate" in log.reasons()


def test_a_pacs_that_refuses_the_third_association_gets_two(tmp_path: Path) -> None:
    slow = faults.Latency(seconds=0.02)
    results, log = run(faults.LimitsAssociations(limit=2), slow, folder=tmp_path, concurrency=4)
    assert results["outcome"].tolist() == ["complete"] * 10
    assert results["error"].isna().all()
    assert log.most_in_flight() == 4, "it tries what it was told to try"


class EveryFifth(Fault):
    """0xA702 at every fifth C-MOVE."""

    def __init__(self) -> None:
        object.__setattr__(self, "seen", iter(range(1, 10_000)))

    def on_request(self, _: Request) -> None:
        if next(self.seen) % 5 == 0:  # type: ignore[attr-defined]  # it is set above
            raise Refuse(0xA702, "Out of resources")


def test_a_pacs_that_is_out_of_resources_every_fifth_time(tmp_path: Path) -> None:
    results, _ = run(EveryFifth(), folder=tmp_path, retry=QUICK, concurrency=2)
    assert results["outcome"].tolist() == ["complete"] * 10
    assert results["attempts"].sum() == 12


def test_a_pacs_that_dies_and_comes_back_is_waited_for(tmp_path: Path) -> None:
    dies = faults.Dies(response=2, studies=(TABLE["StudyInstanceUID"][4],), attempts=1, back_after_s=2)
    results, log = run(dies, folder=tmp_path, retry=QUICK)
    assert results["outcome"].tolist() == ["complete"] * 10
    assert "pacs_down" in log.reasons()
    assert sum(isinstance(event, Continuing) for _, event in log.events) >= 1


def test_without_retry_the_rest_of_the_rows_is_not_thrown_at_a_pacs_that_is_down(tmp_path: Path) -> None:
    dies = faults.Dies(response=2, studies=(TABLE["StudyInstanceUID"][1],), attempts=1, back_after_s=3)
    results, log = run(dies, folder=tmp_path)
    assert log.reasons() == ["pacs_down"]
    assert results["outcome"].tolist() == ["complete", "interrupted"] + ["unreachable"] * 5 + ["complete"] * 3


def test_a_pacs_that_does_not_come_back_ends_the_run(tmp_path: Path) -> None:
    dies = faults.Dies(response=2, studies=(TABLE["StudyInstanceUID"][1],), back_after_s=None)
    results, log = run(dies, folder=tmp_path, retry=QUICK, outage_timeout=2)
    assert log.reasons() == ["pacs_down"]
    assert results["outcome"].tolist() == ["complete", "interrupted"] + ["unreachable"] * 8
    assert results["error"].tolist()[2:] == ["connection_failed"] * 8
    assert results["advice"].tolist()[-1].startswith("The PACS had stopped answering")


@pytest.mark.parametrize("retry", [None, QUICK], ids=["once", "retry"])
def test_a_pacs_that_never_answered_is_said_at_once(retry: dm.Retry | None) -> None:
    table = pd.DataFrame({"StudyInstanceUID": [f"1.2.{n}" for n in range(3000)]})
    with servers.dead_port() as port:
        results = dm.move(table, dm.Pacs(f"127.0.0.1:{port}"), "X", retry=retry, progress=False)
    assert results["outcome"].tolist() == ["unreachable"] * 3000
    assert set(results["error"]) == {"connection_failed"}
    assert results["attempts"].sum() == 0


def test_the_first_failure_can_stop_a_run(tmp_path: Path) -> None:
    fails = faults.UnknownDestination(studies=(TABLE["StudyInstanceUID"][2],))
    with pytest.warns(dm.InterruptedWarning, match="too many failures: 7 of 10"):
        results, _ = run(fails, folder=tmp_path, on_failure="stop")
    assert results["outcome"].tolist() == ["complete"] * 2 + ["failed"] + ["not_attempted"] * 7


def test_so_many_may_fail(tmp_path: Path) -> None:
    with pytest.warns(dm.InterruptedWarning, match="6 of 10"):
        results, _ = run(faults.UnknownDestination(), folder=tmp_path, max_failures=4)
    assert results["outcome"].tolist() == ["failed"] * 4 + ["not_attempted"] * 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_failures": 0},
        {"on_failure": "panic"},
        {"max_instances_per_second": 0},
        {"max_instances_per_second": float("nan")},
        {"outage_timeout": -1},
        {"outage_timeout": "long"},
        {"concurrency": True},
        {"retry": 0},
        {"verify": "never"},
    ],
    ids=str,
)
def test_arguments_that_cannot_be_right(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)) if "retry" not in wrong else "attempts"):
        run(folder=tmp_path, **wrong)


def fill(ballast: Path, size: int) -> None:
    """Write a file of this size, or until the disk is full."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.tell() < size:
            file.write(bytes(4096))


@pytest.mark.xdist_group("quiet")  # for a user that has no disk of its own
@pytest.mark.parametrize("is_told", [True, False], ids=["as the system tells", "as a file that is written tells"])
def test_a_full_disk_that_is_freed_again(tmp_path: Path, is_told: bool) -> None:
    """`min_free` is above what is free once the ballast is there, and below it without; or it is always below it."""
    folder = tmp_path / "disk"
    ballast, size = folder / "ballast", 128 << 20
    log = Log()
    finished = 0

    def act(event: Event) -> None:
        nonlocal finished
        finished += isinstance(event, RowFinished)
        if isinstance(event, RowFinished) and finished == 2:
            fill(ballast, size if is_told else 4 * size)
        if isinstance(event, Waiting) and event.reason == "disk_full":
            threading.Timer(0.5, ballast.unlink, kwargs={"missing_ok": True}).start()

    log.act = act
    with (
        receiving.disk(folder, 2 * size) as free,
        receiving.receiver(folder / "images", min_free=free - size // 2 if is_told else 0) as receiver,
        receiving.pacs(receiver, faults.Latency(seconds=0.05), source=SOURCE) as pacs,
    ):
        if not is_told and free > 2 * size:
            pytest.skip("only root may fill a disk: one of its own")
        results = dm.move(TABLE, pacs, receiver, progress=log, retry=dm.Retry(attempts=6, wait=0.3))
        assert log.reasons()[:1] == ["disk_full"]
        receiving.assert_whole(folder / "images", SOURCE)
        assert receiving.partial(folder / "images") == []
    assert results["outcome"].tolist() == ["complete"] * 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["a scheduler", "a terminal that closes"])
def test_other_signals_are_a_stop_too(tmp_path: Path, number: signal.Signals) -> None:
    log = Log()
    pending = iter([number])

    def act(event: Event) -> None:
        if isinstance(event, SubOperationEvent):
            for one in pending:
                os.kill(os.getpid(), one)

    log.act = act
    # `nohup` lets a program ignore that its terminal closes, and dicomove leaves such a choice alone.
    of_the_program = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.warns(dm.InterruptedWarning):
            results, _ = run(faults.Latency(seconds=0.05), folder=tmp_path, log=log)
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, of_the_program)
    assert results["outcome"][0] in ("cancelled", "complete")
    assert results["outcome"].tolist()[-1] == "not_attempted"


def test_many_rows_that_ask_for_the_same_are_one_move(tmp_path: Path) -> None:
    table = pd.concat([TABLE[:1]] * 500)
    results, log = run(folder=tmp_path, table=table, concurrency=4)
    assert results["outcome"].tolist() == ["complete"] * 500
    assert results["attempts"].tolist() == [1] * 500
    assert len({event.position for _, event in log.events if isinstance(event, RowFinished)}) == 500
