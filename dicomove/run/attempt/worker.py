"""One attempt of a task: C-MOVEs, then the reconciliation. It is the same in a thread and on another machine."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Self

from dicomove.dimse import MoveResult, MoveScu, ReusableAssociation
from dicomove.errors import ReceiverError
from dicomove.interpreter import changed
from dicomove.logs import log_exception
from dicomove.outcome import Evidence, Unverified, sentences
from dicomove.pacs import Pacs
from dicomove.receiver import GetScu, ReceivedRow, RowAtReceiver
from dicomove.results import Row, on_disk_already, resumed, still_there
from dicomove.run.attempt.archive_at_destination import (
    ArchiveAtDestination,
    already_there,
    as_believed,
    reconcile_at_archive,
)
from dicomove.run.attempt.ends import (
    AttemptEnd,
    Contradicted,
    Lost,
    Moved,
    NoReceiver,
    OnDisk,
    Parts,
    SeriesListed,
    Unidentified,
)
from dicomove.run.attempt.inventory import Inventory
from dicomove.run.attempt.moves import AttemptMoves, RunChannel
from dicomove.run.attempt.narrowing import combined, side_by_side
from dicomove.run.attempt.patient_check import check_patient
from dicomove.run.attempt.questions import Listed
from dicomove.run.attempt.reconciliation import as_named, is_broken_off, reconcile, remarks_on, verify_again
from dicomove.run.messages import AttemptEnded
from dicomove.run.requests import Task
from dicomove.run.settings import RunSettings
from dicomove.run.split import falls_short, is_large, is_worth_splitting, missing_parts
from dicomove.run.table.patients import compared

#: A tape robot takes minutes where a disk takes seconds.
_TIMES_AS_LONG: Final = 10

logger = logging.getLogger("dicomove")


class MoveWorker:
    """Moves tasks over an association of its own.

    Parameters
    ----------
    settings
        The settings of the run.
    channel
        The connection to the run.
    """

    def __init__(self, settings: RunSettings, channel: RunChannel) -> None:
        self._settings, self._channel = settings, channel
        archive = settings.archive
        self._archive = ArchiveAtDestination(archive, channel.stop) if archive else None
        self._waited_in_vain = False
        self._use(settings.pacs)

    def _use(self, pacs: Pacs) -> None:
        """Make the SCUs for a PACS with these time limits."""
        self._pacs, self._scu = pacs, MoveScu(pacs, association=ReusableAssociation(pacs, is_checked=True))
        self._get_scu = GetScu(pacs, association=self._scu.association)
        self._inventory = Inventory(
            self._scu.find_scu(), self._settings.verify, self._channel.stop, by_list=self._archive is not None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.rest()

    def rest(self) -> None:
        """Release the association; the next task opens a new one."""
        self._scu.close()

    def move(self, task: Task) -> AttemptEnded:
        """Do one attempt of a task."""
        pacs = _with_longer_limit(self._settings.pacs) if task.is_slow else self._settings.pacs
        if pacs is not self._pacs and pacs != self._pacs:
            self._scu.close()
            self._use(pacs)
        self._inventory.begin(task.allowed)
        asked: Task | AttemptEnd
        try:
            asked = self._check_patient(task)
        except Exception as error:  # noqa: BLE001 (as in `_end`)
            asked = _defect(error, None)
        # The task of the next attempt, and the look at the end of the run, need what the PACS said of the patient.
        task, end = (asked, self._end(asked)) if isinstance(asked, Task) else (task, asked)
        return AttemptEnded(task, end, tuple(self._inventory.asked))

    def _end(self, task: Task) -> AttemptEnd | SeriesListed:
        attempt: AttemptMoves | None = None
        try:
            if task.earlier and task.receiver is None and not self._archive:
                return _done(resumed(*task.earlier), task)
            if task.brought and task.receiver is None and not self._archive:
                return _done(task.brought, task)
            if not task.missing and not task.look_first and (listed := self._series(task)):
                return listed
            with self._channel.row(task) as at_receiver:
                attempt = AttemptMoves(self._scu, self._get_scu, self._settings, task, self._channel, at_receiver)
                return self._move(task, attempt, at_receiver)
        except ReceiverError as error:
            return attempt.without_receiver(str(error)) if attempt else NoReceiver(str(error))
        except Exception as error:  # noqa: BLE001 (it is logged)
            return _defect(error, attempt)

    def _check_patient(self, task: Task) -> Task | Contradicted | Unidentified:
        """Ask the PACS for the patient; return the updated task, or the end of an attempt that may not move it."""
        if not task.asks_patient or task.part or task.parts or task.unverified:
            return task
        named, at_receiver = compared(task.patients, task.named), task.receiver is not None
        is_there = task.is_placed or None
        said = check_patient(self._inventory, task.identifier, named, is_there=is_there, at_receiver=at_receiver)
        if said.contrary:
            return Contradicted(said.contrary)
        if said.is_of_unknown_patient:
            return self._of_unknown_patient(task)
        person = next(iter(said.doubtful), None)
        if not said.is_patient_unknown and person is None:
            return changed(task, is_patient_unknown=False, other_person=None)
        return replace(task, is_patient_unknown=said.is_patient_unknown, other_person=person, may_split=False)

    def _of_unknown_patient(self, task: Task) -> Contradicted | Unidentified:
        found = self._inventory.unanswered
        if self._channel.stop.is_set():
            return Unidentified(None)
        if "counts" not in task.allowed:
            return Unidentified("idle_timeout")  # that of the rows before
        return Contradicted(None) if found is None else Unidentified(found.error or "invalid_response", found.status)

    def _series(self, task: Task) -> SeriesListed | None:
        """Return the series of a row that is moved side by side; ``None`` if one C-MOVE moves the row."""
        if not task.may_split:
            return None
        instances = self._inventory.number(task.identifier) if task.expected is None else task.expected
        if instances is None or not is_large(instances):
            return None
        series = self._inventory.series(task.identifier)
        return SeriesListed(series, instances) if series and is_worth_splitting(series, instances) else None

    def _missing(self, task: Task, missing: Listed | None) -> SeriesListed | None:
        """Return the parts of an incomplete row that is moved side by side; ``None`` if it is not."""
        if not task.may_split:
            return None
        if missing is None:
            return self._series(task)
        pays = missing_parts(task.identifier, missing, task.depth)
        return SeriesListed({}, len(missing), missing) if pays else None

    def _move(self, task: Task, attempt: AttemptMoves, at_receiver: RowAtReceiver | None) -> AttemptEnd | SeriesListed:
        if task.part:
            result = attempt.ask(task.part.identifier)
            return Moved(result, moves=tuple(attempt.moves), silence_s=attempt.silence_s)
        if task.parts:
            return self._verdict(task, task.parts, attempt, at_receiver)
        if task.unverified and self._archive:
            believed = as_believed(task.unverified.result)
            return reconcile_at_archive(believed, task.identifier, task.expected, self._inventory, self._archive)
        if task.unverified:
            return verify_again(task.unverified, task.identifier, task.expected, self._inventory, at_receiver)
        missing = _still_missing(task.missing, at_receiver)
        all_came = bool(task.missing) and not missing
        if (task.look_first or all_came) and (at_receiver or self._archive):
            looked = self._look_first(task, at_receiver)
            if isinstance(looked, OnDisk):
                return looked
            missing = looked if task.look_first else looked or task.missing
        if (task.missing or task.look_first) and (listed := self._missing(task, missing)):
            return listed
        if missing:
            attempt.narrowed(missing)
        else:
            attempt.ask(task.identifier)
        return self._moved(task, attempt, at_receiver)

    def _moved(self, task: Task, attempt: AttemptMoves, at_receiver: RowAtReceiver | None) -> Moved:
        result, several = combined(attempt.answered), len(attempt.answered) > 1
        if result.outcome == "not_attempted":
            before = [*(task.parts.moves if task.parts else ()), *attempt.moves]
            if not (sent := [one for one in before if one.evidence.sent]):
                return Moved(result)
            # The PACS refused all of these, and a stop came before the coarser request.
            result, several = combined((side_by_side(task.identifier, sent), result)), True
        moved = self._reconciled(result, task, at_receiver, missing=attempt.missing, several=several)
        return Moved(
            moved.result, moved.received, moved.listed, tuple(attempt.moves), attempt.learnt, attempt.silence_s
        )

    def _reconciled(
        self,
        result: MoveResult,
        task: Task,
        at_receiver: RowAtReceiver | None,
        *,
        missing: Listed | None,
        several: bool,
    ) -> Moved:
        patients = max(len(task.patients), 2 if task.identifier.is_disputed else 0)
        named = as_named(result, patients, task.other_person)
        is_broken = is_broken_off(named.evidence)
        may_come_later = task.method == "move" and not (is_broken and self._waited_in_vain)
        if self._archive:
            moved = reconcile_at_archive(
                named, task.identifier, task.expected, self._inventory, self._archive, may_come_later=may_come_later
            )
        else:
            moved = reconcile(
                named,
                task.identifier,
                task.expected,
                self._inventory,
                at_receiver,
                missing=missing,
                several=several,
                may_come_later=may_come_later,
            )
        if is_broken and moved.received:
            self._waited_in_vain = not (moved.received.held if self._archive else moved.received.arrivals)
        return moved

    def _verdict(self, task: Task, parts: Parts, attempt: AttemptMoves, at_receiver: RowAtReceiver | None) -> Moved:
        """Return the end of a row whose series were moved. If they were not all, one C-MOVE asks for the study."""
        if parts.result is not None:
            moved = self._reconciled(parts.result, task, at_receiver, missing=task.missing, several=True)
            if self._channel.stop.is_set() or task.missing or not falls_short(parts, moved):
                return replace(moved, moves=parts.moves, silence_s=parts.silence_s)
            if at_receiver:
                at_receiver.open_again()
        if task.missing:
            attempt.narrowed(task.missing, was_refused=bool(parts.moves))
        else:
            attempt.ask(task.identifier)
        moved = self._moved(task, attempt, at_receiver)
        return replace(moved, moves=(*parts.moves, *moved.moves))

    def _look_first(self, task: Task, at_receiver: RowAtReceiver | None) -> OnDisk | Listed | None:
        """Return the end of a complete row, otherwise its missing instances; ``None`` if all of it is missing."""
        if at_receiver:
            return self._look(task, at_receiver)
        if self._archive is None:
            return None
        at = datetime.now(UTC)
        held = self._archive.look(task.identifier)
        if isinstance(held, Unverified):
            return OnDisk(still_there(task.earlier, held.why), ReceivedRow()) if task.earlier else None
        listed = self._inventory.whole_list(task.identifier, task.expected) if held.held else None
        return already_there(task, held, listed, at)

    def _look(self, task: Task, at_receiver: RowAtReceiver) -> OnDisk | Listed | None:
        """Return the end of a row that is on disk, else its missing instances; ``None`` if all of it is missing."""
        held = at_receiver.held(read=self._settings.verify == "hash")
        if not held:
            return None
        if task.earlier:
            return self._count(task.earlier, task, held, at_receiver)
        at = datetime.now(UTC)
        listed = self._inventory.whole_list(task.identifier, task.expected)
        if not listed or len(listed) < (task.expected or 0):
            return None
        missing = {uid: series for uid, series in listed.items() if uid not in held}
        if missing:
            return missing if len(missing) < len(listed) else None
        received = at_receiver.await_arrivals(0, 0)
        row = on_disk_already(expected=len(listed), held=held, at=at)
        advice = sentences(row.advice or "", *remarks_on(received, len(task.patients), task.other_person))
        return OnDisk(row._replace(advice=advice), received, task.other_person)

    def _count(
        self, earlier: tuple[Row, datetime], task: Task, held: Mapping[str, int], at_receiver: RowAtReceiver
    ) -> OnDisk | Listed | None:
        """Do as `_look` for a row that an earlier run completed without a number, and which is still on disk.

        Another C-MOVE would tell no more than that run if the PACS does not answer C-FIND.
        """
        found, listed = self._inventory.expected(Evidence(), task.identifier, task.expected, held)
        missing = {uid: series for uid, series in (listed or {}).items() if uid not in held}
        why, unanswered = found.unverified, self._inventory.unanswered
        is_away = why and why.may_pass and unanswered is not None and unanswered.status is None
        if missing:
            return missing if len(missing) < len(listed or {}) else None
        if found.missing or is_away or self._channel.stop.is_set():
            return None
        row = resumed(*earlier)._replace(expected=found.expected, missing=found.missing)
        row = row._replace(advice=sentences(row.advice or "", why.why if why else ""))
        return _done(row, task, at_receiver.await_arrivals(0, 0))


def _still_missing(missing: Listed | None, at_receiver: RowAtReceiver | None) -> Listed | None:
    """Return the missing instances without those that another row of the study has brought meanwhile."""
    if not missing or at_receiver is None:
        return missing
    held = at_receiver.held()
    return {uid: series for uid, series in missing.items() if uid not in held}


def _defect(error: Exception, attempt: AttemptMoves | None) -> Lost:
    """Return the end of an attempt in which dicomove has a defect, which must not end the run."""
    log_exception(logger, "a defect in dicomove; the run goes on", error)
    if attempt is None:
        return Lost("", "internal_error", sent=0)
    return Lost("", "internal_error", sent=attempt.sent, moves=tuple(attempt.moves))


def _done(row: Row, task: Task, received: ReceivedRow | None = None) -> OnDisk:
    """Return the end of a row that was brought before, and needs no C-MOVE."""
    received = received or ReceivedRow()
    advice = sentences(row.advice or "", *remarks_on(received, len(task.patients), task.other_person))
    return OnDisk(row._replace(advice=advice or None), received, task.other_person)


def _with_longer_limit(pacs: Pacs) -> Pacs:
    limit = pacs.first_response_timeout
    if not isinstance(limit, int | float):
        return pacs
    return replace(pacs, first_response_timeout=limit * _TIMES_AS_LONG)
