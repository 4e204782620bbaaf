"""One task: the C-MOVEs, and the reconciliation of what came. The same code in a thread and in a worker elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from dicomove.cohort import Identifier
from dicomove.dimse import MoveResult, MoveScu
from dicomove.errors import ReceiverError
from dicomove.events import SubOperationEvent
from dicomove.outcome import sentences
from dicomove.receiver import RowAtReceiver
from dicomove.results import on_disk_already
from dicomove.run.inventory import Inventory, Listed
from dicomove.run.narrowing import asks, coarser, combined, is_refused
from dicomove.run.reconciliation import Reconciled, reconcile, remarks_on, verify_again
from dicomove.run.tasks import Attempted, Depth, Finished, Line, Order, Task

logger = logging.getLogger("dicomove")


class Mover:
    """Moves tasks over an association of its own.

    Parameters
    ----------
    order
        What holds for all rows.
    line
        To the run.
    """

    def __init__(self, order: Order, line: Line) -> None:
        self._order, self._line = order, line
        self._scu = MoveScu(order.pacs)
        self._inventory = Inventory(self._scu.find_scu(), order.verify, line.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.rest()

    def rest(self) -> None:
        """Release the association; the next task opens a new one."""
        self._scu.close()

    def move(self, task: Task) -> Finished:
        """Do one attempt of a task."""
        try:
            with self._line.row(task) as at_receiver:
                return self._move(task, at_receiver)
        except ReceiverError as error:
            return Finished(task, problem=str(error), error="receiver_failed")
        except Exception:
            # One row's defect is one row's: the others are moved all the same.
            logger.exception("a defect in dicomove; the run goes on")
            return Finished(task)

    def _move(self, task: Task, at_receiver: RowAtReceiver | None) -> Finished:
        self._inventory.begin(task.allowed)
        if task.unverified:
            verified = verify_again(task.unverified, task.identifier, task.expected, self._inventory, at_receiver)
            return Finished(task, reconciled=verified, told=tuple(self._inventory.told))
        missing = task.missing
        if at_receiver and task.look_first:
            looked = self._look(task, at_receiver)
            if isinstance(looked, Finished):
                return looked
            missing = looked
        attempt = _Attempt(self._scu, self._order, task, self._line, at_receiver)
        if missing:
            attempt.narrowed(missing)
        else:
            attempt.ask(task.identifier)
        return self._finished(task, attempt, at_receiver)

    def _finished(self, task: Task, attempt: _Attempt, at_receiver: RowAtReceiver | None) -> Finished:
        result = combined(attempt.answered)
        if result.outcome == "not_attempted":
            return Finished(task, reconciled=Reconciled(result))
        reconciled = reconcile(
            result,
            task.identifier,
            task.expected,
            self._inventory,
            at_receiver,
            narrowed=attempt.is_narrowed,
            patients=len(task.patients),
        )
        return Finished(
            task,
            tuple(attempt.attempts),
            reconciled,
            depth=attempt.learnt,
            silence_s=attempt.silence_s,
            told=tuple(self._inventory.told),
        )

    def _look(self, task: Task, at_receiver: RowAtReceiver) -> Finished | Listed | None:
        """Return the end of a row that is on disk, or else what is missing of it; ``None`` where all of it is."""
        held = at_receiver.held(read=self._order.verify == "hash")
        if not held:
            return None
        at = datetime.now(UTC)
        listed = self._inventory.listed(task.identifier)
        if not listed:
            return None
        missing = {uid: series for uid, series in listed.items() if uid not in held}
        if missing:
            return missing if len(missing) < len(listed) else None
        settled = at_receiver.settle(0, 0)
        row = on_disk_already(expected=len(listed), held=held, at=at)
        advice = sentences(row.advice or "", *remarks_on(settled, len(task.patients)))
        return Finished(task, row=replace(row, advice=advice), settled=settled)


class _Attempt:
    """The C-MOVEs of one attempt, while it lasts."""

    def __init__(self, scu: MoveScu, order: Order, task: Task, line: Line, at_receiver: RowAtReceiver | None) -> None:
        self._scu, self._order, self._task, self._line, self._at_receiver = scu, order, task, line, at_receiver
        self.attempts: list[Attempted] = []
        #: The results that say what became of the row, and not only what the PACS cannot do.
        self.answered: list[MoveResult] = []
        self.is_narrowed = False
        self.learnt: Depth | None = None
        self.silence_s: float | None = None
        self._heard = time.monotonic()

    def narrowed(self, missing: Listed) -> None:
        """Ask for what is missing, as far down as this PACS can be asked."""
        self.is_narrowed = True
        depth: Depth | None = self._task.depth
        refused: list[Identifier] = []
        while depth:
            reached, asked = asks(self._task.identifier, missing, depth)
            # Of one instance, a list is no list.
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
        """Send one C-MOVE."""
        self._line.sending(self._task)
        self._heard = time.monotonic()
        result = self._scu.move_study(
            identifier,
            self._order.destination(self._task),
            on_sub_operation=self._moving,
            total_timeout=self._order.total_timeout,
            stop=self._line.stop,
            sign_of_life=self._at_receiver.last_activity if self._at_receiver else None,
        )
        self.attempts += [Attempted(identifier, one) for one in (*result.earlier, result)]
        self.answered.append(result)
        return result

    def _moving(self, event: SubOperationEvent) -> None:
        now = time.monotonic()
        self.silence_s = max(self.silence_s or 0.0, now - self._heard)
        self._heard = now
        self._line.moving(self._task, event)
