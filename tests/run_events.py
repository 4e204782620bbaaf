"""Shared by the tests of a run's state: tasks, ends of attempts, and a driver that hands events to the state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from dicomove import events
from dicomove.cohort import Identifier
from dicomove.dimse import MoveResult
from dicomove.outcome import Counts, Evidence, judge
from dicomove.receiver import ReceivedRow
from dicomove.run.attempt.ends import AttemptEnd, Moved
from dicomove.run.messages import AttemptEnded, Begin, Instruction, Look, RunEvent, Show, Wait, Write, Written
from dicomove.run.options import Options
from dicomove.run.requests import Task
from dicomove.run.rows import RowResults
from dicomove.run.schedule import Schedule
from dicomove.run.state import RunState
from dicomove.store import Key

MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
SUCCESS, BUSY, UNKNOWN_DESTINATION, UNABLE = 0x0000, 0xA702, 0xA801, 0xC001

I = TypeVar("I")  # noqa: E741 (an instruction)


def identifier(number: int) -> Identifier:
    return Identifier("STUDY", "StudyRoot", (("StudyInstanceUID", f"1.2.{number}"),))


def task(number: int, **more: Any) -> Task:
    asked = identifier(number)
    return Task(asked, (number,), Key("PACS@127.0.0.1:104", "HERE", "STUDY", "StudyRoot", asked.keys), **more)


def result(status: int | None = SUCCESS, *, seconds: float = 1.0, **more: Any) -> MoveResult:
    """Return what a C-MOVE did: counts and everything else of the evidence by name."""
    names = {"total", "completed", "failed", "warning", "remaining"}
    counts = Counts(**{name: more.pop(name) for name in names & set(more)}, at_end=more.pop("at_end", True))
    evidence = Evidence(status=status, counts=counts, **more)
    verdict = judge(evidence)
    return MoveResult(
        identifier=identifier(0),
        outcome=verdict.outcome,
        status=None if status is None else f"0x{status:04X}",
        error=verdict.error,
        advice=verdict.advice,
        error_comment=None,
        started_at=MIDNIGHT,
        finished_at=MIDNIGHT + timedelta(seconds=seconds),
        duration_s=seconds,
        evidence=evidence,
    )


def moved(status: int | None = SUCCESS, *, held: int | None = None, **more: Any) -> Moved:
    """Return the end of an attempt with one C-MOVE, at a receiver if `held` says how many instances are on disk."""
    at_end = {name: more.pop(name) for name in ("listed", "depth", "silence_s") if name in more}
    restarted = more.pop("restarted", False)
    received = None
    if held is not None:
        received = ReceivedRow(arrivals=held, held={f"1.{n}": 512 for n in range(1, held + 1)}, restarted=restarted)
        more |= {"received": held}
    done = result(status, **more)
    return Moved(done, received, moves=(done,), **at_end)


REJECTED = moved(None, sent=False, problem="association_rejected")
UNREACHABLE = moved(None, sent=False, problem="connection_failed")
LOST = moved(None, problem="connection_lost")
COMPLETE = moved(completed=10, failed=0, warning=0)


@dataclass
class RunDriver:
    """Hands events to the state of a run, at a time that the test sets."""

    state: RunState
    now: float = 0.0
    has_room: bool = True
    paused: bool = False
    log: list[Instruction] = field(default_factory=list)

    @classmethod
    def of(cls, tasks: int | list[Task], *, receivers: int = 0, **options: Any) -> RunDriver:
        made = [task(number) for number in range(tasks)] if isinstance(tasks, int) else tasks
        labels = [f"row {number}" for number in range(len(made))]
        results = RowResults(labels, [one.identifier for one in made], asks_archive=False)
        chosen = Options(**options)
        return cls(RunState(results, Schedule(made, chosen, lambda: 0.5), receivers, chosen.method))

    def tell(self, event: RunEvent) -> list[Instruction]:
        instructions = self.state.handle(event, self.now)
        self.log += instructions
        return instructions

    def look(self) -> list[Instruction]:
        return self.tell(Look(MIDNIGHT + timedelta(seconds=self.now), has_room=self.has_room, paused=self.paused))

    def begin(self) -> list[Task]:
        """Return the tasks that begin now."""
        return [one.task for one in self.look() if isinstance(one, Begin)]

    def end(self, ended: Task, end: AttemptEnd, after_s: float = 1.0) -> list[Instruction]:
        self.now += after_s
        return self.tell(AttemptEnded(ended, end))

    def write(self, instructions: list[Instruction]) -> list[Instruction]:
        """Report that all of it was written, unchanged."""
        return [
            instruction
            for one in instructions
            if isinstance(one, Write)
            for instruction in self.tell(Written(one, one.last.row))
        ]

    def wait(self) -> events.Waiting | None:
        """Return the event of a wait that begins now, and let its time pass."""
        instructions = self.look()
        assert not [one for one in instructions if isinstance(one, Begin)]
        (wait,) = (one for one in instructions if isinstance(one, Wait))
        if wait.until is not None:
            self.now = max(self.now, wait.until)
        return next(
            (one.event for one in instructions if isinstance(one, Show) and isinstance(one.event, events.Waiting)), None
        )


def only(kind: type[I], instructions: list[Instruction]) -> I:
    """Return the one instruction of a kind."""
    (found,) = (one for one in instructions if isinstance(one, kind))
    return found


def again(before: Task, **changed: Any) -> Task:
    return replace(before, **changed)
