"""PACS of several natures and a clock, for a schedule that decides over both: a simulation, event by event."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from dicomove.cohort import Identifier
from dicomove.results import Row
from dicomove.run.messages import Begin, End
from dicomove.run.options import Options
from dicomove.run.outages import Hold
from dicomove.run.requests import Task
from dicomove.run.schedule import Schedule
from dicomove.store import Key

#: A run begins at nine in the evening, in seconds of its day.
BEGINS_S = 21 * 3600.0
_EVENING = datetime(2026, 11, 24, 21, tzinfo=UTC)

#: Instances per second on each of so many associations, at so many seconds of the day.
Nature = Callable[[int, float], float]


def one_at_a_time(many: int, _: float) -> float:
    """It serves one association after the other."""
    return 50 / many


def fair_share(many: int, _: float) -> float:
    """It gives each association 40 instances per second, and all of them together 110."""
    return min(40.0, 110 / many)


def thrashing(many: int, _: float) -> float:
    """Its disks seek back and forth above three."""
    return 40.0 if many <= 3 else 40 * (3 / many) ** 2.2


def distant(_many: int, _: float, *, away_s: float = 0.005) -> float:
    """Each association waits for its turns over a distance, and the PACS itself gives 800."""
    return 1 / (0.00125 + 5 * away_s)


def backup(many: int, at: float) -> float:
    """From 02:00 to 03:00 it gives half of it."""
    second = at % 86400
    return min(40.0, (60 if 2 * 3600 <= second < 3 * 3600 else 120) / many)


def slow_backup(many: int, at: float) -> float:
    """The same, and each association is slower, too."""
    return fair_share(many, at) / (2 if 2 * 3600 <= at % 86400 < 3 * 3600 else 1)


def saturating(many: int, _: float) -> float:
    """Each further association brings less, but all of them something."""
    return 200 / (many + 3)


@dataclass
class Move:
    """A move that is in flight."""

    task: Task
    began: float
    #: Seconds until the first instance comes.
    waits_s: float
    instances: int
    brought: float = 0.0
    pace: float = 1.0
    #: How fast its instances go: large ones take longer.
    own: float = 1.0


@dataclass
class Simulation:
    """A run over studies of a PACS.

    Attributes
    ----------
    sizes
        Instances of each study.
    limit
        The associations that the PACS accepts.
    serves
        The associations that it serves; the others wait for their turn.
    reports_s
        How often the run hears what has come; ``None``: at the end of each study.
    noise
        How much the speed of a move differs from second to second, as the standard deviation of its logarithm.
    unlike
        How much it differs from study to study, likewise: their instances are large and small.
    """

    nature: Nature
    sizes: list[int]
    options: Options
    limit: int = 99
    serves: int = 99
    reports_s: float | None = 0.2
    noise: float = 0.15
    unlike: float = 0.0
    seed: int = 1
    now: float = 0.0
    numbers: list[tuple[float, int]] = field(default_factory=list)
    refused: int = 0

    def run(self) -> float:
        """Return how many seconds it takes."""
        self.random = random.Random(self.seed)
        self.schedule = Schedule([_task(n) for n in range(len(self.sizes))], self.options, self.random.random)
        self.flying: list[Move] = []
        self.next_report = 0.0
        while True:
            local_time = _EVENING + timedelta(seconds=self.now)
            decision = self.schedule.next(self.now, local_time, has_room=True, paused=False)
            match decision:
                case Begin(task):
                    self._start(task)
                case End():
                    return self.now
                case Hold(until=until):
                    self._pass(until)
                case _:
                    raise AssertionError(decision)

    def mean_number(self, since: float = 0.0, until: float = math.inf) -> float:
        """Return how many moves were in flight on average."""
        until = min(until, self.now)
        area = 0.0
        for (at, many), (then, _) in zip(self.numbers, [*self.numbers[1:], (self.now, 0)], strict=True):
            area += many * max(0.0, min(then, until) - max(at, since))
        return area / (until - since)

    def _start(self, task: Task) -> None:
        if len(self.flying) >= self.limit:
            self.refused += 1
            self.schedule.ended(task, Row(outcome="unreachable", error="association_rejected"), self.now + 0.01)
            return
        size = self.sizes[task.positions[0]]
        own = self.random.lognormvariate(0, self.unlike) if self.unlike else 1.0
        waits_s = 0.2 * self.random.lognormvariate(0, 0.4)
        self.flying.append(Move(task, self.now, waits_s, size, pace=self._pace(), own=own))
        self._count()

    def _pace(self) -> float:
        return self.random.lognormvariate(0, self.noise) if self.noise else 1.0

    def _count(self) -> None:
        self.numbers.append((self.now, len(self.flying)))

    def _pass(self, until: float | None) -> None:
        served = self.flying[: self.serves]
        each = self.nature(len(served) or 1, BEGINS_S + self.now)
        ends = [self._ends_in(move, each) for move in served]
        times = [*ends, self.next_report - self.now if self.flying else math.inf]
        if until is not None:
            times.append(until - self.now)
        step = max(1e-6, min(times))
        assert step < math.inf, "it waits for nothing"
        self.now += step
        for move in served:
            moving = max(0.0, step - move.waits_s)
            move.waits_s = max(0.0, move.waits_s - step)
            move.brought = min(move.instances, move.brought + moving * each * move.pace * move.own)
        if self.now >= self.next_report:
            self._report()
        for move in [one for one in self.flying if one.instances - one.brought < 1e-6]:
            self._end(move)

    def _ends_in(self, move: Move, each: float) -> float:
        return move.waits_s + (move.instances - move.brought) / (each * move.pace * move.own)

    def _report(self) -> None:
        self.next_report = self.now + (self.reports_s or 1.0)
        for move in self.flying:
            move.pace = self._pace()
            if self.reports_s:
                self.schedule.brought(move.task, int(move.brought), self.now)

    def _end(self, move: Move) -> None:
        self.flying.remove(move)
        self._count()
        row = Row(
            outcome="complete",
            status="0x0000",
            completed=move.instances,
            attempts=1,
            duration_s=self.now - move.began,
        )
        self.schedule.ended(move.task, row, self.now, silence_s=0.1, brought=move.instances)


def studies(count: int, seed: int = 5, around: int = 150) -> list[int]:
    """Return sizes of studies that differ as those of a hospital do."""
    chance = random.Random(seed)
    return [max(2, int(chance.lognormvariate(math.log(around), 0.7))) for _ in range(count)]


def _task(number: int) -> Task:
    keys = (("StudyInstanceUID", f"1.2.{number}"),)
    key = Key("PACS@127.0.0.1:104", "HERE", "STUDY", "StudyRoot", keys)
    return Task(Identifier("STUDY", "StudyRoot", keys), (number,), key)
