"""The run itself, in the caller's thread: it begins what the schedule says, and takes in what is reported."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from dicomove.asking import Asking
from dicomove.cohort import Identifier
from dicomove.dimse import MoveScu
from dicomove.dimse.scu import CANCEL_GRACE_S
from dicomove.errors import AssociationError, ReceiverError, StatusError
from dicomove.events import Continuing, RunEnded, RunStarted, Waiting
from dicomove.notebook import Display
from dicomove.receiver import Receiver
from dicomove.results import Row, never_reached
from dicomove.run.book import Book
from dicomove.run.ledger import Ledger, Pending, Recorded
from dicomove.run.resuming import key_of
from dicomove.run.schedule import Done, Hold, Probe, Schedule, Start
from dicomove.run.tasks import Depth, Finished, Moving, Order, Pool, Probed, Report, Task, Tell

#: How long the caller's thread waits for a report before it looks up, so that an interrupt is noticed on every system.
_LOOK_UP_S: Final = 0.2
#: After a stop: the grace that a PACS has for C-CANCEL, and the time that our own farewell takes.
LONGEST_STOP_S: Final = CANCEL_GRACE_S + 7
_LONGEST_FLUSH_S: Final = 30.0
_GONE: Final = (
    "The PACS had stopped answering, and did not answer again within outage_timeout: nothing was sent. Run it again."
)


class Run:
    """One run over tasks.

    Parameters
    ----------
    order, schedule, book
        What is moved, when, and what has become of it.
    make_pool
        Makes the movers, given the function that gets their reports.
    make_ledger
        Likewise makes who writes down; ``None`` where there is no journal.
    show
        Gets the events.
    stops
        Returns how often the caller wished to stop: at the first time C-CANCEL is sent, after the second nobody waits.
    """

    def __init__(
        self,
        order: Order,
        schedule: Schedule,
        book: Book,
        make_pool: Callable[[Tell], Pool],
        make_ledger: Callable[[Callable[[Recorded], None]], Ledger] | None,
        show: Display,
        stops: Callable[[], int],
    ) -> None:
        self._order, self._schedule, self._book, self._show, self._stops = order, schedule, book, show, stops
        self._reports: queue.SimpleQueue[Report | Recorded] = queue.SimpleQueue()
        self._pool = make_pool(self._reports.put)
        self._ledger = make_ledger(self._reports.put) if make_ledger else None
        self._waiting: Hold | None = None
        self._depth: Depth = "instances"
        self._asking = Asking()
        self._busy = [0] * len(order.receivers)
        self._stopping = False
        self._given_up: set[Identifier] = set()
        self.interrupted = False
        self.problem: str | None = None

    def go(self, rows: int, requests: int, settled: Sequence[int]) -> None:
        """Do all tasks, or as many as there are before a stop; show first the rows that are settled already."""
        try:
            self._show(RunStarted(verb="move", rows=rows, requests=requests))
            self._book.show_settled(settled)
            self.interrupted = not self._loop()
        except KeyboardInterrupt:  # of a display, or of somebody else's handler
            self.interrupted = True
        with suppress(KeyboardInterrupt):  # the second one: the PACS is not waited for
            if self.interrupted:
                self._stop()
        self._leave()
        with suppress(KeyboardInterrupt):
            self._pool.close(lambda: self._stops() < 2)
        self.problem = self._finish()
        with suppress(KeyboardInterrupt):  # too late to stop anything
            self._show(RunEnded(verb="move", interrupted=self.interrupted))

    def _loop(self) -> bool:
        """Begin and take in; return whether it came to its end."""
        begun: list[Task] = []
        while not self._stops():
            decision = self._schedule.next(time.monotonic(), datetime.now(UTC), free=self._has_room())
            match decision:
                case Start(task):
                    begun.append(self._begin(task))
                    continue
                case Probe():
                    threading.Thread(target=self._probe, name="dicomove-probe", daemon=True).start()
                case Done():
                    return True
                case Hold():
                    # Shown when all that may begin has begun: no display keeps an association waiting.
                    for task in begun:
                        self._book.show_begun(task)
                    begun.clear()
                    self._wait(decision if decision.reason else None)
                    self._take_some(decision.until)
        return False

    def _begin(self, task: Task) -> Task:
        if self._order.receivers:
            number = min(range(len(self._busy)), key=self._busy.__getitem__)
            self._busy[number] += 1
            task = replace(task, receiver=number)
        task = replace(task, depth=self._depth, allowed=self._asking.allowed(time.monotonic()))
        self._book.begin(task)
        self._pool.give(task)
        return task

    def _probe(self) -> None:
        try:
            with MoveScu(self._order.pacs) as scu:
                scu.echo()
        except (AssociationError, StatusError):
            self._reports.put(Probed(worked=False))
        else:
            self._reports.put(Probed(worked=True))

    def _has_room(self) -> bool:
        if not self._schedule.suspects_disk:
            return True
        return all(receiver.has_room() for receiver in self._order.receivers)

    def _wait(self, hold: Hold | None) -> None:
        """Show what the run waits for, if that is news."""
        if hold is None:
            if self._waiting:
                self._show(Continuing())
        elif self._waiting is None or self._waiting.reason != hold.reason:
            seconds = None if hold.until is None else max(0.0, hold.until - time.monotonic())
            until = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
            self._show(Waiting(reason=hold.reason, message=hold.message, until=until))
        self._waiting = hold

    def _take_some(self, until: float | None) -> None:
        """Take in the next report, and all that have come by then."""
        seconds = _LOOK_UP_S if until is None else min(_LOOK_UP_S, max(0.0, until - time.monotonic()))
        self._book.arriving(self._order)
        try:
            self._take(self._reports.get(timeout=seconds or None, block=bool(seconds)))
        except queue.Empty:
            self._show.tick()
            return
        with suppress(queue.Empty):
            while True:
                self._take(self._reports.get_nowait())

    def _take(self, report: Report | Recorded) -> None:
        match report:
            case Moving():
                self._book.moving(report)
            case Finished():
                self._finished(report)
            case Recorded(pending, row):
                self._recorded(pending, row)
            case Probed(worked=worked):
                self._schedule.probed(time.monotonic(), worked=worked)

    def _finished(self, finished: Finished) -> None:
        # First all that is known, since an interrupt may come with each event that is shown.
        task = finished.task
        row = self._book.landed(finished)
        if task.receiver is not None:
            self._busy[task.receiver] -= 1
        self._depth = finished.depth or self._depth
        self._asking.learn(finished.told, time.monotonic())
        evidence = finished.reconciled.result.evidence if finished.reconciled else None
        wait_s = self._schedule.finished(
            _again(finished),
            _as_it_may_pass(finished, row),
            time.monotonic(),
            hopeless=evidence is not None and evidence.hopeless,
            silence_s=finished.silence_s,
            unverified=finished.reconciled is not None and finished.reconciled.may_be_verified,
        )
        is_final = wait_s is None or self._stopping
        # What was given up has been shown and written down as in doubt: that it was never sent is news.
        if row.outcome == "not_attempted" and not row.error and task.identifier not in self._given_up:
            return
        self._write_down(Pending(task, key_of(self._order, task.identifier), row, finished.attempts, is_final))
        if not is_final and wait_s is not None:
            self._book.will_retry(task, row, wait_s)

    def _write_down(self, pending: Pending) -> None:
        if self._ledger is None:
            self._recorded(pending, pending.row)
            return
        self._ledger.put(pending)

    def _recorded(self, pending: Pending, row: Row) -> None:
        if pending.is_final:
            self._book.ended(pending.task)
            if row is not pending.row:
                self._book.settle(pending.task, row)
            self._book.show_settled(pending.task.positions)

    def _stop(self) -> None:
        """Cancel what is in flight, begin no more, and take in what still happens, for a few seconds at the most."""
        self._stopping = True
        self._pool.stop()
        end = time.monotonic() + LONGEST_STOP_S
        while self._schedule.in_flight and self._stops() < 2 and time.monotonic() < end:
            self._take_some(None)
        # What has been reported by now needs no waiting: a task that was begun is never taken for one that was not.
        with suppress(queue.Empty):
            while True:
                self._take(self._reports.get_nowait())

    def _leave(self) -> None:
        """Give those that nobody waits for, and those whose turn did not come, their result."""
        for task in self._book.give_up():
            self._given_up.add(task.identifier)
            self._write_down(Pending(task, key_of(self._order, task.identifier), self._book.rows[task.positions[0]]))
        if self.interrupted or not self._schedule.pacs_is_lost(time.monotonic()):
            return
        for task in self._schedule.left():
            row = never_reached(self._book.rows[task.positions[0]], self._schedule.down, _GONE)
            self._book.settle(task, row)
            self._write_down(Pending(task, key_of(self._order, task.identifier), row))

    def _finish(self) -> str | None:
        """Make all durable, and look again at what may have come late; return what prevents it, if anything does."""
        problem = self._flush()
        for receiver in self._order.receivers:
            lost = _flushed(receiver)
            if lost:
                self._book.not_durable(lost)
        with suppress(ReceiverError):
            for task, row in self._book.look_again(self._order):
                if self._ledger:
                    self._ledger.put(Pending(task, key_of(self._order, task.identifier), row))
        problem = self._flush() or problem
        for number, receiver in enumerate(self._order.receivers):
            receiver.end_run(self._order.runs[number], self._book.discrepancies(number))
        if self._ledger:
            self._ledger.close()
        return problem

    def _flush(self) -> str | None:
        problem = self._ledger.flush(_LONGEST_FLUSH_S) if self._ledger else None
        with suppress(queue.Empty, KeyboardInterrupt):
            while True:
                self._take(self._reports.get_nowait())
        return problem


def _as_it_may_pass(finished: Finished, row: Row) -> Row:
    """Return a row as the schedule sees it: what failed while the receiver was away is no fault of the PACS."""
    settled = finished.reconciled.settled if finished.reconciled else None
    if settled and settled.restarted and row.outcome != "complete":
        return replace(row, error="receiver_failed")
    return row


def _again(finished: Finished) -> Task:
    """Return the task as it would be tried again: for what is missing, where that is known."""
    reconciled = finished.reconciled
    held = reconciled.settled.held if reconciled and reconciled.settled else None
    missing = reconciled.missing if reconciled and held else None
    return replace(
        finished.task,
        missing=missing or finished.task.missing,
        unverified=reconciled if reconciled and reconciled.may_be_verified else None,
        # Something came, and the PACS could not say any more what else there is.
        look_first=bool(held) and not missing,
        expected=_expected(finished),
    )


def _expected(finished: Finished) -> int | None:
    known = finished.reconciled.result.evidence.expected if finished.reconciled else None
    return known if known is not None else finished.task.expected


def _flushed(receiver: Receiver) -> str | None:
    """Return what prevents that all is durable, if anything does."""
    try:
        receiver.flush()
    except ReceiverError as error:
        return str(error)
    return None
