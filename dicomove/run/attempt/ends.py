"""The ways in which an attempt ends, and the result of its row. Pure.

::

    MoveResult      the result of one C-MOVE, with its evidence               (`dicomove.dimse`)
    AttemptEnd      the end of an attempt: `Moved`, `OnDisk`, `Contradicted`, `Unidentified`, `NoReceiver` or `Lost`
    SeriesListed    not an end: the series of a large study, which are moved side by side as `Parts`
    AttemptRecord   the attempt in the journal, with the row's result         (`dicomove.store`)
    RowFinished     the row's result for displays                             (`dicomove.events`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dicomove.cohort import Identifier
from dicomove.dimse import MoveResult
from dicomove.outcome import RESTS_ON_C_FIND, Unverified
from dicomove.receiver import OtherPatient, ReceivedRow
from dicomove.results import Row, contradicted_by_pacs, lost, row_of, unidentified, without_receiver, without_worker
from dicomove.run.attempt.questions import Listed

#: The finest request that a PACS accepts: a list of instances, one instance, one series, or only the whole row.
Depth = Literal["instances", "instance", "series", "whole"]


@dataclass(frozen=True, slots=True)
class Moved:
    """The PACS answered, or the association ended.

    Attributes
    ----------
    result
        Of all C-MOVEs together, after the reconciliation.
    received
        The instances at the receiver; ``None`` for another destination.
    listed
        The instances that an IMAGE-level C-FIND lists, if one was sent.
    moves
        The C-MOVEs one by one; none if the attempt only repeated C-FIND.
    depth
        The finest request that the PACS accepted, if the attempt showed it.
    silence_s
        The longest silence between two responses, if there were pending responses.
    """

    result: MoveResult
    received: ReceivedRow | None = None
    listed: Listed | None = None
    moves: tuple[MoveResult, ...] = ()
    depth: Depth | None = None
    silence_s: float | None = None

    @property
    def is_unverified(self) -> bool:
        """Whether C-FIND did not answer, and its answer could change the result of the row; a stop does not count."""
        return self.result.outcome in RESTS_ON_C_FIND and not all(one.was_stopped for one in self._unknown)

    @property
    def may_be_verified(self) -> bool:
        """Whether another C-FIND may bring the answer."""
        return self.is_unverified and any(one.may_pass for one in self._unknown)

    @property
    def _unknown(self) -> list[Unverified]:
        evidence = self.result.evidence
        if evidence.unverified is None and evidence.unanswered is None:  # mostly
            return []
        return [one for one in (evidence.unverified, evidence.unanswered) if one]

    @property
    def missing(self) -> Listed:
        """The instances that were listed and are not on disk, each with its series."""
        held = self.received.held if self.received else {}
        return {uid: series for uid, series in (self.listed or {}).items() if uid not in held}

    @property
    def unexpected(self) -> list[str]:
        """The instances that are on disk and were not listed."""
        held = self.received.held if self.received and self.listed is not None else {}
        return [uid for uid in held if uid not in (self.listed or {})]

    @property
    def others(self) -> tuple[OtherPatient, ...]:
        """The instances that have another PatientID than the row."""
        return self.received.others if self.received else ()


@dataclass(frozen=True, slots=True)
class OnDisk:
    """All of it was on disk already: nothing was sent.

    Attributes
    ----------
    row, received
        The result, and the instances at the receiver.
    other_person
        As in `Task`.
    """

    row: Row
    received: ReceivedRow
    other_person: str | None = None

    @property
    def others(self) -> tuple[OtherPatient, ...]:
        """The instances that have another PatientID than the row."""
        return self.received.others


@dataclass(frozen=True, slots=True)
class NoReceiver:
    """The receiver was away, so nothing was sent; `problem` is the reason."""

    problem: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The end is unknown: the receiver, the worker or the executor was gone, or dicomove has a defect.

    Attributes
    ----------
    problem, error
        A sentence, and the word of the column ``error``.
    sent
        The number of C-MOVEs that may have been sent, those of `moves` among them.
    result, moves
        As in `Moved`, if they are known.
    """

    problem: str
    error: str
    sent: int = 1
    result: MoveResult | None = None
    moves: tuple[MoveResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Contradicted:
    """The PACS has no match for a key of the rows, or another value: nothing was sent.

    Attributes
    ----------
    key
        The keyword of the key; ``None`` if the rows of a study name several patients, and the PACS gives none.
    """

    key: str | None = "PatientID"


@dataclass(frozen=True, slots=True)
class Unidentified:
    """Rows of one study name several patients, and the C-FIND that tells whose it is had no answer: nothing was sent.

    Attributes
    ----------
    error, status
        The word and the Status of the C-FIND; no word if the run was stopped.
    """

    error: str | None
    status: str | None = None


AttemptEnd = Moved | OnDisk | Contradicted | Unidentified | NoReceiver | Lost


@dataclass(frozen=True, slots=True)
class SeriesListed:
    """The series of a large study, before they are moved side by side.

    Attributes
    ----------
    series
        The Series Instance UIDs, each with the number of its instances according to the PACS.
    instances
        The number of instances of the study, from the table or from the PACS.
    missing
        The instances to ask for, if the others are there already.
    """

    series: Mapping[str, int | None]
    instances: int
    missing: Listed | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One request of a row whose series are moved side by side.

    Attributes
    ----------
    split
        The number of the row; all parts of the row share it.
    identifier
        The identifier of the request.
    instances
        The number of its instances; ``None`` if it is unknown.
    """

    split: int
    identifier: Identifier
    instances: int | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """All requests of a row whose series were moved side by side, after their end.

    Attributes
    ----------
    split
        As in `Part`.
    result
        Of all parts together; ``None`` if the PACS does not accept such requests: then the whole row is asked for.
    moves
        The C-MOVEs one by one.
    silence_s
        The longest silence between two responses, where there were pending ones.
    went_well
        Whether every series was asked for, and the PACS reports success for each.
    instances
        As in `SeriesListed`.
    """

    split: int
    result: MoveResult | None
    moves: tuple[MoveResult, ...] = ()
    silence_s: float | None = None
    went_well: bool = False
    instances: int = 0

    def behind(self, end: AttemptEnd) -> AttemptEnd:
        """Return the end of the attempt with the C-MOVEs before it. After a C-MOVE, `NoReceiver` becomes `Lost`."""
        sent = number_sent(self.moves)
        if isinstance(end, NoReceiver):
            return Lost(end.problem, "receiver_failed", sent, self.result, self.moves) if sent else end
        if isinstance(end, Lost) and self.moves:
            sent += max(end.sent, number_sent(end.moves))
            return replace(end, sent=sent, result=end.result or self.result, moves=(*self.moves, *end.moves))
        return end


def row_after(end: AttemptEnd) -> Row:
    """Return the result of the row, from this attempt alone."""
    match end:
        case Moved():
            size = end.received.bytes if end.received else None
            return row_of(end.result, size, number_sent(end.moves) if end.moves else None)
        case OnDisk():
            return end.row
        case Contradicted():
            return contradicted_by_pacs(end.key)
        case Unidentified():
            return unidentified(end.error, end.status)
        case NoReceiver():
            return without_receiver(end.problem)
        case Lost():
            return _lost(end)


def as_it_may_pass(end: AttemptEnd, row: Row) -> Row:
    """Return the row for the schedule: a failure while the receiver was away is not a fault of the PACS."""
    received = end.received if isinstance(end, Moved) else None
    if received and received.restarted and row.outcome != "complete":
        return row._replace(error="receiver_failed")
    return row


def _lost(end: Lost) -> Row:
    if not end.sent and end.error != "internal_error":
        return without_worker(end.problem, end.error)
    row = lost(end.problem, end.error)._replace(attempts=number_sent_by(end))
    if end.result is None:
        return row
    return row_of(end.result)._replace(
        outcome=row.outcome,
        error=row.error,
        advice=row.advice,
        attempts=row.attempts,
    )


def number_sent_by(end: AttemptEnd | SeriesListed) -> int:
    """Return the number of C-MOVEs that an attempt has sent, or may have sent."""
    moves = end.moves if isinstance(end, Moved | Lost) else ()
    return max(end.sent if isinstance(end, Lost) else 0, number_sent(moves))


def number_brought(end: AttemptEnd) -> int:
    """Return how many instances an attempt brought, as far as it is known; none if it sent nothing."""
    if not isinstance(end, Moved) or not end.moves:
        return 0
    evidence = end.result.evidence
    return (evidence.counts.moved if evidence.arrivals is None else evidence.arrivals) or 0


def number_sent(moves: Sequence[MoveResult]) -> int:
    """Return how many of these C-MOVEs were sent."""
    return sum(move.evidence.sent for move in moves)
