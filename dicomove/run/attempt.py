"""How an attempt ends, and the row that it makes: a C-MOVE's result on its way to the table. Pure.

::

    MoveResult      one C-MOVE, with the evidence of it                       (`dicomove.dimse`)
    AttemptEnd      all of an attempt: `Moved`, `OnDisk`, `Contradicted`, `NoReceiver` or `Lost`
    SeriesListed    not an end: the series of a large study, which are moved side by side as `Parts`
    AttemptRecord   what the journal keeps of it, with the row's result       (`dicomove.store`)
    RowFinished     what is shown                                             (`dicomove.events`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dicomove.cohort import Identifier
from dicomove.dimse import MoveResult
from dicomove.outcome import RESTS_ON_C_FIND, Unverified
from dicomove.receiver import OtherPatient, Settled
from dicomove.results import Row, contradicted_by_pacs, lost, row_of, without_receiver, without_worker
from dicomove.run.questions import Listed

#: How far down a PACS can be asked, from the finest: lists of instances, one instance, a series, all of the row.
Depth = Literal["instances", "instance", "series", "whole"]


@dataclass(frozen=True, slots=True)
class Moved:
    """The PACS was asked, and what came is known.

    Attributes
    ----------
    result
        Of all C-MOVEs together, as it reads now.
    settled
        What the receiver has; ``None`` for another destination.
    listed
        What an IMAGE-level C-FIND lists, where one was asked.
    moves
        The C-MOVEs one by one; none where only C-FIND was asked again.
    depth
        How far down the PACS could be asked, where that was learnt.
    silence_s
        The longest silence between two responses, where there were pending ones.
    """

    result: MoveResult
    settled: Settled | None = None
    listed: Listed | None = None
    moves: tuple[MoveResult, ...] = ()
    depth: Depth | None = None
    silence_s: float | None = None

    @property
    def is_unverified(self) -> bool:
        """Whether the row may read otherwise once C-FIND says what to expect, or what came, and has not said it."""
        return self.result.outcome in RESTS_ON_C_FIND and bool(self._unknown)

    @property
    def may_be_verified(self) -> bool:
        """Whether it is worth while to ask the PACS again what there is."""
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
        held = self.settled.held if self.settled else {}
        return {uid: series for uid, series in (self.listed or {}).items() if uid not in held}

    @property
    def unexpected(self) -> list[str]:
        """The instances that are on disk and were not listed."""
        held = self.settled.held if self.settled and self.listed is not None else {}
        return [uid for uid in held if uid not in (self.listed or {})]

    @property
    def others(self) -> tuple[OtherPatient, ...]:
        """The instances that have another PatientID than the row."""
        return self.settled.others if self.settled else ()


@dataclass(frozen=True, slots=True)
class OnDisk:
    """All of it was on disk: nothing had to be sent.

    Attributes
    ----------
    row, settled
        The result, and what the receiver has.
    other_person
        As in `Task`.
    """

    row: Row
    settled: Settled
    other_person: str | None = None

    @property
    def others(self) -> tuple[OtherPatient, ...]:
        """The instances that have another PatientID than the row."""
        return self.settled.others


@dataclass(frozen=True, slots=True)
class NoReceiver:
    """The receiver was away before anything was sent: `problem` says how."""

    problem: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The end of it is not known: the receiver, the worker or the executor was gone, or dicomove has a defect.

    Attributes
    ----------
    problem, error
        A sentence, and the word of the column ``error``.
    sent
        Whether a C-MOVE may have been sent.
    result, moves
        What the PACS said, as in `Moved`, where that is known.
    """

    problem: str
    error: str
    sent: bool = True
    result: MoveResult | None = None
    moves: tuple[MoveResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Contradicted:
    """The PACS has another value under a key that the rows name, or nothing there: nothing was sent.

    Attributes
    ----------
    key
        The keyword of the key.
    """

    key: str = "PatientID"


AttemptEnd = Moved | OnDisk | Contradicted | NoReceiver | Lost


@dataclass(frozen=True, slots=True)
class SeriesListed:
    """A study holds so much that its series are moved side by side: nothing was moved yet.

    Attributes
    ----------
    series
        The Series Instance UIDs, with how many instances the PACS says that each has.
    instances
        How many the study has, by the table, or else by the PACS.
    missing
        What is asked for instead, where the rest is there already.
    """

    series: Mapping[str, int | None]
    instances: int
    missing: Listed | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One of the requests of a row whose series are moved side by side.

    Attributes
    ----------
    split
        The number of the row among those whose series are moved so: the parts of one share it.
    identifier
        What is asked for.
    """

    split: int
    identifier: Identifier


@dataclass(frozen=True, slots=True)
class Parts:
    """All requests of a row whose series were moved side by side, when they have ended.

    Attributes
    ----------
    split
        As in `Part`.
    result
        Of all of them together; ``None`` where the PACS cannot be asked like that, so that the row is asked for whole.
    moves
        The C-MOVEs one by one.
    silence_s
        The longest silence between two responses, where there were pending ones.
    went_well
        Whether every series was asked for, and the PACS says of each that it went well.
    instances
        How many there were before, as in `SeriesListed`.
    """

    split: int
    result: MoveResult | None
    moves: tuple[MoveResult, ...] = ()
    silence_s: float | None = None
    went_well: bool = False
    instances: int = 0

    def behind(self, end: AttemptEnd) -> AttemptEnd:
        """Return the end of the attempt with what was moved before it: a receiver that is gone was not away then."""
        if isinstance(end, NoReceiver):
            return Lost(end.problem, "receiver_failed", result=self.result, moves=self.moves) if self.moves else end
        if isinstance(end, Lost) and self.moves:
            return replace(end, sent=True, result=end.result or self.result, moves=(*self.moves, *end.moves))
        return end


def row_after(end: AttemptEnd) -> Row:
    """Return the row as an attempt alone makes it."""
    match end:
        case Moved():
            size = end.settled.bytes if end.settled else None
            return row_of(end.result, size, _sent(end.moves) if end.moves else None)
        case OnDisk():
            return end.row
        case Contradicted():
            return contradicted_by_pacs(end.key)
        case NoReceiver():
            return without_receiver(end.problem)
        case Lost():
            return _lost(end)


def _lost(end: Lost) -> Row:
    if not end.sent:
        return without_worker(end.problem, end.error)
    row = lost(end.problem, end.error)._replace(attempts=max(1, _sent(end.moves)))
    if end.result is None:
        return row
    return row_of(end.result)._replace(
        outcome=row.outcome,
        error=row.error,
        advice=row.advice,
        attempts=row.attempts,
    )


def _sent(moves: Sequence[MoveResult]) -> int:
    return sum(move.evidence.sent for move in moves)
