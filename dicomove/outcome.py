"""What a final response means: status, counts and what was expected become an outcome, an error and an advice. Pure.

Statuses are those of PS3.4 C.4.2.1.5 and PS3.7 Annex C. A status is a claim: where counts and status disagree, the
counts are believed, since real PACS answer Success when every sub-operation failed (GE, Synapse) or when nothing was
moved under load (IMPAX). A count that is absent is unknown, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

Outcome = Literal[
    "complete",
    "partial",
    "empty",
    "unconfirmed",
    "failed",
    "unreachable",
    "interrupted",
    "cancelled",
    "invalid",
    "skipped",
    "not_attempted",
]
Category = Literal["success", "warning", "pending", "cancel", "failure"]

CANCELLED: Final = 0xFE00

#: Counts are of VR US (PS3.7 E.1).
_COUNT_LIMIT: Final = 1 << 16

_FAILURES: Final = {
    0x0105: "identifier_mismatch",
    0x0106: "identifier_mismatch",
    0x0112: "no_match",
    0x0115: "identifier_mismatch",
    0x0118: "not_supported",
    0x0119: "identifier_mismatch",
    0x0120: "identifier_mismatch",
    0x0121: "identifier_mismatch",
    0x0122: "not_supported",
    0x0124: "not_authorized",
    0x0211: "not_supported",
    0x0212: "identifier_mismatch",
    0x0213: "out_of_resources",
    0xA801: "destination_unknown",
    0xA900: "identifier_mismatch",
}

ADVICE: Final = {
    "destination_unknown": "The PACS does not know this destination: its administrator registers the AE title with "
    "host and port (Orthanc: DicomModalities).",
    "no_match": "The PACS has nothing for this identifier: look it up with find().",
    "identifier_mismatch": "The PACS refuses the identifier at this level: try another level, or "
    "query_model='PatientRoot' with PatientID.",
    "out_of_resources": "The PACS, or the destination as the PACS sees it, is short of resources: is the destination "
    "up and reachable from the PACS? Try again later, with fewer rows at a time.",
    "unable_to_process": "The PACS gave no reason that is standardised: its log knows more. Often the destination is "
    "unknown to the PACS, down, or refuses what it gets.",
    "not_authorized": "The PACS does not allow this to our AE title: its administrator grants C-MOVE.",
    "not_supported": "The PACS does not offer this service or query model: try the other query_model.",
    "connection_failed": "Check host, port and firewall, and that the PACS is up.",
    "connect_timeout": "Check host, port and firewall: nothing answered at this address.",
    "association_rejected": "Check the called AE title, and that the PACS knows ours.",
    "association_timeout": "Something listens there but does not speak DICOM, or the PACS is overloaded.",
    "association_aborted": "The PACS broke off: its log knows why. What it had sent by then is in doubt.",
    "connection_lost": "The connection ended without an answer: a PACS that restarts, a firewall, or a PACS that drops "
    "AE titles it does not know. What was sent by then is in doubt.",
    "idle_timeout": "The PACS was silent for too long: move again, or raise idle_timeout and first_response_timeout.",
    "total_timeout": "The move did not end within total_timeout.",
    "invalid_response": "The answer was no proper DICOM: is this the DICOM port of a PACS?",
    "all_failed": "The PACS could not store a single instance at the destination: is the destination up, and does it "
    "accept these SOP classes and transfer syntaxes?",
    "some_failed": "Some instances could not be stored at the destination: move the row again; if they fail again, the "
    "destination refuses their SOP class or transfer syntax.",
    "missing_instances": "Fewer instances were moved than the PACS holds: move the row again.",
    "invalid_row": "Correct the row; nothing was sent.",
    "cancelled_by_pacs": "The PACS ended the move by itself: move the row again.",
}

NOT_ATTEMPTED: Final = "The run ended before its turn: run it again."
_EMPTY: Final = "Success, and nothing was moved: the PACS has nothing for this identifier."
_UNCONFIRMED: Final = (
    "The PACS says Success without counts: look into the destination, or move to a receiver that counts."
)
_NO_ANSWER_TO_CANCEL: Final = (
    "The PACS did not answer C-CANCEL and the association was aborted: it may go on sending for a while."
)


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
        known = [count for count in (self.completed, self.warning) if count is not None]
        return sum(known) if known else None

    def after(self, response: Counts, *, final: bool) -> Counts:
        """Return the counts after one more response; one that has any of its own replaces all."""
        if response.completed is None and response.failed is None and response.warning is None:
            return self
        total = self.total if self.total is not None else _total(response, final=final)
        return replace(response, total=total, at_end=final)


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
    """

    status: int | None = None
    counts: Counts = Counts()
    failed_sop_instance_uids: tuple[str, ...] = ()
    expected: int | None = None
    problem: str | None = None
    detail: str = ""
    sent: bool = True
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Our reading of the evidence: the columns ``outcome``, ``error`` and ``advice``."""

    outcome: Outcome
    error: str | None = None
    advice: str | None = None


def category(status: int) -> Category:
    """Return what kind of DIMSE Status this is (PS3.7 C); one that nobody defined is a failure."""
    if status == 0x0000:
        return "success"
    if status in (0xFF00, 0xFF01):
        return "pending"
    if status == CANCELLED:
        return "cancel"
    if status in (0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF:
        return "warning"
    return "failure"


def failure_word(status: int) -> str:
    """Return the word of the ``error`` column for a status that is a failure."""
    if status in _FAILURES:
        return _FAILURES[status]
    return "out_of_resources" if 0xA700 <= status <= 0xA7FF else "unable_to_process"


def judge(evidence: Evidence) -> Verdict:
    """Return the outcome of one C-MOVE, with the error and an advice.

    Parameters
    ----------
    evidence
        Status, counts, and what was expected.
    """
    verdict = _judge(evidence)
    if evidence.cancelled and verdict.outcome != "complete":
        return Verdict("cancelled", None, _NO_ANSWER_TO_CANCEL if evidence.status is None else None)
    return verdict


def _judge(evidence: Evidence) -> Verdict:
    if evidence.status is None:
        return _without_answer(evidence)
    kind = category(evidence.status)
    if kind in ("success", "warning"):
        return _by_counts(evidence)
    word = "cancelled_by_pacs" if kind == "cancel" else failure_word(evidence.status)
    if evidence.counts.moved:
        return _verdict("partial", word, evidence)
    if word == "unable_to_process" and evidence.expected == 0:
        word = "no_match"
    return _verdict("failed", word, evidence)


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


def _without_answer(evidence: Evidence) -> Verdict:
    word = evidence.problem or "connection_lost"
    if evidence.sent:
        return _verdict("interrupted", word, evidence)
    return _verdict("failed" if word == "not_supported" else "unreachable", word, evidence)


def _by_counts(evidence: Evidence) -> Verdict:
    moved, failed = evidence.counts.moved, _failed(evidence)
    if failed:
        # A list without counts: the others were moved, if there are others.
        others = evidence.counts.failed is None and moved is None and failed != evidence.expected
        some = bool(moved) or others
        return _verdict("partial" if some else "failed", "some_failed" if some else "all_failed", evidence)
    if _unconfirmed(evidence, failed):
        return Verdict("empty", None, _EMPTY) if evidence.expected == 0 else Verdict("unconfirmed", None, _UNCONFIRMED)
    if shortfall(evidence):
        return _verdict("partial" if moved else "failed", "missing_instances", evidence)
    return Verdict("complete") if moved else Verdict("empty", None, _EMPTY)


def _failed(evidence: Evidence) -> int | None:
    if evidence.counts.failed is None and evidence.failed_sop_instance_uids:
        return len(evidence.failed_sop_instance_uids)
    return evidence.counts.failed


def _unconfirmed(evidence: Evidence, failed: int | None) -> bool:
    """Whether the counts do not say what happened: absent, not yet at the end, or a warning that nothing explains."""
    counts = evidence.counts
    unexplained = category(evidence.status or 0) == "warning" and failed is None and counts.warning is None
    stale = not counts.at_end and counts.remaining != 0
    return counts.moved is None or stale or unexplained


def _verdict(outcome: Outcome, word: str, evidence: Evidence) -> Verdict:
    return Verdict(outcome, word, sentences(evidence.detail, _numbers(word, evidence), ADVICE.get(word, "")))


def sentences(*parts: str) -> str:
    """Return the parts as sentences in a row.

    Examples
    --------
    >>> sentences("the row is empty", "", "Correct it.")
    'The row is empty. Correct it.'
    """
    return " ".join(part[0].upper() + part[1:] + ("" if part[-1] in ".?!" else ".") for part in parts if part)


def _numbers(word: str, evidence: Evidence) -> str:
    counts = evidence.counts
    if word == "missing_instances":
        return f"{counts.moved} of {max(counts.total or 0, evidence.expected or 0)} instances."
    if word == "some_failed" and counts.failed:
        return f"{counts.failed} failed, {counts.moved} moved."
    return ""


def _total(response: Counts, *, final: bool) -> int | None:
    if response.completed is None or (response.remaining is None and not final):
        return None
    return sum(count or 0 for count in (response.completed, response.failed, response.warning, response.remaining))
