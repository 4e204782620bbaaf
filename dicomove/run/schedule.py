"""Which task begins next, and what the run waits for: decisions over a clock. Pure."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from dicomove.cohort import Identifier
from dicomove.results import Row
from dicomove.run.pacing import Breaker, Congestion, Failures, Hours, Rate, Retry
from dicomove.run.tasks import Task
from dicomove.words import BUSY, LOST

#: So many different rows in a row, and the run asks the PACS how it is before it goes on.
_IN_A_ROW: Final = 5
_FULL_IN_A_ROW: Final = 3
#: How long a run waits for a PACS that is down, or a disk that is full, if the caller does not say it: seconds, and how
#: many times as long as one row would wait for its attempts.
_PATIENCE_S: Final = 60.0
_PATIENCE_TIMES: Final = 10
#: After an association that was one too many.
_REFUSED_S: Final = 1.0
_MOST_REFUSALS: Final = 20
#: Seconds after which the clock on the wall is looked at again: it may jump.
_LOOK_S: Final = 30.0
#: At which the answer to a probe is looked for.
_PROBING_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a run treats the PACS: the arguments of `move` of these names."""

    concurrency: int = 1
    delay: float = 0
    max_instances_per_second: float | None = None
    hours: Hours | None = None
    retry: Retry | None = None
    outage_timeout: float | Literal["auto"] | None = "auto"
    on_failure: Literal["continue", "stop"] = "continue"
    max_failures: int | None = None

    @property
    def patience_s(self) -> float | None:
        """Seconds that a run waits for a PACS that is down."""
        if self.outage_timeout == "auto":
            return max(_PATIENCE_S, _PATIENCE_TIMES * self.first_patience_s)
        return self.outage_timeout

    @property
    def first_patience_s(self) -> float:
        """Seconds that a run waits for a PACS that never answered: as long as a row would for its attempts."""
        if self.retry is None:
            return 0.0
        return sum(self.retry.pause_s(attempt) for attempt in range(1, self.retry.attempts))


@dataclass(frozen=True, slots=True)
class Start:
    """A task begins."""

    task: Task


@dataclass(frozen=True, slots=True)
class Probe:
    """The PACS is asked whether it is up again."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing begins for now: `reason` and `message` as in `Waiting`, no reason where all is well and in flight.

    Attributes
    ----------
    until
        When to ask again, on the monotonic clock; ``None``: after the next report.
    """

    reason: str = ""
    message: str = ""
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left to do, or nothing more may be done."""


Decision = Start | Probe | Hold | Done


class Schedule:
    """The tasks of a run, and the manners by which they begin.

    Every method takes the time: `now` on the monotonic clock, `wall` as a date with its zone.

    Parameters
    ----------
    tasks
        In their order.
    manners
        How the PACS is treated.
    """

    def __init__(self, tasks: Iterable[Task], manners: Manners) -> None:
        self._manners = manners
        self._ready = deque(tasks)
        self._later: list[tuple[float, int, Task]] = []
        self._numbers = itertools.count()
        self._in_flight: set[Identifier] = set()
        self._resting: deque[float] = deque()
        self._congestion = Congestion(manners.concurrency)
        patience_s = manners.patience_s
        # With retry, a PACS that cannot be reached costs no row an attempt.
        self._unreachable = Breaker(after=1 if manners.retry else _IN_A_ROW, patience_s=patience_s)
        self._lost = Breaker(after=_IN_A_ROW, patience_s=patience_s)
        self._disk = Breaker(after=_FULL_IN_A_ROW, patience_s=patience_s)
        self._rate = Rate(manners.max_instances_per_second)
        self._failures = Failures(manners.max_failures, manners.on_failure)
        self._pacs_worked = self._disk_worked = self._probing = False
        self._gave_up_disk = self._is_no_pacs = False
        #: How the PACS said last that it is down.
        self.down = "connection_failed"
        self.paused = False

    @property
    def in_flight(self) -> int:
        """Tasks that have begun and not ended."""
        return len(self._in_flight)

    @property
    def exhausted(self) -> bool:
        """Whether so many rows failed that no more may begin."""
        return self._failures.exhausted

    @property
    def has_more(self) -> bool:
        """Whether there are tasks that have not begun, or that will be tried again."""
        return bool(self._ready or self._later)

    def pacs_is_lost(self, now: float) -> bool:
        """Whether the PACS has been down for so long that the run ends."""
        return self._is_no_pacs or any(breaker.given_up(now) for breaker in self._open())

    @property
    def suspects_disk(self) -> bool:
        """Whether it matters to this schedule if the disk has room."""
        return self._disk.is_open

    def next(self, now: float, wall: datetime, *, free: bool = True) -> Decision:
        """Return what to do now.

        Parameters
        ----------
        now, wall
            The time.
        free
            Whether the disk of the receiver has room, as far as anybody looked.
        """
        self._wake(now)
        if not self.has_more or self.exhausted or self.pacs_is_lost(now):
            return Hold() if self._in_flight else Done()
        return self._obstacle(now, wall, free=free) or self._start(now)

    def _start(self, now: float) -> Decision:
        while self._resting and self._resting[0] <= now:
            self._resting.popleft()
        if len(self._in_flight) + len(self._resting) >= self._congestion.limit:
            return Hold(until=self._resting[0] if self._resting else None)
        if self._ready:
            task = self._ready.popleft()
            self._in_flight.add(task.identifier)
            return Start(task)
        at = self._later[0][0]
        if self._in_flight:
            return Hold(until=at)
        return Hold("back_off", f"the rows that are left are tried again, the first in {at - now:.0f} s", at)

    def _obstacle(self, now: float, wall: datetime, *, free: bool) -> Hold | Probe | None:
        if self.paused:
            return Hold("paused", "a pause, until somebody resumes")
        if self._open():
            return self._outage(now)
        if self._disk.is_open and not self._has_room(now, free=free):
            return Hold("disk_full", "the disk of the receiver is full: make room", now + 1)
        hours = self._manners.hours
        if hours and not hours.is_open(wall):
            opens = hours.opens_at(wall)
            until = now + min(_LOOK_S, max(0.0, (opens - wall) / timedelta(seconds=1)))
            return Hold("hours", f"outside the hours {hours}: goes on at {opens:%a %H:%M}", until)
        ready = self._rate.ready_at(now)
        if ready > now:
            return Hold("rate", f"{self._manners.max_instances_per_second:g} instances per second at the most", ready)
        return None

    def _outage(self, now: float) -> Hold | Probe:
        at = max(breaker.probe_at or now for breaker in self._open())
        if at <= now and not self._probing:
            self._probing = True
            return Probe()
        return Hold("pacs_down", "the PACS does not answer: the run goes on when it does", max(at, now + _PROBING_S))

    def _open(self) -> list[Breaker]:
        """Return what keeps the run from asking the PACS for more."""
        return [breaker for breaker in (self._unreachable, self._lost) if breaker.is_open]

    def _has_room(self, now: float, *, free: bool) -> bool:
        """Whether the disk has room again; where nothing was ever stored, or for too long, each row finds out."""
        if free or self._disk.given_up(now) or not (self._disk_worked or self._manners.retry):
            self._disk.succeeded(now)
            self._gave_up_disk = not free
            return True
        return False

    def probed(self, now: float, *, worked: bool) -> None:
        """Take in whether the PACS is up again."""
        self._probing = False
        for breaker in self._open():
            opened_at = breaker.opened_at
            breaker.probed(worked, now)
            if not worked and not self._pacs_worked and self._manners.outage_timeout == "auto":
                # Nobody has ever answered at this address: that is no outage.
                self._is_no_pacs |= now - (opened_at or now) >= self._manners.first_patience_s

    def finished(
        self,
        again: Task,
        row: Row,
        now: float,
        *,
        hopeless: bool,
        silence_s: float | None,
        unverified: bool = False,
    ) -> float | None:
        """Take in the end of an attempt; return after how many seconds it is tried again, ``None`` if it is not.

        Parameters
        ----------
        again
            The task, as it would be tried again.
        row
            The result of the attempt.
        now
            The time.
        hopeless
            Whether the PACS said that it never will.
        silence_s
            The longest silence between two responses.
        unverified
            Whether the row may read otherwise once C-FIND is answered, and it may be.
        """
        alone = self.in_flight == 1 and self._congestion.limit == 1
        one_too_many = row.error == "association_rejected" and not alone
        self._in_flight.discard(again.identifier)
        if self._manners.delay:
            self._resting.append(now + self._manners.delay)
        self._learn(again, row, now, silence_s, one_too_many=one_too_many)
        retry = self._manners.retry
        is_outage = retry is not None and _is_unreachable(row) and (row.error or "") in retry.on
        if (one_too_many or is_outage) and not hopeless and again.refusals < _MOST_REFUSALS:
            self._put_off(replace(again, refusals=again.refusals + 1), now + _REFUSED_S)
            return _REFUSED_S
        unanswered = retry is not None and unverified and again.attempt < retry.attempts
        if retry and not hopeless and (unanswered or retry.wants(row.outcome, row.error, again.attempt)):
            pause = retry.pause_s(again.attempt)
            self._put_off(replace(again, attempt=again.attempt + 1), now + pause)
            return pause
        self._failures.count(row.outcome)
        return None

    def left(self) -> list[Task]:
        """Return the tasks that have not begun, or would have been tried again."""
        return [*self._ready, *(task for _, _, task in sorted(self._later, key=lambda entry: entry[:2]))]

    def _learn(self, task: Task, row: Row, now: float, silence_s: float | None, *, one_too_many: bool) -> None:
        if _is_unreachable(row) and not one_too_many:
            self._unreachable.failed(task.identifier, now)
            self.down = row.error or self.down
        elif row.error in LOST:
            self._pacs_worked = True
            self._lost.failed(task.identifier, now)
        elif row.status is not None:
            self._pacs_worked = True
            self._unreachable.succeeded(now)
            self._lost.succeeded(now)
        if row.error == "storage_failed":
            if not self._gave_up_disk:
                self._disk.failed(task.identifier, now)
        elif row.received:
            self._disk.succeeded(now)
            self._disk_worked, self._gave_up_disk = True, False
        if row.error in BUSY:
            self._congestion.congested(now)
        elif row.outcome == "complete":
            self._congestion.went_well(silence_s, now)
        self._rate.spent(row.instances or 0, now, since=now - (row.duration_s or 0.0))

    def _put_off(self, task: Task, at: float) -> None:
        heapq.heappush(self._later, (at, next(self._numbers), task))

    def _wake(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[2])


def _is_unreachable(row: Row) -> bool:
    """Whether the PACS could not be reached; an executor that is gone says nothing about the PACS."""
    return row.outcome == "unreachable" and row.error != "executor_failed"
