"""What the archive at the destination has of a row, by C-FIND: before a move, after it, and at the end of a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from dicomove.cohort import Identifier
from dicomove.destination import Destination
from dicomove.dimse import FindScu, MoveResult, ReusableAssociation
from dicomove.errors import ReceiverError
from dicomove.outcome import Evidence, Unverified, of_several_patients, reports_success, sentences
from dicomove.receiver import ReceivedRow
from dicomove.results import at_destination_already, resumed
from dicomove.run.attempt.ends import Moved, OnDisk
from dicomove.run.attempt.inventory import Inventory
from dicomove.run.attempt.questions import Asking, Listed
from dicomove.run.attempt.reconciliation import (
    counted_anew,
    is_broken_off,
    may_be_coming,
    read_again,
    with_received,
    without_empty_count,
)
from dicomove.run.requests import Task

#: The first and the longest wait before the archive is asked again.
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0


class ArchiveAtDestination:
    """Asks the archive at the destination, over an association of its own.

    During a run it is released after each answer: idle, it would keep one of the threads busy with which the archive
    stores. Orthanc has four, and each waits up to a second for the next request on an idle association.

    If the archive does not answer several C-FINDs, it gets none for a while, like a PACS.

    Parameters
    ----------
    destination
        The archive.
    stop
        Cancels the C-FINDs when it is set.
    stores
        Whether the archive stores instances between two answers.
    """

    def __init__(self, destination: Destination, stop: threading.Event, *, stores: bool = True) -> None:
        self.destination, self.stop, self._stores = destination, stop, stores
        association = ReusableAssociation(destination.ask, is_checked=True)
        self._scu = FindScu(destination.ask, association=association)
        self._inventory = Inventory(self._scu, "instances", stop, peer="it", by_list=True)
        self._asking = Asking()

    def close(self) -> None:
        """Release the association; the next question opens a new one."""
        self._scu.close()

    def look(self, identifier: Identifier) -> ReceivedRow | Unverified:
        """Return what the archive has of a row, or the reason why this is unknown."""
        self._inventory.begin(self._asking.allowed(time.monotonic()))
        try:
            listed = self._inventory.listed(_by_uid(identifier))
        finally:
            if self._stores:
                self.close()
        self._asking.learn(self._inventory.asked, time.monotonic())
        if listed is None:
            return _unanswered(self.destination, self._inventory.why_not)
        return ReceivedRow(held=dict.fromkeys(listed, 0), counted_by="destination")


def reconcile_at_archive(
    result: MoveResult,
    identifier: Identifier,
    expected_in_table: int | None,
    inventory: Inventory,
    archive: ArchiveAtDestination,
    *,
    may_come_later: bool = True,
) -> Moved:
    """Return the result, corrected by what was expected and by what is at the destination.

    Parameters
    ----------
    result
        The result according to the PACS.
    identifier
        What was moved.
    expected_in_table
        The number of instances that the caller's table says.
    inventory
        Asks the PACS.
    archive
        Asks the destination.
    may_come_later
        As in `reconcile`.
    """
    received = archive.look(identifier)
    if isinstance(received, Unverified):
        evidence, listed = inventory.expected(result.evidence, identifier, expected_in_table)
        return Moved(read_again(result, replace(evidence, unanswered=received)), None, listed)
    evidence, listed = inventory.expected(
        with_received(result.evidence, received), identifier, expected_in_table, received.held
    )
    if evidence.sent and may_come_later and not evidence.cancelled:

        def counted(held: Mapping[str, int]) -> Evidence:
            nonlocal evidence, listed
            # The PACS is not asked about a row that broke off, as long as nothing of it is there.
            if evidence.expected is None and is_broken_off(evidence) and len(held) > (evidence.received or 0):
                there = replace(evidence, received=len(held))
                evidence, listed = inventory.expected(there, identifier, expected_in_table, held)
            evidence = counted_anew(replace(evidence, received=len(held)), held, listed)
            return evidence

        received = _awaited(received, identifier, archive, counted)
        evidence = counted(received.held)
    return Moved(read_again(result, without_empty_count(evidence)), received, listed)


def held_at_end(destination: Destination, identifier: Identifier) -> Mapping[str, int]:
    """Return what the archive has of a row at the end of the run.

    Raises
    ------
    ReceiverError
        The archive does not answer.
    """
    received = ArchiveAtDestination(destination, threading.Event()).look(identifier)
    if isinstance(received, Unverified):
        raise ReceiverError(received.why)
    return received.held


def already_there(task: Task, received: ReceivedRow, listed: Listed | None, at: datetime) -> OnDisk | Listed | None:
    """Return `OnDisk` for a complete row, otherwise what is missing of it; ``None`` if all of it is missing.

    Parameters
    ----------
    task
        The task.
    received
        What the archive has.
    listed
        The instances that the PACS lists; ``None`` if they are unknown.
    at
        When the archive was asked.
    """
    held = received.held
    missing = {uid: series for uid, series in (listed or {}).items() if uid not in held}
    if missing:
        return missing if len(missing) < len(listed or {}) else None
    if task.earlier and len(held) >= (task.earlier[0].received or 1):
        return OnDisk(resumed(*task.earlier)._replace(received=len(held), missing=0), received)
    if not listed:
        return None
    row = at_destination_already(expected=len(listed), received=len(held), at=at)
    return OnDisk(row._replace(advice=sentences(row.advice or "", of_several_patients(len(task.patients)))), received)


def as_believed(result: MoveResult) -> MoveResult:
    """Return a result without what the destination and the PACS answered later."""
    evidence = replace(result.evidence, expected=None, received=None, missing=None, unverified=None, unanswered=None)
    return replace(result, evidence=evidence)


def _awaited(
    received: ReceivedRow,
    identifier: Identifier,
    archive: ArchiveAtDestination,
    counted: Callable[[Mapping[str, int]], Evidence],
) -> ReceivedRow:
    """Wait until the archive has everything, or gets nothing new for a quiet period; return what it has then."""
    quiet, pause = archive.destination.quiet_period, _FIRST_PAUSE_S
    until = time.monotonic() + quiet
    while _may_grow(counted(received.held)) and (left := until - time.monotonic()) > 0:
        if archive.stop.wait(min(pause, left)):
            break
        asked = time.monotonic()
        now = archive.look(identifier)
        if isinstance(now, ReceivedRow) and now.held != received.held:
            received, until = now, time.monotonic() + quiet
        # A study with many series needs many C-FINDs: a pause as long as they took leaves the archive idle meanwhile.
        pause = min(2 * pause, max(_LONGEST_PAUSE_S, time.monotonic() - asked))
    return received


def _may_grow(evidence: Evidence) -> bool:
    """Return whether the archive may not have indexed all of a row yet."""
    if not (reports_success(evidence) or is_broken_off(evidence)):
        return (evidence.counts.moved or 0) > (evidence.received or 0)
    return evidence.missing is None or may_be_coming(evidence) > 0 or (evidence.status is None and evidence.missing > 0)


def _by_uid(identifier: Identifier) -> Identifier:
    """Return the identifier without the PatientID: an archive may change the PatientID, but it keeps the UIDs."""
    keys = tuple(pair for pair in identifier.keys if pair[0] != "PatientID") or identifier.keys
    return replace(identifier, query_model="StudyRoot", keys=keys)


def _unanswered(destination: Destination, why: Unverified) -> Unverified:
    sentence = (
        f"The destination {destination.ae_title} did not say what it has, so that only the PACS has counted: "
        f"{why.why}. Check ask= of the Destination."
    )
    return replace(why, why=sentence)
