"""The facts about one C-MOVE: the PACS's counts, the expected number, and the files on disk."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from dicomove.outcome.patients import UNLIKE
from dicomove.words import Outcome

#: Counts are of VR US (PS3.7 E.1).
COUNT_LIMIT: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Counts:
    """The PACS's counts of sub-operations, ``None`` where it gave none (PS3.7 9.1.4.1.8).

    Attributes
    ----------
    at_end
        Whether they come from the final response.
    """

    total: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    remaining: int | None = None
    at_end: bool = False

    @property
    def moved(self) -> int | None:
        """The number of stored instances, including those with a warning."""
        if self.completed is None:
            return self.warning
        return self.completed + (self.warning or 0)

    def after(self, response: Counts, *, final: bool) -> Counts:
        """Return the counts after one more response. If it has any count, it replaces all."""
        if response.completed is None and response.failed is None and response.warning is None:
            return self
        total = self.total if self.total is not None else _total(response, final=final)
        return Counts(total, response.completed, response.failed, response.warning, response.remaining, final)


@dataclass(frozen=True, slots=True)
class Unverified:
    """Why the expected number is unknown.

    Attributes
    ----------
    why
        A sentence.
    may_pass
        Whether another C-FIND may give it.
    was_stopped
        Whether the user has stopped the run before C-FIND gave it.
    """

    why: str
    may_pass: bool
    was_stopped: bool = False


Retrieval = Literal["move", "get"]
CountedBy = Literal["receiver", "destination"]
RefusalKind = Literal["address", "ae_title", "request", "tls", "busy", "defect"]


class Refusal(NamedTuple):
    """A peer that the receiver turned away.

    Attributes
    ----------
    address, ae_title
        The peer's; the title is empty if the peer did not send it.
    kind
        An address without rows in flight, another called AE title, an unreadable request, TLS, too many associations,
        or a defect of dicomove.
    reason
        A clause for a person.
    """

    address: str
    ae_title: str
    kind: RefusalKind
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The facts about one C-MOVE after its end.

    Attributes
    ----------
    status
        The final DIMSE Status, if there was a final response.
    counts
        The latest counts.
    failed_sop_instance_uids
        (0008,0058), as the PACS gave it.
    expected
        The number of instances according to C-FIND.
    counted
        The number of instances that the PACS counts, if it lists fewer and the list is believed.
    problem, detail
        The word of the `AssociationError` that ended it, and its text.
    sent
        Whether the C-MOVE was sent.
    cancelled
        Whether C-CANCEL was sent.
    received
        Instances on disk, or at a destination that was asked. Here and below, ``None`` means unknown.
    counted_by
        Whether the receiver or the destination has counted `received`.
    missing
        Instances that are expected, or else reported by the PACS, and not there.
    refused
        Instances that came and could not be stored.
    arrivals
        Instances that came for the row, also those in quarantine.
    aside
        For instances of the row in quarantine: the reasons, each with the number of instances.
    without_row
        The same for instances that came during the move, and that no row had asked for.
    remarked
        For instances on disk: what a user should know of them, each with the number of instances.
    others
        For instances on disk with another PatientID: the differences, each with the number of instances.
    patients
        The number of different PatientIDs in the rows that share the move.
    other_person
        The key of the patient (PatientName, say) for which the PACS has another value than the rows.
    refusals
        Peers that the receiver refused during the move.
    unverified
        Why the expected number is unknown, if the PACS was asked.
    unanswered
        Why the instances at the destination are unknown, if it was asked.
    destination
        The AE title of the Move Destination.
    permanent
        Whether the PACS said that another attempt cannot succeed, because it does not know our AE title, for example.
    method
        Whether C-MOVE or C-GET was sent.
    """

    status: int | None = None
    counts: Counts = Counts()
    failed_sop_instance_uids: tuple[str, ...] = ()
    expected: int | None = None
    counted: int | None = None
    problem: str | None = None
    detail: str = ""
    sent: bool = True
    cancelled: bool = False
    received: int | None = None
    counted_by: CountedBy = "receiver"
    missing: int | None = None
    refused: int = 0
    arrivals: int | None = None
    aside: tuple[tuple[str, int], ...] = ()
    without_row: tuple[tuple[str, int], ...] = ()
    remarked: tuple[tuple[str, int], ...] = ()
    others: tuple[tuple[str, int], ...] = ()
    patients: int = 0
    other_person: str | None = None
    refusals: tuple[Refusal, ...] = ()
    unverified: Unverified | None = None
    unanswered: Unverified | None = None
    destination: str = ""
    permanent: bool = False
    method: Retrieval = "move"

    @property
    def reported(self) -> int | None:
        """The number of instances that the PACS tried to move, according to its counts."""
        counts = self.counts
        if counts.moved is None and counts.failed is None:
            return counts.total
        return max(counts.total or 0, (counts.moved or 0) + (counts.failed or 0))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Our reading of the evidence: the columns ``outcome``, ``error`` and ``advice``."""

    outcome: Outcome
    error: str | None = None
    advice: str | None = None


def shortfall(evidence: Evidence) -> bool:
    """Return whether fewer instances were moved than the PACS announced, or than C-FIND counts."""
    moved = evidence.counts.moved
    if moved is None:
        return False
    expected = evidence.expected or 0
    if moved and expected >= COUNT_LIMIT and (expected - moved) % COUNT_LIMIT == 0:
        return False  # complete: the counts have 16 bits, and started again at zero
    announced = (evidence.counts.total or 0) - (evidence.counts.failed or 0)
    return moved < max(announced, expected)


def surplus(evidence: Evidence) -> int:
    """Return how many instances the PACS has moved beyond the expected number.

    A receiver shows which instances have come. At another destination, they may belong to another patient.
    """
    moved, expected = evidence.counts.moved, evidence.expected
    shows_all = evidence.received is not None and evidence.counted_by == "receiver"
    return 0 if shows_all or moved is None or expected is None else max(0, moved - expected)


def adds_up(evidence: Evidence) -> bool:
    """Return whether the arrivals, or the PACS's counts, equal the expected number.

    An instance of another patient, or one that the PACS has no longer, may stand where one of the row is missing: then
    the number says nothing.
    """
    counts, expected = evidence.counts, evidence.expected
    if expected is None or any(words in UNLIKE for words, _ in evidence.others):
        return False
    if evidence.received is not None:
        is_short = evidence.arrivals is not None and evidence.arrivals < (evidence.reported or 0)
        return evidence.received == expected and not is_short and (expected > 0 or not counts.moved)
    if counts.moved is None or counts.failed:
        return True
    return not shortfall(evidence) and (counts.moved == 0) == (expected == 0)


def with_missing(evidence: Evidence, held: Collection[str], listed: Collection[str] | None) -> Evidence:
    """Return the evidence with the number of missing instances, if the number of all instances is known.

    Parameters
    ----------
    evidence
        The evidence so far.
    held
        The SOP Instance UIDs on disk.
    listed
        Those that C-FIND lists, if it was asked for a list.
    """
    if listed is not None:
        return replace(evidence, missing=len(set(listed).difference(held)))
    whole = evidence.reported if evidence.expected is None else evidence.expected
    return evidence if whole is None else replace(evidence, missing=max(0, whole - len(held)))


def _total(response: Counts, *, final: bool) -> int | None:
    if response.completed is None or (response.remaining is None and not final):
        return None
    return response.completed + (response.failed or 0) + (response.warning or 0) + (response.remaining or 0)
