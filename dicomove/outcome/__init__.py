"""Judges a C-MOVE: status, counts, expected number and disk become an outcome, an error and an advice. Pure.

::

    evidence     the facts about one C-MOVE: status, counts, expected, on disk
    judgement    the meaning of a DIMSE Status; the outcome and error, by status and counts, or by the files on disk
    patients     whether two PatientIDs, accession numbers or birth dates are the same
    advice       the column ``advice``: remarks on instances in quarantine, other patients, refused peers; the remedies

If counts and status disagree, the counts decide, because real PACS answer Success when every sub-operation failed (GE,
Synapse) or when nothing was moved under load (IMPAX). An absent count is unknown, never 0. With a receiver, the disk
decides.
"""

from __future__ import annotations

from dicomove.outcome.advice import (
    NOT_ATTEMPTED,
    NOT_COMPARED,
    advice_on,
    as_compared,
    of_other_person,
    of_several_patients,
    remarks,
    sentences,
    was_compared,
)
from dicomove.outcome.evidence import (
    Counts,
    Evidence,
    Refusal,
    Unverified,
    Verdict,
    adds_up,
    surplus,
    with_missing,
)
from dicomove.outcome.judgement import (
    CANCELLED,
    RESTS_ON_C_FIND,
    category,
    failure_word,
    find_error,
    judge,
    reports_success,
)
from dicomove.outcome.patients import (
    ALTOGETHER,
    UNLIKE,
    difference,
    is_alike,
    is_other_birth_date,
    is_other_number,
    minority,
    spelling,
    stripped,
)

__all__ = [
    "ALTOGETHER",
    "CANCELLED",
    "NOT_ATTEMPTED",
    "NOT_COMPARED",
    "RESTS_ON_C_FIND",
    "UNLIKE",
    "Counts",
    "Evidence",
    "Refusal",
    "Unverified",
    "Verdict",
    "adds_up",
    "advice_on",
    "as_compared",
    "category",
    "difference",
    "failure_word",
    "find_error",
    "is_alike",
    "is_other_birth_date",
    "is_other_number",
    "judge",
    "minority",
    "of_other_person",
    "of_several_patients",
    "remarks",
    "reports_success",
    "sentences",
    "spelling",
    "stripped",
    "surplus",
    "was_compared",
    "with_missing",
]
