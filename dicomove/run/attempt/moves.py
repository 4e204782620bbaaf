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
from dicomove.run.attempt.ends import Depth, Lost, NoReceiver, number_sent
from dicomove.run.attempt.narrowing import asks, coarser, combined, is_refused
from dicomove.run.attempt.questions import Listed
from dicomove.run.requests import Task
from dicomove.run.settings import RunSettings


class RunChannel(Protocol):
    """The connection of a worker to its run, in a thread or on another machine."""

    @property
    def stop(self) -> threading.Event:
        """Set when the run stops."""

    def sending(self, task: Task) -> None:
        """Report that a C-MOVE is about to be sent."""

    def moving(self, task: Task, event: SubOperationEvent) -> None:
        """Report a pending response."""

    def row(self, task: Task) -> AbstractContextManager[RowAtReceiver | None]:
        """Open a row at its receiver, if there is one."""


class AttemptMoves:
    """The C-MOVEs, or C-GETs, of one attempt while it lasts.

    Parameters
    ----------
    scu, get_scu
        Send the requests.
    settings
        The settings of the run.
    task
        The task.
    channel
        To the run.
    at_receiver
        The row at the receiver, if there is one.

    Attributes
    ----------
    moves
        The results so far.
    answered
        The results that concern the row; a refusal of a list of instances, say, does not.
    missing
        The missing instances, if only these were asked for.
    learnt
        The finest request that the PACS accepts, if this attempt showed it.
    silence_s
        The longest silence between two responses, if there were pending responses.
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
        # Without a receiver or an archive, nothing is counted later: each result is compared with the table at once.
        is_counted = at_receiver is not None or settings.archive is not None or task.identifier.level == "IMAGE"
        self._expected = None if is_counted else task.expected
        #: The number of requests without a result so far.
        self._without_result = 0
        self.moves: list[MoveResult] = []
        self.answered: list[MoveResult] = []
        self.missing: Listed | None = None
        self.learnt: Depth | None = None
        self.silence_s: float | None = None
        self._heard = time.monotonic()

    def narrowed(self, missing: Listed, *, was_refused: bool = False) -> None:
        """Ask for missing instances with the finest requests that the PACS accepts; coarser ones follow a refusal."""
        self.missing = missing
        depth: Depth | None = self._task.depth
        refused: list[Identifier] = []
        if was_refused:
            reached, refused = asks(self._task.identifier, missing, self._task.depth)
            depth = coarser(reached)
        while depth:
            reached, asked = asks(self._task.identifier, missing, depth)
            # A list of one instance and a single instance are the same request.
            if asked != refused:
                if not self._ask_all(asked):
                    self.learnt = reached if refused else None
                    return
                refused = asked
            depth = coarser(reached)

    def _ask_all(self, asked: Sequence[Identifier]) -> bool:
        """Send these C-MOVEs until one has no answer; return whether the PACS refuses this kind of request."""
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
        if not self._channel.stop.is_set():  # after a stop, nothing is sent
            self._announce()
        self._heard = time.monotonic()
        result = self._got(identifier) if self._task.method == "get" else self._moved(identifier)
        self._without_result = 0
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
            on_repeat=self._announce,
        )

    def _announce(self) -> None:
        self._channel.sending(self._task)
        self._without_result += 1

    def _got(self, identifier: Identifier) -> MoveResult:
        if not isinstance(self._at_receiver, LocalRow):
            raise TypeError  # a run with C-GET has a receiver here
        return self._get_scu.get(
            identifier,
            self._at_receiver,
            sop_classes=self._task.sop_classes,
            on_sub_operation=self._moving,
            total_timeout=self._settings.total_timeout,
            expected=self._number(identifier),
            stop=self._channel.stop,
        )

    def _number(self, identifier: Identifier) -> int | None:
        """Return the number of instances of a request; ``None`` if it is unknown."""
        if self._task.part:
            return self._task.part.instances
        return self._task.expected if identifier is self._task.identifier else None

    @property
    def sent(self) -> int:
        """The number of requests that were sent, or may have been."""
        return number_sent(self.moves) + self._without_result

    def without_receiver(self, problem: str) -> NoReceiver | Lost:
        """Return the end of this attempt if the receiver was gone before it."""
        if not self.sent:
            return NoReceiver(problem)
        result = combined(self.answered) if self.answered else None
        return Lost(problem, "receiver_failed", self.sent, result, moves=tuple(self.moves))

    def _moving(self, event: SubOperationEvent) -> None:
        now = time.monotonic()
        self.silence_s = max(self.silence_s or 0.0, now - self._heard)
        self._heard = now
        self._channel.moving(self._task, event)
