"""Which task begins when: decisions over a clock that is an argument."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from dicomove.cohort import Identifier
from dicomove.results import Row
from dicomove.run.messages import Begin, End, Probe
from dicomove.run.options import Options
from dicomove.run.outages import Hold
from dicomove.run.pacing import Hours, Retry
from dicomove.run.requests import Task
from dicomove.run.schedule import Schedule
from dicomove.store import Key
from dicomove.words import Outcome

MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)


def task(number: int) -> Task:
    keys = (("StudyInstanceUID", f"1.2.{number}"),)
    key = Key("PACS@127.0.0.1:104", "HERE", "STUDY", "StudyRoot", keys)
    return Task(Identifier("STUDY", "StudyRoot", keys), (number,), key)


@dataclass
class World:
    """A PACS and a clock, as far as a schedule sees them: `results` tells the n-th move's result."""

    schedule: Schedule
    results: Iterator[tuple[Outcome, str | None]]
    is_up: Any = lambda _: True
    takes_s: float = 1.0
    now: float = 0.0
    flying: list[tuple[float, Task]] = field(default_factory=list)
    started: list[tuple[float, int]] = field(default_factory=list)
    most: int = 0
    holds: list[str] = field(default_factory=list)
    probes: list[float] = field(default_factory=list)

    def run(self, until: float = 1e6) -> None:
        while self.now < until:
            local_time = MIDNIGHT + timedelta(seconds=self.now)
            decision = self.schedule.next(self.now, local_time, has_room=True, paused=False)
            match decision:
                case Begin(begun):
                    self.started.append((self.now, begun.positions[0]))
                    self.flying.append((self.now + self.takes_s, begun))
                    self.most = max(self.most, len(self.flying))
                case Probe():
                    self.probes.append(self.now)
                    self.schedule.outages.probed(self.now, worked=bool(self.is_up(self.now)))
                case End():
                    return
                case Hold(reason=reason, until=at):
                    self.holds += [reason] if reason and self.holds[-1:] != [reason] else []
                    self._pass(at)
        pytest.fail("it does not end")

    def _pass(self, at: float | None) -> None:
        next_end = min((end for end, _ in self.flying), default=None)
        times = [time for time in (at, next_end) if time is not None]
        assert times, "it waits for nothing"
        self.now = max(self.now + 1e-3, min(times))
        for end, ended in [entry for entry in self.flying if entry[0] <= self.now]:
            self.flying.remove((end, ended))
            outcome, error = next(self.results) if self.is_up(self.now) else ("unreachable", "connection_failed")
            row = Row(outcome=outcome, error=error, status="0x0000" if self.is_up(self.now) else None, completed=10)
            self.schedule.ended(ended, row, self.now)


def world(options: Options, count: int = 10, results: Any = (), **more: Any) -> World:
    def all_results() -> Iterator[tuple[Outcome, str | None]]:
        yield from results
        while True:
            yield "complete", None

    return World(Schedule([task(n) for n in range(count)], options), all_results(), **more)


def test_never_more_than_the_limit_and_in_their_order() -> None:
    made = world(Options(concurrency=3))
    made.run()
    assert made.most == 3
    assert [number for _, number in made.started] == list(range(10))
    assert made.now == pytest.approx(4, abs=0.1)


def test_each_association_rests() -> None:
    made = world(Options(concurrency=2, delay=5))
    made.run()
    assert made.now == pytest.approx(4 * 6 + 1, abs=0.1)


def test_hours_are_waited_for_and_a_move_in_flight_is_finished() -> None:
    options = Options(hours=Hours.parse("00:00-00:01, 02:00-24:00 UTC"))
    made = world(options, count=100)
    made.run()
    begun = [at for at, _ in made.started]
    assert not [at for at in begun if 60 <= at < 7200]
    assert made.holds == ["hours"]
    assert begun[-1] == pytest.approx(7200 + 39, abs=1)


def test_a_pacs_that_is_down_is_probed_less_and_less_and_no_row_is_lost() -> None:
    made = world(Options(retry=Retry(wait=1), outage_timeout=None), is_up=lambda now: not 3 < now < 1000)
    made.run()
    gaps = [later - earlier for earlier, later in zip(made.probes, made.probes[1:], strict=False)]
    assert gaps == sorted(gaps)
    assert gaps[-1] <= 61
    assert made.holds == ["pacs_down"]
    assert not made.schedule.has_more


def test_a_pacs_that_stays_down_is_given_up() -> None:
    made = world(Options(retry=Retry(wait=1), outage_timeout=120), is_up=lambda now: now < 3)
    made.run()
    assert made.schedule.outages.pacs_is_lost(made.now)
    assert len(made.schedule.left()) == 8
    assert made.now == pytest.approx(120, abs=70)


def test_out_of_resources_halves_the_associations_and_quiet_raises_them_again() -> None:
    well: tuple[Outcome, str | None] = ("complete", None)
    results = [*[well] * 8, ("failed", "out_of_resources")]
    made = world(Options(concurrency=8), count=200, results=results)
    made.run()
    by_second = [sum(second <= at < second + 1 for at, _ in made.started) for second in range(int(made.now))]
    assert max(by_second[:2]) == 8
    assert min(by_second[2:5]) < 8
    assert by_second[-3] == 8


@settings(max_examples=60)
@given(
    errors=st.lists(
        st.sampled_from([None, "out_of_resources", "connection_lost", "idle_timeout", "destination_unknown"]),
        max_size=60,
    ),
    concurrency=st.integers(1, 5),
    attempts=st.integers(1, 4),
    down=st.tuples(st.floats(0, 100), st.floats(0, 300)),
)
def test_whatever_happens_it_ends_and_nothing_is_forgotten(
    errors: list[str | None], concurrency: int, attempts: int, down: tuple[float, float]
) -> None:
    results: list[tuple[Outcome, str | None]] = [("failed" if error else "complete", error) for error in errors]
    options = Options(concurrency=concurrency, retry=Retry(attempts=attempts, wait=2), outage_timeout=None)
    made = world(options, 30, results, is_up=lambda now: not down[0] <= now < sum(down))
    made.run(until=50_000)
    assert made.most <= concurrency
    assert {number for _, number in made.started} == set(range(30))
    assert not made.schedule.has_more
    assert made.schedule.in_flight == 0
