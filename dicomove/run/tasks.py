"""The values of a run: its order, its tasks, and what is reported of them. All of them can be pickled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, get_args

from dicomove.asking import Question, Told
from dicomove.cohort import Identifier
from dicomove.dimse import MoveResult
from dicomove.events import SubOperationEvent
from dicomove.pacs import Pacs
from dicomove.receiver import LocalRow, OtherPatient, Receiver, RowAtReceiver, Settled
from dicomove.results import Row
from dicomove.run.inventory import Listed, Verify
from dicomove.run.reconciliation import Reconciled

#: How far down a PACS can be asked, from the finest: lists of instances, one instance, a series, all of the row.
Depth = Literal["instances", "instance", "series", "whole"]


@dataclass(frozen=True, slots=True)
class Task:
    """What one or more rows ask for.

    Attributes
    ----------
    identifier
        What is moved.
    positions
        The rows that ask for it, from 0.
    expected
        The number of instances, where the table knows it.
    attempt
        From 1.
    refusals
        Associations that were refused because too many of ours were open already.
    missing
        What is asked for, where an earlier attempt brought the rest.
    look_first
        Whether an earlier run may have brought some of it.
    depth
        How far down this PACS can be asked, as far as is known.
    allowed
        What it may be asked with C-FIND: one that has left several without an answer is spared for a while.
    unverified
        What an earlier attempt brought, where C-FIND was not answered: only that is tried again, and nothing is moved.
    receiver
        Which of the order's receivers gets it.
    patients
        The PatientIDs that the rows name beside the identifier: what comes is held against them. They are never sent.
    """

    identifier: Identifier
    positions: tuple[int, ...]
    expected: int | None = None
    attempt: int = 1
    refusals: int = 0
    missing: Listed | None = field(default=None, compare=False)
    look_first: bool = False
    depth: Depth = "instances"
    allowed: frozenset[Question] = frozenset(get_args(Question))
    unverified: Reconciled | None = field(default=None, compare=False)
    receiver: int | None = None
    patients: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Order:
    """What holds for all rows of a run.

    Attributes
    ----------
    pacs
        The PACS.
    destinations
        AE titles: one, or that of each receiver.
    receivers
        Where the destinations are receivers.
    runs
        The number of this run at each receiver.
    total_timeout, verify
        As in `move`.
    """

    pacs: Pacs
    destinations: tuple[str, ...]
    receivers: tuple[Receiver, ...] = ()
    runs: tuple[int, ...] = ()
    total_timeout: float | None = None
    verify: Verify = "auto"

    def destination(self, task: Task) -> str:
        """Return the AE title that gets what a task moves."""
        return self.destinations[task.receiver or 0]

    def row(self, task: Task, receiver: int) -> LocalRow:
        """Return the row of a task at one of the receivers."""
        return self.receivers[receiver].row(
            self.runs[receiver], task.positions[0], dict(task.identifier.keys), self.pacs.host, task.patients
        )

    def remote(self) -> Order:
        """Return what a worker elsewhere needs of it."""
        return replace(self, receivers=(), runs=())


@dataclass(frozen=True, slots=True)
class Attempted:
    """One C-MOVE: what was asked for, and its result."""

    identifier: Identifier
    result: MoveResult


@dataclass(frozen=True, slots=True)
class Moving:
    """A task had a pending response."""

    task: Task
    event: SubOperationEvent


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt of a task has ended.

    Attributes
    ----------
    task
        The task.
    attempts
        The C-MOVEs that were sent.
    reconciled
        What they brought; ``None`` where `row` or `problem` says it, or a defect prevented it.
    row, settled
        The result of a row that needed no C-MOVE, and what the receiver has of it.
    problem, error
        What prevented an answer beside the PACS, and its word.
    sent
        Whether a C-MOVE may have been sent, where `problem` prevented an answer.
    depth
        How far down the PACS could be asked, where that was learnt.
    silence_s
        The longest silence between two responses, where there were pending ones.
    told
        What became of its C-FINDs.
    """

    task: Task
    attempts: tuple[Attempted, ...] = ()
    reconciled: Reconciled | None = None
    row: Row | None = None
    problem: str | None = None
    error: str = "internal_error"
    sent: bool = True
    depth: Depth | None = None
    silence_s: float | None = None
    settled: Settled | None = None
    told: tuple[Told, ...] = ()

    @property
    def others(self) -> tuple[OtherPatient, ...]:
        """The instances that have another PatientID than the row."""
        if self.reconciled:
            return self.reconciled.others
        return self.settled.others if self.settled else ()


@dataclass(frozen=True, slots=True)
class Probed:
    """A PACS that was down was asked whether it is up again."""

    worked: bool


Report = Moving | Finished | Probed


class Line(Protocol):
    """How a mover speaks with its run, wherever it is."""

    @property
    def stop(self) -> threading.Event:
        """Set when all has to end."""

    def sending(self, task: Task) -> None:
        """Tell that a C-MOVE is about to be sent."""

    def moving(self, task: Task, event: SubOperationEvent) -> None:
        """Tell of a pending response."""

    def row(self, task: Task) -> AbstractContextManager[RowAtReceiver | None]:
        """Open a row at its receiver, if there is one."""


class Pool(Protocol):
    """Movers, wherever they are. What they report is handed to the function that they were made with."""

    def give(self, task: Task) -> None:
        """Let one of them move a task; no more than the limit of associations are given at a time."""

    def stop(self) -> None:
        """Cancel what is in flight."""

    def close(self, wanted: Callable[[], bool]) -> None:
        """Let go of what they have; it waits for that a moment at the most, and only while that is wanted."""


Tell = Callable[[Report], None]
