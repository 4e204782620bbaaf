"""What is known of one C-MOVE: the PACS's counts, what was expected, and what there is on disk."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from dicomove.words import Outcome

#: Counts are of VR US (PS3.7 E.1).
_COUNT_LIMIT: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Counts:
    """The PACS's counts of sub-operations, ``None`` where it gave none (PS3.7 9.1.4.1.8).

    Attributes
    ----------
    at_end
        Whether they are those of the final response, and not older.
    """

    total: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    remaining: int | None = None
    at_end: bool = False

    @property
    def moved(self) -> int | None:
        """Instances that were stored; those with a warning are among them."""
        if self.completed is None:
            return self.warning
        return self.completed + (self.warning or 0)

    def after(self, response: Counts, *, final: bool) -> Counts:
        """Return the counts after one more response; one that has any of its own replaces all."""
        if response.completed is None and response.failed is None and response.warning is None:
            return self
        total = self.total if self.total is not None else _total(response, final=final)
        return Counts(total, response.completed, response.failed, response.warning, response.remaining, final)


@dataclass(frozen=True, slots=True)
class Unverified:
    """Why it is not known what to expect: a sentence, and whether C-FIND may say it another time."""

    why: str
    may_pass: bool


Retrieval = Literal["move", "get"]
CountedBy = Literal["receiver", "destination"]
RefusalKind = Literal["address", "ae_title", "request", "tls", "busy", "defect"]


class Refusal(NamedTuple):
    """A peer that the receiver turned away.

    Attributes
    ----------
    address, ae_title
        The peer's; the title is empty if the peer did not tell it.
    kind
        Not the address of a PACS with rows in flight, another called AE title, a request that cannot be read, TLS,
        too many associations, or a defect of dicomove.
    reason
        A clause for a person.
    """

    address: str
    ae_title: str
    kind: RefusalKind
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that is known of one C-MOVE when it has ended.

    Attributes
    ----------
    status
        The final DIMSE Status, where there was a final response.
    counts
        The latest counts.
    failed_sop_instance_uids
        (0008,0058), as the PACS gave it.
    expected
        What C-FIND says the row holds.
    problem, detail
        The word of the `AssociationError` that ended it, and its text.
    sent
        Whether the C-MOVE was sent.
    cancelled
        Whether C-CANCEL was sent.
    received
        Instances on disk, or at the destination that was asked; ``None`` where that is not known, and so for the rest.
    counted_by
        The receiver, or the destination, has counted `received`.
    missing
        Expected, or else reported, and not there; ``None`` where the number is not known.
    refused
        Instances that came and could not be stored.
    arrivals
        Instances that came for the row, wherever they went; ``None`` where that is not known.
    aside
        Why instances that came for the row are in quarantine, and how many for each reason.
    strays
        Likewise, of what came while the row was moved, and that no row had asked for.
    others
        In what the PatientID of instances on disk differs from that of the row, and how many for each difference.
    patients
        How many different PatientIDs the rows name that ask for this.
    other_person
        The key of the patient (PatientName, say) of which the PACS has another value than the rows.
    refusals
        Peers that the receiver turned away meanwhile.
    unverified
        Why it is not known what to expect, where that was asked.
    unanswered
        Why it is not known what the destination has, where it was asked.
    destination
        The AE title of the Move Destination.
    permanent
        Whether the PACS said that another try will not do: it does not know our AE title, say.
    method
        Whether C-MOVE or C-GET was sent.
    """

    status: int | None = None
    counts: Counts = Counts()
    failed_sop_instance_uids: tuple[str, ...] = ()
    expected: int | None = None
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
    strays: tuple[tuple[str, int], ...] = ()
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
        """Instances that the PACS says it tried to move."""
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
    """Return whether fewer instances were moved than the PACS announced, or than C-FIND knows."""
    moved = evidence.counts.moved
    if moved is None:
        return False
    expected = evidence.expected or 0
    if moved and expected >= _COUNT_LIMIT and (expected - moved) % _COUNT_LIMIT == 0:
        return False  # all of them: the counts have 16 bits, and have started again at zero
    announced = (evidence.counts.total or 0) - (evidence.counts.failed or 0)
    return moved < max(announced, expected)


def adds_up(evidence: Evidence) -> bool:
    """Return whether what came, or what the PACS counts, is what is expected."""
    counts, expected = evidence.counts, evidence.expected
    if expected is None:
        return False
    if evidence.received is not None:
        return evidence.received == expected and (expected > 0 or not counts.moved)
    if counts.moved is None or counts.failed:
        return True
    return not shortfall(evidence) and (counts.moved == 0) == (expected == 0)


def with_missing(evidence: Evidence, held: Collection[str], listed: Collection[str] | None) -> Evidence:
    """Return the evidence with the number of instances that are not on disk, where it is known how many there are.

    Parameters
    ----------
    evidence
        What is known.
    held
        The SOP Instance UIDs on disk.
    listed
        Those that C-FIND lists, where it was asked for a list.
    """
    if listed is not None:
        return replace(evidence, missing=len(set(listed).difference(held)))
    whole = evidence.reported if evidence.expected is None else evidence.expected
    return evidence if whole is None else replace(evidence, missing=max(0, whole - len(held)))


def _total(response: Counts, *, final: bool) -> int | None:
    if response.completed is None or (response.remaining is None and not final):
        return None
    return response.completed + (response.failed or 0) + (response.warning or 0) + (response.remaining or 0)
