"""The state of a run: events in, instructions out. Only events change it. Pure: no I/O, no clock, no thread.

`RunState.handle` makes all decisions of a run: what is moved when, to which receiver, with requests of which depth,
whether a row is tried again, when a result is final, and when the run ends. `dicomove.run.run` executes the
instructions. The contract is that of ``worker_state_machine.py`` in Dask's distributed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Literal

from dicomove import events
from dicomove.cohort import Identifier
from dicomove.interpreter import changed
from dicomove.results import Row, never_reached
from dicomove.run.attempt.ends import (
    AttemptEnd,
    Contradicted,
    Depth,
    Lost,
    Moved,
    NoReceiver,
    OnDisk,
    SeriesListed,
    Unidentified,
    as_it_may_pass,
    number_brought,
    number_sent_by,
    row_after,
)
from dicomove.run.attempt.narrowing import MethodChoice
from dicomove.run.attempt.questions import ALL, Asking
from dicomove.run.messages import (
    Arrived,
    AttemptEnded,
    Begin,
    Cancel,
    End,
    Flushed,
    HeldAtEnd,
    Instruction,
    Look,
    LookAgain,
    Moving,
    Probe,
    Probed,
    RunEvent,
    Show,
    StopWished,
    Wait,
    WaitedEnough,
    Write,
    Written,
)
from dicomove.run.options import Method
from dicomove.run.outages import Hold
from dicomove.run.receivers import Receivers
from dicomove.run.requests import Task, records
from dicomove.run.rows import RowResults
from dicomove.run.schedule import Decision, Schedule
from dicomove.store import AttemptRecord

_GONE: Final = (
    "The PACS had stopped answering, and did not answer again within outage_timeout: nothing was sent. Run it again."
)
_REJECTS: Final = (
    "The PACS had rejected our associations, and accepted none within outage_timeout: nothing was sent. Run it again."
)


class RunState:
    """The state of a run, and its decisions.

    Parameters
    ----------
    results
        The results of the rows.
    schedule
        The tasks that are left.
    receivers
        The number of receivers; 0 for another destination.
    method
        The method of its rows, or ``"auto"``.

    Attributes
    ----------
    methods
        The latest method of each identifier for which something was sent; empty for a run with C-MOVE only.
    """

    def __init__(self, results: RowResults, schedule: Schedule, receivers: int, method: Method) -> None:
        self.results, self.schedule = results, schedule
        self.stopping = False
        self.methods: dict[Identifier, Literal["move", "get"]] = {}
        #: Whether the PACS lists the series of a study, and accepts C-MOVEs for series.
        self._may_split = True
        self._method = MethodChoice(method)
        self._is_of_interest = method != "move"
        self._waiting: Hold | None = None
        self._depth: Depth = "instances"
        self._asking = Asking()
        self._receivers = Receivers(receivers)

    def handle(self, event: RunEvent, now: float) -> list[Instruction]:
        """Take an event; return the instructions that follow from it.

        Parameters
        ----------
        event
            The event.
        now
            The time, in seconds of the monotonic clock.
        """
        match event:
            case Look():
                return self._next(event, now)
            case Moving():
                return self._moving(event, now)
            case Arrived():
                self.schedule.brought(event.task, event.instances, now)
                return _shown(self.results.arrived(event.task, event.instances, event.bytes))
            case AttemptEnded():
                return self._took_place(event, now)
            case Written():
                return self._written(event)
            case Probed():
                self.schedule.outages.probed(now, worked=event.worked)
                return []
            case _:
                return self._at_end(event, now)

    def _at_end(self, event: StopWished | WaitedEnough | Flushed | HeldAtEnd, now: float) -> list[Instruction]:
        match event:
            case StopWished():
                self.stopping = True
                self.schedule.splits.stop()
                return [Cancel(), *self._over(now)]
            case WaitedEnough():
                self.schedule.splits.give_up()
                given_up = self.results.give_up(event.sent)
                return [
                    *(self._write(task, self.results.of(task), event.sent.get(task.first, 0)) for task in given_up),
                    *self._left(now),
                ]
            case Flushed():
                return self._flushed(event)
            case HeldAtEnd():
                row = self.results.held_at_end(event.task, event.held, event.others)
                return [self._write(event.task, row)] if row else []

    def _next(self, look: Look, now: float) -> list[Instruction]:
        """Begin all tasks that may begin. Events for displays come last, so that no display delays an association."""
        begun: list[Instruction] = []
        shown: list[Instruction] = []
        while True:
            match decision := self._decide(look, now):
                case Begin(task):
                    task = self._prepared(task, now)
                    begun.append(Begin(task))
                    if not task.part and not task.parts:
                        shown += _shown(self.results.begin(task))
                    if self._waiting is None and self.schedule.is_full(now):  # mostly
                        return [*begun, *shown, Wait(self.schedule.associations_of_use(""))]
                case Probe():
                    begun.append(decision)
                case Hold():
                    wait = Wait(self.schedule.associations_of_use(decision.reason), decision.until)
                    return [*begun, *shown, *self._waits(decision, look.local_time, now), wait]
                case End():
                    return [*begun, *shown, decision]

    def _decide(self, look: Look, now: float) -> Decision:
        if self.stopping:
            return self.schedule.next_verdict(now)
        return self.schedule.next(now, look.local_time, has_room=look.has_room, paused=look.paused)

    def _prepared(self, task: Task, now: float) -> Task:
        """Return a task that begins, updated with what the run has learnt."""
        begun = task.part or task.parts
        task = self._receivers.begin(task, now)
        task = task if begun else self.results.with_brought(task)
        allowed = self._asking.allowed(now)
        may_split = self._may_split and allowed == ALL and not begun
        return changed(
            task,
            depth=self._depth,
            allowed=allowed,
            method=self._method.now,
            may_split=may_split and self.schedule.may_split(task),
        )

    def _waits(self, hold: Hold, local_time: datetime, now: float) -> list[Instruction]:
        """Show what the run waits for, if this has changed."""
        before, self._waiting = self._waiting, hold if hold.reason else None
        if not hold.reason:
            return [Show(events.Continuing())] if before else []
        if before and before.reason == hold.reason:
            return []
        until = None if hold.until is None else local_time + timedelta(seconds=max(0.0, hold.until - now))
        return [Show(events.Waiting(reason=hold.reason, message=hold.message, until=until))]

    def _moving(self, moving: Moving, now: float) -> list[Instruction]:
        task, event = moving.task, moving.event
        self.schedule.brought(task, sum(count or 0 for count in (event.completed, event.failed, event.warning)), now)
        split = self.schedule.splits.of(task)
        if split and task.part:
            event = split.moving(task.part, event)
        return [Show(self.results.moving(task, event))]

    def _took_place(self, ended: AttemptEnded, now: float) -> list[Instruction]:
        """Take note of the end of a request: of a whole row, or of one step of a row that is moved series by series."""
        task, end = ended.task, ended.end
        self._asking.learn(ended.asked, now)
        if task.may_split and any(one.lost_s is not None for one in ended.asked):
            self._may_split = False  # C-FIND is unreliable, so no other row waits for it
        self._receivers.ended(task, end, now)
        if isinstance(end, Moved):
            self._depth = end.depth or self._depth
        if isinstance(end, SeriesListed):
            self.schedule.listed(task, end, now)
            return self._over(now)
        if task.part and not isinstance(end, OnDisk | Contradicted | Unidentified):
            self.schedule.part_ended(task, end, now)
            return self._over(now)
        split = self.schedule.splits.of(task)
        if task.parts and split:
            self.schedule.splits.end(split)
            # A refusal of lists of instances is not a refusal of series.
            self._may_split &= task.parts.result is not None or bool(task.missing)
            return self._ended(split.task, task.parts.behind(end), now, was_split=task.parts.result is not None)
        return self._ended(task, end, now)

    def _over(self, now: float) -> list[Instruction]:
        """Give rows their result if their parts have ended and need no verdict."""
        if self.stopping:
            self.schedule.splits.stop()
        return [one for task, end in self.schedule.splits.over() for one in self._ended(task, end, now, was_split=True)]

    def _ended(self, task: Task, end: AttemptEnd, now: float, *, was_split: bool = False) -> list[Instruction]:
        alone = row_after(end)
        row = self.results.end_attempt(task, end, alone)
        moved = end if isinstance(end, Moved) else None
        changes = moved is not None and self._method.repeats(task.method, moved)
        wait_s = self.schedule.ended(
            _again(task, end),
            # An attempt that sent nothing is judged alone: it says nothing about what an earlier one brought.
            as_it_may_pass(end, row if alone.attempts else alone),
            now,
            outcome=row.outcome,
            permanent=moved is not None and moved.result.evidence.permanent,
            silence_s=moved.silence_s if moved else None,
            unverified=moved is not None and moved.may_be_verified,
            no_receiver=isinstance(end, NoReceiver),
            at_once=changes and not self.stopping,
            brought=0 if was_split else number_brought(end),
            was_there=isinstance(end, OnDisk),
        )
        # If the run had given up the task, this is news: it was in doubt.
        if row.outcome == "not_attempted" and not row.error and not self.results.is_given_up(task):
            return []
        is_final = wait_s is None or self.stopping
        write = self._noted(task, self._records(task, row, end, is_final=is_final))
        if is_final or wait_s is None:
            return [write]
        return [write, *_shown(self.results.will_retry(task, row, wait_s))]

    def _records(self, task: Task, row: Row, end: AttemptEnd, *, is_final: bool) -> tuple[AttemptRecord, ...]:
        if self.results.is_given_up(task):  # its C-MOVEs were recorded then
            return records(task, row, is_final=is_final)
        moves = end.moves if isinstance(end, Moved | Lost) else ()
        return records(task, row, moves, sent=number_sent_by(end), is_final=is_final)

    def _write(self, task: Task, row: Row, sent: int = 0) -> Write:
        return self._noted(task, records(task, row, sent=sent))

    def _noted(self, task: Task, records: tuple[AttemptRecord, ...]) -> Write:
        """Return the instruction to write these records, and note their method."""
        sent = [one.method for one in records if one.sent]
        if sent and self._is_of_interest:
            self.methods[task.identifier] = sent[-1]
        return Write(task, records)

    def _written(self, written: Written) -> list[Instruction]:
        task, record = written.write.task, written.write.last
        if not record.final:
            return []
        row = self.results.of(task) if written.row is record.row else written.row
        return _shown(self.results.finish(task, row))

    def _left(self, now: float) -> list[Instruction]:
        """Finish rows that wait for another attempt, and rows whose turn did not come because the PACS was gone."""
        if self.stopping or not self.schedule.outages.pacs_is_lost(now):
            return [self._write(task, self.results.of(task)) for task in self.results.waiting]
        why = _REJECTS if self.schedule.outages.down == "association_rejected" else _GONE
        left = self.schedule.left()
        for task in left:
            self.results.set_row(task, never_reached(self.results.of(task), self.schedule.outages.down, why))
        return [self._write(task, self.results.of(task)) for task in left]

    def _flushed(self, flushed: Flushed) -> list[Instruction]:
        if flushed.problem:
            self.results.not_durable(flushed.problem, but_finished=flushed.has_journal)
        for row in flushed.lost:
            self.results.lose(row.position, row.problem, row.held)
        return [LookAgain(task) for task in self.results.doubtful]


def _shown(found: Iterable[events.Event]) -> list[Instruction]:
    return [Show(event) for event in found]


def _again(task: Task, end: AttemptEnd) -> Task:
    """Return the task of the next attempt, which asks only for missing instances if they are known."""
    if isinstance(end, Lost):
        return replace(task, look_first=task.look_first or (end.sent > 0 and task.receiver is not None))
    if not isinstance(end, Moved):
        return task
    held = end.received.held if end.received else None
    missing = end.missing if held else None
    expected = end.result.evidence.expected
    return changed(
        task,
        missing=missing or task.missing,
        unverified=end if end.may_be_verified else None,
        # Instances came, but the PACS could not list the others afterwards.
        look_first=bool(held) and not missing,
        expected=task.expected if expected is None else expected,
        earlier=None,
    )
