"""Which task begins next, and what the run waits for: decisions over a clock. Pure."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from dicomove.dimse import MoveResult
from dicomove.results import Row
from dicomove.run.attempt import Lost, Moved, NoReceiver, SeriesListed
from dicomove.run.options import Options
from dicomove.run.outages import Ask, Hold, Outages, is_unreachable
from dicomove.run.pacing import Associations, Failures, Rate
from dicomove.run.requests import Task
from dicomove.run.split import Splits, may_be_large
from dicomove.words import BUSY

#: After an association that was one too many: from so long to twice as long.
_REFUSED_S: Final = 1.0
_MOST_REFUSALS: Final = 20
#: Seconds after which the local time is looked at again: it may jump.
_LOOK_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Start:
    """A task begins."""

    task: Task


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left to do, or nothing more may be done."""


Decision = Start | Ask | Hold | Done


class Schedule:
    """The tasks of a run: which begins when, and which is tried again.

    Every method takes the time: `now` on the monotonic clock, `local_time` as a date with its zone.

    Parameters
    ----------
    tasks
        In their order.
    options
        How the PACS is treated.
    chance
        Returns numbers between 0 and 1: tasks that were refused together do not come back together.

    Attributes
    ----------
    outages
        What keeps the run from asking for more.
    splits
        The rows whose series are moved side by side: each has begun, and goes on whatever keeps others waiting.
    """

    def __init__(self, tasks: Iterable[Task], options: Options, chance: Callable[[], float] = random.random) -> None:
        self._options, self._chance = options, chance
        self._hours, self._retry = options.read_hours(), options.read_retry()
        self._ready = deque(tasks)
        self._later: list[tuple[float, int, Task]] = []
        self._numbers = itertools.count()
        #: The requests in flight, and whether another one was in flight at any moment of theirs.
        self._in_flight: dict[Hashable, bool] = {}
        self.splits = Splits()
        self._resting: deque[float] = deque()
        self._associations = Associations(options.most_associations(), grows=options.concurrency == "auto")
        self.outages = Outages(options.outage_timeout, self._retry)
        self._rate = Rate(options.max_instances_per_second)
        self._failures = Failures(options.max_failures, options.on_failure)

    @property
    def in_flight(self) -> int:
        """Requests that have begun and not ended, and rows between two of theirs."""
        return len(self._in_flight) + self.splits.idle

    @property
    def exhausted(self) -> bool:
        """Whether so many rows failed that no more may begin."""
        return self._failures.exhausted

    @property
    def has_more(self) -> bool:
        """Whether there are tasks that have not begun, or that will be tried again."""
        return bool(self._ready or self._later)

    def next(self, now: float, local_time: datetime, *, has_room: bool, paused: bool) -> Decision:
        """Return what to do now.

        Parameters
        ----------
        now, local_time
            The time.
        has_room
            Whether the disk of the receivers has room, as far as that was looked at.
        paused
            Whether the user wants that nothing begins for now.
        """
        self._wake(now)
        if self.splits and (part := self._next_part(now, further=False)):
            return Start(part)
        decision = self._next_row(now, local_time, has_room=has_room, paused=paused)
        if isinstance(decision, Start | Ask) or not self.splits:
            return decision
        if part := self._next_part(now, further=True):
            return Start(part)
        return self._held(decision, now)

    def next_verdict(self, now: float) -> Start | Hold | Done:
        """Return what to do now where nothing more may begin: rows that have moved their series get their verdict."""
        if part := self._next_part(now, further=False):
            return Start(part)
        return Hold() if self.in_flight else Done()

    def is_full(self, now: float) -> bool:
        """Return whether nothing may begin before something ends, since no association is free or rests."""
        return not self.splits and not self._has_slot(now) and not self._resting

    def associations_of_use(self, reason: str) -> int:
        """Return how many associations are in use, or will be soon, where rows wait for this reason."""
        begins_soon = self._ready and reason in ("", "rate")
        return self._associations.limit if begins_soon or self.splits else len(self._in_flight)

    def may_split(self, task: Task) -> bool:
        """Return whether associations would be idle beside a row that begins, so that its series may use them."""
        most = self._options.most_associations()
        return len(self._ready) < most and most > 1 and may_be_large(task)

    def listed(self, task: Task, listed: SeriesListed, now: float) -> None:
        """Take in the series of a row, which are moved side by side from now on."""
        self._end(task, None, now)
        self.splits.begin(task, listed)

    def part_ended(self, task: Task, end: Moved | Lost | NoReceiver, now: float) -> None:
        """Take in how a part of a row ended."""
        split, part = self.splits.of(task), task.part
        result = end.result if isinstance(end, Moved) else None
        moved = result.evidence.counts.moved if result else None
        has_company = self._end(task, moved, now)
        if split is None or part is None:  # it was given up
            return
        self._rate.spent(moved or 0, now, since=now - (result.duration_s if result else 0.0))
        if result and has_company and _is_one_too_many(result) and task.refusals < _MOST_REFUSALS:
            self._associations.congested(now)
            split.put_back(part, now + _REFUSED_S * (1 + self._chance()))
        else:
            split.ended(part, end)
        if self._options.delay and not split.is_over:
            self._resting.append(now + self._options.delay)

    def _next_part(self, now: float, *, further: bool) -> Task | None:
        """Return what a row that has begun asks for next: its verdict, and a part while the rate allows it."""
        if not self.splits or not self._has_slot(now):
            return None
        part = self.splits.next_verdict()
        if part is None and self._rate.ready_at(now) <= now:
            part = self.splits.next_part(now, further=further)
        return self._begin(part, now) if part else None

    def _held(self, decision: Hold | Done, now: float) -> Hold | Done:
        """Return a decision that nothing begins, as it reads with rows between two of their parts."""
        times = [decision.until] if isinstance(decision, Hold) and decision.until is not None else []
        times += [at for at in (*self.splits.wakes_at(), *self._resting, self._rate.ready_at(now)) if at > now]
        hold = decision if isinstance(decision, Hold) else Hold()
        return replace(hold, until=min(times, default=None))

    def _next_row(self, now: float, local_time: datetime, *, has_room: bool, paused: bool) -> Decision:
        if not self.has_more or self.exhausted or self.outages.pacs_is_lost(now):
            return Hold() if self._in_flight else Done()
        if paused:
            self._associations.forget(now)
            return Hold("paused", "paused, until you resume it")
        obstacle = self._obstacle(now, local_time, has_room=has_room)
        if obstacle is None:
            return self._start(now)
        if not isinstance(obstacle, Hold) or obstacle.reason != "rate":
            self._associations.forget(now)
        return obstacle

    def _start(self, now: float) -> Decision:
        if not self._has_slot(now):
            return Hold(until=self._resting[0] if self._resting else None)
        if self._ready:
            return Start(self._begin(self._ready.popleft(), now))
        at = self._later[0][0]
        if self._in_flight:
            return Hold(until=at)
        return Hold("back_off", f"the rows that are left are tried again, the first in {at - now:.0f} s", at)

    def _has_slot(self, now: float) -> bool:
        while self._resting and self._resting[0] <= now:
            self._resting.popleft()
        self._associations.look(now, has_more=bool(self._ready) or self.splits.has_part)
        return len(self._in_flight) + len(self._resting) < self._associations.limit

    def _begin(self, task: Task, now: float) -> Task:
        has_company = bool(self._in_flight)
        if has_company:
            self._in_flight = dict.fromkeys(self._in_flight, True)
        self._in_flight[_request(task)] = has_company
        is_first = task.attempt == 1 and not task.look_first and not task.missing and not task.parts
        self._associations.begun(_request(task), now, counts=is_first)
        return task

    def _obstacle(self, now: float, local_time: datetime, *, has_room: bool) -> Hold | Ask | None:
        if obstacle := self.outages.obstacle(now, has_room=has_room, is_alone=not self._in_flight):
            return obstacle
        hours = self._hours
        if hours and not hours.is_open(local_time):
            opens = hours.opens_at(local_time)
            until = now + min(_LOOK_S, max(0.0, (opens - local_time) / timedelta(seconds=1)))
            return Hold("hours", f"outside the hours {hours}: goes on at {opens:%a %H:%M}", until)
        ready = self._rate.ready_at(now)
        if ready > now:
            return Hold("rate", f"{self._options.max_instances_per_second:g} instances per second at the most", ready)
        return None

    def brought(self, task: Task, instances: int, now: float) -> None:
        """Take in how many instances a task that is in flight has brought so far."""
        self._associations.told(_request(task), instances, now)

    def ended(
        self,
        again: Task,
        row: Row,
        now: float,
        *,
        outcome: str | None = None,
        permanent: bool = False,
        silence_s: float | None = None,
        unverified: bool = False,
        no_receiver: bool = False,
        at_once: bool = False,
        was_split: bool = False,
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
        outcome
            Of the row after all attempts, where it is another than that of this one.
        permanent
            Whether the PACS said that it will always answer so.
        silence_s
            The longest silence between two responses.
        unverified
            Whether the row may read otherwise once C-FIND is answered, and it may be.
        no_receiver
            Whether nothing was sent, since the receiver was away.
        at_once
            Whether it is tried again at once, in another way: that costs it no attempt.
        was_split
            Whether its instances were counted part by part.
        """
        has_company = self._end(again, row.instances, now)
        one_too_many = row.error == "association_rejected" and has_company
        if self._options.delay:
            self._resting.append(now + self._options.delay)
        if no_receiver:
            pause_s = self.outages.without_receiver(again, now)
        else:
            self._learn(again, row, now, silence_s, one_too_many=one_too_many)
            if not was_split:
                self._rate.spent(row.instances or 0, now, since=now - (row.duration_s or 0.0))
            is_outage = self._retry is not None and is_unreachable(row) and (row.error or "") in self._retry.on
            is_spared = (one_too_many or is_outage) and not permanent and again.refusals < _MOST_REFUSALS
            pause_s = _REFUSED_S * (1 + self._chance()) if is_spared else None
        if at_once:
            pause_s = 0.0
            self._put_off(again, now)
        elif pause_s is not None:
            self._put_off(replace(again, refusals=again.refusals + 1), now + pause_s)
        elif not permanent and not no_receiver:
            pause_s = self._try_again(again, row, now, unverified=unverified)
        if pause_s is None:
            self._failures.count(outcome or row.outcome)
        return pause_s

    def _end(self, task: Task, instances: int | None, now: float) -> bool:
        """Take a request out of flight; return whether another one was in flight at any moment of it."""
        has_company = self._in_flight.pop(_request(task), None)
        if has_company is not None:  # a row whose last part has ended is in flight no more
            self._associations.ended(_request(task), instances, now)
        return bool(has_company)

    def _try_again(self, again: Task, row: Row, now: float, *, unverified: bool) -> float | None:
        retry = self._retry
        if retry is None:
            return None
        unanswered = unverified and again.attempt < retry.attempts
        if not unanswered and not retry.wants(row.outcome, row.error, again.attempt):
            return None
        pause_s = retry.pause_s(again.attempt)
        self._put_off(replace(again, attempt=again.attempt + 1), now + pause_s)
        return pause_s

    def left(self) -> list[Task]:
        """Return the tasks that have not begun, or would have been tried again."""
        return [*self._ready, *(task for _, _, task in sorted(self._later))]  # no two have one number

    def _learn(self, task: Task, row: Row, now: float, silence_s: float | None, *, one_too_many: bool) -> None:
        self.outages.learn(task, row, now, one_too_many=one_too_many)
        if row.error in BUSY:
            self._associations.congested(now)
        elif row.outcome == "complete":
            self._associations.went_well(silence_s, now)

    def _put_off(self, task: Task, at: float) -> None:
        heapq.heappush(self._later, (at, next(self._numbers), task))

    def _wake(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[2])


def _request(task: Task) -> Hashable:
    """Return by what a request in flight is known: another row may name a series of this one."""
    return (task.identifier, task.part.identifier) if task.part else task.identifier


def _is_one_too_many(result: MoveResult) -> bool:
    """Whether the PACS rejected the association, and may accept it another time."""
    return result.error == "association_rejected" and not result.evidence.sent and not result.evidence.permanent
