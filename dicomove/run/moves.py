"""The C-MOVEs of one attempt: of the whole row, or of what is missing of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from dicomove.cohort import Identifier
from dicomove.dimse import MoveResult, MoveScu
from dicomove.events import SubOperationEvent
from dicomove.receiver import GetScu, LocalRow, RowAtReceiver
from dicomove.run.attempt import Depth, Lost, NoReceiver
from dicomove.run.narrowing import asks, coarser, combined, is_refused
from dicomove.run.questions import Listed
from dicomove.run.requests import RunSettings, Task


class RunChannel(Protocol):
    """How a worker speaks with its run, wherever it is."""

    @property
    def stop(self) -> threading.Event:
        """Set when all has to end."""

    def sending(self, task: Task) -> None:
        """Tell that a C-MOVE is about to be sent."""

    def moving(self, task: Task, event: SubOperationEvent) -> None:
        """Tell of a pending response."""

    def row(self, task: Task) -> AbstractContextManager[RowAtReceiver | None]:
        """Open a row at its receiver, if there is one."""


class AttemptMoves:
    """The C-MOVEs, or C-GETs, of one attempt while it lasts.

    Parameters
    ----------
    scu, get_scu
        Send them.
    settings
        What holds for all rows.
    task
        What is moved.
    channel
        To the run.
    at_receiver
        The row at the receiver, if there is one.

    Attributes
    ----------
    moves
        The results so far.
    answered
        Those that say what became of the row, and not only what the PACS cannot do.
    is_narrowed
        Whether only what is missing was asked for.
    learnt
        How far down the PACS can be asked, where that was learnt.
    silence_s
        The longest silence between two responses, where there were pending ones.
    """

    def __init__(
        self,
        scu: MoveScu,
        get_scu: GetScu,
        settings: RunSettings,
        task: Task,
        channel: RunChannel,
        at_receiver: RowAtReceiver | None,
    ) -> None:
        self._scu, self._get_scu, self._at_receiver = scu, get_scu, at_receiver
        self._settings, self._task, self._channel = settings, task, channel
        self._last_activity = at_receiver.last_activity if at_receiver else None
        # Where nothing else tells what came, a result reads at once as it will when the row is reconciled.
        is_counted = at_receiver is not None or settings.archive is not None or task.identifier.level == "IMAGE"
        self._expected = None if is_counted else task.expected
        self._sending = False
        self.moves: list[MoveResult] = []
        self.answered: list[MoveResult] = []
        self.is_narrowed = False
        self.learnt: Depth | None = None
        self.silence_s: float | None = None
        self._heard = time.monotonic()

    def narrowed(self, missing: Listed, *, was_refused: bool = False) -> None:
        """Ask for what is missing, as far down as this PACS can be asked; it may have refused the first way already."""
        self.is_narrowed = True
        depth: Depth | None = self._task.depth
        refused: list[Identifier] = []
        if was_refused:
            reached, refused = asks(self._task.identifier, missing, self._task.depth)
            depth = coarser(reached)
        while depth:
            reached, asked = asks(self._task.identifier, missing, depth)
            # One instance is asked for in the same way with a list and without.
            if asked != refused:
                if not self._ask_all(asked):
                    self.learnt = reached if refused else None
                    return
                refused = asked
            depth = coarser(reached)

    def _ask_all(self, asked: Sequence[Identifier]) -> bool:
        """Send these C-MOVEs, until one is not answered; return whether the PACS cannot be asked like that."""
        self.answered.clear()
        for number, identifier in enumerate(asked):
            result = self.ask(identifier)
            if result.status is None:
                return False
            if number == 0 and is_refused(result):
                return True
        return False

    def ask(self, identifier: Identifier) -> MoveResult:
        """Send one C-MOVE or C-GET."""
        self._channel.sending(self._task)
        self._sending = True
        self._heard = time.monotonic()
        result = self._got(identifier) if self._task.method == "get" else self._moved(identifier)
        self.moves += [*result.earlier, result]
        self.answered.append(result)
        return result

    def _moved(self, identifier: Identifier) -> MoveResult:
        return self._scu.move_study(
            identifier,
            self._settings.destination(self._task),
            on_sub_operation=self._moving,
            total_timeout=self._settings.total_timeout,
            stop=self._channel.stop,
            last_activity=self._last_activity,
            shares_activity=self._task.part is not None,
            expected=self._expected if identifier is self._task.identifier else None,
        )

    def _got(self, identifier: Identifier) -> MoveResult:
        if not isinstance(self._at_receiver, LocalRow):
            raise TypeError  # a run with C-GET has a receiver here
        return self._get_scu.get(
            identifier,
            self._at_receiver,
            sop_classes=self._task.sop_classes,
            on_sub_operation=self._moving,
            total_timeout=self._settings.total_timeout,
            stop=self._channel.stop,
        )

    def without_receiver(self, problem: str) -> NoReceiver | Lost:
        """Return the end of this attempt, where the receiver was gone before it."""
        if not self._sending or (self.moves and not any(move.evidence.sent for move in self.moves)):
            return NoReceiver(problem)
        result = combined(self.answered) if self.answered else None
        return Lost(problem, "receiver_failed", result=result, moves=tuple(self.moves))

    def _moving(self, event: SubOperationEvent) -> None:
        now = time.monotonic()
        self.silence_s = max(self.silence_s or 0.0, now - self._heard)
        self._heard = now
        self._channel.moving(self._task, event)
