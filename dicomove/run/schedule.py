"""Decides which task begins next, whether it is tried again, and what the run waits for. Pure."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from dicomove.dimse import MoveResult
from dicomove.results import Row
from dicomove.run.attempt.ends import Lost, Moved, NoReceiver, SeriesListed
from dicomove.run.messages import Begin, End, Probe
from dicomove.run.options import Options
from dicomove.run.outages import Hold, Outages, is_unreachable
from dicomove.run.pacing import Associations, Failures, Rate
from dicomove.run.requests import Task
from dicomove.run.split import Splits, may_be_large
from dicomove.words import BUSY

#: The pause after the PACS rejected one association too many: at random between this and twice this, in seconds.
_REFUSED_S: Final = 1.0
_MOST_REFUSALS: Final = 20
#: The local time is read again after so many seconds, because it may jump.
_LOOK_S: Final = 30.0


Decision = Begin | Probe | Hold | End


class Schedule:
    """The tasks of a run: which begins when, and which is tried again.

    `now` is the time on the monotonic clock, and `local_time` is date and time with a zone.

    Parameters
    ----------
    tasks
        The tasks in their order.
    options
        The keywords of `move`.
    chance
        Returns random numbers between 0 and 1, which spread the retries of tasks that were refused together.

    Attributes
    ----------
    outages
        The pauses of the run: PACS down, receiver away, disk full.
    splits
        The rows whose series are moved side by side. They have begun, and continue while other rows wait.
    """

    def __init__(self, tasks: Iterable[Task], options: Options, chance: Callable[[], float] = random.random) -> None:
        self._options, self._chance = options, chance
        self._hours, self._retry = options.read_hours(), options.read_retry()
        self._ready = deque(tasks)
        self._later: list[tuple[float, int, Task]] = []
        #: Keys in flight that other tasks have, too. Those wait: what the first one brings may be all that they need.
        self._shared: set[Hashable] = set()
        self._numbers = itertools.count()
        self.splits = Splits()
        self._associations = Associations(
            options.most_associations(), grows=options.concurrency == "auto", rest_s=options.delay
        )
        self.outages = Outages(options.outage_timeout, self._retry)
        self._rate = Rate(options.max_instances_per_second)
        self._failures = Failures(options.max_failures, options.on_failure)

    @property
    def in_flight(self) -> int:
        """The number of requests that have begun and not ended, and of rows between two of their requests."""
        return self._associations.in_flight + self.splits.idle

    @property
    def exhausted(self) -> bool:
        """Whether too many rows have failed, so that no more may begin."""
        return self._failures.exhausted

    @property
    def has_more(self) -> bool:
        """Whether tasks have not begun, or will be tried again."""
        return bool(self._ready or self._later)

    def next(self, now: float, local_time: datetime, *, has_room: bool, paused: bool) -> Decision:
        """Return the next step.

        Parameters
        ----------
        now, local_time
            The time.
        has_room
            Whether the disk of the receivers has room; true if the run did not check it.
        paused
            Whether the user has paused the run.
        """
        self._wake(now)
        if self.splits and (part := self._next_part(now, further=False)):
            return Begin(part)
        decision = self._next_row(now, local_time, has_room=has_room, paused=paused)
        if isinstance(decision, Begin | Probe) or not self.splits:
            return decision
        if part := self._next_part(now, further=True):
            return Begin(part)
        return self._held(decision, now)

    def next_verdict(self, now: float) -> Begin | Hold | End:
        """Return the next step when nothing more may begin: rows that have moved their series get their verdict."""
        if part := self._next_part(now, further=False):
            return Begin(part)
        return Hold() if self.in_flight else End()

    def is_full(self, now: float) -> bool:
        """Return whether a request has to end before another one may begin: no association is free, or about to be."""
        return not self.splits and not self._has_slot(now) and self._associations.rest_ends is None

    def associations_of_use(self, reason: str) -> int:
        """Return how many associations to keep: those in use, or the whole limit if rows begin soon after this wait."""
        begins_soon = self._ready and reason in ("", "rate")
        return self._associations.limit if begins_soon or self.splits else self._associations.in_flight

    def may_split(self, task: Task) -> bool:
        """Return whether associations would be idle beside a row that begins: then its series may use them."""
        most = self._options.most_associations()
        return len(self._ready) < most and most > 1 and may_be_large(task)

    def listed(self, task: Task, listed: SeriesListed, now: float) -> None:
        """Take the list of series of a row, to move them side by side."""
        self._associations.ended(_request(task), None, now)
        self.splits.begin(task, listed)

    def part_ended(self, task: Task, end: Moved | Lost | NoReceiver, now: float) -> None:
        """Take note of the end of a part of a row."""
        split, part = self.splits.of(task), task.part
        result = end.result if isinstance(end, Moved) else None
        moved = result.evidence.counts.moved if result else None
        has_company = self._associations.ended(_request(task), moved, now)
        if split is None or part is None:  # the run has given up the row
            return
        if result:
            self._rate.spent(moved or 0, now, since=now - result.duration_s)
        if result and has_company and _is_one_too_many(result) and task.refusals < _MOST_REFUSALS:
            self._associations.congested(now)
            split.put_back(part, now + _REFUSED_S * (1 + self._chance()))
        else:
            split.ended(part, end, now)
        if not split.is_over:
            self._associations.rest(now)

    def _next_part(self, now: float, *, further: bool) -> Task | None:
        """Return the next request of a row that has begun: its verdict, or a part if the rate allows it."""
        if not self.splits or not self._has_slot(now):
            return None
        part = self.splits.next_verdict()
        if part is None and self._rate.ready_at(now) <= now:
            part = self.splits.next_part(now, further=further)
        return self._begin(part, now) if part else None

    def _held(self, decision: Hold | End, now: float) -> Hold | End:
        """Return a wait, corrected for rows between two of their parts."""
        hold = decision if isinstance(decision, Hold) else Hold()
        later = (*self.splits.wakes_at(), self._rate.ready_at(now), self._associations.rest_ends or now)
        times = [at for at in later if at > now]
        return replace(hold, until=min(times if hold.until is None else [hold.until, *times], default=None))

    def _next_row(self, now: float, local_time: datetime, *, has_room: bool, paused: bool) -> Decision:
        sleep = self._sleep(now, local_time, paused=paused)
        (self.outages.sleep if sleep else self.outages.wake)(now)
        if not self.has_more or self.exhausted or (not sleep and self.outages.pacs_is_lost(now)):
            return Hold() if self._associations.in_flight else End()
        if sleep:
            self._associations.forget(now)
            return sleep
        obstacle = self._obstacle(now, has_room=has_room)
        if obstacle is None:
            return self._start(now)
        if not isinstance(obstacle, Hold) or obstacle.reason != "rate":
            self._associations.forget(now)
        return obstacle

    def _start(self, now: float) -> Decision:
        if not self._has_slot(now):
            return Hold(until=self._associations.rest_ends)
        if (task := self._take_ready()) is not None:
            return Begin(self._begin(task, now))
        at = self._later[0][0] if self._later else None
        if at is None or self._associations.in_flight:
            return Hold(until=at)
        return Hold("back_off", f"the rows that are left are tried again, the first in {at - now:.0f} s", at)

    def _take_ready(self) -> Task | None:
        """Return the first task that does not wait for another one with the same keys."""
        for place, task in enumerate(self._ready):
            if not task.has_siblings or task.level_and_keys not in self._shared:
                del self._ready[place]
                return task
        return None

    def _has_slot(self, now: float) -> bool:
        return self._associations.has_free(now, has_more=bool(self._ready) or self.splits.has_part)

    def _begin(self, task: Task, now: float) -> Task:
        is_first = task.attempt == 1 and not task.look_first and not task.missing and not task.parts
        self._associations.begun(_request(task), now, counts=is_first)
        if task.has_siblings:
            self._shared.add(task.level_and_keys)
        return task

    def _sleep(self, now: float, local_time: datetime, *, paused: bool) -> Hold | None:
        """Return the wait of a run that the user has paused, or that is outside its hours."""
        if paused:
            return Hold("paused", "paused, until you resume it")
        if self._hours and not self._hours.is_open(local_time):
            opens = self._hours.opens_at(local_time)
            until = now + min(_LOOK_S, max(0.0, (opens - local_time) / timedelta(seconds=1)))
            return Hold("hours", f"outside the hours {self._hours}: goes on at {opens:%a %H:%M}", until)
        return None

    def _obstacle(self, now: float, *, has_room: bool) -> Hold | Probe | None:
        if obstacle := self.outages.obstacle(now, has_room=has_room, is_alone=not self._associations.in_flight):
            return obstacle
        ready = self._rate.ready_at(now)
        if ready > now:
            return Hold("rate", f"{self._options.max_instances_per_second:g} instances per second at the most", ready)
        return None

    def brought(self, task: Task, instances: int, now: float) -> None:
        """Take note of the number of instances that a task in flight has brought so far."""
        self._associations.progressed(_request(task), instances, now)

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
        brought: int = 0,
        was_there: bool = False,
    ) -> float | None:
        """Take note of the end of an attempt; return the seconds until the next one, or ``None`` if there is none.

        Parameters
        ----------
        again
            The task of the next attempt.
        row
            The result of the attempt.
        now
            The time.
        outcome
            The outcome of the row after all attempts, if it differs from that of this one.
        permanent
            Whether the PACS said that it will always answer in this way.
        silence_s
            The longest silence between two responses.
        unverified
            Whether another C-FIND may change the result.
        no_receiver
            Whether nothing was sent, because the receiver was away.
        at_once
            Whether the task is tried again at once, in another way; this does not count as an attempt.
        brought
            The number of its instances that the rate has not counted yet.
        was_there
            Whether nothing was sent, because all of the row was there already.
        """
        # A row whose last part has ended is no longer in flight.
        has_company = self._associations.ended(_request(again), row.instances, now)
        self._shared.discard(again.level_and_keys)
        one_too_many = row.error == "association_rejected" and has_company
        if not was_there:
            self._associations.rest(now)
        if no_receiver:
            pause_s = self.outages.without_receiver(again, now)
        else:
            self._learn(again, row, now, silence_s, one_too_many=one_too_many)
            self._rate.spent(brought, now, since=now - (row.duration_s or 0.0))
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
            self._failures.count(outcome or row.outcome, len(again.positions))
        return pause_s

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
        """Return the tasks that have not begun, or were waiting for another attempt."""
        # The numbers differ: no tasks are compared.
        return [*self._ready, *(task for _, _, task in sorted(self._later))]

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
    """Return the key of a request in flight: another row may have the same identifier as a part of this one."""
    return (task.identifier, task.part.identifier) if task.part else task.identifier


def _is_one_too_many(result: MoveResult) -> bool:
    """Whether the PACS rejected the association for now, because it has too many."""
    return result.error == "association_rejected" and not result.evidence.sent and not result.evidence.permanent
