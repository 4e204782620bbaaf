"""What a C-MOVE did: status, counts, expectation and disk become an outcome, an error and an advice. Pure.

::

    statuses     what kind a DIMSE Status is, and the word for a failure
    evidence     what is known of one C-MOVE
    judgement    the verdict on the PACS's word
    disk         the verdict on what is on disk, where that is known
    arrivals     what came and is not plainly the row's, and the peers that the receiver turned away
    patients     whether two PatientIDs are the same
    advice       what a person is told

A status is a claim: where counts and status disagree, the counts are believed, since real PACS answer Success when
every sub-operation failed (GE, Synapse) or when nothing was moved under load (IMPAX). A count that is absent is
unknown, never 0. With a receiver, the disk decides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dicomove.outcome.advice import NOT_ATTEMPTED, advice_on, sentences
from dicomove.outcome.arrivals import remarks, rivals
from dicomove.outcome.disk import by_disk
from dicomove.outcome.evidence import CountedBy, Counts, Evidence, Refusal, Unverified, Verdict, shortfall
from dicomove.outcome.judgement import by_word
from dicomove.outcome.patients import UNLIKE, stripped
from dicomove.outcome.statuses import CANCELLED, Category, category, failure_word

__all__ = [
    "CANCELLED",
    "NOT_ATTEMPTED",
    "RESTS_ON_C_FIND",
    "UNLIKE",
    "Category",
    "CountedBy",
    "Counts",
    "Evidence",
    "Refusal",
    "Unverified",
    "Verdict",
    "advice_on",
    "category",
    "failure_word",
    "judge",
    "remarks",
    "rivals",
    "sentences",
    "shortfall",
    "stripped",
]

#: What may read otherwise once it is known what to expect.
RESTS_ON_C_FIND: Final = frozenset({"complete", "partial", "empty", "unconfirmed"})
_NO_ANSWER_TO_CANCEL: Final = (
    "The PACS did not answer C-CANCEL and the association was aborted: it may go on sending for a while."
)


def judge(evidence: Evidence) -> Verdict:
    """Return the outcome of one C-MOVE, with the error and an advice.

    Parameters
    ----------
    evidence
        Status, counts, what was expected, and what is on disk.
    """
    verdict = by_word(evidence) if evidence.received is None else by_disk(evidence)
    if evidence.unanswered and verdict.outcome == "complete":  # the PACS says so, and the destination does not
        verdict = replace(verdict, outcome="unconfirmed")
    if evidence.cancelled and verdict.outcome != "complete":
        verdict = Verdict("cancelled", None, _NO_ANSWER_TO_CANCEL if evidence.status is None else None)
    unknown = [one.why for one in (evidence.unverified, evidence.unanswered) if one]
    told = unknown if verdict.outcome in RESTS_ON_C_FIND else []
    return replace(verdict, advice=sentences(verdict.advice or "", *told, rivals(evidence.patients)) or None)
